"""Dead letters in the log: one line per cause and minute, however many there are, and one when no more come.

A cause is a topic and a reason. Its first dead letter is told at once; those that follow are counted, and told with the
position of the first of them.
"""

import logging
from dataclasses import dataclass
from typing import NamedTuple

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.pipeline.match.dead_letter_headers import Origin

_log = logging.getLogger(__name__)

LINE_EVERY_S = 60.0


class _Cause(NamedTuple):
    topic: str
    reason: DeadLetterReason


@dataclass(slots=True)
class _Standing:
    """A cause that is not over: since when, how many in all, and what was not told yet."""

    since_s: float
    told_at_s: float
    total: int = 0
    untold: int = 0
    first: Origin | None = None
    detail: str = ""


class DeadLetterLog:
    """Tells of dead letters; instants are seconds of Unix time."""

    def __init__(self) -> None:
        self._standing: dict[_Cause, _Standing] = {}

    def note(self, now_s: float, origin: Origin, failure: DeadLetter) -> None:
        """One more dead letter."""
        cause = _Cause(origin.topic, failure.reason)
        standing = self._standing.get(cause)
        is_new = standing is None
        if standing is None:
            standing = self._standing[cause] = _Standing(now_s, now_s)
        standing.total += 1
        standing.untold += 1
        if standing.first is None:
            standing.first, standing.detail = origin, failure.detail
        if is_new:
            _tell(now_s, cause, standing)

    def look(self, now_s: float) -> None:
        """Tell what is to be told by now."""
        for cause, standing in list(self._standing.items()):
            if now_s - standing.told_at_s < LINE_EVERY_S:
                continue
            if standing.untold:
                _tell(now_s, cause, standing)
            else:
                del self._standing[cause]
                said = {"topic": cause.topic, "reason": cause.reason.value}
                lasted_s = round(standing.told_at_s - standing.since_s)
                _log.info("dead_letters_over", extra={**said, "count": standing.total, "lasted_s": lasted_s})


def _tell(now_s: float, cause: _Cause, standing: _Standing) -> None:
    first = standing.first
    said = {"topic": cause.topic, "reason": cause.reason.value, "count": standing.untold, "detail": standing.detail}
    where = {} if first is None else {"partition": first.partition, "offset": first.offset}
    _log.warning("dead_letter", extra={**said, **where})
    standing.told_at_s, standing.untold, standing.first = now_s, 0, None
