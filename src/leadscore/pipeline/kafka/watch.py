"""Whether Kafka answers, and how far behind the owned partitions are: asked every few seconds, never waited for.

The loop must not stand still while brokers do, so a question is put with one call of ``look`` and its answer is taken
with a later one. The questions go over connections of their own: no answer waits behind a fetch, and there is one for
partitions that are paused, stopped or forbidden, too.
"""

import logging
from collections.abc import Collection
from concurrent.futures import Future
from contextlib import suppress
from time import time
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from leadscore.errors import KafkaErrorKind, Unavailable
from leadscore.ops.metrics import KafkaMetrics
from leadscore.ops.ongoing import OngoingLog
from leadscore.ops.services import KAFKA
from leadscore.pipeline.kafka.clients import RenewedAdmin
from leadscore.pipeline.kafka.commits import Commits
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.error_kinds import is_of_the_client, kind_of
from leadscore.pipeline.kafka.lag_times import LagTimes, ReadTimes
from leadscore.pipeline.kafka.questions import (
    ask_for_beginnings,
    ask_for_ends,
    ask_for_leaders,
    ask_for_topic,
    committed_offsets,
)
from leadscore.pipeline.kafka.records import Partition
from leadscore.pipeline.kafka.subscription import Subscription

_log = logging.getLogger(__name__)

COMMITTED_WITHIN_S = 0.5
"""The one question that is waited for, once for each partition that is new here."""
ANSWER_WITHIN_S = 5.0
"""Together with the two seconds from one look to the next: Kafka away shows within ten seconds."""
GIVEN_UP_AFTER_S = 4 * ANSWER_WITHIN_S
"""The client ends a question itself where no answer comes in time. If it has not by then, it never will."""
RENEWED_AFTER = 3
"""How many questions in a row may be without an answer before the client for questions is made anew."""


class Asked(NamedTuple):
    """What was asked at once of two brokers.

    The client asks the controller for topics, and for a while goes on asking one that is gone; a partition's leader may
    answer meanwhile.
    """

    controller: "Future[Any]"
    leader: "Future[Any]"


class KafkaWatch:
    """Whether any broker answers. Before the first answer nothing is wrong: the worker has just begun."""

    def __init__(self, admin: RenewedAdmin, topic: str, address: str, metrics: KafkaMetrics) -> None:
        self._admin = admin
        self._topic = topic
        self._unanswered = 0
        self._address = address
        self._metrics = metrics
        self._asked: Asked | None = None
        self._given_up = Deadline(0)
        self._lines = OngoingLog(_log, "kafka_away", "kafka_back")
        self.outage: str | None = None

    @property
    def words(self) -> str:
        """What was found out, for the readiness check."""
        return self.outage or f"kafka at {self._address} answers"

    def look(self) -> None:
        """Take the answer if it has come, and ask again."""
        for error in self._admin.client.take_errors():
            self._metrics.errors.labels(kind_of(error).value).inc()
        if self._asked is not None:
            if _is_under_way(self._asked.controller, self._given_up):
                return
            self._take(self._asked)
        self._metrics.dependency_up.labels(KAFKA).set(int(self.outage is None))
        self._given_up = Deadline(GIVEN_UP_AFTER_S)
        [to_leader] = ask_for_ends(self._admin.client, [(self._topic, 0)], ANSWER_WITHIN_S).values()
        self._asked = Asked(ask_for_topic(self._admin.client, self._topic, ANSWER_WITHIN_S), to_leader)

    def _take(self, asked: Asked) -> None:
        error = _failure(asked.controller)
        failure = error or _names_no_broker(asked.controller)
        if _is_from_a_broker(failure):
            failure, self._unanswered = None, 0
        else:
            self._unanswered += 1
        leader_answers = error is not None and _is_from_a_broker(_failure(asked.leader))
        if failure is None or leader_answers:
            self.outage = None
            self._admin.client.last_error = None  # or the next outage would be told with the cause of this one
            self._lines.end(time(), KAFKA)
        else:
            self._metrics.errors.labels(kind_of(failure).value).inc()
            said = self._admin.client.last_error or failure
            self.outage = f"kafka at {self._address} does not answer: {said.str()}"
            self._lines.note(time(), KAFKA, logging.ERROR, address=self._address, detail=said.str())
        if self._unanswered and self._unanswered % RENEWED_AFTER == 0:
            self._admin.renew()


class CommittedSoFar:
    """The committed offsets of one consumer's partitions: asked once for each, then as its own commits are confirmed.

    They are not asked again and again, and not by the admin client's question about a group: librdkafka 2.16 aborts the
    process when the coordinator comes back after such a question has timed out (librdkafka issue 4605).
    """

    def __init__(self, subscription: Subscription, commits: Commits) -> None:
        self._subscription = subscription
        self._commits = commits
        self._asked: dict[Partition, int | None] = {}

    def of(self, partitions: Collection[Partition]) -> dict[Partition, int | None]:
        """What is committed of the partitions, ``None`` where nothing is; without those that nobody answered for."""
        confirmed = self._commits.confirmed
        unknown = [partition for partition in partitions if partition not in confirmed and partition not in self._asked]
        if unknown:
            with suppress(Unavailable):
                places = [TopicPartition(*partition) for partition in unknown]
                self._asked |= committed_offsets(self._subscription.consumer, places, COMMITTED_WITHIN_S)
        offsets = self._asked | confirmed
        return {partition: offsets[partition] for partition in partitions if partition in offsets}

    def forget_others(self, owned: Collection[Partition]) -> None:
        """Another worker may commit of a partition that is not owned."""
        self._asked = {partition: offset for partition, offset in self._asked.items() if partition in owned}

    def position(self, partition: Partition) -> int:
        """The offset that the consumer reads next; negative where that is not known."""
        try:
            [place] = self._subscription.consumer.position([TopicPartition(*partition)])
        except KafkaException:
            return -1
        return int(place.offset)


