"""Setting a committed offset in the place of workers, which must all be stopped for it."""

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from leadscore.errors import ConfigError, Unavailable

REQUEST_TIMEOUT_S = 10.0


def set_committed(admin: AdminClient, group: str, place: TopicPartition) -> None:
    """Set the group's offset of a partition; ``ConfigError`` while the group has workers."""
    expected = ConsumerGroupTopicPartitions(group, [place])
    try:
        answers = admin.alter_consumer_group_offsets([expected], request_timeout=REQUEST_TIMEOUT_S)
        _raise_first([partition.error for partition in answers[group].result().topic_partitions or []])
    except KafkaException as failure:
        error = failure.args[0]
        if error.code() in (KafkaError.UNKNOWN_MEMBER_ID, KafkaError.NON_EMPTY_GROUP):
            raise ConfigError(
                f"--yes: group {group} has running workers, and the committed offset cannot be set under them: stop "
                "all workers, then repeat. Nothing was changed."
            ) from failure
        raise Unavailable("kafka", error.name(), f"setting the committed offset: {error.str()}") from failure


def _raise_first(errors: list[KafkaError | None]) -> None:
    for error in errors:
        if error is not None:
            raise KafkaException(error)
