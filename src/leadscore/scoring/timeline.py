"""When time alone takes a lead out of a threshold (design 1.4, 1.7), past or projected. Pure.

Theory of operation. Between two flips of conditions the score is a clamped sum of fading points, gains and
penalties. It need not fall all the way: penalties fade as well. So the first instant below a level is not solved for
but closed in on. ``_Course.least`` gives a lower bound of the score over an interval: a gain is least at its end, a
penalty weighs most at its start, and every clamp is monotone. Where the bound stays at the level, there is nothing;
otherwise the interval is halved, earlier half first, down to the millisecond. Points with the same half-life are
added up before they are bounded, where no clamp stands between them: else a gain and a penalty that cancel out would
look like a fall for ever. Where the gains fall faster than the penalties fade, the score only falls, and the instant
is found in a few steps.
"""

from collections.abc import Iterator
from itertools import pairwise
from math import inf, log

from leadscore.model.compiled import EPSILON, NO_GROUP, CompiledRule, CompiledThreshold, DecayCurve
from leadscore.scoring.conditions import Exit, Outlook
from leadscore.scoring.crossing import Cause
from leadscore.scoring.score import day_aged, fit_of
from leadscore.scoring.state import ThresholdState, Total
from leadscore.time_units import DAY_MS

FAR_MS = 1 << 53
"""Later than any instant: everything that fades has faded."""
FIRST_STRETCH_MS = 4 * DAY_MS
"""How far is looked first."""
HORIZON_MS = 200 * 366 * DAY_MS
"""How far ahead a leave is projected."""


def disqualifying_condition(outlook: Outlook, at_ms: int) -> str | None:
    """The reason of the first condition of the file that disqualifies the lead at the instant."""
    for condition in outlook.model.conditions:
        if condition.disqualifies is not None and outlook.holds(condition.test, at_ms):
            return condition.disqualifies
    return None


def first_exit(
    outlook: Outlook, standing: tuple[CompiledThreshold, ThresholdState], after_ms: int, until_ms: int
) -> Exit | None:
    """The first instant in (after_ms, until_ms] at which time alone takes the lead out of the threshold it is in."""
    level = standing[0].exit - EPSILON
    for start_ms, end_ms, may_fall in _stretches(outlook, standing, after_ms, until_ms):
        if disqualifying_condition(outlook, start_ms) is not None:
            return Exit(start_ms, Cause.DISQUALIFIED)
        if may_fall:
            below_ms = _first_below(_Course(outlook, start_ms), level, start_ms, end_ms)
            if below_ms is not None:
                return Exit(below_ms, Cause.TIME)
    return None


def _stretches(
    outlook: Outlook, standing: tuple[CompiledThreshold, ThresholdState], after_ms: int, until_ms: int
) -> Iterator[tuple[int, int, bool]]:
    """First and last instant of each time between two flips of conditions, and whether the score may end the stay."""
    threshold, at = standing
    falls_from_ms = max(after_ms + 1, at.entered_ms + threshold.hold_ms) if at.held else after_ms + 1
    starts = {after_ms + 1, falls_from_ms}
    starts |= {flip for condition in outlook.model.conditions for flip in outlook.flips(condition.test)}
    ordered = sorted(start for start in starts if after_ms < start <= until_ms)
    for start_ms, after_end_ms in pairwise([*ordered, until_ms + 1]):  # a tick may be older than the latest record
        yield start_ms, after_end_ms - 1, start_ms >= falls_from_ms


def next_exit(outlook: Outlook, standing: tuple[CompiledThreshold, ThresholdState], after_ms: int) -> Exit | None:
    """The first instant after ``after_ms`` at which the lead leaves if nothing else happens; ``None``: never."""
    asked = (standing[1], after_ms)
    if asked not in outlook.exits:
        outlook.exits[asked] = first_exit(outlook, standing, after_ms, FAR_MS)
    return outlook.exits[asked]


