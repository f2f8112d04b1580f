"""The Kafka clients the worker uses, and what it asks a broker about topics.

The properties here are the ones the delivery protocol stands on (design 2.3, 2.7); everything else is passed through
from the configuration. Every failed call becomes ``Unavailable`` or ``WorkerStopped``.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    OffsetSpec,
    ResourceType,
)

from leadscore.errors import ConfigError, KafkaErrorKind, Unavailable, WorkerStopped
from leadscore.log.records import NO_EPOCH
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.error_kinds import kind_of
from leadscore.pipeline.kafka.records import Bounds, Partition

REQUEST_TIMEOUT_S = 10.0
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
    return Producer({"client.id": client_id, **PRODUCER, **kafka, **own}, logger=logger)


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


def partition_count(client: Producer | Consumer | AdminClient, topic: str, timeout_s: float = REQUEST_TIMEOUT_S) -> int:
    """How many partitions a topic has; ``ConfigError`` if there is no such topic, ``Unavailable`` without a broker."""
    try:
        metadata = client.list_topics(topic, timeout=timeout_s).topics[topic]
    except KafkaException as error:
        raise unavailable(error, f"asking for topic {topic}", client) from error
    if metadata.error is not None:
        if metadata.error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):  # noqa: SLF001
            raise ConfigError(f"topic {topic}: there is no such topic: create it, or run: leadscore topics create")
        raise Unavailable("kafka", kind_of(metadata.error).value, f"topic {topic}: {metadata.error.str()}")
    return len(metadata.partitions)


def topic_ids(admin: AdminClient, topics: list[str], *, has_topic_ids: bool) -> dict[str, str]:
    """The broker's ids of the topics, which tell a recreated topic from a replay; empty where the broker has none."""
    if not has_topic_ids:
        return dict.fromkeys(topics, "")
    try:
        answers = admin.describe_topics(TopicCollection(topics), request_timeout=REQUEST_TIMEOUT_S)
        return {topic: str(answers[topic].result().topic_id) for topic in topics}
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise ConfigError(f"topics {', '.join(topics)}: not all exist; run: leadscore topics create") from error
        raise unavailable(error, "asking for topic ids", admin) from error


def largest_record_bytes(admin: AdminClient, topic: str) -> int | None:
    """How large a record the topic takes, to tell an operator; ``None`` where the broker does not say."""
    resource = ConfigResource(ResourceType.TOPIC, topic)
    try:
        settings = admin.describe_configs([resource], request_timeout=REQUEST_TIMEOUT_S)[resource].result()
    except KafkaException:
        return None
    return int(settings["max.message.bytes"].value)


class Committed(NamedTuple):
    """What is committed of a partition: the next offset, if any, and the metadata and leader epoch beside it."""

    offset: int | None
    note: str
    leader_epoch: int = NO_EPOCH


def leader_epoch_of(place: TopicPartition) -> int:
    """The leader epoch that the client gives with an offset."""
    epoch: int | None = place.leader_epoch  # the client's types do not say that it may be missing
    return NO_EPOCH if epoch is None else epoch


def committed_places(
    consumer: Consumer, partitions: list[TopicPartition], timeout_s: float = REQUEST_TIMEOUT_S
) -> dict[Partition, Committed]:
    """What is committed of each partition."""
    try:
        answers = consumer.committed(partitions, timeout=timeout_s)
    except KafkaException as error:
        raise unavailable(error, "asking for committed offsets") from error
    for answer in answers:
        if answer.error is not None:
            raise Unavailable(
                "kafka", kind_of(answer.error).value, f"{answer.topic}/{answer.partition}: {answer.error.str()}"
            )
    return {
        (answer.topic, answer.partition): Committed(
            answer.offset if answer.offset >= 0 else None, answer.metadata or "", leader_epoch_of(answer)
        )
        for answer in answers
    }


def committed_offsets(
    consumer: Consumer, partitions: list[TopicPartition], timeout_s: float = REQUEST_TIMEOUT_S
) -> dict[Partition, int | None]:
    """The committed offset of each partition; ``None`` where nothing is committed."""
    places = committed_places(consumer, partitions, timeout_s)
    return {partition: committed.offset for partition, committed in places.items()}


_NO_RECORD_THERE = frozenset({KafkaError._PARTITION_EOF, KafkaError._AUTO_OFFSET_RESET})  # noqa: SLF001


