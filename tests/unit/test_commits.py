"""Committing offsets: what failed is tried again, what is not ours any more is not."""

from time import sleep
from typing import cast

import pytest
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from leadscore.errors import WorkerStopped
from leadscore.pipeline.kafka.commit_policy import CommitPolicy, Offsets
from leadscore.pipeline.kafka.commits import Commits
from leadscore.pipeline.kafka.deadline import Deadline

ONE, OTHER = ("log", 0), ("log", 1)
REBALANCING = KafkaError(KafkaError.REBALANCE_IN_PROGRESS)


class FakeConsumer:
    """Remembers what it is asked to commit; takes it, or fails, where it is told to."""

    def __init__(self) -> None:
        self.asked: list[Offsets] = []
        self.stored: Offsets = {}
        self.failure: KafkaError | None = None
        self.silence: KafkaError | None = None
        self.stored_is_fixed = False
        self.waits_s: list[float] = []

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        assert asynchronous
        if self.failure is not None:
            raise KafkaException(self.failure)
        self.asked.append(named(offsets))
        if self.silence is None and not self.stored_is_fixed:
            self.stored |= named(offsets)

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        self.waits_s.append(timeout)
        if self.silence is not None:
            sleep(timeout)
            raise KafkaException(self.silence)
        return [
            TopicPartition(*partition, self.stored.get(partition, OFFSET_INVALID)) for partition in named(partitions)
        ]

    @property
    def as_consumer(self) -> Consumer:
        return cast("Consumer", self)


def named(partitions: list[TopicPartition]) -> Offsets:
    return {(partition.topic, partition.partition): partition.offset for partition in partitions}


def answered(offsets: Offsets) -> list[TopicPartition]:
    return [TopicPartition(*partition, offset) for partition, offset in offsets.items()]


def test_a_commit_that_failed_is_tried_again_though_nothing_new_comes() -> None:
    commits, consumer = Commits(CommitPolicy(0.0)), FakeConsumer()
    commits.stage({ONE: 5})
    commits.flush(consumer.as_consumer, 1.0)
    commits.on_commit(REBALANCING, answered({ONE: 5}))
    commits.flush(consumer.as_consumer, 2.0)
    commits.on_commit(None, answered({ONE: 5}))
    commits.flush(consumer.as_consumer, 3.0)
    assert consumer.asked == [{ONE: 5}, {ONE: 5}]
    assert (commits.confirmed, commits.failed) == ({ONE: 5}, 1)


def test_a_later_offset_takes_the_place_of_the_one_that_failed() -> None:
    commits, consumer = Commits(CommitPolicy(0.0)), FakeConsumer()
    commits.stage({ONE: 5})
    commits.flush(consumer.as_consumer, 1.0)
    commits.stage({ONE: 9})
    commits.on_commit(REBALANCING, answered({ONE: 5}))
    commits.flush(consumer.as_consumer, 2.0)
    assert consumer.asked == [{ONE: 5}, {ONE: 9}]


def test_what_failed_is_not_tried_again_once_the_partition_is_not_ours() -> None:
    commits, consumer = Commits(CommitPolicy(0.0)), FakeConsumer()
    commits.stage({ONE: 5, OTHER: 7})
    commits.flush(consumer.as_consumer, 1.0)
    commits.drop([ONE])
    commits.on_commit(REBALANCING, answered({ONE: 5, OTHER: 7}))
    commits.flush(consumer.as_consumer, 2.0)
    assert consumer.asked == [{ONE: 5, OTHER: 7}, {OTHER: 7}]


def test_a_commit_that_was_waited_for_is_confirmed_or_tried_again() -> None:
    commits, consumer = Commits(CommitPolicy(0.0)), FakeConsumer()
    commits.stage({ONE: 5})
    consumer.failure = REBALANCING
    commits.commit_now(consumer.as_consumer, Deadline(1.0))
    assert (commits.confirmed, commits.failed) == ({}, 1)
    consumer.failure = None
    commits.commit_now(consumer.as_consumer, Deadline(1.0))
    commits.commit_now(consumer.as_consumer, Deadline(1.0))
    assert commits.confirmed == {ONE: 5}
    assert consumer.asked == [{ONE: 5}]


def test_a_fatal_failure_stops_the_worker() -> None:
    commits, consumer = Commits(CommitPolicy(0.0)), FakeConsumer()
    consumer.failure = KafkaError(KafkaError._FATAL, "fenced", fatal=True)
    commits.stage({ONE: 5})
    with pytest.raises(WorkerStopped, match="fenced"):
        commits.commit_now(consumer.as_consumer, Deadline(1.0))


def test_a_commit_without_an_answer_is_waited_for_no_longer_than_allowed_and_tried_again() -> None:
    commits, consumer = Commits(CommitPolicy(0.0)), FakeConsumer()
    consumer.silence = KafkaError(KafkaError._TIMED_OUT)
    commits.stage({ONE: 5})
    commits.commit_now(consumer.as_consumer, Deadline(0.2))
    assert consumer.waits_s == [pytest.approx(0.2, abs=0.2)]
    assert commits.confirmed == {}
    commits.on_commit(consumer.silence, answered({ONE: 5}))
    consumer.silence = None
    commits.commit_now(consumer.as_consumer, Deadline(1.0))
    assert commits.confirmed == {ONE: 5}


def test_a_commit_that_was_not_taken_is_tried_again() -> None:
    commits, consumer = Commits(CommitPolicy(0.0)), FakeConsumer()
    commits.stage({ONE: 5})
    commits.commit_now(consumer.as_consumer, Deadline(1.0))
    commits.stage({ONE: 9})
    consumer.stored_is_fixed = True
    commits.commit_now(consumer.as_consumer, Deadline(1.0))
    assert commits.confirmed == {ONE: 5}
    consumer.stored_is_fixed = False
    commits.flush(consumer.as_consumer, 1.0)
    assert consumer.stored == {ONE: 9}


def test_commits_keep_an_interval() -> None:
    commits, consumer = Commits(CommitPolicy(1.0)), FakeConsumer()
    for offset, now_s in ((5, 10.0), (6, 10.5), (7, 11.0)):
        commits.stage({ONE: offset})
        commits.flush(consumer.as_consumer, now_s)
    assert consumer.asked == [{ONE: 5}, {ONE: 7}]
