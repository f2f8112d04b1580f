"""Bytes to events: the three formats, what becomes of the fields, and schemas that change."""

import io
import json
from typing import Any

import fastavro
import pytest
from fastavro.schema import parse_schema

from leadscore.errors import DeadLetter, DeadLetterReason, Unavailable
from leadscore.events.decoder import Decoder
from leadscore.events.encoding import encode_confluent, encode_single_object
from leadscore.events.event import Event
from leadscore.events.local_schemas import schema_texts

Json = dict[str, Any]  # what JSON holds

PAGE_VIEW: Json = {"event_id": "e1", "lead_id": "L1", "occurred_at": 1_767_607_200_000, "type": "PAGE_VIEW"}
ENVELOPE: Json = {**PAGE_VIEW, "type": "website.page_view"}


def decode(value: bytes) -> Event:
    return Decoder().decode("topic", value)


def decode_json(record: Json) -> Event:
    return decode(json.dumps(record).encode())


def fields_of(**fields: object) -> Json:
    return dict(decode_json({**ENVELOPE, **fields}).fields)


def refusal_of(record: Json) -> tuple[DeadLetterReason, str]:
    with pytest.raises(DeadLetter) as caught:
        decode_json(record)
    return caught.value.reason, caught.value.detail


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
    fields = {"path": "/pricing/eu", "campaign": "spring"}
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
    lookup = {"schema": schema_texts()["website_event"], "schemaType": "AVRO"}
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
    asked: list[int] = []

    def lookup(schema_id: int) -> Json:
        asked.append(schema_id)
        return {"schema": schema_texts()["website_event"]}

    decoder = Decoder(lookup=lookup)
    for schema_id in (1, 2, 1, 2):
        decoder.decode("topic", encode_confluent(schema_id, "website_event", PAGE_VIEW))
    assert asked == [1, 2]


def test_an_outage_of_the_registry_is_no_dead_letter_and_passes() -> None:
    answers: list[Json] = []

    def lookup(_id: int) -> Json:
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


def test_arrays_are_dropped() -> None:
    assert fields_of(a=[1, 2], b={"c": [{"d": 1}], "e": 2}) == {"b.e": 2}


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
    assert event.attributes == {"company.size": 250, "company.name": None}


@pytest.mark.parametrize("none", [None, {}])
def test_no_attributes_are_none(none: object) -> None:
    assert decode_json({**ENVELOPE, "attributes": none}).attributes is None


def test_null_in_a_foreign_record_of_attributes_says_nothing() -> None:
    nullable = {"name": "role", "type": ["null", "string"], "default": None}
    size = {"name": "size", "type": "int"}
    record = {"type": "record", "name": "Traits", "fields": [nullable, size]}
    event = registered(
        a_record({"name": "attributes", "type": record}), {**ENVELOPE, "attributes": {"role": None, "size": 3}}
    )
    assert event.attributes == {"size": 3}


def test_arrays_bytes_and_local_times_of_a_foreign_record_are_dropped() -> None:
    schema = a_record(
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "raw", "type": "bytes"},
        {"name": "digest", "type": {"type": "fixed", "name": "Digest", "size": 4}},
        {"name": "local", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
        {"name": "last", "type": "string"},
    )
    more = {"tags": ["a", "b"], "raw": b"123", "digest": b"1234", "local": 5, "last": "x"}
    assert registered(schema, {**ENVELOPE, **more}).fields == {"last": "x"}


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


# Identities and times


@pytest.mark.parametrize("field", ["event_id", "lead_id"])
def test_an_integer_id_in_json_becomes_text(field: str) -> None:
    assert getattr(decode_json({**ENVELOPE, field: 42}), field) == "42"


@pytest.mark.parametrize("field", ["event_id", "lead_id"])
@pytest.mark.parametrize("wrong", ["", "x" * 257, "a\x1fb", "a\x00", "a\u0085", True, 1.5, ["a"], {"a": 1}])
def test_an_id_is_short_text_without_control_characters(field: str, wrong: object) -> None:
    reason, detail = refusal_of({**ENVELOPE, field: wrong})
    assert reason is DeadLetterReason.INVALID_FIELD
    assert detail.startswith(f"{field}: wanted text of 1 to 256 characters")


@pytest.mark.parametrize("good", ["x" * 256, "Zoë", "日本", "a b", "a\u200bb"])
def test_an_id_may_be_any_other_text(good: str) -> None:
    event = decode_json({**ENVELOPE, "event_id": good, "lead_id": good})
    assert (event.event_id, event.lead_id) == (good, good)


def test_a_lead_is_never_an_email_address() -> None:
    reason, detail = refusal_of({**ENVELOPE, "lead_id": "jane@example.com"})
    assert reason is DeadLetterReason.INVALID_FIELD
    assert "jane" not in detail


