"""The models topic: every version of the model, so that a replay uses the versions of its time (design 2.6).

Compacted, keyed ``name:version``, the value is the file's text. The matcher publishes its version at start; scorers
look up versions they do not know.
"""

import logging
from collections.abc import Mapping
from time import monotonic

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from leadscore.errors import ConfigError, ModelError, Unavailable
from leadscore.model.compile import compile_model
from leadscore.model.compiled import CompiledModel
from leadscore.model.definition import ModelDefinition
from leadscore.model.load import parse_model
from leadscore.pipeline.kafka.clients import make_consumer
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.error_kinds import kind_of
from leadscore.pipeline.kafka.outbound import Outbound
from leadscore.pipeline.kafka.questions import REQUEST_TIMEOUT_S, partition_count
from leadscore.pipeline.kafka.records import OutputRecord

READ_TIMEOUT_S = 30.0


class ModelsTopic:
    """The versions of one model on Kafka, read as far as needed and kept."""

    def __init__(self, kafka: Mapping[str, str], topic: str, name: str | None, logger: logging.Logger) -> None:
        """``name`` is the model's; ``None`` takes the one the topic holds."""
        self._kafka = kafka
        self._topic = topic
        self._name = name
        self._logger = logger
        self._texts: dict[int, str] = {}
        self._compiled: dict[int, CompiledModel] = {}

    def model_of_version(self, version: int) -> CompiledModel:
        """A version, compiled; read from Kafka if it is not known yet. ``Unavailable`` if it cannot be found now."""
        model = self._compiled.get(version)
        if model is None:
            model = self._compiled[version] = compile_model(self.definition(version))
        return model

    def model_at_hand(self, version: int) -> CompiledModel:
        """A version that was read before, compiled; ``Unavailable`` where Kafka would have to be asked."""
        if version not in self._texts:
            raise Unavailable("kafka", "model", f"version {version} of the model has not been read yet")
        return self.model_of_version(version)

    def definition(self, version: int) -> ModelDefinition:
        """A version as it was written; ``Unavailable`` if it cannot be found now."""
        if version not in self._texts:
            self.read()
        if version not in self._texts:
            raise Unavailable("kafka", "model", f"topic {self._topic} does not hold version {version} of the model")
        return parse_model(self._texts[version], f"{self._topic}, version {version}", is_published=True)

    def versions(self) -> list[int]:
        """The versions read so far, oldest first."""
        return sorted(self._texts)

    def publish(self, definition: ModelDefinition, text: str, outbound: Outbound) -> None:
        """Publish a version unless it is there.

        ``ModelError`` where the same version has other content there, or a newer one is there.
        """
        if not self.holds(definition):
            self._produce(definition, text, outbound)

    def holds(self, definition: ModelDefinition) -> bool:
        """Whether the version is published already. Only reads.

        ``ModelError`` where the same version has other content there, or a newer one is there.
        """
        self.read()
        version = definition.version
        newest = max(self._texts, default=0)
        if version < newest:
            raise ModelError(
                f"model {definition.model}: version {version} is older than version {newest}, which is in force: run "
                f"version {newest}, or give what you want to run a number above {newest}"
            )
        if version in self._texts:
            if self.definition(version) != definition:
                raise ModelError(
                    f"model {definition.model}: version {version} is published with other content: a published version "
                    f"never changes; give the changed model version {newest + 1}"
                )
            return True
        return False

    def read(self) -> None:
        """Read every version the topic holds now. ``Unavailable`` if that takes too long."""
        consumer = make_consumer(self._kafka, "leadscore-models", "range", self._logger)
        try:
            numbers = set(range(partition_count(consumer, self._topic)))
            consumer.assign([TopicPartition(self._topic, number, OFFSET_BEGINNING) for number in numbers])
            self._read_to_end(consumer, numbers)
        finally:
            consumer.close()

    def _read_to_end(self, consumer: Consumer, unread: set[int]) -> None:
        deadline_s = monotonic() + READ_TIMEOUT_S
        while unread:
            message = consumer.poll(0.5)
            if message is None:
                if monotonic() > deadline_s:
                    raise Unavailable("kafka", "timeout", f"reading topic {self._topic}")
                continue
            error = message.error()
            if error is None:
                self._take(message.key(), message.value())
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                unread.discard(message.partition() or 0)
            elif (
                error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
            ):  # of its group, which it never uses, none matters
                raise Unavailable("kafka", kind_of(error).value, f"reading topic {self._topic}: {error.str()}")

    def _take(self, key: bytes | None, value: bytes | None) -> None:
        if key is None or value is None:
            return
        name, _, version = key.decode(errors="replace").rpartition(":")
        if not name or not version.isdecimal():
            return
        if self._name is None:
            self._name = name
        if name != self._name:
            raise ConfigError(
                f"topic {self._topic} holds model {name!r}, expected {self._name!r}: a deployment has one model; give "
                "the other a group, a log, a models topic and a Redis prefix of its own"
            )
        self._texts[int(version)] = value.decode()

    def _produce(self, definition: ModelDefinition, text: str, outbound: Outbound) -> None:
        failures: list[str] = []
        key = f"{definition.model}:{definition.version}"
        outbound.produce(
            self._topic,
            OutputRecord(key.encode(), text.encode()),
            lambda error, _: failures.append(error.str()) if error is not None else None,
        )
        is_answered = outbound.flush(Deadline(REQUEST_TIMEOUT_S))
        if failures or not is_answered:
            raise Unavailable("kafka", "publish", f"model {key}: {failures[0] if failures else 'no answer in time'}")
        self._texts[definition.version] = text
