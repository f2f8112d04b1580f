"""What leads must have by now, added up while their events are sent: no event is kept, however many there are.

Theory of operation. It is an oracle for models of the simplest kind: rules of one event type with whole points and a
half-life, groups with a min and a max, and nothing that looks at single events later. Then a rule is worth the sum of
``points * 2^((occurred_at - start) / half_life)``, brought from the start to the instant of the question by one factor.
It shares no code with the product, nor with ``tests/oracle.py``, which keeps every event.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from leadscore.events.event import Event

DAY_MS = 86_400_000
HALF_UNIT = 2.0**-53
"""By what share a step of floating-point arithmetic rounds at most."""
STEPS_PER_EVENT = 4
"""Decay and addition, of the sum here and of the one that it is compared with."""
UNLIMITED = {"min": float("-inf"), "max": float("inf")}
OF_RULE = {"event", "where", "points", "group", "decay"}
OF_GROUP = {"min", "max"}


@dataclass(frozen=True, slots=True)
class _Rule:
    event_type: str
    path: re.Pattern[str] | None
    points: float
    half_life_ms: float
    group: str | None


class RunningTruth:
    """The scores of leads under a model, from ``start_ms`` on."""

    def __init__(self, model: Mapping[str, Any], start_ms: int) -> None:
        self.events = 0
        self.lead_ids: set[str] = set()
        self._start_ms = start_ms
        self._rules = {name: _rule(model, rule) for name, rule in model["rules"].items()}
        self._groups = {name: UNLIMITED | dict(group) for name, group in model.get("groups", {}).items()}
        assert all(group.keys() <= OF_GROUP for group in model.get("groups", {}).values())
        self._sums: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(self._rules, 0.0))
        self._events_of: dict[str, int] = defaultdict(int)

    def add(self, event: Event) -> None:
        """An event that was sent, and that no other has the id of."""
        self.events += 1
        self.lead_ids.add(event.lead_id)
        self._events_of[event.lead_id] += 1
        sums = self._sums[event.lead_id]
        for name, rule in self._rules.items():
            if rule.event_type == event.type and _has_path(rule, event):
                sums[name] += rule.points * 2.0 ** ((event.occurred_at_ms - self._start_ms) / rule.half_life_ms)

    def score(self, lead_id: str, at_ms: int) -> float:
        """Without floor and ceiling, at an instant that no event of the lead is later than."""
        by_group: dict[str | None, float] = defaultdict(float)
        for name, points in self._points(lead_id, at_ms):
            by_group[self._rules[name].group] += points
        free = by_group.pop(None, 0.0)
        return free + sum(
            min(max(points, self._groups[str(group)]["min"]), self._groups[str(group)]["max"])
            for group, points in by_group.items()
        )

    def rounding(self, lead_id: str, at_ms: int) -> float:
        """How far rounding alone may part two sums of the lead's points that were added up in different ways.

        A sum is decayed and added to with every event, and each of these steps rounds it by half a unit in its last
        place at most. A rule's sum may be large where the score is small: rules that give and rules that take cancel.
        """
        largest = sum(abs(points) for _, points in self._points(lead_id, at_ms))
        return STEPS_PER_EVENT * self._events_of[lead_id] * HALF_UNIT * largest

    def _points(self, lead_id: str, at_ms: int) -> Iterator[tuple[str, float]]:
        """What each rule is worth, by its name."""
        for name, total in self._sums[lead_id].items():
            yield name, total * 2.0 ** ((self._start_ms - at_ms) / self._rules[name].half_life_ms)


def _rule(model: Mapping[str, Any], rule: Mapping[str, Any]) -> _Rule:
    assert rule.keys() <= OF_RULE, f"a running truth knows no {sorted(rule.keys() - OF_RULE)}"
    where = dict(rule.get("where", {}))
    path = where.pop("path", {}).get("matches")
    assert not where, f"a running truth knows no field but the path: {sorted(where)}"
    half_life = rule.get("decay", model["decay"])["half_life"]
    return _Rule(
        rule["event"], re.compile(path) if path else None, rule["points"], _days(half_life) * DAY_MS, rule.get("group")
    )


def _days(duration: str) -> int:
    assert duration.endswith("d"), f"a running truth knows no duration but days: {duration}"
    return int(duration[:-1])


def _has_path(rule: _Rule, event: Event) -> bool:
    return rule.path is None or bool(rule.path.search(str(event.fields.get("path", ""))))
