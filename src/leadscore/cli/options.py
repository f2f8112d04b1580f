"""How the text of options is read that several commands have; argparse makes a message and exit 2 of what is raised."""

import argparse

from leadscore.events.validation import FieldProblem, event_of, instant_ms
from leadscore.ops.setting_types import read_duration_ms


def instant(text: str) -> int:
    """UTC milliseconds of ISO 8601 with an offset, or of whole milliseconds."""
    value: object = int(text) if text.lstrip("-").isdecimal() and text.isascii() else text
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
        return read_duration_ms(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a duration such as 90s, 5m, 12h or 14d") from None


def number_from_0(text: str) -> int:
    """A whole number of 0 or more."""
    return _whole_number(text, 0)


def number_from_1(text: str) -> int:
    """A whole number of 1 or more."""
    return _whole_number(text, 1)


def _whole_number(text: str, at_least: int) -> int:
    if not (text.isascii() and text.isdecimal() and at_least <= int(text[:19]) and len(text) < 19):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of {at_least} or more")
    return int(text)
