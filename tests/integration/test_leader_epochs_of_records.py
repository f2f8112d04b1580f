"""Asking a real Kafka under which leader the records at some offsets were stored."""

import logging
from collections.abc import Callable

from confluent_kafka import Consumer, Producer

from leadscore.pipeline.kafka.clients import READER, make_consumer
from leadscore.pipeline.kafka.questions import leader_epochs_at
from leadscore.pipeline.kafka.records import Partition
from tests.servers import KafkaServer

LOGGER = logging.getLogger("tests.leader_epochs")


def commit_one(kafka: KafkaServer, topic: str) -> None:
    """A record, and behind it the end of its transaction."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"x", partition=0)
    producer.commit_transaction(30)


def test_where_a_transaction_ends_there_is_no_record(kafka: KafkaServer, new_topic: Callable[..., str]) -> None:
    topic = new_topic("log", 1)
    for _ in range(2):
        commit_one(kafka, topic)

    def reader() -> Consumer:
        return make_consumer({"bootstrap.servers": kafka.bootstrap}, "any", "range", LOGGER, fetching=READER)

    def epoch_at(offset: int) -> dict[Partition, int]:
        return leader_epochs_at(reader, {(topic, 0): offset})

    record, end, other, last_end = map(epoch_at, range(4))
    assert record == other == {(topic, 0): 0}
    assert end == last_end == {}
