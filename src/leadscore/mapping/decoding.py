"""Records of mapped topics: bytes to the events in them. Pure but for ``lookup``, which asks a schema registry.

Other topics are the ``Decoder``'s, one event a record: they pay nothing for what mappings can do.
"""

from collections.abc import Mapping
from typing import NamedTuple

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.avro_reader import AvroReader
from leadscore.events.avro_schema import AvroSchema, refused
from leadscore.events.decoder import (
    CONFLUENT_HEADER_BYTES,
    MAX_VALUE_BYTES,
    Headers,
    SchemaLookup,
    is_registered,
    unknown_format,
)
from leadscore.events.event import Event
from leadscore.events.json_text import json_reader
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
        self._lookup = lookup
        self._max_value_bytes = max_value_bytes
        self._schemas: dict[bytes, _Schema] = {}

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
                schema = self._schema(value[:CONFLUENT_HEADER_BYTES])
                record, logical = schema.read(value), schema.logical
            else:
                raise unknown_format(value, beside.headers)
        key, headers, timestamp_ms = beside
        return self._mappings[topic].events(Incoming(record, key, headers, timestamp_ms, logical))

    def _schema(self, header: bytes) -> "_Schema":
        if header not in self._schemas:
            if self._lookup is None:
                raise refused("no schema registry is configured")
            answer = self._lookup(int.from_bytes(header[1:], "big"))
            self._schemas[header] = _Schema(answer)
        return self._schemas[header]


class _Schema:
    """What is read with one schema of the registry."""

    def __init__(self, answer: Mapping[str, object]) -> None:
        schema_type = answer.get("schemaType") or "AVRO"
        self._reader: AvroReader | None = None
        self._shape: RecordShape | None = None
        if schema_type == "JSON":
            return
        if schema_type != "AVRO":
            raise refused(f"a schema of type {schema_type}, expected AVRO or JSON")
        if answer.get("references"):
            raise refused("a schema with references to other subjects, expected a complete one")
        schema = AvroSchema(with_local_times(str(answer.get("schema", ""))))
        self._reader = AvroReader(schema)
        self._shape = RecordShape(schema)

    def read(self, value: bytes) -> object:
        """The record in a framed value."""
        if self._shape is None or self._reader is None:
            return _read_json(value[CONFLUENT_HEADER_BYTES:])
        return self._shape.complete(self._reader.read(value, CONFLUENT_HEADER_BYTES))

    @property
    def logical(self) -> dict[Steps, LogicalType] | None:
        """What the schema says of numbers."""
        return None if self._shape is None else self._shape.logical
