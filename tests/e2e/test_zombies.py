"""A worker that was away until another took over, and then goes on as if nothing had happened."""

from collections.abc import Callable

import pytest

from leadscore.events.event import Event
from leadscore.time_units import DAY_MS
from tests.deployment import (
    FEW_RECENT,
    FEW_RECENT_EVENTS,
    LOG_PARTITIONS,
    WANDERING_MODEL,
    Deployment,
    WorkerProcess,
    assert_exact,
    now_ms,
    wandering_events,
)
from tests.servers import wait_until
from tests.slow_way import READ, WRITE, SlowWay, patient_on

pytestmark = pytest.mark.lasting_leads

SHORT_SESSION = {"LEADSCORE_KAFKA__SESSION_TIMEOUT_MS": "6000", "LEADSCORE_KAFKA__HEARTBEAT_INTERVAL_MS": "500"}
SMALL_BATCHES = {"LEADSCORE_BATCH_SIZE": "20", "LEADSCORE_SCORE_BATCH_FRAMES": "2", "LEADSCORE_COMMIT_INTERVAL": "0s"}


def has_every_shard(worker: WorkerProcess) -> bool:
    return worker.partitions_of("shards_started") == set(range(LOG_PARTITIONS))


def test_a_write_that_arrives_after_another_worker_took_over_changes_nothing(
    deploy: Callable[..., Deployment], new_slow_way: Callable[[], SlowWay]
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= SHORT_SESSION | FEW_RECENT
    events = wandering_events("load", 400)
    way = new_slow_way()
    zombie = deployment.start_worker(**patient_on(way))
    deployment.send_now(events[:100])
    deployment.wait_until_settled()
    way.naming = events[100].lead_id.encode()  # not a write that only drops what is published from the outbox
    way.command = WRITE
    deployment.send_now(events[100:103])  # few leads: were it written, it would not fit the others
    assert way.is_holding.wait(20)
    zombie.freeze()

    successor = deployment.start_worker()
    deployment.send_now(events[103:300])
    wait_until(lambda: has_every_shard(successor), 30, "the successor to take over")
    deployment.wait_until_settled()
    way.let_go.set()
    assert_exact(deployment, events[:300], FEW_RECENT_EVENTS)

    zombie.thaw()
    zombie.wait_for("fences_changed")
    deployment.send_now(events[300:])
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    assert successor.said("state_regression") == []
    assert [worker.terminate() for worker in (zombie, successor)] == [0, 0]


def test_what_another_worker_wrote_between_reading_and_writing_is_not_taken_for_ones_own(
    deploy: Callable[..., Deployment], new_slow_way: Callable[[], SlowWay]
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= SHORT_SESSION | FEW_RECENT
    events = wandering_events("load", 60, leads=3)
    old = [Event("website.page_view", name, "lead-0", now_ms() - 5 * DAY_MS, {"path": "/"}) for name in ("x", "y")]
    way, successors_way = new_slow_way(), new_slow_way()
    zombie = deployment.start_worker(**patient_on(way))
    deployment.send_now(events)
    deployment.wait_until_settled()
    before = deployment.stored(["lead-0"])
    way.command = WRITE
    deployment.send_now(old[:1])  # older than what the lead remembers
    assert way.is_holding.wait(20)
    zombie.freeze()

    successors_way.command = READ
    successor = deployment.start_worker(**patient_on(successors_way))
    assert successors_way.is_holding.wait(30)
    way.let_go.set()
    wait_until(lambda: deployment.stored(["lead-0"]) != before, 10, "the late write")
    successors_way.let_go.set()
    deployment.wait_until_settled()
    deployment.send_now(old[1:])
    deployment.wait_until_settled()
    assert_exact(deployment, [*events, *old], FEW_RECENT_EVENTS)
    assert successor.said("fences_changed")


def test_a_workers_own_write_that_timed_out_and_lands_late_is_not_taken_for_its_next_one(
    deploy: Callable[..., Deployment], new_slow_way: Callable[[], SlowWay]
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= FEW_RECENT
    events = wandering_events("load", 60, leads=3)
    old = [Event("website.page_view", name, "lead-0", now_ms() - 5 * DAY_MS, {"path": "/"}) for name in ("x", "y")]
    way = new_slow_way()
    worker = deployment.start_worker(LEADSCORE_REDIS_URL=way.url, LEADSCORE_REDIS_TIMEOUT="4s")
    deployment.send_now(events)
    deployment.wait_until_settled()
    wait_until(lambda: b":outbox" not in b" ".join(deployment.keys()), 20, "emptied outboxes")
    before = deployment.stored(["lead-0"])
    way.command = WRITE
    deployment.send_now(old[:1])  # older than what the lead remembers: were it applied twice, it would count twice
    wait_until(lambda: len(way.held) == 2, 20, "the write that timed out, and the next one")
    assert worker.said("score_paused")
    way.command = b""
    way.held[0].set()
    wait_until(lambda: deployment.stored(["lead-0"]) != before, 10, "the late write")
    way.held[1].set()
    worker.wait_for("fences_changed")
    deployment.wait_until_settled()
    deployment.send_now(old[1:])
    deployment.wait_until_settled()
    assert_exact(deployment, [*events, *old], FEW_RECENT_EVENTS)
    assert worker.terminate() == 0


def test_a_worker_frozen_under_load_and_thawed_after_another_took_over_changes_nothing(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= SHORT_SESSION | SMALL_BATCHES | FEW_RECENT
    events = wandering_events("load", 500)
    zombie = deployment.start_worker()
    deployment.send_now(events[:300])
    wait_until(deployment.published, 30, "a crossing")
    zombie.freeze()

    successor = deployment.start_worker()
    deployment.send_now(events[300:400])
    wait_until(lambda: has_every_shard(successor), 30, "the successor to take over")
    deployment.send_now(events[400:])
    zombie.thaw()
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    assert successor.said("state_regression") == []
    assert [worker.terminate() for worker in (zombie, successor)] == [0, 0]
