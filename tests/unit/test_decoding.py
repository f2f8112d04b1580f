"""Bytes to events: the three formats, what becomes of the fields, and schemas that change."""

import io
import json
from typing import Any

import fastavro
import pytest
from fastavro.schema import parse_schema

from leadscore.errors import Unavailable
from leadscore.events.decoder import Decoder
from leadscore.events.encoding import encode_confluent, encode_single_object
from leadscore.events.event import Event
from leadscore.events.local_schemas import schema_texts
from leadscore.events.registered import SchemaKey
from leadscore.events.validation import MAX_ELEMENTS

Json = dict[str, Any]  # what JSON holds

PAGE_VIEW: Json = {"event_id": "e1", "lead_id": "L1", "occurred_at": 1_767_607_200_000, "type": "PAGE_VIEW"}
ENVELOPE: Json = {**PAGE_VIEW, "type": "website.page_view"}


def decode(value: bytes) -> Event:
    return Decoder().decode("topic", value)


def decode_json(record: Json) -> Event:
    return decode(json.dumps(record).encode())


def fields_of(**fields: object) -> Json:
    return dict(decode_json({**ENVELOPE, **fields}).fields)


def website(**fields: object) -> bytes:
    return encode_single_object("website_event", {**PAGE_VIEW, **fields})


def registered(schema: Json, record: Json) -> Event:
    """The event in a record written with a schema of a registry."""
    target = io.BytesIO(b"\x00\x00\x00\x00\x07")
    target.seek(5)
    fastavro.schemaless_writer(target, parse_schema(schema), record)
    return Decoder(lookup=lambda _id: {"schema": json.dumps(schema)}).decode("topic", target.getvalue())


