"""How one of a lead's scores goes on while no record comes and no condition changes: exactly, and bounded. Pure.

``score`` says what the score is at an instant; a ``Course`` says it for any later one, and what can be said of all
instants of an interval without trying each of them:

1. A gain is worth least at the interval's end, a penalty weighs most at its start; every clamp is monotone. So gains
   taken at the end and penalties at the start give a lower bound, the other way round an upper bound.
2. Points of one half-life are added up before they are bounded, where no clamp stands between them: else a gain and a
   penalty that cancel out would look like a fall without end.
3. Points that age in days change at midnight only, and are worked out once per day.

Kept in step with ``score.score_at``: the same parts, the same clamps in the same order.
"""

from math import inf

from leadscore.model.compiled import CompiledRule, CompiledScore, DecayCurve
from leadscore.scoring.conditions import Outlook
from leadscore.scoring.score import day_aged, fit_at
from leadscore.scoring.state import Points, Total
from leadscore.time_units import DAY_MS


class Course:
    """One of the scores from ``start_ms`` on, not before the lead's latest record, to the next flip of a condition.

    In an interval, ``start_ms`` and ``end_ms`` are its first and last instant.
    """

    __slots__ = ("_ceiling", "_floor", "_free", "_groups", "constant")

    def __init__(self, outlook: Outlook, score: CompiledScore, start_ms: int) -> None:
        state, model = outlook.state, outlook.model
        latest_ms = state.latest_record_ms
        self._floor, self._ceiling = score.floor, score.ceiling
        self._free = _Sum(latest_ms, -inf, inf)
        sums = [_Sum(latest_ms, group.minimum, group.maximum) for group in model.groups]
        sums.append(self._free)
        for rule_id, total in zip(state.rules, state.totals, strict=True):
            rule = model.rules.get(rule_id)
            if rule is not None and total and score.counts[rule.group]:
                sums[rule.group].add(rule, total, start_ms)
        for condition in model.conditions:
            if condition.points and score.counts[condition.group] and outlook.holds(condition.test, start_ms):
                sums[condition.group].constant += condition.points
        if score.counts_fit:
            self._free.constant += fit_at(outlook)
        self._groups = [sums[group.index] for group in score.groups if not sums[group.index].is_nothing]
        self.constant = self._free.constant
        """About what the score comes to in the end: what decays is left out, and what clamps do to it."""
        for group in self._groups:
            self.constant += group.clamped(group.constant)

    def score(self, at_ms: int) -> float:
        """The score at an instant."""
        total = self._free.points(at_ms)
        for group in self._groups:
            total += group.clamped(group.points(at_ms))
        return min(max(total, self._floor), self._ceiling)

    def lower_bound(self, start_ms: int, end_ms: int) -> float:
        """No score in the interval is lower."""
        total = 0.0
        pooled: dict[float, float] = dict(self._free.by_half_life)
        for group in self._groups:
            rest = group.rest_bound(end_ms, start_ms)
            lower = rest + group.half_life_bound(group.by_half_life, end_ms, start_ms)
            if lower < group.minimum or group.upper_bound(start_ms, end_ms) > group.maximum:
                total += group.clamped(lower)
                continue
            total += rest
            for half_life_ms, value in group.by_half_life.items():
                pooled[half_life_ms] = pooled.get(half_life_ms, 0.0) + value
        total += self._free.rest_bound(end_ms, start_ms) + self._free.half_life_bound(pooled, end_ms, start_ms)
        return min(max(total, self._floor), self._ceiling)

    def only_falls(self, start_ms: int, end_ms: int) -> bool:
        """Whether the score certainly never rises in the interval."""
        slowest = self._free.slowest_fall(start_ms, end_ms)
        for group in self._groups:
            of_group = group.slowest_fall(start_ms, end_ms)
            if group.is_unclamped(start_ms, end_ms):
                slowest += of_group
            elif of_group < 0:  # what falls and is clamped still does not rise
                return False
        return slowest >= 0


