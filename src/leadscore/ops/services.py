"""The services a worker needs, as operators are told of them: by name and address, never with a secret."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from leadscore.errors import Unavailable
from leadscore.ops.config import Config
from leadscore.ops.redaction import redact_url

KAFKA, REDIS, SCHEMA_REGISTRY = "kafka", "redis", "schema_registry"


def addresses_of(config: Config) -> dict[str, str]:
    """Where each service is expected."""
    addresses = {
        KAFKA: redact_url(config.kafka.get("bootstrap.servers", "")) or "an address that is not set",
        REDIS: _without_secrets(config.redis_url),
    }
    if config.schema_registry_url is not None:
        addresses[SCHEMA_REGISTRY] = _without_secrets(config.schema_registry_url)
    return addresses


def outage_words(outage: Unavailable, addresses: Mapping[str, str]) -> str:
    """Which service is unavailable, where, and how: never empty."""
    where = f"{outage.service} at {addresses.get(outage.service, 'an unknown address')}"
    return f"{where} is unavailable ({outage.kind})" + (f": {outage.detail}" if outage.detail.strip() else "")


def _without_secrets(url: str) -> str:
    """Host, port and path: neither user nor password nor query."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] + parts.path.rstrip("/")
