"""What a record must say to be an event: one set of checks for Avro, JSON and mapped records. Pure.

A record is a dict as a decoder gives it: scalars, dicts, lists, and tuples that stand for what no rule can test.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from math import isfinite
from typing import TypeGuard, cast

from leadscore import readers
from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.event import COMMAND_PREFIX, CONTROL_CHARACTER, MAX_TYPE_LENGTH, Event, FieldValue
from leadscore.log.records import ADJUST, COMMANDS, MERGE, RETRACT

Record = dict[str, object]

MAX_ID_LENGTH = 256
MAX_DEPTH = 5
"""Objects deeper than this are dropped: ``a.b.c.d.e`` is the deepest field name."""
MAX_ELEMENTS = 256
"""Of a list longer than this, the first count."""
MAX_ADJUSTMENT = 1_000_000
EARLIEST_MS = -2_208_988_800_000
"""1900-01-01."""
LATEST_MS = 7_258_118_400_000
"""2200-01-01."""

_EXPECTED_ID = f"text of 1 to {MAX_ID_LENGTH} characters, not only blanks, without control characters"
_EXPECTED_OPAQUE = "an opaque id, not an email address"
_EXPECTED_INSTANT = "integer milliseconds or ISO 8601 with an offset, from 1900 to 2200"


class FieldProblem(DeadLetter):
    """A dead letter because of one field. ``value`` is for files a person wrote; it is never part of the message."""

    def __init__(self, field: str, value: object, expected: str, reason: DeadLetterReason | None = None) -> None:
        missing = DeadLetterReason.MISSING_FIELD if value is None else DeadLetterReason.INVALID_FIELD
        super().__init__(reason or missing, f"{field[:MAX_TYPE_LENGTH]}: expected {expected}{_what_is_there(value)}")
        self.field = field
        self.value = value
        self.expected = expected


def _what_is_there(value: object) -> str:
    kinds = {list: "a list", dict: "an object", bool: "true or false", float: "a number with a fraction"}
    kind = kinds.get(type(value))
    return "" if kind is None else f"; there is {kind}"


LeaveOut = Callable[[str], None]
"""Is told of every field that an event loses because it could not be understood: the kind of it, for a metric."""


def unnoticed(_kind: str) -> None:
    """Tell no one of fields that are left out."""


def event_of(
    envelope: Record, fields: Record, numbers: Sequence[str] | None = None, leave_out: LeaveOut = unnoticed
) -> Event:
    """The event that ``envelope`` (id, lead, time, type, attributes) and ``fields`` describe; ``DeadLetter`` if none.

    The envelope's own names are taken out of it. Both may be the same dict: then what is left are the fields. Where
    ``fields`` is known to hold nothing but scalars and no null, ``numbers`` are those that may be a ``float``, and no
    other is looked at.
    """
    take = envelope.pop
    event_type, event_id, lead_id = take("type", None), take("event_id", None), take("lead_id", None)
    occurred_at, members = take("occurred_at", None), take("attributes", None)
    if "received_at" in envelope:
        del envelope["received_at"]
    return event_of_parts(event_type, event_id, lead_id, occurred_at, members, fields, numbers, leave_out)


def event_of_parts(  # noqa: PLR0913, PLR0917 - what an event is made of; a value for them would cost as much again
    event_type: object,
    event_id: object,
    lead_id: object,
    occurred_at: object,
    members: object,
    fields: Record,
    numbers: Sequence[str] | None,
    leave_out: LeaveOut,
) -> Event:
    """The event that these parts make; ``members`` are its attributes."""
    if type(event_type) is not str or not _is_text(event_type, MAX_TYPE_LENGTH):
        raise FieldProblem("type", event_type, f"text of 1 to {MAX_TYPE_LENGTH} characters: website.page_view")
    event_id = _identifier(event_id, "event_id")
    lead_id = _identifier(lead_id, "lead_id")
    if type(occurred_at) is not int or not EARLIEST_MS <= occurred_at < LATEST_MS:
        occurred_at = instant_ms(occurred_at, "occurred_at")
    attributes = None if members is None else _attributes(members, leave_out)
    scalars = _scalars(fields, leave_out) if numbers is None else _checked(fields, numbers, leave_out)
    if "campaign" in scalars:
        _settle_campaign(scalars, leave_out)
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
    return value.isprintable() or not CONTROL_CHARACTER.search(value)


def _identifier(value: object, field: str) -> str:
    """An id that leaves the worker, in the log and in crossings: no email address, for that is a person's."""
    if (
        type(value) is str
        and 0 < len(value) <= MAX_ID_LENGTH
        and "@" not in value
        and value[0] != " "
        and value.isprintable()
    ):
        return value  # nearly always
    if type(value) is int:
        value = str(value)
    if not _is_text(value, MAX_ID_LENGTH) or value.isspace():
        raise FieldProblem(field, value, _EXPECTED_ID)
    if "@" in value:
        raise FieldProblem(field, value, _EXPECTED_OPAQUE)
    return value


