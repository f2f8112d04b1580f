"""Every value of the poison corpus is refused for its reason, in time, whatever schema it claims to have."""

import json
import struct
from time import thread_time
from typing import Any

import pytest

from leadscore.errors import LONGEST_DETAIL, DeadLetter, DeadLetterReason
from leadscore.events.decoder import Decoder
from leadscore.events.encoding import encode_single_object
from leadscore.events.local_schemas import schema_texts
from leadscore.events.registered import SchemaKey
from tests.poison import CORPUS, HEADER, MALFORMED, attribute, page_view, text, website
from tests.random_avro import long

MOST_CPU_S = 2.0
"""What any of these may take of the processor; other programs on the machine do not count."""


def refusal_of(value: bytes | None, schema: object = None) -> DeadLetter:
    answer = {"schema": schema if isinstance(schema, str) else json.dumps(schema)}
    decoder = Decoder(lookup=lambda _id: dict(answer)) if schema is not None else Decoder()
    before_s = thread_time()
    with pytest.raises(DeadLetter) as caught:
        decoder.decode("topic", value)
    assert thread_time() - before_s < MOST_CPU_S
    return caught.value


def test_the_corpus_starts_from_values_that_are_right() -> None:
    decoder = Decoder()
    record: dict[str, Any] = {"event_id": "e1", "lead_id": "L1", "occurred_at": 1_767_607_200_000, "type": "PAGE_VIEW"}
    assert website() == encode_single_object("website_event", record)
    assert decoder.decode("topic", website()) == decoder.decode("topic", page_view())
    whole = website(attributes=attribute(3, struct.pack("<d", 1.5)))
    assert decoder.decode("topic", whole).attributes == {"a": 1.5}


@pytest.mark.parametrize("field", ["type", "campaign", "attributes", "path"])
def test_the_message_names_the_field(field: str) -> None:
    wrong = attribute(5, b"") if field == "attributes" else long(1) + long(-1) if field == "path" else long(99)
    assert refusal_of(website(**{field: wrong})).detail.startswith(f"{field}: expected ")


@pytest.mark.parametrize("name", CORPUS)
def test_garbage_is_refused_for_its_reason(name: str) -> None:
    value, reason = CORPUS[name]
    assert refusal_of(value).reason is reason


@pytest.mark.parametrize("length", range(len(HEADER), len(website(attributes=attribute(1, text("value"))))))
def test_a_truncated_value_is_malformed_wherever_it_ends(length: int) -> None:
    whole = website(attributes=attribute(1, text("value")))
    assert refusal_of(whole[:length]).reason is MALFORMED


def test_a_value_of_exactly_the_limit_is_read() -> None:
    value = page_view()
    assert Decoder(max_value_bytes=len(value)).decode("topic", value).event_id == "e1"
    with pytest.raises(DeadLetter, match="too_large"):
        Decoder(max_value_bytes=len(value) - 1).decode("topic", value)


def test_a_schema_id_in_a_header_is_explained() -> None:
    with pytest.raises(DeadLetter, match="the schema id is in the header __value_schema_id, and no registry is set"):
        Decoder().decode("topic", b"\x08abc", [("other", None), ("__value_schema_id", b"\x01\x02")])


def test_a_message_never_holds_a_value() -> None:
    secret = "jane@example.com"
    wrong = [page_view(lead_id=secret), page_view(occurred_at=secret)]
    wrong += [page_view(type="command.adjust", points=secret), page_view(campaign=[secret] * 9, type=secret * 20)]
    wrong += [page_view(event_id=secret + "\x00"), page_view()[:-1] + f',"{secret}"'.encode(), secret.encode()]
    assert [str(refusal_of(value)) for value in wrong if secret in str(refusal_of(value))] == []


# Schemas of a registry that no value is read with


def record(*types: object, name: str = "R") -> dict[str, object]:
    return {"type": "record", "name": name, "fields": [{"name": f"f{i}", "type": t} for i, t in enumerate(types)]}


