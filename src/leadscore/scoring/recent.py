"""The recent events of a lead: rows in one ``bytes``, kept in order (design 1.9). Pure.

A row is 15 bytes, one per event: time (6, big-endian), hash of the event id (8), index into the lead's ``awarded``
(1). The first 14 bytes are the event's ``at``: comparing them as bytes compares (time, hash), so the rows are sorted,
equal times are decided by the hash, and looking an event up is one search in C. Nothing is unpacked on the hot path.

Rows are stored without the leading bytes of the time that all of them share: two within 49 days, which is usual.
"""

from collections.abc import Container, Iterator
from typing import Final

ROW: Final = 15
AT: Final = 14
HASH_START: Final = 6
MAX_AWARDED: Final = 256
_EPOCH: Final = 1 << 46
"""Added to times, so that those before 1970 sort too; six bytes reach some 2,000 years either way."""

_BYTE: Final = [bytes((number,)) for number in range(MAX_AWARDED)]


def at_of(time_ms: int, event_hash: bytes) -> bytes:
    """Time and hash as one sortable value."""
    return (time_ms + _EPOCH).to_bytes(6, "big") + event_hash


def time_of(at: bytes) -> int:
    """The time (ms) of a row or an ``at``."""
    return int.from_bytes(at[:6], "big") - _EPOCH


def find(rows: bytes, event_hash: bytes) -> int:
    """Where the event's row starts; -1 if it is not there."""
    start = rows.find(event_hash, 6)
    while start >= 0:
        if start % ROW == 6:
            return start - 6
        start = rows.find(event_hash, start + 1)
    return -1


def inserted(rows: bytes, at: bytes, number: int) -> bytes:
    """The rows with one event more; ``number`` is its index into the lead's ``awarded``."""
    new = at + _BYTE[number]
    if rows[-ROW:-1] < at:
        return rows + new
    before, after = 0, len(rows) // ROW
    while before < after:
        middle = (before + after) // 2
        if rows[middle * ROW : middle * ROW + AT] < at:
            before = middle + 1
        else:
            after = middle
    place = before * ROW
    return rows[:place] + new + rows[place:]


def removed(rows: bytes, start: int) -> bytes:
    """The rows without the one that starts there."""
    return rows[:start] + rows[start + ROW :]


def rows_of(rows: bytes, numbers: Container[int]) -> list[bytes]:
    """The rows that point to one of these numbers of ``awarded``, in order."""
    return [rows[i - AT : i + 1] for i in range(AT, len(rows), ROW) if rows[i] in numbers]


def every_row(rows: bytes) -> Iterator[bytes]:
    """All rows, in order."""
    return (rows[i : i + ROW] for i in range(0, len(rows), ROW))


def packed(rows: bytes) -> bytes:
    """The rows as they are stored: leading bytes of the time that all of them share stand once, in front."""
    # The rows are in order: what the first and the last share, all share.
    shared = 2 if rows[:2] == rows[-ROW : 2 - ROW] else 1 if rows[:1] == rows[-ROW : 1 - ROW] else 0
    if not shared or not rows:
        return b"\0" + rows
    short = bytearray(rows)
    for width in range(ROW, ROW - shared, -1):
        del short[::width]
    return _BYTE[shared] + rows[:shared] + short


def unpacked(stored: bytes) -> bytes:
    """The rows out of what ``packed`` made of them."""
    shared = stored[0]
    if not shared:
        return stored[1:]
    start, width = stored[1 : 1 + shared], ROW - shared
    short = stored[1 + shared :]
    return start + start.join([short[i : i + width] for i in range(0, len(short), width)])
