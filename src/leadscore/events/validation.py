"""What a record must say to be an event: one set of checks for Avro, JSON and mapped records. Pure.

A record is a dict as a decoder gives it: scalars, dicts, and sequences (arrays, bytes), which no rule can test.
"""

import re
from collections.abc import Sequence
from math import isfinite
from typing import TypeGuard, cast

from leadscore import readers
from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.event import COMMAND_PREFIX, Event, FieldValue
from leadscore.log.records import ADJUST, COMMANDS, RETRACT

Record = dict[str, object]

MAX_ID_LENGTH = 256
MAX_TYPE_LENGTH = 128
MAX_DEPTH = 5
"""Objects deeper than this are dropped: ``a.b.c.d.e`` is the deepest field name."""
MAX_ADJUSTMENT = 1_000_000
EARLIEST_MS = -2_208_988_800_000
"""1900-01-01."""
LATEST_MS = 7_258_118_400_000
"""2200-01-01."""

_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_EXPECTED_ID = f"text of 1 to {MAX_ID_LENGTH} characters without control characters"
_EXPECTED_OPAQUE = "an opaque id, not an email address"
_EXPECTED_INSTANT = "integer milliseconds or ISO 8601 with an offset, from 1900 to 2200"


class FieldProblem(DeadLetter):
    """A dead letter because of one field. ``value`` is for files a person wrote; it is never part of the message."""

    def __init__(self, field: str, value: object, expected: str, reason: DeadLetterReason | None = None) -> None:
        missing = DeadLetterReason.MISSING_FIELD if value is None else DeadLetterReason.INVALID_FIELD
        super().__init__(reason or missing, f"{field[:MAX_TYPE_LENGTH]}: expected {expected}")
        self.field = field
        self.value = value
        self.expected = expected


def event_of(envelope: Record, fields: Record, numbers: Sequence[str] | None = None) -> Event:
    """The event that ``envelope`` (id, lead, time, type, attributes) and ``fields`` describe; ``DeadLetter`` if none.

    The envelope's own names are taken out of it. Both may be the same dict: then what is left are the fields. Where
    ``fields`` is known to hold nothing but scalars and no null, ``numbers`` are those that may be a ``float``, and no
    other is looked at.
    """
    take = envelope.pop
    event_type = take("type", None)
    if type(event_type) is not str or not _is_text(event_type, MAX_TYPE_LENGTH):
        raise FieldProblem("type", event_type, f"text of 1 to {MAX_TYPE_LENGTH} characters: website.page_view")
    event_id = _identifier(take("event_id", None), "event_id")
    lead_id = _identifier(take("lead_id", None), "lead_id")
    occurred_at = take("occurred_at", None)
    if type(occurred_at) is not int or not EARLIEST_MS <= occurred_at < LATEST_MS:
        occurred_at = instant_ms(occurred_at, "occurred_at")
    members = take("attributes", None)
    attributes = None if members is None else _attributes(members)
    if "received_at" in envelope:
        del envelope["received_at"]
    scalars = _scalars(fields) if numbers is None else _checked(fields, numbers)
    if "campaign" in scalars:
        _settle_campaign(scalars)
    if event_type.startswith(COMMAND_PREFIX):
        _settle_command(event_type, scalars, attributes)
    return Event(event_type, event_id, lead_id, occurred_at, scalars, attributes)


def instant_ms(value: object, field: str) -> int:
    """UTC milliseconds of an instant given as integer milliseconds or ISO 8601 with an offset; fractions are cut."""
    instant = value if type(value) is int else _parsed_ms(value) if type(value) is str else None
    if instant is not None and EARLIEST_MS <= instant < LATEST_MS:
        return instant
    raise FieldProblem(field, value, _EXPECTED_INSTANT)


def _parsed_ms(text: str) -> int | None:
    try:
        return readers.instant_ms(text)
    except ValueError:
        return None


def _is_text(value: object, max_length: int) -> TypeGuard[str]:
    """Whether this is text of 1 to ``max_length`` characters without control characters."""
    if type(value) is not str or not 0 < len(value) <= max_length:
        return False
    return value.isprintable() or not _CONTROL_CHARACTER.search(value)


