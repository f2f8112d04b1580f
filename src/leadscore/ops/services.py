"""The services a worker needs, as operators are told of them: by name and address, never with a secret."""

import logging
from collections.abc import Mapping

from leadscore.errors import Unavailable
from leadscore.ops.addresses import places
from leadscore.ops.config import Config
from leadscore.ops.ongoing import OngoingLog

_log = logging.getLogger(__name__)

KAFKA, REDIS, SCHEMA_REGISTRY = "kafka", "redis", "schema_registry"


def addresses_of(config: Config) -> dict[str, str]:
    """Where each service is expected."""
    addresses = {
        KAFKA: config.kafka.get("bootstrap.servers") or "an address that is not set",
        REDIS: places(config.redis_url),
    }
    if config.schema_registry_url is not None:
        addresses[SCHEMA_REGISTRY] = places(config.schema_registry_url)
    return addresses


def outage_words(outage: Unavailable, addresses: Mapping[str, str]) -> str:
    """Which service is unavailable, where, and how: never empty."""
    where = f"{outage.service} at {addresses.get(outage.service, 'an unknown address')}"
    return f"{where} is unavailable ({outage.kind})" + (f": {outage.detail}" if outage.detail.strip() else "")


class OutageLog:
    """Tells of services that are unavailable: one line per service when it begins, one when it is over."""

    def __init__(self, begun: str, over: str, addresses: Mapping[str, str]) -> None:
        self._ongoing = OngoingLog(_log, begun, over)
        self._addresses = addresses

    def note(self, now_s: float, outage: Unavailable) -> None:
        """The service did not do what was asked of it; another kind of failure is worth another line."""
        service = outage.service
        fields = {"service": service, "address": self._addresses.get(service), "detail": outage.detail}
        self._ongoing.note(now_s, service, logging.WARNING, outage.kind, kind=outage.kind, **fields)

    def end(self, now_s: float) -> None:
        """All services do again."""
        self._ongoing.end_others(now_s, ())
