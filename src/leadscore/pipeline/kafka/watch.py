"""Whether Kafka answers, and how far behind the owned partitions are: asked every few seconds, never waited for.

The loop must not stand still while brokers do, so a question is put with one call of ``look`` and its answer is taken
with a later one. The questions go over connections of their own: no answer waits behind a fetch, and there is one for
partitions that are paused, stopped or forbidden, too.
"""

import logging
from collections.abc import Collection
from concurrent.futures import Future
from time import time
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from leadscore.ops.metrics import KafkaMetrics
from leadscore.ops.ongoing import OngoingLog
from leadscore.ops.services import KAFKA
from leadscore.pipeline.kafka.clients import (
    Admin,
    ask_for_beginnings,
    ask_for_cluster,
    ask_for_committed,
    ask_for_ends,
)
from leadscore.pipeline.kafka.error_kinds import is_of_the_client, kind_of
from leadscore.pipeline.kafka.records import Partition

_log = logging.getLogger(__name__)

ANSWER_WITHIN_S = 5.0
"""Together with the two seconds from one look to the next: Kafka away shows within ten seconds."""


class KafkaWatch:
    """Whether any broker answers. Before the first answer nothing is wrong: the worker has just begun."""

    def __init__(self, admin: Admin, address: str, metrics: KafkaMetrics) -> None:
        self._admin = admin
        self._address = address
        self._metrics = metrics
        self._question: Future[Any] | None = None
        self._lines = OngoingLog(_log, "kafka_away", "kafka_back")
        self.outage: str | None = None

    @property
    def words(self) -> str:
        """What was found out, for the readiness check."""
        return self.outage or f"kafka at {self._address} answers"

    def look(self) -> None:
        """Take the answer if it has come, and ask again."""
        for error in self._admin.take_errors():
            self._metrics.errors.labels(kind_of(error).value).inc()
        if self._question is not None:
            if not self._question.done():
                return
            self._take(_failure(self._question))
        self._metrics.dependency_up.labels(KAFKA).set(int(self.outage is None))
        self._question = ask_for_cluster(self._admin, ANSWER_WITHIN_S)

    def _take(self, failure: KafkaError | None) -> None:
        if failure is None or not is_of_the_client(failure):
            self.outage = None
            self._lines.end(time(), KAFKA)
            return
        self._metrics.errors.labels(kind_of(failure).value).inc()
        said = self._admin.last_error or failure
        self.outage = f"kafka at {self._address} does not answer: {said.str()}"
        self._lines.note(time(), KAFKA, logging.ERROR, address=self._address, detail=said.str())


class LagWatch:
    """How many records of each partition a group has not committed."""

    def __init__(self, admin: Admin, group: str) -> None:
        self._admin = admin
        self._group = group
        self._ends: dict[Partition, Future[Any]] = {}
        self._beginnings: dict[Partition, Future[Any]] = {}
        self._committed: Future[Any] | None = None
        self.lags: dict[Partition, int] = {}

    def look(self, owned: Collection[Partition]) -> None:
        """Take the answers if they have all come, and ask about the partitions owned now."""
        questions = [*self._ends.values(), *self._beginnings.values(), *([self._committed] if self._committed else [])]
        if all(question.done() for question in questions):
            if self._committed is not None and _failure(self._committed) is None:
                places = self._committed.result().topic_partitions
                self._take({(place.topic, place.partition): place.offset for place in places})
            self._ask(set(owned))
        self.lags = {partition: lag for partition, lag in self.lags.items() if partition in owned}

    def _take(self, committed: dict[Partition, int]) -> None:
        ends, beginnings = _offsets(self._ends), _offsets(self._beginnings)
        for partition, end in ends.items():
            begin = committed.get(partition, -1)
            begin = begin if begin >= 0 else beginnings.get(partition, -1)
            if begin >= 0:
                self.lags[partition] = max(0, end - begin)

    def _ask(self, owned: set[Partition]) -> None:
        self._committed, self._ends, self._beginnings = None, {}, {}
        if owned:
            self._committed = ask_for_committed(self._admin, self._group, owned, ANSWER_WITHIN_S)
            self._ends = ask_for_ends(self._admin, owned, ANSWER_WITHIN_S)
            self._beginnings = ask_for_beginnings(self._admin, owned, ANSWER_WITHIN_S)


def _offsets(questions: "dict[Partition, Future[Any]]") -> dict[Partition, int]:
    """Those that were answered."""
    return {
        partition: int(question.result().offset)
        for partition, question in questions.items()
        if _failure(question) is None
    }


def _failure(question: "Future[Any]") -> KafkaError | None:
    failure = question.exception()
    if failure is None:
        return None
    if isinstance(failure, KafkaException):
        error: KafkaError = failure.args[0]
        return error
    raise failure
