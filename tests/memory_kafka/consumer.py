"""A consumer of the Kafka in memory: what the stages use of ``confluent_kafka.Consumer``, with its callbacks."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, cast

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition

from leadscore.pipeline.kafka.records import Bounds, Headers, Partition
from tests.memory_kafka.broker import Broker, PartitionLog, Record
from tests.memory_kafka.groups import Member, OffsetNote
from tests.memory_kafka.weather import Weather

Rebalance = Callable[[Consumer, list[TopicPartition]], None]
OnCommit = Callable[[KafkaError | None, list[TopicPartition]], None]


class Delivered:
    """A record, or with ``failure`` an event of its partition, as the client gives it."""

    __slots__ = ("_failure", "_offset", "_place", "_record")

    def __init__(self, place: Partition, offset: int, record: Record | None, failure: KafkaError | None = None) -> None:
        self._place = place
        self._offset = offset
        self._record = record
        self._failure = failure

    def topic(self) -> str:
        return self._place[0]

    def partition(self) -> int:
        return self._place[1]

    def offset(self) -> int:
        return self._offset

    def leader_epoch(self) -> int | None:
        return None if self._record is None else self._record.leader_epoch

    def error(self) -> KafkaError | None:
        return self._failure

    def key(self) -> bytes | None:
        return None if self._record is None else self._record.key

    def value(self) -> bytes | None:
        return None if self._record is None else self._record.value

    def headers(self) -> Headers | None:
        return None if self._record is None else (self._record.headers or None)

    def timestamp(self) -> tuple[int, int]:
        return (0, -1) if self._record is None else (1, self._record.time_ms)

    def __len__(self) -> int:
        return len(self.value() or b"")


class Membership(NamedTuple):
    """What a transaction is told about the consumer whose offsets it commits."""

    group: str
    member_id: str
    generation: int


class _Commit(NamedTuple):
    """A commit on its way to the coordinator."""

    membership: Membership
    offsets: dict[Partition, OffsetNote]


class MemoryConsumer:
    """A member of a group. A process that dies calls nothing any more; ``deliver_commits`` is for what it has sent."""

    def __init__(
        self,
        broker: Broker,
        group: str,
        settings: Mapping[str, object],
        on_commit: OnCommit | None = None,
        weather: Weather | None = None,
    ) -> None:
        self._broker = broker
        self._name = group
        self._group = broker.group(group)
        self._is_cooperative = "cooperative" in str(settings.get("partition.assignment.strategy", ""))
        self._tells_ends = bool(settings.get("enable.partition.eof"))
        self._on_commit = on_commit
        self._weather = weather or Weather()
        self._topics: tuple[str, ...] = ()
        self._callbacks: dict[str, Rebalance] = {}
        self._member_id = ""
        self._generation = -1
        self._assigned: set[Partition] = set()
        self._places: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._at_end: set[Partition] = set()
        self._out_of_range: set[Partition] = set()
        self._epochs: dict[Partition, int] = {}
        self._watermarks: dict[Partition, Bounds] = {}
        self._commits: list[_Commit] = []
        self._answers: list[tuple[KafkaError | None, _Commit]] = []

    @property
    def as_consumer(self) -> Consumer:
        return cast("Consumer", self)

    # --- the group ---

    def subscribe(self, topics: list[str], **callbacks: Rebalance) -> None:
        self._topics, self._callbacks = tuple(topics), callbacks

    def memberid(self) -> str:
        return self._member_id

    def consumer_group_metadata(self) -> Membership:
        return Membership(self._name, self._member_id, self._generation)

    def close(self) -> None:
        self._weather.before("consumer.close")
        self.deliver_commits()
        if self._assigned:
            self._give_up("on_revoke", self._assigned)
        self._group.leave(self._member_id)
        self._member_id = ""

    def _follow_group(self) -> None:
        if self._member_id not in self._group.members:
            if self._assigned:
                self._give_up("on_lost", self._assigned)
            self._join()
        member = self._group.members[self._member_id]
        if self._group.is_rebalancing and not member.has_joined:
            if self._assigned and not self._is_cooperative:
                self._give_up("on_revoke", self._assigned)
            self._join()
        if not self._group.is_rebalancing and self._generation != self._group.generation:
            self._take(self._group.members[self._member_id])

    def _join(self) -> None:
        owned = set(self._assigned) if self._is_cooperative else set()
        self._member_id = self._group.join(self._member_id, Member(self._topics, self._is_cooperative, owned))

    def _take(self, member: Member) -> None:
        """What the group has decided: give up, then begin; who had to give something up joins once more."""
        self._generation = self._group.generation
        gone = self._assigned - member.assigned
        if gone:
            self._give_up("on_revoke", gone)
        fresh = member.assigned - self._assigned
        self._assigned |= fresh
        self._callbacks["on_assign"](self.as_consumer, _topic_partitions(sorted(fresh)))
        if gone:
            self._join()

    def _give_up(self, callback: str, partitions: set[Partition]) -> None:
        names = sorted(partitions)
        self._callbacks[callback](self.as_consumer, _topic_partitions(names))
        self._assigned -= set(names)
        if not self._is_cooperative:
            self._places.clear()
        for name in names:
            self._places.pop(name, None)
            self._paused.discard(name)
            self._watermarks.pop(name, None)

    # --- records ---

    def consume(self, most: int, timeout_s: float) -> list[Message]:
        self._weather.before("consumer.consume")
        first = self._weather.happens("records before a rebalance")
        self.deliver_commits()
        messages = self._fetch(most) if first else []
        self._follow_group()
        for error, commit in self._take_answers():
            self._tell(error, commit)
        messages += self._fetch(most - len(messages))
        if not messages and timeout_s:
            self._weather.wait(timeout_s)
        self._weather.after("consumer.consume")
        return cast("list[Message]", messages)

    def _fetch(self, most: int) -> list[Delivered]:
        messages: list[Delivered] = []
        for partition in [one for one in self._places if one not in self._paused]:
            room = most - len(messages)
            if room > 0:
                messages += self._read(partition, self._weather.some(room))
        return messages

    def _read(self, partition: Partition, most: int) -> list[Delivered]:
        log, offset = self._broker.log_of(partition), self._places[partition]
        end = log.stable_end
        self._watermarks[partition] = (log.low, end)
        if not log.low <= offset <= log.high or self._has_lost_what_was_read(log, partition, offset):
            return self._tell_out_of_range(partition, offset)
        messages: list[Delivered] = []
        while offset < end and len(messages) < most:
            record = log.history[offset]
            if record.is_committed:
                messages.append(Delivered(partition, offset, record))
            offset += 1
        self._places[partition] = offset
        if offset > log.low:
            self._epochs[partition] = log.history[offset - 1].leader_epoch
        if messages:
            self._at_end.discard(partition)
        elif offset == end and self._tells_ends and partition not in self._at_end:
            self._at_end.add(partition)
            return [Delivered(partition, offset, None, KafkaError(KafkaError._PARTITION_EOF))]
        return messages

    def _has_lost_what_was_read(self, log: PartitionLog, partition: Partition, offset: int) -> bool:
        """Whether another record stands before the place by now: clients ask that after an election (KIP-320)."""
        return offset > log.low and log.history[offset - 1].leader_epoch > self._epochs.get(partition, log.leader_epoch)

    def _tell_out_of_range(self, partition: Partition, offset: int) -> list[Delivered]:
        """Once: then nothing of the partition is read until it is put somewhere."""
        if partition in self._out_of_range:
            return []
        self._out_of_range.add(partition)
        return [Delivered(partition, offset, None, KafkaError(KafkaError._AUTO_OFFSET_RESET, "offset out of range"))]

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._places, self._paused = {}, set()
        self.incremental_assign(partitions)

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            if partition.offset < 0:
                raise AssertionError("a logical offset may win over a later one")
            self._go_to(partition)

    def incremental_unassign(self, partitions: list[TopicPartition]) -> None:
        for name in _names(partitions):
            self._places.pop(name, None)
            self._paused.discard(name)
            self._out_of_range.discard(name)

    def seek(self, to: TopicPartition) -> None:
        self._weather.before("consumer.seek")
        partition = (to.topic, to.partition)
        if partition not in self._places or partition in self._out_of_range:
            raise KafkaException(KafkaError(KafkaError._STATE))
        self._go_to(to)

    def position(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        return [TopicPartition(*name, self._places.get(name, OFFSET_INVALID)) for name in _names(partitions)]

    def pause(self, partitions: list[TopicPartition]) -> None:
        self._paused |= {name for name in _names(partitions) if name in self._places}

    def resume(self, partitions: list[TopicPartition]) -> None:
        self._paused -= set(_names(partitions))

    def get_watermark_offsets(self, partition: TopicPartition, *, cached: bool) -> Bounds:
        name = (partition.topic, partition.partition)
        return self._watermarks.get(name, (OFFSET_INVALID, OFFSET_INVALID)) if cached else self._broker.bounds(name)

    def _go_to(self, to: TopicPartition) -> None:
        partition = (to.topic, to.partition)
        self._places[partition] = to.offset
        self._epochs.pop(partition, None)
        self._at_end.discard(partition)
        self._out_of_range.discard(partition)

    # --- offsets ---

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        """Send it; it arrives with the next call that waits for the coordinator, or the next poll."""
        if not asynchronous:
            raise AssertionError("the client's synchronous commit has no timeout")
        self._weather.before("consumer.commit")
        places = {(one.topic, one.partition): note_of(one) for one in offsets}
        self._commits.append(_Commit(self.consumer_group_metadata(), places))
        self._weather.after("consumer.commit")

    def deliver_commits(self) -> None:
        """What was sent arrives at the coordinator, in order; it may be lost, or its answer."""
        commits, self._commits = self._commits, []
        for commit in commits:
            if self._weather.happens("commit lost"):
                self._answers.append((KafkaError(KafkaError.REQUEST_TIMED_OUT), commit))
                continue
            code = self._group.commit(*commit.membership[1:], commit.offsets)
            if self._weather.happens("answer to commit lost"):
                code = KafkaError._TIMED_OUT
            self._answers.append((KafkaError(code) if code else None, commit))

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        self._weather.before("consumer.committed")
        self.deliver_commits()
        names = _names(partitions)
        if self._group.in_transactions & set(names):
            self._weather.wait(timeout)
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "offsets are in an open transaction"))
        self._weather.after("consumer.committed")
        nothing = OffsetNote(OFFSET_INVALID, "")
        notes = [self._group.committed.get(name, nothing) for name in names]
        return [_committed_at(name, note) for name, note in zip(names, notes, strict=True)]

    def _take_answers(self) -> list[tuple[KafkaError | None, _Commit]]:
        answers, self._answers = self._answers, []
        return answers

    def _tell(self, error: KafkaError | None, commit: _Commit) -> None:
        if self._on_commit is not None:
            answer = [TopicPartition(*name, note.offset) for name, note in commit.offsets.items()]
            self._on_commit(error, answer)


def _names(partitions: Iterable[TopicPartition]) -> list[Partition]:
    return [(partition.topic, partition.partition) for partition in partitions]


def note_of(place: TopicPartition) -> OffsetNote:
    """What is committed with it."""
    epoch: int | None = place.leader_epoch  # the client's types do not say that it may be missing
    return OffsetNote(place.offset, place.metadata or "", -1 if epoch is None else epoch)


def _committed_at(name: Partition, note: OffsetNote) -> TopicPartition:
    if note.leader_epoch < 0:
        return TopicPartition(*name, note.offset, metadata=note.note)
    return TopicPartition(*name, note.offset, metadata=note.note, leader_epoch=note.leader_epoch)


def _topic_partitions(partitions: Iterable[Partition]) -> list[TopicPartition]:
    return [TopicPartition(*partition) for partition in partitions]
