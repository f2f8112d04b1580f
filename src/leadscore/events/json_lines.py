"""Events as JSON lines (design 1.11): the form ``simulate`` and ``produce --file`` read. Pure."""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from leadscore.errors import DeadLetter, EventsFileError
from leadscore.events.decoder import read_json
from leadscore.events.event import Event
from leadscore.events.validation import FieldProblem, event_of, instant_ms

MAX_SHOWN = 80
BYTE_ORDER_MARK = "\ufeff"
"""What some editors put at the beginning of a file of UTF-8 text; it is not part of the text."""


class Line(NamedTuple):
    """One line of an events file; ``number`` counts from 1."""

    number: int
    event: Event
    received_at_ms: int | None


def read_line(text: str | bytes) -> tuple[Event, int | None]:
    """The event of a line, and its ``received_at`` in UTC milliseconds, which stands for the Kafka timestamp."""
    record = read_json(text)
    received_at = record.pop("received_at", None)
    received_at_ms = None if received_at is None else instant_ms(received_at, "received_at")
    return event_of(record, record), received_at_ms


def read_lines(lines: Iterable[str | bytes], file_name: str) -> Iterator[Line]:
    """The events of a file's lines, empty ones left out; ``EventsFileError`` at the first line that is no event."""
    for number, line in enumerate(lines, start=1):
        text = _without_byte_order_mark(line) if number == 1 else line
        if text.strip():
            try:
                event, received_at_ms = read_line(text)
            except DeadLetter as error:
                raise EventsFileError(f"{file_name}:{number}: {_problem(error, text)}") from error
            yield Line(number, event, received_at_ms)


def _without_byte_order_mark(line: str | bytes) -> str | bytes:
    if isinstance(line, str):
        return line.removeprefix(BYTE_ORDER_MARK)
    return line.removeprefix(BYTE_ORDER_MARK.encode())


def _problem(error: DeadLetter, line: str | bytes) -> str:
    if not isinstance(error, FieldProblem):
        text = line if isinstance(line, str) else line.decode(errors="replace")
        return f"{_cut(text.strip())}: {error.detail}: expected one JSON object a line"
    if error.value is None:
        return f"{error.field}: missing: expected {error.expected}"
    return f"{error.field}: {_cut(json.dumps(error.value, ensure_ascii=False))}: expected {error.expected}"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."
