"""When time alone takes a lead out of a threshold it is in (design 1.4, 1.7): past, or projected. Pure.

Two rules about what may be in this file

1. It asks and changes nothing: ``thresholds`` makes the leave that is found here.
2. Instants are whole milliseconds. The answer is the first one at which it is so, not the one after.

Terms

*Level*: the threshold's exit level, less 1e-9. *Below* is a score less than that.
*Flip*: an instant at which time alone changes what a condition says (``Outlook.flips``).
*Stretch*: the time from one flip to the millisecond before the next. What conditions say does not change in it.
*Course*: the score over a stretch (``course``): a clamped sum of decaying gains and decaying penalties. It need not
only fall: penalties decay as well.
*Lower bound*: a number that no score of an interval is below. It is cheap, and at most the truth.
*Hold*: the time after an enter at once in which the score does not end the stay.

Theory of operation

1. The time after the lead's last evaluation is cut into stretches, and these are looked at in turn.
2. If a condition disqualifies at a stretch's first instant, the lead leaves there, cause DISQUALIFIED.
3. Else, unless the hold lasts, the first instant below is looked for in the stretch, as an interval:
   a. If its first instant is below, that is it.
   b. If its lower bound is at the level or above, no instant is below.
   c. If the score only falls, there is one if the last instant is below; it is closed in on by slope.
   d. Else the interval is halved, and both halves are looked at like this, the earlier first.
4. A stretch without an end is looked at in pieces of 4 days, 16, 64 and so on, until the lower bound of all that is
   left is at the level or above, or 200 years are over.
5. A search without an end (``next_leave``) begins where ``sure_stay`` ends: no instant before can be the answer.

Example: 100 points (half-life 30 d) and -60 (half-life 7 d) on day 0, exit level 30. The score begins at 40, rises to
57.5 on day 12, and is 30 on day 51.6.

    interval in days    lower bound = gains at its end - penalties at its start
    0 to 4              91.2 - 60.0 = 31.2    none (3b)
    4 to 20             63.0 - 40.4 = 22.6    to be halved (3d)
        4 to 12         75.8 - 40.4 = 35.4    none
        12 to 20        63.0 - 18.3 = 44.7    none
    20 to 84            14.4 -  8.3 =  6.1    to be halved
        20 to 52        30.1 -  8.3 = 21.8    to be halved
            20 to 36    43.5 -  8.3 = 35.3    none
            36 to 52    30.1 -  1.7 = 28.4    only falls, and 29.7 on day 52 is below: closed in on (3c)

Kept in step

- ``Course.score`` with ``score.score_at``: what one adds up, the other must bound.
- ``Outlook.flips`` with ``Outlook.holds``: a test that changes its answer at an instant not named there is overlooked.
- ``no_leave_before`` with ``first_leave``: it may be early, never late. ``test_spared_work`` compares them.
- ``first_departure`` in ``tests/oracle.py`` finds the same instants from the definitions.
"""

from collections.abc import Iterator
from itertools import pairwise
from math import floor, log
from typing import Final

from leadscore.model.compiled import EPSILON
from leadscore.scoring.conditions import Leave, Outlook
from leadscore.scoring.course import Course
from leadscore.scoring.crossing import Cause
from leadscore.scoring.standing import Standing
from leadscore.scoring.sure_stay import FAR_MS, sure_until
from leadscore.time_units import DAY_MS

FIRST_PIECE_MS: Final = 4 * DAY_MS
"""The first piece of a stretch without an end."""
HORIZON_MS: Final = 200 * 366 * DAY_MS
"""How far ahead a leave is projected."""
GUESSES: Final = 3
"""How often the instant below may be guessed without the interval being halved."""
LATER: Final = 1.2
"""How much later than guessed the end of an interval is tried."""


class _Stretch:
    """The first and the last instant between two flips, and whether the score may end the stay: the hold is over."""

    __slots__ = ("end_ms", "may_fall", "start_ms")

    def __init__(self, start_ms: int, end_ms: int, *, may_fall: bool) -> None:
        self.start_ms = start_ms
        self.end_ms = end_ms
        self.may_fall = may_fall


class _Fall:
    """An interval in which the score only falls, from not below the level to below, with its scores."""

    __slots__ = ("above", "above_ms", "below", "below_ms")

    def __init__(self, above_ms: int, above: float, below_ms: int, below: float) -> None:
        self.above_ms = above_ms
        self.above = above
        self.below_ms = below_ms
        self.below = below


