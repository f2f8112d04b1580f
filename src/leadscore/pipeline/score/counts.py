"""What the score stage counts, once per batch or per crossing."""

from collections.abc import Collection, Iterable, Mapping
from time import time
from typing import NamedTuple

from leadscore.errors import StopCause
from leadscore.log.records import Award, Frame
from leadscore.ops.metric_labels import AWARD_OUTCOMES, PUBLISHED_KINDS
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.score.batch import ScoreBatch
from leadscore.pipeline.score.forwarding import ForwardsRecord, kind_of
from leadscore.pipeline.score.publishing import Published
from leadscore.pipeline.score.reconcile import Found, ShardStart
from leadscore.pipeline.score.shard import FoldCounts, OutcomeAt
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
        self._awards = {outcome: metrics.score.awards.labels(outcome) for outcome in AWARD_OUTCOMES}
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
            self._count([unanswered])
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
        stored = [self._unanswered.pop(number) for number in numbers]
        if stored:
            self._count(stored)

    def _count(self, stored: Iterable[Unanswered]) -> None:
        """Count all shards at once: a counter costs a microsecond, however much it is raised by."""
        counts, decided = FoldCounts(), list[Award]()
        left_by_time = 0
        for owned, batch in stored:
            number = owned.shard.number
            of_shard = owned.shard.take_counts()
            counts.add(of_shard)
            self._count_outcomes(of_shard.outcomes, owned)
            outputs = batch.outputs_of(number)
            left_by_time += sum(1 for output in outputs if isinstance(output, Crossing) and output.cause is Cause.TIME)
            for message in batch.messages[number]:
                # Below ``publish_from`` it is a replay after a loss, and says nothing about latency.
                if message.offset >= owned.publish_from and isinstance(message.record, Frame):
                    decided += message.record.awards
        self._count_awards(counts)
        self._person.merges.inc(counts.merged)
        self._person.circles.inc(counts.circles)
        self._score.leads_left_by_time.inc(left_by_time)
        self._observe(decided)
        self._last_record.set_to_current_time()

    def _count_awards(self, counts: FoldCounts) -> None:
        awards = self._awards
        awards["applied"].inc(counts.applied)
        awards["duplicate"].inc(counts.duplicates)
        awards["rejected"].inc(counts.rejected)
        awards["skipped_replay"].inc(counts.replayed)
        awards["forwarded"].inc(counts.forwarded)

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
        self._attempts = {kind: metrics.publish.attempts.labels(kind) for kind in PUBLISHED_KINDS}
        self._publish = metrics.publish

    def produced(self, output: Published | ForwardsRecord) -> None:
        """It was handed to the client."""
        self._attempts[_kind(output)].inc()

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