def a_record(*fields: Json, name: str = "acme.Visit") -> Json:
    """A foreign schema: the envelope in plain types, and these fields."""
    strings = [{"name": field, "type": "string"} for field in ("event_id", "lead_id", "type")]
    instant = {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-millis"}}
    return {"type": "record", "name": name, "fields": [*strings, instant, *fields]}


# Formats


def test_the_first_line_of_the_design_is_an_event() -> None:
    line = (
        b'{"type": "website.page_view", "event_id": "e1", "lead_id": "L1", "occurred_at": "2026-01-05T10:00:00Z", '
        b'"path": "/pricing/eu", "campaign": "spring"}'
    )
    fields: Json = {"path": "/pricing/eu", "campaign": "spring"}
    assert decode(line) == Event("website.page_view", "e1", "L1", 1_767_607_200_000, fields)


def test_a_removed_attribute_is_a_null() -> None:
    assert decode_json({**ENVELOPE, "attributes": {"role": None}}).attributes == {"role": None}
    assert decode(website(attributes={"role": None})).attributes == {"role": None}


def test_the_same_event_is_the_same_in_all_formats() -> None:
    more: Json = {
        "path": "/x",
        "pages": 3,
        "attributes": {"size": 250, "budget": 1.5, "customer": True, "city": "Köln"},
    }
    lookup: Json = {"schema": schema_texts()["website_event"], "schemaType": "AVRO"}
    confluent = encode_confluent(9, "website_event", {**PAGE_VIEW, **more})
    expected = decode_json({**ENVELOPE, **more})
    assert decode(website(**more)) == expected
    assert Decoder(lookup=lambda _id: lookup).decode("topic", confluent) == expected
    assert expected.fields == {"path": "/x", "pages": 3}
    assert expected.attributes == more["attributes"]


def test_white_space_may_stand_before_json() -> None:
    assert decode(b" \r\n\t" + json.dumps(ENVELOPE).encode()) == decode_json(ENVELOPE)


def test_confluent_framed_json_is_read_when_its_schema_is_json() -> None:
    decoder = Decoder(lookup=lambda _id: {"schema": "{}", "schemaType": "JSON"})
    assert decoder.decode("topic", b"\x00\x00\x00\x00\x01" + json.dumps(ENVELOPE).encode()) == decode_json(ENVELOPE)


def test_the_registry_is_asked_once_per_schema() -> None:
    asked: list[SchemaKey] = []

    def lookup(schema_id: SchemaKey) -> Json:
        asked.append(schema_id)
        return {"schema": schema_texts()["website_event"]}

    decoder = Decoder(lookup=lookup)
    for schema_id in (1, 2, 1, 2):
        decoder.decode("topic", encode_confluent(schema_id, "website_event", PAGE_VIEW))
    assert asked == [1, 2]


def test_an_outage_of_the_registry_is_no_dead_letter_and_passes() -> None:
    answers: list[Json] = []

    def lookup(_id: SchemaKey) -> Json:
        if not answers:
            raise Unavailable("schema_registry", "timeout", "no answer")
        return answers[0]

    decoder = Decoder(lookup=lookup)
    value = encode_confluent(1, "website_event", PAGE_VIEW)
    with pytest.raises(Unavailable):
        decoder.decode("topic", value)
    answers.append({"schema": schema_texts()["website_event"]})
    assert decoder.decode("topic", value).event_id == "e1"


# Types


def test_an_enum_symbol_becomes_the_type_of_the_model() -> None:
    assert decode(website(type="FORM_SUBMITTED")).type == "website.form_submitted"
    mail = encode_single_object("email_event", {**PAGE_VIEW, "type": "CLICK"})
    assert decode(mail).type == "email.click"
    seen = encode_single_object("webinar_event", {**PAGE_VIEW, "type": "WATCHED_ON_DEMAND"})
    assert decode(seen).type == "webinar.watched_on_demand"
    profile = encode_single_object("lead_profile", {**PAGE_VIEW, "type": "UPDATED"})
    assert decode(profile).type == "profile.updated"


def test_a_symbol_newer_than_our_schema_is_unknown() -> None:
    newer = json.loads(schema_texts()["website_event"].replace('"CHAT_STARTED"', '"CHAT_STARTED", "DEMO_BOOKED"'))
    assert registered(newer, {**PAGE_VIEW, "type": "DEMO_BOOKED"}).type == "website.unknown"
    assert registered(newer, {**PAGE_VIEW, "type": "DOWNLOAD"}).type == "website.download"


def test_symbols_count_by_name_not_by_place() -> None:
    other = json.loads(schema_texts()["website_event"])
    (field,) = (field for field in other["fields"] if field["name"] == "type")
    field["type"]["symbols"].reverse()
    assert registered(other, PAGE_VIEW).type == "website.page_view"


def test_fields_an_older_writer_does_not_have_are_absent() -> None:
    older = json.loads(schema_texts()["website_event"])
    older["fields"] = older["fields"][:4]
    assert registered(older, PAGE_VIEW) == Event("website.page_view", "e1", "L1", 1_767_607_200_000, {})


def test_an_enum_of_a_foreign_record_is_itself() -> None:
    enum = {"type": "enum", "name": "Kind", "symbols": ["PAGE_VIEW"]}
    schema = a_record(name="acme.WebsiteEvent")
    schema["fields"][2]["type"] = enum
    assert registered(schema, PAGE_VIEW).type == "PAGE_VIEW"


# Fields


def test_objects_become_dotted_names() -> None:
    assert fields_of(context={"page": {"path": "/x"}, "n": 1}) == {"context.page.path": "/x", "context.n": 1}


def test_objects_are_followed_five_levels_deep() -> None:
    assert fields_of(a={"b": {"c": {"d": {"e": 1, "f": {"g": 2}}}}}) == {"a.b.c.d.e": 1}


def test_lists_of_scalars_are_kept_and_lists_of_objects_dropped() -> None:
    assert fields_of(a=[1, "x", None, {"d": 1}], b={"c": [{"d": 1}], "e": 2}) == {"a": (1, "x"), "b.e": 2}


def test_of_a_long_list_the_first_elements_count() -> None:
    assert fields_of(a=list(range(1_000)))["a"] == tuple(range(MAX_ELEMENTS))


def test_a_null_field_is_absent() -> None:
    assert fields_of(a=None, b={"c": None}) == {}


def test_true_is_not_one() -> None:
    assert [type(value) for value in fields_of(a=True, b=1, c=1.0).values()] == [bool, int, float]


def test_received_at_is_no_field() -> None:
    assert fields_of(received_at="2026-01-05T10:00:00Z") == {}


def test_the_map_of_fields_stands_beside_the_named_fields_which_win() -> None:
    event = decode(website(path="/named", fields={"path": "/entry", "language": "de"}))
    assert event.fields == {"path": "/named", "language": "de"}


def test_nested_attributes_become_dotted_names() -> None:
    event = decode_json({**ENVELOPE, "attributes": {"company": {"size": 250, "name": None}, "tags": ["a"]}})
    assert event.attributes == {"company.size": 250, "company.name": None, "tags": ("a",)}


@pytest.mark.parametrize("none", [None, {}])
def test_no_attributes_are_no_change(none: object) -> None:
    assert decode_json({**ENVELOPE, "attributes": none}).attributes is None


def test_null_in_a_foreign_record_of_attributes_says_nothing() -> None:
    nullable = {"name": "role", "type": ["null", "string"], "default": None}
    size = {"name": "size", "type": "int"}
    record = {"type": "record", "name": "Traits", "fields": [nullable, size]}
    event = registered(
        a_record({"name": "attributes", "type": record}), {**ENVELOPE, "attributes": {"role": None, "size": 3}}
    )
    assert event.attributes == {"size": 3}


def test_bytes_and_local_times_of_a_foreign_record_are_dropped() -> None:
    schema = a_record(
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "raw", "type": "bytes"},
        {"name": "digest", "type": {"type": "fixed", "name": "Digest", "size": 4}},
        {"name": "local", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
        {"name": "last", "type": "string"},
    )
    more = {"tags": ["a", "b"], "raw": b"123", "digest": b"1234", "local": 5, "last": "x"}
    assert registered(schema, {**ENVELOPE, **more}).fields == {"tags": ("a", "b"), "last": "x"}


@pytest.mark.parametrize("last", [None, {}])
def test_a_value_may_end_with_a_union_whose_branches_take_no_bytes(last: Json | None) -> None:
    nothing = {"type": "record", "name": "Nothing", "fields": []}
    schema = a_record({"name": "last", "type": ["null", nothing]})
    assert registered(schema, {**ENVELOPE, "last": last}).fields == {}


def test_a_logical_type_that_does_not_fit_its_type_is_ignored() -> None:
    schema = a_record({"name": "local", "type": {"type": "string", "logicalType": "local-timestamp-millis"}})
    assert registered(schema, {**ENVELOPE, "local": "noon"}).fields == {"local": "noon"}


@pytest.mark.parametrize(("logical", "factor"), [("millis", 1), ("micros", 1_000), ("nanos", 1_000_000)])
def test_instants_of_any_resolution_become_milliseconds(logical: str, factor: int) -> None:
    instant_schema = {"type": "long", "logicalType": f"timestamp-{logical}"}
    schema = a_record()
    schema["fields"][3]["type"] = "long"
    schema["fields"].append({"name": "seen", "type": "long"})
    instants = {"occurred_at": 1_767_607_200_123 * factor, "seen": -1 * factor}
    written = json.loads(json.dumps(schema))
    for place in (3, 4):
        schema["fields"][place]["type"] = instant_schema
    target = io.BytesIO()
    fastavro.schemaless_writer(target, parse_schema(written), {**ENVELOPE, **instants})
    decoder = Decoder(lookup=lambda _id: {"schema": json.dumps(schema)})
    event = decoder.decode("topic", b"\x00\x00\x00\x00\x07" + target.getvalue())
    assert (event.occurred_at_ms, event.fields["seen"]) == (1_767_607_200_123, -1)


@pytest.mark.parametrize("number", [0, -1, 1, 63, 64, -64, -65, 2**31 - 1, -(2**31), 2**56, 2**62, 2**63 - 1, -(2**63)])
def test_a_long_of_any_size_is_read(number: int) -> None:
    assert registered(a_record({"name": "n", "type": "long"}), {**ENVELOPE, "n": number}).fields == {"n": number}


@pytest.mark.parametrize("symbols", [1, 63, 64, 65, 200])
def test_an_enum_of_any_size_is_read(symbols: int) -> None:
    enum = {"type": "enum", "name": "E", "symbols": [f"S{i}" for i in range(symbols)]}
    last = f"S{symbols - 1}"
    assert registered(a_record({"name": "e", "type": enum}), {**ENVELOPE, "e": last}).fields == {"e": last}


def test_a_map_in_several_blocks_with_and_without_sizes_is_read() -> None:
    without_map = encode_single_object("lead_profile", {**PAGE_VIEW, "type": "UPDATED", "attributes": {}})[:-1]
    a, b, c = (bytes([2, ord(key), 4, 2 * number]) for number, key in enumerate("abc"))
    one, one_of_4_bytes, two_of_8_bytes = b"\x02", b"\x01\x08", b"\x03\x10"
    assert decode(without_map + one + a + one + b + b"\x00").attributes == {"a": 0, "b": 1}
    assert decode(without_map + one_of_4_bytes + a + one + b + b"\x00").attributes == {"a": 0, "b": 1}
    assert decode(without_map + one + a + two_of_8_bytes + b + c + b"\x00").attributes == {"a": 0, "b": 1, "c": 2}
