"""What the worker asks a broker: about topics, offsets and rights.

Every failed call becomes ``Unavailable`` or ``WorkerStopped``. What begins with ``ask_for`` waits for no answer.
"""

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
from leadscore.pipeline.kafka.clients import Admin
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.error_kinds import is_of_the_client, kind_of
from leadscore.pipeline.kafka.records import Bounds, Partition

REQUEST_TIMEOUT_S = 10.0


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


def leader_epochs_at(new_reader: Callable[[], Consumer], places: Mapping[Partition, int]) -> dict[Partition, int]:
    """The leader epoch of the record at each offset; without those at whose offset a reader finds no record.

    A record that was stored without an epoch has ``NO_EPOCH``. ``Unavailable`` where Kafka does not say for all of
    them, or no longer holds one of the offsets.
    """
    epochs: dict[Partition, int] = {}
    waiting, deadline = dict(places), Deadline(REQUEST_TIMEOUT_S)
    reader = new_reader()
    try:
        reader.assign([TopicPartition(*partition, offset) for partition, offset in places.items()])
        while waiting and deadline.left_s:
            for message in reader.consume(len(waiting), 0.1):
                error = message.error()
                if error is not None and error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
                    raise Unavailable("kafka", KafkaErrorKind.OFFSET_GONE.value, error.str())
                if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                    continue  # it may pass, and has said nothing about the record
                partition = (message.topic() or "", message.partition() or 0)
                offset, epoch = waiting.pop(partition, None), message.leader_epoch()
                if error is None and message.offset() == offset:
                    epochs[partition] = NO_EPOCH if epoch is None else epoch
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
        if kind_of(error.args[0]) is KafkaErrorKind.LEADER:
            ask_for_leaders(admin, partitions)
        raise unavailable(error, "asking for the bounds of partitions", admin) from error


def ask_for_topic(admin: AdminClient, topic: str, timeout_s: float) -> "Future[Any]":
    """Ask for a topic, to see whether a broker answers; a refusal is an answer, too. It comes later.

    Not for the cluster: librdkafka 2.16 aborts the process where the answer to that names neither a broker nor a topic,
    as that of a lone broker does which the controller has not heard from for a while.
    """
    question: Future[Any] = admin.describe_topics(TopicCollection([topic]), request_timeout=timeout_s)[topic]
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


def ask_for_leaders(admin: AdminClient, partitions: Iterable[Partition]) -> None:
    """Let the client learn who leads these partitions now; nothing is waited for.

    For minutes it asks those that it has heard of about offsets, even where they answer that another broker leads the
    partition, or that its leader has changed since.
    """
    topics = sorted({topic for topic, _ in partitions})
    if topics:
        admin.describe_topics(TopicCollection(topics), request_timeout=REQUEST_TIMEOUT_S)


def ask_for_rights(admin: AdminClient, topics: Sequence[str]) -> "dict[str, Future[Any]]":
    """Ask which operations are allowed on topics; the answers come later."""
    questions: dict[str, Future[Any]] = admin.describe_topics(
        TopicCollection(list(topics)), include_authorized_operations=True, request_timeout=REQUEST_TIMEOUT_S
    )
    return questions


def unavailable(error: KafkaException, doing: str, client: object = None) -> Unavailable | WorkerStopped:
    """The error of a failed call: fatal ones stop the worker, the others may pass; with what the client said beside.

    A question that no broker answers only times out, whatever the cause: then the kind is that of what was said.
    """
    kafka_error = error.args[0]
    if kafka_error.fatal():
        return WorkerStopped(f"{doing}: {kafka_error.str()}")
    said, cause = "", kafka_error
    if isinstance(client, Admin):
        client.take_errors()
        if client.last_error is not None:
            said = f": {client.last_error.str()}"
            cause = client.last_error if is_of_the_client(kafka_error) else kafka_error
    return Unavailable("kafka", kind_of(cause).value, f"{doing}: {kafka_error.str()}{said}")
