"""Durations of the model file: text to numbers."""

import re

from leadscore.readers import duration_ms
from leadscore.time_units import DAY_MS

MAX_DAYS = 36_525
"""A hundred years: longer durations are mistakes, and would leave the calendar."""

_DURATION = re.compile(r"[0-9]{1,10}[smhd]")


def milliseconds(text: str) -> int:
    """The length of ``90s``, ``5m``, ``12h`` or ``14d`` in milliseconds; ``ValueError`` for anything else."""
    if _DURATION.fullmatch(text) is None:
        raise ValueError(f"{text}: expected a whole number with s, m, h or d, such as 90s or 14d")
    length_ms = duration_ms(text)
    if length_ms > MAX_DAYS * DAY_MS:
        raise ValueError(f"{text}: expected at most {MAX_DAYS}d")
    return length_ms


def days(text: str) -> int:
    """The length of ``14d`` in days; ``ValueError`` for anything else."""
    if not text.endswith("d"):
        raise ValueError(f"{text}: expected a whole number of days, such as 14d")
    return milliseconds(text) // DAY_MS


def in_words(text: str) -> str:
    """``14 days``, ``1 hour``."""
    number, unit = int(text[:-1]), {"s": "second", "m": "minute", "h": "hour", "d": "day"}[text[-1]]
    return f"{number} {unit}" + ("" if number == 1 else "s")
