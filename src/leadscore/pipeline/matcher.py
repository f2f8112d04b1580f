"""The match stage: poll -> decode -> match -> log (design 2.3). Stateless: source records in, frames of awards out.

Rules of the flow: a source offset is committed only after the frames and dead letters it caused are acknowledged; a
record that earned nothing, or was dead-lettered, moves the offset as well; frames may be replayed, the fold skips
what it has seen.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicPartition
from prometheus_client.context_managers import Timer

from leadscore.errors import DeadLetter, DeadLetterReason, PartitionStopped, Unavailable, WorkerStopped
from leadscore.events.decoder import Decoder
from leadscore.events.event import Event
from leadscore.log.records import MAX_FRAME_AWARDS, MAX_FRAME_BYTES, Award, Frame, Source, encode, partition_of
from leadscore.model.matching import Matcher
from leadscore.ops.config import Config
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.alignment import LONG_AGO_MS, Alignment
from leadscore.pipeline.commits import Batch, Commits, Deliveries
from leadscore.pipeline.deadline import DrainBudget, flush
from leadscore.pipeline.kafka import Bounds, Partition, committed_offsets
from leadscore.pipeline.outbound import OutputRecord, hand_over
from leadscore.pipeline.publishing import Origin, dead_letter_headers
from leadscore.pipeline.steps import Steps
from leadscore.pipeline.subscription import Subscription

_log = logging.getLogger(__name__)

MOST_BATCHES_IN_FLIGHT = 32
RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class MatchParts:
    """What the match stage works with."""

    config: Config
    matcher: Matcher
    decoder: Decoder
    producer: Producer
    metrics: Metrics
    budget: DrainBudget
    topic_ids: Callable[[], dict[str, str]]
    log_bounds: Callable[[Iterable[Partition]], dict[Partition, Bounds]]
    steps: Steps


class DeadLetterLimit:
    """Stops the worker rather than let a bad deployment drain a topic into the dead letters."""

    def __init__(self, max_ratio: float, min_records: int) -> None:
        self._max_ratio = max_ratio
        self._min_records = min_records
        self._records = 0
        self._dead = 0

    def count(self, records: int, dead: int) -> None:
        """Another batch; ``WorkerStopped`` if too large a share of the recent records were dead letters."""
        self._records += records
        self._dead += dead
        if self._records < self._min_records:
            return
        if self._dead > self._max_ratio * self._records:
            raise WorkerStopped(
                f"{self._dead} of the last {self._records} records were dead letters, more than the "
                f"{self._max_ratio:.0%} of LEADSCORE_DEAD_LETTER_MAX_RATIO: the format of a topic, a mapping or the "
                "schema registry is probably wrong. Their offsets are not committed."
            )
        if self._records > 4 * self._min_records:  # old records weigh less and less
            self._records //= 2
            self._dead //= 2


class MatchStage:
    """One member of the match group. ``step`` is one turn of the loop; nothing else changes anything."""

    def __init__(self, parts: MatchParts, consumer: Consumer, commits: Commits) -> None:
        config = parts.config
        self._parts = parts
        self._consumer = consumer
        self.commits = commits
        self._deliveries = Deliveries()
        self._alignment: Alignment[Partition, Message] = Alignment(config.alignment_wait_ms, config.alignment_buffer)
        self._limit = DeadLetterLimit(config.dead_letter_max_ratio, config.dead_letter_min_records)
        self._sources: dict[Partition, Source] = {}
        self._starting: list[Partition] = []
        self._read: dict[Partition, int] = {}
        self._held: list[Message] = []
        self._retry_at_s = 0.0
        self.stopped: dict[Partition, str] = {}
        topics = [*config.source_topics, config.command_topic]
        self.subscription = Subscription(consumer, topics, self._drain_revoked, cooperative=False)

    def step(self, now_s: float, timeout_s: float) -> int:
        """One turn: poll, decode, match, log, commit. How many records were read or matched."""
        waits = now_s < self._retry_at_s
        with self._timed("poll"):
            messages = self.subscription.poll(self._parts.config.batch_size, timeout_s)
        # First the records, then the changes: a partition taken away and given back within one poll starts again from
        # its committed offset, and what was read of it before must not come first.
        self._accept(messages)
        self._follow_assignment()
        if not waits and self._starting:
            self._retry(now_s, self._start_partitions)
        self._keep_flow()
        ready: list[Message] = []
        if not waits and self._deliveries.waiting < MOST_BATCHES_IN_FLIGHT:
            ready = self._held or self._alignment.take(int(now_s * 1000), self._parts.config.batch_size)
            if ready:
                self._match(ready, now_s)
        self._commit(now_s)
        return max(len(messages), len(ready))

    def reached_ms(self, now_s: float) -> int:
        """The Kafka time up to which everything assigned here is matched; now, when there is nothing left to do."""
        if self._starting or not self.subscription.is_settled:
            return LONG_AGO_MS  # what has waited for this worker may be older than any tick
        now_ms = int(now_s * 1000)
        if self._held:
            return min(message.timestamp()[1] for message in self._held)
        return self._alignment.reached_ms(now_ms)

    @property
    def has_batch(self) -> bool:
        """Whether a full batch is at hand, so that there is no need to wait for more."""
        return self._alignment.buffered >= self._parts.config.batch_size

    @property
    def is_paused(self) -> bool:
        """Whether the schema registry or Kafka does not answer at present."""
        return bool(self._held or self._starting)

    def drain(self) -> None:
        """Wait for what is under way, then commit it. What is only buffered is read again by the next owner."""
        deadline = self._parts.budget.deadline()
        flush(self._parts.producer, deadline)
        self.commits.stage(self._deliveries.complete())
        self.commits.commit_now(self._consumer, deadline)

    # --- poll ---

    def _follow_assignment(self) -> None:
        gone, fresh = self.subscription.take_changes()
        if gone:
            self._alignment.revoke(gone)
            self._read = {partition: offset for partition, offset in self._read.items() if partition not in gone}
            self._deliveries.drop(gone)
            self.commits.drop(gone)
            lost = set(gone)
            self._held = [message for message in self._held if (message.topic(), message.partition()) not in lost]
            self._starting = [partition for partition in self._starting if partition not in lost]
            self.stopped = {partition: why for partition, why in self.stopped.items() if partition not in lost}
        self._starting += fresh

    def _start_partitions(self) -> None:
        committed = committed_offsets(self._consumer, [TopicPartition(*partition) for partition in self._starting])
        topic_ids = self._parts.topic_ids()
        bounds = self._parts.log_bounds(self._starting)
        while self._starting:
            partition = self._starting[0]
            try:
                offset = self._first_offset(partition, committed[partition], bounds[partition])
            except PartitionStopped as stopped:
                self._stop(partition, str(stopped))
            else:
                self._sources[partition] = Source(partition[0], topic_ids[partition[0]], partition[1])
                self.subscription.start(partition, offset)
                self._alignment.assign([partition])
            self._starting.pop(0)

    def _first_offset(self, partition: Partition, committed: int | None, bounds: Bounds) -> int:
        if committed is None:
            return int(OFFSET_BEGINNING)
        low, high = bounds
        if committed < low or committed > high:
            raise PartitionStopped(
                f"{partition[0]}/{partition[1]}: the committed offset {committed} is not in the topic, which holds "
                f"{low} to {high - 1}: records were deleted before they were read, or the topic was recreated. "
                f"To go on, set the offset of group {self._parts.config.match_group} for this partition yourself."
            )
        return committed

    def _stop(self, partition: Partition, why: str) -> None:
        self.stopped[partition] = why
        _log.error("source_partition_stopped", extra={"topic": partition[0], "partition": partition[1], "detail": why})

    def _accept(self, messages: list[Message]) -> None:
        alignment, read = self._alignment, self._read
        key: Partition = ("", -1)
        for message in messages:
            error = message.error()
            topic, number = message.topic(), message.partition()
            if key[1] != number or key[0] != topic:
                key = (topic or "", -1 if number is None else number)
            if error is None:
                offset = message.offset() or 0
                if offset > read.get(key, -1):  # the client has been seen to deliver an offset twice
                    read[key] = offset
                    alignment.add(key, message.timestamp()[1], message)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                alignment.at_end(key)
            else:
                self._client_error(key, error)

    def _client_error(self, partition: Partition, error: KafkaError) -> None:
        if error.fatal():
            raise WorkerStopped(f"the Kafka consumer failed: {error.str()}")
        if error.code() == KafkaError._AUTO_OFFSET_RESET and partition not in self._starting:  # noqa: SLF001
            self.subscription.pause([partition])
            self._stop(
                partition, f"{partition[0]}/{partition[1]}: the next record is gone from the topic: {error.str()}"
            )

    def _keep_flow(self) -> None:
        flow = self._alignment.flow()
        self.subscription.pause(flow.pause)
        self.subscription.resume(flow.resume)

    # --- decode, match ---

    def _match(self, ready: list[Message], now_s: float) -> None:
        """Decode and match a batch, and log what it earned; the rest waits if the schema registry does not answer."""
        work = _Work(self._parts, self._sources)
        self._held = []
        with self._timed("match"):
            for index, message in enumerate(ready):
                try:
                    work.take(message)
                except Unavailable as outage:
                    self._held = ready[index:]
                    self._pause(now_s, outage)
                    break
        self._limit.count(work.records, len(work.dead))
        batch = self._deliveries.begin(work.offsets)
        with self._timed("log"):
            self._log_frames(work, batch)
            self._publish_dead_letters(work, batch)
        self._parts.steps.passed("matched")
        work.count(self._parts.metrics)

    def _retry(self, now_s: float, attempt: Callable[[], None]) -> None:
        try:
            attempt()
        except Unavailable as outage:
            self._pause(now_s, outage)

    def _pause(self, now_s: float, outage: Unavailable) -> None:
        self._retry_at_s = now_s + RETRY_S
        _log.warning("match_paused", extra={"service": outage.service, "kind": outage.kind, "detail": outage.detail})

    # --- log ---

    def _log_frames(self, work: "_Work", batch: Batch) -> None:
        for number, awards in work.awards.items():
            for value in _frames(self._parts.matcher.version, work.sources, awards):
                self._hand_over(batch, self._parts.config.log_topic, OutputRecord(None, value, partition=number))
                self._parts.metrics.match.frames_published.inc()

    def _publish_dead_letters(self, work: "_Work", batch: Batch) -> None:
        config = self._parts.config
        for message, failure in work.dead:
            origin = Origin(message.topic() or "", message.partition() or 0, message.offset() or 0, config.match_group)
            headers = dead_letter_headers(origin, failure, message.headers())
            time_ms = max(0, message.timestamp()[1])
            record = OutputRecord(message.key(), message.value(), headers, timestamp_ms=time_ms)
            self._hand_over(batch, config.dead_letter_topic, record)
            self._parts.metrics.match.dead_letters.labels(failure.reason.value).inc()
            _log.warning(
                "dead_letter",
                extra={
                    "topic": origin.topic,
                    "partition": origin.partition,
                    "offset": origin.offset,
                    "reason": failure.reason.value,
                    "detail": failure.detail,
                },
            )

    def _hand_over(self, batch: Batch, topic: str, record: OutputRecord) -> None:
        hand_over(self._parts.producer, topic, record, self._deliveries.expect(batch))

    # --- commit ---

    def _commit(self, now_s: float) -> None:
        self._parts.producer.poll(0)
        safe = self._deliveries.complete()
        if safe:
            self._parts.steps.passed("logged")
        self.commits.stage(safe)
        with self._timed("commit"):
            self.commits.flush(self._consumer, now_s)

    def _timed(self, step: str) -> Timer:
        return self._parts.metrics.process.timed("match", step)

    def _drain_revoked(self, _partitions: list[Partition]) -> None:
        self.drain()


class _Lane:
    """One source partition's part of a batch."""

    __slots__ = ("dead", "ignored", "index", "matched", "next_offset")

    def __init__(self, index: int) -> None:
        self.index = index
        self.next_offset = 0
        self.matched = self.ignored = self.dead = 0


