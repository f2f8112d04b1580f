"""Redis loses what it acknowledged, or does not answer; the log loses records that were not read (design 2.4)."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from leadscore.log.records import partition_of
from tests.deployment import (
    FEW_RECENT,
    FEW_RECENT_EVENTS,
    LOG_PARTITIONS,
    WANDERING_MODEL,
    Deployment,
    WorkerProcess,
    assert_exact,
    wandering_events,
)
from tests.impatient_worker import MODULE as IMPATIENT
from tests.offsets import committed_of, end_of
from tests.servers import RedisServer, redis_binaries, standing_still, start_redis, wait_until

pytestmark = pytest.mark.lasting_leads

REBUILD = {"LEADSCORE_ON_STATE_LOSS": "rebuild"}


@pytest.fixture
def stopping_redis() -> Iterator[RedisServer]:
    """A Redis of the test's own, as a process that can be stopped."""
    with start_redis(next(iter(redis_binaries()))) as server:
        yield server


def crossing_counts(deployment: Deployment) -> dict[str, int]:
    return {crossing_id: len(records) for crossing_id, records in deployment.published().items()}


def stopped_partitions(worker: WorkerProcess) -> set[int]:
    return worker.partitions_of("log_partitions_stopped")


def test_after_the_loss_of_all_state_the_worker_halts_and_says_what_to_do(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(WANDERING_MODEL)
    before, after = wandering_events("before", 150), wandering_events("after", 100)
    worker = deployment.start_worker()
    deployment.send_now(before)
    deployment.wait_until_settled()
    published = crossing_counts(deployment)
    wait_until(lambda: not why_not_ready(worker), 10, "readiness")

    deployment.lose_everything()
    wait_until(lambda: len(stopped_partitions(worker)) == LOG_PARTITIONS, 10, "every partition to stop")
    deployment.send_now(after)
    wait_until(lambda: matched(deployment), 20, "the events in the log")
    wait_until(lambda: "rebuild" in why_not_ready(worker), 10, "unreadiness because of the loss")
    body = why_not_ready(worker)

    stopped = worker.said("log_partitions_stopped")
    assert all("LEADSCORE_ON_STATE_LOSS=rebuild" in line["detail"] for line in stopped)
    assert "LEADSCORE_ON_STATE_LOSS=rebuild" in json.loads(body)["checks"]["score_running"]["detail"]
    assert worker.get("/livez")[0] == 200
    assert crossing_counts(deployment) == published
    assert deployment.keys() == []
    assert worker.terminate() == 0

    deployment.start_worker(**REBUILD)
    deployment.wait_until_settled()
    assert_exact(deployment, [*before, *after])
    counts = crossing_counts(deployment)
    assert {crossing_id: counts[crossing_id] for crossing_id in published} == published


def matched(deployment: Deployment) -> bool:
    """Whether every event is in the log."""
    return deployment._lag(f"{deployment.name}-match", ["website", "email", "webinar"]) == 0


def why_not_ready(worker: WorkerProcess) -> str:
    """The answer to the readiness probe; empty if all is well."""
    status, body = worker.get("/readyz")
    return "" if status == 200 else body


def test_told_to_rebuild_the_worker_does_so_in_the_middle_of_the_load(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= REBUILD
    events = wandering_events("load", 400)
    worker = deployment.start_worker()
    deployment.send_now(events[:200])
    deployment.wait_until_settled()
    published = crossing_counts(deployment)
    deployment.send_now(events[200:])
    deployment.lose_everything()
    deployment.wait_until_settled()
    assert_exact(deployment, events)
    assert worker.partitions_of("state_rebuild") == set(range(LOG_PARTITIONS))
    counts = crossing_counts(deployment)
    assert {crossing_id: counts[crossing_id] for crossing_id in published} == published


def test_a_crash_in_the_middle_of_a_rebuild_is_no_further_loss(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= REBUILD | {"LEADSCORE_BATCH_SIZE": "20", "LEADSCORE_SCORE_BATCH_FRAMES": "1"}
    deployment.environ |= {"LEADSCORE_KAFKA__GROUP_INSTANCE_ID": "worker-0"}
    events = wandering_events("load", 200)
    worker = deployment.start_worker()
    for first in range(0, 150, 10):  # so that every shard has several records to replay
        deployment.send_now(events[first : first + 10])
    deployment.wait_until_settled()
    published = crossing_counts(deployment)
    worker.kill()

    deployment.lose_everything()
    crashing = deployment.start_worker(LEADSCORE_TEST_CRASH_AFTER="written:2")
    crashing.wait_for_death()
    assert crashing.process.returncode == -signal.SIGKILL
    deployment.send_now(events[150:])
    worker = deployment.start_worker()
    deployment.wait_until_settled()

    assert worker.said("state_regression")
    assert_exact(deployment, events)
    counts = crossing_counts(deployment)
    assert {crossing_id: counts[crossing_id] for crossing_id in published} == published


def test_a_rebuild_after_the_loss_of_the_fences_alone_trusts_no_lead_that_is_left(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= REBUILD | FEW_RECENT | {"LEADSCORE_SCORE_BATCH_FRAMES": "2"}
    events = wandering_events("load", 500)
    worker = deployment.start_worker()
    deployment.send_now(events[:300])
    deployment.wait_until_settled()
    published = crossing_counts(deployment)
    deployment.send_now(events[300:400])
    deployment.lose_fences()
    wait_until(lambda: worker.said("state_rebuild"), 20, "a rebuild")
    deployment.send_now(events[400:])
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    counts = crossing_counts(deployment)
    assert {crossing_id: counts[crossing_id] for crossing_id in published} == published


def test_the_loss_of_acknowledged_writes_is_repaired_and_nothing_is_published_again(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(WANDERING_MODEL)
    events = wandering_events("load", 400)
    worker = deployment.start_worker()
    deployment.send_now(events[:150])
    deployment.wait_until_settled()
    old = deployment.snapshot()
    deployment.send_now(events[150:300])
    deployment.wait_until_settled()
    published = crossing_counts(deployment)

    deployment.lose_writes_since(old)
    wait_until(lambda: len(worker.partitions_of("state_regression")) == LOG_PARTITIONS, 10, "every shard to notice")
    deployment.send_now(events[300:])
    deployment.wait_until_settled()

    assert_exact(deployment, events)
    assert all(line["lost_records"] > 0 for line in worker.said("state_regression"))
    counts = crossing_counts(deployment)
    assert {crossing_id: counts[crossing_id] for crossing_id in published} == published


def test_a_redis_that_does_not_answer_for_a_while_is_waited_for(
    deploy: Callable[..., Deployment], stopping_redis: RedisServer
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.redis = stopping_redis
    deployment.environ |= {"LEADSCORE_REDIS_TIMEOUT": "300ms", "LEADSCORE_SCORE_BATCH_FRAMES": "2"}
    events = wandering_events("load", 400)
    worker = deployment.start_worker()
    deployment.send_now(events[:200])
    wait_until(deployment.published, 30, "a crossing")
    with standing_still(stopping_redis):
        deployment.send_now(events[200:])
        paused = worker.wait_for("score_paused", 20)
        wait_until(lambda: "(timeout)" in why_not_ready(worker), 10, "unreadiness because of Redis")
        body = json.loads(why_not_ready(worker))
        address = urlsplit(stopping_redis.url).netloc
        assert (paused["service"], paused["address"]) == ("redis", f"{address}/0")
        running = body["checks"]["score_running"]
        assert running["detail"].startswith(f"redis at {address}/0 is unavailable (timeout)")
        assert running["since"] <= datetime.now(UTC).isoformat()
        assert 0 <= running["age_s"] <= running["since_s"]
        assert worker.get("/livez")[0] == 200
    deployment.wait_until_settled()
    assert_exact(deployment, events)
    assert len(deployment.read("dead-letters")) == 0
    wait_until(lambda: not why_not_ready(worker), 10, "readiness")
    assert [line["cause"] for line in worker.said("score_resumed")] == ["redis"]
    assert len(worker.said("score_paused")) == 1


def test_an_eviction_policy_that_is_switched_while_the_worker_runs_pauses_it(
    deploy: Callable[..., Deployment], stopping_redis: RedisServer
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.redis = stopping_redis
    events = wandering_events("load", 200)
    worker = deployment.start_other(IMPATIENT)
    deployment.send_now(events[:100])
    deployment.wait_until_settled()
    with deployment._redis() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        paused = worker.wait_for("score_paused", 60)
        assert (paused["kind"], paused["service"]) == ("eviction", "redis")
        wait_until(lambda: "maxmemory-policy" in why_not_ready(worker), 10, "unreadiness because of the policy")
        body = json.loads(why_not_ready(worker))
        assert "maxmemory-policy: allkeys-lru: expected noeviction" in body["checks"]["score_running"]["detail"]
        stored = deployment.snapshot()
        deployment.send_now(events[100:])
        wait_until(lambda: matched(deployment), 20, "the events in the log")
        assert deployment.snapshot().keys() == stored.keys()  # nothing is applied meanwhile
        client.config_set("maxmemory-policy", "noeviction")
    deployment.wait_until_settled()
    assert_exact(deployment, events)
    wait_until(lambda: not why_not_ready(worker), 10, "readiness")


def test_a_redis_that_is_killed_and_comes_back_with_its_file_costs_nothing(
    deploy: Callable[..., Deployment], tmp_path: Path
) -> None:
    kind = next(iter(redis_binaries()))
    durable = ("--appendonly", "yes", "--appendfsync", "everysec", "--dir", str(tmp_path))
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= FEW_RECENT | {"LEADSCORE_BATCH_SIZE": "20", "LEADSCORE_SCORE_BATCH_FRAMES": "2"}
    events = wandering_events("load", 600)
    waiting = iter(events)
    with ExitStack() as servers:
        deployment.redis = servers.enter_context(start_redis(kind, *durable))
        worker = deployment.start_worker()
        for _ in range(3):
            deployment.send_now(islice(waiting, 100))
            wait_until(deployment.published, 30, "a crossing")
            deployment.send_now(islice(waiting, 100))
            killed, paused = deployment.redis, len(worker.said("score_paused"))
            assert killed.pid is not None
            os.kill(killed.pid, signal.SIGKILL)
            wait_until(partial(has_paused, worker, paused + 1), 20, "the worker to notice")
            killed.stop()
            deployment.redis = servers.enter_context(start_redis(kind, *durable, port=port_of(killed)))
            wait_until(partial(has_resumed, worker, paused + 1), 20, "the worker to go on")
        deployment.wait_until_settled()
        assert_exact(deployment, events, FEW_RECENT_EVENTS)
        assert len(deployment.read("dead-letters")) == 0
        assert worker.terminate() == 0


def has_paused(worker: WorkerProcess, times: int) -> bool:
    """Whether Redis has let it down so often."""
    return len(worker.said("score_paused")) >= times


def has_resumed(worker: WorkerProcess, times: int) -> bool:
    return len(worker.said("score_resumed")) >= times


def port_of(server: RedisServer) -> int:
    return urlsplit(server.url).port or 0


def test_a_partition_whose_log_lost_unread_records_stops_and_says_the_numbers(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(WANDERING_MODEL)
    worker = deployment.start_worker()
    deployment.send_now(wandering_events("before", 150))
    deployment.wait_until_settled()
    assert worker.terminate() == 0
    published = crossing_counts(deployment)
    matcher = deployment.start_worker(LEADSCORE_ROLE="match")
    deployment.send_now(wandering_events("unread", 100))
    wait_until(lambda: matched(deployment), 20, "the events in the log")
    assert matcher.terminate() == 0

    unread = unread_records(deployment)
    low = unread[2].start + 1
    delete_records(deployment, 2, low)
    worker = deployment.start_worker()
    stopped = worker.wait_for("log_partitions_stopped")
    left = [0, 0, len(unread[2]), 0]
    wait_until(
        lambda: [len(unread) for unread in unread_records(deployment).values()] == left, 20, "the other partitions"
    )

    assert stopped["partitions"] == "2"
    assert f"the log no longer holds 1 records after the last applied {low - 2}" in stopped["detail"]
    assert f"the log holds offsets {low} to {unread[2].stop - 1}, committed is {low - 1}" in stopped["detail"]
    new = [crossing["lead_id"] for crossing in deployment.crossings() if crossing["id"] not in published]
    # In which of the others a lead crosses depends on the order in which the events came.
    assert set() < {partition_of(lead_id, LOG_PARTITIONS) for lead_id in new} <= {0, 1, 3}
    assert why_not_ready(worker)
    assert worker.terminate() == 0


def unread_records(deployment: Deployment) -> dict[int, range]:
    """By log partition: from the committed offset to the end."""
    consumer = Consumer({"bootstrap.servers": deployment.kafka.bootstrap, "group.id": f"{deployment.name}-score"})
    partitions = [TopicPartition(deployment.topic("log"), number) for number in range(LOG_PARTITIONS)]
    try:
        committed = committed_of(consumer, partitions)
        return {place.partition: range(place.offset, end_of(consumer, place)) for place in committed}
    finally:
        consumer.close()


def delete_records(deployment: Deployment, partition: int, below: int) -> None:
    """What retention does, at once."""
    admin = AdminClient({"bootstrap.servers": deployment.kafka.bootstrap})
    for deleted in admin.delete_records([TopicPartition(deployment.topic("log"), partition, below)]).values():
        deleted.result(timeout=30)