def disqualifying_condition(outlook: Outlook, at_ms: int) -> str | None:
    """The reason of the first condition of the file that disqualifies the lead at the instant."""
    for condition in outlook.model.conditions:
        if condition.disqualifies is not None and outlook.holds(condition.test, at_ms):
            return condition.disqualifies
    return None


def first_leave(outlook: Outlook, standing: Standing, after_ms: int, until_ms: int) -> Leave | None:
    """The first instant in (after_ms, until_ms] at which time alone takes the lead out of the threshold it is in."""
    score, level = standing.threshold.score, standing.threshold.exit - EPSILON
    for stretch in _stretches(outlook, standing, after_ms, until_ms):
        start_ms = stretch.start_ms
        if disqualifying_condition(outlook, start_ms) is not None:
            return Leave(start_ms, Cause.DISQUALIFIED)
        if stretch.may_fall:
            below_ms = _first_below(Course(outlook, score, start_ms), level, start_ms, stretch.end_ms)
            if below_ms is not None:
                return Leave(below_ms, Cause.TIME)
    return None


def next_leave(outlook: Outlook, standing: Standing, after_ms: int) -> Leave | None:
    """The first instant after ``after_ms`` at which the lead leaves if nothing else happens; ``None``: never."""
    key = (standing.state, after_ms)
    if key not in outlook.leaves:
        outlook.leaves[key] = _searched_leave(outlook, standing, after_ms)
    return outlook.leaves[key]


def _searched_leave(outlook: Outlook, standing: Standing, after_ms: int) -> Leave | None:
    """``first_leave`` without an end, begun where the lead may no longer be in for sure."""
    if disqualifying_condition(outlook, after_ms + 1) is None:
        sure_ms = sure_until(outlook, standing, after_ms)
        if sure_ms is not None:
            return None if sure_ms >= FAR_MS else first_leave(outlook, standing, sure_ms - 1, FAR_MS)
    return first_leave(outlook, standing, after_ms, FAR_MS)


def no_leave_before(outlook: Outlook, standing: Standing, after_ms: int) -> int | None:
    """An instant not later than the next leave, and exact if that is within a day; ``None``: it never leaves.

    This costs a fraction of the search, and most leads have another record before the instant comes.
    """
    if (standing.state, after_ms) in outlook.leaves:
        leave = next_leave(outlook, standing, after_ms)
        return None if leave is None else leave.at_ms
    sure_ms = sure_until(outlook, standing, after_ms)
    if sure_ms is not None:
        return None if sure_ms >= FAR_MS else sure_ms
    score, level = standing.threshold.score, standing.threshold.exit - EPSILON
    for stretch in _stretches(outlook, standing, after_ms, FAR_MS):
        start_ms = stretch.start_ms
        if disqualifying_condition(outlook, start_ms) is not None:
            return start_ms
        if stretch.may_fall:
            unsafe_ms = _not_safe_from(Course(outlook, score, start_ms), level, start_ms, stretch.end_ms)
            if unsafe_ms is not None:
                return unsafe_ms
    return None


def _stretches(outlook: Outlook, standing: Standing, after_ms: int, until_ms: int) -> Iterator[_Stretch]:
    entry = standing.state
    falls_from_ms = after_ms + 1
    if entry.held:
        falls_from_ms = max(falls_from_ms, entry.entered_ms + standing.threshold.hold_ms)
    starts = {after_ms + 1, falls_from_ms, *outlook.flips()}
    ordered = sorted(start for start in starts if after_ms < start <= until_ms)
    for start_ms, next_ms in pairwise([*ordered, until_ms + 1]):  # a tick may be older than the latest record
        yield _Stretch(start_ms, next_ms - 1, may_fall=start_ms >= falls_from_ms)


def _first_below(course: Course, level: float, start_ms: int, end_ms: int) -> int | None:
    """The first instant in [start_ms, end_ms] with a score below the level: step 3."""
    if end_ms >= FAR_MS:
        return _first_below_in_pieces(course, level, start_ms)
    start = course.score(start_ms)
    if start < level:
        return start_ms
    if start_ms == end_ms:
        return None
    end = course.score(end_ms)
    if end >= level and course.lower_bound(start_ms, end_ms) >= level:
        return None
    if course.only_falls(start_ms, end_ms):
        return _falls_below(course, level, _Fall(start_ms, start, end_ms, end)) if end < level else None
    middle_ms = _middle(start_ms, end_ms)
    below_ms = _first_below(course, level, start_ms, middle_ms)
    return _first_below(course, level, middle_ms + 1, end_ms) if below_ms is None else below_ms