@pytest.mark.parametrize("field", ["event_id", "lead_id", "occurred_at", "type"])
def test_a_missing_field_is_named(field: str) -> None:
    reason, detail = refusal_of({name: value for name, value in ENVELOPE.items() if name != field})
    assert reason is DeadLetterReason.MISSING_FIELD
    assert detail.startswith(f"{field}: wanted ")


@pytest.mark.parametrize("wrong", ["", "x" * 129, 7, "a\nb"])
def test_a_type_is_short_text(wrong: object) -> None:
    assert refusal_of({**ENVELOPE, "type": wrong})[0] is DeadLetterReason.INVALID_FIELD


@pytest.mark.parametrize(
    ("written", "instant_ms"),
    [
        (1_767_607_200_000, 1_767_607_200_000),
        ("2026-01-05T10:00:00Z", 1_767_607_200_000),
        ("2026-01-05T11:00:00+01:00", 1_767_607_200_000),
        ("2026-01-05 10:00:00.123456+00:00", 1_767_607_200_123),
        ("2026-01-05T10:00:00.1239999Z", 1_767_607_200_123),
        ("1969-12-31T23:59:59.9995Z", -1),
        ("1900-01-01T00:00:00Z", -2_208_988_800_000),
        ("2199-12-31T23:59:59.999Z", 7_258_118_399_999),
    ],
)
def test_an_instant_is_iso_8601_or_milliseconds(written: object, instant_ms: int) -> None:
    assert decode_json({**ENVELOPE, "occurred_at": written}).occurred_at_ms == instant_ms


@pytest.mark.parametrize(
    "wrong",
    [
        "2026-01-05T10:00:00",
        "2026-01-05",
        "yesterday",
        "",
        "1899-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        -2_208_988_800_001,
        7_258_118_400_000,
        2**70,
        1.5,
        True,
        [1],
    ],
)
def test_an_instant_without_offset_or_out_of_range_is_refused(wrong: object) -> None:
    reason, detail = refusal_of({**ENVELOPE, "occurred_at": wrong})
    assert reason is DeadLetterReason.INVALID_FIELD
    assert detail.startswith("occurred_at: wanted integer milliseconds or ISO 8601 with an offset")


# Campaign


def test_an_integer_campaign_becomes_text() -> None:
    assert fields_of(campaign=7) == {"campaign": "7"}


def test_an_empty_campaign_is_none() -> None:
    assert fields_of(campaign="") == {}


@pytest.mark.parametrize("wrong", ["x" * 257, "a\x1f", 1.5, True])
def test_a_campaign_is_short_text(wrong: object) -> None:
    reason, detail = refusal_of({**ENVELOPE, "campaign": wrong})
    assert reason is DeadLetterReason.INVALID_FIELD
    assert detail.startswith("campaign: ")


# Commands


def command(name: str, **arguments: object) -> Json:
    return {**ENVELOPE, "type": f"command.{name}", **arguments}


def test_a_command_is_the_same_in_avro_and_json() -> None:
    avro: Json = {**PAGE_VIEW, "type": "ADJUST", "points": 10.0, "reason": "met at the fair"}
    event = decode(encode_single_object("lead_command", avro))
    assert event == decode_json(command("adjust", points=10.0, reason="met at the fair"))
    assert event.is_command
    assert event.fields == {"points": 10.0, "reason": "met at the fair"}


@pytest.mark.parametrize("name", ["reset", "suspend", "resume", "requalify", "erase"])
def test_other_commands_need_no_arguments(name: str) -> None:
    assert decode_json(command(name)) == Event(f"command.{name}", "e1", "L1", 1_767_607_200_000, {})


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (command("adjust"), "points"),
        (command("adjust", points="10"), "points"),
        (command("adjust", points=True), "points"),
        (command("adjust", points=1_000_001), "points"),
        (command("adjust", points=-1e300), "points"),
        (command("retract"), "target"),
        (command("retract", target=""), "target"),
        (command("retract", target="x" * 257), "target"),
        (command("retract", target=["e1"]), "target"),
        (command("dance"), "type"),
        (command(""), "type"),
        (command("reset", attributes={"role": "ceo"}), "attributes"),
    ],
)
def test_a_wrong_command_is_refused_by_the_name_of_the_argument(wrong: Json, field: str) -> None:
    reason, detail = refusal_of(wrong)
    assert reason is DeadLetterReason.INVALID_COMMAND
    assert detail.startswith(f"{field}: wanted ")


def test_an_integer_target_becomes_text_as_event_ids_do() -> None:
    assert decode_json(command("retract", target=42)).fields == {"target": "42"}


def test_an_unknown_command_in_avro_is_refused() -> None:
    with pytest.raises(DeadLetter) as caught:
        decode(encode_single_object("lead_command", {**PAGE_VIEW, "type": "UNKNOWN"}))
    assert caught.value.reason is DeadLetterReason.INVALID_COMMAND
