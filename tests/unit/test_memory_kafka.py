"""The Kafka in memory keeps the contract of the real one, which simulations rely on."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from leadscore.pipeline.kafka.clients import CONSUMER, PRODUCER
from leadscore.pipeline.kafka.records import Bounds, Partition
from tests.kafka_contract import CONTRACT, Subject
from tests.memory_kafka.broker import Broker
from tests.memory_kafka.consumer import MemoryConsumer
from tests.memory_kafka.producer import MemoryProducer


class InMemory:
    """A broker of its own."""

    def __init__(self) -> None:
        self._broker = Broker(lambda: 1)
        self._names = count()

    def new_topic(self, partitions: int = 1) -> str:
        name = f"topic-{next(self._names)}"
        self._broker.create(name, partitions)
        return name

    def new_group(self) -> str:
        return f"group-{next(self._names)}"

    def producer(self, **settings: Any) -> Producer:
        return MemoryProducer(self._broker, {**PRODUCER, **settings}).as_producer

    def consumer(self, group: str, assignor: str = "cooperative-sticky") -> Consumer:
        settings = {**CONSUMER, "partition.assignment.strategy": assignor}
        return MemoryConsumer(self._broker, group, settings).as_consumer

    def delete_before(self, partition: Partition, offset: int) -> None:
        self._broker.delete_before(partition, offset)

    def bounds(self, partition: Partition) -> Bounds:
        return self._broker.bounds(partition)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Everything happens within a few polls."""
        assert any(condition() for _ in range(20)), what


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_the_kafka_in_memory_does_what_a_real_one_does(promise: Callable[[Subject], None]) -> None:
    promise(InMemory())
