"""The configuration never shows a secret: not described, not in an error, not in its repr, however wrong a value is."""

import base64
import json
import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from leadscore.errors import ConfigError
from leadscore.ops.addresses import shown_urls
from leadscore.ops.config import describe_config, load_config, settings, variable_of
from leadscore.ops.kafka_properties import variable_of as kafka_variable_of
from leadscore.ops.services import addresses_of
from leadscore.pipeline.kafka.clients import make_producer
from leadscore.pipeline.kafka.refused_properties import refused_properties
from leadscore.pipeline.schema_registry import make_registry
from leadscore.pipeline.stores import make_store

FIELD = Path(__file__).resolve().parents[1] / "field" / "redis_url_secrets" / "addresses.jsonl"
CANARY = "hunter2"

SECRETS = {
    "LEADSCORE_REDIS_URL": f"redis+sentinel://user:{CANARY}@localhost:6379/leads/0?ssl_password={CANARY}",
    "LEADSCORE_SCHEMA_REGISTRY_URL": f"https://{CANARY}@registry.example",
    "LEADSCORE_REDIS_SENTINEL_PASSWORD": CANARY,
    "LEADSCORE_KAFKA__SASL_PASSWORD": CANARY,
    "LEADSCORE_KAFKA__SSL_KEY_PASSWORD": CANARY,
    "LEADSCORE_KAFKA__SSL_KEY_PEM": CANARY,
    "LEADSCORE_KAFKA__SSL_CERTIFICATE_PEM": CANARY,
    "LEADSCORE_KAFKA__SSL_KEYSTORE_PASSWORD": CANARY,
    "LEADSCORE_KAFKA__SASL_KERBEROS_KINIT_CMD": f"kinit --password {CANARY}",
    "LEADSCORE_KAFKA__SASL_OAUTHBEARER_CLIENT_SECRET": CANARY,
    "LEADSCORE_KAFKA__SASL_OAUTHBEARER_CLIENT_CREDENTIALS_CLIENT_SECRET": CANARY,
    "LEADSCORE_KAFKA__SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_PASSPHRASE": CANARY,
    "LEADSCORE_KAFKA__SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_PEM": CANARY,
    "LEADSCORE_KAFKA__SASL_OAUTHBEARER_CONFIG": CANARY,
    "LEADSCORE_KAFKA__SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL": f"https://u:{CANARY}@id.example/token?assertion={CANARY}",
    "LEADSCORE_KAFKA__SASL_JAAS_CONFIG": f'PlainLoginModule required password="{CANARY}";',
    # Misspelt, or the thing itself where its path should be.
    "LEADSCORE_KAFKA__SASL_PASSWORT": CANARY,
    "LEADSCORE_KAFKA__SASL_PASWORD": "2" + CANARY,
    "LEADSCORE_KAFKA__SASLPASSWORD": CANARY,
    "LEADSCORE_KAFKA__CLIENT_PASSPHRAS": CANARY,
    "LEADSCORE_KAFKA__SSL_KEY_LOCATION": f"-----BEGIN PRIVATE KEY----- {CANARY}",
}


