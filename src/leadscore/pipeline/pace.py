"""How a worker paces its turns: at once while it keeps up with its input, in large batches while it is behind. Pure.

    idle    nothing came for a while: a poll returns with the first record
    live    few records come with a turn: the same; what a turn has logged comes back within milliseconds, so the score
            stage waits for that
    lively  more come with a turn: turns begin some milliseconds apart, because frames and requests cost by the turn;
            the score stage waits for all that the turn has logged
    busy    hundreds come, and waiting costs more than it saves: the score stage takes what is back from the turn
            before, while the frames of this one are on their way
    behind  thousands of records came, and more have been in Kafka for a while: the match stage collects as well, and
            the score stage waits until much is in the log. Of many awards more are for the same leads: these are read,
            encoded and written once

The busier the worker, the more comes with a turn, and the less a record costs.
"""

from typing import NamedTuple

IDLE_WAIT_S = 0.02
WAIT_S = 0.005
"""Longer brings fuller batches, and leaves a worker that is behind idle: it did a third fewer events/s with 50 ms."""
TURN_S = 0.015
"""So far apart do lively turns begin. What comes during a longer turn is matched at once after it."""
BACK_S = 0.02
"""What was logged is waited for so long; what takes longer is scored with the next turn."""
LIVE_S = 1.0
"""For so long after a record neither consumer is left alone for longer than ``WAIT_S``."""
LIVELY_RECORDS = 10
BUSY_RECORDS = 300
"""From here on the score stage does not wait for the turn's own frames: matching and scoring this many takes about as
long as frames take to come back."""
BEHIND_RECORDS = 2_000
LATE_S = 1.0
"""The worker is behind once it has matched so much, as long as what comes next has been in Kafka for so long."""
SCORE_RECORDS = 300_000
SCORE_WAITS_S = 10.0
"""While the worker is behind, scoring waits until ``SCORE_RECORDS`` are matched, but no longer than this, and no longer
than it is late."""


class Waits(NamedTuple):
    """How long a poll waits for the first record, and for a full batch from then on.

    The client's own call knows only the latter: it keeps a single record until its time is over. ``first`` is the
    number of records to wait for where more than one are sure to come.
    """

    first_s: float
    more_s: float
    first: int = 1


AT_ONCE = Waits(0.0, 0.0)
_COLLECTING = Waits(0.0, WAIT_S)


class Pace:
    """Of one worker. Where it has no match stage, the records are those of the log."""

    def __init__(self, *, has_match: bool) -> None:
        self._has_match = has_match
        self._matched = 0
        self._logged = 0
        self._scored = 0
        self._turned_at_s = 0.0
        self._late_s = 0.0
        self._is_behind = False
        self._unscored = 0
        self._unscored_since_s = 0.0
        self._worked_at_s = -LIVE_S

    def match_waits(self, now_s: float, *, has_batch: bool) -> Waits:
        """For the poll of the match stage, which begins a turn; ``has_batch``: a full batch is at hand already."""
        if not self._is_behind:
            return self._waits_for_work(now_s, self._matched, self._collecting(now_s))
        if not has_batch:
            return _COLLECTING
        # What is at hand, and could not be matched, waits for earlier records of another partition.
        return AT_ONCE if self._matched else Waits(IDLE_WAIT_S, 0.0)

    def score_waits(self, now_s: float) -> Waits:
        """For the poll of the score stage, which ends a turn."""
        if not self._has_match:
            return self._waits_for_work(now_s, self._scored, _COLLECTING)
        if self._is_behind or self._matched >= BUSY_RECORDS:
            return AT_ONCE
        if self._logged:
            return Waits(BACK_S, 0.0, self._logged)
        return Waits(WAIT_S, 0.0) if self._matched or self._scored else AT_ONCE

    def is_time_to_score(self, now_s: float) -> bool:
        """Whether the score stage takes part in this turn."""
        has_waited = now_s - self._unscored_since_s >= min(self._late_s, SCORE_WAITS_S)
        return not self._is_behind or self._unscored >= SCORE_RECORDS or has_waited

    def matched(self, records: int, late_s: float, now_s: float, logged: int = 0) -> None:
        """So much was matched in this turn; what comes next has been in Kafka for so long.

        ``logged`` is the number of frames that the turn has logged and this worker will score.
        """
        self._logged, self._turned_at_s = logged, now_s
        if not self._unscored:
            self._unscored_since_s = now_s
        self._matched, self._late_s = records, late_s
        self._unscored += records
        is_much = self._unscored >= BEHIND_RECORDS or (self._is_behind and self._unscored > 0)
        self._is_behind = is_much and late_s > LATE_S
        self._count(records, now_s)

    def scored(self, records: int, now_s: float, *, has_more: bool) -> None:
        """The score stage had this number of records in this turn; ``has_more``: there were more than it polls for."""
        self._scored = records
        if not has_more:
            self._unscored = 0
        self._count(records, now_s)

    def _count(self, records: int, now_s: float) -> None:
        if records:
            self._worked_at_s = now_s

    def _collecting(self, now_s: float) -> Waits:
        return Waits(0.0, min(max(0.0, self._turned_at_s + TURN_S - now_s), TURN_S))

    def _waits_for_work(self, now_s: float, last: int, collecting: Waits) -> Waits:
        if last >= LIVELY_RECORDS:
            return collecting
        if self._matched or self._scored:
            return AT_ONCE
        return Waits(WAIT_S if now_s - self._worked_at_s < LIVE_S else IDLE_WAIT_S, 0.0)
