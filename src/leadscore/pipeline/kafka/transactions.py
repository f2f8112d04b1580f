"""Kafka transactions of one worker: records and the offsets they are of, both there or neither (design 2.7).

Theory of operation. A transaction is opened when everything that goes into it is at hand, and ended in the same call:

    begin, produce, offsets in the name of the group's member, commit

It is open for milliseconds, and readers wait no longer for it. The group takes no offset of a worker that is no member
any more, nor of a generation that is over; without the offsets the records are never committed.

    aborted    Kafka has refused something: neither is there, and the same may be tried again
    unknown    no answer, or the producer has failed for good: the producer is thrown away. Another one under the same
               name ends what was open, one way or the other; which way, the committed offsets tell afterwards

What a killed worker leaves open ends as soon as its successor begins under the same name, else when the broker finds it
older than ``transaction.timeout.ms``, for which it looks every ten seconds.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from leadscore.errors import Unavailable, WorkerStopped
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.error_kinds import kind_of
from leadscore.pipeline.kafka.outbound import FULL_QUEUE_WAIT_S, explanation, hand_over
from leadscore.pipeline.kafka.records import OutputRecord
from leadscore.pipeline.steps import NoSteps, Steps

_REFUSED_FOR_GOOD = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
    }
)
_NO_MEMBER = KafkaError(KafkaError.UNKNOWN_MEMBER_ID, "the worker is not in its group")
LEAST_ABORT_S = 1.0


class Ended(Enum):
    """How a transaction ended."""

    COMMITTED = "all of it is there"
    ABORTED = "nothing of it is there"
    UNKNOWN = "the one or the other"


class ToTopic(NamedTuple):
    """A record, and the topic it goes to."""

    topic: str
    record: OutputRecord


class OfMember(NamedTuple):
    """Offsets that are committed in the name of this consumer."""

    consumer: Consumer
    offsets: list[TopicPartition]


class _Refusal(NamedTuple):
    topic: str
    error: KafkaError


class Transactions:
    """One transaction after another, under one name. ``new_producer`` makes a producer of that name.

    ``count_replaced`` is called for each producer that takes the place of another.
    """

    def __init__(
        self,
        transactional_id: str,
        new_producer: Callable[[], Producer],
        steps: Steps,
        count_replaced: Callable[[], None] = lambda: None,
    ) -> None:
        self._transactional_id = transactional_id
        self._new_producer = new_producer
        self._steps = steps
        self._count_replaced = count_replaced
        self._had_producer = False
        self._producer: Producer | None = None
        self._refusals: list[_Refusal] = []
        self.failure: Unavailable | None = None
        """Why the last transaction was not committed."""

    @property
    def is_ready(self) -> bool:
        """Whether there is a producer, and with it no earlier transaction under this name that is still open."""
        return self._producer is not None

    def begin(self, deadline: Deadline) -> None:
        """Have a producer; a new one ends what an earlier one left open. ``Unavailable`` if that fails."""
        try:
            self._begun(deadline)
        except KafkaException as error:
            raise self._failed(error.args[0]) from error

    def commit(self, records: Iterable[ToTopic], of_member: OfMember, deadline: Deadline) -> Ended:
        """One transaction of records and offsets. ``WorkerStopped`` where Kafka refuses it for good."""
        self._refusals.clear()
        self.failure = None
        try:
            producer = self._begun(deadline)
            producer.begin_transaction()
        except KafkaException as error:
            return self._ended(error.args[0], deadline)
        try:
            number = self._produce_all(producer, records)
            steps = self._steps if number else NoSteps()  # a crash test dies where there is something to lose
            steps.passed("transaction_produced")
            producer.send_offsets_to_transaction(of_member.offsets, _membership(of_member.consumer), deadline.left_s)
            steps.passed("transaction_offsets")
            producer.commit_transaction(deadline.left_s)
        except KafkaException as error:
            return self._ended(error.args[0], deadline)
        steps.passed("transaction_committed")
        return Ended.COMMITTED

    def _begun(self, deadline: Deadline) -> Producer:
        if self._producer is None:
            producer = self._new_producer()
            producer.init_transactions(deadline.left_s)
            if self._had_producer:
                self._count_replaced()
            self._producer, self._had_producer = producer, True
        return self._producer

    def _produce_all(self, producer: Producer, records: Iterable[ToTopic]) -> int:
        number = 0
        for topic, record in records:
            self._produce(producer, topic, record)
            number += 1
        return number

    def _produce(self, producer: Producer, topic: str, record: OutputRecord) -> None:
        while True:
            try:
                # Called back for refusals only, see ``make_transactions_producer``.
                hand_over(producer, topic, record, self._note)
            except BufferError:
                producer.poll(FULL_QUEUE_WAIT_S)
            except KafkaException as error:
                self._refusals.append(_Refusal(topic, error.args[0]))
                raise
            else:
                return

    def _note(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._refusals.append(_Refusal(message.topic() or "", error))

    def _ended(self, error: KafkaError, deadline: Deadline) -> Ended:
        """End it, and say how; ``WorkerStopped`` where it was refused for good, and readers do not wait for it then."""
        ended = self._aborted(error, deadline)
        self.failure = self._failed(error)
        return ended

    def _aborted(self, error: KafkaError, deadline: Deadline) -> Ended:
        """Abort what was refused; a producer whose transaction cannot be ended is thrown away."""
        producer, self._producer = self._producer, None
        if producer is None:  # it could not begin: nothing is open
            return Ended.ABORTED
        if not error.fatal() and not (error.retriable() and not error.txn_requires_abort()):
            with suppress(KafkaException):
                producer.abort_transaction(max(deadline.left_s, LEAST_ABORT_S))
                self._producer = producer
                return Ended.ABORTED
        return Ended.UNKNOWN

    def _failed(self, error: KafkaError) -> Unavailable:
        """The failure in words; raises ``WorkerStopped`` where it is for good."""
        if error.code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            needs = f"the permission WRITE on the transactional id {self._transactional_id}"
            raise WorkerStopped(f"Kafka transactions: {error.str()}: the worker's Kafka user needs {needs}")
        for topic, refusal in self._refusals:
            if refusal.code() in _REFUSED_FOR_GOOD:
                raise WorkerStopped(f"topic {topic}: {explanation(refusal)}")
        if error.code() in _REFUSED_FOR_GOOD:
            raise WorkerStopped(f"Kafka transactions: {explanation(error)}")
        return Unavailable(
            "kafka", kind_of(error).value, f"Kafka transactions of {self._transactional_id}: {error.str()}"
        )


def _membership(consumer: Consumer) -> object:
    """The worker as a member of its group, as of now; Kafka checks the generation of members only."""
    membership: object = consumer.consumer_group_metadata()
    if not consumer.memberid():
        raise KafkaException(_NO_MEMBER)
    return membership
