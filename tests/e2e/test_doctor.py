"""``leadscore doctor`` on real servers: each finding is provoked, and nothing is written."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from confluent_kafka.admin import AclOperation, ResourceType  # type: ignore[attr-defined]

from leadscore.cli.checkup.findings import Status
from leadscore.cli.main import main
from tests.deployment import LASTING_MODEL, WANDERING_MODEL, Deployment
from tests.other_clock import python_with_clock
from tests.permissions_page import redis_rules
from tests.secured_deployment import SecuredDeployment
from tests.secured_servers import SecuredKafka
from tests.servers import RedisServer, redis_kinds, start_redis, wait_until
from tests.unit.registry_stub import registry_stub

pytestmark = pytest.mark.lasting_leads

Doctor = Callable[..., "Report"]


class Report:
    """What one check-up said."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.findings: list[dict[str, str]] = json.loads(text)["findings"]
        assert json.loads(text)["ok"] == (code == 0)

    def of(self, status: Status) -> list[str]:
        """The findings of a status, as ``check: detail``."""
        return [f"{one['check']}: {one['detail']}" for one in self.findings if one["status"] == status]

    def advice_on(self, words: str) -> str:
        [advice] = [one["advice"] for one in self.findings if words in f"{one['check']}: {one['detail']}"]
        return advice


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """``doctor(environ)`` is the report of a check-up in that environment."""

    def run(environ: Mapping[str, str]) -> Report:
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("LEADSCORE_")]:
                patch.delenv(name)
            for name, text in environ.items():
                patch.setenv(name, text)
            code = main(["doctor", "--json", "--timeout", "3"])
        return Report(code, capsys.readouterr().out)

    return run


@pytest.fixture
def deployment(deploy: Callable[..., Deployment]) -> Deployment:
    return deploy(LASTING_MODEL)


def dump(deployment: Deployment) -> tuple[list[bytes], int]:
    """Every key in Redis and the number of records in the topics that a worker writes."""
    return deployment.keys(), sum(len(deployment.read(word)) for word in ("log", "models", "crossings"))


def test_what_is_in_order_has_no_problem_and_nothing_is_written(deployment: Deployment, doctor: Doctor) -> None:
    deployment.configure("models", cleanup_policy="compact")
    report = doctor(deployment.config())
    assert report.of(Status.PROBLEM) == []
    assert report.of(Status.NOT_CHECKED) == []
    assert report.code == 0
    assert {one["check"] for one in report.findings} >= {
        "configuration", "model", "kafka", "redis", "rights in Kafka", "rights in Redis", "clock", "models topic",
        "redis prefix", "redis persistence", "other deployments", f"topic {deployment.topic('log')}",
    }  # fmt: skip
    assert all(one["advice"] for one in report.findings if one["status"] != Status.OK)
    assert dump(deployment) == ([], 0)