class _Sum:
    """The points of a group, or of all that has no group, and the clamp on them."""

    __slots__ = ("_days", "_latest_ms", "_over_maximum", "by_half_life", "constant", "maximum", "minimum")

    def __init__(self, latest_ms: int, minimum: float, maximum: float) -> None:
        self._latest_ms = latest_ms
        self.minimum = minimum
        self.maximum = maximum
        self.constant = 0.0
        self.by_half_life: dict[float, float] = {}
        """What decays by half-life and is within its rule's ``max``, at the lead's latest record."""
        self._over_maximum: list[_OverMaximum] = []
        self._days: list[_ByDay] = []

    def add(self, rule: CompiledRule, total: Total, start_ms: int) -> None:
        """Add a rule's points; ``start_ms`` is where the course begins."""
        half_life_ms, maximum = rule.decay.half_life_ms, rule.maximum
        if isinstance(total, dict):
            self._days.append(_ByDay(total, rule.decay, maximum))
        elif half_life_ms is None:
            self.constant += min(max(total, -maximum), maximum) if rule.decay.weights is None else 0.0
        elif abs(total) * _weight(start_ms - self._latest_ms, half_life_ms) > maximum:
            self._over_maximum.append(_OverMaximum(total, half_life_ms, maximum))
        else:  # within its ``max`` now, so from now on
            self.by_half_life[half_life_ms] = self.by_half_life.get(half_life_ms, 0.0) + total

    @property
    def is_nothing(self) -> bool:
        """Whether it has no points, now and later."""
        if self.by_half_life or self._over_maximum or self._days:
            return False
        return self.clamped(self.constant) == 0.0

    def clamped(self, points: float) -> float:
        """The points within minimum and maximum."""
        return self.minimum if points < self.minimum else min(points, self.maximum)

    def points(self, at_ms: int) -> float:
        """The points at an instant, before the clamp."""
        age_ms, points = at_ms - self._latest_ms, self.constant
        for half_life_ms, value in self.by_half_life.items():
            points += value * 2.0 ** (-age_ms / half_life_ms)
        for over in self._over_maximum:
            points += over.points(age_ms)
        for by_day in self._days:
            points += by_day.bound(at_ms, at_ms)
        return points

    def lower_bound(self, start_ms: int, end_ms: int) -> float:
        """A lower bound of the points in the interval, before the clamp."""
        return self._bound(end_ms, start_ms)

    def upper_bound(self, start_ms: int, end_ms: int) -> float:
        """An upper bound of the points in the interval, before the clamp."""
        return self._bound(start_ms, end_ms)

    def is_unclamped(self, start_ms: int, end_ms: int) -> bool:
        """Whether the clamp certainly changes nothing in the interval."""
        if self.lower_bound(start_ms, end_ms) < self.minimum:
            return False
        return self.upper_bound(start_ms, end_ms) <= self.maximum

    def _bound(self, gains_ms: int, penalties_ms: int) -> float:
        """The points with gains as at one end of the interval and penalties as at the other."""
        rest = self.rest_bound(gains_ms, penalties_ms)
        return rest + self.half_life_bound(self.by_half_life, gains_ms, penalties_ms)

    def half_life_bound(self, by_half_life: dict[float, float], gains_ms: int, penalties_ms: int) -> float:
        """The part of the bound that decays by half-life, of these points."""
        points = 0.0
        for half_life_ms, value in by_half_life.items():
            at_ms = gains_ms if value > 0 else penalties_ms
            points += value * _weight(at_ms - self._latest_ms, half_life_ms)
        return points

    def rest_bound(self, gains_ms: int, penalties_ms: int) -> float:
        """The part of the bound that does not decay by half-life, or is over its rule's ``max``."""
        points = self.constant
        for over in self._over_maximum:
            at_ms = gains_ms if over.value > 0 else penalties_ms
            points += over.points(at_ms - self._latest_ms)
        for by_day in self._days:
            points += by_day.bound(gains_ms, penalties_ms)
        return points

    def slowest_fall(self, start_ms: int, end_ms: int) -> float:
        """A lower bound of how fast the points fall in the interval, per ms; below 0 they may rise."""
        if any(over.value < 0 for over in self._over_maximum):
            return -inf
        if start_ms // DAY_MS != end_ms // DAY_MS and not all(by_day.only_falls for by_day in self._days):
            return -inf
        speed = 0.0
        for half_life_ms, value in self.by_half_life.items():
            at_ms = end_ms if value > 0 else start_ms
            speed += value / half_life_ms * _weight(at_ms - self._latest_ms, half_life_ms)
        return speed


class _OverMaximum:
    """Points of a rule that exceed its ``max`` where the course begins; ``value`` is at the lead's latest record."""

    __slots__ = ("half_life_ms", "maximum", "value")

    def __init__(self, value: float, half_life_ms: float, maximum: float) -> None:
        self.value = value
        self.half_life_ms = half_life_ms
        self.maximum = maximum

    def points(self, age_ms: int) -> float:
        return min(max(self.value * _weight(age_ms, self.half_life_ms), -self.maximum), self.maximum)


class _ByDay:
    """A rule's points that age in days: gains and penalties of each day, worked out when first asked for."""

    __slots__ = ("_bounds", "_decay", "_gains", "_maximum", "_penalties", "only_falls")

    def __init__(self, total: dict[int, Points], decay: DecayCurve, maximum: float) -> None:
        self._maximum = maximum
        self._decay = decay
        self._gains = {day: points for day, points in total.items() if points > 0}
        self._penalties = {day: points for day, points in total.items() if points < 0}
        self._bounds: dict[tuple[int, int], float] = {}
        self.only_falls = decay.never_rises and not self._penalties

    def bound(self, gains_ms: int, penalties_ms: int) -> float:
        """The points within the ``max``, with gains as at one end of an interval and penalties as at the other."""
        days = (gains_ms // DAY_MS, penalties_ms // DAY_MS)
        points = self._bounds.get(days)
        if points is None:
            points = self._bounds[days] = min(max(self._unclamped(*days), -self._maximum), self._maximum)
        return points

    def _unclamped(self, gains_day: int, penalties_day: int) -> float:
        decay = self._decay
        if decay.never_rises or gains_day == penalties_day:
            gains, penalties = gains_day * DAY_MS, penalties_day * DAY_MS
            return day_aged(self._gains, decay, gains) + day_aged(self._penalties, decay, penalties)
        first_day, last_day = sorted((gains_day, penalties_day))
        choose, other = (min, max) if gains_day > penalties_day else (max, min)
        bounds = 0.0
        for of_sign, chosen in ((self._gains, choose), (self._penalties, other)):
            for day, points in of_sign.items():
                bounds += points * chosen(_weights(decay, first_day - day, last_day - day))
        return bounds


def _weight(age_ms: int, half_life_ms: float) -> float:
    return float(2.0 ** (-age_ms / half_life_ms))


def _weights(decay: DecayCurve, first_age: int, last_age: int) -> list[float]:
    """Every weight between two ages in days."""
    weights = decay.weights or ()
    return [*weights[max(0, first_age) : max(0, last_age) + 1], *([0.0] if last_age >= len(weights) else [])]
