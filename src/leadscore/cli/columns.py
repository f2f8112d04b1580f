"""Text for people: aligned columns, bars, lengths of time. Values in, text out."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000
_UNITS = ((DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "min"), (SECOND_MS, "s"))


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """The rows as lines with their columns below each other; ``right`` are the columns of numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_cells(row, widths, right)).rstrip() for row in rows]


def bar(share: float, cells: int, *, unicode: bool) -> str:
    """A bar of at most so many cells; at least one where there is anything at all."""
    share = min(abs(share), 1.0)
    return ("█" if unicode else "#") * (max(1, round(share * cells)) if share > 0 else 0)


def length_of_time(length_ms: int) -> str:
    """``3 d``, ``5 h``, ``12 min``, ``40 s``: the largest unit of which there are two, for people."""
    for unit_ms, name in _UNITS:
        if length_ms >= 2 * unit_ms:
            return f"{length_ms // unit_ms} {name}"
    return f"{length_ms // SECOND_MS} s"


def minute(instant_ms: int) -> str:
    """``2026-01-05 10:00``, UTC."""
    return datetime.fromtimestamp(instant_ms // 1_000, UTC).strftime("%Y-%m-%d %H:%M")


def _cells(row: Sequence[str], widths: Sequence[int], right: Collection[int]) -> list[str]:
    return [
        text.rjust(width) if column in right else text.ljust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