def leader_epochs_at(new_reader: Callable[[], Consumer], places: Mapping[Partition, int]) -> dict[Partition, int]:
    """The leader epoch of the record at each offset; without those at whose offset there is no record.

    ``Unavailable`` where Kafka does not say for all of them, whatever keeps it from it.
    """
    epochs: dict[Partition, int] = {}
    waiting, deadline = dict(places), Deadline(REQUEST_TIMEOUT_S)
    reader = new_reader()
    try:
        reader.assign([TopicPartition(*partition, offset) for partition, offset in places.items()])
        while waiting and deadline.left_s:
            for message in reader.consume(len(waiting), 0.1):
                error = message.error()
                if error is not None and error.code() not in _NO_RECORD_THERE:
                    continue  # it may pass, and has said nothing about the record
                partition = (message.topic() or "", message.partition() or 0)
                offset, epoch = waiting.pop(partition, None), message.leader_epoch()
                if error is None and message.offset() == offset and epoch is not None:
                    epochs[partition] = epoch
    finally:
        reader.close()
    if waiting:
        raise Unavailable("kafka", KafkaErrorKind.TIMEOUT.value, "reading the last applied records of the log")
    return epochs


def log_bounds(admin: AdminClient, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
    """The oldest offset each partition holds, and the one after the newest that our consumers may read.

    Asked over connections of its own: a consumer's question would wait for the fetch that is under way there.
    """
    asked = list(partitions)
    lows, highs = (_offsets(admin, asked, spec) for spec in (OffsetSpec.earliest(), OffsetSpec.latest()))
    return {partition: (lows[partition], highs[partition]) for partition in asked}


def latest_timestamp(admin: AdminClient, partitions: Iterable[Partition]) -> int | None:
    """The latest timestamp (ms) of any record in the partitions; ``None`` where they hold none, or Kafka is too old."""
    asked = {TopicPartition(*partition): OffsetSpec.max_timestamp() for partition in partitions}
    answers = admin.list_offsets(asked, request_timeout=REQUEST_TIMEOUT_S)
    try:
        timestamps = [int(answer.result().timestamp) for answer in answers.values()]
    except KafkaException as error:
        if error.args[0].code() in (KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE):  # noqa: SLF001
            return None
        raise unavailable(error, "asking for the latest timestamps of partitions", admin) from error
    return max((timestamp for timestamp in timestamps if timestamp >= 0), default=None)


def _offsets(admin: AdminClient, partitions: list[Partition], spec: OffsetSpec) -> dict[Partition, int]:
    if not partitions:
        return {}
    answers = admin.list_offsets(
        {TopicPartition(*partition): spec for partition in partitions},
        isolation_level=IsolationLevel.READ_COMMITTED,
        request_timeout=REQUEST_TIMEOUT_S,
    )
    try:
        return {(partition.topic, partition.partition): answer.result().offset for partition, answer in answers.items()}
    except KafkaException as error:
        raise unavailable(error, "asking for the bounds of partitions", admin) from error


def ask_for_cluster(admin: AdminClient, timeout_s: float) -> "Future[Any]":
    """Ask any broker for the brokers there are, which needs no permission; the answer comes later."""
    question: Future[Any] = admin.describe_cluster(request_timeout=timeout_s)
    return question


def ask_for_ends(
    admin: AdminClient, partitions: Iterable[Partition], timeout_s: float
) -> "dict[Partition, Future[Any]]":
    """Ask for the offset after the newest record that our consumers may read; the answers come later."""
    return _ask_for_offsets(admin, partitions, OffsetSpec.latest(), timeout_s)


def ask_for_beginnings(
    admin: AdminClient, partitions: Iterable[Partition], timeout_s: float
) -> "dict[Partition, Future[Any]]":
    """Ask for the offset of the oldest record; the answers come later."""
    return _ask_for_offsets(admin, partitions, OffsetSpec.earliest(), timeout_s)


def _ask_for_offsets(
    admin: AdminClient, partitions: Iterable[Partition], spec: OffsetSpec, timeout_s: float
) -> "dict[Partition, Future[Any]]":
    specs = {TopicPartition(*partition): spec for partition in partitions}
    questions = admin.list_offsets(specs, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=timeout_s)
    return {(place.topic, place.partition): question for place, question in questions.items()}


def ask_for_rights(admin: AdminClient, topics: Sequence[str]) -> "dict[str, Future[Any]]":
    """Ask which operations are allowed on topics; the answers come later."""
    questions: dict[str, Future[Any]] = admin.describe_topics(
        TopicCollection(list(topics)), include_authorized_operations=True, request_timeout=REQUEST_TIMEOUT_S
    )
    return questions


def unavailable(error: KafkaException, doing: str, client: object = None) -> Unavailable | WorkerStopped:
    """The error of a failed call: fatal ones stop the worker, the others may pass; with what the client said beside."""
    kafka_error = error.args[0]
    if kafka_error.fatal():
        return WorkerStopped(f"{doing}: {kafka_error.str()}")
    said = ""
    if isinstance(client, Admin):
        client.take_errors()
        said = f": {client.last_error.str()}" if client.last_error is not None else ""
    return Unavailable("kafka", kind_of(kafka_error).value, f"{doing}: {kafka_error.str()}{said}")