def _attributes(value: object, leave_out: LeaveOut) -> dict[str, FieldValue] | None:
    if type(value) is not dict:
        leave_out("attributes")
        return None
    flat: dict[str, FieldValue] = {}
    _flatten(value, "", 1, flat, leave_out)
    return flat or None


def _scalars(fields: Record, leave_out: LeaveOut) -> dict[str, FieldValue]:
    scalars: dict[str, FieldValue] = {}
    for name, value in fields.items():
        if type(value) is str:
            scalars[name] = value
        elif type(value) is dict:
            flat: dict[str, FieldValue] = {}
            _flatten(value, f"{name}.", 2, flat, leave_out)
            scalars.update(_without_nulls(flat))
        elif value is not None:
            _put(scalars, name, value, leave_out)
    return scalars


def _checked(fields: Record, numbers: Sequence[str], leave_out: LeaveOut) -> dict[str, FieldValue]:
    for name in numbers:
        value = fields.get(name)
        if type(value) is float and not isfinite(value):
            del fields[name]
            leave_out("number")
    return cast("dict[str, FieldValue]", fields)


def _flatten(source: Record, prefix: str, depth: int, flat: dict[str, FieldValue], leave_out: LeaveOut) -> None:
    """Put the values of a nested dict under dotted names, nulls among them; what is too deep is dropped."""
    for name, value in source.items():
        path = prefix + name
        if type(value) is str or value is None:
            flat[path] = value
        elif type(value) is dict:
            if depth < MAX_DEPTH:
                _flatten(value, f"{path}.", depth + 1, flat, leave_out)
        else:
            _put(flat, path, value, leave_out)


def _put(fields: dict[str, FieldValue], name: str, value: object, leave_out: LeaveOut) -> None:
    """Put a number, a flag or a list there, unless it is one that no test can have a use for."""
    if type(value) is list:
        if elements := _elements(value, leave_out):
            fields[name] = elements
    elif type(value) is tuple:
        return
    elif _is_too_large(value):
        leave_out("number")
    else:
        fields[name] = cast("FieldValue", value)


def _is_too_large(value: object) -> bool:
    """Whether this is a number of more than 64 bits, or infinite, or none."""
    return (type(value) is int and not -(2**63) <= value < 2**63) or (type(value) is float and not isfinite(value))


def _elements(values: list[object], leave_out: LeaveOut) -> tuple[str | int | float | bool, ...]:
    """The scalars of a list, up to the largest number of them that a test looks at; empty without any."""
    elements = tuple(islice((value for value in values if isinstance(value, str | int | float)), MAX_ELEMENTS))
    if any(map(_is_too_large, elements)):
        leave_out("number")
        return tuple(value for value in elements if not _is_too_large(value))
    return elements


def _without_nulls(values: dict[str, FieldValue]) -> dict[str, FieldValue]:
    return {name: value for name, value in values.items() if value is not None}


def _settle_campaign(fields: dict[str, FieldValue], leave_out: LeaveOut) -> None:
    """The campaign travels in the log and in crossings: it is an id like the others, or absent."""
    value = fields["campaign"]
    if type(value) is str and not value.strip():
        del fields["campaign"]
        return
    try:
        fields["campaign"] = _identifier(value, "campaign")
    except FieldProblem:
        del fields["campaign"]
        leave_out("campaign")


def _settle_command(command: str, arguments: dict[str, FieldValue], attributes: object) -> None:
    if command not in COMMANDS:
        raise _invalid_command("type", command, "one of " + ", ".join(sorted(COMMANDS)))
    if attributes is not None:
        raise _invalid_command("attributes", attributes, "none: a command carries no attributes")
    if command == ADJUST:
        _check_points(arguments.get("points"))
    if command == RETRACT:
        arguments["target"] = _id_argument(arguments, "target", "the event_id to take back")
        _check_target_type(arguments.get("target_type"))
    if command == MERGE:
        arguments["into"] = _id_argument(arguments, "into", "the lead_id to merge into")


def _check_points(points: FieldValue) -> None:
    if type(points) not in (int, float) or abs(cast("float", points)) > MAX_ADJUSTMENT:
        raise _invalid_command("points", points, f"a number from -{MAX_ADJUSTMENT} to {MAX_ADJUSTMENT}")


def _id_argument(arguments: dict[str, FieldValue], name: str, meaning: str) -> str:
    value = arguments.get(name)
    try:
        return _identifier(value, name)
    except FieldProblem as problem:
        raise _invalid_command(name, value, f"{meaning}, {problem.expected}") from problem


def _check_target_type(value: FieldValue) -> None:
    if value is None:
        return
    if value == MERGE:
        raise _invalid_command("target_type", value, "the type of an event: a merge cannot be taken back")
    if not _is_text(value, MAX_TYPE_LENGTH) or (value.startswith(COMMAND_PREFIX) and value != ADJUST):
        raise _invalid_command(
            "target_type", value, f"the type of the event to take back, such as email.click or {ADJUST}"
        )


def _invalid_command(field: str, value: object, expected: str) -> FieldProblem:
    return FieldProblem(field, value, expected, DeadLetterReason.INVALID_COMMAND)
