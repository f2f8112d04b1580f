"""Records of mapped topics: bytes to the events in them. Pure but for ``lookup``, which asks a schema registry.

Other topics are the ``Decoder``'s, one event a record: they pay nothing for what mappings can do.
"""

from collections.abc import Mapping
from typing import NamedTuple

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.avro_reader import NO_RECORD, AvroReader, branch_of
from leadscore.events.avro_schema import AvroSchema, AvroUnion
from leadscore.events.decoder import MAX_VALUE_BYTES, unknown_format
from leadscore.events.event import Event
from leadscore.events.json_text import read_json
from leadscore.events.registered import (
    CONFLUENT_HEADER_BYTES,
    Headers,
    RegisteredSchemas,
    SchemaLookup,
    id_in_headers,
    is_registered,
    schema_of,
)
from leadscore.mapping.avro_shape import RecordShape
from leadscore.mapping.compiled import CompiledMapping
from leadscore.mapping.keys import Keys
from leadscore.mapping.paths import Incoming, TimeCheck

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
        self._registered = RegisteredSchemas(lookup, _schema_of)
        self._keys = Keys(lookup)

    def looks_beside(self, topic: str) -> bool:
        """Whether the mapping of the topic needs what a record has beside its value."""
        return self._mappings[topic].looks_beside

    def events(
        self,
        topic: str,
        value: bytes | None,
        beside: Beside = NOTHING_BESIDE,
        check_time: TimeCheck | None = None,
    ) -> list[Event]:
        """The events in a record, in its order; ``DeadLetter`` if it is wrong, ``Unavailable`` if the registry is.

        ``check_time`` is called with the time of each event.
        """
        read = _NOTHING
        if value:
            if len(value) > self._max_value_bytes:
                detail = f"{len(value)} bytes, expected at most {self._max_value_bytes}"
                raise DeadLetter(DeadLetterReason.TOO_LARGE, detail)
            read = self._read(value, beside.headers)
        key, headers, timestamp_ms = beside
        incoming = Incoming(read.record, key, headers, timestamp_ms, read.shape, read.schema)
        incoming.unread = read.unread
        incoming.check_time = check_time
        if key is not None:
            incoming.keys = self._keys
        return self._mappings[topic].events(incoming)

    def _read(self, value: bytes, headers: Headers | None) -> "_Read":
        id_header = id_in_headers(headers) if headers and self._registered.can_ask else None
        if id_header is not None:
            start = 0
        elif value[0] in _JSON_STARTS:
            return _Read(read_json(value))
        elif is_registered(value):
            start = CONFLUENT_HEADER_BYTES
            id_header = value[:CONFLUENT_HEADER_BYTES]
        else:
            return _Read(None, unread=unknown_format(value, headers))
        return self._registered.of(id_header).read(value, start)


class _Read:
    """A record, and what its Avro schema says of it."""

    __slots__ = ("record", "schema", "shape", "unread")

    def __init__(
        self,
        record: object,
        shape: RecordShape | None = None,
        schema: str | None = None,
        unread: DeadLetter | None = None,
    ) -> None:
        self.record = record
        self.shape = shape
        self.schema = schema
        self.unread = unread


_NOTHING = _Read(None)


class _Schema:
    """What is read with one schema of the registry: here, JSON."""

    def read(self, value: bytes, start: int) -> _Read:
        """The record that begins there and ends with the value."""
        return _Read(read_json(value[start:]))


class _AvroRecord(_Schema):
    """Records of one type."""

    def __init__(self, schema: AvroSchema) -> None:
        self._reader = AvroReader(schema, for_mapping=True)
        self._shape = RecordShape(schema)
        self._name = schema.name

    def read(self, value: bytes, start: int) -> _Read:
        """The record, read by the schema."""
        return _Read(self._reader.read(value, start), self._shape, self._name)


class _Union(_Schema):
    """Records of several types."""

    def __init__(self, union: AvroUnion) -> None:
        self._branches = [None if schema is None else _AvroRecord(schema) for schema in union.branches]

    def read(self, value: bytes, start: int) -> _Read:
        """The record, read by the branch it was written with."""
        branch = self._branches[branch_of(value, start, len(self._branches))]
        if branch is None:
            raise DeadLetter(DeadLetterReason.MALFORMED, NO_RECORD)
        return branch.read(value, start + 1)


def _schema_of(answer: dict[str, object]) -> _Schema:
    schema = schema_of(answer)
    if isinstance(schema, AvroUnion):
        return _Union(schema)
    return _Schema() if schema is None else _AvroRecord(schema)
