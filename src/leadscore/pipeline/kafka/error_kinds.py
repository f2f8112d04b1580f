"""What kind of thing went wrong with Kafka: the few kinds that operators tell apart."""

from confluent_kafka import KafkaError

from leadscore.errors import KafkaErrorKind

_KINDS = {
    KafkaError._AUTHENTICATION: KafkaErrorKind.AUTHENTICATION,  # noqa: SLF001
    KafkaError.SASL_AUTHENTICATION_FAILED: KafkaErrorKind.AUTHENTICATION,
    KafkaError._SSL: KafkaErrorKind.AUTHENTICATION,  # noqa: SLF001
    KafkaError.TOPIC_AUTHORIZATION_FAILED: KafkaErrorKind.AUTHORIZATION,
    KafkaError.GROUP_AUTHORIZATION_FAILED: KafkaErrorKind.AUTHORIZATION,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: KafkaErrorKind.AUTHORIZATION,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: KafkaErrorKind.AUTHORIZATION,
    KafkaError.UNKNOWN_TOPIC_OR_PART: KafkaErrorKind.UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_TOPIC: KafkaErrorKind.UNKNOWN_TOPIC,  # noqa: SLF001
    KafkaError._UNKNOWN_PARTITION: KafkaErrorKind.UNKNOWN_TOPIC,  # noqa: SLF001
    KafkaError._TRANSPORT: KafkaErrorKind.TRANSPORT,  # noqa: SLF001
    KafkaError._RESOLVE: KafkaErrorKind.TRANSPORT,  # noqa: SLF001
    KafkaError._ALL_BROKERS_DOWN: KafkaErrorKind.TRANSPORT,  # noqa: SLF001
    KafkaError._TIMED_OUT: KafkaErrorKind.TIMEOUT,  # noqa: SLF001
    KafkaError._TIMED_OUT_QUEUE: KafkaErrorKind.TIMEOUT,  # noqa: SLF001
    KafkaError.REQUEST_TIMED_OUT: KafkaErrorKind.TIMEOUT,
    KafkaError.LEADER_NOT_AVAILABLE: KafkaErrorKind.LEADER,
    KafkaError.NOT_LEADER_FOR_PARTITION: KafkaErrorKind.LEADER,
    KafkaError.FENCED_LEADER_EPOCH: KafkaErrorKind.LEADER,
    KafkaError.UNKNOWN_LEADER_EPOCH: KafkaErrorKind.LEADER,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS: KafkaErrorKind.COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE: KafkaErrorKind.COORDINATOR,
    KafkaError.NOT_COORDINATOR: KafkaErrorKind.COORDINATOR,
    KafkaError._WAIT_COORD: KafkaErrorKind.COORDINATOR,  # noqa: SLF001
    KafkaError.NOT_ENOUGH_REPLICAS: KafkaErrorKind.REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND: KafkaErrorKind.REPLICAS,
    KafkaError._AUTO_OFFSET_RESET: KafkaErrorKind.OFFSET_GONE,  # noqa: SLF001
    KafkaError._LOG_TRUNCATION: KafkaErrorKind.OFFSET_GONE,  # noqa: SLF001
    KafkaError.OFFSET_OUT_OF_RANGE: KafkaErrorKind.OFFSET_GONE,
    KafkaError._MAX_POLL_EXCEEDED: KafkaErrorKind.MAX_POLL,  # noqa: SLF001
    KafkaError._FENCED: KafkaErrorKind.FENCED,  # noqa: SLF001
    KafkaError.FENCED_INSTANCE_ID: KafkaErrorKind.FENCED,
    KafkaError.PRODUCER_FENCED: KafkaErrorKind.FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH: KafkaErrorKind.FENCED,
}


def kind_of(error: KafkaError) -> KafkaErrorKind:
    """The error's kind."""
    return _KINDS.get(error.code(), KafkaErrorKind.OTHER)


def is_of_the_client(error: KafkaError) -> bool:
    """Whether no broker said so: librdkafka's own errors have negative codes."""
    return error.code() < 0
