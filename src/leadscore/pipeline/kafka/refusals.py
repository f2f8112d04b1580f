"""What Kafka refuses a consumer: a topic that it may not read, or that does not exist; its group.

librdkafka reports such an error once and then tries on by itself, without a word when it succeeds. So the broker is
asked whether it is over: it says which operations on a topic are allowed.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError
from confluent_kafka.admin import AclOperation  # type: ignore[attr-defined]

from leadscore.errors import KafkaErrorKind, WorkerStopped
from leadscore.ops.metrics import KafkaMetrics
from leadscore.ops.ongoing import OngoingLog
from leadscore.pipeline.kafka.error_kinds import kind_of
from leadscore.pipeline.kafka.records import Partition

_log = logging.getLogger(__name__)

ASK_EVERY_S = 5.0
Ask = Callable[[Sequence[str]], "dict[str, Future[Any]]"]
"""Asks which operations are allowed on topics; the answers come later."""


class Refusals:
    """Of one consumer."""

    def __init__(self, group: str, ask: Ask, metrics: KafkaMetrics) -> None:
        self._group = group
        self._ask = ask
        self._metrics = metrics
        self._lines = OngoingLog(_log, "kafka_refuses", "kafka_refuses_no_longer")
        self._questions: dict[str, Future[Any]] = {}
        self._asked_at_s = 0.0
        self.of_group: str | None = None
        self.of_partitions: dict[Partition, str] = {}

    @property
    def words(self) -> str:
        """The topics that are refused, and why; empty without a refusal."""
        return ". ".join(sorted(set(self.of_partitions.values())))

    def by_number(self) -> dict[int, str]:
        """Why partitions are refused, where all are of one topic."""
        return {number: why for (_, number), why in self.of_partitions.items()}

    def note(self, now_s: float, topic: str | None, number: int | None, error: KafkaError) -> bool:
        """An error that the client reported; whether it is a refusal of this partition (-1: of the whole topic).

        ``WorkerStopped`` for an error after which the client can do nothing more.
        """
        kind = kind_of(error)
        self._metrics.errors.labels(kind.value).inc()
        if error.fatal():
            raise WorkerStopped(f"the Kafka consumer failed: {error.str()}")
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            self.of_group = f"group {self._group}: {error.str()}: it needs READ on the group"
            self._lines.note(now_s, self._group, logging.ERROR, kind=kind.value, detail=self.of_group)
            return False
        if not topic or kind not in {KafkaErrorKind.AUTHORIZATION, KafkaErrorKind.UNKNOWN_TOPIC}:
            return False
        need = "it needs READ and DESCRIBE" if kind is KafkaErrorKind.AUTHORIZATION else "it does not exist"
        why = f"topic {topic}: {error.str()}: {need}; nothing of it is read until then"
        self.of_partitions[topic, -1 if number is None else number] = why
        self._lines.note(now_s, topic, logging.ERROR, kind=kind.value, group=self._group, detail=why)
        return True

    def forget(self, partitions: Iterable[Partition]) -> None:
        """The partitions are not ours any more."""
        for partition in partitions:
            self.of_partitions.pop(partition, None)

    def look(self, now_s: float, *, is_settled: bool) -> list[Partition]:
        """What is refused no longer."""
        if is_settled and self.of_group is not None:
            self.of_group = None
            self._lines.end(now_s, self._group)
        topics = sorted({topic for topic, _ in self.of_partitions})
        self._lines.end_others(now_s, {*topics, *([self._group] if self.of_group else [])})
        if self._questions:
            return self._take_answers(now_s) if all(question.done() for question in self._questions.values()) else []
        if topics and now_s - self._asked_at_s >= ASK_EVERY_S:
            self._asked_at_s = now_s
            self._questions = self._ask(topics)
        return []

    def _take_answers(self, now_s: float) -> list[Partition]:
        questions, self._questions = self._questions, {}
        readable = {topic for topic, question in questions.items() if _may_read(question)}
        free = [partition for partition in self.of_partitions if partition[0] in readable]
        for partition in free:
            del self.of_partitions[partition]
        for topic in readable:
            self._lines.end(now_s, topic)
        return free


def _may_read(question: "Future[Any]") -> bool:
    if question.exception() is not None:
        return False
    allowed = question.result().authorized_operations
    return allowed is None or AclOperation.READ in allowed