def no_exit_before(outlook: Outlook, standing: tuple[CompiledThreshold, ThresholdState], after_ms: int) -> int | None:
    """An instant not later than the next exit, and exact if that is within a day; ``None``: never.

    To find it costs a fraction, and most leads have another record before it comes.
    """
    if (standing[1], after_ms) in outlook.exits:
        known = next_exit(outlook, standing, after_ms)
        return None if known is None else known.at_ms
    level = standing[0].exit - EPSILON
    for start_ms, end_ms, may_fall in _stretches(outlook, standing, after_ms, FAR_MS):
        if disqualifying_condition(outlook, start_ms) is not None:
            return start_ms
        if may_fall:
            unsafe_ms = _not_safe_from(_Course(outlook, start_ms), level, start_ms, end_ms)
            if unsafe_ms is not None:
                return unsafe_ms
    return None


class _ByDay:
    """A rule's points that age in days: gains and penalties of each day, worked out when first asked for."""

    __slots__ = ("_decay", "_gains", "_known", "_penalties", "cap", "only_falls")

    def __init__(self, total: dict[int, int | float], decay: DecayCurve, cap: float) -> None:
        self.cap = cap
        self._decay = decay
        self._gains = {day: points for day, points in total.items() if points > 0}
        self._penalties = {day: points for day, points in total.items() if points < 0}
        self._known: dict[tuple[int, int], float] = {}
        self.only_falls = decay.never_rises and not self._penalties

    def least(self, gains_ms: int, penalties_ms: int) -> float:
        """A lower bound; the instants say how the interval ends for gains and for penalties."""
        days = (gains_ms // DAY_MS, penalties_ms // DAY_MS)
        points = self._known.get(days)
        if points is None:
            points = self._known[days] = min(max(self._least(*days), -self.cap), self.cap)
        return points

    def _least(self, gains_day: int, penalties_day: int) -> float:
        decay = self._decay
        if decay.never_rises or gains_day == penalties_day:
            gains, penalties = gains_day * DAY_MS, penalties_day * DAY_MS
            return day_aged(self._gains, decay, gains) + day_aged(self._penalties, decay, penalties)
        first_day, last_day = sorted((gains_day, penalties_day))
        choose, other = (min, max) if gains_day > penalties_day else (max, min)
        return sum(
            points * chosen(_weights(decay, first_day - day, last_day - day))
            for of_sign, chosen in ((self._gains, choose), (self._penalties, other))
            for day, points in of_sign.items()
        )


class _Sum:
    """Points under one pair of limits; ``values`` are those that fade by half-life, at the lead's latest record."""

    __slots__ = ("capped", "constant", "days", "high", "low", "values")

    def __init__(self, low: float, high: float) -> None:
        self.low = low
        self.high = high
        self.constant = 0.0
        self.values: dict[float, float] = {}
        self.capped: list[tuple[float, float, float]] = []
        self.days: list[_ByDay] = []

    def add(self, rule: CompiledRule, total: Total, age_ms: int) -> None:
        half_life_ms, cap = rule.decay.half_life_ms, rule.cap
        if isinstance(total, dict):
            self.days.append(_ByDay(total, rule.decay, cap))
        elif half_life_ms is None:
            self.constant += min(max(total, -cap), cap) if rule.decay.weights is None else 0.0
        elif abs(total) * _weight(age_ms, half_life_ms) > cap:
            self.capped.append((total, half_life_ms, cap))
        else:  # within its cap now, so from now on
            self.values[half_life_ms] = self.values.get(half_life_ms, 0.0) + total

    def at(self, age_ms: int, at_ms: int) -> float:
        """Its points at an instant, before its limits; ``age_ms`` is the time since the latest record."""
        points = self.constant
        for half_life_ms, value in self.values.items():
            points += value * 2.0 ** (-age_ms / half_life_ms)
        for value, half_life_ms, cap in self.capped:
            points += min(max(value * _weight(age_ms, half_life_ms), -cap), cap)
        for each in self.days:
            points += each.least(at_ms, at_ms)
        return points

    def falling(self, early: tuple[int, int], late: tuple[int, int]) -> float:
        """A lower bound of how fast it falls between the two (points per ms); below 0 it may rise."""
        if any(value < 0 for value, _, _ in self.capped):
            return -inf
        if early[1] // DAY_MS != late[1] // DAY_MS and not all(each.only_falls for each in self.days):
            return -inf
        return sum(
            value / half_life_ms * _weight((late if value > 0 else early)[0], half_life_ms)
            for half_life_ms, value in self.values.items()
        )

    def least(self, gains: tuple[int, int], penalties: tuple[int, int]) -> float:
        """A lower bound; ``gains`` and ``penalties`` are the (age since the latest record, instant) of each."""
        points = self.constant
        for half_life_ms, value in self.values.items():
            points += value * _weight((gains if value > 0 else penalties)[0], half_life_ms)
        for value, half_life_ms, cap in self.capped:
            points += min(max(value * _weight((gains if value > 0 else penalties)[0], half_life_ms), -cap), cap)
        for each in self.days:
            points += each.least(gains[1], penalties[1])
        return points


class _Course:
    """How the score goes on from ``start_ms`` to the next flip of a condition."""

    def __init__(self, outlook: Outlook, start_ms: int) -> None:
        state, model = outlook.state, outlook.model
        self._floor, self._ceiling = model.floor, model.ceiling
        self._latest_ms = state.latest_record_ms
        self._free = _Sum(-float("inf"), float("inf"))
        self._groups = [_Sum(group.low, group.high) for group in model.groups]
        sums = [*self._groups, self._free]
        for rule_id, total in zip(state.rules, state.totals, strict=True):
            rule = model.rules.get(rule_id)
            if rule is not None and total:
                sums[rule.group].add(rule, total, start_ms - self._latest_ms)
        for condition in model.conditions:
            if condition.points and outlook.holds(condition.test, start_ms):
                sums[condition.group].constant += condition.points
        sums[NO_GROUP].constant += model.fit_without_values if state.flags is None else fit_of(state, model)

    def only_falls(self, start_ms: int, end_ms: int) -> bool:
        """Whether the score certainly never rises in [start_ms, end_ms]."""
        early, late = (start_ms - self._latest_ms, start_ms), (end_ms - self._latest_ms, end_ms)
        falling = self._free.falling(early, late)
        for group in self._groups:
            of_group = group.falling(early, late)
            if group.least(late, early) >= group.low and group.least(early, late) <= group.high:
                falling += of_group
            elif of_group < 0:  # what falls and is clamped still does not rise
                return False
        return falling >= 0

    def score(self, at_ms: int) -> float:
        """The score at an instant."""
        age_ms = at_ms - self._latest_ms
        total = self._free.at(age_ms, at_ms)
        for group in self._groups:
            points = group.at(age_ms, at_ms)
            total += group.low if points < group.low else min(points, group.high)
        return min(max(total, self._floor), self._ceiling)

    def least(self, start_ms: int, end_ms: int) -> float:
        """A lower bound of the score in [start_ms, end_ms]."""
        early, late = (start_ms - self._latest_ms, start_ms), (end_ms - self._latest_ms, end_ms)
        total = 0.0
        pooled: dict[float, float] = dict(self._free.values)
        for group in self._groups:
            least = group.least(late, early)
            if least < group.low or group.least(early, late) > group.high:
                total += min(max(least, group.low), group.high)
                continue
            for half_life_ms, value in group.values.items():
                pooled[half_life_ms] = pooled.get(half_life_ms, 0.0) + value
                least -= value * _weight((late if value > 0 else early)[0], half_life_ms)
            total += least
        free = self._free
        kept, free.values = free.values, pooled
        total += free.least(late, early)
        free.values = kept
        return min(max(total, self._floor), self._ceiling)


def _weight(age_ms: int, half_life_ms: float) -> float:
    return float(2.0 ** (-age_ms / half_life_ms))


def _weights(decay: DecayCurve, first_age: int, last_age: int) -> list[float]:
    """Every weight between two ages in days."""
    weights = decay.weights or ()
    return [*weights[max(0, first_age) : max(0, last_age) + 1], *([0.0] if last_age >= len(weights) else [])]


def _first_below(course: _Course, level: float, start_ms: int, end_ms: int) -> int | None:
    """The first instant in [start_ms, end_ms] with a score below the level."""
    if course.score(start_ms) < level:
        return start_ms
    if end_ms >= FAR_MS:
        return _first_below_ahead(course, level, start_ms)
    if start_ms == end_ms or course.least(start_ms, end_ms) >= level:
        return None
    if course.only_falls(start_ms, end_ms):
        return _falls_below(course, level, start_ms, end_ms) if course.score(end_ms) < level else None
    middle_ms = _middle(start_ms, end_ms)
    found_ms = _first_below(course, level, start_ms, middle_ms)
    return _first_below(course, level, middle_ms + 1, end_ms) if found_ms is None else found_ms


def _not_safe_from(course: _Course, level: float, start_ms: int, end_ms: int) -> int | None:
    """Not later than the first instant below the level: the start of the first stretch that is not known to stay."""
    stop_ms = min(start_ms + DAY_MS, end_ms)
    below_ms = _first_below(course, level, start_ms, stop_ms)
    if below_ms is not None:
        return below_ms
    length_ms, last_ms = DAY_MS, start_ms + HORIZON_MS
    while stop_ms < min(end_ms, last_ms) and course.least(stop_ms + 1, end_ms) < level:
        start_ms, length_ms = stop_ms + 1, 2 * length_ms
        stop_ms = min(start_ms + length_ms, end_ms)
        if course.least(start_ms, stop_ms) < level:
            return start_ms
    return None


def _middle(start_ms: int, end_ms: int) -> int:
    """Where to halve: between two days, if there are two, because what ages in days changes there."""
    first_day, last_day = start_ms // DAY_MS, end_ms // DAY_MS
    return (start_ms + end_ms) // 2 if first_day == last_day else (first_day + last_day + 1) // 2 * DAY_MS - 1


def _falls_below(course: _Course, level: float, above_ms: int, below_ms: int) -> int:
    """The same where the score only falls, from not below the level at ``above_ms`` to below it at ``below_ms``.

    Between the two it is taken for one exponential, which it often is: a few steps, where halving takes thirty. Every
    other step halves, so that steps and plateaus of the score cost no more than that.
    """
    above, below = course.score(above_ms), course.score(below_ms)
    halves = False
    while below_ms - above_ms > 1:
        middle_ms = (above_ms + below_ms) // 2
        if not halves and below > 0 and above > level > 0:
            share = log(above / level) / log(above / below)
            guess_ms = above_ms + round((below_ms - above_ms) * share)
            middle_ms = min(max(guess_ms, above_ms + 1), below_ms - 1)
        score = course.score(middle_ms)
        far_ms = below_ms - above_ms
        if score < level:
            below_ms, below = middle_ms, score
        else:
            above_ms, above = middle_ms, score
        halves = not halves and 2 * (below_ms - above_ms) > far_ms
    return below_ms


def _first_below_ahead(course: _Course, level: float, start_ms: int) -> int | None:
    """The same without an end: longer and longer stretches, until everything left is known to stay above."""
    length_ms = FIRST_STRETCH_MS
    last_ms = start_ms + HORIZON_MS
    while start_ms < last_ms and course.least(start_ms, FAR_MS) < level:
        found_ms = _first_below(course, level, start_ms, start_ms + length_ms)
        if found_ms is not None:
            return found_ms
        start_ms, length_ms = start_ms + length_ms, 4 * length_ms
    return None
