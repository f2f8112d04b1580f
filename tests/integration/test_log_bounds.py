"""Asking what partitions hold: all of them at once, on a real Kafka and on the demo's embedded one."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from leadscore.demo.embedded import MOCK_PARTITIONS, EmbeddedBroker
from leadscore.pipeline.kafka.clients import make_admin
from leadscore.pipeline.kafka.questions import log_bounds
from tests.servers import KafkaServer

LOGGER = logging.getLogger("tests.log_bounds")
PARTITIONS = 24


def fill(bootstrap: str, topic: str, partitions: int) -> None:
    """As many records as the partition's number says."""
    producer = Producer({"bootstrap.servers": bootstrap})
    for number in range(partitions):
        for _ in range(number):
            producer.produce(topic, b"x", partition=number)
    assert producer.flush(30) == 0


def test_the_bounds_are_the_oldest_offset_held_and_the_next_one(
    kafka: KafkaServer, new_topic: Callable[..., str]
) -> None:
    topic = new_topic("log", PARTITIONS)
    fill(kafka.bootstrap, topic, PARTITIONS)
    admin = make_admin({"bootstrap.servers": kafka.bootstrap}, LOGGER)
    for deleted in admin.delete_records([TopicPartition(topic, 5, 2)]).values():
        deleted.result(timeout=30)
    bounds = log_bounds(admin, [(topic, number) for number in range(PARTITIONS)])
    assert bounds == {(topic, number): (2 if number == 5 else 0, number) for number in range(PARTITIONS)}


def test_many_partitions_are_asked_for_in_two_requests(
    kafka: KafkaServer, new_topic: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = new_topic("log", PARTITIONS)
    fill(kafka.bootstrap, topic, PARTITIONS)  # then every partition has its leader
    asked: list[int] = []

    admin = make_admin({"bootstrap.servers": kafka.bootstrap}, LOGGER)
    list_offsets = admin.list_offsets

    def counted(partitions: Any, **options: Any) -> object:
        asked.append(len(partitions))
        return list_offsets(partitions, **options)

    monkeypatch.setattr(admin, "list_offsets", counted)
    log_bounds(admin, [(topic, number) for number in range(PARTITIONS)])
    assert asked == [PARTITIONS, PARTITIONS]  # the oldest, the newest; a consumer asks for one partition at a time


def test_nothing_asked_is_nothing_answered(kafka: KafkaServer) -> None:
    assert log_bounds(AdminClient({"bootstrap.servers": kafka.bootstrap}), []) == {}


def test_the_embedded_broker_answers_too() -> None:
    broker = EmbeddedBroker()
    broker.create_topics(["log"])
    fill(broker.bootstrap_servers, "log", MOCK_PARTITIONS)
    admin = make_admin({"bootstrap.servers": broker.bootstrap_servers}, LOGGER)
    expected = {("log", number): (0, number) for number in range(MOCK_PARTITIONS)}
    assert log_bounds(admin, expected) == expected
