"""The input of a run: topics filled once, read by every system; the model and the schemas as files."""

import io
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from uuid import uuid4

import fastavro
import msgspec
import yaml
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from leadscore.events.contracts import contract_of_type
from leadscore.events.event import Event
from leadscore.events.event_bytes import avro_record, json_bytes
from leadscore.events.local_schemas import schema_texts
from leadscore.time_units import DAY_MS
from tests.bench import peers_workload
from tests.bench.features import STARTER, starter_events
from tests.bench.peers.figures import Crossings, Workload
from tests.bench.workload import Span
from tests.unit.registry_stub import RegistryStub

PARTITIONS = 6
SEED = 1
READ_TIMEOUT_S = 5.0


class Input(NamedTuple):
    """The events of a workload in Kafka. ``schema_files`` are in the order of ``topics``."""

    workload: Workload
    topics: list[str]
    schema_files: list[Path]
    model_file: Path
    registry: str


class Value(NamedTuple):
    """What stands in Kafka for an event; ``source`` is the end of its topic's name."""

    source: str
    lead_id: str
    value: bytes


class Topics:
    """Creates, fills, reads and deletes topics."""

    def __init__(self, bootstrap: str) -> None:
        self._clients: dict[str, str | int | float | bool] = {"bootstrap.servers": bootstrap, "log_level": 2}
        self._admin = AdminClient(self._clients)

    def create(self, partitions: Mapping[str, int]) -> None:
        """New topics that keep everything."""
        settings = {"retention.ms": "-1"}
        topics = [NewTopic(name, number, 1, config=settings) for name, number in partitions.items()]
        for created in self._admin.create_topics(topics).values():
            created.result(timeout=60)

    def delete_all_of(self, prefix: str) -> None:
        """All topics whose names begin so, those that a system created for itself among them."""
        names = [name for name in self._admin.list_topics(timeout=10).topics if name.startswith(prefix)]
        if names:
            for deleted in self._admin.delete_topics(names).values():
                deleted.result(timeout=60)

    def fill(self, prefix: str, values: Iterable[Value]) -> None:
        """Produce in this order, keyed by lead."""
        producer = Producer({**self._clients, "linger.ms": 20, "compression.type": "lz4"})
        for source, lead_id, value in values:
            while True:
                try:
                    producer.produce(f"{prefix}.{source}", value, lead_id)
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.flush()

    def crossings(self, topic: str) -> Crossings:
        """Count by direction, and those that were published before."""
        counts = {"enter": 0, "leave": 0}
        seen: set[tuple[str, str]] = set()
        repeated = 0
        for value in self._values(topic):
            crossing = msgspec.json.decode(value)
            direction = str(crossing["direction"]).lower()
            identity = (str(crossing.get("id") or crossing["event_id"]), direction)
            counts[direction] += 1
            repeated += identity in seen
            seen.add(identity)
        return Crossings(counts["enter"], counts["leave"], repeated)

    def _values(self, topic: str) -> Iterator[bytes]:
        settings = {"group.id": "count", "enable.auto.commit": False, "isolation.level": "read_committed"}
        with closing(Consumer({**self._clients, **settings, "enable.partition.eof": True})) as consumer:
            numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
            ended = 0
            while ended < len(numbers):
                for message in consumer.consume(10_000, READ_TIMEOUT_S):
                    ended += message.error() is not None
                    value = message.value()
                    if message.error() is None and value is not None:
                        yield value


def peers_input(topics: Topics, folder: Path, registry: RegistryStub, workload: Workload) -> Input:
    """The peers' events, all by one schema."""
    parsed: Any = fastavro.parse_schema(msgspec.json.decode(peers_workload.SCHEMA))
    end_ms = int(time.time() * 1000)
    span = Span(end_ms - peers_workload.DAYS * DAY_MS, end_ms)
    made = peers_workload.events(Random(SEED), workload.events, workload.leads, span)
    values = (
        Value(event.type.partition(".")[0], event.lead_id, _framed(0, parsed, peers_workload.record_of(event)))
        for event in made
    )
    registry.put_schema(0, peers_workload.SCHEMA)
    files = [_file(folder / "peers.avsc", peers_workload.SCHEMA)] * len(peers_workload.SOURCES)
    sources = dict(zip(peers_workload.SOURCES, files, strict=True))
    return _filled(topics, workload, sources, values, (peers_model(folder), registry))


def peers_model(folder: Path) -> Path:
    """The rules of the peers, as a file in this folder."""
    return _file(folder / "peers.yaml", yaml.safe_dump(peers_workload.MODEL, sort_keys=False))


def starter_input(topics: Topics, folder: Path, registry: RegistryStub, workload: Workload) -> Input:
    """What ``leadscore produce`` makes up, by leadscore's own schemas; what none of them holds as JSON."""
    texts = schema_texts()
    numbers = {name: number for number, name in enumerate(texts, 1)}
    parsed: dict[str, Any] = {name: fastavro.parse_schema(msgspec.json.decode(text)) for name, text in texts.items()}
    for name, number in numbers.items():
        registry.put_schema(number, texts[name])

    def value_of(event: Event) -> bytes:
        fitting = avro_record(event)
        return json_bytes(event) if fitting is None else _framed(numbers[fitting[0]], parsed[fitting[0]], fitting[1])

    end_ms = int(time.time() * 1000)
    made = starter_events(SEED, workload.events, Span(end_ms - 14 * DAY_MS, end_ms))
    events = [event for event in made if not event.is_command]
    contracts = {event.type.partition(".")[0]: contract_of_type(event.type) for event in events}
    files = {
        source: _file(folder / f"{contract.schema}.avsc", texts[contract.schema])
        for source, contract in contracts.items()
        if contract is not None
    }
    kept = [event for event in events if event.type.partition(".")[0] in files]
    exact = Workload(workload.name, len(kept), len({event.lead_id for event in kept}))
    values = (Value(event.type.partition(".")[0], event.lead_id, value_of(event)) for event in kept)
    return _filled(topics, exact, files, values, (STARTER, registry))


INPUTS = {"peers": peers_input, "starter": starter_input}


def _filled(
    topics: Topics,
    workload: Workload,
    schemas: Mapping[str, Path],
    values: Iterable[Value],
    about: tuple[Path, RegistryStub],
) -> Input:
    prefix = f"input-{uuid4().hex[:8]}"
    names = [f"{prefix}.{source}" for source in schemas]
    topics.create(dict.fromkeys(names, PARTITIONS))
    topics.fill(prefix, values)
    return Input(workload, names, list(schemas.values()), about[0], about[1].url)


def _framed(schema_id: int, schema: Any, record: Mapping[str, object]) -> bytes:
    target = io.BytesIO()
    target.write(b"\0" + schema_id.to_bytes(4))
    fastavro.schemaless_writer(target, schema, dict(record))
    return target.getvalue()


def _file(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path
