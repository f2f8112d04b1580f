"""Mappings: fields have the form that the mapping asks for, whichever the system sends."""

import json
from collections import Counter
from typing import Any

import pytest

from leadscore.errors import ConfigError, DeadLetter
from leadscore.events.event import Event
from leadscore.mapping.decoding import Beside, MappedTopics
from leadscore.mapping.load import mappings_in
from leadscore.mapping.topics import compile_mappings

Json = dict[str, Any]  # what JSON holds

PLAIN = "lead_id: id, event_id: id, occurred_at: at, type: a.b"
AT = "2026-01-05T10:00:00Z"


def mapped(mapping: str, value: object, left_out: Counter[str] | None = None) -> list[Event]:
    counted = Counter[str]() if left_out is None else left_out
    mappings = compile_mappings(
        mappings_in(f"t: {{{mapping}}}", "m"), "a secret of sixteen", leave_out=lambda kind: counted.update([kind])
    )
    return MappedTopics(mappings).events("t", value if isinstance(value, bytes) else json.dumps(value).encode())


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        ("text", 6_962_400_003, "6962400003"),
        ("text", "6962400003", "6962400003"),
        ("text", 6_962_400_003.0, "6962400003"),
        ("text", 0.5, "0.5"),
        ("text", True, "true"),
        ("number", "12.50", 12.5),
        ("number", " 7 ", 7),
        ("number", "-1.0E7", -10_000_000.0),
        ("number", 7, 7),
        ("number", 0.5, 0.5),
        ("boolean", "true", True),
        ("boolean", "FALSE", False),
        ("boolean", False, False),
        ("boolean", "1", True),
        ("boolean", 0, False),
    ],
)
def test_a_field_has_the_form_that_the_mapping_asks_for(form: str, value: object, expected: object) -> None:
    left_out = Counter[str]()
    (event,) = mapped(f"{PLAIN}, fields: {{f: {{path: v, as: {form}}}}}", {"id": 1, "at": AT, "v": value}, left_out)
    assert (event.fields["f"], type(event.fields["f"])) == (expected, type(expected))
    assert not left_out


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("text", ["a"]),
        ("text", {"a": 1}),
        ("number", "12,50"),
        ("number", "n/a"),
        ("number", True),
        ("number", [1]),
        ("number", "1e999"),
        ("boolean", "yes"),
        ("boolean", 2),
        ("boolean", {}),
    ],
)
@pytest.mark.parametrize("name", ["f", "v"])
def test_what_cannot_be_read_so_is_left_out_and_counted(name: str, form: str, value: object) -> None:
    left_out = Counter[str]()
    mapping = f"{PLAIN}, lift: [properties], fields: {{{name}: {{path: properties.v, as: {form}}}}}"
    (event,) = mapped(mapping, {"id": 1, "at": AT, "properties": {"v": value}}, left_out)
    assert name not in event.fields
    assert left_out == {form: 1}


def test_what_is_not_there_is_not_counted_and_an_alternative_may_be() -> None:
    left_out = Counter[str]()
    mapping = f"{PLAIN}, fields: {{f: [{{path: v, as: number}}, {{constant: 3}}]}}"
    for absent in ({}, {"v": None}, {"v": ""}):
        (event,) = mapped(mapping, {"id": 1, "at": AT, **absent}, left_out)
        assert event.fields["f"] == 3
    assert not left_out


def test_the_form_of_other_values() -> None:
    mapping = (
        f"{PLAIN}, campaign: {{path: c, as: text}}, fields: {{f: {{join: [a, b], as: number, separator: .}}}}, "
        "attributes: {named: {size: {path: s, as: number}, active: {path: x, as: boolean}}}"
    )
    (event,) = mapped(mapping, {"id": 1, "at": AT, "c": 1.0, "a": 1, "b": "5", "s": "250", "x": "maybe"})
    assert (event.fields["campaign"], event.fields["f"], event.attributes) == ("1", 1.5, {"size": 250})
    (event,) = mapped(mapping, {"id": 1, "at": AT, "s": None, "x": "true"})
    assert event.attributes == {"size": None, "active": True}


