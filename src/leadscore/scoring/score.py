"""score(t): the one place where a lead's points add up (design 1.6). Pure; all clamping is on read.

A model has one score or several, each of some of the groups. What none of its groups has is no matter of a score.
"""

from typing import NamedTuple, cast

from leadscore.log.records import Award
from leadscore.model.addition import plain_sum
from leadscore.model.compiled import CompiledModel, CompiledRule, CompiledScore, DecayCurve, EarnedPoints
from leadscore.scoring.conditions import Outlook, current_attributes
from leadscore.scoring.state import AttributeState, LeadState, Total
from leadscore.time_units import DAY_MS


class Score(NamedTuple):
    """One of the lead's scores at an instant.

    ``fit`` is the lead's, also where the score does not count it.
    """

    engagement: float
    fit: float
    value: float
    """Within floor and ceiling."""
    unclamped: float
    """Engagement, plus fit where the score counts it: what "raised the score" compares."""


class ScoresAt:
    """The scores at an instant of a lead that is not changed any more, each evaluated when first asked for."""

    __slots__ = ("_scores", "_sums", "at_ms", "outlook")

    def __init__(self, outlook: Outlook, at_ms: int) -> None:
        self.outlook = outlook
        self.at_ms = at_ms
        self._scores: dict[int, Score] = {}
        self._sums: list[float] | None = None

    def of(self, score: CompiledScore) -> Score:
        """The value of this score of the model."""
        value = self._scores.get(score.index)
        if value is None:
            if self._sums is None:
                self._sums = _sums_at(self.outlook, self.at_ms)
            value = self._scores[score.index] = _score_of(self._sums, self.outlook, score)
        return value


def score_at(outlook: Outlook, score: CompiledScore, at_ms: int) -> Score:
    """One of the lead's scores at ``at_ms``, an instant not before its latest record."""
    return _score_of(_sums_at(outlook, at_ms), outlook, score)


def _sums_at(outlook: Outlook, at_ms: int) -> list[float]:
    """What the rules and conditions of each group add up to; last what has no group, for NO_GROUP is -1."""
    state, model = outlook.state, outlook.model
    totals = state.totals
    sums = [0.0] * (len(model.groups) + 1)
    # Ids as objects: of an ``int`` mypyc would take out the number, and make another object for each look-up.
    rules, age_ms = cast("dict[object, CompiledRule]", model.rules), at_ms - state.latest_record_ms
    for index, rule_id in enumerate(cast("list[object]", state.rules)):
        rule = rules.get(rule_id)
        if rule is None:
            continue
        total = totals[index]
        if age_ms == 0 and rule.decay.weights is None:
            points = total
        else:
            points = rule_points(rule, total, age_ms, at_ms)
        maximum = rule.maximum
        sums[rule.group] += -maximum if points < -maximum else maximum if points > maximum else points  # type: ignore[operator]
    for condition in model.conditions:
        if condition.points and outlook.holds(condition.test, at_ms):
            sums[condition.group] += condition.points
    return sums


def _score_of(sums: list[float], outlook: Outlook, score: CompiledScore) -> Score:
    engagement = sums[-1] if score.counts[-1] else 0.0
    for group in score.groups:
        points = sums[group.index]
        engagement += group.minimum if points < group.minimum else group.maximum if points > group.maximum else points
    fit = fit_at(outlook)
    total = engagement + fit if score.counts_fit else engagement
    floor, ceiling = score.floor, score.ceiling
    return Score(engagement, fit, floor if total < floor else ceiling if total > ceiling else total, total)


def main_score_at(state: LeadState, model: CompiledModel, at_ms: int) -> Score:
    """The lead's main score at ``at_ms``, an instant not before its latest record."""
    return score_at(Outlook(state, model), model.main, at_ms)


class UpperBounds:
    """What a lead's scores do not exceed at an instant, with an award added; floor and ceiling aside.

    Gains as if none had decayed, every condition that gives points; clamped like the score. Penalties are in it at the
    instant of the lead's latest record only, where running totals need no decay: later on they weigh less.
    """

    __slots__ = ("_fit", "_has_unearned", "_model", "_more", "_state", "_sums")

    def __init__(self, state: LeadState, model: CompiledModel, more: Award, at_ms: int) -> None:
        self._state = state
        self._model = model
        self._more = more
        self._sums = _upper_bounds_of_groups(state, model, more, at_ms)
        self._has_unearned = True
        self._fit: float | None = None

    def lower_of(self, score: CompiledScore) -> float:
        """The same without conditions that need an event of a rule of which the lead had none."""
        if self._has_unearned:
            self._has_unearned = False
            for earned in self._model.earned_points:
                if not _may_be_earned(earned, self._state, self._more):
                    self._sums[earned.group] -= earned.points
        return self.of(score)

    def of(self, score: CompiledScore) -> float:
        """The upper bound of this score of the model."""
        sums, total = self._sums, 0.0
        if score.counts_fit:
            if self._fit is None:
                self._fit = _fit_upper_bound(self._state, self._model, self._more)
            total = self._fit
        if score.counts[-1]:
            total += sums[-1]
        for group in score.groups:
            points = sums[group.index]
            total += group.minimum if points < group.minimum else group.maximum if points > group.maximum else points
        return total


