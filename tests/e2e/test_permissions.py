"""Permissions that are missing, and logins that are refused: the real cause is said, and other topics go on."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from leadscore.events.event import Event
from tests.deployment import LASTING_MODEL, Deployment, WorkerProcess, frames, now_ms
from tests.servers import (
    KafkaServer,
    RedisServer,
    ServerNotAvailable,
    sasl_login,
    start_kafka_with_permissions,
    wait_until,
)

pytestmark = [pytest.mark.lasting_leads, pytest.mark.timeout(300)]

WORKER = "User:worker"


@pytest.fixture(scope="module")
def strict_kafka() -> Iterator[KafkaServer]:
    try:
        server = start_kafka_with_permissions()
    except ServerNotAvailable as reason:
        pytest.skip(f"needs a real Kafka: {reason}")
    with server:
        yield server


class StrictDeployment(Deployment):
    """Its tools are the administrator, its workers are not."""

    @cached_property  # an answer is lost with the client that asked
    def admin(self) -> AdminClient:
        return AdminClient(dict(self.kafka.properties))

    def allow(self, kind: ResourceType, name: str, operation: AclOperation) -> None:
        binding = AclBinding(kind, name, ResourcePatternType.PREFIXED, WORKER, "*", operation, AclPermissionType.ALLOW)
        for answer in self.admin.create_acls([binding]).values():
            answer.result(timeout=30)

    def deny_reading(self, topic: str) -> AclBinding:
        binding = AclBinding(
            ResourceType.TOPIC,
            topic,
            ResourcePatternType.LITERAL,
            WORKER,
            "*",
            AclOperation.READ,
            AclPermissionType.DENY,
        )
        for answer in self.admin.create_acls([binding]).values():
            answer.result(timeout=30)
        return binding

    def take_back(self, acl: AclBinding) -> None:
        same = AclBindingFilter(
            acl.restype,
            acl.name,
            acl.resource_pattern_type,
            acl.principal,
            acl.host,
            acl.operation,
            acl.permission_type,
        )
        for answer in self.admin.delete_acls([same]).values():
            assert answer.result(timeout=30)


@pytest.fixture
def deployment(
    strict_kafka: KafkaServer,
    redis_server: RedisServer,
    redis_prefix: str,
    fresh_name: Callable[[str], str],
    tmp_path: Path,
) -> Iterator[StrictDeployment]:
    made = StrictDeployment(strict_kafka, redis_server, (fresh_name("d"), redis_prefix), tmp_path, LASTING_MODEL)
    made.environ |= login_variables("worker")
    made.create_topics(source_partitions=1)
    yield made
    made.stop()


def login_variables(user: str, password: str | None = None) -> dict[str, str]:
    return {
        f"LEADSCORE_KAFKA__{name.upper().replace('.', '_')}": text for name, text in sasl_login(user, password).items()
    }


def checks_of(worker: WorkerProcess) -> dict[str, Any]:
    return dict(json.loads(worker.get("/readyz")[1])["checks"])


def test_a_source_topic_that_may_not_be_read_is_seen_stops_alone_and_goes_on_when_it_may(
    deployment: StrictDeployment,
) -> None:
    for operation in (AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE):
        deployment.allow(ResourceType.TOPIC, deployment.name, operation)
    deployment.allow(ResourceType.GROUP, deployment.name, AclOperation.READ)
    website = deployment.topic("website")
    denial = deployment.deny_reading(website)
    worker = deployment.start_worker()
    worker.wait_for("kafka_refuses", 60)
    wait_until(lambda: website in checks_of(worker)["match_running"]["detail"], 30, "/readyz to name the topic")
    assert worker.get("/readyz")[0] == 503
    events = [Event(kind, f"{kind}-1", "lead-1", now_ms(), {}) for kind in ("website.page_view", "email.click")]
    deployment.send_now(events)

    def matched() -> set[str]:
        return {award.event_id for _, _, frame in frames(deployment.log()) for award in frame.awards}

    wait_until(lambda: matched() == {"email.click-1"}, 60, "the topic that may be read")
    deployment.take_back(denial)
    wait_until(lambda: matched() == {"email.click-1", "website.page_view-1"}, 60, "the topic that may be read again")
    worker.wait_for("kafka_refuses_no_longer")
    wait_until(lambda: worker.get("/readyz")[0] == 200, 30, "readiness")


def test_without_read_on_the_group_readiness_and_the_log_say_so(deployment: StrictDeployment) -> None:
    for operation in (AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE):
        deployment.allow(ResourceType.TOPIC, deployment.name, operation)
    worker = deployment.start_worker()
    refused = worker.wait_for("kafka_refuses", 60)
    assert "READ on the group" in refused["detail"]
    wait_until(lambda: "READ on the group" in checks_of(worker)["match_assigned"]["detail"], 30, "/readyz to say so")
    deployment.allow(ResourceType.GROUP, deployment.name, AclOperation.READ)
    wait_until(lambda: worker.get("/readyz")[0] == 200, 60, "readiness")


@pytest.mark.parametrize(
    ("environ", "cause"),
    [
        (login_variables("worker", "wrong"), "authentication failed"),
        (login_variables("worker"), "authorization failed"),
    ],
    ids=["wrong password", "no permission"],
)
def test_the_start_says_the_real_cause(deployment: StrictDeployment, environ: dict[str, str], cause: str) -> None:
    worker = deployment.start_worker(**environ, LEADSCORE_START_TIMEOUT="10s")
    worker.wait_for_death(90)
    said = worker.log_path.read_text()
    [stopped] = worker.said("worker_stopped")
    assert cause in stopped["detail"].lower()
    assert "GSSAPI" not in said


def test_topics_create_says_that_the_login_is_refused(deployment: StrictDeployment) -> None:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("LEADSCORE_")}
    done = subprocess.run(
        [sys.executable, "-m", "leadscore.cli.main", "topics", "create"],
        env=environ | deployment.config(**login_variables("worker", "wrong")),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "SASL" in done.stderr
    assert "authentication failed" in done.stderr.lower()