def chain(length: int) -> dict[str, object]:
    """Records side by side, each holding the one before: deep without being nested."""
    links = [record("int", name="R0"), *(record(f"R{i}", name=f"R{i + 1}") for i in range(length))]
    return record(*links, name="Chain")


def nested(depth: int) -> object:
    schema: object = "string"
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def records_nested(depth: int) -> object:
    schema: object = "int"
    for level in range(depth):
        schema = record(schema, name=f"R{level}")
    return schema


EMPTY_RECORD = record(name="Empty")

POISONED_SCHEMAS: dict[str, object] = {
    "array of nulls": record({"type": "array", "items": "null"}),
    "array of empty records": record({"type": "array", "items": EMPTY_RECORD}),
    "array of records of nulls": record({"type": "array", "items": record("null", EMPTY_RECORD, name="Nulls")}),
    "array of fixed of no size": record({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}),
    "array of nulls in a map in a union": record(
        ["int", {"type": "map", "values": {"type": "array", "items": "null"}}]
    ),
    "record in itself": record(["null", "R"]),
    "record in an array in itself": record({"type": "array", "items": "R"}),
    "two records in each other": record(record(["null", "R"], name="Inner")),
    "60 arrays deep": record(nested(60)),
    "300 records deep": records_nested(300),
    "100,000 arrays deep": '{"type":"array","items":' * 100_000,
    "5,000 arrays deep": '{"type":"array","items":' * 5_000 + '"int"' + "}" * 5_000,
    "a chain of 60 records": chain(60),
    "union of nothing": record([]),
    "union of 65 records": record([record("int", name=f"U{i}") for i in range(65)]),
    "union in a union": record([["null", "int"], "string"]),
    "an int": "int",
    "a union of nothing": [],
    "a union without a record": ["null", "int"],
    "a union of 65 branches": [record("int", name=f"U{i}") for i in range(65)],
    "a union with a record in itself": ["null", record(["null", "R"])],
    "a fixed of negative size": record({"type": "fixed", "name": "F", "size": -5}),
    "a fixed whose size is a text": record({"type": "fixed", "name": "F", "size": "5"}),
    "an enum whose symbols are an object": record({"type": "enum", "name": "E", "symbols": {"A": 1}}),
    "an enum whose symbols are a text": record({"type": "enum", "name": "E", "symbols": "AB"}),
    "an error in a record": record({"type": "error", "name": "E", "fields": []}),
    "a field with a number for a name": {"type": "record", "name": "R", "fields": [{"name": 5, "type": "int"}]},
    "a schema that says it is parsed": record("int")
    | {"__fastavro_parsed": True, "__named_schemas": {}, "fields": [{"name": "a", "type": "nothing"}]},
    "twenty levels of two records each": record(
        record("int", name="L0"), *(record(f"L{i}", f"L{i}", name=f"L{i + 1}") for i in range(20))
    ),
    "a JSON number": 7,
    "a JSON null": "null",
    "no JSON": "{",
    "no text": "",
    "an unknown type": record("strnig"),
    "fields that are no list": {"type": "record", "name": "R", "fields": 7},
    "a field without a type": {"type": "record", "name": "R", "fields": [{"name": "a"}]},
    "an enum without symbols": record({"type": "enum", "name": "E"}),
    "a map without values": record({"type": "map"}),
    "a schema of 300 KB": record("int", name="R" * 300_000),
}


@pytest.mark.parametrize("name", POISONED_SCHEMAS)
@pytest.mark.parametrize("value", [b"", bytes(10), b"\xfe\xff\xff\xff\x0f", website()[10:]])
def test_no_value_is_read_with_a_poisoned_schema(name: str, value: bytes) -> None:
    refusal = refusal_of(b"\x00\x00\x00\x00\x01" + value, POISONED_SCHEMAS[name])
    assert refusal.reason is DeadLetterReason.UNKNOWN_SCHEMA
    assert refusal.detail.startswith("schema id 1: ")