def _upper_bounds_of_groups(state: LeadState, model: CompiledModel, more: Award, at_ms: int) -> list[float]:
    """Of the points of each group, without its clamp; last those without a group."""
    sums, totals = list(model.condition_upper_bounds), state.totals
    rules = cast("dict[object, CompiledRule]", model.rules)  # as in _sums_at
    is_at_latest = at_ms == state.latest_record_ms
    for index, rule_id in enumerate(cast("list[object]", state.rules)):
        total = totals[index]
        points = total if type(total) is float else gains_of(total)
        if (points > 0 or is_at_latest) and (rule := rules.get(rule_id)) is not None:
            maximum = rule.maximum
            sums[rule.group] += -maximum if points < -maximum else maximum if points > maximum else points
    for award in more.rules:
        points = award.points
        if points > 0 and (rule := rules.get(award.rule_id)) is not None:
            sums[rule.group] += points
    return sums


def _may_be_earned(earned: EarnedPoints, state: LeadState, more: Award) -> bool:
    """Whether the lead has had the events that the points need, with this award added."""
    for needed in earned.needed:
        if needed.isdisjoint(state.rules):
            for award in more.rules:
                if award.rule_id in needed:
                    break
            else:
                return False
    return True


def _fit_upper_bound(state: LeadState, model: CompiledModel, more: Award) -> float:
    """The fit; with an award of attributes an upper bound, whichever of the lead's values and the new ones count."""
    if not model.attributes or (state.flags is None and not more.attributes):
        return model.fit_without_values
    if not more.attributes:
        return fit_of(current_attributes(state.flags), model)
    gains = plain_sum(max(0.0, points) for points in points_of_values(state, model).values())
    gains += plain_sum(max(0.0, value.points or 0.0) for value in more.attributes)
    gains += plain_sum(max(0.0, attribute.when_missing) for attribute in model.attributes.values())
    return min(max(gains, model.fit_minimum), model.fit_maximum)


def all_gains(totals: list[Total]) -> float:
    """What of all totals together is positive, as if none of it had decayed and no group or rule were clamped."""
    gains = 0.0
    for total in totals:
        if type(total) is float:
            if total > 0:
                gains += total
        else:
            gains += gains_of(total)
    return gains


def gains_of(total: Total) -> float:
    """What of a rule's total is positive, as if none of it had decayed."""
    if isinstance(total, dict):
        return plain_sum(part for part in total.values() if part > 0)
    return max(total, 0.0)


def rule_points(rule: CompiledRule, total: Total, age_ms: int, at_ms: int) -> float:
    """A rule's points at an instant, before its ``max``; ``age_ms`` is the time since the latest record."""
    if rule.decay.weights is not None:
        return day_aged(total, rule.decay, at_ms)
    if rule.decay.half_life_ms is not None:
        return total * 2.0 ** (-age_ms / rule.decay.half_life_ms)  # type: ignore[no-any-return]
    return total  # type: ignore[return-value]  # a float, by its rule


def day_aged(total: Total, decay: DecayCurve, at_ms: int) -> float:
    """Points that age in whole UTC days."""
    if not isinstance(total, dict):
        return 0.0
    today = at_ms // DAY_MS
    points = 0.0
    for day, of_day in total.items():
        points += of_day * decay.weight(0, max(0, today - day))
    return points


def fit_at(outlook: Outlook) -> float:
    """The lead's fit, worked out once: no time changes it."""
    fit = outlook.fit
    if fit is None:
        fit = outlook.fit = fit_of(outlook.attributes(), outlook.model)
    return fit


def fit_of(values: dict[int, AttributeState], model: CompiledModel) -> float:
    """Points for who the lead is, by the values of its attributes, within the fit's minimum and maximum."""
    if not values:
        return model.fit_without_values
    total = 0.0
    for attribute_id, attribute in model.attributes.items():
        value = values.get(attribute_id)
        points = None if value is None else value.points
        total += attribute.when_missing if points is None else points
    return model.fit_minimum if total < model.fit_minimum else model.fit_maximum if total > model.fit_maximum else total


def attribute_points(state: LeadState, model: CompiledModel) -> list[tuple[int, float]]:
    """Points per attribute of the model, by attribute id."""
    points = points_of_values(state, model)
    return [
        (attribute_id, points.get(attribute_id, attribute.when_missing))
        for attribute_id, attribute in model.attributes.items()
    ]


def points_of_values(state: LeadState, model: CompiledModel) -> dict[int, float]:
    """Points of the model's attributes that have a value."""
    current = current_attributes(state.flags)
    return {
        attribute_id: float(value.points)
        for attribute_id, value in current.items()
        if attribute_id in model.attributes and value.points is not None
    }
