"""How a group assigns its partitions: one of its members does (the classic protocol), or the brokers do (KIP-848)."""

from collections.abc import Mapping
from typing import Any

_SAME_OF_BROKERS = {"range": "range", "cooperative-sticky": "uniform"}
"""By the assignor of the classic protocol: what the brokers have in its place."""
_SET_BY_BROKERS = frozenset({"session.timeout.ms"})
"""The client refuses it: it is ``group.consumer.session.timeout.ms`` of the brokers."""


def of_brokers(assignor: str) -> dict[str, str]:
    """The property that stands for an assignor of the classic protocol."""
    return {"group.remote.assignor": _SAME_OF_BROKERS[assignor]}


def left_to_client(properties: Mapping[str, Any], kafka: Mapping[str, str]) -> dict[str, Any]:
    """Without our defaults for what brokers set; what the environment sets stays, and the client says what is wrong."""
    return {name: value for name, value in properties.items() if name in kafka or name not in _SET_BY_BROKERS}
