"""What of a rule's award the event decides: whether it came in time, its points, its ``once_per`` value. Pure.

Most rules have nothing of this: their award is one constant.
"""

from collections.abc import Mapping
from hashlib import blake2b

from leadscore.events.event import FieldValue
from leadscore.log.records import RuleAward
from leadscore.model.definition import Active, FieldPoints, Rule
from leadscore.yaml_reading.instants import instant_ms

MOST_POINTS = 1_000_000
"""Points out of a field are at most a million either way, or one event with a wrong number would outlast any other."""
_LONG_AGO_MS, _FAR_AHEAD_MS = -(2**62), 2**62


def value_hash(value: FieldValue) -> bytes:
    """The hash of a ``once_per`` value; a missing field is one value, ``true`` is not 1, and 1.0 is."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return blake2b(f"{type(value).__name__}:{value}".encode(), digest_size=8).digest() if value is not None else b""


def plain_number(points: float) -> int | float:
    """Whole points as ``int``: one byte in the log and in the state instead of nine."""
    return int(points) if points == int(points) else points


class AwardPerEvent:
    """The award of a rule that is not the same for all events that pass its tests."""

    __slots__ = ("_field_points", "_from_ms", "_once_per", "_points", "_rule_id", "_until_ms")

    def __init__(self, rule_id: int, rule: Rule) -> None:
        self._rule_id = rule_id
        self._field_points = rule.points if isinstance(rule.points, FieldPoints) else None
        self._points = 0 if isinstance(rule.points, FieldPoints) else plain_number(rule.points)
        self._once_per = rule.once_per
        self._from_ms, self._until_ms = span_of(rule.active or Active())

    def of(self, fields: Mapping[str, FieldValue], occurred_ms: int) -> RuleAward | None:
        """What an event gets that passes the rule's tests; ``None`` where the rule is not active at its time."""
        if not self._from_ms <= occurred_ms < self._until_ms:
            return None
        points, once_per, field_points = self._points, self._once_per, self._field_points
        if field_points is not None:
            points = points_of(field_points, fields.get(field_points.field))
        return RuleAward(self._rule_id, points, None if once_per is None else value_hash(fields.get(once_per)))


def span_of(active: Active) -> tuple[int, int]:
    """The first instant at which the rule is active, and the first after that at which it is not (UTC ms)."""
    first_ms = _LONG_AGO_MS if active.from_ is None else instant_ms(active.from_)
    return first_ms, _FAR_AHEAD_MS if active.until is None else instant_ms(active.until)


def points_of(points: FieldPoints, value: FieldValue) -> int | float:
    """The points that the field's value gives; 0 for a missing one, and for what is no number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return 0
    least = -MOST_POINTS if points.min is None else points.min
    most = MOST_POINTS if points.max is None else points.max
    return plain_number(min(max(value * points.times, least, -MOST_POINTS), most, MOST_POINTS))
