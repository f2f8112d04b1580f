"""Kafka's transactions in memory: what producers of one name send shows once it is committed, offsets and all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from tests.unit.fake_kafka import FakeConsumer, FakeMessage

Sent = tuple[bytes | None, bytes | None]
"""Key and value."""


@dataclass
class FakeTransactions:
    """``topic`` is what a reader of committed records sees; ``failures`` by the call that is to fail next."""

    consumer: FakeConsumer
    topic: list[Sent] = field(default_factory=list)
    failures: dict[str, KafkaError] = field(default_factory=dict)
    refusal: KafkaError | None = None
    """What the topic says of every record."""
    commits_all_the_same: bool = False
    """A commit that fails has happened."""
    producers: int = 0

    def new_producer(self) -> Producer:
        self.producers += 1
        return cast("Producer", FakeTransactionalProducer(self, self.producers))

    def latest(self) -> dict[str, bytes | None]:
        """What compaction leaves."""
        return {(key or b"").decode(): value for key, value in self.topic}


class FakeTransactionalProducer:
    """One of the producers under the name; when another has begun, it is fenced."""

    def __init__(self, kafka: FakeTransactions, number: int) -> None:
        self._kafka = kafka
        self._number = number
        self._sent: list[Sent] | None = None
        self._offsets: list[TopicPartition] = []

    def __len__(self) -> int:
        return 0

    def init_transactions(self, timeout_s: float) -> None:
        self._may_fail("init", timeout_s)

    def begin_transaction(self) -> None:
        assert self._sent is None, "a transaction is open"
        self._may_fail("begin", 1)
        self._sent, self._offsets = [], []

    def produce(self, topic: str, value: bytes | None, key: bytes | None, **options: Any) -> None:
        assert self._sent is not None
        if self._kafka.refusal is not None:
            options["on_delivery"](self._kafka.refusal, FakeMessage((topic, 0, 0)))
        self._sent.append((key, value))

    def send_offsets_to_transaction(self, offsets: list[TopicPartition], member: str, timeout_s: float) -> None:
        self._may_fail("offsets", timeout_s)
        if member != self._kafka.consumer.member_id:
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_MEMBER_ID, txn_requires_abort=True))
        self._offsets = offsets

    def commit_transaction(self, timeout_s: float) -> None:
        assert self._sent is not None
        if self._kafka.refusal is not None:
            raise KafkaException(KafkaError(KafkaError._FAIL, "a delivery failed", txn_requires_abort=True))
        failure = self._kafka.failures.get("commit")
        if failure is None or self._kafka.commits_all_the_same:
            self._kafka.topic += self._sent
            committed: Mapping[tuple[str, int], int] = {(one.topic, one.partition): one.offset for one in self._offsets}
            self._kafka.consumer.committed_offsets |= committed
        self._may_fail("commit", timeout_s)
        self._sent = None

    def abort_transaction(self, timeout_s: float) -> None:
        self._may_fail("abort", timeout_s)
        self._sent = None

    def _may_fail(self, call: str, timeout_s: float) -> None:
        assert timeout_s > 0
        if self._number != self._kafka.producers:
            raise KafkaException(KafkaError(KafkaError._FENCED, fatal=True))
        failure = self._kafka.failures.pop(call, None)
        if failure is not None:
            raise KafkaException(failure)