class Lag(NamedTuple):
    """What a group has not committed of a partition: how many records, and since when (Unix time) the oldest is there.

    ``oldest_s`` is ``None`` where no record waits: what is not committed may be the ends of transactions.
    """

    records: int
    oldest_s: float | None


class LagWatch:
    """How far a group is behind in each partition, in records and in time."""

    def __init__(self, admin: RenewedAdmin, committed: CommittedSoFar, read_times: ReadTimes) -> None:
        self._admin = admin
        self._committed = committed
        self._read_times = read_times
        self._times = LagTimes(read_times)
        self._asked_at_s = 0.0
        self._given_up = Deadline(0)
        self._ends: dict[Partition, Future[Any]] = {}
        self._beginnings: dict[Partition, Future[Any]] = {}
        self.lags: dict[Partition, Lag] = {}

    def look(self, owned: Collection[Partition]) -> None:
        """Take the answers if they have all come, and ask about the partitions owned now."""
        self._committed.forget_others(owned)
        self._times.forget_others(owned)
        questions = [*self._ends.values(), *self._beginnings.values()]
        if not any(_is_under_way(question, self._given_up) for question in questions):
            self._take(owned)
            self._asked_at_s = time()
            self._given_up = Deadline(GIVEN_UP_AFTER_S)
            self._ends = ask_for_ends(self._admin.client, owned, ANSWER_WITHIN_S) if owned else {}
            self._beginnings = ask_for_beginnings(self._admin.client, owned, ANSWER_WITHIN_S) if owned else {}
        self.lags = {partition: lag for partition, lag in self.lags.items() if partition in owned}

    def _take(self, owned: Collection[Partition]) -> None:
        ask_for_leaders(self._admin.client, _of_another_leader(self._ends) | _of_another_leader(self._beginnings))
        ends = {partition: end for partition, end in _offsets(self._ends).items() if partition in owned}
        beginnings = _offsets(self._beginnings)
        for partition, offset in self._committed.of(ends).items():  # only where Kafka has answered just now
            begin = beginnings.get(partition) if offset is None else offset
            if begin is not None:
                self.lags[partition] = self._lag(partition, ends[partition], begin)

    def _lag(self, partition: Partition, end: int, committed: int) -> Lag:
        oldest_s = self._times.oldest_s(partition, self._asked_at_s, end, committed)
        if end <= committed:
            return Lag(0, None)
        last_offset = self._read_times.last_offset(partition)
        is_all_committed = last_offset is None or last_offset < committed
        if is_all_committed and self._committed.position(partition) >= end:
            return Lag(end - committed, None)
        return Lag(end - committed, oldest_s)


def _offsets(questions: "dict[Partition, Future[Any]]") -> dict[Partition, int]:
    """Those that were answered."""
    return {
        partition: int(question.result().offset)
        for partition, question in questions.items()
        if _failure(question) is None
    }


def _of_another_leader(questions: "dict[Partition, Future[Any]]") -> set[Partition]:
    """Those that were asked of a broker that does not lead the partition, or has come to lead it since."""
    failures = {partition: _failure(question) for partition, question in questions.items()}
    return {partition for partition, error in failures.items() if error and kind_of(error) is KafkaErrorKind.LEADER}


def _names_no_broker(question: "Future[Any]") -> KafkaError | None:
    """An outage where the answer has no address of a leader: the brokers have been cut off from their controller.

    The client drops every broker that an answer does not name, so that the next questions get none.
    """
    leaders = [partition.leader for partition in question.result().partitions]
    if any(leader is not None and leader.host for leader in leaders):
        return None
    return KafkaError(KafkaError._ALL_BROKERS_DOWN, "the answer names no broker")  # noqa: SLF001


def _is_under_way(question: "Future[Any]", given_up: Deadline) -> bool:
    """Whether its answer may still come."""
    return not question.done() and given_up.left_s > 0


def _is_from_a_broker(failure: KafkaError | None) -> bool:
    """Whether a broker has answered: a refusal is an answer, too."""
    return failure is None or not is_of_the_client(failure)


def _failure(question: "Future[Any]") -> KafkaError | None:
    """Why there is no answer; ``None`` if there is one."""
    if not question.done():
        return KafkaError(KafkaError._TIMED_OUT, "the question was neither answered nor given up")  # noqa: SLF001
    failure = question.exception()
    if failure is None:
        return None
    if isinstance(failure, KafkaException):
        error: KafkaError = failure.args[0]
        return error
    raise failure
