"""Random bytes, damaged events and any JSON: an event or a dead letter; nothing else ever comes out."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from leadscore.errors import DeadLetter
from leadscore.events.decoder import Decoder
from leadscore.events.encoding import encode_single_object
from leadscore.events.event import Event
from leadscore.events.local_schemas import schema_texts, single_object_header

Json = Any  # schemas and data of any shape

CHARACTERS = st.characters(exclude_categories=["Cs"])
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=8), st.text(CHARACTERS, min_size=60, max_size=70)
)  # lengths of 1, 2 bytes

WEBSITE = encode_single_object(
    "website_event",
    {
        "event_id": "e1",
        "lead_id": "L1",
        "occurred_at": 1_767_607_200_000,
        "type": "FORM_SUBMITTED",
        "form": "whitepaper",
        "pages": 300,
        "fields": {"language": "de"},
        "attributes": {"role": "ceo", "size": 250, "budget": 1.5, "customer": True, "city": None},
    },
)
DECODER = Decoder(lookup=lambda _id: {"schema": schema_texts()["website_event"]})
STARTS = [b"", b"{", b"\x00\x00\x00\x00\x01", *(single_object_header(name) for name in sorted(schema_texts()))]


def event_or_dead_letter(value: bytes) -> Event | DeadLetter:
    """Any other error fails the test."""
    try:
        return DECODER.decode("topic", value)
    except DeadLetter as refusal:
        return refusal


@given(st.sampled_from(STARTS), st.binary(max_size=200))
def test_random_bytes_are_an_event_or_a_dead_letter(start: bytes, rest: bytes) -> None:
    event_or_dead_letter(start + rest)


@given(st.lists(st.tuples(st.integers(0, len(WEBSITE) - 1), st.integers(0, 255)), max_size=4), st.integers(0, 5))
def test_a_damaged_event_is_an_event_or_a_dead_letter(damage: list[tuple[int, int]], cut: int) -> None:
    value = bytearray(WEBSITE)
    for place, byte in damage:
        value[place] = byte
    event_or_dead_letter(bytes(value[: len(value) - cut]))


JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=10,
)
NAMES = st.one_of(
    st.sampled_from(["type", "event_id", "lead_id", "occurred_at", "attributes", "campaign", "received_at"]), TEXTS
)


@given(st.dictionaries(NAMES, JSON_VALUES, max_size=10), st.booleans())
def test_any_json_object_is_an_event_or_a_dead_letter(fields: dict[str, Json], is_whole: bool) -> None:
    envelope = {"type": "a.b", "event_id": "e", "lead_id": "L", "occurred_at": 1} if is_whole else {}
    outcome = event_or_dead_letter(json.dumps({**fields, **envelope}).encode())
    if isinstance(outcome, Event):
        values = [*outcome.fields.values(), *(outcome.attributes or {}).values()]
        assert {type(value) for value in values} <= {str, int, float, bool, tuple, type(None)}
        assert None not in outcome.fields.values()
        assert type(outcome.fields.get("campaign", "")) is str
