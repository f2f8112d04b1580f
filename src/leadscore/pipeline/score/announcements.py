"""What the score stage tells operators in the log and in the readiness checks: a line per cause, not per shard."""

import logging
from collections.abc import Collection, Iterable, Mapping

from leadscore.errors import PartitionStopped, Unavailable
from leadscore.ops.config import Config
from leadscore.ops.ongoing import OngoingLog, ranges
from leadscore.ops.services import OutageLog, addresses_of
from leadscore.pipeline.score.reconcile import Found, ShardStart

_log = logging.getLogger(__name__)


class Announcements:
    """The lines of one score stage."""

    def __init__(self, config: Config) -> None:
        self._outages = OutageLog("score_paused", "score_resumed", addresses_of(config))
        self._stops = OngoingLog(_log, "log_partitions_stopped", "log_partitions_no_longer_stopped")

    def paused(self, now_s: float, outage: Unavailable) -> None:
        """A service does not do what is asked of it; nothing is applied meanwhile."""
        self._outages.note(now_s, outage)

    def resumed(self, now_s: float) -> None:
        """All of them do again."""
        self._outages.end(now_s)

    def started(self, starts: Collection[ShardStart]) -> None:
        """These shards go on."""
        for result, event in (
            (Found.CURRENT, "shards_started"),
            (Found.EMPTY, "shards_started"),
            (Found.BEHIND, "state_regression"),
            (Found.REBUILD, "state_rebuild"),
        ):
            level = logging.INFO if event == "shards_started" else logging.WARNING
            _tell_started(level, event, [begun for begun in starts if begun.start.result is result])

    def stopped(self, now_s: float, stopped: Mapping[int, PartitionStopped]) -> None:
        """These shards wait for an operator, and no others."""
        causes = {why.cause for why in stopped.values()}
        for cause in sorted(causes):
            of_cause = {number: why for number, why in stopped.items() if why.cause is cause}
            partitions, first = ranges(of_cause), str(of_cause[min(of_cause)])
            self._stops.note(
                now_s, cause.value, logging.ERROR, partitions, partitions=partitions, shards=len(of_cause), detail=first
            )
        self._stops.end_others(now_s, {cause.value for cause in causes})

    def fences_changed(self, numbers: Iterable[int]) -> None:
        """Redis holds other fences than this worker wrote: another worker has these shards, or Redis lost writes."""
        partitions = ranges(numbers)
        if partitions:
            _log.warning("fences_changed", extra={"partitions": partitions})


def _tell_started(level: int, event: str, starts: Collection[ShardStart]) -> None:
    if not starts:
        return
    fields: dict[str, object] = {
        "partitions": ranges(begun.facts.partition for begun in starts),
        "shards": len(starts),
        "found": next(iter(starts)).start.result.value,
    }
    lost_records = sum(begun.start.lost_records for begun in starts)
    _log.log(level, event, extra=fields | ({"lost_records": lost_records} if lost_records else {}))


def stopped_words(stopped: Mapping[int, PartitionStopped]) -> str:
    """Why shards are stopped, for people; of many the first one's reason, and how many there are."""
    if not stopped:
        return ""
    first = str(stopped[min(stopped)])
    return first if len(stopped) == 1 else f"{len(stopped)} partitions ({ranges(stopped)}) are stopped. {first}"
