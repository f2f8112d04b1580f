"""``leadscore erase`` while the worker runs: nothing is left of the lead, nothing old brings it back (design 1.8)."""

import signal
from collections.abc import Callable

import pytest

from leadscore.events.event import Event
from leadscore.log.records import ERASE, partition_of
from leadscore.scoring.recent import ROW
from tests.crashing import SAME_MEMBER
from tests.deployment import (
    LOG_PARTITIONS,
    Deployment,
    WorkerProcess,
    assert_as_folded,
    frames,
    now_ms,
)
from tests.servers import wait_until
from tests.traces import erase, published_of, traces_in_redis, wait_for_tombstone, wait_until_forgotten

pytestmark = pytest.mark.lasting_leads

MODEL = {
    "model": "erasure",
    "version": 1,
    "rules": {
        "pricing": {"event": "website.page_view", "where": {"path": "/pricing"}, "points": 30},
        "mail_click": {"event": "email.click", "points": 10},
    },
    "thresholds": {"mql": {"enter": 55, "exit": 40}},
}
CANARY = "canary-5b1f09e7c2"


def neighbour_of(lead_id: str) -> str:
    """Another lead of the same shard."""
    shard = partition_of(lead_id, LOG_PARTITIONS)
    return next(name for number in range(1_000) if partition_of(name := f"L{number}", LOG_PARTITIONS) == shard)


NEIGHBOUR = neighbour_of(CANARY)


def visits(lead_id: str, number: int, before_ms: int) -> list[Event]:
    """Visits of the second before ``before_ms``, worth 30 points each."""
    times_ms = [before_ms - 100 * (index + 1) for index in range(number)]
    return [Event("website.page_view", f"{lead_id}-{ms}", lead_id, ms, {"path": "/pricing"}) for ms in times_ms]


def test_after_an_erasure_nothing_of_the_lead_is_left_and_its_old_events_do_not_bring_it_back(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(MODEL)
    first = deployment.start_worker()
    events = [event for lead_id in (CANARY, NEIGHBOUR) for event in visits(lead_id, 3, now_ms())]
    deployment.send_now(events)
    deployment.wait_until_done()
    assert traces_in_redis(deployment, CANARY)
    assert [record.value() is None for record in published_of(deployment, CANARY)] == [False]

    erase(deployment, CANARY)
    deployment.wait_until_done()
    wait_until_forgotten(deployment, CANARY)
    wait_for_tombstone(deployment, CANARY)
    told = [said_by(first)]
    before = deployment.stored([NEIGHBOUR])
    assert before[NEIGHBOUR] is not None

    assert first.terminate() == 0
    deployment.read_sources_again()
    deployment.send_now([*events, *visits(CANARY, 2, events[0].occurred_at_ms - 60_000)])
    second = deployment.start_worker()
    deployment.wait_until_done()
    wait_until_forgotten(deployment, CANARY)
    told.append(said_by(second))
    assert CANARY not in "".join(told)
    assert [record.value() is None for record in published_of(deployment, CANARY)] == [False, True]
    assert deployment.stored([NEIGHBOUR]) == before
    assert_as_folded(deployment, [CANARY, NEIGHBOUR])


def test_an_event_that_occurred_after_the_erasure_starts_a_new_lead(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(MODEL)
    deployment.start_worker()
    began_ms = now_ms()
    deployment.send_now(visits(CANARY, 3, began_ms))
    deployment.wait_until_done()
    erase(deployment, CANARY)
    deployment.wait_until_done()
    later_ms = erased_ms(deployment) + 500
    wait_until(lambda: now_ms() > later_ms, 5, "half a second after the erasure")
    deployment.send_now(visits(CANARY, 2, later_ms))
    deployment.wait_until_done()

    state = deployment.stored([CANARY])[CANARY]
    assert state is not None
    assert len(state.rows) == 2 * ROW
    old, new = deployment.crossings()
    assert (old["direction"], new["direction"]) == ("ENTER", "ENTER")
    assert old["id"] != new["id"]
    assert (old["score"], new["score"]) == pytest.approx((60, 60), abs=0.01)
    assert [record.value() is None for record in published_of(deployment, CANARY)] == [False, True, False]
    assert_as_folded(deployment, [CANARY])


def test_a_crash_before_the_tombstone_is_published_does_not_lose_it(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(MODEL)
    deployment.environ |= SAME_MEMBER
    first = deployment.start_worker()
    deployment.send_now(visits(CANARY, 3, now_ms()))
    deployment.wait_until_done()
    assert first.terminate() == 0
    erase(deployment, CANARY)
    crashing = deployment.start_worker(LEADSCORE_TEST_CRASH_AFTER="written:1")
    crashing.wait_for_death()
    assert crashing.process.returncode == -signal.SIGKILL
    assert [record.value() is None for record in published_of(deployment, CANARY)] == [False]
    assert deployment.stored([CANARY]) == {CANARY: None}

    deployment.start_worker()
    wait_for_tombstone(deployment, CANARY)
    deployment.wait_until_done()
    wait_until_forgotten(deployment, CANARY)
    assert_as_folded(deployment, [CANARY])


def said_by(worker: WorkerProcess) -> str:
    """Its log and its metrics."""
    return worker.log_path.read_text() + worker.get("/metrics")[1]


def erased_ms(deployment: Deployment) -> int:
    """When the erasure was ordered."""
    awards = [award for _, _, frame in frames(deployment.log()) for award in frame.awards]
    return max(award.occurred_at_ms for award in awards if award.type == ERASE)
