"""The configuration never shows a secret: not described, not in an error, not in its repr."""

import json
from collections.abc import Mapping

import pytest

from leadscore.errors import ConfigError
from leadscore.ops.config import describe_config, load_config

CANARY = "hunter2-canary"


def refused(environ: Mapping[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(environ)
    return str(caught.value)


SECRETS = {
    "LEADSCORE_REDIS_URL": f"redis://user:{CANARY}@@/{CANARY}@localhost:6379/0?ssl_password={CANARY}",
    "LEADSCORE_SCHEMA_REGISTRY_URL": f"https://{CANARY}@registry.example",
    "LEADSCORE_SCHEMA_REGISTRY_USER": "user",
    "LEADSCORE_SCHEMA_REGISTRY_PASSWORD": CANARY,
    "LEADSCORE_KAFKA__SASL_PASSWORD": CANARY,
    "LEADSCORE_KAFKA__SSL_KEY_PASSWORD": CANARY,
    "LEADSCORE_KAFKA__SSL_KEY_PEM": CANARY,
    "LEADSCORE_KAFKA__SSL_CERTIFICATE_PEM": CANARY,
    "LEADSCORE_KAFKA__SSL_KEYSTORE_PASSWORD": CANARY,
    "LEADSCORE_KAFKA__SASL_OAUTHBEARER_CLIENT_SECRET": CANARY,
    "LEADSCORE_KAFKA__SASL_OAUTHBEARER_CLIENT_CREDENTIALS_CLIENT_SECRET": CANARY,
    "LEADSCORE_KAFKA__SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_PASSPHRASE": CANARY,
    "LEADSCORE_KAFKA__SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_PEM": CANARY,
    "LEADSCORE_KAFKA__SASL_OAUTHBEARER_CONFIG": CANARY,
    "LEADSCORE_KAFKA__SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL": f"https://id.example/token?client_secret={CANARY}",
}


def test_no_secret_is_in_the_described_configuration() -> None:
    # A password with "/" and "@" in it makes a URL that redis refuses, but what is refused is shown, too.
    config = load_config(SECRETS | {"LEADSCORE_REDIS_URL": f"redis://user:{CANARY}@localhost:6379/0?password={CANARY}"})
    described = describe_config(config)
    assert CANARY not in json.dumps(described)
    assert CANARY not in repr(config)
    assert described["redis_url"] == "redis://***@localhost:6379/0?password=***"
    assert described["schema_registry_password"] == "***"
    assert described["redis_password"] is None
    assert described["kafka"] == {
        **dict.fromkeys(config.kafka, "***"),
        "sasl.oauthbearer.token.endpoint.url": "https://id.example/token?client_secret=***",
    }


@pytest.mark.parametrize("variable", sorted(SECRETS))
def test_no_secret_is_in_an_error(variable: str) -> None:
    message = refused({variable: SECRETS[variable] + "\n", "LEADSCORE_ROLE": "x"})
    assert CANARY not in message


def test_a_secret_url_that_is_refused_is_shown_without_its_secret() -> None:
    assert refused({"LEADSCORE_REDIS_URL": f"http://u:{CANARY}/@x@h"}) == (
        "LEADSCORE_REDIS_URL: 'http://***@h': expected a URL that starts with redis:// or rediss://"
    )
