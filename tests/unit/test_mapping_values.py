"""Mappings: paths in web addresses, lists of ids, text that is no JSON, names with a `$`, names of attributes."""

import json
from functools import partial
from typing import Any

import pytest

from leadscore.errors import ConfigError, DeadLetter
from leadscore.events.event import Event
from leadscore.events.times import EARLIEST_MS, TimeLimits
from leadscore.mapping.decoding import Beside, MappedTopics
from leadscore.mapping.load import mappings_in
from leadscore.mapping.topics import compile_mappings
from leadscore.mapping.values import url_path
from tests.garbage import batches_left_by

Json = dict[str, Any]  # what JSON holds

PLAIN = "lead_id: id, event_id: id, occurred_at: at"
AT = "2026-01-05T10:00:00Z"


def mapped(mapping: str, record: object) -> list[Event]:
    mappings = compile_mappings(mappings_in(f"t: {{{mapping}}}", "m"), None)
    return MappedTopics(mappings).events("t", json.dumps(record).encode())


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("https://shop.example/pricing?a=b#c", "/pricing"),
        ("https://shop.example", "/"),
        ("https://shop.example?a=b", "/"),
        (" //shop.example/a/b ", "/a/b"),
        ("/pricing?a=b", "/pricing"),
        ("https://[half of an address/x", "/x"),
    ],
)
def test_the_path_in_a_web_address(address: str, path: str) -> None:
    assert url_path(address) == path
    (event,) = mapped(f"{PLAIN}, type: a.b, fields: {{path: {{url_path: [href, url]}}}}", shop(url=address))
    assert event.fields.get("path") == path


@pytest.mark.parametrize("address", [None, "", 7, ["https://shop.example/"]])
def test_what_is_no_text_has_no_path(address: object) -> None:
    (event,) = mapped(f"{PLAIN}, type: a.b, fields: {{path: {{url_path: url}}}}", shop(url=address))
    assert "path" not in event.fields


def shop(**more: object) -> Json:
    return {"id": "1", "at": AT, **more}


def test_each_of_a_list_of_ids_is_an_event() -> None:
    mapping = "each: leads, lead_id: value, event_id: $record.id, occurred_at: $record.at, type: a.b"
    events = mapped(mapping, shop(leads=["L1", 2]))
    assert [(event.lead_id, event.fields) for event in events] == [("L1", {}), ("2", {})]


@pytest.mark.parametrize("part", [None, True, 1.5, ["L1"]])
def test_what_is_neither_an_object_nor_an_id_is_named(part: object) -> None:
    mapping = "each: leads, lead_id: value, event_id: $record.id, occurred_at: $record.at, type: a.b"
    with pytest.raises(DeadLetter, match="event 1 of the record: the event: expected an object, text or a whole"):
        mapped(mapping, shop(leads=["L1", part]))


def test_text_that_is_no_json_may_be_skipped_but_not_for_what_it_would_have_said() -> None:
    mapping = f"{PLAIN}, type: a.b, json: [data], skip: [{{kind: hello}}, {{data.id: {{exists: false}}, $lead_id: x}}]"
    assert mapped(mapping, {"kind": "hello", "data": "welcome"}) == []
    with pytest.raises(DeadLetter, match="data: expected text that is JSON"):
        mapped(mapping, {"id": "x", "data": "half {"})
    assert batches_left_by(lambda: mapped(mapping, {"kind": "hello", "data": "welcome"})) == []


def test_a_name_with_a_dollar_is_another_than_the_one_without() -> None:
    mapping = (
        f"{PLAIN}, type_field: event, types: {{$Set: profile.updated, page: website.page_view}}, type_prefix: track."
    )
    types = [mapped(mapping, shop(event=name))[0].type for name in ("$set", "set", "$page", "Page")]
    assert types == ["profile.updated", "track.set", "track.page", "website.page_view"]


def test_attributes_of_the_record_have_the_names_of_the_model() -> None:
    attributes = (
        "{members: traits, pairs: {name: k, value: v}, names: {title: role, size: company_size}, numbers: true}"
    )
    mapping = f"{PLAIN}, type: a.b, attributes: {attributes}, deleted: {{gone: true}}, on_delete: remove_attributes"
    record = shop(traits={"title": "cto", "city": None}, k="size", v="250")
    (event,) = mapped(mapping, record)
    assert event.attributes == {"role": "cto", "city": None, "company_size": 250}
    (event,) = mapped(mapping, {**record, "gone": True})
    assert event.attributes == {"role": None, "city": None, "company_size": None}


