"""What the score stage counts, once per batch or per crossing."""

from collections.abc import Collection, Iterable, Mapping
from time import time
from typing import NamedTuple

from leadscore.errors import StopCause
from leadscore.log.records import Award, Frame
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.score.batch import ScoreBatch
from leadscore.pipeline.score.forwarding import ForwardsRecord, kind_of
from leadscore.pipeline.score.publishing import Published
from leadscore.pipeline.score.reconcile import Found, ShardStart
from leadscore.pipeline.score.shard import OutcomeAt
from leadscore.pipeline.score.shards import OwnedShard
from leadscore.scoring.crossing import Cause, Crossing
from leadscore.scoring.latest_score import LeadGone, ScoreNews
from leadscore.scoring.outputs import ErasedLead


class Unanswered(NamedTuple):
    """A shard as it was folded, and the batch: whether that is stored is not known yet."""

    owned: OwnedShard
    batch: ScoreBatch


class ScoreCounts:
    """Counts what became of awards and crossings."""

    def __init__(self, metrics: Metrics) -> None:
        self._score = metrics.score
        self._latency = metrics.latency
        self._person = metrics.person
        self._state = metrics.state
        self._lost: set[int] = set()
        self._unanswered: dict[int, Unanswered] = {}
        self._last_record = metrics.process.last_record_processed_timestamp.labels("score")

    def started(self, begun: ShardStart) -> None:
        """A shard goes on after reconciling."""
        result, number = begun.start.result, begun.facts.partition
        unanswered = self._unanswered.pop(number, None)
        if unanswered is not None and unanswered.owned.shard.pending(0).fence == begun.stored.fence:
            self._count_written(number, unanswered)
        self._state.reconciliations.labels(result.value).inc()
        if result is Found.BEHIND:
            self._state.state_regressions.inc()
        elif result is Found.REBUILD and number not in self._lost:
            self._state.state_losses.inc()
        self._lost.discard(number)

    def stopped(self, number: int, cause: StopCause) -> None:
        """A shard waits for an operator; it is looked at again and again, and its state is lost once."""
        self._state.reconciliations.labels("stopped").inc()
        if cause is StopCause.STATE_LOST and number not in self._lost:
            self._lost.add(number)
            self._state.state_losses.inc()

    def writing(self, owned: Mapping[int, OwnedShard], batch: ScoreBatch) -> None:
        """A batch is about to be stored. Where the answer gets lost, reconciling shows whether it was."""
        self._unanswered |= {number: Unanswered(owned[number], batch) for number in batch.messages}

    def written(self, numbers: Iterable[int]) -> None:
        """What these shards had to write is stored."""
        for number in numbers:
            self._count_written(number, self._unanswered.pop(number))

    def _count_written(self, number: int, stored: Unanswered) -> None:
        owned, messages, outputs = stored.owned, stored.batch.messages[number], stored.batch.outputs_of(number)
        counts = owned.shard.take_counts()
        awards = self._score.awards
        awards.labels("applied").inc(counts.applied)
        awards.labels("duplicate").inc(counts.duplicates)
        awards.labels("rejected").inc(counts.rejected)
        awards.labels("skipped_replay").inc(counts.replayed)
        awards.labels("forwarded").inc(counts.forwarded)
        self._person.merges.inc(counts.merged)
        self._person.circles.inc(counts.circles)
        self._count_outcomes(counts.outcomes, owned)
        by_time = sum(1 for output in outputs if isinstance(output, Crossing) and output.cause is Cause.TIME)
        self._score.leads_left_by_time.inc(by_time)
        # Below ``publish_from`` it is a replay after a loss, and says nothing about latency.
        current = (message.record for message in messages if message.offset >= owned.publish_from)
        frames = (record for record in current if isinstance(record, Frame))
        self._observe([award for frame in frames for award in frame.awards])
        self._last_record.set_to_current_time()

    def _observe(self, awards: list[Award]) -> None:
        now_ms = int(time() * 1000)
        self._latency.event_to_decision.observe_ages(now_ms, [award.occurred_at_ms for award in awards])
        received_ms = [award.received_at_ms for award in awards if award.received_at_ms is not None]
        self._latency.record_to_decision.observe_ages(now_ms, received_ms)

    def _count_outcomes(self, outcomes: Iterable[OutcomeAt], owned: OwnedShard) -> None:
        """Below ``publish_from`` they were counted when they were first folded."""
        for offset, said in outcomes:
            if offset >= owned.publish_from:
                self._score.count_said(said)
                self._latency.said(said)


class CrossingCounts:
    """Crossings, erasures and forwards on their way to Kafka."""

    def __init__(self, metrics: Metrics) -> None:
        self._score = metrics.score
        self._latency = metrics.latency
        self._person = metrics.person
        self._publish = metrics.publish

    def produced(self, output: Published | ForwardsRecord) -> None:
        """It was handed to the client."""
        self._publish.attempts.labels(_kind(output)).inc()

    def acknowledged(self, output: Published | ForwardsRecord) -> None:
        """Kafka has it."""
        if isinstance(output, ErasedLead):
            return
        if isinstance(output, ForwardsRecord):
            for forward in output.forwards:
                self._person.forwards_published.labels(kind_of(forward)).inc()
            return
        self._score.count_published(output)
        self._latency.published(output, time())

    def failed(self, output: Published | ForwardsRecord) -> None:
        """Kafka will never have it."""
        self._publish.failures.labels(_kind(output)).inc()


class ScoreNewsCounts:
    """News of the scores topic, by the transaction."""

    def __init__(self, metrics: Metrics) -> None:
        self._score = metrics.score
        self._publish = metrics.publish

    def committed(self, news: Collection[ScoreNews]) -> None:
        """The scores topic has them."""
        tombstones = sum(1 for one in news if isinstance(one, LeadGone))
        self._publish.attempts.labels("score").inc(len(news))
        self._score.scores_published.labels("latest").inc(len(news) - tombstones)
        self._score.scores_published.labels("tombstone").inc(tombstones)

    def failed(self, number: int) -> None:
        """A transaction of so much news was refused, or not answered; they are tried again."""
        self._publish.attempts.labels("score").inc(number)
        self._publish.failures.labels("score").inc(number)


def _kind(output: Published | ForwardsRecord) -> str:
    if isinstance(output, ForwardsRecord):
        return "forwards"
    return "erasure" if isinstance(output, ErasedLead) else "crossing"
