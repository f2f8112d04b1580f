"""Kafka as the command-line tools use it: the worker's clients without its log, and a partition read to its end."""

import logging
import time
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from leadscore.errors import ConfigError, Unavailable
from leadscore.ops.config import Config
from leadscore.pipeline.kafka.clients import (
    READER,
    Admin,
    make_admin,
    make_consumer,
    make_producer,
    make_transactional_producer,
)
from leadscore.pipeline.kafka.refused_properties import refused_properties
from leadscore.pipeline.models import ModelsTopic

SILENCE_TIMEOUT_S = 30.0


class KafkaSession:
    """Clients for one command. ``ConfigError`` where librdkafka refuses the properties."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._logger = _silent_logger()

    def admin(self) -> Admin:
        """A client for topics and committed offsets."""
        with refused_properties(self._config.kafka):
            return make_admin(self._config.kafka, self._logger)

    def producer(self) -> Producer:
        """The worker's producer."""
        with refused_properties(self._config.kafka):
            return make_producer(self._config.kafka, f"{self._config.group}-tool", self._logger)

    def transactional_producer(self, transaction: str) -> Producer:
        """A producer of transactions under this name."""
        with refused_properties(self._config.kafka):
            return make_transactional_producer(
                self._config.kafka, f"{self._config.group}-tool", transaction, self._logger
            )

    def consumer(self, group: str) -> Consumer:
        """A consumer that joins no group until it subscribes, which no command does."""
        with refused_properties(self._config.kafka):
            return make_consumer(self._config.kafka, group, "range", self._logger, fetching=READER)

    def models(self) -> ModelsTopic:
        """The versions of the model, read from Kafka."""
        models = self.models_of(None)
        with refused_properties(self._config.kafka):
            models.read()
        return models

    def models_of(self, name: str | None) -> ModelsTopic:
        """The models topic, of which nothing is read yet; ``name`` is the model's, ``None`` takes the one it holds."""
        return ModelsTopic(self._config.kafka, self._config.models_topic, name, self._logger)


def check_log_partitions(config: Config, partitions: int) -> None:
    """``ConfigError`` where the log has another number of partitions: a lead would be looked for in the wrong place."""
    if partitions != config.log_partitions:
        raise ConfigError(
            f"LEADSCORE_LOG_PARTITIONS: {config.log_partitions}: topic {config.log_topic} has {partitions}: expected "
            "that number, it decides where each lead lives"
        )


def records_between(consumer: Consumer, partition: TopicPartition, end: int) -> Iterator[Message]:
    """The records of a partition from its offset on, up to ``end``; ``Unavailable`` where none comes for long."""
    if partition.offset >= end:
        return
    consumer.assign([partition])
    answered_s = time.monotonic()
    while True:
        message = consumer.poll(0.5)
        if message is None:
            if time.monotonic() - answered_s > SILENCE_TIMEOUT_S:
                raise Unavailable("kafka", "timeout", f"reading {partition.topic}/{partition.partition}")
            continue
        answered_s = time.monotonic()
        error = message.error()
        if error is not None and error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            continue  # the client looks for the group's coordinator, which a reader without a group does not need
        offset = message.offset() or 0
        if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # it has no public name
            return
        if error is not None:
            raise Unavailable("kafka", error.name(), f"reading {partition.topic}/{partition.partition}: {error.str()}")
        if offset >= end:
            return
        yield message
        if offset == end - 1:
            return


def _silent_logger() -> logging.Logger:
    """Without it librdkafka says every failed attempt to connect; a command says once that nothing answers."""
    logger = logging.getLogger("leadscore.cli.kafka_client")
    logger.setLevel(logging.CRITICAL + 1)
    return logger
