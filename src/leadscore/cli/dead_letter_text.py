"""Dead letters as text: counted, a line each, or one of them whole. Values in, text out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from leadscore.cli.columns import aligned, minute
from leadscore.cli.dead_letter_topic import StoredLetter
from leadscore.scoring.crossing import iso_instant

_LAST_MS = 253_402_300_799_999
"""The end of the year 9999, after which there is no ISO 8601 for a timestamp."""
_HEX_COLUMNS = 16
_HEADING = ("reason", "topic", "waiting", "redriven", "first", "last")


class _Kind(NamedTuple):
    reason: str
    topic: str


@dataclass(slots=True)
class _Row:
    first_ms: int
    last_ms: int
    waiting: int = 0
    redriven: int = 0


class Summary:
    """Dead letters counted by reason and topic."""

    def __init__(self) -> None:
        self._rows: dict[_Kind, _Row] = {}

    def count(self, letter: StoredLetter, *, is_redriven: bool) -> None:
        """One more."""
        kind, time_ms = _Kind(letter.account.reason, letter.position.topic), letter.timestamp_ms
        row = self._rows.setdefault(kind, _Row(time_ms, time_ms))
        row.first_ms, row.last_ms = min(row.first_ms, time_ms), max(row.last_ms, time_ms)
        row.waiting += not is_redriven
        row.redriven += is_redriven

    def lines(self) -> list[str]:
        """A table, most dead letters first."""
        if not self._rows:
            return ["no dead letters"]
        rows = sorted(self._rows.items(), key=lambda item: (-item[1].waiting - item[1].redriven, item[0]))
        cells = [
            (*kind, str(row.waiting), str(row.redriven), _minute(row.first_ms), _minute(row.last_ms))
            for kind, row in rows
        ]
        return aligned([_HEADING, *cells], right=(2, 3))


def letter_line(letter: StoredLetter, *, is_redriven: bool) -> str:
    """Where it is, when its record came, why it is a dead letter, and where from; nothing of the record."""
    position = letter.position
    came_from = f"{position.topic}/{position.partition}/{position.offset}"
    state = "redriven" if is_redriven else "waiting"
    why = f"{letter.account.reason}: {printable(letter.account.detail)}"
    return f"{letter.partition}/{letter.offset}  {_instant(letter.timestamp_ms)}  {state}  {came_from}  {why}"


def letter_object(letter: StoredLetter, *, is_redriven: bool) -> dict[str, object]:
    """The same as plain JSON values."""
    account = letter.account
    return {
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp": _instant(letter.timestamp_ms),
        "redriven": is_redriven,
        "reason": account.reason,
        "detail": account.detail,
        "source": account.position._asdict(),
        "group": account.group,
    }


def letter_whole(letter: StoredLetter) -> Iterator[str]:
    """Everything there is of it. Control characters are escaped, so that no terminal obeys them."""
    account, position = letter.account, letter.position
    topic_id = f" (topic id {position.topic_id})" if position.topic_id else ""
    rows = [
        ("reason", account.reason),
        ("detail", printable(account.detail)),
        ("from", f"{position.topic}/{position.partition}, offset {position.offset}{topic_id}"),
        ("timestamp", _instant(letter.timestamp_ms)),
        ("group", printable(account.group)),
        *(("header", f"{printable(name)}: {_short(content)}") for name, content in account.headers),
    ]
    yield from aligned(rows)
    yield from _content("key", letter.key)
    yield from _content("value", letter.value)


def printable(text: str, but: str = "") -> str:
    """The text with what is not printable escaped, but for these characters."""
    return "".join(
        char if char.isprintable() or char in but else char.encode("unicode_escape").decode() for char in text
    )


def _content(name: str, content: bytes | None) -> Iterator[str]:
    if content is None:
        yield f"no {name}"
        return
    text = _text_of(content)
    yield f"{name}, {len(content)} bytes{'' if text is not None else ', not text'}:"
    if text is None:
        yield from _hexadecimal(content)
    elif text:
        yield text


def _short(content: str | bytes | None) -> str:
    """The value of a header on one line."""
    if content is None:
        return "none"
    content = content.encode() if isinstance(content, str) else content
    text = _text_of(content)
    return content.hex(" ") if text is None else printable(text)


def _text_of(content: bytes) -> str | None:
    """The bytes as lines of printable text; ``None`` if they are something else."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    if any(char < " " and char not in "\t\r\n" for char in text):
        return None
    return "\n".join(printable(line, but="\t") for line in text.split("\n"))


def _hexadecimal(content: bytes) -> Iterator[str]:
    for start in range(0, len(content), _HEX_COLUMNS):
        row = content[start : start + _HEX_COLUMNS]
        shown = "".join(chr(byte) if ord(" ") <= byte <= ord("~") else "." for byte in row)
        yield f"{start:08x}  {row.hex(' '):<{3 * _HEX_COLUMNS - 1}}  {shown}"


def _instant(time_ms: int) -> str:
    return iso_instant(time_ms) if 0 <= time_ms <= _LAST_MS else f"{time_ms} ms"


def _minute(time_ms: int) -> str:
    return minute(time_ms) if 0 <= time_ms <= _LAST_MS else f"{time_ms} ms"
