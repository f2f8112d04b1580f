"""Bytes of a record's value to an event: the format by its first bytes, the schema by its id.

Pure but for ``lookup``, which asks a schema registry. Everything a value can do wrong ends in ``DeadLetter``.
"""

import functools
import re
from collections.abc import Callable

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.avro_reader import AvroReader, RecordReader, UnionReader
from leadscore.events.avro_schema import AvroSchema, AvroUnion, record_schema, refused
from leadscore.events.contracts import contract_of_record
from leadscore.events.event import Event
from leadscore.events.json_text import json_reader
from leadscore.events.local_schemas import (
    SINGLE_OBJECT_MAGIC,
    schema_texts,
    single_object_header,
    with_event_types,
)
from leadscore.events.registered import (
    CONFLUENT_HEADER_BYTES,
    ID_HEADER,
    Headers,
    RegisteredSchemas,
    SchemaLookup,
    id_in_headers,
    is_registered,
    schema_of,
)
from leadscore.events.validation import LeaveOut, Record, event_of, unnoticed

MAX_VALUE_BYTES = 1024 * 1024
SINGLE_OBJECT_HEADER_BYTES = 10

_JSON_START = ord("{")
_JSON_SPACE = b" \t\r\n"
_LOOKS_LIKE_AN_ID = re.compile(r"schema.?(id|version|guid)|globalid|contentid", re.IGNORECASE)
"""Names of headers in which others than Confluent write ids of schemas."""
_GLUE_MAGIC = b"\x03"
_GLUE_HEADER_BYTES = 18
_OF_THE_KEY = re.compile(r"^__key|\.key\.")


class Decoder:
    """Decodes the values of all input topics. One per worker; keeps one reader per schema id."""

    def __init__(
        self,
        lookup: SchemaLookup | None = None,
        max_value_bytes: int = MAX_VALUE_BYTES,
        leave_out: LeaveOut = unnoticed,
    ) -> None:
        """Without ``lookup`` Confluent-framed values cannot be read; ``leave_out`` is told of fields left out."""
        self._leave_out = leave_out
        self._max_value_bytes = max_value_bytes
        self._registered = RegisteredSchemas(lookup, _reader_of)
        self._local_readers = _local_readers()

    def decode(self, _topic: str, value: bytes | None, headers: Headers | None = None) -> Event:
        """The event in a record's value; ``DeadLetter`` if none, ``Unavailable`` if the registry does not answer."""
        if not value:
            raise DeadLetter(DeadLetterReason.EMPTY, "the record has no value")
        if len(value) > self._max_value_bytes:
            raise DeadLetter(
                DeadLetterReason.TOO_LARGE, f"{len(value)} bytes, expected at most {self._max_value_bytes}"
            )
        first = value[0]
        id_header = id_in_headers(headers) if headers and self._registered.can_ask else None
        if id_header is not None:
            start = 0
            reader = self._registered.of(id_header)
        elif is_registered(value):
            start = CONFLUENT_HEADER_BYTES
            reader = self._registered.of(value[:CONFLUENT_HEADER_BYTES])
        elif first == SINGLE_OBJECT_MAGIC[0] and value[1:2] == SINGLE_OBJECT_MAGIC[1:]:
            start = SINGLE_OBJECT_HEADER_BYTES
            reader = self._local_reader(value[:SINGLE_OBJECT_HEADER_BYTES])
        elif first == _JSON_START or value.lstrip(_JSON_SPACE)[:1] == b"{":
            start = 0
            reader = _JSON_READER
        else:
            raise unknown_format(value, headers)
        record = reader.read(value, start)
        return event_of(record, record, reader.numbers, self._leave_out)

    def _local_reader(self, header: bytes) -> RecordReader:
        reader = self._local_readers.get(header)
        if reader is None:
            raise refused(f"no local schema has the fingerprint {header[2:].hex()}")
        return reader


read_json: Callable[[bytes | str], Record] = json_reader(dict[str, object])
"""The object that is the whole of a JSON text."""


class _JsonReader(RecordReader):
    def read(self, value: bytes, start: int) -> Record:
        return read_json(value[start:] if start else value)


class _ContractReader(AvroReader):
    """In our own schemas the entries of the map ``fields`` stand beside the named fields, which win."""

    def read(self, value: bytes, start: int) -> Record:
        record = AvroReader.read(self, value, start)
        entries = record.pop("fields", None)
        if entries and isinstance(entries, dict):
            for name, entry in entries.items():
                record.setdefault(name, entry)
        return record


_JSON_READER = _JsonReader(None)


@functools.cache
def _local_readers() -> dict[bytes, RecordReader]:
    return {single_object_header(name): _avro_reader(record_schema(text)) for name, text in schema_texts().items()}


def _reader_of(answer: dict[str, object]) -> RecordReader:
    schema = schema_of(answer)
    if isinstance(schema, AvroUnion):
        return UnionReader([None if branch is None else _avro_reader(branch) for branch in schema.branches])
    return _JSON_READER if schema is None else _avro_reader(schema)


def _avro_reader(schema: AvroSchema) -> RecordReader:
    with_event_types(schema)
    local = schema.local_time("occurred_at")
    if local is not None:
        raise refused(f"occurred_at is a {local}, no instant without a zone: a mapping with time_zone reads it")
    if contract_of_record(schema.name) is not None:
        return _ContractReader(schema, schema.numbers_among_scalars({"attributes"}, {"fields"}))
    return AvroReader(schema, schema.numbers_among_scalars({"attributes"}))


def unknown_format(value: bytes, headers: Headers | None) -> DeadLetter:
    """The error for a value whose first bytes belong to no format."""
    names = [name for name, _ in headers or []]
    others = [name for name in names if _LOOKS_LIKE_AN_ID.search(name) and not _OF_THE_KEY.search(name)]
    if ID_HEADER in names:
        detail = f"the schema id is in the header {ID_HEADER}, and no registry is set: LEADSCORE_SCHEMA_REGISTRY_URL"
    elif others:
        detail = (
            f"the schema id seems to be in the header {others[0]}: expected it in front of the value (Confluent "
            f"framing), or in the header {ID_HEADER}"
        )
    elif value[:1] == _GLUE_MAGIC and len(value) >= _GLUE_HEADER_BYTES:
        detail = "this seems to be the framing of the AWS Glue registry, which is not read: expected Confluent framing"
    elif value.lstrip(_JSON_SPACE)[:1] == b"[":
        detail = "a JSON list, expected an object; a mapping reads lists of events: each: $record"
    else:
        detail = "expected Confluent framing, Avro single-object encoding or a JSON object"
    return DeadLetter(DeadLetterReason.UNKNOWN_FORMAT, detail)
