"""Services as operators are told of them."""

from leadscore.errors import Unavailable
from leadscore.ops.config import load_config
from leadscore.ops.services import addresses_of, outage_words

SECRETIVE = load_config(
    {
        "LEADSCORE_REDIS_URL": "rediss://user:s3cret@redis.example:6380/2?ssl_password=s3cret",
        "LEADSCORE_SCHEMA_REGISTRY_URL": "https://user:s3cret@registry.example/path",
        "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": "k1:9092,k2:9092",
    }
)


def test_addresses_hold_no_secret() -> None:
    assert addresses_of(SECRETIVE) == {
        "kafka": "k1:9092,k2:9092",
        "redis": "redis.example:6380/2",
        "schema_registry": "registry.example/path",
    }


def test_an_outage_names_the_service_and_its_address() -> None:
    addresses = addresses_of(SECRETIVE)
    refused = Unavailable("redis", "connection", "Error 111: Connection refused")
    assert outage_words(refused, addresses) == (
        "redis at redis.example:6380/2 is unavailable (connection): Error 111: Connection refused"
    )
    assert outage_words(Unavailable("kafka", "timeout", " "), addresses) == (
        "kafka at k1:9092,k2:9092 is unavailable (timeout)"
    )