def test_a_report_for_people_ends_with_the_counts(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in deployment.config(LEADSCORE_LOG_PARTITIONS="5").items():
        monkeypatch.setenv(name, text)
    assert main(["doctor"]) == 1
    *_, last = lines = capsys.readouterr().out.splitlines()
    assert "2 problem" in last, lines  # of the models topic, too, which is not compacted here
    assert any(line.startswith("problem") and "LEADSCORE_LOG_PARTITIONS: 5" in line for line in lines)
    assert any(line.strip().startswith("-> Set LEADSCORE_LOG_PARTITIONS=4") for line in lines)


def test_wrong_variables_are_problems_of_the_configuration(doctor: Doctor) -> None:
    report = doctor({"LEADSCORE_KAFAK": "1", "LEADSCORE_ROLE": "both"})
    problems = report.of(Status.PROBLEM)
    assert report.code == 1
    assert len(problems) == 4
    assert all(problem.startswith("configuration: LEADSCORE_") for problem in problems)


def test_wrong_files_are_problems_of_the_model_and_of_the_mappings(deployment: Deployment, doctor: Doctor) -> None:
    deployment.model_path.write_text("model: m\nversion: none\n")
    mappings = deployment.folder / "mappings.yaml"
    mappings.write_text(f"version: 1\ntopics:\n  {deployment.topic('webiste')}: {{preset: segment}}\n")
    report = doctor(deployment.config(LEADSCORE_MAPPINGS=str(mappings)))
    assert {problem.partition(":")[0] for problem in report.of(Status.PROBLEM)} >= {"model", "mappings"}
    advice = [one["advice"] for one in report.findings if one["check"] == "mappings"]
    assert "leadscore check --mappings" in advice[0]


def test_a_kafka_and_a_redis_that_do_not_answer_are_two_problems(deployment: Deployment, doctor: Doctor) -> None:
    nowhere = {"LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1", "LEADSCORE_REDIS_URL": "redis://127.0.0.1:1/0"}
    report = doctor(deployment.config(**nowhere))
    assert [problem.partition(":")[0] for problem in report.of(Status.PROBLEM)] == ["kafka", "redis"]
    assert "BOOTSTRAP_SERVERS" in report.advice_on("kafka: ")
    assert "LEADSCORE_REDIS_URL" in report.advice_on("redis: ")
    assert len(report.of(Status.NOT_CHECKED)) == 4


def test_topics_with_wrong_settings_are_named_with_the_command_that_sets_them(
    deployment: Deployment, doctor: Doctor
) -> None:
    deployment.configure("models", cleanup_policy="delete")
    deployment.configure(
        "log",
        cleanup_policy="compact",
        message_timestamp_type="CreateTime",
        retention_ms="3600000",
        retention_bytes="1000000",
        max_message_bytes="1000",
    )
    deployment.configure("crossings", cleanup_policy="compact", unclean_leader_election_enable="true")
    deployment.configure("dead-letters", max_message_bytes="1000")
    report = doctor(deployment.config())
    log, problems, warnings = deployment.topic("log"), report.of(Status.PROBLEM), report.of(Status.WARNING)
    assert [problem.partition(",")[0] for problem in problems] == [
        f"topic {log}: cleanup.policy is compact",
        f"topic {log}: message.timestamp.type is CreateTime",
        f"topic {log}: max.message.bytes is 1000",
        f"topic {deployment.topic('models')}: cleanup.policy is delete",
    ]
    told = {warning.partition(",")[0] for warning in warnings}
    assert told >= {
        f"topic {log}: retention.ms is 3600000",
        f"topic {log}: retention.bytes is 1000000",
        f"topic {deployment.topic('crossings')}: cleanup.policy is compact",
        f"topic {deployment.topic('crossings')}: unclean.leader.election.enable is true",
        f"topic {deployment.topic('dead-letters')}: max.message.bytes is 1000",
        f"topic {deployment.topic('website')}: retention.ms is -1",
    }
    assert f"--entity-name {log} --add-config cleanup.policy=delete" in report.advice_on(f"{log}: cleanup.policy")


def test_a_missing_topic_and_too_few_copies_are_problems(deployment: Deployment, doctor: Doctor) -> None:
    deployment.configure("crossings", min_insync_replicas="2")
    report = doctor(deployment.config(LEADSCORE_SCORES_TOPIC=f"{deployment.name}.scores"))
    problems = report.of(Status.PROBLEM)
    assert any(f"topic {deployment.name}.scores: there is no such topic" in problem for problem in problems)
    assert any("copies in sync: 1, fewer than min.insync.replicas: 2" in problem for problem in problems)
    assert "leadscore topics create" in report.advice_on("there is no such topic")
    assert any("Write on the transactional ids that begin with" in one for one in report.of(Status.OK))


def test_another_deployment_a_changed_model_and_a_used_prefix_are_problems(
    deployment: Deployment, doctor: Doctor
) -> None:
    deployment.start_worker().wait_for("shards_started", 60)
    other = {"LEADSCORE_GROUP": f"{deployment.name}x"}
    deployment.use_model({**WANDERING_MODEL, "model": "lasting"})
    wait_until(
        lambda: len(doctor(deployment.config(**other)).of(Status.PROBLEM)) > 3, 30, "the group to be seen on the log"
    )
    report = doctor(deployment.config(**other))
    problems = report.of(Status.PROBLEM)
    assert any(problem.startswith("other deployments: LEADSCORE_LOG_TOPIC") for problem in problems)
    assert any(problem.startswith("models topic: ") and "never changes" in problem for problem in problems)
    assert any(problem.startswith("redis prefix: LEADSCORE_REDIS_PREFIX") for problem in problems)


@pytest.mark.parametrize("ahead_s", [7_200, -7_200])
def test_a_wrong_clock_is_a_problem(deployment: Deployment, ahead_s: int) -> None:
    if ahead_s < 0:
        deployment.producer.produce(deployment.topic("log"), value=b"")
        deployment.producer.flush(30)
    python = python_with_clock(deployment.folder, ahead_s)
    done = subprocess.run(
        [str(python), "-m", "leadscore.cli.main", "doctor", "--json"],
        env={**os.environ, **deployment.config()},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    problems = [one for one in Report(done.returncode, done.stdout).of(Status.PROBLEM) if one.startswith("clock")]
    side = "ahead of" if ahead_s > 0 else "behind"
    of_redis = [problem for problem in problems if f"{side} that of redis" in problem]
    of_kafka = [problem for problem in problems if f"{side} that of the Kafka brokers" in problem]
    assert len(of_redis) == 1
    assert len(of_kafka) == (1 if ahead_s < 0 else 0)  # an empty log, or an old record, proves nothing of a fast clock
    assert done.returncode == 1


# Redis


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """One that a test may spoil."""
    with start_redis(redis_kinds()[0], "--appendonly", "no") as server:
        yield server


def test_a_redis_that_evicts_keeps_nothing_or_is_full_is_told(
    deployment: Deployment, own_redis: RedisServer, doctor: Doctor
) -> None:
    environ = deployment.config(LEADSCORE_REDIS_URL=own_redis.url)
    with closing(redis.Redis.from_url(own_redis.url)) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        used = int(client.info("memory")["used_memory"])
        client.config_set("maxmemory", used + 200_000)
        client.config_set("maxmemory-policy", "allkeys-lru")
    report = doctor(environ)
    assert any("maxmemory-policy: allkeys-lru" in problem for problem in report.of(Status.PROBLEM))
    assert any("the append-only file is off" in warning for warning in report.of(Status.WARNING))
    assert any("of maxmemory" in warning for warning in report.of(Status.WARNING))
    assert "LEADSCORE_ALLOW_EVICTION" in report.advice_on("maxmemory-policy: allkeys-lru")
    allowed = doctor(environ | {"LEADSCORE_ALLOW_EVICTION": "true"})
    assert not any("maxmemory-policy" in problem for problem in allowed.of(Status.PROBLEM))


def test_a_redis_that_cannot_write_its_snapshot_is_a_problem(
    deployment: Deployment, own_redis: RedisServer, doctor: Doctor
) -> None:
    with closing(redis.Redis.from_url(own_redis.url)) as client:
        client.set("any", "thing")
        folder = Path(str(client.config_get("dir")["dir"])) / "dump.rdb"
        folder.mkdir()
        (folder / "in-the-way").touch()
        client.bgsave()
        wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", 20, "the snapshot to fail")
    report = doctor(deployment.config(LEADSCORE_REDIS_URL=own_redis.url))
    assert any("rdb_last_bgsave_status is err" in problem for problem in report.of(Status.PROBLEM))


def test_a_wrong_password_and_missing_rights_in_redis_are_named(
    deployment: Deployment, redis_server: RedisServer, doctor: Doctor
) -> None:
    user, password = deployment.prefix, "p/w"
    address = redis_server.url.replace("://", f"://{user}@")
    environ = deployment.config(LEADSCORE_REDIS_URL=address, LEADSCORE_REDIS_PASSWORD=password)
    with closing(redis.Redis.from_url(redis_server.url)) as client:
        rules = [rule for rule in redis_rules(deployment.prefix, password) if rule not in ("+zadd", "+hset")]
        client.execute_command("ACL", "SETUSER", user, "reset", *rules)
        try:
            lacking = doctor(environ)
            wrong = doctor(environ | {"LEADSCORE_REDIS_PASSWORD": "other"})
        finally:
            client.execute_command("ACL", "DELUSER", user)
    assert "rights in Redis: missing: +hset +zadd" in lacking.of(Status.PROBLEM)
    assert "+hset +zadd" in lacking.advice_on("rights in Redis")
    assert any(problem.startswith("redis: ") and "(auth)" in problem for problem in wrong.of(Status.PROBLEM))
    assert password not in json.dumps(wrong.findings)


# Kafka with logins and rights


@pytest.fixture
def secured(
    secured_kafka: SecuredKafka,
    redis_server: RedisServer,
    redis_prefix: str,
    fresh_name: Callable[[str], str],
    tmp_path: Path,
) -> Iterator[SecuredDeployment]:
    made = SecuredDeployment(secured_kafka, redis_server, (fresh_name("d"), redis_prefix), tmp_path, LASTING_MODEL)
    made.create_topics(source_partitions=1)
    yield made
    made.stop()


def test_with_the_rights_of_the_page_only_settings_cannot_be_checked(
    secured: SecuredDeployment, doctor: Doctor
) -> None:
    secured.create(*secured.bindings_of_the_page())
    environ = secured.config(LEADSCORE_DELIVERY="transactional")
    wait_until(lambda: doctor(environ).of(Status.PROBLEM) == [], 30, "the rights")
    report = doctor(environ)
    assert all("its settings" in unknown for unknown in report.of(Status.NOT_CHECKED))
    rights = [one for one in report.of(Status.OK) if one.startswith("rights in Kafka")]
    assert [right.partition(" on ")[0] for right in rights] == [
        "rights in Kafka: all of docs/permissions.md",
        "rights in Kafka: Write",
    ]


def test_each_right_that_is_missing_in_kafka_is_named(secured: SecuredDeployment, doctor: Doctor) -> None:
    secured.allow(ResourceType.TOPIC, secured.name, AclOperation.READ)
    secured.allow(ResourceType.GROUP, f"{secured.name}-match", AclOperation.READ)
    secured.allow(ResourceType.GROUP, f"{secured.name}-score", AclOperation.DESCRIBE)

    def missing() -> list[str]:
        problems = doctor(secured.config(LEADSCORE_DELIVERY="transactional")).of(Status.PROBLEM)
        return sorted(problem.partition(": ")[2] for problem in problems if problem.startswith("rights in Kafka"))

    expected = [f"Write on the transactional ids that begin with {secured.name}-scores- is missing"]
    expected += [f"group {secured.name}-score: Read is missing"]
    expected += [
        f"topic {secured.topic(word)}: Write is missing" for word in ("crossings", "dead-letters", "log", "models")
    ]
    wait_until(lambda: missing() == expected, 30, f"exactly {expected}")


def test_a_refused_login_is_told_from_a_kafka_that_does_not_answer(secured: SecuredDeployment, doctor: Doctor) -> None:
    report = doctor(secured.config(LEADSCORE_KAFKA__SASL_PASSWORD="wrong"))
    assert any("kafka is unavailable (authentication)" in problem for problem in report.of(Status.PROBLEM))
    assert "docs/security.md" in report.advice_on("kafka is unavailable")


# Schema registry


def test_a_registry_is_asked_and_nothing_is_registered(deployment: Deployment, doctor: Doctor) -> None:
    with registry_stub() as registry:
        environ = deployment.config(LEADSCORE_SCHEMA_REGISTRY_URL=registry.url)
        first = doctor(environ)
        lacking = doctor(environ | {"LEADSCORE_SCHEMA_REGISTRY_REGISTER": "false"})
        assert {method for method, _, _ in registry.requests} == {"GET"}
    away = doctor(environ)
    assert any("crossings-value: crossing is registered when a worker starts" in one for one in first.of(Status.OK))
    assert any("crossings-value has no version" in one for one in lacking.of(Status.PROBLEM))
    assert "leadscore schemas register" in lacking.advice_on("crossings-value has no version")
    assert any(one.startswith("schema_registry: ") for one in away.of(Status.PROBLEM))


def test_the_command_is_a_program(deployment: Deployment) -> None:
    environ: dict[str, Any] = {**os.environ, **deployment.config()}
    done = subprocess.run(
        [sys.executable, "-m", "leadscore.cli.main", "doctor"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1  # the topic of models is not compacted
    assert f"problem      topic {deployment.topic('models')}: cleanup.policy" in done.stdout
    assert done.stderr == ""
