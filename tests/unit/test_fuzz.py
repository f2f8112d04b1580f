"""The first thousands of the inputs of ``make fuzz``, and that it tells what it should."""

import pytest

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.event import Event
from tests import fuzz
from tests.random_records import CANARY

INPUTS = 6_000


@pytest.mark.parametrize("part", range(4))
def test_damaged_and_random_records_are_events_or_one_dead_letter(part: int) -> None:
    outcomes = {fuzz.one_input(number) for number in range(part, INPUTS, 4)}
    assert {"events", "ignored", "missing_field", "invalid_field", "malformed", "unknown_schema"} <= outcomes


def test_the_same_number_makes_the_same_input() -> None:
    assert [fuzz.one_input(number) for number in range(50)] == [fuzz.one_input(number) for number in range(50)]


def test_a_value_in_a_message_fails() -> None:
    with pytest.raises(fuzz.Failed, match="a value in a message"):
        fuzz.check_dead_letter(DeadLetter(DeadLetterReason.MALFORMED, f"lead_id: {CANARY}"))


@pytest.mark.parametrize(
    "event",
    [
        Event("a.b", "e", "jane@example.com", 0, {}),
        Event("a.b", "", "L", 0, {}),
        Event("a.b", "e", "L", 0, {"a": None}),
        Event("a.b", "e", "L", 0, {"a": 2**63}),
        Event("a.b", "e", "L", 0, {"a": {}}),  # type: ignore[dict-item]
    ],
)
def test_an_event_that_the_log_must_not_carry_fails(event: Event) -> None:
    with pytest.raises(fuzz.Failed):
        fuzz.check_event(event)
