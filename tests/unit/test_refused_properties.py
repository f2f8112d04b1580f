"""What librdkafka refuses is said with the variable that it was written in."""

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from leadscore.errors import ConfigError
from leadscore.ops.kafka_properties import variable_of
from leadscore.pipeline.kafka.refused_properties import refused_properties


def refusal_of(kafka: dict[str, str | int]) -> list[str]:
    with pytest.raises(ConfigError) as raised, refused_properties({name: str(value) for name, value in kafka.items()}):
        Producer({"log_level": 0, "enable.idempotence": True, **kafka})
    return str(raised.value).splitlines()


def test_every_wrong_property_is_named_by_its_variable_also_where_librdkafka_has_another_name_for_it() -> None:
    linger, unknown = refusal_of({"linger.ms": "soon", "client.id": "mine", "no.such.thing": "1"})
    assert linger.startswith(
        "LEADSCORE_KAFKA__LINGER_MS: 'soon': librdkafka refuses it: Invalid value for configuration"
    )
    assert unknown.startswith(
        "LEADSCORE_KAFKA__NO_SUCH_THING: '***': librdkafka refuses it: No such configuration property"
    )


def test_a_secret_is_not_shown() -> None:
    (line,) = refusal_of({"no.such.password": "hunter2"})
    assert line.startswith("LEADSCORE_KAFKA__NO_SUCH_PASSWORD: '***': ")


def test_properties_that_only_contradict_each_other_are_reported_in_librdkafkas_words() -> None:
    (line,) = refusal_of({"max.in.flight": 20})
    assert line.startswith("LEADSCORE_KAFKA__...: librdkafka refuses the properties together: ")
    assert "`max.in.flight` must be set <= 5" in line


def test_other_errors_pass_through() -> None:
    with pytest.raises(ValueError, match="mine"), refused_properties({}):
        raise ValueError("mine")
    with pytest.raises(ConfigError, match="together"), refused_properties({"client.id": "mine"}):
        raise KafkaException(_error())


def _error() -> object:
    try:
        Producer({"no.such.thing": 1})
    except KafkaException as error:
        return error.args[0]
    raise AssertionError


def test_a_wrong_property_beside_a_login_is_the_only_one_to_blame() -> None:
    login = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "u",
        "sasl.password": "p",
    }
    (line,) = refusal_of({**login, "linger.ms": "soon"})
    assert line.startswith("LEADSCORE_KAFKA__LINGER_MS: ")


@pytest.mark.parametrize("name", ["sasl.mechanism", "sasl.mechanisms"])
def test_a_mechanism_that_does_not_exist_is_named(name: str) -> None:
    (line,) = refusal_of({"security.protocol": "SASL_SSL", name: "PLANE", "sasl.username": "u", "sasl.password": "p"})
    assert line.startswith(f"{variable_of(name)}: 'PLANE': ")


def test_what_a_broker_refuses_is_no_fault_of_the_properties() -> None:
    kafka = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"}
    with pytest.raises(KafkaException, match="CLUSTER_AUTHORIZATION_FAILED"), refused_properties(kafka):
        raise KafkaException(KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED))
