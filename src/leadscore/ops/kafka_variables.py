"""The librdkafka properties that the environment sets, each in a variable of its own."""

from collections.abc import Iterator, Mapping

from leadscore.ops.addresses import WrongAddress, check_brokers
from leadscore.ops.kafka_properties import BOOTSTRAP_SERVERS, KAFKA_PREFIX, property_name, refusal
from leadscore.ops.redaction import REDACTED
from leadscore.ops.variables import Variable


def read_kafka_properties(variables: Mapping[str, Variable], problems: list[str]) -> dict[str, str]:
    """The properties by their librdkafka names. What is wrong is added to ``problems``."""
    properties: dict[str, str] = {}
    for variable_name, variable in variables.items():
        if not variable_name.startswith(KAFKA_PREFIX):
            continue
        name = property_name(variable_name)
        why = refusal(name)
        if why is None:
            properties[name] = variable.text
        else:
            problems.append(f"{variable.origin}: the librdkafka property {name} cannot be set: {why}")
    problems += _wrong_brokers(variables)
    return properties


def _wrong_brokers(variables: Mapping[str, Variable]) -> Iterator[str]:
    """What is no list of brokers is not passed on: librdkafka would log it as the name of a host."""
    variable = variables.get(BOOTSTRAP_SERVERS)
    try:
        check_brokers("localhost" if variable is None else variable.text)
    except WrongAddress as wrong:
        yield (
            f"{BOOTSTRAP_SERVERS}: {REDACTED}: {wrong}: expected host:port, with commas between several; a login is "
            f"set in {KAFKA_PREFIX}SASL_USERNAME and {KAFKA_PREFIX}SASL_PASSWORD"
        )
