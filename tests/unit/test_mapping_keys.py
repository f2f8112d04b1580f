"""Keys of records as lead ids: text, JSON, Avro of any type in the framing of a schema registry."""

import io
import json
from typing import Any
from uuid import UUID

import fastavro
import pytest
from fastavro.schema import parse_schema

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.event import Event
from leadscore.events.registered import SchemaKey, SchemaLookup
from leadscore.mapping.decoding import Beside, MappedTopics
from leadscore.mapping.load import mappings_in
from leadscore.mapping.topics import compile_mappings

Json = Any  # schemas and keys of any shape

AT_MS = 1_767_607_200_000
VALUE = b'{"id": "e-1", "at": 1767607200}'
ROW_KEY = {"type": "record", "name": "Key", "namespace": "crm", "fields": [{"name": "id", "type": "long"}]}
GUID = UUID(int=7)
PLAIN = "event_id: id, occurred_at: at, type: a.b"


def registry_of(schema: Json, schema_type: str = "AVRO") -> SchemaLookup:
    def lookup(_key: SchemaKey) -> dict[str, object]:
        return {"schema": json.dumps(schema), "schemaType": schema_type}

    return lookup


def avro(schema: Json, key: Json, header: bytes = b"\x00\x00\x00\x00\x09") -> bytes:
    target = io.BytesIO()
    fastavro.schemaless_writer(target, parse_schema(schema), key)
    return header + target.getvalue()


def mapped(
    mapping: str,
    key: bytes,
    lookup: SchemaLookup | None,
    value: bytes | None = VALUE,
    headers: list[tuple[str, bytes | None]] | None = None,
) -> list[Event]:
    topics = MappedTopics(compile_mappings(mappings_in(f"t: {{{mapping}}}", "m"), None), lookup)
    return topics.events("t", value, Beside(key, headers, AT_MS))


@pytest.mark.parametrize(
    ("schema", "key", "path", "lead_id"),
    [
        ("string", "lead-1", "$key", "lead-1"),
        ("long", 17, "$key", "17"),
        (["null", "string"], "lead-1", "$key", "lead-1"),
        (ROW_KEY, {"id": 17}, "$key.id", "17"),
        ({"type": "array", "items": "string"}, ["lead-1", "x"], '"$key[0]"', "lead-1"),
    ],
)
def test_a_key_in_avro_is_a_lead_id(schema: Json, key: Json, path: str, lead_id: str) -> None:
    (event,) = mapped(f"lead_id: {path}, {PLAIN}", avro(schema, key), registry_of(schema))
    assert event.lead_id == lead_id


@pytest.mark.parametrize("header", [b"\x00\x00\x00\x00\x09", b"\x01" + GUID.bytes])
def test_the_id_of_a_keys_schema_may_be_in_a_header(header: bytes) -> None:
    headers: list[tuple[str, bytes | None]] = [("__key_schema_id", header)]
    key = avro(ROW_KEY, {"id": 17}, b"")
    (event,) = mapped(f"lead_id: $key.id, {PLAIN}", key, registry_of(ROW_KEY), headers=headers)
    assert event.lead_id == "17"


def test_a_key_in_json_schema_is_read_as_json() -> None:
    key = b'\x00\x00\x00\x00\x09{"id": "lead-1"}'
    (event,) = mapped(f"lead_id: $key.id, {PLAIN}", key, registry_of({"type": "object"}, "JSON"))
    assert event.lead_id == "lead-1"


def test_a_tombstone_whose_key_is_avro_removes_the_attributes_of_its_row() -> None:
    mapping = "preset: debezium, attributes: {members: [after, before], named: {role: after.role}}"
    (event,) = mapped(mapping, avro(ROW_KEY, {"id": 17}), registry_of(ROW_KEY), value=None)
    assert (event.lead_id, event.attributes) == ("17", {"role": None})


@pytest.mark.parametrize(
    ("key", "lookup", "detail"),
    [
        (avro("string", "lead-1"), None, "$key: no schema registry is configured"),
        (avro("string", "lead-1") + b"!", registry_of("string"), "$key: 1 bytes after the record"),
        (avro("string", "lead-1"), registry_of("", "PROTOBUF"), "$key: schema id 9: a Protobuf schema"),
        (avro("string", "lead-1"), registry_of({"type": "no such"}), "$key: schema id 9: "),
    ],
)
def test_a_key_that_cannot_be_read_is_named_as_the_key(key: bytes, lookup: SchemaLookup | None, detail: str) -> None:
    with pytest.raises(DeadLetter) as caught:
        mapped(f"lead_id: $key, {PLAIN}", key, lookup)
    assert caught.value.detail.startswith(detail)
    assert caught.value.reason in {DeadLetterReason.UNKNOWN_SCHEMA, DeadLetterReason.TRAILING_BYTES}


def test_a_key_that_cannot_be_read_spoils_no_record_that_does_without_it() -> None:
    (event,) = mapped(
        f"lead_id: [who, $key], {PLAIN}",
        avro("string", "x"),
        None,
        b'{"who": "L1", "id": 1, "at": "2026-01-05T10:00:00Z"}',
    )
    assert event.lead_id == "L1"


def test_the_registry_is_asked_once_for_the_schema_of_keys() -> None:
    asked: list[SchemaKey] = []

    def lookup(key: SchemaKey) -> dict[str, object]:
        asked.append(key)
        return {"schema": '"string"'}

    topics = MappedTopics(compile_mappings(mappings_in(f"t: {{lead_id: $key, {PLAIN}}}", "m"), None), lookup)
    for number in range(3):
        (event,) = topics.events("t", VALUE, Beside(avro("string", f"lead-{number}"), None, AT_MS))
        assert event.lead_id == f"lead-{number}"
    assert asked == [9]
