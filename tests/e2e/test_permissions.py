"""Permissions that are missing: the real cause is said, and other topics go on."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AclOperation, ResourceType  # type: ignore[attr-defined]

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.event import Event
from leadscore.pipeline.match.dead_letter_headers import Origin, dead_letter_headers
from tests.deployment import LASTING_MODEL, SOURCES, WorkerProcess, frames, now_ms
from tests.permissions_page import KafkaRight, kafka_rights, scores_rights
from tests.secured_deployment import SecuredDeployment, run_command, variables
from tests.secured_servers import SecuredKafka
from tests.servers import RedisServer, wait_until

pytestmark = [pytest.mark.lasting_leads, pytest.mark.timeout(300)]


@pytest.fixture
def new_secured(
    secured_kafka: SecuredKafka,
    redis_server: RedisServer,
    redis_prefix: str,
    fresh_name: Callable[[str], str],
    tmp_path: Path,
) -> Iterator[Callable[[], SecuredDeployment]]:
    """``new_secured()`` is a deployment with topics, and without a right in Kafka."""
    made: list[SecuredDeployment] = []

    def make() -> SecuredDeployment:
        prefix = f"{redis_prefix}-{len(made)}"
        folder = tmp_path / prefix
        folder.mkdir()
        new = SecuredDeployment(secured_kafka, redis_server, (fresh_name("d"), prefix), folder, LASTING_MODEL)
        made.append(new)
        new.create_topics(source_partitions=1)
        return new

    yield make
    for deployment in made:
        deployment.stop()


@pytest.fixture
def deployment(new_secured: Callable[[], SecuredDeployment]) -> SecuredDeployment:
    return new_secured()


def checks_of(worker: WorkerProcess) -> dict[str, Any]:
    return dict(json.loads(worker.get("/readyz")[1])["checks"])


def test_a_source_topic_that_may_not_be_read_is_seen_stops_alone_and_goes_on_when_it_may(
    deployment: SecuredDeployment,
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
    worker.wait_until_ready(30)


def test_without_read_on_the_group_readiness_and_the_log_say_so(deployment: SecuredDeployment) -> None:
    for operation in (AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE):
        deployment.allow(ResourceType.TOPIC, deployment.name, operation)
    worker = deployment.start_worker()
    refused = worker.wait_for("kafka_refuses", 60)
    assert "READ on the group" in refused["detail"]
    wait_until(lambda: "READ on the group" in checks_of(worker)["match_assigned"]["detail"], 30, "/readyz to say so")
    deployment.allow(ResourceType.GROUP, deployment.name, AclOperation.READ)
    worker.wait_until_ready(60)


# Exactly what docs/permissions.md lists

DUE_SOON = {
    "model": "due-soon",
    "version": 1,
    "decay": {"half_life": "5s"},
    "rules": {"page": {"event": "website.page_view", "points": 60}, "click": {"event": "email.click", "points": 45}},
    "thresholds": {"mql": {"enter": 50, "exit": 45}},
}
"""60 points are less than 45 after 2.1 seconds."""
REDIS_PASSWORD = "p/w#x@:%"


@pytest.fixture
def of_the_page(deployment: SecuredDeployment, redis_server: RedisServer) -> Iterator[SecuredDeployment]:
    """Its workers have the rights of the page, in Redis and in Kafka."""
    user = deployment.prefix
    deployment.use_model(DUE_SOON)
    deployment.environ |= {
        "LEADSCORE_REDIS_URL": redis_server.url.replace("://", f"://{user}@"),
        "LEADSCORE_REDIS_PASSWORD": REDIS_PASSWORD,
        "LEADSCORE_DUE_INTERVAL": "500ms",
    }
    deployment.add_scores_topic("1")
    deployment.create(*deployment.bindings_of_the_page())
    with deployment.redis_user(user, REDIS_PASSWORD):
        yield deployment


def test_the_rights_of_the_page_are_enough_for_the_whole_job(of_the_page: SecuredDeployment) -> None:
    """Start, scoring, leaves by time, latest scores, dead letters, an erasure, a rebuild that clears, and reading."""
    deployment = of_the_page
    worker = deployment.start_worker()
    worker.wait_for("shards_started")
    deployment.send_now([Event("website.page_view", f"e-{lead}", lead, now_ms(), {}) for lead in ("L1", "L2")])
    deployment.send_bytes("website", b"{", now_ms())
    deployment.producer.flush(30)
    wait_until(lambda: {("L1", "LEAVE"), ("L2", "LEAVE")} <= seen(deployment), 40, "leaves by time")
    assert len(deployment.read("dead-letters")) == 1
    assert {record.key() for record in deployment.read("scores")} == {b"L1", b"L2"}
    run_command(deployment, "erase", "L1", "--yes", **variables(deployment.secured.scram_login("admin")))
    deployment.wait_until_done()
    wait_until(lambda: deployment.stored(["L1"]) == {"L1": None}, 10, "the erasure")
    assert '"L2"' in run_command(deployment, "log", "--lead", "L2")
    assert "L2" in run_command(deployment, "explain", "L2")
    run_command(deployment, "list", "--threshold", "mql")
    assert worker.terminate() == 0
    assert "authoriz" not in worker.log_path.read_text().lower()

    deployment.lose_fences()
    rebuilt = deployment.start_worker(LEADSCORE_ON_STATE_LOSS="rebuild")
    rebuilt.wait_for("state_rebuild")
    deployment.wait_until_done()
    wait_until(lambda: deployment.stored(["L2"])["L2"] is not None, 20, "the state of the log")
    assert rebuilt.terminate() == 0
    assert "authoriz" not in rebuilt.log_path.read_text().lower()


def test_the_rights_of_the_page_are_enough_to_send_a_dead_letter_back(deployment: SecuredDeployment) -> None:
    letters, website = deployment.topic("dead-letters"), deployment.topic("website")
    origin = Origin(website, 0, 0, "g", "topic-id", now_ms())
    headers = dead_letter_headers(origin, DeadLetter(DeadLetterReason.MALFORMED, "expected JSON"), None)
    deployment.send_bytes("dead-letters", b"value", now_ms(), headers=headers)
    deployment.producer.flush(30)
    rights = [("read", "topic", letters), ("write", "topic", letters), ("write", "topic", website)]
    for right in (*rights, ("write", "transactional_id", f"{letters}-redrive")):
        deployment.create(deployment.binding(KafkaRight(*right)))
    assert run_command(deployment, "dlq", "redrive") == f"1 dead letter sent back: 1 to {website}\n"


def seen(deployment: SecuredDeployment) -> set[tuple[str, str]]:
    return {(crossing["lead_id"], crossing["direction"]) for crossing in deployment.crossings()}


OF_SOURCES = {f"leadscore.{word}" for word in SOURCES}
"""A source topic that may not be read has a test above."""


def test_without_any_one_of_the_rights_a_worker_says_which(new_secured: Callable[[], SecuredDeployment]) -> None:
    """A deployment for each right that it lacks; all of them start at the same time."""
    lacking = [right for right in (*kafka_rights(), *scores_rights()) if right.name not in OF_SOURCES]
    workers = {right: (made := new_secured(), start_lacking(made, right)) for right in lacking}
    for right, (deployment, worker) in workers.items():
        wait_until(partial(complaints, worker, deployment.binding(right).name), 60, f"a word about {right}")


def start_lacking(deployment: SecuredDeployment, lacking: KafkaRight) -> WorkerProcess:
    """A worker with an event and a dead letter to come, and with all rights but one."""
    if lacking in scores_rights():
        deployment.add_scores_topic("1")
    for right in (*kafka_rights(), *scores_rights()):
        if right != lacking:
            deployment.create(deployment.binding(right))
    deployment.send_now([Event("website.page_view", "e-1", "L1", now_ms(), {})])
    deployment.send_bytes("website", b"{", now_ms())
    deployment.producer.flush(30)
    worker = deployment.start_worker(LEADSCORE_START_TIMEOUT="5s")
    worker.expected_to_die = True
    return worker


def complaints(worker: WorkerProcess, name: str) -> list[str]:
    """Lines that name the topic or the group, and say that it is not allowed."""
    lines = [json.dumps(line) for line in worker.lines() if line["level"] in {"warning", "error", "critical"}]
    return [line for line in lines if name in line and "authoriz" in line.lower()]
