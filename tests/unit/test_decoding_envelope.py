"""What an event must say about itself: who, when, what, and the arguments of commands, in every format."""

import json
from typing import Any

import pytest

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.decoder import Decoder
from leadscore.events.encoding import encode_single_object
from leadscore.events.event import Event

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


# Identities and times


@pytest.mark.parametrize("field", ["event_id", "lead_id"])
def test_an_integer_id_in_json_becomes_text(field: str) -> None:
    assert getattr(decode_json({**ENVELOPE, field: 42}), field) == "42"


@pytest.mark.parametrize("field", ["event_id", "lead_id"])
@pytest.mark.parametrize(
    "wrong", ["", " ", "\u00a0\u3000", "x" * 257, "a\x1fb", "a\x00", "a\u0085", True, 1.5, ["a"], {"a": 1}]
)
def test_an_id_is_short_text_without_control_characters(field: str, wrong: object) -> None:
    reason, detail = refusal_of({**ENVELOPE, field: wrong})
    assert reason is DeadLetterReason.INVALID_FIELD
    assert detail.startswith(f"{field}: expected text of 1 to 256 characters")


@pytest.mark.parametrize("good", ["x" * 256, "Zoë", "日本", "a b", "a\u200bb"])
def test_an_id_may_be_any_other_text(good: str) -> None:
    event = decode_json({**ENVELOPE, "event_id": good, "lead_id": good})
    assert (event.event_id, event.lead_id) == (good, good)


@pytest.mark.parametrize("field", ["lead_id", "event_id"])
@pytest.mark.parametrize("address", ["jane@example.com", "<jane.17@mail.example.com>", "@", "\u00a0jane@example.com"])
def test_what_leaves_the_worker_is_no_address(field: str, address: str) -> None:
    reason, detail = refusal_of({**ENVELOPE, field: address})
    assert reason is DeadLetterReason.INVALID_FIELD
    assert detail == f"{field}: expected an opaque id, not an email address"


def test_the_target_of_a_command_is_no_address() -> None:
    reason, detail = refusal_of({**ENVELOPE, "type": "command.retract", "target": "jane@example.com"})
    assert reason is DeadLetterReason.INVALID_COMMAND
    assert detail == "target: expected the event_id to take back, an opaque id, not an email address"


def test_a_field_that_stays_inside_may_be_an_address() -> None:
    assert fields_of(email="jane@example.com") == {"email": "jane@example.com"}


@pytest.mark.parametrize("field", ["event_id", "lead_id", "occurred_at", "type"])
def test_a_missing_field_is_named(field: str) -> None:
    reason, detail = refusal_of({name: value for name, value in ENVELOPE.items() if name != field})
    assert reason is DeadLetterReason.MISSING_FIELD
    assert detail.startswith(f"{field}: expected ")


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
    assert detail.startswith("occurred_at: expected integer milliseconds or ISO 8601 with an offset")


# Campaign


def test_an_integer_campaign_becomes_text() -> None:
    assert fields_of(campaign=7) == {"campaign": "7"}


def test_an_empty_campaign_is_absent() -> None:
    assert fields_of(campaign="") == {}


@pytest.mark.parametrize("wrong", ["x" * 257, "a\x1f", 1.5, True, {"name": "spring"}, ["spring"], "a@b.example"])
def test_a_campaign_that_is_no_short_text_is_left_out_and_the_event_counts(wrong: object) -> None:
    left_out: list[str] = []
    decoder = Decoder(leave_out=left_out.append)
    event = decoder.decode("topic", json.dumps({**ENVELOPE, "campaign": wrong, "x": 1}).encode())
    assert "campaign" not in event.fields
    assert event.fields["x"] == 1
    assert left_out == ([] if isinstance(wrong, dict) else ["campaign"])


@pytest.mark.parametrize("wrong", ["none", [{"key": "x"}], 5])
def test_attributes_that_are_no_object_are_left_out_and_the_event_counts(wrong: object) -> None:
    left_out: list[str] = []
    event = Decoder(leave_out=left_out.append).decode("topic", json.dumps({**ENVELOPE, "attributes": wrong}).encode())
    assert (event.attributes, left_out) == (None, ["attributes"])


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_number_beyond_64_bits_is_left_out_and_the_event_counts(number: int) -> None:
    left_out: list[str] = []
    record = {**ENVELOPE, "big": number, "in": {"big": number}, "attributes": {"big": number, "a": 1}}
    event = Decoder(leave_out=left_out.append).decode("topic", json.dumps(record).encode())
    assert (event.fields, event.attributes, left_out) == ({}, {"a": 1}, ["number"] * 3)


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
        (command("retract", target="e1", target_type=""), "target_type"),
        (command("retract", target="e1", target_type=["email.click"]), "target_type"),
        (command("retract", target="e1", target_type="command.erase"), "target_type"),
        (command("merge"), "into"),
        (command("merge", into=""), "into"),
        (command("merge", into="me@x.org"), "into"),
        (command("merge", into=["L2"]), "into"),
        (command("dance"), "type"),
        (command(""), "type"),
        (command("reset", attributes={"role": "ceo"}), "attributes"),
    ],
)
def test_a_wrong_command_is_refused_by_the_name_of_the_argument(wrong: Json, field: str) -> None:
    reason, detail = refusal_of(wrong)
    assert reason is DeadLetterReason.INVALID_COMMAND
    assert detail.startswith(f"{field}: expected ")


def test_a_command_written_before_there_was_a_target_type_is_read() -> None:
    before: Json = {**PAGE_VIEW, "type": "RETRACT", "target": "e7"}
    event = decode(encode_single_object("lead_command.1", before))
    assert event == decode_json(command("retract", target="e7", target_type=None))
    assert event.fields == {"target": "e7"}


def test_a_merge_is_the_same_in_avro_and_json() -> None:
    merge: Json = {**PAGE_VIEW, "type": "MERGE", "into": "L2"}
    event = decode(encode_single_object("lead_command", merge))
    assert event == decode_json(command("merge", into="L2"))
    assert event.fields == {"into": "L2"}


def test_a_merge_cannot_be_retracted() -> None:
    reason, detail = refusal_of(command("retract", target="e1", target_type="command.merge"))
    assert reason is DeadLetterReason.INVALID_COMMAND
    assert detail == "target_type: expected the type of an event: a merge cannot be taken back"


def test_an_integer_target_becomes_text_as_event_ids_do() -> None:
    assert decode_json(command("retract", target=42)).fields == {"target": "42"}


def test_an_unknown_command_in_avro_is_refused() -> None:
    with pytest.raises(DeadLetter) as caught:
        decode(encode_single_object("lead_command", {**PAGE_VIEW, "type": "UNKNOWN"}))
    assert caught.value.reason is DeadLetterReason.INVALID_COMMAND


@pytest.mark.parametrize("value", ["1e999", "-1e999", "[1e999]", '{"x": 1e999}', "9" * 400, f"[{'9' * 30}]"])
def test_a_number_that_is_too_large_costs_the_field_and_not_the_event(value: str) -> None:
    left_out: list[str] = []
    record = json.dumps({**ENVELOPE, "a": "?", "b": 7}).replace('"?"', value).encode()
    event = Decoder(leave_out=left_out.append).decode("topic", record)
    assert (event.fields, left_out) == ({"b": 7}, ["number"])
