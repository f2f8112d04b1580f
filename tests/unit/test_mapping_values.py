"""Mappings: paths in web addresses, lists of ids, text that is no JSON, names with a `$`, names of attributes."""

import json
from typing import Any

import pytest

from leadscore.errors import ConfigError, DeadLetter
from leadscore.events.event import Event
from leadscore.mapping.decoding import MappedTopics
from leadscore.mapping.load import mappings_in
from leadscore.mapping.topics import compile_mappings
from leadscore.mapping.values import url_path

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
