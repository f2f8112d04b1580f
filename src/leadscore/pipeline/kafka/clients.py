"""The Kafka clients the worker uses, and what it asks a broker about topics.

The properties here are the ones the delivery protocol stands on (design 2.3, 2.7); everything else is passed through
from the configuration. Every failed call becomes ``Unavailable`` or ``WorkerStopped``.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

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

from leadscore.errors import ConfigError, Unavailable, WorkerStopped
from leadscore.pipeline.kafka.records import Bounds, Partition

REQUEST_TIMEOUT_S = 10.0


PRODUCER: Mapping[str, Any] = {
    "enable.idempotence": True,
    "acks": "all",
    # A later frame must never be stored when an earlier one was lost: no gaps, and no giving up (design 2.3).
    "enable.gapless.guarantee": True,
    "message.timeout.ms": 0,
    # What JVM producers use: a lead's crossings lie where their joins expect them.
    "partitioner": "murmur2_random",
    "compression.type": "lz4",
    "linger.ms": 5,
    # A dead letter may be as large as what some producer managed to send.
    "message.max.bytes": 20 * 1024 * 1024,
}
CONSUMER: Mapping[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # An expired offset is a loud stop, not a silent jump.
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
    "fetch.queue.backoff.ms": 50,
    # A fetch brings a little of every partition, so that merging by time seldom has to pause one: pausing throws away
    # what was fetched ahead.
    "fetch.message.max.bytes": 256 * 1024,
    "queued.min.messages": 20_000,
    "queued.max.messages.kbytes": 32_768,
}


def make_producer(kafka: Mapping[str, str], client_id: str, logger: logging.Logger) -> Producer:
    """An idempotent producer without gaps."""
    return Producer({"client.id": client_id, **PRODUCER, **kafka}, logger=logger)


def make_dead_letter_producer(kafka: Mapping[str, str], client_id: str, logger: logging.Logger) -> Producer:
    """One that outlives a refused record, and sends each by itself: its neighbours must not make it too large."""
    own = {"enable.gapless.guarantee": False, "batch.num.messages": 1}
    return Producer({"client.id": client_id, **PRODUCER, **kafka, **own}, logger=logger)


def make_consumer(
    kafka: Mapping[str, str],
    group: str,
    assignor: str,
    logger: logging.Logger,
    on_commit: Callable[[KafkaError | None, list[TopicPartition]], None] | None = None,
) -> Consumer:
    """A consumer that commits only what it is told to; ``on_commit`` hears what became of it."""
    properties = {"client.id": group, **CONSUMER, **kafka}
    own = {"group.id": group, "partition.assignment.strategy": assignor}
    callbacks = {} if on_commit is None else {"on_commit": on_commit}
    return Consumer({**properties, **own, **callbacks}, logger=logger)


def make_admin(kafka: Mapping[str, str], logger: logging.Logger) -> AdminClient:
    """A client for questions about topics, and for ``topics create``."""
    return AdminClient({"client.id": "leadscore-admin", **kafka}, logger=logger)


def partition_count(client: Producer | Consumer | AdminClient, topic: str) -> int:
    """How many partitions a topic has; ``ConfigError`` if there is no such topic, ``Unavailable`` without a broker."""
    try:
        found = client.list_topics(topic, timeout=REQUEST_TIMEOUT_S).topics[topic]
    except KafkaException as error:
        raise unavailable(error, f"asking for topic {topic}") from error
    if found.error is not None:
        if found.error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):  # noqa: SLF001
            raise ConfigError(f"topic {topic}: there is no such topic: create it, or run: leadscore topics create")
        raise Unavailable("kafka", "metadata", f"topic {topic}: {found.error.str()}")
    return len(found.partitions)


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
        raise unavailable(error, "asking for topic ids") from error


def largest_record_bytes(admin: AdminClient, topic: str) -> int | None:
    """How large a record the topic takes, to tell an operator; ``None`` where the broker does not say."""
    resource = ConfigResource(ResourceType.TOPIC, topic)
    try:
        settings = admin.describe_configs([resource], request_timeout=REQUEST_TIMEOUT_S)[resource].result()
    except KafkaException:
        return None
    return int(settings["max.message.bytes"].value)


def committed_offsets(
    consumer: Consumer, partitions: list[TopicPartition], timeout_s: float = REQUEST_TIMEOUT_S
) -> dict[Partition, int | None]:
    """The committed offset of each partition; ``None`` where nothing is committed."""
    try:
        answers = consumer.committed(partitions, timeout=timeout_s)
    except KafkaException as error:
        raise unavailable(error, "asking for committed offsets") from error
    for answer in answers:
        if answer.error is not None:
            raise Unavailable("kafka", "committed", f"{answer.topic}/{answer.partition}: {answer.error.str()}")
    return {(answer.topic, answer.partition): answer.offset if answer.offset >= 0 else None for answer in answers}


def log_bounds(admin: AdminClient, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
    """The oldest offset each partition holds, and the one after the newest that our consumers may read.

    Asked over connections of its own: a consumer's question would wait for the fetch that is under way there.
    """
    asked = list(partitions)
    lows, highs = (_offsets(admin, asked, spec) for spec in (OffsetSpec.earliest(), OffsetSpec.latest()))
    return {partition: (lows[partition], highs[partition]) for partition in asked}


def _offsets(admin: AdminClient, partitions: list[Partition], spec: OffsetSpec) -> dict[Partition, int]:
    if not partitions:
        return {}
    answers = admin.list_offsets(
        {TopicPartition(*partition): spec for partition in partitions},
        isolation_level=IsolationLevel.READ_COMMITTED,
        request_timeout=REQUEST_TIMEOUT_S,
    )
    try:
        return {(each.topic, each.partition): answer.result().offset for each, answer in answers.items()}
    except KafkaException as error:
        raise unavailable(error, "asking for the bounds of partitions") from error


def unavailable(error: KafkaException, doing: str) -> Unavailable | WorkerStopped:
    """The error of a failed call: fatal ones stop the worker, the others may pass."""
    kafka_error = error.args[0]
    if kafka_error.fatal():
        return WorkerStopped(f"{doing}: {kafka_error.str()}")
    return Unavailable("kafka", kafka_error.name(), f"{doing}: {kafka_error.str()}")
