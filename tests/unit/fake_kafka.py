"""Kafka in memory, for unit tests of the stages: a consumer of given records, a producer that answers as told."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import sleep
from typing import Any, cast

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from leadscore.log.records import NO_EPOCH
from leadscore.pipeline.kafka.questions import leader_epoch_of
from leadscore.pipeline.kafka.records import Bounds, Partition

Rebalance = Callable[[Consumer, list[TopicPartition]], None]


@dataclass
class FakeMessage:
    """A record, or with ``failure`` an event of its partition, as the client gives it."""

    place: tuple[str, int, int]
    content: bytes | None = None
    time_ms: int = 1
    name: bytes | None = None
    failure: KafkaError | None = None
    epoch: int | None = None

    def topic(self) -> str:
        return self.place[0]

    def partition(self) -> int:
        return self.place[1]

    def offset(self) -> int:
        return self.place[2]

    def leader_epoch(self) -> int | None:
        return self.epoch

    def error(self) -> KafkaError | None:
        return self.failure

    def key(self) -> bytes | None:
        return self.name

    def value(self) -> bytes | None:
        return self.content

    def __len__(self) -> int:
        return len(self.content or b"")

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, self.time_ms


def records_of(partition: Partition, values: Iterable[bytes], time_ms: Callable[[int], int]) -> list[FakeMessage]:
    return [FakeMessage((*partition, offset), value, time_ms(offset)) for offset, value in enumerate(values)]


class FakeConsumer:
    """Given all its partitions at the first poll; ``give``, ``take_away`` and ``lose`` happen at the next one."""

    def __init__(self, records: Mapping[Partition, Sequence[FakeMessage]]) -> None:
        self.records = dict(records)
        self.committed_offsets: dict[Partition, int] = {}
        self.notes: dict[Partition, str | None] = {}
        self.oldest: dict[Partition, int] = {}
        self.committed_epochs: dict[Partition, int] = {}
        self.commit_failure: KafkaError | None = None
        self.member_id = "member"
        self.started: list[tuple[Partition, int]] = []
        self.paused: set[Partition] = set()
        self._places: dict[Partition, int] = {}
        self._at_end: set[Partition] = set()
        self._assigned: list[Partition] = []
        self._changes: list[Callable[[], None]] = []
        self._callbacks: dict[str, Rebalance] = {}

    @property
    def as_consumer(self) -> Consumer:
        return cast("Consumer", self)

    # --- what the test lets happen ---

    def give(self, *partitions: Partition) -> None:
        self._changes.append(lambda: self._give(partitions))

    def take_away(self, *partitions: Partition) -> None:
        self._changes.append(lambda: self._take(partitions, "on_revoke"))

    def lose(self, *partitions: Partition) -> None:
        self._changes.append(lambda: self._take(partitions, "on_lost"))

    def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
        return {partition: (self.oldest.get(partition, 0), len(self.records[partition])) for partition in partitions}

    def _give(self, partitions: Iterable[Partition]) -> None:
        self._assigned += partitions
        self._callbacks["on_assign"](self.as_consumer, _topic_partitions(partitions))

    def _take(self, partitions: Iterable[Partition], callback: str) -> None:
        self._callbacks[callback](self.as_consumer, _topic_partitions(partitions))
        for partition in partitions:
            self._assigned.remove(partition)
            self._places.pop(partition, None)

    # --- what the stages use ---

    def subscribe(self, _topics: list[str], **callbacks: Rebalance) -> None:
        self._callbacks = callbacks
        self.give(*self.records)

    def consume(self, most: int, _timeout_s: float) -> list[Message]:
        messages: list[FakeMessage] = []
        for partition in [owned for owned in self._assigned if owned in self._places and owned not in self.paused]:
            messages += self._read(partition, most)
        changes, self._changes = self._changes, []
        for change in changes:
            change()
        return cast("list[Message]", messages)

    def _read(self, partition: Partition, most: int) -> list[FakeMessage]:
        place = self._places[partition]
        messages = list(self.records[partition][place : place + most])
        self._places[partition] = place + len(messages)
        if messages or partition in self._at_end:
            self._at_end.discard(partition)
            return messages
        self._at_end.add(partition)
        return [FakeMessage((*partition, place), failure=KafkaError(KafkaError._PARTITION_EOF))]

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._places = {}
        self.incremental_assign(partitions)

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            assert (partition.topic, partition.partition) not in self._places
            assert partition.offset >= 0  # a logical offset may win over a later one
            self._go_to(partition)

    def incremental_unassign(self, partitions: list[TopicPartition]) -> None:
        for name in _names(partitions):
            del self._places[name]

    def position(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        return [TopicPartition(*name, self._places[name]) for name in _names(partitions)]

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.paused |= set(_names(partitions))

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.paused -= set(_names(partitions))

    def seek(self, to: TopicPartition) -> None:
        assert (to.topic, to.partition) in self._places
        self._go_to(to)

    def _go_to(self, to: TopicPartition) -> None:
        partition = (to.topic, to.partition)
        self._places[partition] = max(to.offset, 0)
        self._at_end.discard(partition)
        self.started.append((partition, self._places[partition]))

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        if not asynchronous:
            raise AssertionError
        if self.commit_failure is not None:
            raise KafkaException(self.commit_failure)
        self.committed_offsets |= {(partition.topic, partition.partition): partition.offset for partition in offsets}
        self.notes |= {(partition.topic, partition.partition): partition.metadata for partition in offsets}
        self.committed_epochs |= {(place.topic, place.partition): leader_epoch_of(place) for place in offsets}

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout >= 0
        stored, notes, epochs = self.committed_offsets, self.notes, self.committed_epochs
        return [
            TopicPartition(
                *name,
                stored.get(name, OFFSET_INVALID),
                metadata=notes.get(name) or "",
                leader_epoch=epochs.get(name, NO_EPOCH),
            )
            for name in _names(partitions)
        ]

    def consumer_group_metadata(self) -> str:
        return self.member_id

    def memberid(self) -> str:
        return self.member_id

    def get_watermark_offsets(self, partition: TopicPartition, **_: object) -> Bounds:
        return 0, len(self.records[partition.topic, partition.partition])

    def close(self) -> None:
        self._take(list(self._assigned), "on_revoke")


@dataclass(frozen=True)
class Sent:
    """What was handed to the producer."""

    topic: str
    value: bytes | None
    key: bytes | None
    options: Mapping[str, Any]


class FakeProducer:
    """Everything is acknowledged at the next poll, but for what ``refusal`` has an error for.

    ``is_silent``: nothing is, and a poll takes all the time it has. ``too_large``: values that are not even taken.
    """

    def __init__(self, refusal: Callable[[Sent], KafkaError | None] = lambda _: None) -> None:
        self.sent: list[Sent] = []
        self.is_silent = False
        self.too_large_bytes = 1 << 30
        self._refusal = refusal
        self.poll_timeouts_s: list[float] = []
        self._waiting: list[Sent] = []

    @property
    def as_producer(self) -> Producer:
        return cast("Producer", self)

    def produce(self, topic: str, value: bytes | None, key: bytes | None, **options: Any) -> None:
        if len(value or b"") > self.too_large_bytes:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        sent = Sent(topic, value, key, options)
        self.sent.append(sent)
        self._waiting.append(sent)

    def __len__(self) -> int:
        return len(self._waiting)

    def poll(self, timeout_s: float) -> None:
        self.poll_timeouts_s.append(timeout_s)
        if self.is_silent:
            sleep(timeout_s)
            return
        waiting, self._waiting = self._waiting, []
        for sent in waiting:
            sent.options["on_delivery"](self._refusal(sent), FakeMessage((sent.topic, 0, 0), sent.value))

    def values(self, topic: str) -> list[bytes]:
        return [sent.value or b"" for sent in self.sent if sent.topic == topic]


def _names(partitions: Iterable[TopicPartition]) -> list[Partition]:
    return [(partition.topic, partition.partition) for partition in partitions]


def _topic_partitions(partitions: Iterable[Partition]) -> list[TopicPartition]:
    return [TopicPartition(*partition) for partition in partitions]
