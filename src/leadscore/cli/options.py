"""How the text of options is read that several commands have; argparse makes a message and exit 2 of what is raised."""

import argparse
from collections.abc import Callable

from leadscore import readers
from leadscore.events.validation import FieldProblem, event_of, instant_ms

MOST = 10**18
"""More than any number of things."""
_SMALLEST_MS = 10**11
"""A smaller number of milliseconds is before March 1973: it is seconds, or a year."""


def instant(text: str) -> int:
    """UTC milliseconds of ISO 8601 with an offset, or of whole milliseconds."""
    value: object = int(text) if text.lstrip("-").isdecimal() and text.isascii() else text
    if isinstance(value, int) and abs(value) < _SMALLEST_MS:
        raise argparse.ArgumentTypeError(
            f"{text!r}: is it in seconds? Expected milliseconds since 1970, or ISO 8601 with an offset, such as "
            "2026-01-05T10:00:00Z"
        )
    try:
        return instant_ms(value, "time")
    except FieldProblem as problem:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected {problem.expected}, such as 2026-01-05T10:00:00Z"
        ) from None


def lead_id(text: str) -> str:
    """The id of a lead, as events may have it."""
    try:
        return event_of({"type": "any", "event_id": "any", "lead_id": text, "occurred_at": 0}, {}).lead_id
    except FieldProblem as problem:
        raise argparse.ArgumentTypeError(f"{text!r}: expected {problem.expected}") from None


def duration(text: str) -> int:
    """Milliseconds of ``90s``, ``5m``, ``12h`` or ``14d``."""
    try:
        return readers.duration_ms(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a duration such as 90s, 5m, 12h or 14d") from None


def number(text: str) -> float:
    """Any number; what a command takes of them is checked with the command."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number") from None


def number_from_0(text: str) -> int:
    """A whole number of 0 or more."""
    return _whole_number(text, range(MOST), "of 0 or more")


def number_from_1(text: str) -> int:
    """A whole number of 1 or more."""
    return _whole_number(text, range(1, MOST), "of 1 or more")


def number_up_to(most: int) -> Callable[[str], int]:
    """What reads a whole number from 1 to ``most``."""
    return lambda text: _whole_number(text, range(1, most + 1), f"from 1 to {most}")


def _whole_number(text: str, allowed: range, bounds: str) -> int:
    try:
        number = readers.whole_number(text)
    except ValueError:
        number = -1
    if number not in allowed:
        has_too_many_digits = allowed.stop == MOST and text.isascii() and text.isdecimal() and number < 0
        expected = f"with at most {readers.MOST_DIGITS} digits" if has_too_many_digits else bounds
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number {expected}")
    return number
