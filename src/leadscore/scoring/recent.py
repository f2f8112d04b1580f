"""The recent events of a lead: rows in one ``bytes``, kept in order (design 1.9). Pure.

A row is 15 bytes: time (6, big-endian), hash of the event id (8), index into the lead's grants (1). An event has a row
per rule it matched, or one row with ``NO_GRANT``. The first 14 bytes are the event's ``at``: comparing them as bytes
compares (time, hash), so the rows are sorted, equal times are decided by the hash, and looking an event up is one
search in C. Nothing is unpacked on the hot path.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator

ROW = 15
AT = 14
NO_GRANT = 255
MAX_GRANTS = 255
_EPOCH = 1 << 46
"""Added to times, so that those before 1970 sort too; six bytes reach some 2,000 years either way."""


_LAST_BYTE = [bytes((number,)) for number in range(256)]


def at_of(time_ms: int, event_hash: bytes) -> bytes:
    """Time and hash as one sortable value."""
    return (time_ms + _EPOCH).to_bytes(6, "big") + event_hash


def time_of(at: bytes) -> int:
    """The time (ms) of a row or an ``at``."""
    return int.from_bytes(at[:6], "big") - _EPOCH


def find(rows: bytes, event_hash: bytes) -> int:
    """Where the event's first row starts; -1 if it is not there."""
    found = rows.find(event_hash, 6)
    while found >= 0:
        if found % ROW == 6:
            return found - 6
        found = rows.find(event_hash, found + 1)
    return -1


def inserted(rows: bytes, at: bytes, grants: Iterable[int]) -> bytes:
    """The rows with one event more."""
    new = b""
    for grant in grants:
        new += at + _LAST_BYTE[grant]
    new = new or at + _LAST_BYTE[NO_GRANT]
    if rows[-ROW:-1] < at:
        return rows + new
    place = bisect_left(range(len(rows) // ROW), at, key=lambda i: rows[i * ROW : i * ROW + AT]) * ROW
    return rows[:place] + new + rows[place:]


def removed(rows: bytes, start: int) -> bytes:
    """The rows without the event whose first row starts there."""
    return rows[:start] + rows[end_of_event(rows, start) :]


def end_of_event(rows: bytes, start: int) -> int:
    """Where the event's last row ends."""
    at, end = rows[start : start + AT], start + ROW
    while rows[end : end + AT] == at:
        end += ROW
    return end


def rows_of(rows: bytes, grants: frozenset[int] | set[int]) -> list[bytes]:
    """The rows that point to one of the grants, in order."""
    return [rows[i - AT : i + 1] for i in range(AT, len(rows), ROW) if rows[i] in grants]


def each(rows: bytes) -> Iterator[bytes]:
    """All rows, in order."""
    return (rows[i : i + ROW] for i in range(0, len(rows), ROW))
