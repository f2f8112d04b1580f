"""One batch of the match stage on its way: decoded, matched, not yet logged."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from confluent_kafka import Message
from msgspec.structs import replace

from leadscore.errors import DeadLetter, DeadLetterReason, without_traceback
from leadscore.events.decoder import Decoder
from leadscore.events.event import COMMAND_PREFIX, Event
from leadscore.events.registered import Headers
from leadscore.events.times import NO_CLOCK_MS, TimeLimits
from leadscore.events.trace_context import trace_of
from leadscore.log.records import (
    MAX_FRAME_AWARDS,
    MAX_FRAME_BYTES,
    NO_EPOCH,
    Award,
    Frame,
    Source,
    Trace,
    encode,
    partition_of,
)
from leadscore.mapping.decoding import Beside, MappedTopics
from leadscore.model.matching import Matcher
from leadscore.ops.config import Config
from leadscore.ops.metrics import Metrics
from leadscore.ops.tracing import TracedBatch
from leadscore.pipeline.kafka.records import Partition
from leadscore.pipeline.match.dead_letter_limit import Counted, Tally


class LoggedFrame(NamedTuple):
    """The bytes of a frame, and the log partition that it is for."""

    number: int
    value: bytes


class _Lane:
    """One source partition's part of a batch: the offsets of its records by what became of them.

    ``index`` is the frame's source for the latest of them: those that another leader has written have another.
    """

    __slots__ = ("dead", "ignored", "index", "leader_epoch", "matched", "next_offset")

    def __init__(self, index: int, leader_epoch: int | None) -> None:
        self.index = index
        self.leader_epoch = leader_epoch
        self.next_offset = 0
        self.matched: list[int] = []
        self.ignored: list[int] = []
        self.dead: list[int] = []

    @property
    def first(self) -> int:
        """The offset of the first of them."""
        return min(offsets[0] for offsets in (self.matched, self.ignored, self.dead) if offsets)

    @property
    def records(self) -> int:
        """How many there are."""
        return len(self.matched) + len(self.ignored) + len(self.dead)

    def cut(self, first: int) -> None:
        """Take back the records from this offset on."""
        self.next_offset = first
        for offsets in (self.matched, self.ignored, self.dead):
            offsets[:] = [offset for offset in offsets if offset < first]


class Work:
    """One batch on its way: awards by log partition, dead letters, and the offsets it will make safe."""

    def __init__(
        self,
        config: Config,
        decoder: Decoder,
        matcher: Matcher,
        sources: Mapping[Partition, Source],
        mapped: MappedTopics | None = None,
        now_ms: int = NO_CLOCK_MS,
    ) -> None:
        """``mapped`` decodes the topics that have a mapping; ``now_ms`` is this worker's clock."""
        self.awards: dict[int, list[Award]] = {}
        self.sources: list[Source] = []
        self.dead: list[tuple[Message, DeadLetter]] = []
        self._lanes: dict[Partition, _Lane] = {}
        self._known = sources
        self._decoder = decoder
        self._matcher = matcher
        self._command_topic = config.command_topic
        self._partitions = config.log_partitions
        self._mapped = mapped
        self._times = TimeLimits(config.earliest_ms, config.max_future_skew_ms, now_ms)

    @property
    def offsets(self) -> dict[Partition, int]:
        """The next offset of every partition in the batch."""
        return {partition: lane.next_offset for partition, lane in self._lanes.items() if lane.next_offset}

    @property
    def records(self) -> int:
        """How many records were taken."""
        return sum(lane.records for lane in self._lanes.values())

    @property
    def leader_epochs(self) -> dict[Partition, int]:
        """Of the latest record of every partition in the batch, where the broker says it."""
        epochs = {partition: lane.leader_epoch for partition, lane in self._lanes.items()}
        return {partition: epoch for partition, epoch in epochs.items() if epoch is not None}

    def records_by_partition(self) -> dict[Partition, int]:
        """How many records of each partition were taken."""
        return {partition: lane.records for partition, lane in self._lanes.items()}

    def counted(self) -> dict[Partition, Counted]:
        """What was taken of each partition, without what was taken back."""
        return {
            partition: Counted(Tally(lane.records, len(lane.dead)), lane.first, lane.next_offset)
            for partition, lane in self._lanes.items()
            if lane.records
        }

    def take(self, messages: Sequence[Message]) -> None:
        """Decode and match records, one after the other; ``Unavailable`` where ``records`` of them are taken."""
        matcher, lanes, awards, mapped = self._matcher, self._lanes, self.awards, self._mapped
        mapped_topics: frozenset[str] = frozenset() if mapped is None else mapped.topics
        lane: _Lane | None
        for message in messages:
            topic, offset = message.topic() or "", message.offset() or 0
            partition = (topic, message.partition() or 0)
            epoch, kafka_time_ms = message.leader_epoch(), message.timestamp()[1]
            headers: Headers | None = message.headers()  # type: ignore[assignment]  # a list
            try:
                if mapped is not None and topic in mapped_topics:
                    events = self._of_mapped(mapped, message, topic, headers, kafka_time_ms)
                else:
                    events = self._of_own(message, topic, headers, kafka_time_ms)
            except DeadLetter as failure:
                lane = self._lane_of(partition, epoch)
                self.dead.append((message, without_traceback(failure)))
                lane.dead.append(offset)
            else:
                lane = lanes.get(partition)
                if lane is None or lane.leader_epoch != epoch:
                    lane = self._lane_of(partition, epoch)
                is_matched = False
                received_at_ms = None if kafka_time_ms < 0 else kafka_time_ms
                trace = trace_of(headers) if headers else None
                for event in events:
                    award = matcher.award(event, lane.index, offset, received_at_ms, trace)
                    if award is not None:
                        is_matched = True
                        number = partition_of(event.lead_id, self._partitions)
                        if number not in awards:
                            awards[number] = []
                        awards[number].append(award)
                (lane.matched if is_matched else lane.ignored).append(offset)
            lane.next_offset = offset + 1

    def _of_own(self, message: Message, topic: str, headers: Headers | None, kafka_time_ms: int) -> list[Event]:
        """The event of a record of a topic without a mapping."""
        event = self._decoder.decode(topic, message.value(), headers)
        self._check(event, topic, kafka_time_ms)
        return [event]

    def _of_mapped(
        self, mapped: MappedTopics, message: Message, topic: str, headers: Headers | None, kafka_time_ms: int
    ) -> list[Event]:
        """The events of a record of a topic with a mapping: none, one or several."""
        if mapped.looks_beside(topic):
            beside = Beside(message.key(), headers, kafka_time_ms if kafka_time_ms >= 0 else None)
        else:
            beside = Beside(None, headers)
        return mapped.events(topic, message.value(), beside, partial(self._times.check, kafka_time_ms=kafka_time_ms))

    def leave_out(self, partition: Partition, first: int) -> int:
        """Take back the records of a partition from this offset on; how many those were."""
        lane = self._lanes.get(partition)
        if lane is None or lane.next_offset <= first:
            return 0
        before = lane.records
        lane.cut(first)
        self.dead = [letter for letter in self.dead if not _is_from(letter[0], partition, first)]
        own = {index for index, source in enumerate(self.sources) if (source.topic, source.partition) == partition}
        for number, awards in self.awards.items():
            self.awards[number] = [award for award in awards if award.source not in own or award.offset < first]
        return before - lane.records

    def frames(self) -> Iterator[LoggedFrame]:
        """The frames for the log."""
        for number, awards in self.awards.items():
            if awards:
                yield from _frames(number, self._matcher.version, self.sources, awards)

    def count(self, metrics: Metrics) -> None:
        """Add the batch to the metrics."""
        match = metrics.match
        for (topic, _), lane in self._lanes.items():
            for outcome, offsets in (
                ("matched", lane.matched),
                ("ignored", lane.ignored),
                ("dead_lettered", lane.dead),
            ):
                if offsets:
                    match.records_processed.labels(topic, outcome).inc(len(offsets))
        if self._lanes:
            metrics.process.last_record_processed_timestamp.labels("match").set_to_current_time()

    def traced(self, group: str, ended_s: float) -> TracedBatch:
        """The batch, for a span."""
        return TracedBatch("match", group, self._times.now_ms / 1000, ended_s, self.records, self._traces)

    def _traces(self) -> list[Trace]:
        return [award.trace for awards in self.awards.values() for award in awards if award.trace is not None]

    def _lane_of(self, partition: Partition, leader_epoch: int | None) -> _Lane:
        """The partition's lane, for a record that was written under this leader."""
        lane = self._lanes.get(partition)
        if lane is None:
            lane = self._lanes[partition] = _Lane(len(self.sources), leader_epoch)
        elif lane.leader_epoch == leader_epoch:
            return lane
        lane.index, lane.leader_epoch = len(self.sources), leader_epoch
        epoch = NO_EPOCH if leader_epoch is None else leader_epoch
        self.sources.append(replace(self._known[partition], leader_epoch=epoch))
        return lane

    def _check(self, event: Event, topic: str, kafka_time_ms: int) -> None:
        self._times.check(event.occurred_at_ms, kafka_time_ms)
        if event.type.startswith(COMMAND_PREFIX) != (topic == self._command_topic):
            expected = "commands only" if topic == self._command_topic else "no commands"
            raise DeadLetter(DeadLetterReason.INVALID_COMMAND, f"type: expected {expected} on this topic")