def test_flags_among_attributes_that_are_text() -> None:
    attributes = {"a": "true", "b": "False", "c": "yes", "d": "1", "e": None}
    (event,) = mapped(f"{PLAIN}, attributes: {{members: m, booleans: true}}", {"id": 1, "at": AT, "m": attributes})
    assert event.attributes == {"a": True, "b": False, "c": "yes", "d": "1", "e": None}


def test_a_form_needs_a_value_and_is_one_of_three() -> None:
    with pytest.raises(ConfigError, match=r"t\.fields\.f: expected exactly one of path, join, constant"):
        mappings_in(f"t: {{{PLAIN}, fields: {{f: {{as: number}}}}}}", "m")
    with pytest.raises(ConfigError, match=r"t\.fields\.f\.as"):
        mappings_in(f"t: {{{PLAIN}, fields: {{f: {{path: v, as: float}}}}}}", "m")


# Numbers that are too large for anything


RECORD = b'{"id": 1, "at": "2026-01-05T10:00:00Z", "a": %s, "b": 7}'


@pytest.mark.parametrize("value", [b"1e999", b"-1e999", b"[1e999]", b'{"x": 1e999}', b"9" * 400, b"[%s]" % (b"9" * 30)])
def test_a_number_that_is_too_large_is_left_out_and_counted(value: bytes) -> None:
    left_out = Counter[str]()
    (event,) = mapped(PLAIN, RECORD % value, left_out)
    assert (event.fields, left_out) == ({"b": 7}, {"number": 1})


def test_such_a_number_may_be_in_text_that_is_json_or_in_a_key() -> None:
    (event,) = mapped(f"{PLAIN}, json: [a]", RECORD % b'"{\\"x\\": 1e999, \\"y\\": 2}"')
    assert event.fields == {"a.y": 2, "b": 7}
    mappings = compile_mappings(mappings_in(f"t: {{{PLAIN.replace('lead_id: id', 'lead_id: $key.id')}}}", "m"), None)
    (event,) = MappedTopics(mappings).events("t", RECORD % b"1", Beside(b'{"id": "k", "x": 1e999}'))
    assert event.lead_id == "k"


@pytest.mark.parametrize("mapping", ["lead_id: a", "event_id: {join: [b, a]}", "occurred_at: a"])
def test_such_a_number_is_no_id_and_no_time(mapping: str) -> None:
    key = mapping.partition(":")[0]
    plain = ", ".join(part for part in PLAIN.split(", ") if not part.startswith(f"{key}:"))
    with pytest.raises(DeadLetter):
        mapped(f"{plain}, {mapping}", RECORD % b"1e999")


# Values of some records alone


def test_a_value_of_some_records_alone() -> None:
    mapping = (
        "lead_id: id, event_id: id, occurred_at: at, type: a.b, "
        "fields: {f: [{path: a, as: number, when: {kind: x}}, b]}, "
        "attributes: {named: {r: {path: s, when: {kind: x, n: {at_least: 2}}}}}"
    )
    plain = {"id": 1, "at": AT, "a": "5", "b": "6", "s": "cto", "n": 2}
    (event,) = mapped(mapping, {**plain, "kind": "x"})
    assert (event.fields["f"], event.attributes) == (5, {"r": "cto"})
    for other in ({"kind": "y"}, {}, {"kind": "y", "s": None}):
        (event,) = mapped(mapping, {**plain, **other})
        assert (event.fields.get("f"), event.attributes) == ("6", None)


@pytest.mark.parametrize("test", ["{$type: x}", "{'a..b': x}", "{a: {}}", "{a: {matches: '('}}"])
def test_tests_of_a_value_that_make_no_sense_are_refused(test: str) -> None:
    with pytest.raises(ConfigError, match=r"t\.fields\.f\.when"):
        mappings_in(f"t: {{{PLAIN}, fields: {{f: {{path: v, when: {test}}}}}}}", "m")
