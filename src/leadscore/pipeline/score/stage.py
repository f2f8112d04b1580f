"""The score stage: poll -> read -> fold -> write -> publish -> commit (design 2.4). One owner per log partition.

Rules of the flow: the fenced write is the only way state changes; a crossing is published after the write that
stored it in the outbox; a log offset is committed after the crossings up to it are acknowledged. Whatever goes wrong
with a shard, a lost connection, a fence that is not ours, ends in the same place: throw its memory away and reconcile.

Publishing only hands records to the producer, so reading and folding the next batch overlaps with it.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from msgspec.structs import replace
from prometheus_client.context_managers import Timer

from leadscore.errors import PartitionStopped, Unavailable, WorkerStopped
from leadscore.ops.config import Config, OnStateLoss
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.kafka.clients import Bounds, Partition, committed_offsets
from leadscore.pipeline.kafka.commits import Commits
from leadscore.pipeline.kafka.deadline import DrainBudget, flush
from leadscore.pipeline.kafka.deliveries import Batch, Deliveries
from leadscore.pipeline.kafka.outbound import hand_over
from leadscore.pipeline.kafka.subscription import Subscription
from leadscore.pipeline.score.clearing import stored_at_start
from leadscore.pipeline.score.counts import ScoreCounts
from leadscore.pipeline.score.log_message import LogMessage
from leadscore.pipeline.score.log_message import decoded as as_log_message
from leadscore.pipeline.score.publishing import CrossingEncoding, Output, output_record
from leadscore.pipeline.score.reconcile import Facts, Start, decide
from leadscore.pipeline.score.shard import ModelOfVersion, Shard, decode_outputs
from leadscore.pipeline.score.ticking import OwnedShard, Ticker
from leadscore.pipeline.steps import Steps
from leadscore.scoring.context import FoldSettings
from leadscore.store.fence import decode as decode_fence
from leadscore.store.shard import Store, StoredShard

_log = logging.getLogger(__name__)

FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 5.0
STOPPED_AGAIN_S = 30.0


@dataclass(frozen=True, slots=True)
class ScoreParts:
    """What the score stage works with."""

    config: Config
    store: Store
    producer: Producer
    encoding: CrossingEncoding
    model_of_version: ModelOfVersion
    log_topic_id: Callable[[], str]
    log_bounds: Callable[[Iterable[Partition]], dict[Partition, Bounds]]
    metrics: Metrics
    budget: DrainBudget
    steps: Steps


class ScoreStage:
    """One member of the score group. ``step`` is one turn of the loop; nothing else changes anything."""

    def __init__(self, parts: ScoreParts, consumer: Consumer, commits: Commits) -> None:
        config = parts.config
        self._parts = parts
        self._consumer = consumer
        self.commits = commits
        self._deliveries = Deliveries()
        self._counts = ScoreCounts(parts.metrics)
        self._settings = FoldSettings(config.recent_events, config.stale_after_ms, config.erasure_memory_ms)
        self._owned: dict[int, OwnedShard] = {}
        self._unreconciled: set[int] = set()
        self._retry_at_s = 0.0
        self._retry_after_s = FIRST_RETRY_S
        self._stopped_at_s = 0.0
        self._ticker = Ticker(config, parts.store, parts.producer, parts.metrics.score.ticks.inc)
        self.stopped: dict[int, str] = {}
        self.subscription = Subscription(consumer, [config.log_topic], lambda _: self.drain(), cooperative=True)

    def step(self, now_s: float, timeout_s: float, reached_ms: int | None) -> bool:
        """One turn: poll, read, fold, write, publish, commit. Whether there was something to do.

        ``reached_ms`` is the Kafka time up to which this process has matched its inputs: ticks do not run ahead of it.
        """
        with self._timed("poll"):
            messages = self.subscription.poll(self._parts.config.score_batch_frames, timeout_s)
        records = self._accept(messages)
        self._follow_assignment()
        self._look_at_stopped(now_s)
        # What became doubtful within this poll goes on where reconciling says: it seeks back to what is left out here.
        records = {number: each for number, each in records.items() if self._is_ready(number)}
        if now_s >= self._retry_at_s:
            try:
                self._reconcile()
                if records:
                    self._apply(records)
                self._tick(now_s, int(now_s * 1000) if reached_ms is None else min(reached_ms, int(now_s * 1000)))
            except Unavailable as outage:
                self._pause(now_s, outage, records)
            else:
                self._retry_after_s = FIRST_RETRY_S
        elif records:
            self._unreconciled |= set(records)
        self._commit(now_s)
        return bool(records)

    def drain(self) -> None:
        """Wait for the crossings under way, then commit."""
        deadline = self._parts.budget.deadline()
        flush(self._parts.producer, deadline)
        self.commits.stage(self._deliveries.complete())
        self.commits.commit_now(self._consumer, deadline)

    @property
    def is_paused(self) -> bool:
        """Whether Redis or Kafka does not answer at present."""
        return bool(self._unreconciled)

    # --- poll ---

    def _accept(self, messages: list[Message]) -> dict[int, list[Message]]:
        """The records by shard, without those of shards that are not ready or that have them already."""
        records: dict[int, list[Message]] = {}
        for message in messages:
            number, error = message.partition(), message.error()
            if number is None or error is not None:
                self._client_error(error)
                continue
            if not self._is_ready(number):
                continue  # reconcile will seek back to it
            known = records.setdefault(number, [])
            last = (known[-1].offset() or 0) if known else self._owned[number].shard.offset
            if (message.offset() or 0) > last:
                known.append(message)
        return {number: known for number, known in records.items() if known}

    def _is_ready(self, number: int) -> bool:
        return number in self._owned and number not in self._unreconciled

    def _client_error(self, error: KafkaError | None) -> None:
        if error is None or error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            return
        if error.fatal():
            raise WorkerStopped(f"the Kafka consumer failed: {error.str()}")
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            # Retention has overtaken us: reconcile finds out which partitions, and stops them with the numbers.
            self._unreconciled |= set(self._owned)

    def _follow_assignment(self) -> None:
        gone, fresh = self.subscription.take_changes()
        if gone:
            self._deliveries.drop(gone)
            self.commits.drop(gone)
        for _, number in gone:
            self._owned.pop(number, None)
            self._unreconciled.discard(number)
            self.stopped.pop(number, None)
        self._unreconciled |= {number for _, number in fresh}

    # --- read, fold, write, publish ---

    def _apply(self, records: dict[int, list[Message]]) -> None:
        decoded = self._decoded(records)
        with self._timed("read"):
            self._read(decoded)
        with self._timed("fold"):
            outputs = self._fold(decoded)
        self._parts.steps.passed("folded")
        with self._timed("write"):
            written = self._write(decoded)
        self._parts.steps.passed("written")
        with self._timed("publish"):
            self._publish(decoded, outputs, written)
        self._parts.steps.passed("published")
        self._trim()

    def _decoded(self, records: dict[int, list[Message]]) -> dict[int, list[LogMessage]]:
        """The records; a shard that has one this program cannot read stops before it, and before all of its batch."""
        decoded: dict[int, list[LogMessage]] = {}
        for number, messages in records.items():
            try:
                decoded[number] = [as_log_message(message) for message in messages]
            except PartitionStopped as stopped:
                self._give_up(number, stopped)
        return decoded

    def _give_up(self, number: int, why: PartitionStopped) -> None:
        del self._owned[number]
        self.subscription.pause([(self._parts.config.log_topic, number)])
        self._stop(number, str(why))

    def _read(self, decoded: dict[int, list[LogMessage]]) -> None:
        """The states of all leads in the batch that are not in memory, in one round trip."""
        expected = {
            number: self._owned[number].shard.unknown_leads(message.record for message in messages)
            for number, messages in decoded.items()
        }
        expected = {number: lead_ids for number, lead_ids in expected.items() if lead_ids}
        if not expected:
            return
        self._parts.metrics.state.store_calls.labels("read").inc()
        for number, states in self._parts.store.read_leads(expected).items():
            try:
                self._owned[number].shard.load(expected[number], states)
            except PartitionStopped as stopped:
                del decoded[number]
                self._give_up(number, stopped)

    def _fold(self, decoded: dict[int, list[LogMessage]]) -> "_Outputs":
        outputs: _Outputs = {}
        for number, messages in decoded.items():
            owned = self._owned[number]
            version = owned.shard.model_version
            found = outputs[number] = []
            for message in messages:
                decided = owned.shard.fold(message.record, message.offset, message.time_ms)
                found += ((message.offset, output) for output in decided)
            if version and owned.shard.model_version != version:
                owned.review_cursor = 0
        return outputs

    def _write(self, decoded: Iterable[int]) -> set[int]:
        """The fenced write of every shard in one round trip; the shards that are written."""
        writes = {number: self._owned[number].shard.pending(self._confirmed(number)) for number in decoded}
        self._parts.metrics.state.store_calls.labels("write").inc()
        stored = self._parts.store.write(list(writes.values()))
        written = set()
        for number, write in writes.items():
            if stored[number] == write.fence:
                self._owned[number].shard.written(write)
                written.add(number)
            else:
                self._lost_fence(number, had_fence=write.expected is not None)
        return written

    def _lost_fence(self, number: int, *, had_fence: bool) -> None:
        _log.warning("fence_changed", extra={"partition": number, "had_fence": had_fence})
        self._unreconciled.add(number)

    def _publish(self, decoded: dict[int, list[LogMessage]], outputs: "_Outputs", written: set[int]) -> None:
        topic = self._parts.config.log_topic
        ends = {number: decoded[number][-1].offset + 1 for number in written}
        # While a shard replays below the committed offset, that offset must not go back: it is the judge.
        offsets: dict[Partition, int] = {
            (topic, number): end for number, end in ends.items() if end > self._owned[number].publish_from
        }
        with self._deliveries.batch(offsets) as batch:
            for number in written:
                owned = self._owned[number]
                for offset, output in outputs[number]:
                    if offset >= owned.publish_from:
                        self._produce_output(batch, output)
                self._counts.written(owned, decoded[number], (output for _, output in outputs[number]))

    def _produce_output(self, batch: Batch, output: Output) -> None:
        record = output_record(output, self._parts.encoding)
        on_delivery = self._deliveries.expect(batch, self._counts.when_published(output))
        hand_over(self._parts.producer, self._parts.config.crossing_topic, record, on_delivery)

    def _trim(self) -> None:
        most = self._parts.config.cache_leads // max(1, len(self._owned))
        for owned in self._owned.values():
            owned.shard.trim(most)

    # --- commit ---

    def _commit(self, now_s: float) -> None:
        self._parts.producer.poll(0)
        safe = self._deliveries.complete()
        if safe:
            self._parts.steps.passed("acknowledged")
        self.commits.stage(safe)
        with self._timed("commit"):
            self.commits.flush(self._consumer, now_s)

    def _timed(self, step: str) -> Timer:
        return self._parts.metrics.process.timed("score", step)

    def _confirmed(self, number: int) -> int:
        """The committed offset as far as it is known here; crossings below it need no outbox."""
        confirmed = self.commits.confirmed.get((self._parts.config.log_topic, number), 0)
        return max(confirmed, self._owned[number].publish_from)

    # --- reconcile ---

    def _pause(self, now_s: float, outage: Unavailable, records: dict[int, list[Message]]) -> None:
        """Back off; whatever was in hand is read again after reconciling. Polling goes on, so the group keeps us."""
        self._unreconciled |= set(records)
        for number in self._unreconciled:
            self._owned.pop(number, None)
        for owned in self._owned.values():
            owned.begin_review_again()
        self.subscription.pause([(self._parts.config.log_topic, number) for number in self._unreconciled])
        self._retry_at_s = now_s + self._retry_after_s
        self._retry_after_s = min(2 * self._retry_after_s, LONGEST_RETRY_S)
        if outage.service == "redis":
            self._parts.metrics.state.store_errors.labels(outage.kind).inc()
        _log.warning("score_paused", extra={"service": outage.service, "kind": outage.kind, "detail": outage.detail})

    def _reconcile(self) -> None:
        """Find out where each newly assigned or doubtful shard goes on, and let it."""
        expected = sorted(self._unreconciled - set(self.stopped))
        if not expected:
            return
        topic = self._parts.config.log_topic
        for number in expected:
            self._owned.pop(number, None)
        self.subscription.pause([(topic, number) for number in expected])
        # What is under way may still move the committed offset: let it, then ask.
        self.drain()
        committed = committed_offsets(self._consumer, [TopicPartition(topic, number) for number in expected])
        topic_id = self._parts.log_topic_id()
        self._parts.metrics.state.store_calls.labels("read").inc()
        stored = self._parts.store.read_shards(expected)
        bounds = self._parts.log_bounds([(topic, number) for number in expected])
        rebuild = self._parts.config.on_state_loss is OnStateLoss.REBUILD
        starts: dict[int, tuple[Facts, Start]] = {}
        for number in expected:
            fence = stored[number].fence
            try:
                known = None if fence is None else decode_fence(fence)
                facts = Facts(number, known, committed[topic, number], *bounds[topic, number], topic_id)
                starts[number] = facts, decide(facts, rebuild=rebuild)
            except PartitionStopped as stopped:
                self._stop(number, str(stopped))
                self._unreconciled.discard(number)
        begins = stored_at_start(self._parts.store, starts, stored)
        for number, (facts, start) in starts.items():
            if number in begins:
                self._go_on(facts, start, begins[number])
                self._unreconciled.discard(number)
            else:
                self._lost_fence(number, had_fence=facts.fence is not None)

    def _go_on(self, facts: Facts, start: Start, stored: StoredShard) -> None:
        number = facts.partition
        fence = replace(decode_fence(stored.fence or b""), writer=uuid4().hex)
        shard = Shard(number, stored.fence, fence, self._parts.model_of_version, self._settings)
        shard.remember(stored.erased, stored.outbox)
        owned = self._owned[number] = OwnedShard(shard, start.publish_from)
        self._republish(owned, stored)
        if shard.model_since_ms:
            owned.review_cursor = 0
        self._counts.started(facts, start)
        self.subscription.start((self._parts.config.log_topic, number), start.offset)

    def _republish(self, owned: OwnedShard, stored: StoredShard) -> None:
        """What was written but perhaps never published."""
        end = owned.shard.offset + 1
        offsets = {(self._parts.config.log_topic, owned.shard.number): end} if end > owned.publish_from else {}
        with self._deliveries.batch(offsets) as batch:
            for offset in sorted(stored.outbox):
                if owned.publish_from <= offset < end:
                    for output in decode_outputs(stored.outbox[offset]):
                        self._produce_output(batch, output)

    def _look_at_stopped(self, now_s: float) -> None:
        """A stopped shard goes on by itself once its cause is gone; until then it says so again and again."""
        if self.stopped and now_s - self._stopped_at_s < STOPPED_AGAIN_S:
            return
        self._stopped_at_s = now_s
        self._unreconciled |= set(self.stopped)
        self.stopped.clear()

    def _stop(self, number: int, why: str) -> None:
        self.stopped[number] = why
        self._parts.metrics.state.reconciliations.labels("stopped").inc()
        _log.error("log_partition_stopped", extra={"partition": number, "detail": why})

    # --- time ---

    def _tick(self, now_s: float, until_ms: int) -> None:
        if not self._ticker.is_time(now_s):
            return
        ready = {
            number: owned
            for number, owned in self._owned.items()
            if self._is_ready(number) and self._ticker.is_ready(owned, self._consumer)
        }
        if ready:
            self._clear_outbox(ready)
            self._parts.metrics.state.store_calls.labels("due").inc()
            self._unreconciled |= self._ticker.tick(ready, until_ms)
        self._parts.metrics.state.outbox_entries.set(
            sum(len(owned.shard.outbox_offsets) for owned in self._owned.values())
        )

    def _clear_outbox(self, ready: Iterable[int]) -> None:
        """What is published does not lie about until the shard's next record: it names leads, erased ones too."""
        published = [number for number in ready if self._owned[number].shard.has_published(self._confirmed(number))]
        if published:
            self._write(published)


_Outputs = dict[int, list[tuple[int, Output]]]
"""What is to be published by shard, each with the log offset that caused it."""