def _is_from(message: Message, partition: Partition, first: int) -> bool:
    place = (message.topic(), message.partition())
    return place == partition and (message.offset() or 0) >= first


def _frames(number: int, version: int, sources: list[Source], awards: list[Award]) -> list[LoggedFrame]:
    """The awards in as few frames as their limits allow. Those of one record stay together."""
    middle = _middle(awards)
    if len(awards) <= MAX_FRAME_AWARDS or middle == 0:
        value = encode(Frame(version, sources, awards))
        if len(value) <= MAX_FRAME_BYTES or middle == 0:
            return [LoggedFrame(number, value)]
    halves = (awards[:middle], awards[middle:])
    return [logged for half in halves for logged in _frames(number, version, sources, half)]


def _middle(awards: list[Award]) -> int:
    """Where one record's awards end and another's begin, near the middle; 0 if all are of one record."""
    middle = len(awards) // 2
    while middle > 0 and _is_same_record(awards[middle - 1], awards[middle]):
        middle -= 1
    if middle == 0:
        middle = len(awards) // 2 + 1
        while middle < len(awards) and _is_same_record(awards[middle - 1], awards[middle]):
            middle += 1
    return middle if middle < len(awards) else 0


def _is_same_record(one: Award, other: Award) -> bool:
    return one.offset == other.offset and one.source == other.source
