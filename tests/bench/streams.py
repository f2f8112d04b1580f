"""Workloads of the benchmarks without servers: a model, and its input as Kafka's client hands it over.

The values are Avro behind the Confluent prefix. ``peers`` is the workload of the comparison with other systems (12
half-life rules, events at random times within 30 days, about 5 crossings in 100 events), ``peers-in-order`` the same
with the events in order of time, ``peers-few`` the same with levels that only 0.5 of 100 events cross, ``base`` the one
of ``make bench`` (in order, few crossings), ``starter`` the starter model with the events of ``leadscore produce``.
``-wide`` is a million leads.
"""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

import fastavro
import msgspec
from confluent_kafka import Message

from leadscore.events.event import Event
from leadscore.events.event_bytes import avro_record, json_bytes
from leadscore.events.local_schemas import schema_texts
from leadscore.events.registered import CONFLUENT_HEADER_BYTES, SchemaKey
from leadscore.model.definition import ModelDefinition
from leadscore.model.load import load_model
from tests.bench import peers_workload, workload
from tests.bench.features import SPAN, STARTER, starter_events

WIDE_LEADS = 1_000_000
TOPIC, COMMAND_TOPIC = "bench", "bench-commands"
FEW_CROSSINGS = {"mql": {"enter": 86, "exit": 70}}


class Size(NamedTuple):
    """How much of a workload, and which."""

    events: int
    leads: int
    seed: int


class Stream(NamedTuple):
    """A model and the records for it, in the order of the log; ``schemas`` is what a registry would have."""

    model: ModelDefinition
    schemas: list[str]
    messages: Sequence[Message]

    def lookup(self, schema_id: SchemaKey) -> dict[str, object]:
        """The registry's answer for a schema id."""
        return {"schema": self.schemas[int(schema_id)]}

    def bare_fastavro(self) -> Callable[[bytes], object]:
        """Decoding as it is usually done: one call of fastavro's reader, no check of what comes out."""
        parsed: list[Any] = [fastavro.parse_schema(msgspec.json.decode(text)) for text in self.schemas]

        def decode(value: bytes) -> object:
            stream = io.BytesIO(value)
            schema = parsed[int.from_bytes(stream.read(CONFLUENT_HEADER_BYTES)[1:])]
            return fastavro.schemaless_reader(stream, schema, None)

        return decode


def _stream(model: ModelDefinition, events: Iterable[Event]) -> Stream:
    """The events as records of our own contracts; those that no contract holds as JSON."""
    texts = schema_texts()
    numbers = {name: number for number, name in enumerate(texts)}
    parsed: dict[str, Any] = {name: fastavro.parse_schema(msgspec.json.decode(text)) for name, text in texts.items()}

    def value(event: Event) -> bytes:
        fitting = avro_record(event)
        return json_bytes(event) if fitting is None else _framed(numbers[fitting[0]], parsed[fitting[0]], fitting[1])

    return Stream(model, list(texts.values()), _messages(events, value))


def _framed(schema_id: int, schema: Any, record: Mapping[str, object]) -> bytes:
    target = io.BytesIO()
    target.write(b"\0" + schema_id.to_bytes(4))
    fastavro.schemaless_writer(target, schema, dict(record))
    return target.getvalue()


def _messages(events: Iterable[Event], value: Callable[[Event], bytes]) -> list[Message]:
    return [
        Message(
            topic=COMMAND_TOPIC if event.is_command else TOPIC,
            partition=0,
            offset=offset,
            value=value(event),
            timestamp=(1, event.occurred_at_ms),
        )
        for offset, event in enumerate(events)
    ]


def _peers(size: Size, *, in_order: bool = False, few_crossings: bool = False) -> Stream:
    parsed: Any = fastavro.parse_schema(msgspec.json.decode(peers_workload.SCHEMA))
    made = peers_workload.events(Random(size.seed), size.events, size.leads, SPAN, in_order=in_order)
    values = _messages(made, lambda event: _framed(0, parsed, peers_workload.record_of(event)))
    model = peers_workload.MODEL | ({"thresholds": FEW_CROSSINGS} if few_crossings else {})
    return Stream(msgspec.convert(model, ModelDefinition), [peers_workload.SCHEMA], values)


def _base(size: Size) -> Stream:
    made = workload.events(Random(size.seed), size.events, size.leads, SPAN)
    return _stream(workload.model_definition(), made)


def _starter(size: Size) -> Stream:
    return _stream(load_model(STARTER).definition, starter_events(size.seed, size.events))


STREAMS: Mapping[str, Callable[[Size], Stream]] = {
    "peers": _peers,
    "peers-in-order": lambda size: _peers(size, in_order=True),
    "peers-few": lambda size: _peers(size, few_crossings=True),
    "peers-few-in-order": lambda size: _peers(size, in_order=True, few_crossings=True),
    "peers-wide": lambda size: _peers(size._replace(leads=WIDE_LEADS)),
    "peers-wide-in-order": lambda size: _peers(size._replace(leads=WIDE_LEADS), in_order=True),
    "base": _base,
    "base-wide": lambda size: _base(size._replace(leads=WIDE_LEADS)),
    "starter": _starter,
}
