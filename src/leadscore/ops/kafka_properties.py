"""The librdkafka properties of the environment: passed on verbatim, but for those the worker owns.

``LEADSCORE_KAFKA__SASL_PASSWORD`` is ``sasl.password``. No name is checked here: what the installed librdkafka knows
is its own affair, and it refuses what it does not know.
"""

from collections.abc import Mapping

KAFKA_PREFIX = "LEADSCORE_KAFKA__"
BOOTSTRAP_SERVERS = f"{KAFKA_PREFIX}BOOTSTRAP_SERVERS"

_ITSELF = "the worker sets it itself"
OWNED = {
    "acks": _ITSELF,
    "auto.commit.enable": _ITSELF,
    "auto.offset.reset": _ITSELF,
    "delivery.report.only.error": _ITSELF,
    "delivery.timeout.ms": _ITSELF,
    "enable.auto.commit": "the worker commits itself, see LEADSCORE_COMMIT_INTERVAL",
    "enable.auto.offset.store": _ITSELF,
    "enable.gapless.guarantee": _ITSELF,
    "enable.idempotence": _ITSELF,
    "enable.partition.eof": _ITSELF,
    "group.id": "use LEADSCORE_GROUP",
    "group.remote.assignor": _ITSELF,
    "isolation.level": _ITSELF,
    "logger": "use LEADSCORE_LOG_LEVEL and LEADSCORE_LOG_FORMAT",
    "message.timeout.ms": _ITSELF,
    "metadata.broker.list": f"use {BOOTSTRAP_SERVERS}",
    "partition.assignment.strategy": _ITSELF,
    "partitioner": _ITSELF,
    "request.required.acks": _ITSELF,
    "transactional.id": _ITSELF,
}
"""The properties that the promise of delivery rests on, and what to do instead of setting them."""

_NAMED_FILE = frozenset(
    {
        "sasl.oauthbearer.assertion.file",
        "sasl.oauthbearer.assertion.jwt.template.file",
        "sasl.oauthbearer.assertion.private.key.file",
    }
)


def property_name(variable: str) -> str:
    """``LEADSCORE_KAFKA__SSL_CA_LOCATION`` -> ``ssl.ca.location``."""
    return variable.removeprefix(KAFKA_PREFIX).lower().replace("_", ".")


def variable_of(name: str) -> str:
    """``ssl.ca.location`` -> ``LEADSCORE_KAFKA__SSL_CA_LOCATION``."""
    return KAFKA_PREFIX + name.upper().replace(".", "_")


def is_named_file(variable: str) -> bool:
    """Whether the variable's ``_FILE`` belongs to the property's own name."""
    return property_name(variable) in _NAMED_FILE


def has_brokers_assign(kafka: Mapping[str, str]) -> bool:
    """Whether the environment asks for the protocol of KIP-848: brokers assign, and move partitions one by one."""
    return kafka.get("group.protocol", "").lower() == "consumer"


def refusal(name: str) -> str | None:
    """Why the environment must not set this property; ``None`` where it may."""
    if name.endswith(".cb") or name.startswith("on."):
        return "callbacks are the worker's"
    return OWNED.get(name)
