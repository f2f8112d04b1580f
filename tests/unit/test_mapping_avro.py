"""Avro records on mapped topics: times by their logical types, and nulls that mean what they mean in JSON."""

import io
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import fastavro
import pytest
from fastavro.schema import parse_schema

from leadscore.cli.mapped_records import Records, mapped_records
from leadscore.errors import DeadLetter
from leadscore.events.event import Event
from leadscore.mapping.decoding import MappedTopics
from leadscore.mapping.load import mappings_in
from leadscore.mapping.topics import compile_mappings

Json = Any  # schemas and records of any shape
MAPPING = "shop: {event_id: id, lead_id: id, type: shop.order, occurred_at: "
INSTANT = datetime(2026, 1, 5, 10, 0, 0, 123_456, tzinfo=UTC)
INSTANT_MS = 1_767_607_200_123
DAY_MS = 1_767_571_200_000


def events(mapping: str, value: bytes, schema: Json = None) -> list[Event]:
    topics = MappedTopics(
        compile_mappings(mappings_in(mapping, "m.yaml"), None), lambda _: {"schema": json.dumps(schema)}
    )
    return topics.events("shop", value)


def by_avro(mapping: str, schema: Json, record: Json) -> list[Event]:
    target = io.BytesIO(b"\x00\x00\x00\x00\x01")
    target.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(target, parse_schema(schema), record)
    return events(mapping, target.getvalue(), schema)


def record(name: str, **fields: Json) -> Json:
    return {"type": "record", "name": name, "fields": [{"name": key, "type": type_} for key, type_ in fields.items()]}


# Times

LOCAL = {"local-timestamp-millis", "local-timestamp-micros", "local-timestamp-nanos", "date"}
LOGICAL: dict[str, tuple[Json, int]] = {
    "timestamp-millis": (INSTANT, INSTANT_MS),
    "timestamp-micros": (INSTANT, INSTANT_MS),
    "timestamp-nanos": (INSTANT_MS * 10**6 + 456_789, INSTANT_MS),
    "local-timestamp-millis": (INSTANT.replace(tzinfo=None), INSTANT_MS),
    "local-timestamp-micros": (INSTANT.replace(tzinfo=None), INSTANT_MS),
    "local-timestamp-nanos": (INSTANT_MS * 10**6 + 456_789, INSTANT_MS),
    "date": (date(2026, 1, 5), DAY_MS),
}
UNITS = ["", ", occurred_at_unit: us"]

Place = tuple[str, Any, Any]
"""A path, the schema's fields around a time, and the record around it."""

PLACES: dict[str, Place] = {
    "on top": ("at", lambda at: {"at": at}, lambda at: {"at": at}),
    "in an object": ("in.at", lambda at: {"in": record("In", at=["null", at])}, lambda at: {"in": {"at": at}}),
    "in a map": ("in.at", lambda at: {"in": {"type": "map", "values": at}}, lambda at: {"in": {"at": at}}),
    "in a list": ("'in[0]'", lambda at: {"in": {"type": "array", "items": at}}, lambda at: {"in": [at]}),
    "in a list of objects": (
        "'in[-1].at'",
        lambda at: {"in": {"type": "array", "items": ["null", record("In", at=at)]}},
        lambda at: {"in": [None, {"at": at}]},
    ),
    "in a list of events": (
        "at, each: batch",
        lambda at: {"batch": {"type": "array", "items": record("One", id="string", at=["string", at])}},
        lambda at: {"batch": [{"id": "e1", "at": at}]},
    ),
    "beside a list of events": (
        "$record.sent.at, each: in.batch",
        lambda at: {
            "sent": record("Sent", at=at),
            "in": record("In", batch={"type": "array", "items": record("One", id="string")}),
        },
        lambda at: {"sent": {"at": at}, "in": {"batch": [{"id": "e1"}]}},
    ),
}


def logical_schema(logical: str) -> Json:
    return {"type": "int" if logical == "date" else "long", "logicalType": logical}


def times(logical: str, place: Place, more: str) -> list[int]:
    path, fields_of, record_of = place
    value, _ = LOGICAL[logical]
    schema = record("Order", id="string", **fields_of(logical_schema(logical)))
    made = by_avro(f"{MAPPING}{path}{more}}}", schema, {"id": "L1", **record_of(value)})
    return [event.occurred_at_ms for event in made]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("logical", LOGICAL)
def test_a_logical_type_says_its_unit_wherever_it_is(logical: str, place: str, unit: str) -> None:
    expected = LOGICAL[logical][1]
    assert times(logical, PLACES[place], f"{unit}, time_zone: UTC") == [expected]
    if logical in LOCAL:
        assert times(logical, PLACES[place], f'{unit}, time_zone: "+01:00"') == [expected - 3_600_000]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("logical", sorted(LOCAL))
def test_a_time_without_a_zone_needs_the_mappings(logical: str, place: str) -> None:
    with pytest.raises(DeadLetter, match=r"expected a time with an offset, or time_zone in the mapping: UTC"):
        times(logical, PLACES[place], "")


def test_a_logical_type_that_does_not_fit_its_type_says_nothing() -> None:
    for kind, logical in (("int", "timestamp-micros"), ("long", "date"), ("int", "local-timestamp-millis")):
        schema = record("Order", id="string", at={"type": kind, "logicalType": logical})
        (event,) = by_avro(f"{MAPPING}at, occurred_at_unit: s}}", schema, {"id": "L1", "at": 1_767_607_200})
        assert event.occurred_at_ms == 1_767_607_200_000


