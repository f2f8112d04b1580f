"""The Kafka clients the worker uses.

The properties here are the ones the delivery protocol stands on (design 2.3, 2.7); everything else is passed through
from the configuration.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import (
    Consumer,
    KafkaError,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from leadscore.ops.kafka_properties import has_brokers_assign
from leadscore.pipeline.kafka.bounded_calls import TransactionsProducer
from leadscore.pipeline.kafka.group_protocol import left_to_client, of_brokers

TRANSACTION_TIMEOUT_MS = 10_000
"""Longer than one ever takes: its calls together may take as long as the answer to a question."""


CLIENT: Mapping[str, Any] = {
    # A connection that goes silent without a reset holds whatever waits for an answer on it, by default for 60 s. With
    # 8 s a worker was measured to go on after 8 s. Joining a group and storing records have time limits of their own.
    "socket.timeout.ms": 8_000,
    # A broker that was cut off names no broker at all until the controller has it back. A client that asks in that
    # moment has nobody left to ask until it refreshes what it knows of the cluster, by default every five minutes.
    "topic.metadata.refresh.interval.ms": 10_000,
}
PRODUCER: Mapping[str, Any] = {
    **CLIENT,
    "enable.idempotence": True,
    "acks": "all",
    # A later frame must never be stored when an earlier one was lost: no gaps, and no giving up (design 2.3).
    "enable.gapless.guarantee": True,
    "message.timeout.ms": 0,
    # What JVM producers use: a lead's crossings lie where their joins expect them.
    "partitioner": "murmur2_random",
    "compression.type": "lz4",
    # A turn of the loop produces its records within milliseconds, and a crossing waits for this twice.
    "linger.ms": 1,
    # A dead letter may be as large as what some producer managed to send.
    "message.max.bytes": 20 * 1024 * 1024,
}
CONSUMER: Mapping[str, Any] = {
    **CLIENT,
    # A worker that was killed keeps its partitions for this long, and so does the old member of one that joined anew
    # after Kafka was away: nobody reads them meanwhile. Heartbeats come every 3 s from a thread of the client, however
    # busy the loop is: five in a row must fail. Brokers allow no less than 6 s, unless they are told to.
    "session.timeout.ms": 15_000,
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # An expired offset is a loud stop, not a silent jump.
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
    "fetch.queue.backoff.ms": 50,
    "fetch.message.max.bytes": 256 * 1024,
    "queued.min.messages": 20_000,
    "queued.max.messages.kbytes": 32_768,
}
READER: Mapping[str, Any] = {
    **CONSUMER,
    # A partition that is read to its end: the next one would wait until the fetch behind that end is answered.
    "fetch.wait.max.ms": 20,
}
LOG_CONSUMER: Mapping[str, Any] = {
    **CONSUMER,
    # A poll has room for a number of messages, and each end of a partition would be one; whether a shard has caught up
    # is told by the ends that come with every fetch.
    "enable.partition.eof": False,
}
SOURCE_CONSUMER: Mapping[str, Any] = {
    **CONSUMER,
    # Merging by time holds what comes early, and pauses partitions that are far ahead, for which the client throws away
    # what it has fetched ahead: that is little of each partition.
    "fetch.message.max.bytes": 128 * 1024,
    "queued.min.messages": 500,
    # Once that much is ready a partition is not fetched for this long, even when the loop has taken all of it at once:
    # with 50 ms the loop stood idle for half of the time.
    "fetch.queue.backoff.ms": 5,
    # The partitions that have room in the client's queue are fetched together. Where these are quiet ones, the others
    # are not fetched before that fetch is answered.
    "fetch.wait.max.ms": 100,
}


def make_producer(kafka: Mapping[str, str], client_id: str, logger: logging.Logger) -> Producer:
    """An idempotent producer without gaps."""
    return Producer({"client.id": client_id, **PRODUCER, **kafka}, logger=logger)


def make_dead_letter_producer(kafka: Mapping[str, str], client_id: str, logger: logging.Logger) -> Producer:
    """One that outlives a refused record, and sends each by itself: its neighbours must not make it too large."""
    own = {"enable.gapless.guarantee": False, "batch.num.messages": 1}
    return Producer({"client.id": client_id, **PRODUCER, **kafka, **own}, logger=logger)


def make_transactional_producer(
    kafka: Mapping[str, str], client_id: str, transaction: str, logger: logging.Logger
) -> Producer:
    """One for short transactions under this name, whose holder before can commit no more once it has begun.

    Readers of its topics wait for a transaction that was left open until the broker ends it. Every record goes by
    itself: a refused one must not take its neighbours along.
    """
    own = {
        "transactional.id": transaction,
        "transaction.timeout.ms": 20_000,
        "message.timeout.ms": 15_000,
        "enable.gapless.guarantee": False,
        "batch.num.messages": 1,
    }
    return Producer({"client.id": client_id, **PRODUCER, **kafka, **own}, logger=logger)


def make_transactions_producer(
    kafka: Mapping[str, str], client_id: str, transaction: str, logger: logging.Logger
) -> Producer:
    """One for the score stage: a transaction per commit. It calls back for what is refused, and for nothing else.

    A transaction that a killed worker left open is ended by its successor of the same name, else by the broker, which
    looks every ten seconds for those that are older than the timeout. Until then readers wait, and so do new owners.
    """
    own = {
        "transactional.id": transaction,
        "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
        "message.timeout.ms": TRANSACTION_TIMEOUT_MS,
        "enable.gapless.guarantee": False,
        "delivery.report.only.error": True,
    }
    return TransactionsProducer({"client.id": client_id, **PRODUCER, **kafka, **own}, logger=logger)


def make_consumer(
    kafka: Mapping[str, str],
    group: str,
    assignor: str,
    logger: logging.Logger,
    on_commit: Callable[[KafkaError | None, list[TopicPartition]], None] | None = None,
    *,
    fetching: Mapping[str, Any] = CONSUMER,
) -> Consumer:
    """A consumer that commits only what it is told to; ``on_commit`` is told what became of it.

    ``fetching`` has its own properties: ``SOURCE_CONSUMER`` those of one whose records are merged by time,
    ``LOG_CONSUMER`` those of the log's.
    """
    properties = {"client.id": group, **fetching, **kafka}
    own = {"group.id": group, "partition.assignment.strategy": assignor}
    if has_brokers_assign(kafka):
        properties, own = left_to_client(properties, kafka), {"group.id": group, **of_brokers(assignor)}
    callbacks = {} if on_commit is None else {"on_commit": on_commit}
    return Consumer({**properties, **own, **callbacks}, logger=logger)


class Admin(AdminClient):
    """A client for questions, which remembers what librdkafka says of its connections.

    A question that gets no answer ends with "timed out" or "transport failure"; why is only said beside it.
    """

    def __init__(self, properties: dict[str, Any], logger: logging.Logger) -> None:
        self._errors: list[KafkaError] = []
        self.last_error: KafkaError | None = None
        super().__init__({**properties, "error_cb": self._errors.append}, logger=logger)  # type: ignore[dict-item]

    def take_errors(self) -> list[KafkaError]:
        """What was said since the last call. The latest that names a cause is kept as ``last_error``."""
        self.poll(0)
        errors, self._errors[:] = list(self._errors), []
        for error in errors:
            if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  # it says that there was another error
                self.last_error = error
        return errors


def make_admin(kafka: Mapping[str, str], logger: logging.Logger) -> Admin:
    """A client for questions about topics, and for ``topics create``."""
    return Admin({"client.id": "leadscore-admin", **CLIENT, **kafka}, logger)


class RenewedAdmin:
    """The client for questions, and another in its place once it gets no answers.

    librdkafka drops every broker that an answer does not name. One that was told of no broker at all may have nobody
    left to ask, and never asks again (librdkafka issue 5301).
    """

    def __init__(self, make: Callable[[], Admin]) -> None:
        self._make = make
        self._before: Admin | None = None
        self.client = make()

    def renew(self) -> None:
        """Make another. The one before lives on for as long: its last questions still end, without an answer."""
        self._before, self.client = self.client, self._make()
