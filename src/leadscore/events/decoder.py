"""Bytes of a record's value to an event: the format by its first bytes, the schema by its id, the mapping by its topic.

Pure but for ``lookup``, which asks a schema registry. Everything a value can do wrong ends in ``DeadLetter``.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.avro_reader import RecordReader, compile_reader
from leadscore.events.avro_schema import AvroSchema, refused
from leadscore.events.contracts import contract_of_record
from leadscore.events.event import Event
from leadscore.events.local_schemas import (
    SINGLE_OBJECT_MAGIC,
    schema_texts,
    single_object_header,
    with_event_types,
)
from leadscore.events.mapping import RecordMapper, TopicMapping, compile_mapping
from leadscore.events.validation import Record, event_of

Headers = list[tuple[str, bytes | None]]

SchemaLookup = Callable[[int], dict[str, object]]
"""The registry's answer for a schema id (``schema``, ``schemaType``); ``DeadLetter`` if it has no such schema,
``Unavailable`` if it does not answer."""

MAX_VALUE_BYTES = 1024 * 1024
CONFLUENT_MAGIC = 0x00
CONFLUENT_HEADER_BYTES = 5
SINGLE_OBJECT_HEADER_BYTES = 10

_JSON_START = ord("{")
_JSON_SPACE = b" \t\r\n"
_HEADER_SCHEMA_ID = "__value_schema_id"
_json = msgspec.json.Decoder(dict[str, object])


class Decoder:
    """Decodes the values of all input topics. One per worker; keeps one compiled reader per schema id."""

    def __init__(
        self,
        mappings: Mapping[str, TopicMapping] | None = None,
        lookup: SchemaLookup | None = None,
        max_value_bytes: int = MAX_VALUE_BYTES,
    ) -> None:
        """``mappings`` are of foreign schemas, by topic; without ``lookup`` Confluent-framed values cannot be read."""
        self._mappers: dict[str, RecordMapper] = {t: compile_mapping(m) for t, m in (mappings or {}).items()}
        self._lookup = lookup
        self._max_value_bytes = max_value_bytes
        self._readers: dict[int, _Reader] = {}
        self._refused: dict[int, str] = {}
        self._local_readers = _local_readers()

    def decode(self, topic: str, value: bytes | None, headers: Headers | None = None) -> Event:
        """The event in a record's value; ``DeadLetter`` if none, ``Unavailable`` if the registry does not answer."""
        if not value:
            raise DeadLetter(DeadLetterReason.EMPTY, "the record has no value")
        if len(value) > self._max_value_bytes:
            raise DeadLetter(
                DeadLetterReason.TOO_LARGE, f"{len(value)} bytes, expected at most {self._max_value_bytes}"
            )
        reader, start = self._reader(value, headers)
        record = reader.read(value, start)
        mapper = self._mappers.get(topic) if self._mappers else None
        if mapper is not None:
            return event_of(*mapper(record))
        return event_of(record, record, are_scalars=reader.gives_scalars)

    def _reader(self, value: bytes, headers: Headers | None) -> "tuple[_Reader, int]":
        """What reads the value, and where the record begins in it."""
        first = value[0]
        if first == CONFLUENT_MAGIC and len(value) >= CONFLUENT_HEADER_BYTES:
            return self._registered_reader(int.from_bytes(value[1:CONFLUENT_HEADER_BYTES])), CONFLUENT_HEADER_BYTES
        if first == _JSON_START:
            return _JSON_READER, 0
        if value.startswith(SINGLE_OBJECT_MAGIC):
            return self._local_reader(value[:SINGLE_OBJECT_HEADER_BYTES]), SINGLE_OBJECT_HEADER_BYTES
        if value.lstrip(_JSON_SPACE)[:1] == b"{":
            return _JSON_READER, 0
        raise _unknown_format(headers)

    def _local_reader(self, header: bytes) -> "_Reader":
        reader = self._local_readers.get(header)
        if reader is None:
            raise refused(f"no local schema has the fingerprint {header[2:].hex()}")
        return reader

    def _registered_reader(self, schema_id: int) -> "_Reader":
        reader = self._readers.get(schema_id)
        return reader if reader is not None else self._first_seen(schema_id)

    def _first_seen(self, schema_id: int) -> "_Reader":
        """Look the schema up and compile it. A schema under an id never changes, so a refusal is for good."""
        if schema_id in self._refused:
            raise refused(self._refused[schema_id])
        if self._lookup is None:
            raise refused("no schema registry is configured")
        answer = self._lookup(schema_id)
        try:
            self._readers[schema_id] = _reader_of(answer)
        except DeadLetter as error:
            self._refused[schema_id] = f"schema id {schema_id}: {error.detail}"
            raise refused(self._refused[schema_id]) from error
        return self._readers[schema_id]


def read_json(value: bytes | str, start: int = 0) -> Record:
    """The object that is the whole of a JSON text."""
    try:
        return _json.decode(value[start:] if start else value)
    except UnicodeDecodeError as error:
        raise DeadLetter(DeadLetterReason.MALFORMED, "a text is not UTF-8") from error
    except RecursionError as error:
        raise DeadLetter(DeadLetterReason.MALFORMED, "JSON nested too deeply") from error
    except msgspec.MsgspecError as error:
        trailing = "trailing characters" in str(error)
        reason = DeadLetterReason.TRAILING_BYTES if trailing else DeadLetterReason.MALFORMED
        raise DeadLetter(reason, str(error)) from error


class _Reader(NamedTuple):
    """How records of one schema are read; ``gives_scalars``: nothing but scalars stands beside their attributes."""

    read: RecordReader
    gives_scalars: bool


_JSON_READER = _Reader(read_json, gives_scalars=False)


@functools.cache
def _local_readers() -> dict[bytes, _Reader]:
    return {single_object_header(name): _avro_reader(text) for name, text in schema_texts().items()}


def _reader_of(answer: dict[str, object]) -> _Reader:
    schema_type = answer.get("schemaType") or "AVRO"
    if schema_type == "JSON":
        return _JSON_READER
    if schema_type != "AVRO":
        raise refused(f"a schema of type {schema_type}, expected AVRO or JSON")
    if answer.get("references"):
        raise refused("a schema with references to other subjects, expected a complete one")
    return _avro_reader(str(answer.get("schema", "")))


def _avro_reader(text: str) -> _Reader:
    schema = with_event_types(AvroSchema(text))
    reader = compile_reader(schema)
    if contract_of_record(schema.name) is not None:
        return _Reader(_beside_named_fields(reader), gives_scalars=schema.holds_scalars({"attributes"}, {"fields"}))
    return _Reader(reader, gives_scalars=schema.holds_scalars({"attributes"}))


def _beside_named_fields(reader: RecordReader) -> RecordReader:
    """In our own schemas the entries of the map ``fields`` stand beside the named fields, which win."""

    def read(value: bytes, start: int) -> Record:
        record = reader(value, start)
        extra = record.pop("fields", None)
        if isinstance(extra, dict):
            for name, entry in extra.items():
                record.setdefault(name, entry)
        return record

    return read


def _unknown_format(headers: Headers | None) -> DeadLetter:
    if any(name == _HEADER_SCHEMA_ID for name, _ in headers or []):
        detail = "the schema id is in a header, expected it in front of the value (Confluent framing)"
    else:
        detail = "expected Confluent framing, Avro single-object encoding or a JSON object"
    return DeadLetter(DeadLetterReason.UNKNOWN_FORMAT, detail)
