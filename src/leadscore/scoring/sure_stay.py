"""How long a lead surely stays in a threshold, by one formula and without a search. Pure.

Terms, at an instant *t0* not before the lead's latest record

*Gains*: what rules with positive points give that decays, each at most its ``max``, all groups together. In a group
above its maximum those above maximum + penalties are left out: losing them first changes nothing.
*Slack*: how far the sum of engagement and fit is above the exit level.
*Half-life*: the shortest of the rules that give a gain.
*Flip*: an instant at which time alone changes what a condition says.

Penalties decay and thereby raise the score, every clamp is monotone, and no gain decays faster than by the shortest
half-life. So the sum falls by at most ``gains * (1 - 2 ** (-dt / half_life))`` within *dt*, and before

    t0 + half_life * log2(gains / (gains - slack))

it is not below the exit level; nor before the first flip does a condition change anything. Points that age in days may
all go at the next midnight: they are taken off the slack at once. Where that leaves none, or where a penalty may grow
(steps that rise with age), the formula says nothing, and ``timeline`` searches.

Example: 72 points of half-life 30 d, exit level 50: 30 * log2(72 / (72 - 22)) = 15.78 days. This is exact, as it always
is where all gains have one half-life and there is neither a penalty nor a clamp.

Kept in step with ``score.score_at``: whatever can fall must be a gain here.
"""

from math import inf, log2
from typing import Final

from leadscore.model.compiled import EPSILON, CompiledModel, CompiledScore, CompiledThreshold
from leadscore.scoring.conditions import Outlook
from leadscore.scoring.score import day_aged, fit_at, rule_points
from leadscore.scoring.standing import Standing
from leadscore.scoring.state import LeadState

FAR_MS: Final = 1 << 53
"""Later than any instant: everything that decays has decayed."""
_ROUNDING: Final = 1e-12
"""The share of the time that is left off, so that rounding makes no instant too late."""


class _Fall:
    """How far the score is above a level, and how fast it falls at most."""

    __slots__ = ("by_day", "gains", "half_life_ms", "slack")

    def __init__(self, slack: float, gains: float, by_day: float, half_life_ms: float) -> None:
        self.slack = slack
        self.gains = gains
        self.by_day = by_day
        """Points that age in days, and may be lost at midnight."""
        self.half_life_ms = half_life_ms

    def stays_ms(self) -> int | None:
        """How long the score surely stays at the level or above; ``None`` where only a search can say."""
        slack = self.slack - self.by_day
        if slack < 0.0:
            return None
        if slack >= self.gains:
            return FAR_MS
        return int(self.half_life_ms * log2(self.gains / (self.gains - slack)) * (1.0 - _ROUNDING))


class _Sums:
    """Points by group, the last entry for what has no group."""

    __slots__ = ("by_day", "gains", "half_life_ms", "lasting", "penalties")

    def __init__(self, model: CompiledModel) -> None:
        self.gains = [0.0] * (len(model.groups) + 1)
        self.lasting = list(self.gains)
        """Points of either sign that time does not change before the next flip."""
        self.penalties = list(self.gains)
        self.by_day = list(self.gains)
        self.half_life_ms = inf


def sure_until(outlook: Outlook, standing: Standing, after_ms: int) -> int | None:
    """An instant after ``after_ms`` before which time alone does not take the lead out; ``FAR_MS``: never.

    ``None`` where the formula does not say.
    """
    threshold, entry = standing.threshold, standing.state
    until_ms = FAR_MS
    if threshold.score.floor < threshold.exit:
        fall = _fall(outlook, threshold, after_ms)
        stays_ms = None if fall is None else fall.stays_ms()
        if entry.held:
            until_ms = max(after_ms + (stays_ms or 0), entry.entered_ms + threshold.hold_ms)
        elif stays_ms is None:
            return None
        else:
            until_ms = after_ms + stays_ms
    for flip_ms in outlook.flips():
        if after_ms < flip_ms < until_ms:
            until_ms = flip_ms
    return min(max(until_ms, after_ms + 1), FAR_MS)


def _fall(outlook: Outlook, threshold: CompiledThreshold, at_ms: int) -> _Fall | None:
    """The fall of the threshold's score to its exit level, from ``at_ms`` on; ``None`` where a penalty may grow."""
    state, model, score = outlook.state, outlook.model, threshold.score
    sums = _sums(state, model, score, at_ms)
    if sums is None:
        return None
    for condition in model.conditions:
        if condition.points and score.counts[condition.group] and outlook.holds(condition.test, at_ms):
            sums.lasting[condition.group] += condition.points
    total = fit_at(outlook) if score.counts_fit else 0.0
    gains = sums.gains[-1]
    total += gains + sums.lasting[-1] + sums.by_day[-1] + sums.penalties[-1]
    by_day = sums.by_day[-1]
    for group in score.groups:
        index = group.index
        rest = sums.lasting[index] + sums.penalties[index]
        points = rest + sums.gains[index] + sums.by_day[index]
        if points <= group.minimum:
            total += group.minimum  # and that is the least it can be
            continue
        total += min(group.maximum, points)
        over = points - group.maximum
        kept = sums.gains[index] if over <= 0.0 else sums.gains[index] - over
        gains += max(0.0, kept)
        by_day += sums.by_day[index]
    return _Fall(total - (threshold.exit - EPSILON), gains, by_day, sums.half_life_ms)


def _sums(state: LeadState, model: CompiledModel, score: CompiledScore, at_ms: int) -> _Sums | None:
    sums, age_ms = _Sums(model), at_ms - state.latest_record_ms
    for rule_id, total in zip(state.rules, state.totals, strict=True):
        rule = model.rules.get(rule_id)
        if rule is None or not total or not score.counts[rule.group]:
            continue
        decay, group = rule.decay, rule.group
        points = rule_points(rule, total, age_ms, at_ms)
        points = -rule.maximum if points < -rule.maximum else min(points, rule.maximum)
        if decay.half_life_ms is not None:
            if points < 0.0:
                sums.penalties[group] += points
            else:
                sums.gains[group] += points
                sums.half_life_ms = min(sums.half_life_ms, decay.half_life_ms)
        elif decay.weights is None:
            sums.lasting[group] += points
        elif not decay.never_rises:
            return None
        elif isinstance(total, dict):
            gains = day_aged({day: part for day, part in total.items() if part > 0}, decay, at_ms)
            sums.by_day[group] += gains
            sums.penalties[group] += points - gains
    return sums