def test_names_of_attributes_need_something_that_has_them() -> None:
    with pytest.raises(ConfigError, match=r"t\.attributes\.names: expected members or pairs beside it"):
        mappings_in(f"t: {{{PLAIN}, type: a.b, attributes: {{named: {{role: title}}, names: {{title: role}}}}}}", "m")


NOON_UTC = 1_767_614_400_000


@pytest.mark.parametrize("zone", ["UTC", "+01:00"])
@pytest.mark.parametrize(
    "text",
    [
        "Mon Jan 05 2026 12:00:00 GMT+0200 (Central European Summer Time)",
        "Mon Jan 05 2026 12:00:00 GMT-0200",
        "Mon, 05 Jan 2026 12:00:00 CET",
        "Mon Jan 5 12:00:00 CET 2026",
        "Jan 5 2026 12:00 PM",
        "Jan 5, 2026 01:00:00 AM",
    ],
)
def test_a_zone_or_pm_that_is_not_understood_is_not_taken_for_the_zone_of_the_mapping(text: str, zone: str) -> None:
    mapping = f'{PLAIN}, type: a.b, time_zone: "{zone}"'
    with pytest.raises(DeadLetter, match=r"^invalid_field: at: expected ISO 8601"):
        mapped(mapping, {"id": "1", "at": text})


@pytest.mark.parametrize(
    ("text", "hours_later"),
    [
        ("Mon, 05 Jan 2026 12:00:00", -1),
        ("Mon Jan 05 12:00:00 2026", -1),
        ("Mon, 05 Jan 2026 12:00:00 -0000", 0),
        ("Mon, 05 Jan 2026 12:00:00 GMT", 0),
        ("Mon, 05 Jan 2026 12:00:00 -0200", 2),
    ],
)
def test_the_zone_of_a_time_as_mails_have_it(text: str, hours_later: int) -> None:
    (event,) = mapped(f'{PLAIN}, type: a.b, time_zone: "+01:00"', {"id": "1", "at": text})
    assert event.occurred_at_ms == NOON_UTC + hours_later * 3_600_000


HASHED = "lead_id: {keyed_hash: [email, mail]}, event_id: id, occurred_at: at, type: a.b"


@pytest.mark.parametrize("text", ["n/a", "unknown", "(not set)", " ", "jane"])
def test_text_that_is_no_address_makes_no_lead_of_all_who_have_it(text: str) -> None:
    with pytest.raises(DeadLetter, match=r"^missing_field: email or mail: expected an email address$"):
        hashed(HASHED, shop(email=text))
    either = (
        HASHED.replace("[email, mail]}", "email}").replace("lead_id: {", "lead_id: [{").replace("},", "}, user],", 1)
    )
    with pytest.raises(DeadLetter, match=r": expected an email address, or an opaque id of the lead$"):
        hashed(either, shop(email=text))
    assert hashed(either, shop(email=text, user="u-1")) == "u-1"
    assert hashed(HASHED, shop(email=text, mail="jane@shop.example")) == hashed(HASHED, shop(mail="JANE@shop.example"))


def hashed(mapping: str, record: object) -> str:
    mappings = compile_mappings(mappings_in(f"t: {{{mapping}}}", "m"), "a secret of at least sixteen characters")
    (event,) = MappedTopics(mappings).events("t", json.dumps(record).encode())
    return event.lead_id


@pytest.mark.parametrize(
    ("record", "attributes"),
    [
        ({"first": "Jane", "last": "Doe"}, {"name": "Jane Doe"}),
        ({"first": "Jane"}, None),
        ({"first": "Jane", "last": None}, {"name": None}),
        ({"first": "Jane", "last": ""}, {"name": None}),
        ({}, None),
    ],
)
def test_a_joined_attribute_is_removed_by_a_null_not_by_a_part_that_is_not_there(
    record: Json, attributes: Json | None
) -> None:
    mapping = f"{PLAIN}, type: a.b, attributes: {{named: {{name: {{join: [first, last], separator: ' '}}}}}}"
    (event,) = mapped(mapping, shop(**record))
    assert event.attributes == attributes


@pytest.mark.parametrize(
    ("value", "there"),
    [([1], "a list"), ({"a": 1}, "an object"), (True, "true or false"), (1.5, "a number with a fraction")],
)
@pytest.mark.parametrize("place", ["user.id", "no", "kind"])
def test_a_message_says_what_kind_of_value_is_there(place: str, value: object, there: str) -> None:
    mapping = "lead_id: user.id, event_id: no, occurred_at: at, type_field: kind"
    record = {"user": {"id": "L"}, "no": 1, "at": AT, "kind": "a.b"}
    record |= {"user": {"id": value}} if place == "user.id" else {place: value}
    with pytest.raises(DeadLetter, match=rf"^invalid_field: {place}: expected .*; there is {there}$"):
        mapped(mapping, record)


