"""When time alone takes a lead out of a threshold (design 1.4, 1.7), past or projected. Pure.

Theory of operation. Between two flips of conditions the score is a clamped sum of decaying points. It need not fall all
the way: penalties fade as well. So the first instant below a level is not solved for but closed in on: where the lower
bound over an interval (``least_score``) stays at the level, nothing is there; otherwise the interval is halved, earlier
half first, down to the millisecond. The bound tightens as intervals shrink, so this visits few of them.
"""

from typing import NamedTuple

from leadscore.model.compile import CompiledModel, CompiledThreshold
from leadscore.scoring.conditions import flips, holds
from leadscore.scoring.crossing import Cause
from leadscore.scoring.score import EPSILON, least_score, score_at
from leadscore.scoring.state import DAY_MS, LeadState, ThresholdState

FAR_MS = 1 << 53
"""Later than any instant: everything that fades has faded."""
HORIZON_MS = 200 * 366 * DAY_MS
"""How far ahead a leave is projected."""


class Exit(NamedTuple):
    """When and why time takes a lead out of a threshold."""

    at_ms: int
    cause: Cause


def disqualifying_condition(state: LeadState, model: CompiledModel, at_ms: int) -> str | None:
    """The reason of the first condition of the file that disqualifies the lead at the instant."""
    for condition in model.conditions:
        if condition.disqualifies is not None and holds(condition.test, state, model, at_ms):
            return condition.disqualifies
    return None


def first_exit(
    state: LeadState, model: CompiledModel, standing: tuple[CompiledThreshold, ThresholdState], after_ms: int, until_ms: int
) -> Exit | None:
    """The first instant in (after_ms, until_ms] at which time alone takes the lead out of the threshold it is in."""
    threshold, at = standing
    falls_from_ms = max(after_ms + 1, at.entered_ms + threshold.hold_ms if at.held else after_ms + 1)
    starts = {after_ms + 1, falls_from_ms}
    starts |= {flip for condition in model.conditions for flip in flips(condition.test, state, model)}
    ordered = sorted(start for start in starts if after_ms < start <= until_ms)
    for start, end in zip(ordered, [*(start - 1 for start in ordered[1:]), until_ms], strict=True):
        if disqualifying_condition(state, model, start) is not None:
            return Exit(start, Cause.DISQUALIFIED)
        if start >= falls_from_ms:
            below_ms = _first_below(state, model, threshold.exit - EPSILON, start, end)
            if below_ms is not None:
                return Exit(below_ms, Cause.TIME)
    return None


def next_exit(state: LeadState, model: CompiledModel, standing: tuple[CompiledThreshold, ThresholdState], after_ms: int) -> Exit | None:
    """The first instant after ``after_ms`` at which the lead leaves if nothing else happens; ``None``: never."""
    return first_exit(state, model, standing, after_ms, FAR_MS)


def _first_below(state: LeadState, model: CompiledModel, level: float, start_ms: int, end_ms: int) -> int | None:
    """The first instant in [start_ms, end_ms], in which no condition flips, with a score below the level."""
    if score_at(state, model, start_ms).value < level:
        return start_ms
    if end_ms == FAR_MS:
        return _first_below_ahead(state, model, level, start_ms)
    if start_ms == end_ms or least_score(state, model, start_ms, end_ms) >= level:
        return None
    middle_ms = (start_ms + end_ms) // 2
    if start_ms < middle_ms:
        found_ms = _first_below(state, model, level, start_ms, middle_ms)
        if found_ms is not None:
            return found_ms
    return _first_below(state, model, level, middle_ms + 1, end_ms)


def _first_below_ahead(state: LeadState, model: CompiledModel, level: float, start_ms: int) -> int | None:
    """The same without an end: stretches of doubling length, until everything left is known to stay above."""
    length_ms = DAY_MS
    last_ms = start_ms + HORIZON_MS
    while start_ms < last_ms and least_score(state, model, start_ms, FAR_MS) < level:
        found_ms = _first_below(state, model, level, start_ms, start_ms + length_ms)
        if found_ms is not None:
            return found_ms
        start_ms, length_ms = start_ms + length_ms, 2 * length_ms
    return None
