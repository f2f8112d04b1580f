"""Text for people: aligned columns, bars, lengths of time. Values in, text out."""

import shutil
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from leadscore.time_units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

GAP = "  "
COLUMNS_OF_NO_TERMINAL = 120
"""How wide text is that goes to a file or a pipe, where the variable COLUMNS says nothing else."""
_UNITS = ((DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "min"), (SECOND_MS, "s"))


def output_columns() -> int:
    """How wide the output may be."""
    return shutil.get_terminal_size((COLUMNS_OF_NO_TERMINAL, 24)).columns


def width_of(rows: Sequence[Sequence[str]]) -> int:
    """The width of the rows once they are aligned."""
    widths = _widths(rows)
    return sum(widths) + len(GAP) * (len(widths) - 1)


def fitting(rows: Sequence[Sequence[str]], columns: int, expendable: Sequence[int]) -> list[int]:
    """Which columns to show so that the rows fit, or come near it: the expendable ones go first, in that order."""
    kept = list(range(len(rows[0])))
    for column in expendable:
        if width_of(chosen(rows, kept)) <= columns:
            break
        kept.remove(column)
    return kept


def chosen(rows: Sequence[Sequence[str]], columns: Sequence[int]) -> list[tuple[str, ...]]:
    """The rows with these columns alone."""
    return [tuple(row[column] for column in columns) for row in rows]


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """The rows as lines with their columns below each other; ``right`` are the columns of numbers."""
    widths = _widths(rows)
    return [GAP.join(_cells(row, widths, right)).rstrip() for row in rows]


def bar(share: float, cells: int, *, unicode: bool) -> str:
    """A bar of at most ``cells`` cells; at least one where there is anything at all. A negative one looks different."""
    cell = ("█" if unicode else "#") if share > 0 else ("░" if unicode else "-")
    share = min(abs(share), 1.0)
    return cell * (max(1, round(share * cells)) if share > 0 else 0)


def length_of_time(length_ms: int) -> str:
    """``3 d``, ``5 h``, ``12 min``, ``40 s``: the largest unit of which there are two, for people."""
    for unit_ms, name in _UNITS:
        if length_ms >= 2 * unit_ms:
            return f"{length_ms // unit_ms} {name}"
    return f"{length_ms // SECOND_MS} s"


def minute(instant_ms: int) -> str:
    """``2026-01-05 10:00``, UTC."""
    return datetime.fromtimestamp(instant_ms // 1_000, UTC).strftime("%Y-%m-%d %H:%M")


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _cells(row: Sequence[str], widths: Sequence[int], right: Collection[int]) -> list[str]:
    return [
        text.rjust(width) if column in right else text.ljust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
