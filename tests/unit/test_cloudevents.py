"""CloudEvents by their presets: data that is no object costs the data, not the event."""

import json
from collections import Counter
from typing import Any

import pytest

from leadscore.errors import DeadLetter
from leadscore.events.event import Event
from leadscore.events.registered import Headers
from leadscore.mapping.decoding import Beside, MappedTopics
from leadscore.mapping.load import preset
from leadscore.mapping.topics import compile_mappings

Json = dict[str, Any]  # what JSON holds

AT_S = 1_767_607_200
AT = "2026-01-05T10:00:00Z"
IN_BASE64 = {"data_base64": "eyJwYXRoIjogIi8ifQ=="}
"""An object with a path."""
STRUCTURED: Json = {
    "specversion": "1.0",
    "id": "1",
    "source": "/web",
    "subject": "lead-1",
    "time": AT,
    "type": "website.page_view",
}

BINARY: Headers = [
    ("ce_id", b"1"),
    ("ce_source", b"/web"),
    ("ce_subject", b"lead-1"),
    ("ce_type", b"website.page_view"),
    ("ce_time", AT.encode()),
]


def mapped_and_counted(name: str, value: bytes | None, headers: Headers) -> tuple[list[Event], Json]:
    left_out = Counter[str]()
    compiled = compile_mappings({"topic": preset(name)}, None, leave_out=lambda kind: left_out.update([kind]))
    return MappedTopics(compiled).events("topic", value, Beside(None, headers, AT_S * 1000)), dict(left_out)


@pytest.mark.parametrize(
    "data", [b"[1, 2]", b'"text"', b"plain text", b"7", b"true", b"\x89PNG\r\n", b"<a/>", b"\xc3\x01"]
)
def test_a_cloudevent_in_headers_counts_whatever_its_data_is(data: bytes) -> None:
    (event,), left_out = mapped_and_counted("cloudevents-binary", data, BINARY)
    assert (event.type, event.lead_id, event.event_id, event.occurred_at_ms) == (
        "website.page_view",
        "lead-1",
        "/web 1",
        AT_S * 1000,
    )
    assert (event.fields, left_out) == ({}, {"data": 1})


@pytest.mark.parametrize("missing", ["ce_id", "ce_subject", "ce_type"])
@pytest.mark.parametrize(
    ("data", "problem"), [(b"[1, 2]", "the record: expected an object"), (b"text", "expected Con")]
)
def test_headers_that_lack_something_do_not_suffice(missing: str, data: bytes, problem: str) -> None:
    with pytest.raises(DeadLetter, match=problem):
        mapped_and_counted("cloudevents-binary", data, [header for header in BINARY if header[0] != missing])


@pytest.mark.parametrize("data", [b'{"path": ', b"\x00\x00\x00\x00\x07text"])
def test_data_that_should_be_an_object_is_a_dead_letter_if_it_is_broken(data: bytes) -> None:
    with pytest.raises(DeadLetter):
        mapped_and_counted("cloudevents-binary", data, BINARY)


@pytest.mark.parametrize(
    ("data", "left_out"),
    [
        ({"data": [1, 2]}, {"lift": 1}),
        ({"data": "text"}, {"lift": 1}),
        ({"data": 7}, {"lift": 1}),
        ({"data": None}, {}),
        ({"data_base64": "iVBORw0KGgo="}, {"json": 1}),
        ({"data_base64": "WzEsIDJd"}, {"lift": 1}),
        (IN_BASE64, {}),
    ],
)
def test_a_cloudevent_of_one_object_counts_whatever_its_data_is(data: Json, left_out: Json) -> None:
    (event,), counted = mapped_and_counted(
        "cloudevents",
        json.dumps({**STRUCTURED, **data}).encode(),
        [],
    )
    assert (event.type, event.lead_id, event.event_id) == ("website.page_view", "lead-1", "/web 1")
    assert {"data", "data_base64"}.isdisjoint(event.fields)
    assert event.fields.get("path") == ("/" if data == IN_BASE64 else None)
    assert counted == left_out