def test_a_number_that_may_be_of_several_logical_types_is_refused() -> None:
    schema = record("Order", id="string", at=[logical_schema("date"), logical_schema("timestamp-millis"), "double"])
    with pytest.raises(DeadLetter, match="at: expected numbers of one logical type; by the schema they may be of sev"):
        by_avro(f"{MAPPING}at, time_zone: UTC}}", schema, {"id": "L1", "at": date(2026, 1, 5)})
    (event,) = by_avro(f"{MAPPING}at}}", schema, {"id": "L1", "at": 1_767_607_200.0})
    assert event.occurred_at_ms == 1_767_607_200_000


def test_nanoseconds_are_whole_numbers_to_the_last_digit() -> None:
    """A float has none of the last two digits."""
    for text in ("1767607200123000000", "1767607200122999999"):
        value = f'{{"id": "L1", "number": {text}, "text": "{text}"}}'.encode()
        for path in ("number", "text"):
            (event,) = events(f"{MAPPING}{path}}}", value)
            assert event.occurred_at_ms == int(text) // 10**6


# Files

UNION: dict[str, list[Json]] = {
    "Cart": [record("Other", a="string"), record("CartPart", a="string")],
    "Order": ["Other", record("OrderPart", a="string")],
}

# Nulls

OPTIONAL = ["null", "string"]
ANSWER = record("Answer", question="string", answer=OPTIONAL)
PERSON = record("Person", role=OPTIONAL, city=["string", "int", "null"])
PROFILE = record(
    "Profile",
    id="string",
    ts="long",
    role=OPTIONAL,
    person=["null", PERSON],
    traits={"type": "map", "values": ["null", "string", "long"]},
    answers={"type": "array", "items": ["null", "Answer"]},
    first=ANSWER,
)
PROFILE["fields"].insert(0, PROFILE["fields"].pop())  # the type is named after it is defined
WHOLE: Json = {
    "first": {"question": "a", "answer": "b"},
    "id": "e1",
    "ts": 1_767_607_200,
    "role": "ceo",
    "person": {"role": "cto", "city": "Ulm"},
    "traits": {"size": 250, "plan": "pro"},
    "answers": [{"question": "budget", "answer": "high"}],
}
CHANGES: dict[str, Json] = {
    "nothing": {},
    "a null on top": {"role": None},
    "a null in an object": {"person": {"role": None, "city": None}},
    "no object": {"person": None},
    "a null in a map": {"traits": {"size": None}},
    "nothing in a map": {"traits": {}},
    "a null in a list": {"answers": [None, {"question": "budget", "answer": None}]},
    "nothing in a list": {"answers": []},
}
ATTRIBUTES = [
    "person",
    "traits",
    "{named: {role: role, other: nowhere}}",
    "{named: {role: [role, person.role], city: person.city, size: traits.size}}",
    "{named: {first: 'answers[0].answer', second: 'answers[1].answer'}}",
    "{pairs: {of: answers, name: question, value: answer}}",
    "{members: person, named: {role: role}}",
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("attributes", ATTRIBUTES)
def test_a_null_means_the_same_in_avro_and_json(attributes: str, change: str) -> None:
    mapping = f"shop: {{event_id: id, lead_id: id, type: profile.updated, occurred_at: ts, attributes: {attributes}}}"
    whole = WHOLE | CHANGES[change]
    assert by_avro(mapping, PROFILE, whole) == events(mapping, json.dumps(whole).encode())


def test_a_null_removes_an_attribute_and_what_is_not_there_says_nothing() -> None:
    mapping = f"shop: {{event_id: id, lead_id: id, type: a.b, occurred_at: ts, attributes: {ATTRIBUTES[3]}}}"
    (event,) = by_avro(mapping, PROFILE, WHOLE | {"role": None, "person": {"role": None, "city": None}, "traits": {}})
    assert event.attributes == {"role": None, "city": None}


def test_a_null_in_the_events_of_a_list_means_the_same() -> None:
    mapping = "shop: {each: batch, event_id: id, lead_id: id, type: a.b, occurred_at: $record.ts, attributes: "
    one = record("One", id="string", role=OPTIONAL, in_=["null", record("In", city=OPTIONAL)])
    schema = record("Batch", ts="long", batch={"type": "array", "items": one})
    value: Json = {"ts": 1_767_607_200, "batch": [{"id": "1", "role": None, "in_": None}]}
    value["batch"].append({"id": "2", "role": "ceo", "in_": {"city": None}})
    for attributes in ("{named: {role: role, city: in_.city}}}", "in_}"):
        assert by_avro(mapping + attributes, schema, value) == events(mapping + attributes, json.dumps(value).encode())


def test_records_of_several_types_in_a_file_keep_their_types(tmp_path: Path) -> None:
    """By its fields alone a record of one could be one of the other."""
    both = [record(name, id="string", ts="long", part=["null", *parts]) for name, parts in UNION.items()]
    one, two = ({"id": name, "ts": 1_767_607_200, "part": (f"{name}Part", {"a": "x"})} for name in UNION)
    with (tmp_path / "records.avro").open("wb") as file:
        fastavro.writer(file, parse_schema(both), [("Cart", one), ("Order", two)])
    (tmp_path / "mapping.yaml").write_text(
        "shop: {event_id: id, lead_id: id, type_field: $schema, type_prefix: shop., occurred_at: ts}"
    )
    records = mapped_records(str(tmp_path / "mapping.yaml"), Records(str(tmp_path / "records.avro"), None))
    made = [event for mapped in records for event in mapped.events]
    assert [(event.lead_id, event.type, event.fields) for event in made] == [
        ("Cart", "shop.cart", {"part.a": "x"}),
        ("Order", "shop.order", {"part.a": "x"}),
    ]
