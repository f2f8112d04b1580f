"""Paths into foreign records: ``user.id``, ``tags[0]``, ``context."page.url"``, ``$key``, ``$headers.ce_type``. Pure.

A path is read once, into steps; what it finds is found by a function that was made for it.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from leadscore.errors import DeadLetter
from leadscore.events.validation import Record
from leadscore.mapping.keys import WITHOUT_REGISTRY, text_of

if TYPE_CHECKING:
    from leadscore.mapping.avro_shape import RecordShape

ROOTS = ("$record", "$key", "$headers", "$timestamp", "$schema")
_WITHOUT_STEPS = ("$timestamp", "$schema")
BESIDE = ("$key", "$headers", "$timestamp")
EXPECTED_PATH = (
    'a path: names with dots between them, such as user.id, mail.tags[0], context."page.url", $key.id, '
    "$headers.ce_type, $timestamp, $schema or $record"
)

Steps = tuple[str | int, ...]

_STEP = re.compile(r'(?:"(?P<quoted>[^"]+)"|(?P<plain>[^."\[\]]+))(?P<elements>(?:\[-?[0-9]{1,6}\])*)')
_ELEMENT = re.compile(r"\[(-?[0-9]+)\]")


TimeCheck = Callable[[int], None]
"""``DeadLetter``, which names ``occurred_at``, for UTC milliseconds that no event may have."""


class Incoming:
    """A record of a topic, as paths reach into it: the value, and what came beside it."""

    __slots__ = (
        "_headers",
        "_key",
        "check_time",
        "keys",
        "part",
        "record",
        "schema",
        "shape",
        "timestamp_ms",
        "unread",
    )

    def __init__(
        self,
        record: object,
        key: bytes | str | None = None,
        headers: list[tuple[str, bytes | None]] | None = None,
        timestamp_ms: int | None = None,
        shape: "RecordShape | None" = None,
        schema: str | None = None,
    ) -> None:
        """``record`` is the decoded value, ``schema`` the name and ``shape`` the logical types of its Avro record."""
        self.record = record
        self.shape = shape
        self.schema = schema
        self.part: Steps = ()
        """Where in the record the event is that is being looked at."""
        self.unread: DeadLetter | None = None
        """What is wrong with a value that is in no format that is read: it may be data that no rule needs."""
        self.check_time: TimeCheck | None = None
        """What refuses events of the wrong time."""
        self.timestamp_ms = timestamp_ms
        self._key = key
        self._headers = headers
        self.keys = WITHOUT_REGISTRY
        """What reads the key."""

    @property
    def key(self) -> object:
        """What the key says; ``DeadLetter`` if its schema cannot be read."""
        return self.keys.read(self._key, self._headers)

    @property
    def headers(self) -> dict[str, object]:
        """The headers as text, the last of several with one name."""
        return {name: text_of(value) for name, value in self._headers or []}


Finder = Callable[[Record, Incoming], object]
"""What finds a value in an event's part of a record; ``None`` where nothing is there."""


def steps_of(path: str) -> Steps:
    """The steps of a path; ``ValueError`` for text that is no path."""
    steps: list[str | int] = []
    position = 0
    while True:
        step = _STEP.match(path, position)
        if step is None:
            raise ValueError(EXPECTED_PATH)
        steps.append(step["quoted"] or step["plain"])
        steps += [int(index) for index in _ELEMENT.findall(step["elements"])]
        position = step.end()
        if position == len(path):
            break
        if path[position] != ".":
            raise ValueError(EXPECTED_PATH)
        position += 1
    if path.startswith("$"):
        _check_root(steps)
    return tuple(steps)


def _check_root(steps: list[str | int]) -> None:
    if steps[0] not in ROOTS or (steps[0] in _WITHOUT_STEPS and len(steps) > 1):
        raise ValueError(f"expected one of {', '.join(ROOTS)}, and what begins with $ as a name in quotes")


def is_rooted(path: str) -> bool:
    """Whether a path begins beside the event's part of the record: at the key, a header, the whole record."""
    return path.startswith("$")


def steps_from_top(path: str) -> Steps:
    """The steps of a path, without the root of one that begins with one."""
    return steps_of(path)[1:] if is_rooted(path) else steps_of(path)


def finder(path: str) -> Finder:
    """The function that finds what is at a path."""
    steps = steps_of(path)
    if is_rooted(path):
        return _rooted(str(steps[0]), steps[1:])
    if len(steps) == 1:
        return _top_level(str(steps[0]))
    if len(steps) == 2 and isinstance(steps[1], str):
        return _nested(str(steps[0]), steps[1])
    return lambda record, _incoming: value_at(record, steps)


def _top_level(name: str) -> Finder:
    def find(record: Record, _incoming: Incoming) -> object:
        value = record.get(name)
        return None if value == "" or (type(value) is str and value.isspace()) else value  # ``is_nothing``, in place

    return find


def _nested(outer: str, inner: str) -> Finder:
    def find(record: Record, _incoming: Incoming) -> object:
        members = record.get(outer)
        return members.get(inner) if type(members) is dict else None

    return find


def _rooted(root: str, steps: Steps) -> Finder:
    if root == "$timestamp":
        return lambda _record, incoming: incoming.timestamp_ms
    if root == "$schema":
        return lambda _record, incoming: incoming.schema
    if root == "$record":
        return lambda _record, incoming: value_at(incoming.record, steps)
    if root == "$key":
        return lambda _record, incoming: value_at(incoming.key, steps)
    return lambda _record, incoming: value_at(incoming.headers, steps)


def is_nothing(value: object) -> bool:
    """Whether this is no value: null, or text that is empty or blanks alone."""
    return value is None or (type(value) is str and (not value or value.isspace()))


def value_at(value: object, steps: Steps) -> object:
    """What is behind the steps; ``None`` where a step leads nowhere."""
    for step in steps:
        if type(step) is str:
            value = value.get(step) if isinstance(value, dict) else None
        elif isinstance(value, list) and -len(value) <= step < len(value):  # type: ignore[operator]  # step is an int
            value = value[step]  # type: ignore[index]
        else:
            return None
    return value


def put_at(record: Record, steps: Steps, value: object) -> None:
    """Put a value in the place of the one that is behind the steps."""
    around = value_at(record, steps[:-1])
    if isinstance(around, dict | list):
        around[steps[-1]] = value  # type: ignore[index]  # ``value_at`` has been there


def has_nothing_at(record: object, steps: Steps) -> bool:
    """Whether a null or a blank text is behind the steps: what is not there at all says nothing."""
    around = value_at(record, steps[:-1])
    last = steps[-1]
    if isinstance(last, str):
        is_there = isinstance(around, dict) and last in around
    else:
        is_there = isinstance(around, list) and -len(around) <= last < len(around)
    return is_there and is_nothing(value_at(around, (last,)))