class _Work:
    """One batch on its way: awards by log partition, dead letters, and the offsets it will make safe."""

    def __init__(self, parts: MatchParts, sources: dict[Partition, Source]) -> None:
        self.awards: dict[int, list[Award]] = {}
        self.sources: list[Source] = []
        self.dead: list[tuple[Message, DeadLetter]] = []
        self._lanes: dict[Partition, _Lane] = {}
        self._known = sources
        self._decode = parts.decoder.decode
        self._award = parts.matcher.award
        self._command_topic = parts.config.command_topic
        self._partitions = parts.config.log_partitions
        self._skew_ms = parts.config.max_future_skew_ms

    @property
    def offsets(self) -> dict[Partition, int]:
        """The next offset of every partition in the batch."""
        return {partition: lane.next_offset for partition, lane in self._lanes.items()}

    @property
    def records(self) -> int:
        """How many records were taken."""
        return sum(lane.matched + lane.ignored + lane.dead for lane in self._lanes.values())

    def take(self, message: Message) -> None:
        """Decode and match one record; ``Unavailable`` leaves everything as it was."""
        topic, offset = message.topic() or "", message.offset() or 0
        partition = (topic, message.partition() or 0)
        lane = self._lanes.get(partition)
        try:
            event = self._decode(topic, message.value())
            self._check(event, topic, message.timestamp()[1])
        except DeadLetter as failure:
            lane = lane or self._new_lane(partition)
            self.dead.append((message, failure))
            lane.dead += 1
        else:
            lane = lane or self._new_lane(partition)
            award = self._award(event, lane.index, offset)
            if award is None:
                lane.ignored += 1
            else:
                number = partition_of(event.lead_id, self._partitions)
                if number not in self.awards:
                    self.awards[number] = []
                self.awards[number].append(award)
                lane.matched += 1
        lane.next_offset = offset + 1

    def count(self, metrics: Metrics) -> None:
        """Add the batch to the metrics."""
        match = metrics.match
        for (topic, _), lane in self._lanes.items():
            match.records_consumed.labels(topic).inc(lane.matched + lane.ignored + lane.dead)
            match.records_processed.labels(topic, "matched").inc(lane.matched)
            match.records_processed.labels(topic, "ignored").inc(lane.ignored)
            match.records_processed.labels(topic, "dead_lettered").inc(lane.dead)
        metrics.process.last_record_processed_timestamp.labels("match").set_to_current_time()

    def _new_lane(self, partition: Partition) -> _Lane:
        lane = self._lanes[partition] = _Lane(len(self.sources))
        self.sources.append(self._known[partition])
        return lane

    def _check(self, event: Event, topic: str, kafka_time_ms: int) -> None:
        ahead_ms = event.occurred_at_ms - kafka_time_ms
        if ahead_ms > self._skew_ms:
            raise DeadLetter(
                DeadLetterReason.FUTURE,
                f"occurred_at is {ahead_ms} ms ahead of the Kafka timestamp, wanted at most {self._skew_ms} ms",
            )
        if event.is_command != (topic == self._command_topic):
            wanted = "commands only" if topic == self._command_topic else "no commands"
            raise DeadLetter(DeadLetterReason.INVALID_COMMAND, f"type: wanted {wanted} on this topic")


def _frames(version: int, sources: list[Source], awards: list[Award]) -> list[bytes]:
    """The awards in as few frames as their limits allow."""
    if len(awards) <= MAX_FRAME_AWARDS:
        value = encode(Frame(version, sources, awards))
        if len(value) <= MAX_FRAME_BYTES or len(awards) == 1:
            return [value]
    middle = len(awards) // 2
    return _frames(version, sources, awards[:middle]) + _frames(version, sources, awards[middle:])
