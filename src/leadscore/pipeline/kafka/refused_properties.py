"""Which variable it is that librdkafka refuses: its own message may name a property nobody wrote, or none."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from confluent_kafka import KafkaException, Producer

from leadscore.errors import ConfigError
from leadscore.ops.kafka_properties import variable_of
from leadscore.ops.redaction import redact_kafka_property


@contextmanager
def refused_properties(kafka: Mapping[str, str]) -> Iterator[None]:
    """Properties that librdkafka refuses are a ``ConfigError`` that names each wrong variable."""
    try:
        yield
    except KafkaException as error:
        refused = list(_refused(kafka)) or [
            f"LEADSCORE_KAFKA__...: librdkafka refuses the properties together: {error.args[0].str()}"
        ]
        raise ConfigError("\n".join(refused)) from error


def _refused(kafka: Mapping[str, str]) -> Iterator[str]:
    """Each property alone: aliases and wrong values show, what contradicts another property does not."""
    for name, value in kafka.items():
        try:
            Producer({"log_level": 0, name: value})
        except KafkaException as error:
            shown = redact_kafka_property(name, value)
            yield f"{variable_of(name)}: {shown!r}: librdkafka refuses it: {error.args[0].str()}"
