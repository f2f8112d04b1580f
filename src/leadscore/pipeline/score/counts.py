"""What the score stage tells operators: metrics once per batch or per crossing, and a line where a shard starts."""

import logging
from collections.abc import Callable, Iterable
from time import time

from leadscore.log.records import Frame
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.score.log_message import LogMessage
from leadscore.pipeline.score.publishing import ErasedLead, Output
from leadscore.pipeline.score.reconcile import Facts, Found, Start
from leadscore.pipeline.score.ticking import OwnedShard
from leadscore.scoring.crossing import Cause, Crossing

_log = logging.getLogger(__name__)


class ScoreCounts:
    """Counts what became of awards and crossings."""

    def __init__(self, metrics: Metrics) -> None:
        self._score = metrics.score
        self._state = metrics.state
        self._last_record = metrics.process.last_record_processed_timestamp.labels("score")

    def started(self, facts: Facts, start: Start) -> None:
        """A shard goes on after reconciling."""
        state = self._state
        state.reconciliations.labels(start.found.value).inc()
        where = {"partition": facts.partition, "offset": start.offset, "committed": facts.committed}
        if start.found is Found.BEHIND:
            state.state_regressions.inc()
            _log.warning("state_regression", extra={**where, "lost_records": start.lost_records})
        elif start.found is Found.REBUILD:
            state.state_losses.inc()
            _log.warning("state_rebuild", extra={**where, "lost_records": start.lost_records})
        else:
            _log.info("shard_started", extra={**where, "found": start.found.value})

    def written(self, owned: OwnedShard, messages: Iterable[LogMessage], outputs: Iterable[Output]) -> None:
        """The messages of a shard are folded and stored."""
        counts = owned.shard.take_counts()
        awards = self._score.awards
        awards.labels("applied").inc(counts.applied)
        awards.labels("duplicate").inc(counts.duplicates)
        awards.labels("rejected").inc(counts.rejected)
        awards.labels("skipped_replay").inc(counts.replayed)
        by_time = sum(1 for output in outputs if isinstance(output, Crossing) and output.cause is Cause.TIME)
        self._score.leads_left_by_time.inc(by_time)
        now_ms = time() * 1000
        # Below ``publish_from`` it is a replay after a loss, and says nothing about latency.
        current = (message.record for message in messages if message.offset >= owned.publish_from)
        frames = (record for record in current if isinstance(record, Frame))
        self._score.event_to_decision.observe_all(
            # An event may be dated ahead: a sum that falls is none that Prometheus can work with.
            [max(0.0, now_ms - award.occurred_at_ms) / 1000 for frame in frames for award in frame.awards]
        )
        self._last_record.set_to_current_time()

    def when_published(self, output: Output) -> Callable[[], None] | None:
        """What to count when Kafka has stored the output's record."""
        if isinstance(output, ErasedLead):
            return None
        score = self._score
        published = score.crossings_published.labels(output.threshold, output.direction.value, output.cause.value)

        def count() -> None:
            published.inc()
            score.decision_to_publish.observe(max(0.0, time() - output.decided_at_ms / 1000))

        return count
