"""What lies in the input topics, read without the product's decoder; and what became dead letters."""

import io
import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, cast

import fastavro
from confluent_kafka import Message

from leadscore.events.contracts import contract_of_source
from leadscore.events.local_schemas import parsed_schema
from tests.deployment import SOURCES, Deployment, headers_of
from tests.oracle import Plain, instant_ms

SINGLE_OBJECT = b"\xc3\x01"
HEAD_BYTES = 10


class Position(NamedTuple):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Inputs:
    """The events (JSON form of 1.11) and what no decoder accepts, by position."""

    events: dict[Position, Plain]
    poison: set[Position]

    def by_lead(self) -> dict[str, list[Plain]]:
        """The events of each lead."""
        by_lead: dict[str, list[Plain]] = defaultdict(list)
        for event in self.events.values():
            by_lead[event["lead_id"]].append(event)
        return by_lead


def read_inputs(deployment: Deployment) -> Inputs:
    """Every record of every input topic."""
    inputs = Inputs({}, set())
    for word in (*SOURCES, "commands"):
        for message in deployment.read(word):
            position = Position(message.topic() or "", message.partition() or 0, message.offset() or 0)
            event = event_of(word, message)
            if event is None:
                inputs.poison.add(position)
            else:
                inputs.events[position] = event
    return inputs


def event_of(word: str, message: Message) -> Plain | None:
    """The event in its JSON form; ``None`` where this is no event in Avro or JSON as the contracts have it."""
    value = message.value() or b""
    try:
        event = _from_avro(word, value) if value.startswith(SINGLE_OBJECT) else json.loads(value)
        event["occurred_at"] = instant_ms(event["occurred_at"])
        return cast("Plain", event) if event["lead_id"] and event["event_id"] and "." in event["type"] else None
    except (ValueError, KeyError, TypeError, EOFError, IndexError):
        return None


def _from_avro(word: str, value: bytes) -> Plain:
    contract = contract_of_source(word)
    if contract is None:
        raise ValueError(f"no contract for {word}")
    schema = cast("Any", parsed_schema(contract.schema))
    record = cast("Plain", fastavro.schemaless_reader(io.BytesIO(value[HEAD_BYTES:]), schema, None))
    event = {name: field for name, field in record.items() if field is not None and name != "fields"}
    occurred_at = record["occurred_at"]
    assert isinstance(occurred_at, datetime)
    event["occurred_at"] = occurred_at.isoformat()
    event["type"] = f"{contract.type_prefix}.{record['type'].lower()}"
    return {**(record.get("fields") or {}), **event}


def dead_letters(deployment: Deployment) -> set[Position]:
    """The positions that the dead letters name, repeats left out."""
    positions = set()
    for message in deployment.read("dead-letters"):
        headers = {name: (value or b"") for name, value in headers_of(message)}
        topic, partition, offset = (_text(headers[f"leadscore.dead_letter.{n}"]) for n in Position._fields)
        positions.add(Position(topic, int(partition), int(offset)))
    return positions


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()
