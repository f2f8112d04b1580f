"""score(t): the one place where a lead's points add up (design 1.6). Pure; all clamping is on read.

The same sum answers two questions. With one instant it is the score. With two, ``early_ms`` for what may rise and
``late_ms`` for what falls, it is a lower bound of the score between them: gains fade, so they are least at the end;
penalties fade too, so they weigh most at the start; and every clamp is monotone.
"""

from typing import NamedTuple

from leadscore.model.compile import CompiledModel, CompiledRule, Fading
from leadscore.scoring.conditions import current_attributes, holds
from leadscore.scoring.state import DAY_MS, LeadState, Total

EPSILON = 1e-9
"""Two scores closer than this are equal: the same events give the same score to 1e-9, whatever their order (1.6)."""


class Score(NamedTuple):
    """Engagement and fit at an instant; ``value`` is their sum within floor and ceiling."""

    engagement: float
    fit: float
    value: float

    @property
    def unclamped(self) -> float:
        """Engagement plus fit: what "raised the score" compares."""
        return self.engagement + self.fit


def score_at(state: LeadState, model: CompiledModel, at_ms: int) -> Score:
    """The lead's score at ``at_ms``, an instant not before its latest record."""
    return _score(state, model, at_ms, at_ms)


def least_score(state: LeadState, model: CompiledModel, early_ms: int, late_ms: int) -> float:
    """A lower bound of the score from ``early_ms`` to ``late_ms``, between which no condition flips."""
    return _score(state, model, early_ms, late_ms).value


def _score(state: LeadState, model: CompiledModel, early_ms: int, late_ms: int) -> Score:
    groups = model.groups
    sums = [0.0] * (len(groups) + 1)  # the last is of what has no group: NO_GROUP is -1
    rules, latest_ms = model.rules, state.latest_record_ms
    for rule_id, total in zip(state.rules, state.totals, strict=True):
        rule = rules.get(rule_id)
        if rule is None:
            continue
        half_life_ms = rule.fading.half_life_ms
        if half_life_ms is not None:
            age_ms = (late_ms if total > 0 else early_ms) - latest_ms  # type: ignore[operator]  # a float, by its rule
            points = total * 2.0 ** (-age_ms / half_life_ms) if age_ms else total  # type: ignore[operator]
        else:
            points = total if rule.fading.weights is None else day_aged(total, rule.fading, early_ms, late_ms)
        cap = rule.cap
        sums[rule.group] += -cap if points < -cap else cap if points > cap else points  # type: ignore[operator]
    for condition in model.conditions:
        if condition.points and holds(condition.test, state, model, early_ms):
            sums[condition.group] += condition.points
    engagement = sums[-1]
    for group, points in zip(groups, sums, strict=False):
        engagement += group.low if points < group.low else group.high if points > group.high else points
    fit = model.fit_without_values if state.flags is None else fit_of(state, model)
    total = engagement + fit
    return Score(
        engagement, fit, model.floor if total < model.floor else model.ceiling if total > model.ceiling else total
    )


def rule_points(rule: CompiledRule, total: Total, state: LeadState, at_ms: int) -> float:
    """A rule's points at an instant, before its ``max``."""
    if isinstance(total, dict):
        return day_aged(total, rule.fading, at_ms, at_ms)
    return total * rule.fading.weight(at_ms - state.latest_record_ms, 0) if rule.fading.half_life_ms else total


def day_aged(total: Total, fading: Fading, early_ms: int, late_ms: int) -> float:
    """Points that age in whole days; a lower bound between two instants."""
    if not isinstance(total, dict) or fading.weights is None:
        return 0.0
    early_day, late_day = early_ms // DAY_MS, late_ms // DAY_MS
    if early_day != late_day and not fading.never_rises:
        return sum((min(points, 0) for points in total.values()), 0.0)
    return sum(
        (
            points * fading.weight(0, max(0, (late_day if points > 0 else early_day) - day))
            for day, points in total.items()
        ),
        0.0,
    )


def fit_of(state: LeadState, model: CompiledModel) -> float:
    """Points for who the lead is, within the fit's limits."""
    total = sum((points for _, points in attribute_points(state, model)), 0.0)
    return model.fit_low if total < model.fit_low else model.fit_high if total > model.fit_high else total


def known_attribute_points(state: LeadState, model: CompiledModel) -> list[float]:
    """Points of the model's attributes that have a value."""
    current = current_attributes(state.flags) if state.flags is not None else {}
    return [
        float(value.points)
        for attribute_id, value in current.items()
        if attribute_id in model.attributes and value.points is not None
    ]


def attribute_points(state: LeadState, model: CompiledModel) -> list[tuple[int, float]]:
    """Points per attribute of the model, by attribute id."""
    current = current_attributes(state.flags) if state.flags is not None else {}
    found = []
    for attribute_id, attribute in model.attributes.items():
        value = current.get(attribute_id)
        known = value is not None and value.points is not None
        found.append((attribute_id, float(value.points) if known else attribute.when_missing))  # type: ignore[union-attr,arg-type]
    return found
