"""The real Kafka keeps the contract that the Kafka in memory keeps, so that simulations say something about it."""

import logging
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from leadscore.pipeline.kafka.clients import PRODUCER, make_admin, make_consumer
from leadscore.pipeline.kafka.questions import log_bounds
from leadscore.pipeline.kafka.records import Bounds, Partition
from tests.conftest import create_topic
from tests.kafka_contract import CONTRACT, Subject
from tests.servers import KafkaServer, wait_until

_log = logging.getLogger(__name__)
SOON = {"heartbeat.interval.ms": "300"}
"""A member learns of a rebalance with its next heartbeat."""


class RealKafka:
    """One of the session's server; ``close`` ends its consumers."""

    def __init__(self, server: KafkaServer) -> None:
        self._kafka = {"bootstrap.servers": server.bootstrap}
        self._admin = make_admin(self._kafka, _log)
        self._name = uuid4().hex[:12]
        self._names = count()
        self._consumers: list[Consumer] = []

    def new_topic(self, partitions: int = 1) -> str:
        name = f"contract-{self._name}-{next(self._names)}"
        create_topic(self._admin, name, partitions, {})
        return name

    def new_group(self) -> str:
        return f"contract-{self._name}-{next(self._names)}"

    def producer(self, **settings: Any) -> Producer:
        if "transactional.id" in settings:
            settings["message.timeout.ms"] = 10_000
        return Producer({**PRODUCER, **self._kafka, **settings}, logger=_log)

    def consumer(self, group: str, assignor: str = "cooperative-sticky") -> Consumer:
        self._consumers.append(make_consumer({**self._kafka, **SOON}, group, assignor, _log))
        return self._consumers[-1]

    def delete_before(self, partition: Partition, offset: int) -> None:
        for deleted in self._admin.delete_records([TopicPartition(*partition, offset)]).values():
            deleted.result(timeout=30)

    def bounds(self, partition: Partition) -> Bounds:
        return log_bounds(self._admin, [partition])[partition]

    def until(self, condition: Callable[[], bool], what: str) -> None:
        wait_until(condition, 30, what)

    def close(self) -> None:
        for consumer in self._consumers:
            consumer.close()


@pytest.fixture
def real_kafka(kafka: KafkaServer) -> Iterator[RealKafka]:
    subject = RealKafka(kafka)
    yield subject
    subject.close()


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_a_real_kafka_does_what_simulations_rely_on(promise: Callable[[Subject], None], real_kafka: RealKafka) -> None:
    promise(real_kafka)