def test_a_message_about_a_time_has_the_mappings_path() -> None:
    mapping = "lead_id: id, event_id: id, occurred_at: [seen.at, at], type: a.b"
    with pytest.raises(DeadLetter, match=r"^invalid_field: seen.at: expected .*; there is a list$"):
        mapped(mapping, shop(seen={"at": [2026, 1, 5]}))
    with pytest.raises(DeadLetter, match=r"^invalid_field: seen.at or at: expected .* from 1900 to 2200$"):
        mapped(mapping, {"id": "1", "at": 20_260_105_100_000})


def test_a_tombstone_without_a_time_is_named_so() -> None:
    text = "t: {lead_id: $key, event_id: id, occurred_at: at, type: a.b, on_delete: erase}"
    topics = MappedTopics(compile_mappings(mappings_in(text, "m"), None))
    with pytest.raises(DeadLetter, match=r"^missing_field: \$timestamp: expected a Kafka timestamp"):
        topics.events("t", None, Beside(b"L"))


@pytest.mark.parametrize("blank", [" ", "\t", "\u00a0\u3000", " \n "])
@pytest.mark.parametrize("place", ["id", "user.id"])
def test_blanks_are_no_value_for_an_id(blank: str, place: str) -> None:
    record = shop(id=blank, user={"id": blank}, anonymous="a-1", number=7)
    mapping = f"lead_id: [{place}, anonymous], event_id: [{place}, number], occurred_at: [{place}, at], type: a.b"
    (event,) = mapped(mapping, record)
    assert (event.lead_id, event.event_id) == ("a-1", "7")
    for other in (", anonymous]", ", number]"):
        with pytest.raises(DeadLetter, match=rf"^missing_field: {place}: expected an"):
            mapped(mapping.replace(f"[{place}{other}", place), record)


def test_a_join_of_blanks_is_no_id_and_a_blank_attribute_is_removed() -> None:
    mapping = "lead_id: number, event_id: [{join: [a, b]}, number], occurred_at: at, type: a.b"
    (event,) = mapped(f"{mapping}, attributes: {{named: {{role: a}}}}", shop(a=" ", b="x", number=7))
    assert (event.event_id, event.attributes) == ("7", {"role": None})


@pytest.mark.parametrize("path", ["at", "seen.at"])
def test_a_time_that_no_event_may_have_is_named_with_its_element(path: str) -> None:
    limits = TimeLimits(EARLIEST_MS, 300_000, NOON_UTC)
    mapping = (
        f"t: {{each: $record, lead_id: id, event_id: id, occurred_at: {path}, type: a.b, skip: [{{id: x}}], "
        "deleted: {id: gone}, on_delete: erase}"
    )
    topics = MappedTopics(compile_mappings(mappings_in(mapping, "m"), None))

    def events(*elements: tuple[str, str]) -> list[Event]:
        records = [{"id": name, "at": time, "seen": {"at": time}} for name, time in elements]
        return topics.events(
            "t", json.dumps(records).encode(), check_time=partial(limits.check, kafka_time_ms=NOON_UTC)
        )

    assert len(events(("x", "1971-01-01T00:00:00Z"), ("a", AT))) == 1
    with pytest.raises(DeadLetter, match=rf"^too_early: event 1 of the record: {path} is before 2000-01-01"):
        events(("x", AT), ("a", "1971-01-01T00:00:00Z"))
    with pytest.raises(DeadLetter, match=rf"^future: event 2 of the record: {path} is \d+ ms ahead of the Kafka"):
        events(("x", AT), ("a", AT), ("gone", "2026-01-06T10:00:00Z"))


@pytest.mark.parametrize(
    "text",
    [
        "Jane <jane@shop.example>",
        '"Doe, Jane (j@x.example)" < Jane@Shop.example >',
        "<jane@shop.example>",
        "mailto:jane@shop.example",
        "MAILTO:jane@shop.example?subject=hello@you",
        "Jane <mailto:jane@shop.example>",
    ],
)
def test_what_is_around_an_address_makes_no_other_lead(text: str) -> None:
    assert hashed(HASHED, shop(email=text)) == hashed(HASHED, shop(email="jane@shop.example"))


@pytest.mark.parametrize("text", ["j@x <>", "j@x < >", "mailto:", "mailto:?to=j@x", "<Jane>", ">"])
def test_text_around_no_address_is_none(text: str) -> None:
    with pytest.raises(DeadLetter, match=r"^missing_field: email or mail: expected an email address$"):
        hashed(HASHED, shop(email=text))
