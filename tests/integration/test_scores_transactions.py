"""Kafka's part in the order of the scores topic: what a worker sends that is no member any more is never committed."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from leadscore.ops.metrics import Metrics
from leadscore.ops.services import OutageLog
from leadscore.pipeline.kafka.clients import CONSUMER, LOG_CONSUMER, PRODUCER
from leadscore.pipeline.kafka.commits import Together
from leadscore.pipeline.kafka.transactions import Transactions
from leadscore.pipeline.score.counts import CrossingCounts, ScoreNewsCounts
from leadscore.pipeline.score.score_records import json_score_encoding
from leadscore.pipeline.score.uncommitted import NewsTopic, Uncommitted, UncommittedCounts
from leadscore.pipeline.steps import NoSteps
from leadscore.scoring.latest_score import LatestScore
from tests.servers import KafkaServer, wait_until

TIMEOUT_S = 10.0


def news(revision: int) -> LatestScore:
    return LatestScore("m", "L1", revision, revision, 1, revision, float(revision), 0.0, 0.0, "", "cold", None, [])


class Delayed(Producer):
    """What is to happen after it has sent its records, and before it commits their offsets."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def send_offsets_to_transaction(self, *args: Any) -> None:
        assert self.flush(TIMEOUT_S) == 0
        self.meanwhile()
        super().send_offsets_to_transaction(*args)


class Place:
    """Two topics and a group."""

    def __init__(self, kafka: KafkaServer, name: str) -> None:
        self.kafka, self.name = kafka, name
        self.log, self.scores = f"{name}.log", f"{name}.scores"
        topics = [NewTopic(topic, 1, 1) for topic in (self.log, self.scores)]
        admin = AdminClient(dict(kafka.properties))  # without it there is no answer
        for created in admin.create_topics(topics).values():
            created.result(timeout=30)

    @contextmanager
    def member(self) -> Iterator[Consumer]:
        """The group's one member: a later one under the same name takes its place at once."""
        own = {"group.id": self.name, "group.instance.id": "worker-0"}
        with closing(Consumer({**CONSUMER, **self.kafka.properties, **own, "auto.offset.reset": "earliest"})) as member:
            member.subscribe([self.log])

            def has_joined() -> bool:
                member.poll(0.1)
                return bool(member.assignment())

            wait_until(has_joined, 30, "the group's member")
            yield member

    def new_producer(self, transaction: str, meanwhile: Callable[[], None] = lambda: None) -> Callable[[], Producer]:
        def new_producer() -> Producer:
            own = {"transactional.id": f"{self.name}-{transaction}", "enable.gapless.guarantee": False}
            own |= {"message.timeout.ms": 10_000, "transaction.timeout.ms": 10_000}
            producer = Delayed({**PRODUCER, **self.kafka.properties, **own}, logger=logging.getLogger("test"))
            producer.meanwhile = meanwhile
            return producer

        return new_producer

    def uncommitted(self, transaction: str, meanwhile: Callable[[], None] = lambda: None) -> Uncommitted:
        metrics = Metrics("1.0", [])
        counts = UncommittedCounts(
            CrossingCounts(metrics), ScoreNewsCounts(metrics), metrics.count_outage, metrics.transactions.count_ended
        )
        transactions = Transactions(transaction, self.new_producer(transaction, meanwhile), NoSteps())
        topic, outages = NewsTopic(self.scores, json_score_encoding()), OutageLog("begun", "over", {})
        return Uncommitted(transactions, topic, counts, outages, has_outputs=False)

    def commit(self, scores: Uncommitted, member: Consumer, revision: int) -> Together:
        scores.hold_news(0, [news(revision)])
        return scores.commit(member, [TopicPartition(self.log, 0, revision + 1)], TIMEOUT_S)

    def committed(self, member: Consumer) -> int:
        (place,) = member.committed([TopicPartition(self.log, 0)], timeout=TIMEOUT_S)
        return place.offset

    def revisions(self) -> list[int]:
        """Of the records that a reader of what is committed sees, in their order."""
        own = {"group.id": "reader", "isolation.level": "read_committed", "enable.partition.eof": True}
        with closing(Consumer({**self.kafka.properties, **own})) as reader:
            reader.assign([TopicPartition(self.scores, 0, OFFSET_BEGINNING)])
            times: list[int] = []
            while (message := reader.poll(TIMEOUT_S)) is not None and message.error() is None:
                times.append(message.timestamp()[1])
        return times


@pytest.fixture
def place(kafka: KafkaServer, fresh_name: Callable[[str], str]) -> Place:
    return Place(kafka, fresh_name("transactions"))


def test_news_and_offset_are_there_together(place: Place) -> None:
    with place.member() as member:
        scores = place.uncommitted("one")
        assert place.commit(scores, member, 1) is Together.COMMITTED
        assert place.commit(scores, member, 2) is Together.COMMITTED
        assert (place.revisions(), place.committed(member)) == ([1, 2], 3)


def test_what_was_sent_before_another_took_over_never_comes_after_what_that_one_published(place: Place) -> None:
    results: list[Together] = []

    def take_over() -> None:
        with place.member() as successor:
            results.append(place.commit(place.uncommitted("another"), successor, 2))

    with place.member() as zombie:
        late = place.uncommitted("one", meanwhile=take_over)
        assert place.commit(late, zombie, 1) is Together.REFUSED
        assert results == [Together.COMMITTED]
        assert place.revisions() == [2]


def test_a_successor_asks_for_the_committed_offset_only_when_no_transaction_on_it_is_open(place: Place) -> None:
    """One under the same transactional name ends it at once."""
    with place.member() as member:
        producer = place.new_producer("one")()
        producer.init_transactions(TIMEOUT_S)
        producer.begin_transaction()
        producer.produce(place.scores, b"{}", b"L1", timestamp=1)
        producer.send_offsets_to_transaction(
            [TopicPartition(place.log, 0, 2)], member.consumer_group_metadata(), TIMEOUT_S
        )
        assert place.commit(place.uncommitted("one"), member, 2) is Together.COMMITTED
        assert (place.revisions(), place.committed(member)) == ([2], 3)


def test_the_position_goes_beyond_the_end_of_a_transaction_which_is_no_record(place: Place) -> None:
    """A shard whose log ends so has caught up: the client says of the partition's end what it says of its position."""
    producer = place.new_producer("one")()
    producer.init_transactions(TIMEOUT_S)
    producer.begin_transaction()
    producer.produce(place.scores, b"{}", b"L1", timestamp=1)
    producer.commit_transaction(TIMEOUT_S)
    partition = TopicPartition(place.scores, 0)
    with closing(Consumer({**LOG_CONSUMER, **place.kafka.properties, "group.id": f"{place.name}-log"})) as reader:
        reader.assign([TopicPartition(place.scores, 0, 0)])
        wait_until(lambda: reader.consume(10, 0.1), 30, "the record")

        def is_at_the_end() -> bool:
            assert reader.consume(10, 0.1) == []
            [at] = reader.position([partition])
            return at.offset == reader.get_watermark_offsets(partition, cached=True)[1] == 2

        wait_until(is_at_the_end, 30, "the position beyond the end of the transaction")