def _first_below_in_pieces(course: Course, level: float, start_ms: int) -> int | None:
    """The first instant from ``start_ms`` on with a score below the level: step 4."""
    fall = _straight_fall(course, level, start_ms)
    if fall is not None:
        return _falls_below(course, level, fall)
    length_ms = FIRST_PIECE_MS
    last_ms = start_ms + HORIZON_MS
    while start_ms < last_ms:
        below_ms = _first_below(course, level, start_ms, start_ms + length_ms)
        if below_ms is not None:
            return below_ms
        start_ms, length_ms = start_ms + length_ms, 4 * length_ms
        if course.lower_bound(start_ms, FAR_MS) >= level:
            return None
    return None


def _straight_fall(course: Course, level: float, start_ms: int) -> _Fall | None:
    """Where the score goes below the level, if it only falls until then; ``None`` where that is not so, or not seen.

    The end of the interval is guessed as in ``_falls_below``, and a little later: what decays slowly stays longest.
    """
    above_ms, below_ms = start_ms, start_ms + FIRST_PIECE_MS
    above, below = course.score(above_ms), course.score(below_ms)
    for _ in range(GUESSES):
        if below < level:
            break
        share = _share(course, above, below, level)
        if share is None or not 1.0 <= share <= HORIZON_MS / (below_ms - above_ms):
            return None
        above_ms, below_ms = below_ms, above_ms + floor((below_ms - above_ms) * share * LATER) + 1
        above, below = below, course.score(below_ms)
    if above < level or below >= level or not course.only_falls(start_ms, below_ms):
        return None
    return _Fall(above_ms, above, below_ms, below)


def _share(course: Course, first: float, second: float, level: float) -> float | None:
    """When the exponential through two scores is at the level: 0 is at the first, 1 at the second."""
    constant = course.constant if course.constant < min(first, second, level) else 0.0
    if min(first, second, level) <= constant or first == second:
        return None
    return log((first - constant) / (level - constant)) / log((first - constant) / (second - constant))


def _not_safe_from(course: Course, level: float, start_ms: int, end_ms: int) -> int | None:
    """An instant not later than the first one below, and exact if that is within a day.

    After the day it is the start of the first piece whose lower bound is below the level.
    """
    stop_ms = min(start_ms + DAY_MS, end_ms)
    below_ms = _first_below(course, level, start_ms, stop_ms)
    if below_ms is not None:
        return below_ms
    length_ms, last_ms = DAY_MS, start_ms + HORIZON_MS
    while stop_ms < min(end_ms, last_ms) and course.lower_bound(stop_ms + 1, end_ms) < level:
        start_ms, length_ms = stop_ms + 1, 2 * length_ms
        stop_ms = min(start_ms + length_ms, end_ms)
        if course.lower_bound(start_ms, stop_ms) < level:
            return start_ms
    return None


def _middle(start_ms: int, end_ms: int) -> int:
    """Where to halve: between two days, if there are two, because what ages in days changes there."""
    first_day, last_day = start_ms // DAY_MS, end_ms // DAY_MS
    return (start_ms + end_ms) // 2 if first_day == last_day else (first_day + last_day + 1) // 2 * DAY_MS - 1


def _falls_below(course: Course, level: float, fall: _Fall) -> int:
    """The first instant below, of a score that only falls.

    It is taken for the exponential through the two instants tried last, which it often is: a few steps, where halving
    takes thirty. Where three of them did not halve the interval, it is halved, so that steps and plateaus of the score
    cost four times as much as that and no more.
    """
    above_ms, below_ms = fall.above_ms, fall.below_ms
    last_ms, last, earlier_ms, earlier = above_ms, fall.above, below_ms, fall.below
    guesses, width_ms = 0, below_ms - above_ms
    while below_ms - above_ms > 1:
        middle_ms = (above_ms + below_ms) // 2
        share = _share(course, last, earlier, level) if guesses < GUESSES else None
        if share is not None:
            middle_ms = min(max(last_ms + floor((earlier_ms - last_ms) * share), above_ms + 1), below_ms - 1)
        earlier_ms, earlier, last_ms, last = last_ms, last, middle_ms, course.score(middle_ms)
        if last < level:
            below_ms = middle_ms
        else:
            above_ms = middle_ms
        guesses += 1
        if 2 * (below_ms - above_ms) <= width_ms:
            guesses, width_ms = 0, below_ms - above_ms
    return below_ms
