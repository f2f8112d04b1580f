"""The headers of dead letters, of redriven records, and of the marks that tell which were redriven. Pure.

A dead letter has the headers of the record, then ours. What stands before the last ``leadscore.dead_letter.reason`` is
the record's own, also where a dead letter was copied back by hand and became a dead letter again.

A mark is a record of the dead-letter topic without a key and a value. It names the position of a record that was
redriven, and nothing else.
"""

from collections.abc import Mapping
from typing import NamedTuple

from leadscore.errors import DeadLetter
from leadscore.pipeline.kafka.records import Headers

DEAD_LETTER = "leadscore.dead_letter."
REDRIVEN = "leadscore.redriven."
MARK = "leadscore.dead_letter_redriven."
_FIRST_OF_OURS = f"{DEAD_LETTER}reason"


class Position(NamedTuple):
    """Where a record lies or lay; the topic's id tells a topic from one of the same name that was deleted."""

    topic: str
    topic_id: str
    partition: int
    offset: int


class Origin(NamedTuple):
    """Where a dead letter came from, and when the record had come there; ``timestamp_ms`` is -1 if it has no time."""

    topic: str
    partition: int
    offset: int
    group: str
    topic_id: str = ""
    timestamp_ms: int = -1


class Account(NamedTuple):
    """What the headers of a dead letter say. ``headers`` are the record's own."""

    position: Position
    reason: str
    detail: str
    group: str
    timestamp_ms: int | None
    headers: Headers


def dead_letter_headers(
    origin: Origin, failure: DeadLetter, original: Headers | dict[str, str | bytes | None] | None
) -> Headers:
    """The original headers, ours, and the names that tools for Kafka Connect read. Text; no value of a field in it."""
    position = {"topic": origin.topic, "partition": str(origin.partition), "offset": str(origin.offset)}
    ours = {"reason": failure.reason.value, "detail": failure.detail, **position, "group": origin.group}
    if origin.topic_id:
        ours["topic_id"] = origin.topic_id
    if origin.timestamp_ms >= 0:
        ours["timestamp"] = str(origin.timestamp_ms)
    connect = {**position, "stage": "VALUE_CONVERTER", "exception.message": f"{failure.reason.value}: {failure.detail}"}
    return [
        *(original.items() if isinstance(original, dict) else original or []),
        *((f"{DEAD_LETTER}{name}", text) for name, text in ours.items()),
        *((f"__connect.errors.{name}", text) for name, text in connect.items()),
    ]


def account_of(headers: Headers) -> Account | None:
    """What the headers say; ``None`` if they are not those of a dead letter of ours."""
    firsts = [index for index, (name, _) in enumerate(headers) if name == _FIRST_OF_OURS]
    if not firsts:
        return None
    ours = _texts(headers[firsts[-1] :], DEAD_LETTER)
    position = _position(ours)
    if position is None:
        return None
    timestamp = ours.get("timestamp", "")
    return Account(
        position=position,
        reason=ours["reason"],
        detail=ours.get("detail", ""),
        group=ours.get("group", ""),
        timestamp_ms=int(timestamp) if timestamp.isdecimal() else None,
        headers=headers[: firsts[-1]],
    )


def redriven_headers(account: Account) -> Headers:
    """The record's own headers and its first position: a record that is redriven again keeps the one it has."""
    if any(name == f"{REDRIVEN}offset" for name, _ in account.headers):
        return account.headers
    return [*account.headers, *_named(REDRIVEN, account.position)]


def mark_headers(position: Position) -> Headers:
    """The headers of the mark of a record that was redriven."""
    return _named(MARK, position)


def marked_position(headers: Headers) -> Position | None:
    """Which record a mark tells of; ``None`` if this is not a mark."""
    return _position(_texts(headers, MARK))


def _named(prefix: str, position: Position) -> Headers:
    topic, topic_id, partition, offset = position
    names = {"topic": topic, "topic_id": topic_id, "partition": str(partition), "offset": str(offset)}
    return [(f"{prefix}{name}", text) for name, text in names.items()]


def _texts(headers: Headers, prefix: str) -> dict[str, str]:
    """The headers with the prefix, without it, as text."""
    return {
        name.removeprefix(prefix): content.decode(errors="replace") if isinstance(content, bytes) else content or ""
        for name, content in headers
        if name.startswith(prefix)
    }


def _position(texts: Mapping[str, str]) -> Position | None:
    topic, partition, offset = (texts.get(name, "") for name in ("topic", "partition", "offset"))
    if not topic or not partition.isdecimal() or not offset.isdecimal():
        return None
    return Position(topic, texts.get("topic_id", ""), int(partition), int(offset))
