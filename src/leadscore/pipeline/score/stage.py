"""The score stage: poll -> read -> fold -> write -> publish -> commit (design 2.4). One owner per log partition.

Rules of the flow: the fenced write is the only way state changes; a crossing is published after the write that
stored it in the outbox; a log offset is committed after the crossings up to it are acknowledged. Whatever goes wrong
with a shard, a lost connection, a fence that is not ours, ends in the same place: throw its memory away and reconcile.

Publishing only produces records and waits for no answer, so reading and folding the next batch overlaps with it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import time
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, Message
from msgspec.structs import replace

from leadscore.errors import PartitionStopped, Unavailable
from leadscore.log.records import NO_EPOCH
from leadscore.ops.config import Config
from leadscore.ops.metrics import Metrics
from leadscore.ops.tracing import NO_SPANS, BatchSpans
from leadscore.pipeline.backoff import Backoff
from leadscore.pipeline.kafka.commit_policy import Offsets
from leadscore.pipeline.kafka.commits import Commits
from leadscore.pipeline.kafka.deadline import DrainBudget
from leadscore.pipeline.kafka.lag_times import ReadTimes
from leadscore.pipeline.kafka.outbound import Outbound
from leadscore.pipeline.kafka.questions import REQUEST_TIMEOUT_S
from leadscore.pipeline.kafka.records import Bounds, Partition
from leadscore.pipeline.kafka.refusals import Refusals
from leadscore.pipeline.kafka.subscription import Subscription
from leadscore.pipeline.pace import Waits
from leadscore.pipeline.publish_counts import PublishCounts
from leadscore.pipeline.score.announcements import Announcements, stopped_words
from leadscore.pipeline.score.batch import ScoreBatch, in_groups
from leadscore.pipeline.score.counts import ScoreCounts
from leadscore.pipeline.score.latest_scores import LatestScores
from leadscore.pipeline.score.lead_count import LeadCount
from leadscore.pipeline.score.outbox import decode_entries
from leadscore.pipeline.score.outgoing import ShardOutputs
from leadscore.pipeline.score.polling import poll_much
from leadscore.pipeline.score.publisher import Outputs
from leadscore.pipeline.score.reconcile import ShardStart
from leadscore.pipeline.score.reconciling import Reconciler
from leadscore.pipeline.score.replaced import LeaderEpochs
from leadscore.pipeline.score.shard import ModelOfVersion, Shard
from leadscore.pipeline.score.shards import OwnedShard, Shards
from leadscore.pipeline.score.store_watch import StoreWatch
from leadscore.pipeline.score.ticking import Ticker
from leadscore.pipeline.steps import Steps
from leadscore.scoring.context import FoldSettings
from leadscore.store.fence import decode as decode_fence
from leadscore.store.shard import Store, StoredShard


@dataclass(frozen=True, slots=True)
class ScoreParts:
    """What the score stage works with."""

    config: Config
    store: Store
    outbound: Outbound
    outputs: Outputs
    model_of_version: ModelOfVersion
    model_at_hand: ModelOfVersion
    """The same, but ``Unavailable`` where Kafka would have to be asked."""
    log_topic_id: Callable[[], str]
    log_bounds: Callable[[Iterable[Partition]], dict[Partition, Bounds]]
    metrics: Metrics
    budget: DrainBudget
    steps: Steps
    beat: Callable[[], None]
    """To be called within work that may take longer than a turn of the loop should."""
    refusals: Refusals
    leader_epochs: LeaderEpochs = lambda places: dict.fromkeys(places, NO_EPOCH)
    spans: BatchSpans = NO_SPANS


class ScoreStage:
    """One member of the score group. ``step`` is one turn of the loop; nothing else changes anything."""

    def __init__(self, parts: ScoreParts, consumer: Consumer, commits: Commits) -> None:
        config = parts.config
        self._parts = parts
        self._log_topic = config.log_topic
        self._timed = partial(parts.metrics.process.timed, "score")
        self.commits = commits
        self._publisher, self._uncommitted = parts.outputs.publisher, parts.outputs.uncommitted
        commits.together = self._uncommitted
        self._counts = ScoreCounts(parts.metrics)
        self._settings = FoldSettings(config.recent_events, config.stale_after_ms, config.erasure_memory_ms)
        self._says = Announcements(config)
        self._shards = Shards()
        leads, owned = parts.metrics.leads, self._shards.owned
        self.lead_count = LeadCount(parts.store, owned, parts.model_at_hand, self._settings, leads)
        commits.leader_epoch = self._shards.leader_epoch_of
        self.subscription = Subscription(
            consumer, [config.log_topic], lambda _: self.drain("revoked"), cooperative=True, brokers=config.by_brokers
        )
        self._reconciler = Reconciler(
            config,
            parts.store,
            self.subscription.committed,
            parts.log_topic_id,
            parts.log_bounds,
            parts.metrics.state,
            parts.beat,
            parts.leader_epochs,
        )
        self._watch = StoreWatch(parts.store, parts.metrics.state, allow_eviction=config.allow_eviction)
        self._backoff = Backoff()
        ticks = PublishCounts(parts.metrics.publish, "tick", parts.metrics.score.ticks)
        self._ticker = Ticker(config, parts.store, parts.outbound, ticks)
        self.refusals = parts.refusals
        self.read_times = ReadTimes()
        self.has_more = False
        """Whether the last poll was full."""

    def step(self, now_s: float, waits: Waits, reached_ms: int | None) -> int:
        """One turn: poll, read, fold, write, publish, commit. How many records of the log came.

        ``reached_ms`` is the Kafka time up to which this process has matched its inputs: ticks do not run ahead of it.
        """
        with self._timed("poll"):
            messages, self.has_more = poll_much(self.subscription, self._parts.config.score_batch_frames, waits)
        records = self._accept(messages, now_s)
        self._follow_assignment()
        if self._uncommitted is not None and not self._uncommitted.is_settled:
            self._shards.doubt(self._shards.owned)
        self.refusals.look(now_s, is_settled=self.subscription.is_settled)
        # What became doubtful within this poll goes on where reconciling says: it seeks back to what is left out here.
        records = {number: run for number, run in records.items() if number in self._shards.owned}
        if self._backoff.is_time(now_s):
            try:
                self._watch.look(now_s, at_once=self._backoff.outage is not None)
                self._reconcile(now_s)
                for group in in_groups(records):
                    self._apply(group)
                    self._parts.beat()
                self._tick(now_s, int(now_s * 1000) if reached_ms is None else min(reached_ms, int(now_s * 1000)))
            except Unavailable as outage:
                self._pause(now_s, outage, records)
            else:
                self._end_outage(now_s)
        else:
            self._shards.doubt(records)
        self._commit(now_s)
        return sum(map(len, records.values()))

    def coming_back(self, logged: Iterable[int]) -> int:
        """Of frames that go to these log partitions, how many this process will score."""
        return sum(number in self._shards.owned for number in logged)

    def drain(self, step: str = "drained") -> None:
        """Wait for the crossings under way, then commit; in between this step is passed."""
        deadline = self._parts.budget.deadline()
        self._publisher.flush(deadline)
        self.commits.stage(self._publisher.complete())
        self._parts.steps.passed(step)
        self.commits.commit_now(self.subscription.consumer, deadline)

    @property
    def is_paused(self) -> bool:
        """Whether Redis or Kafka does not answer at present, or where some shards go on is not known yet."""
        return self._backoff.outage is not None or bool(self._shards.doubtful)

    @property
    def outage(self) -> Unavailable | None:
        """The service that does not do what is asked of it, and how."""
        return self._backoff.outage

    @property
    def stopped_words(self) -> str:
        """Why some shards wait for an operator; empty if none does."""
        return ". ".join(words for words in (stopped_words(self._shards.stopped), self.refusals.words) if words)

    @property
    def stopped(self) -> dict[int, str]:
        """The shards that wait for an operator, and why."""
        return self.refusals.by_number() | {number: str(why) for number, why in self._shards.stopped.items()}

    # --- poll ---

    def _accept(self, messages: list[Message], now_s: float) -> dict[int, list[Message]]:
        """The records by shard, without those of shards that are not ready or that have them already."""
        records: dict[int, list[Message]] = {}
        for message in messages:
            number, error = message.partition() or 0, message.error()
            if error is not None:
                self._client_error(message, error, now_s)
                continue
            owned = self._shards.owned.get(number)
            if owned is None:
                continue  # reconcile will seek back to it
            run = records.setdefault(number, [])
            last = (run[-1].offset() or 0) if run else owned.shard.offset
            if (message.offset() or 0) > last:
                run.append(message)
        records = {number: run for number, run in records.items() if run}
        for number, run in records.items():
            self.read_times.note((self._log_topic, number), run[-1].offset() or 0, run[-1].timestamp()[1])
        return records

    def _client_error(self, message: Message, error: KafkaError, now_s: float) -> None:
        self.refusals.note(now_s, message.topic(), message.partition(), error)
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            # Retention has overtaken us: reconcile finds out which partitions, and stops them with the numbers.
            self._shards.doubt(self._shards.owned)

    def _follow_assignment(self) -> None:
        gone, fresh = self.subscription.take_changes()
        self.read_times.forget([*gone, *fresh])
        if gone:
            self._drop(gone)
            self.refusals.forget(gone)
        self._shards.release(number for _, number in gone)
        self._shards.take(number for _, number in fresh)

    def _drop(self, partitions: Collection[Partition]) -> None:
        """What is not committed of these is another worker's to publish and commit, or is read from the outbox."""
        self._publisher.drop(partitions)
        self.commits.drop(partitions)
        if self._uncommitted is not None:
            self._uncommitted.drop([number for _, number in partitions])

    # --- read, fold, write, publish ---

    def _apply(self, records: Mapping[int, Sequence[Message]]) -> None:
        if self._uncommitted is not None:
            self._uncommitted.check_room()
        began_s = time()
        batch = ScoreBatch(self._shards.owned, records)
        with self._timed("read"):
            self._read(batch)
        self._stop_all(batch.stops)
        with self._timed("fold"):
            batch.fold()
        self._parts.steps.passed("folded")
        self._counts.writing(self._shards.owned, batch)
        with self._timed("write"):
            written = self._write(batch.messages)
        self._backoff.must_write = False
        self._parts.steps.passed("written")
        with self._timed("publish"):
            self._publish(batch, written)
        self._parts.steps.passed("published")
        self._parts.spans.tell(batch.traced(self._parts.config.score_group, began_s, time()))
        self._shards.trim(self._parts.config.cache_leads)

    def _read(self, batch: ScoreBatch) -> None:
        """The states of all leads in the batch that are not in memory, in one round trip."""
        lead_ids = batch.unknown_leads()
        if lead_ids:
            with self._parts.metrics.state.calls.under_way("read"):
                states = self._parts.store.read_leads(lead_ids)
            batch.load(lead_ids, states)

    def _stop_all(self, stops: Mapping[int, PartitionStopped]) -> None:
        self._pause_fetching(stops)
        for number, why in stops.items():
            self._shards.stop(number, why)
            self._counts.stopped(number, why.cause)

    def _write(self, decoded: Iterable[int]) -> set[int]:
        """The fenced write of every shard in one round trip; the shards that are written."""
        writes = {number: self._shards.owned[number].shard.pending(self._confirmed(number)) for number in decoded}
        with self._parts.metrics.state.calls.under_way("write"):
            stored = self._parts.store.write(list(writes.values()))
        written = set()
        for number, write in writes.items():
            if stored[number] == write.fence:
                self._shards.owned[number].shard.written(write)
                written.add(number)
        self._lose_fences(writes.keys() - written)
        return written

    def _lose_fences(self, numbers: Collection[int]) -> None:
        self._says.fences_changed(numbers)
        self._shards.doubt(numbers)

    def _publish(self, batch: ScoreBatch, written: Collection[int]) -> None:
        if self._uncommitted is not None:
            for number in written:
                self._uncommitted.hold_news(number, batch.news.get(number, ()))
        decided = [ShardOutputs(self._shards.owned[number].shard, batch.unpublished(number)) for number in written]
        self._publisher.publish(decided, self._offsets(batch.offsets(written)))
        self._counts.written(written)

    def _offsets(self, by_number: Mapping[int, int]) -> Offsets:
        return {(self._log_topic, number): offset for number, offset in by_number.items()}

    # --- commit ---

    def _commit(self, now_s: float) -> None:
        safe = self._publisher.complete()
        if safe:
            self._parts.steps.passed("acknowledged")
        self.commits.stage(safe)
        with self._timed("commit"):
            self.commits.flush(self.subscription.consumer, now_s)

    def _confirmed(self, number: int) -> int:
        """The committed offset as far as it is known here; crossings below it need no outbox."""
        return max(self.commits.confirmed.get((self._log_topic, number), 0), self._shards.owned[number].publish_from)

    # --- reconcile ---

    def _pause(self, now_s: float, outage: Unavailable, records: Collection[int]) -> None:
        """Back off; whatever was in hand is read again after reconciling. Polling goes on, so the group keeps us."""
        self._shards.doubt(records)
        for owned in self._shards.owned.values():
            owned.begin_review_again()
        self._pause_fetching(self._shards.doubtful)
        self._backoff.failed(now_s, outage, must_write=bool(records))
        self._parts.metrics.count_outage(outage)
        self._says.paused(now_s, outage)

    def _end_outage(self, now_s: float) -> None:
        owned = self._shards.owned.values()
        caught_up = (self._ticker.has_caught_up(shard, self.subscription.consumer) for shard in owned)
        if not self._backoff.must_write or all(caught_up):
            self._backoff.over()
            self._says.resumed(now_s)

    def _reconcile(self, now_s: float) -> None:
        """Find out where each newly assigned, doubtful or stopped shard goes on, and let it."""
        numbers = self._shards.to_reconcile(now_s)
        if numbers:
            self._pause_fetching(numbers)
            # What is under way may still move the committed offset: let it, then ask.
            self.drain("reconciling")
            self._settle(numbers)
            reconciled = self._reconciler.reconcile(numbers)
            self._stop_all(reconciled.stops)
            self._lose_fences(reconciled.taken)
            self._begin(list(reconciled.starts.values()))
        self._says.stopped(now_s, self._shards.stopped)

    def _settle(self, numbers: Collection[int]) -> None:
        """End what is open under this worker's name; what is not committed of these shards the outbox has."""
        if self._uncommitted is None or not self._uncommitted.has_outputs:
            return
        if self._shards.owned and not self._uncommitted.is_settled:
            raise Unavailable("kafka", "transaction", "it is not known how the last one ended")
        self._uncommitted.settle(REQUEST_TIMEOUT_S)
        self._drop([(self._log_topic, number) for number in numbers])

    def _begin(self, starts: list[ShardStart]) -> None:
        self.subscription.start(self._offsets({begun.facts.partition: begun.start.offset for begun in starts}))
        facts = (begun.facts for begun in starts)
        self.commits.learn(self._offsets({one.partition: one.committed for one in facts if one.committed is not None}))
        for begun in starts:
            owned = self._owned_from(begun)
            self._republish(owned, begun.stored)
            self._shards.own(begun.facts.partition, owned)
            self._counts.started(begun)
        self._says.started(starts)

    def _owned_from(self, begun: ShardStart) -> OwnedShard:
        number, stored = begun.facts.partition, begun.stored
        fence = replace(decode_fence(stored.fence or b""), writer=uuid4().hex)
        latest = None if self._parts.config.scores_topic is None else LatestScores(self._parts.config.scores_step)
        shard = Shard(number, stored.fence, fence, self._parts.model_of_version, self._settings, latest)
        shard.remember(stored.erased, stored.outbox)
        return OwnedShard(shard, begun.start.publish_from, review_cursor=0 if shard.model_since_ms else None)

    def _republish(self, owned: OwnedShard, stored: StoredShard) -> None:
        """What was written but perhaps never published."""
        first, end = owned.publish_from, owned.shard.offset + 1
        outputs, news = decode_entries(stored.outbox[at] for at in sorted(stored.outbox) if first <= at < end)
        if self._uncommitted is not None:
            self._uncommitted.hold_news(owned.shard.number, news)
        offsets = self._offsets({owned.shard.number: end} if end > first else {})
        self._publisher.publish([ShardOutputs(owned.shard, outputs)], offsets)

    def _pause_fetching(self, numbers: Iterable[int]) -> None:
        self.subscription.pause([(self._log_topic, number) for number in numbers])

    # --- time ---

    def _tick(self, now_s: float, until_ms: int) -> None:
        if not self._ticker.is_time(now_s):
            return
        owned = self._shards.owned
        ready = {number: one for number, one in owned.items() if self._ticker.is_ready(one, self.subscription.consumer)}
        if ready:
            self._clear_outbox(ready)
            with self._parts.metrics.state.calls.under_way("due"):
                self._shards.doubt(self._ticker.tick(ready, until_ms))
        self._parts.metrics.state.outbox_entries.set(sum(len(one.shard.outbox_offsets) for one in owned.values()))

    def _clear_outbox(self, ready: Iterable[int]) -> None:
        """What is published does not stay until the shard's next record: it names leads, erased ones too."""
        published = [
            number for number in ready if self._shards.owned[number].shard.has_published(self._confirmed(number))
        ]
        if published:
            self._write(published)