def _identifier(value: object, field: str) -> str:
    """An id that leaves the worker, in the log and in crossings: no email address, for that is a person's."""
    if type(value) is str and 0 < len(value) <= MAX_ID_LENGTH and "@" not in value and value.isprintable():
        return value  # nearly always
    if type(value) is int:
        value = str(value)
    if not _is_text(value, MAX_ID_LENGTH):
        raise FieldProblem(field, value, _EXPECTED_ID)
    if "@" in value:
        raise FieldProblem(field, value, _EXPECTED_OPAQUE)
    return value


def _attributes(value: object) -> dict[str, FieldValue] | None:
    if type(value) is not dict:
        raise FieldProblem("attributes", value, "an object of scalars")
    return _flat(value, "", "attributes.", 1) or None


def _scalars(fields: Record) -> dict[str, FieldValue]:
    scalars: dict[str, FieldValue] = {}
    for name, value in fields.items():
        if type(value) is str:
            scalars[name] = value
        elif type(value) is dict:
            scalars.update(_without_nulls(_flat(value, f"{name}.", "", 2)))
        elif value is not None and not isinstance(value, list | tuple):
            scalars[name] = _number_or_flag(value, "", name)
    return scalars


def _checked(fields: Record, numbers: Sequence[str]) -> dict[str, FieldValue]:
    for name in numbers:
        if name in fields:
            _number_or_flag(fields[name], "", name)
    return cast("dict[str, FieldValue]", fields)


def _flat(source: Record, prefix: str, where: str, depth: int) -> dict[str, FieldValue]:
    """The scalars of a nested dict under dotted names, nulls among them; sequences and what is too deep is dropped."""
    flat: dict[str, FieldValue] = {}
    for name, value in source.items():
        path = prefix + name
        if type(value) is str or value is None:
            flat[path] = value
        elif type(value) is dict:
            if depth < MAX_DEPTH:
                flat.update(_flat(value, f"{path}.", where, depth + 1))
        elif not isinstance(value, list | tuple):
            flat[path] = _number_or_flag(value, where, path)
    return flat


def _without_nulls(values: dict[str, FieldValue]) -> dict[str, FieldValue]:
    return {name: value for name, value in values.items() if value is not None}


def _number_or_flag(value: object, where: str, path: str) -> FieldValue:
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise FieldProblem(where + path, value, "an integer of 64 bits")
    if type(value) is float and not isfinite(value):
        raise FieldProblem(where + path, value, "a finite number")
    return cast("FieldValue", value)


def _settle_campaign(fields: dict[str, FieldValue]) -> None:
    """The campaign travels in the log and in crossings: it is an id like the others, or absent."""
    value = fields["campaign"]
    if value == "":
        del fields["campaign"]
    else:
        fields["campaign"] = _identifier(value, "campaign")


def _settle_command(command: str, arguments: dict[str, FieldValue], attributes: object) -> None:
    if command not in COMMANDS:
        raise _invalid_command("type", command, "one of " + ", ".join(sorted(COMMANDS)))
    if attributes is not None:
        raise _invalid_command("attributes", attributes, "none: a command carries no attributes")
    if command == ADJUST:
        _check_points(arguments.get("points"))
    if command == RETRACT:
        arguments["target"] = _target(arguments.get("target"))


def _check_points(points: FieldValue) -> None:
    if type(points) not in (int, float) or abs(cast("float", points)) > MAX_ADJUSTMENT:
        raise _invalid_command("points", points, f"a number from -{MAX_ADJUSTMENT} to {MAX_ADJUSTMENT}")


def _target(value: FieldValue) -> str:
    try:
        return _identifier(value, "target")
    except FieldProblem as problem:
        raise _invalid_command("target", value, f"the event_id to take back, {problem.expected}") from problem


def _invalid_command(field: str, value: object, expected: str) -> FieldProblem:
    return FieldProblem(field, value, expected, DeadLetterReason.INVALID_COMMAND)
