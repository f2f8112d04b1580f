"""Records of mapped topics: bytes to the events in them. Pure but for ``lookup``, which asks a schema registry.

Other topics are the ``Decoder``'s, one event a record: they pay nothing for what mappings can do.
"""

from collections.abc import Mapping
from typing import NamedTuple

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.avro_reader import AvroReader
from leadscore.events.avro_schema import AvroSchema
from leadscore.events.decoder import MAX_VALUE_BYTES, Headers, unknown_format
from leadscore.events.event import Event
from leadscore.events.json_text import json_reader
from leadscore.events.registered import (
    CONFLUENT_HEADER_BYTES,
    RegisteredSchemas,
    SchemaLookup,
    avro_text,
    is_registered,
)
from leadscore.mapping.avro_shape import RecordShape, with_local_times
from leadscore.mapping.compiled import CompiledMapping
from leadscore.mapping.paths import Incoming, Steps
from leadscore.mapping.times import LogicalType

_read_json = json_reader(object)
_JSON_STARTS = b"{[ \t\r\n"


class Beside(NamedTuple):
    """What a record has beside its value; ``timestamp_ms`` is the Kafka timestamp, if there is one."""

    key: bytes | str | None = None
    headers: Headers | None = None
    timestamp_ms: int | None = None


NOTHING_BESIDE = Beside()


class MappedTopics:
    """Decodes the records of the topics that have a mapping. One per worker; keeps one reader per schema id."""

    def __init__(
        self,
        mappings: Mapping[str, CompiledMapping],
        lookup: SchemaLookup | None = None,
        max_value_bytes: int = MAX_VALUE_BYTES,
    ) -> None:
        """``mappings`` are by topic; without ``lookup`` Confluent-framed values cannot be read."""
        self._mappings = mappings
        self.topics = frozenset(mappings)
        self._max_value_bytes = max_value_bytes
        self._registered = RegisteredSchemas(lookup, _Schema)
        self._schemas = self._registered.made

    def looks_beside(self, topic: str) -> bool:
        """Whether the mapping of the topic needs what a record has beside its value."""
        return self._mappings[topic].looks_beside

    def events(self, topic: str, value: bytes | None, beside: Beside = NOTHING_BESIDE) -> list[Event]:
        """The events in a record, in its order; ``DeadLetter`` if it is wrong, ``Unavailable`` if the registry is."""
        record: object = None
        logical = None
        if value:
            if len(value) > self._max_value_bytes:
                detail = f"{len(value)} bytes, expected at most {self._max_value_bytes}"
                raise DeadLetter(DeadLetterReason.TOO_LARGE, detail)
            if value[0] in _JSON_STARTS:
                record = _read_json(value)
            elif is_registered(value):
                header = value[:CONFLUENT_HEADER_BYTES]
                schema = self._schemas.get(header) or self._registered.first_seen(header)
                record, logical = schema.read(value), schema.logical
            else:
                raise unknown_format(value, beside.headers)
        key, headers, timestamp_ms = beside
        return self._mappings[topic].events(Incoming(record, key, headers, timestamp_ms, logical))


class _Schema:
    """What is read with one schema of the registry."""

    def __init__(self, answer: dict[str, object]) -> None:
        text = avro_text(answer)
        schema = None if text is None else AvroSchema(with_local_times(text))
        self._reader = None if schema is None else AvroReader(schema)
        self._shape = None if schema is None else RecordShape(schema)

    def read(self, value: bytes) -> object:
        """The record in a framed value."""
        if self._shape is None or self._reader is None:
            return _read_json(value[CONFLUENT_HEADER_BYTES:])
        return self._shape.complete(self._reader.read(value, CONFLUENT_HEADER_BYTES))

    @property
    def logical(self) -> dict[Steps, LogicalType] | None:
        """What the schema says of numbers."""
        return None if self._shape is None else self._shape.logical
