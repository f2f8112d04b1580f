"""Whole numbers, durations and instants as people write them, in files, variables and options: one reader each. Pure.

A reader raises ``ValueError`` where the text is not one; which values are allowed where is said there.
"""

import re
from datetime import UTC, datetime, timedelta

from leadscore.time_units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

_UNIT_MS = {"ms": 1, "s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}
MOST_DIGITS = 18
_WHOLE_NUMBER = re.compile(rf"[0-9]{{1,{MOST_DIGITS}}}")
_DURATION = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def whole_number(text: str) -> int:
    """A number of decimal digits alone: no sign, no ``1_000``, no digits of other scripts."""
    if _WHOLE_NUMBER.fullmatch(text) is None:
        raise ValueError(f"{text}: expected a whole number")
    return int(text)


def duration_ms(text: str) -> int:
    """The milliseconds of ``250ms``, ``90s``, ``5m``, ``12h``, ``14d`` or ``0``."""
    if text == "0":
        return 0
    parts = _DURATION.fullmatch(text)
    if parts is None:
        raise ValueError(f"{text}: expected a whole number with ms, s, m, h or d, such as 90s or 14d")
    return int(parts[1]) * _UNIT_MS[parts[2]]


def instant_ms(text: str) -> int:
    """UTC milliseconds of ISO 8601 with an offset or ``Z``; fractions of a millisecond are cut."""
    try:
        return instant_ms_of(datetime.fromisoformat(text))
    except (TypeError, OverflowError) as error:  # TypeError: an instant without an offset
        raise ValueError(f"{text}: expected an instant with an offset, such as 2026-01-05T10:00:00Z") from error


def instant_ms_of(instant: datetime) -> int:
    """UTC milliseconds of an instant with an offset; fractions of a millisecond are cut."""
    return (instant - _EPOCH) // _MILLISECOND