def refused(environ: Mapping[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(environ)
    return str(caught.value)


# As people get addresses wrong; what is in braces is filled in.
IN_ADDRESSES = (
    "{scheme}://w:{secret}@h1:6379/0,{scheme}://w:{secret}B@h2:6379/0",
    "{scheme}://w:{secret}@h1:6379/0 {scheme}://w:{secret}B@h2:6379/0",
    "{scheme}://w:{secret}@h1:6379/0;{scheme}://w:{secret}B@h2:6379/0",
    "{scheme}://w:{secret}@h1:6379,h2:6379/0",
    "{scheme}://w:{secret}@h1:6379/0,",
    "{scheme}://w:{secret}@h1:6379/0,other://w:{secret}@h2:6379/0",
    "{scheme}://w:{secret}/x@h:6379/0",
    "{scheme}://w:1/{secret}@h:6379/0",
    "{scheme}://w:1?{secret}@h:6379/0",
    "{scheme}://w:1#{secret}@h:6379/0",
    "{scheme}://w:1?x={secret}@h:6379/0",
    "{scheme}://w:{secret}@@/{secret}@h:6379/0",
    "{scheme}://w:{secret}[x@h:6379/0",
    "{scheme}://w:{secret}]x@h:6379/0",
    "{scheme}://w:{secret}\N{ACCOUNT OF}x@h:6379/0",
    "{scheme}://w:{secret}\n@h:6379/0",
    "{scheme}://w:{secret}@h:6379/0\n",
    "{scheme}://w:{secret}\t@h:6379/0",
    "\ufeff{scheme}://w:{secret}@h:6379/0",
    '"{scheme}://w:{secret}@h:6379/0"',
    " {scheme}://w:{secret}@h:6379/0",
    "{scheme}://w:{secret}@h:port/0",
    "{scheme}://w:{secret}@h:99999/0",
    "{scheme}://w:{secret}@:6379/0",
    "{scheme}://w:{secret}@",
    "{scheme}://w:{secret}@h h:6379/0",
    "{scheme}://w:{secret}@[::1:6379/0",
    "{scheme}://w:{secret}@h:6379/database",
    "{scheme}://w:{secret}@h:6379/0?no_such_option={secret}",
    "{scheme}://w:{secret}@h:6379/0?{secret}",
    "{scheme}://h:6379/0?pwd={secret}",
    "{scheme}://h:6379/0#{secret}",
    "{scheme}://w:{secret}",
    "{scheme}://{secret}@h:6379/0",
    "{scheme}://:{secret}@h:6379/0",
    "{scheme}:/w:{secret}@h:6379/0",
    "{scheme}:w:{secret}@h:6379/0",
    "{scheme}//w:{secret}@h:6379/0",
    "{scheme};//w:{secret}@h:6379/0",
    "{scheme}s3://w:{secret}@h:6379/0",
    "{scheme}+sentinel://w:{secret}@h:6379/0",
    "http//w:{secret}@h:6379/0",
    "ftp://w:{secret}@h:6379/0",
    "w:{secret}@h:6379/0",
    "w:{secret}@h1:6379,w:{secret}@h2:6379",
    "LEADSCORE_REDIS_PASSWORD={secret}@",
    "{scheme}://h:6379/0 password={secret}@x",
    "{scheme}://w:{secret}@" + "h" * 300,
)


def canaried(setting_name: str) -> Iterator[str]:
    """Values for a setting that have the canary in them, where nobody may see it."""
    setting = settings()[setting_name]
    for scheme in ("redis", "rediss", "http") if setting.expected.may_hold_secret else ("redis",):
        yield from (form.format(scheme=scheme, secret=CANARY) for form in IN_ADDRESSES)
    if setting.secret:
        yield from (CANARY, f"{CANARY}\n", f"x\n{CANARY}\ny", f"\0{CANARY}", f"{CANARY}\udcff")
    if setting.expected.may_hold_secret:
        yield from (f"w:{CANARY} h:6379", f"//w:{CANARY}", f"redis://h:{CANARY}", f"--pass {CANARY}")


def shown(environ: Mapping[str, str]) -> str:
    """All that anyone is shown of a configuration, right or wrong, a traceback included."""
    try:
        config = load_config(environ)
        with closing(make_store(config)):
            make_registry(config)
    except ConfigError as error:
        return "".join(traceback.format_exception(error))
    address = shown_urls(config.redis_url) + shown_urls(config.schema_registry_url or "")
    described = json.dumps(describe_config(config), ensure_ascii=False)
    return "\n".join([described, repr(config), repr(addresses_of(config)), address])


@pytest.mark.parametrize("name", settings())
def test_no_setting_shows_a_secret_however_wrong_its_value(name: str, tmp_path: Path) -> None:
    leaked = [value for value in canaried(name) if CANARY in shown({variable_of(name): value})]
    leaked += [value for value in canaried(name) if CANARY in shown({f"{variable_of(name)}_FILE": value.strip("\0")})]
    file = tmp_path / "value"
    for value in canaried(name):
        file.write_bytes(value.encode(errors="surrogateescape"))
        leaked += [f"file of {value}"] * (CANARY in shown({f"{variable_of(name)}_FILE": str(file)}))
    assert leaked == []


def test_no_secret_is_in_the_described_configuration() -> None:
    config = load_config(SECRETS)
    described = describe_config(config)
    assert CANARY not in json.dumps(described)
    assert CANARY not in repr(config)
    assert described["redis_url"] == "redis+sentinel://***@localhost:6379/leads/0?***"
    assert described["redis_password"] is None
    assert described["kafka"] == {
        **dict.fromkeys(config.kafka, "***"),
        "sasl.oauthbearer.token.endpoint.url": "https://***@id.example/token?***",
    }
    assert describe_config(load_config({"LEADSCORE_REDIS_PASSWORD": CANARY}))["redis_password"] == "***"


def test_what_holds_no_secret_is_shown() -> None:
    properties = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "leadscore",
        "bootstrap.servers": "k1:9092,k2:9092",
        "ssl.ca.location": "/etc/ssl/kafka-ca.pem",
        "session.timeout.ms": "6000",
        "client.rack": "a",
    }
    config = load_config({kafka_variable_of(name): text for name, text in properties.items()})
    assert describe_config(config)["kafka"] == properties
    addresses = {"LEADSCORE_REDIS_URL": "redis://u:p@h1:1/0, redis://u:p@h2:2/0"}
    assert describe_config(load_config(addresses))["redis_url"] == "redis://***@h1:1/0,redis://***@h2:2/0"


@pytest.mark.parametrize("variable", [name for name in sorted(SECRETS) if "KAFKA__" in name])
def test_no_kafka_property_shows_a_secret_that_librdkafka_refuses(variable: str) -> None:
    kafka = load_config({variable: SECRETS[variable]}).kafka
    for beside in ({}, {"linger.ms": "soon"}, {"max.in.flight": "20"}, {"security.protocol": "ssl"}):
        assert CANARY not in said_of({**kafka, **beside})


def said_of(kafka: Mapping[str, str]) -> str:
    """What is said where librdkafka refuses properties, a traceback included."""
    try:
        with refused_properties(kafka):
            make_producer(kafka, "test", logging.getLogger("silent"))
    except ConfigError as error:
        return "".join(traceback.format_exception(error))
    return ""


@pytest.mark.parametrize("form", [*IN_ADDRESSES, "w:{secret}", "{secret}", "h:1,w:{secret}", "h:9092 {secret}"])
def test_a_login_in_the_address_of_kafka_is_refused_and_not_shown(form: str) -> None:
    text = form.format(scheme="kafka", secret=f"{CANARY}!")
    message = refused({"LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": text})
    assert CANARY not in message
    assert "LEADSCORE_KAFKA__SASL_PASSWORD" in message


def test_an_address_of_the_web_is_no_broker() -> None:
    message = refused({"LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": "http://localhost:9092"})
    assert "it has more than hosts and ports: expected host:port" in message


@pytest.mark.parametrize(
    "brokers", ["k1", "ssl://k1:9093", "k1:9092,k2:9092", "SASL_SSL://k1:9093, [::1]:9092", "10.0.0.1:9092,"]
)
def test_addresses_of_brokers_are_taken(brokers: str) -> None:
    assert load_config({"LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": brokers}).kafka == {"bootstrap.servers": brokers}


def test_a_login_in_the_address_of_the_registry_is_taken_as_one() -> None:
    registry = make_registry(load_config({"LEADSCORE_SCHEMA_REGISTRY_URL": "https://u:p%2Fw@registry.example/path"}))
    assert registry is not None
    assert registry.schema_uri(7) == "https://registry.example/path/schemas/ids/7"
    token = base64.b64encode(b"u:p/w").decode()
    assert registry._headers["Authorization"] == f"Basic {token}"
    message = refused(
        {
            "LEADSCORE_SCHEMA_REGISTRY_URL": f"https://u:{CANARY}@registry.example",
            "LEADSCORE_SCHEMA_REGISTRY_USER": "u",
            "LEADSCORE_SCHEMA_REGISTRY_PASSWORD": CANARY,
        }
    )
    assert message.startswith("LEADSCORE_SCHEMA_REGISTRY_USER: the URL has a user too: ")


@pytest.mark.parametrize(
    "row", [json.loads(line) for line in FIELD.read_text().splitlines()], ids=lambda row: row["url"]
)
def test_the_addresses_of_the_field(row: dict[str, Any]) -> None:
    """Each is refused by name, with what to do, or opens Redis with the right password; none is shown."""
    environ = {"LEADSCORE_REDIS_URL": row["url"], "LEADSCORE_REDIS_PASSWORD": row.get("password", "")}
    assert row["secret"] not in shown(environ)
    if "refused" in row:
        assert row["refused"] in refused(environ)
    else:
        with closing(make_store(load_config(environ))) as store:
            assert store._router._how.options["password"] == row["opens_with"]


ONE_OR_SEVERAL = (
    "a URL that starts with redis:// or rediss://, or redis+sentinel:// or rediss+sentinel://, or several with commas "
    "between them"
)
NO_SERVICE = "what follows the host is no name of a service that Sentinels watch"
ENCODE = (
    "; in a user or password write %2F for /, %3F for ?, %23 for #, %40 for @ and %25 for %, or set it as it is in "
)


@pytest.mark.parametrize(
    ("variable", "url", "said"),
    [
        ("REDIS_URL", "localhost:6379", f"it starts with something else: expected {ONE_OR_SEVERAL}"),
        ("REDIS_URL", "redis://localhost:port", f"its port is no number: expected {ONE_OR_SEVERAL}"),
        ("REDIS_URL", "redis://h:1/a", f"what follows the host is no database number: expected {ONE_OR_SEVERAL}"),
        (
            "REDIS_URL",
            "redis://w:p/w@h",
            f"it cannot be read: expected {ONE_OR_SEVERAL}{ENCODE}LEADSCORE_REDIS_PASSWORD",
        ),
        (
            "REDIS_URL",
            "redis+sentinel://h1,h2/leads",
            f"several hosts: each needs redis+sentinel:// before it: expected {ONE_OR_SEVERAL}",
        ),
        ("REDIS_URL", "redis+sentinel://h", f"{NO_SERVICE}: expected {ONE_OR_SEVERAL}"),
        ("REDIS_URL", "redis+sentinel://h/a/b", f"{NO_SERVICE}: expected {ONE_OR_SEVERAL}"),
        ("SCHEMA_REGISTRY_URL", "http://", "it has no host: expected a URL that starts with http:// or https://"),
        (
            "SCHEMA_REGISTRY_URL",
            "http://h?x",
            "it has options after a ?: expected a URL that starts with http:// or https://",
        ),
    ],
)
def test_a_wrong_address_is_refused_with_what_is_wrong(variable: str, url: str, said: str) -> None:
    assert refused({f"LEADSCORE_{variable}": url}) == f"LEADSCORE_{variable}: ***: {said}"


@pytest.mark.parametrize(
    "url",
    [
        *("redis://h1,redis://h2", "redis://h1:1/0,redis://h2/00", "redis://u:p@h1/0,redis://u:p@h2"),
        *("rediss://u:pa,ss@h1/0?ssl_cert_reqs=none, rediss://u:pa,ss@[::1]:1/0?ssl_cert_reqs=none", "redis://h.:1/9"),
        *("redis+sentinel://u:p@h1/leads/2,redis+sentinel://u:p@h2:1/leads/2", "rediss+sentinel://h1/my.leads_1"),
    ],
)
def test_good_addresses_are_taken(url: str) -> None:
    with closing(make_store(load_config({"LEADSCORE_REDIS_URL": url}))) as store:
        assert len(store._router._seeds) == url.count("://")


@pytest.mark.parametrize(
    "other",
    ["redis://u:p@h2/0", "redis://u:q@h1/0", "redis://u@h1/0", "rediss://u:p@h1/0", "redis://u:p@h1/1", "redis://h1/0"],
)
def test_nodes_of_one_cluster_have_one_login_and_one_database(other: str) -> None:
    urls = f"redis://u:p@h1/0,{other}"
    if other == "redis://u:p@h2/0":
        assert load_config({"LEADSCORE_REDIS_URL": urls}).redis_url == urls
    else:
        assert "are to be nodes of one Redis Cluster" in refused({"LEADSCORE_REDIS_URL": urls})
