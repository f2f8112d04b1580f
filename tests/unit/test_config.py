"""The configuration: what is accepted, what is refused and in which words, and what is never shown."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from leadscore.errors import ConfigError
from leadscore.ops.choices import CrossingFormat, OnStateLoss, Role
from leadscore.ops.config import Config, config_sha256, describe_config, load_config, settings
from leadscore.ops.kafka_properties import OWNED
from leadscore.ops.logs import LogLevel

CANARY = "hunter2-canary"


def refused(environ: Mapping[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(environ)
    return str(caught.value)


def test_an_empty_environment_gives_the_defaults() -> None:
    config = load_config({"PATH": "/bin", "HOME": "/"})
    assert config == Config()
    assert config.role is Role.ALL
    assert config.source_topics == (
        "leadscore.website",
        "leadscore.email",
        "leadscore.webinar",
        "leadscore.profiles",
    )
    assert config.max_future_skew_ms == 300_000
    assert config.stale_after_ms == 86_400_000
    assert config.recent_events == 64
    assert config.on_state_loss is OnStateLoss.HALT
    assert config.model is None
    assert config.kafka == {}


def test_every_variable_is_read() -> None:
    config = load_config(
        {
            "LEADSCORE_MODEL": "model.yaml",
            "LEADSCORE_ROLE": "score",
            "LEADSCORE_GROUP": "emea",
            "LEADSCORE_SOURCE_TOPICS": "web, mail",
            "LEADSCORE_REDIS_URL": "rediss://cache.example:6380/2",
            "LEADSCORE_DEAD_LETTER_MAX_RATIO": "0.25",
            "LEADSCORE_ALIGNMENT_WAIT": "0",
            "LEADSCORE_COMMIT_INTERVAL": "250ms",
            "LEADSCORE_ERASURE_MEMORY": "30d",
            "LEADSCORE_CROSSING_FORMAT": "json",
            "LEADSCORE_LOG_LEVEL": "WARNING",
        }
    )
    assert config == Config(
        model="model.yaml",
        role=Role.SCORE,
        group="emea",
        source_topics=("web", "mail"),
        redis_url="rediss://cache.example:6380/2",
        dead_letter_max_ratio=0.25,
        alignment_wait_ms=0,
        commit_interval_ms=250,
        erasure_memory_ms=30 * 86_400_000,
        crossing_format=CrossingFormat.JSON,
        log_level=LogLevel.WARNING,
    )
    assert (config.match_group, config.score_group) == ("emea-match", "emea-score")


@pytest.mark.parametrize(
    ("written", "expected_ms"),
    [("250ms", 250), ("90s", 90_000), ("5m", 300_000), ("12h", 43_200_000), ("2d", 172_800_000)],
)
def test_durations_are_written_with_their_unit(written: str, expected_ms: int) -> None:
    assert load_config({"LEADSCORE_MAX_FUTURE_SKEW": written}).max_future_skew_ms == expected_ms


def test_the_limits_themselves_are_accepted() -> None:
    least = {"LEADSCORE_RECENT_EVENTS": "8", "LEADSCORE_REDIS_TIMEOUT": "50ms", "LEADSCORE_DEAD_LETTER_MAX_RATIO": "0"}
    most = {"LEADSCORE_RECENT_EVENTS": "255", "LEADSCORE_REDIS_TIMEOUT": "1m", "LEADSCORE_DEAD_LETTER_MAX_RATIO": "1"}
    assert load_config(least) == Config(recent_events=8, redis_timeout_ms=50, dead_letter_max_ratio=0.0)
    assert load_config(most) == Config(recent_events=255, redis_timeout_ms=60_000, dead_letter_max_ratio=1.0)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("LEADSCORE_BATCH_SIZE", "2_000", "a whole number from 1 to 100000"),
        ("LEADSCORE_BATCH_SIZE", "-1", "a whole number from 1 to 100000"),
        ("LEADSCORE_RECENT_EVENTS", "7", "a whole number from 8 to 255"),
        ("LEADSCORE_RECENT_EVENTS", "256", "a whole number from 8 to 255"),
        ("LEADSCORE_HTTP_PORT", "65536", "a whole number from 0 to 65535"),
        ("LEADSCORE_DUE_INTERVAL", "60", "a duration from 100ms to 1d"),
        ("LEADSCORE_DUE_INTERVAL", "2d", "a duration from 100ms to 1d"),
        ("LEADSCORE_DUE_INTERVAL", "1.5s", "a duration from 100ms to 1d"),
        ("LEADSCORE_DEAD_LETTER_MAX_RATIO", "1.01", "a number from 0 to 1"),
        ("LEADSCORE_DEAD_LETTER_MAX_RATIO", "nan", "a number from 0 to 1"),
        ("LEADSCORE_ALLOW_EVICTION", "maybe", "true or false"),
        ("LEADSCORE_ROLE", "matcher", "one of all, match, score"),
        ("LEADSCORE_LOG_TOPIC", "..", "a topic name: up to 249 letters, digits, '.', '_' and '-'"),
        ("LEADSCORE_LOG_TOPIC", "a b", "a topic name: up to 249 letters, digits, '.', '_' and '-'"),
        ("LEADSCORE_SOURCE_TOPICS", "a,,b", "topic names with commas between them"),
        ("LEADSCORE_REDIS_PREFIX", "a{b}", "up to 32 letters, digits, '.', '_' and '-'"),
        ("LEADSCORE_MODEL", "a\nb", "the path of a file"),
        ("LEADSCORE_SCHEMA_REGISTRY_USER", "a\nb", "text without control characters"),
    ],
)
def test_a_wrong_value_is_refused_with_variable_value_and_what_was_expected(
    variable: str, value: str, expected: str
) -> None:
    assert refused({variable: value}) == f"{variable}: {value!r}: expected {expected}"


@pytest.mark.parametrize(
    ("variable", "advice"),
    [
        ("LEADSCORE_GRUOP", "did you mean LEADSCORE_GROUP?"),
        ("LEADSCORE_KAFAK__BOOTSTRAP_SERVERS", "did you mean LEADSCORE_KAFKA__BOOTSTRAP_SERVERS?"),
        ("LEADSCORE_KAKFA__BOOTSTRAP_SERVERS", "did you mean LEADSCORE_KAFKA__BOOTSTRAP_SERVERS?"),
        ("LEADSCORE_REDIS_PASWORD_FILE", "did you mean LEADSCORE_REDIS_PASSWORD_FILE?"),
        ("LEADSCORE_PORT", "did you mean LEADSCORE_HTTP_PORT?"),
        ("LEADSCORE_XYZZY", "docs/configuration.md lists all"),
        ("LEADSCORE_KAFKA_SASL_PASSWORD", "did you mean LEADSCORE_KAFKA__SASL_PASSWORD?"),
        ("LEADSCORE_KAFAK__SASL_PASSWORD_FILE", "did you mean LEADSCORE_KAFKA__SASL_PASSWORD_FILE?"),
        ("LEADSCORE_KAFKA__", "docs/configuration.md lists all"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_known_one(variable: str, advice: str) -> None:
    message = refused({variable: CANARY})
    assert message.startswith(f"{variable}: unknown variable; ")
    assert advice in message
    assert CANARY not in message


def test_all_problems_are_reported_at_once() -> None:
    message = refused(
        {
            "LEADSCORE_NOSUCH": "1",
            "LEADSCORE_ROLE": "x",
            "LEADSCORE_KAFKA__ACKS": "1",
            "LEADSCORE_REDIS_PASSWORD_FILE": "/nonexistent/secret",
        }
    )
    assert [line.partition(":")[0] for line in message.splitlines()] == [
        "LEADSCORE_NOSUCH",
        "LEADSCORE_REDIS_PASSWORD_FILE",
        "LEADSCORE_ROLE",
        "LEADSCORE_KAFKA__ACKS",
    ]


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load_config({"LEADSCORE_ROLE": "", "LEADSCORE_REDIS_PASSWORD_FILE": "", "LEADSCORE_NOSUCH": ""}) == Config()


def test_the_variables_of_the_tests_are_ignored() -> None:
    assert load_config({"LEADSCORE_TEST_KAFKA": "localhost:9092", "LEADSCORE_TEST_REDIS": "x"}) == Config()


def test_the_service_variables_that_kubernetes_adds_are_ignored() -> None:
    links = {
        "LEADSCORE_SERVICE_HOST": "10.0.0.1",
        "LEADSCORE_SERVICE_PORT": "9464",
        "LEADSCORE_SERVICE_PORT_METRICS": "9464",
        "LEADSCORE_PORT": "tcp://10.0.0.1:9464",
        "LEADSCORE_PORT_9464_TCP": "tcp://10.0.0.1:9464",
        "LEADSCORE_PORT_9464_TCP_ADDR": "10.0.0.1",
        "LEADSCORE_REDIS_SERVICE_HOST": "10.0.0.2",
        "LEADSCORE_REDIS_PORT": "tcp://10.0.0.2:6379",
    }
    assert load_config(links) == Config()


def test_required_variables_that_are_missing_are_named_with_their_meaning() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config({}, required=("LEADSCORE_MODEL", "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS"))
    assert str(caught.value) == (
        "LEADSCORE_MODEL: not set: Path of the model file.\n"
        "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS: not set: Addresses of the Kafka brokers."
    )


def test_the_misspelt_name_of_the_brokers_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config({"LEADSCORE_KAFKA__BOOTSTRAP_SERVER": "b:9092"}, required=("LEADSCORE_KAFKA__BOOTSTRAP_SERVERS",))
    assert str(caught.value) == (
        "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS: not set: Addresses of the Kafka brokers. "
        "LEADSCORE_KAFKA__BOOTSTRAP_SERVER is set: a misspelling?"
    )


def test_a_required_variable_may_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_text("model.yaml\n")
    assert load_config({"LEADSCORE_MODEL_FILE": str(path)}, required=("LEADSCORE_MODEL",)).model == "model.yaml"


@pytest.mark.parametrize("written", ["s3cret", "s3cret\n", "s3cret\r\n"])
def test_a_value_may_come_from_a_file_without_its_trailing_newline(tmp_path: Path, written: str) -> None:
    path = tmp_path / "password"
    path.write_bytes(written.encode())
    assert load_config({"LEADSCORE_REDIS_PASSWORD_FILE": str(path)}).redis_password == "s3cret"


def test_a_missing_file_is_named() -> None:
    message = refused({"LEADSCORE_REDIS_PASSWORD_FILE": "/nonexistent/secret"})
    assert message == (
        "LEADSCORE_REDIS_PASSWORD_FILE: cannot read the file: No such file or directory: "
        "expected the path of a file with the value"
    )


@pytest.mark.parametrize(("content", "why"), [(b"", "is empty"), (b"\n", "is empty"), (b"\xff\xfe", "is not UTF-8")])
def test_a_file_without_a_usable_value_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    assert why in refused({"LEADSCORE_REDIS_PASSWORD_FILE": str(path)})


def test_a_variable_and_its_file_together_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(CANARY)
    message = refused({"LEADSCORE_REDIS_PASSWORD": "a", "LEADSCORE_REDIS_PASSWORD_FILE": str(path)})
    assert message.startswith("LEADSCORE_REDIS_PASSWORD: set twice")


def test_the_content_of_a_wrong_file_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "role"
    path.write_text(CANARY)
    message = refused({"LEADSCORE_ROLE_FILE": str(path)})
    assert message == "LEADSCORE_ROLE_FILE: ***: expected one of all, match, score"


def test_librdkafka_properties_are_passed_on_verbatim(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("-----BEGIN-----\nabc\n-----END-----\n")
    config = load_config(
        {
            "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": "a:9092,b:9092",
            "LEADSCORE_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
            "LEADSCORE_KAFKA__A_PROPERTY_OF_TOMORROW": " 1 ",
            "LEADSCORE_KAFKA__SSL_CA_PEM_FILE": str(path),
        }
    )
    assert config.kafka == {
        "bootstrap.servers": "a:9092,b:9092",
        "security.protocol": "SASL_SSL",
        "a.property.of.tomorrow": " 1 ",
        "ssl.ca.pem": "-----BEGIN-----\nabc\n-----END-----",
    }


def test_a_librdkafka_property_whose_name_ends_in_file_is_not_read_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "where"
    path.write_text("/keys/b.pem\n")
    config = load_config(
        {
            "LEADSCORE_KAFKA__SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_FILE": "/keys/a.pem",
            "LEADSCORE_KAFKA__SASL_OAUTHBEARER_ASSERTION_FILE_FILE": str(path),
        }
    )
    assert config.kafka == {
        "sasl.oauthbearer.assertion.private.key.file": "/keys/a.pem",
        "sasl.oauthbearer.assertion.file": "/keys/b.pem",
    }


@pytest.mark.parametrize("name", [*OWNED, "error.cb", "stats.cb", "on.commit", "on.delivery"])
def test_a_librdkafka_property_that_the_worker_owns_is_refused(name: str) -> None:
    variable = "LEADSCORE_KAFKA__" + name.upper().replace(".", "_")
    assert refused({variable: "x"}).startswith(f"{variable}: the librdkafka property {name} cannot be set: ")


def test_the_properties_that_the_promise_rests_on_are_owned() -> None:
    assert OWNED.keys() >= {
        "enable.auto.commit",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "enable.idempotence",
        "acks",
        "request.required.acks",
        "enable.gapless.guarantee",
        "message.timeout.ms",
        "delivery.timeout.ms",
        "partitioner",
        "isolation.level",
        "transactional.id",
        "group.id",
        "enable.partition.eof",
        "partition.assignment.strategy",
        "logger",
    }


def test_the_refusal_names_the_variable_to_use_instead() -> None:
    assert "use LEADSCORE_GROUP" in refused({"LEADSCORE_KAFKA__GROUP_ID": "x"})


def test_one_topic_for_two_uses_is_refused() -> None:
    assert "'leadscore.website' is named 2 times" in refused({"LEADSCORE_CROSSING_TOPIC": "leadscore.website"})
    assert "'a' is named 2 times" in refused({"LEADSCORE_SOURCE_TOPICS": "a,a"})


def test_a_login_for_sentinels_is_refused_where_there_are_none() -> None:
    password = {"LEADSCORE_REDIS_SENTINEL_PASSWORD": CANARY}
    assert "LEADSCORE_REDIS_URL names no Sentinel" in refused(password)
    sentinel = {"LEADSCORE_REDIS_URL": "redis+sentinel://h/leads", "LEADSCORE_REDIS_SENTINEL_USER": "u"}
    assert "together with LEADSCORE_REDIS_SENTINEL_PASSWORD" in refused(sentinel)
    assert load_config(sentinel | password).redis_sentinel_password == CANARY


def test_two_passwords_for_one_redis_are_refused() -> None:
    message = refused({"LEADSCORE_REDIS_URL": f"redis://u:{CANARY}@h", "LEADSCORE_REDIS_PASSWORD": CANARY})
    assert message.startswith("LEADSCORE_REDIS_PASSWORD: ")
    assert CANARY not in message
    assert load_config({"LEADSCORE_REDIS_URL": "redis://u@h", "LEADSCORE_REDIS_PASSWORD": "p"}).redis_password == "p"


def test_user_and_password_of_the_registry_belong_together() -> None:
    assert refused({"LEADSCORE_SCHEMA_REGISTRY_USER": "u"}).startswith("LEADSCORE_SCHEMA_REGISTRY_USER: ")


def test_the_described_configuration_names_every_setting_with_its_effective_value() -> None:
    described = describe_config(load_config({"LEADSCORE_DUE_INTERVAL": "2m", "LEADSCORE_SOURCE_TOPICS": "a,b"}))
    assert [*described] == [*settings(), "kafka"]
    assert described["due_interval_ms"] == 120_000
    assert described["source_topics"] == ["a", "b"]
    assert described["role"] == "all"


def test_the_fingerprint_follows_the_settings_and_not_the_secrets() -> None:
    plain = config_sha256(load_config({}))
    assert re.fullmatch("[0-9a-f]{64}", plain)
    assert config_sha256(load_config({"LEADSCORE_BATCH_SIZE": "1"})) != plain
    assert config_sha256(load_config({"LEADSCORE_KAFKA__LINGER_MS": "7"})) != plain
    one, other = ({"LEADSCORE_REDIS_PASSWORD": password} for password in ("a", "b"))
    assert config_sha256(load_config(one)) == config_sha256(load_config(other)) != plain
