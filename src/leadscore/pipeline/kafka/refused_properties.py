"""Which variable it is that librdkafka refuses: its own message may name a property nobody wrote, or none."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException, Producer

from leadscore.errors import ConfigError
from leadscore.ops.kafka_properties import variable_of
from leadscore.ops.redaction import REDACTED, redact_kafka_property

_LOGIN = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "anyone",
    "sasl.password": "anything",
}
"""A login that librdkafka accepts: a part of one is refused when it stands alone, and is not wrong for that."""
_ALIASES = {"sasl.mechanisms": "sasl.mechanism"}


@contextmanager
def refused_properties(kafka: Mapping[str, str]) -> Iterator[None]:
    """Properties that librdkafka refuses are a ``ConfigError`` that names each wrong variable.

    What a broker refuses passes through: the properties are not to blame for a missing permission.
    """
    try:
        yield
    except KafkaException as error:
        if error.args[0].code() != KafkaError._INVALID_ARG:  # noqa: SLF001
            raise
        refused = list(_refused(kafka)) or [
            f"LEADSCORE_KAFKA__...: librdkafka refuses the properties together: {_words(error, kafka)}"
        ]
        raise ConfigError("\n".join(refused)) from None  # librdkafka's own words may quote a secret


def _refused(kafka: Mapping[str, str]) -> Iterator[str]:
    """Each property alone: aliases and wrong values show, what contradicts another property does not."""
    for name, value in kafka.items():
        refusal = _refusal(_with_login(name, value))
        if refusal is not None:
            shown = redact_kafka_property(name, value)
            yield f"{variable_of(name)}: {shown!r}: librdkafka refuses it: {refusal}"


def _with_login(name: str, value: str) -> dict[str, str]:
    """The property, with the rest of a login where it is a part of one."""
    part = _ALIASES.get(name, name)
    if part not in _LOGIN:
        return {name: value}
    return {other: text for other, text in _LOGIN.items() if other != part} | {name: value}


def _refusal(properties: Mapping[str, str]) -> str | None:
    try:
        Producer({"log_level": 0, **properties})
    except KafkaException as error:
        return _words(error, properties)
    return None


def _words(error: KafkaException, kafka: Mapping[str, str]) -> str:
    """What librdkafka says, without the values that must not be shown."""
    words = str(error.args[0].str())
    for name, value in kafka.items():
        if redact_kafka_property(name, value) == REDACTED:
            words = words.replace(value, REDACTED)
    return words