@pytest.mark.parametrize(
    "answer", [{"schema": "{}", "schemaType": "PROTOBUF"}, {"schema": '"int"', "references": [{"name": "a"}]}, {}]
)
def test_a_schema_we_cannot_use_is_an_unknown_one(answer: dict[str, object]) -> None:
    with pytest.raises(DeadLetter, match="unknown_schema: schema id 1: "):
        Decoder(lookup=lambda _id: answer).decode("topic", b"\x00\x00\x00\x00\x01abc")


def test_a_poisoned_schema_is_looked_at_once() -> None:
    asked: list[SchemaKey] = []

    def lookup(schema_id: SchemaKey) -> dict[str, object]:
        asked.append(schema_id)
        return {"schema": json.dumps(POISONED_SCHEMAS["array of nulls"])}

    decoder = Decoder(lookup=lookup)
    for _ in range(3):
        with pytest.raises(DeadLetter):
            decoder.decode("topic", b"\x00\x00\x00\x00\x01\x00")
    assert asked == [1]


CODE = "a'] = 1 / 0 #\n  raise SystemExit"


@pytest.mark.parametrize("place", ["name", "field", "symbol"])
def test_what_a_schema_says_is_never_run(place: str) -> None:
    schema = json.loads(schema_texts()["lead_profile"])
    schema["name"] = CODE if place == "name" else "Foreign"
    schema["fields"][3]["type"]["symbols"] = ["A", CODE if place == "symbol" else "B"]
    schema["fields"][2]["name"] = CODE if place == "field" else "seen_at"
    value = b"\x00\x00\x00\x00\x01" + text("e1") + text("L1") + long(1) + long(1) + long(0)
    assert refusal_of(value, schema).reason in (DeadLetterReason.UNKNOWN_SCHEMA, DeadLetterReason.MISSING_FIELD)


def test_wide_records_that_share_records_are_read_in_time() -> None:
    """Thirty levels of two fields of the level below: a thousand million values, of no bytes."""
    levels = [
        EMPTY_RECORD,
        *(record(f"L{i}" if i else "Empty", f"L{i}" if i else "Empty", name=f"L{i + 1}") for i in range(30)),
    ]
    refusal = refusal_of(b"\x00\x00\x00\x00\x01", record(*levels, name="Wide"))
    assert refusal.reason is DeadLetterReason.MISSING_FIELD


def test_a_long_name_of_a_field_is_cut_in_the_message() -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "n" * 200_000, "type": "string"}]}
    detail = refusal_of(b"\x00\x00\x00\x00\x01\x01", schema).detail
    assert detail == "n" * LONGEST_DETAIL + "..."


def test_a_byte_that_becomes_many_objects_is_refused() -> None:
    """A megabyte would become forty million objects."""
    items = {"type": "array", "items": records_nested(40)}
    assert (
        "a record of more than 100000 objects and lists"
        in refusal_of(b"\x00\x00\x00\x00\x01" + long(1_000_000) + bytes(1_000_001), record(items)).detail
    )


def test_many_dropped_items_are_skipped_in_time() -> None:
    items = {"type": "array", "items": {"type": "fixed", "name": "F", "size": 1_000_000}}
    for block in (long(900_000) + bytes(900_000), long(2**62) + bytes(9), long(-(2**62)) + bytes(9)):
        refusal = refusal_of(b"\x00\x00\x00\x00\x01" + block, record(items))
        assert refusal.reason is MALFORMED


@pytest.mark.parametrize(
    "type_", ["string", "bytes", "double", "boolean", "int", {"type": "fixed", "name": "F", "size": 2}]
)
def test_a_last_field_that_ends_one_byte_early_is_malformed(type_: object) -> None:
    whole = {"string": text("ab"), "bytes": text("ab"), "double": bytes(8), "boolean": b"\x01", "int": long(64)}
    value = b"\x00\x00\x00\x00\x01" + (whole[type_] if isinstance(type_, str) else b"ab")
    assert refusal_of(value, record(type_)).reason is DeadLetterReason.MISSING_FIELD
    assert refusal_of(value[:-1], record(type_)).reason is MALFORMED
