"""Committing offsets: passes what ``CommitPolicyState`` says to Kafka, and Kafka's answers back to it."""

from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from leadscore.errors import Unavailable, WorkerStopped
from leadscore.log.records import NO_EPOCH
from leadscore.pipeline.kafka.commit_policy import CommitPolicy, Offsets
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.questions import REQUEST_TIMEOUT_S, committed_offsets
from leadscore.pipeline.kafka.records import Partition


class Together(Enum):
    """What became of offsets that are committed together with what they are of."""

    NOTHING = "nothing goes with them"
    COMMITTED = "both are there"
    REFUSED = "neither is there; the same may be tried again"
    UNKNOWN = "that is not known: where to go on has to be asked for"


class CommitsTogether(Protocol):
    """Commits offsets together with what they are of."""

    @property
    def interval_s(self) -> float:
        """The shortest time between two commits, as things are; 0: that of the policy."""

    def commit(self, consumer: Consumer, offsets: list[TopicPartition], timeout_s: float) -> Together:
        """Commit these offsets, and what goes with them."""


_NOT_TOGETHER = KafkaError(KafkaError._FAIL)  # noqa: SLF001


def _no_note(_partition: Partition, _offset: int) -> str:
    return ""


def _no_epoch(_partition: Partition) -> int:
    return NO_EPOCH


class Commits:
    """The commits of one consumer. ``on_commit`` is that consumer's callback and only records."""

    def __init__(self, policy: CommitPolicy) -> None:
        self._state = policy.begin()
        self.note: Callable[[Partition, int], str] = _no_note
        """The metadata that goes with an offset."""
        self.leader_epoch: Callable[[Partition], int] = _no_epoch
        """The leader epoch that goes with an offset: of the record before it, or a later one that was read."""
        self.together: CommitsTogether | None = None
        """How offsets are committed that something else goes with; ``None``: nothing ever does."""
        self.tried = 0
        self.failed = 0

    @property
    def confirmed(self) -> Offsets:
        """What Kafka has confirmed of the partitions that are ours."""
        return self._state.confirmed

    def on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """What Kafka answered."""
        if error is not None:
            self.failed += 1
        for answer in partitions:
            partition = (answer.topic, answer.partition)
            if error is not None or answer.error is not None:
                self._state.fail(partition)
            elif answer.offset >= 0:
                self._state.confirm(partition, answer.offset)

    def stage(self, offsets: Offsets) -> None:
        """These offsets are safe."""
        self._state.stage(offsets)

    def flush(self, consumer: Consumer, now_s: float) -> None:
        """Commit what is staged, if it is time; does not wait for the answer."""
        if self._state.should_commit(now_s, self.together.interval_s if self.together else 0.0):
            self._state.did_commit(now_s)
            self._commit(consumer, REQUEST_TIMEOUT_S)

    def commit_now(self, consumer: Consumer, deadline: Deadline) -> None:
        """Commit what is staged and wait for the answer, but not for longer: before partitions are given up.

        The client's synchronous commit has no timeout: it waits as long as the group has no coordinator. So what is
        waited for is the answer to a question asked afterwards, on the same connection: what is committed?
        """
        expected = self._commit(consumer, deadline.left_s)
        if not expected:
            return
        try:
            committed = committed_offsets(
                consumer, [TopicPartition(*partition) for partition in expected], deadline.left_s
            )
        except Unavailable:
            return  # ``on_commit`` learns what became of it, if there is still time
        for partition, offset in expected.items():
            if committed[partition] == offset:
                self._state.confirm(partition, offset)
            else:
                self._state.fail(partition)

    def drop(self, partitions: Collection[Partition]) -> None:
        """Forget partitions that are not ours any more, or whose offsets may not be committed as they are staged."""
        self._state.drop(partitions)

    def learn(self, committed: Mapping[Partition, int]) -> None:
        """Kafka was asked, and has these."""
        for partition, offset in committed.items():
            self._state.confirm(partition, offset)

    def _commit(self, consumer: Consumer, timeout_s: float) -> Offsets:
        """Commit what is staged; the offsets for which Kafka's answer is to come."""
        expected = self._state.take()
        if not expected:
            return expected
        offsets = [
            TopicPartition(
                *partition, offset, metadata=self.note(partition, offset), leader_epoch=self.leader_epoch(partition)
            )
            for partition, offset in expected.items()
        ]
        self.tried += 1
        together = self.together.commit(consumer, offsets, timeout_s) if self.together else Together.NOTHING
        if together is not Together.NOTHING:
            self._note(together, offsets)
            return {}
        try:
            consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            if error.args[0].fatal():
                raise WorkerStopped(f"committing offsets: {error.args[0].str()}") from error
            self.on_commit(error.args[0], offsets)
        return expected

    def _note(self, together: Together, offsets: list[TopicPartition]) -> None:
        self.on_commit(None if together is Together.COMMITTED else _NOT_TOGETHER, offsets)
        if together is Together.UNKNOWN:  # they may be committed only with what lies below them, which is not at hand
            self._state.drop([(answer.topic, answer.partition) for answer in offsets])
