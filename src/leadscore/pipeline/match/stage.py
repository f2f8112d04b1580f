"""The match stage: poll -> decode -> match -> log (design 2.3). Stateless: source records in, frames of awards out.

Rules of the flow: a source offset is committed only after the frames and dead letters it caused are acknowledged; a
record that earned nothing, or was dead-lettered, moves the offset as well; frames may be replayed, the fold skips
what it has seen.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from time import time

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from leadscore.errors import PartitionStopped, Unavailable, without_traceback
from leadscore.events.decoder import Decoder
from leadscore.log.records import NO_EPOCH, Source
from leadscore.mapping.decoding import MappedTopics
from leadscore.model.matching import Matcher
from leadscore.ops.config import Config
from leadscore.ops.metrics import Metrics
from leadscore.ops.services import OutageLog, addresses_of
from leadscore.ops.tracing import NO_SPANS, BatchSpans
from leadscore.pipeline.backoff import jittered
from leadscore.pipeline.kafka.commits import Commits
from leadscore.pipeline.kafka.deadline import Deadline, DrainBudget
from leadscore.pipeline.kafka.deliveries import Deliveries
from leadscore.pipeline.kafka.lag_times import ReadTimes
from leadscore.pipeline.kafka.outbound import Outbound
from leadscore.pipeline.kafka.records import Bounds, OutputRecord, Partition
from leadscore.pipeline.kafka.refusals import Refusals
from leadscore.pipeline.kafka.subscription import Subscription
from leadscore.pipeline.kafka.waiting import Waiting
from leadscore.pipeline.match.alignment import LONG_AGO_MS, Alignment
from leadscore.pipeline.match.announcements import stopped_words, tell_in_hand, tell_without_offset
from leadscore.pipeline.match.batch import Work
from leadscore.pipeline.match.beginning import Beginning, beginning, filled_without_offset, gap
from leadscore.pipeline.match.dead_letter_limit import DeadLetterLimit
from leadscore.pipeline.match.dead_letters import DeadLetters
from leadscore.pipeline.match.intake import Intake
from leadscore.pipeline.match.proofs import Proofs
from leadscore.pipeline.pace import Waits
from leadscore.pipeline.publish_counts import PublishCounts
from leadscore.pipeline.steps import Steps

_log = logging.getLogger(__name__)

MOST_BATCHES_IN_FLIGHT = 32
RETRY_S = 1.0
DEAD_LETTERS_WAIT_S = 0.1
IN_HAND_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class MatchParts:
    """What the match stage works with."""

    config: Config
    matcher: Matcher
    decoder: Decoder
    mapped: MappedTopics | None
    outbound: Outbound
    dead_letters: DeadLetters
    metrics: Metrics
    budget: DrainBudget
    topic_ids: Callable[[], dict[str, str]]
    log_bounds: Callable[[Iterable[Partition]], dict[Partition, Bounds]]
    steps: Steps
    refusals: Refusals
    spans: BatchSpans = NO_SPANS


class MatchStage:
    """One member of the match group. ``step`` is one turn of the loop; nothing else changes anything."""

    def __init__(self, parts: MatchParts, consumer: Consumer, commits: Commits) -> None:
        config, metrics = parts.config, parts.metrics
        frame_counts = PublishCounts(metrics.publish, "frame", metrics.match.frames_published)
        self._parts = parts
        self._timed = partial(metrics.process.timed, "match")
        self.commits = commits
        self._deliveries = Deliveries(parts.outbound, config.log_topic, frame_counts)
        self._alignment: Alignment[Partition, Message] = Alignment(config.alignment_wait_ms, config.alignment_bytes)
        self._intake = Intake(self._alignment)
        self._limit = DeadLetterLimit(config.dead_letter_max_ratio, config.dead_letter_min_records)
        commits.note = self._limit.note
        commits.leader_epoch = lambda partition: self._epochs.get(partition, NO_EPOCH)
        self._sources: dict[Partition, Source] = {}
        self._starting: list[Partition] = []
        self._epochs: dict[Partition, int] = {}
        self._proofs = Proofs()
        self._beginnings: dict[Partition, Beginning] = {}
        self._held: list[Message] = []
        self._work: Work | None = None
        self._dead_letters_wait = Waiting(f"dead letters for topic {config.dead_letter_topic}")
        self._frames_wait = Waiting(f"frames for topic {config.log_topic}")
        self._retry_at_s = 0.0
        self._told_in_hand_s = 0.0
        self._now_s = 0.0
        self.stopped: dict[Partition, str] = {}
        self.outage: Unavailable | None = None
        self.logged: list[int] = []
        """The log partition of each frame that the last turn has logged."""
        self._outages = OutageLog("match_paused", "match_resumed", addresses_of(config))
        self.refusals = parts.refusals
        self.read_times = ReadTimes()
        topics = list(config.input_topics)
        self.subscription = Subscription(consumer, topics, lambda _: self.drain(), brokers=config.by_brokers)

    def step(self, now_s: float, waits: Waits) -> int:
        """One turn: poll, decode, match, log, commit. How many records were matched."""
        self._now_s, self.logged = now_s, []
        is_too_early = now_s < self._retry_at_s
        with self._timed("poll"):
            messages = self.subscription.poll(self._parts.config.batch_size, waits)
        # First the records, then the changes: a partition taken away and given back within one poll starts again from
        # its committed offset, and what was read of it before must not come first.
        self._accept(messages, now_s)
        self._follow_assignment()
        self._look_at_refusals(now_s)
        if not is_too_early and self._starting:
            self._retry(now_s, self._start_partitions)
        self._keep_flow()
        ready: list[Message] = []
        if not is_too_early and self._work is None and self._deliveries.waiting < MOST_BATCHES_IN_FLIGHT:
            ready = self._held or self._alignment.take(int(now_s * 1000), self._parts.config.batch_size)
            if ready:
                self._match(ready, now_s)
        self._log(Deadline(DEAD_LETTERS_WAIT_S))
        self._look_at_unacknowledged(now_s)
        self._look_whether_outage_is_over(now_s)
        self._commit(now_s)
        self._tell_in_hand(now_s)
        return len(ready)

    def reached_ms(self, now_s: float) -> int:
        """The Kafka time up to which everything assigned here is matched; now, when there is nothing left to do."""
        if self._starting or self._work is not None or not self.subscription.is_settled:
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
        is_waiting = self._dead_letters_wait.is_late or self._frames_wait.is_late
        return is_waiting or bool(self._held or self._starting)

    @property
    def stopped_words(self) -> str:
        """Why some partitions wait for an operator; empty if none does."""
        return stopped_words(self.stopped)

    def drain(self) -> None:
        """Wait for what is under way, then commit it. What is only buffered is read again by the next owner."""
        deadline = self._parts.budget.deadline()
        self._log(deadline)
        self._deliveries.flush(deadline)
        self.commits.stage(self._deliveries.complete())
        self.commits.commit_now(self.subscription.consumer, deadline)

    # --- poll ---

    def _follow_assignment(self) -> None:
        gone, fresh = self.subscription.take_changes()
        for partition in gone:
            self._give_up_buffered(partition)
            if self._work is not None:
                self._count_given_up(partition, self._work.leave_out(partition, 0))
            for noted in (self._epochs, self._beginnings, self.stopped):
                noted.pop(partition, None)
            if partition in self._starting:
                self._starting.remove(partition)
        self._intake.forget(gone)
        self._proofs.forget(gone)
        self.read_times.forget(gone)
        if gone:
            self._deliveries.drop(gone)
            self.commits.drop(gone)
            self.refusals.forget(gone)
            self._limit.forget(gone)
        self._starting += fresh

    def _give_up_buffered(self, partition: Partition) -> None:
        """What is buffered of the partition is not matched: whoever owns it next reads it again."""
        kept = [message for message in self._held if (message.topic(), message.partition()) != partition]
        self._count_given_up(partition, self._alignment.revoke([partition]) + len(self._held) - len(kept))
        self._held = kept

    def _count_given_up(self, partition: Partition, records: int) -> None:
        self._parts.metrics.match.records_processed.labels(partition[0], "given_up").inc(records)

    def _start_partitions(self) -> None:
        """Find out where each newly assigned partition goes on, and let it."""
        committed = self.subscription.committed([TopicPartition(*partition) for partition in self._starting])
        topic_ids = self._parts.topic_ids()
        bounds = self._parts.log_bounds(self._starting)
        beginnings: dict[Partition, Beginning] = {}
        for partition in list(self._starting):
            try:
                beginnings[partition] = beginning(partition, committed[partition].offset, bounds[partition])
            except PartitionStopped as gap:
                self._starting.remove(partition)
                self._stop_at_gap(partition, gap)
        self._epochs |= {place: committed[place].leader_epoch for place in beginnings}
        self.subscription.start(
            {place: self._proofs.place(place, begin, self._epochs[place]) for place, begin in beginnings.items()}
        )
        self._alignment.assign(beginnings)
        for partition, begin in beginnings.items():
            self._sources[partition] = Source(partition[0], topic_ids[partition[0]], partition[1])
            self._intake.begin(partition, begin.offset)
            self._limit.begin(partition, committed[partition].note)
        self._starting = []
        self._beginnings |= beginnings
        tell_without_offset(
            filled_without_offset(beginnings), self._parts.config.match_group, self._parts.metrics.match
        )

    def _stop(self, partition: Partition, why: str) -> None:
        """Nothing of the partition is matched any more; nor do the others, or the ticks, wait for it."""
        self.stopped[partition] = why
        self.subscription.pause([partition])
        self._give_up_buffered(partition)
        _log.error("source_partition_stopped", extra={"topic": partition[0], "partition": partition[1], "detail": why})

    def _stop_at_gap(self, partition: Partition, gap: PartitionStopped) -> None:
        self._parts.metrics.match.source_gaps.labels(partition[0]).inc()
        self._stop(partition, str(gap))

    def _accept(self, messages: list[Message], now_s: float) -> None:
        polled = self._intake.take(messages, self._is_proof if self._proofs else None)
        for partition in polled.taken:
            self.read_times.note(partition, self._intake.last_offset(partition), self._alignment.latest_ms(partition))
        for partition, error in polled.errors:
            self._client_error(partition, error, now_s)
        polled.count(self._parts.metrics.match)

    def _is_proof(self, partition: Partition, message: Message) -> bool:
        """Whether this is the record before the committed offset, which was read; the partition stops if it is not."""
        if partition not in self._proofs:
            return False
        try:
            return self._proofs.is_one(partition, message.offset() or 0, message.leader_epoch())
        except PartitionStopped as gap:
            self._stop_at_gap(partition, gap)
            return True

    def _client_error(self, partition: Partition, error: KafkaError, now_s: float) -> None:
        if self.refusals.note(now_s, *partition, error):
            self._stop(partition, self.refusals.of_partitions[partition])
        if error.code() != KafkaError._AUTO_OFFSET_RESET or partition in self._starting:  # noqa: SLF001
            return
        begin = self._beginnings.get(partition)
        is_unread = begin is not None and not begin.is_committed and self._intake.last_offset(partition) < begin.offset
        if is_unread or partition in self._proofs:
            # Retention was faster than the first read: ask again.
            self._proofs.forget([partition])
            self._starting.append(partition)
        else:
            self._stop_at_gap(partition, gap(partition, f"the next record is gone from the topic: {error.str()}"))

    def _look_at_refusals(self, now_s: float) -> None:
        """What Kafka lets us read again goes on at its committed offset."""
        for partition in self.refusals.look(now_s, is_settled=self.subscription.is_settled):
            self.stopped.pop(partition, None)
            if partition in self.subscription.assigned:
                self._starting.append(partition)

    def _keep_flow(self) -> None:
        flow = self._alignment.flow()
        self._parts.metrics.match.alignment.pauses.inc(len(flow.pause))
        self.subscription.pause(flow.pause)
        self.subscription.resume(flow.resume)

    # --- decode, match ---

    def _match(self, ready: list[Message], now_s: float) -> None:
        """Decode and match a batch, dead letters out first; the rest waits if the schema registry does not answer."""
        parts = self._parts
        work = Work(parts.config, parts.decoder, parts.matcher, self._sources, parts.mapped, int(now_s * 1000))
        self._held = []
        with self._timed("match"):
            try:
                work.take(ready)
            except Unavailable as outage:
                self._held = ready[work.records :]
                self._pause(now_s, outage)
        self._stop_bad_topics(work)
        for message, failure in work.dead:
            partition = (message.topic() or "", message.partition() or 0)
            if partition not in self.stopped:
                parts.dead_letters.publish(message, failure, now_s, self._sources[partition].topic_id)
        self._work = work

    def _stop_bad_topics(self, work: Work) -> None:
        """A topic of dead letters stops, in front of the batch; the others go on."""
        counted = work.counted()
        for topic, recent in self._limit.beyond(counted).items():
            for partition in [owned for owned in self.subscription.assigned if owned[0] == topic]:
                self._count_given_up(partition, work.leave_out(partition, 0))
                self._stop(partition, self._limit.words(partition, recent, counted.get(partition)))

    def _retry(self, now_s: float, attempt: Callable[[], None]) -> None:
        try:
            attempt()
        except Unavailable as outage:
            self._pause(now_s, outage)

    def _pause(self, now_s: float, outage: Unavailable) -> None:
        self._retry_at_s = now_s + jittered(RETRY_S)
        self._parts.metrics.count_outage(outage)
        self._tell_outage(now_s, outage)

    def _tell_outage(self, now_s: float, outage: Unavailable) -> None:
        self.outage = without_traceback(outage)
        self._outages.note(now_s, outage)

    def _look_whether_outage_is_over(self, now_s: float) -> None:
        if self.outage is not None and not self.is_paused:
            self.outage = None
            self._outages.end(now_s)

    # --- log ---

    def _log(self, deadline: Deadline) -> None:
        """Log what the batch earned, if its dead letters are settled by then."""
        work, parts = self._work, self._parts
        if work is None or not parts.dead_letters.settle(deadline, self._now_s):
            return
        for refusal in parts.dead_letters.take_refused():
            left_out = work.leave_out(refusal.partition, refusal.offset)
            if left_out:  # else it was taken away meanwhile
                self._count_given_up(refusal.partition, left_out)
                self._stop(refusal.partition, refusal.detail)
        self._work = None
        with self._timed("log"), self._deliveries.batch(work.offsets) as batch:
            for number, value in work.frames():
                self.logged.append(number)
                self._deliveries.produce(batch, OutputRecord(None, value, partition=number), number)
        self._limit.count(work.counted())
        self._epochs |= work.leader_epochs
        parts.steps.passed("matched")
        work.count(parts.metrics)
        parts.spans.tell(work.traced(parts.config.match_group, time()))

    def _look_at_unacknowledged(self, now_s: float) -> None:
        subjects = ((self._dead_letters_wait, self._work), (self._frames_wait, self._deliveries.oldest))
        for late in [waiting.look(now_s, subject) for waiting, subject in subjects]:
            if late is not None:
                self._parts.metrics.count_outage(late)
                self._tell_outage(now_s, late)

    # --- commit ---

    def _commit(self, now_s: float) -> None:
        safe = self._deliveries.complete()
        if safe:
            self._parts.steps.passed("logged")
        self.commits.stage(safe)
        with self._timed("commit"):
            self.commits.flush(self.subscription.consumer, now_s)

    def _tell_in_hand(self, now_s: float) -> None:
        if now_s - self._told_in_hand_s < IN_HAND_EVERY_S:
            return
        self._told_in_hand_s = now_s
        self._parts.metrics.match.alignment.held_bytes.set(self._alignment.held_bytes)
        held = Counter((message.topic() or "", message.partition() or 0) for message in self._held)
        matched = {} if self._work is None else self._work.records_by_partition()
        in_hand = [self._alignment.buffered_by_partition(), held, matched]
        tell_in_hand(in_hand, self._parts.config.input_topics, self._parts.metrics.match)
