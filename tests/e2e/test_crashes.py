"""Processes that die between two steps, and processes that are asked to end: nothing is lost, nothing counts twice.

Leads remember few recent events, so that these cannot make up for a record that is applied twice; and a producer that
lingers loses what it was handed when its process dies. Only the protocol saves the day.
"""

import signal
from collections.abc import Callable
from itertools import islice

import pytest

from tests.crashing import LINGERING, SAME_MEMBER, SMALL_BATCHES, feed_until_death
from tests.deployment import (
    FEW_RECENT_EVENTS,
    LOG_PARTITIONS,
    WANDERING_MODEL,
    Deployment,
    assert_exact,
    wandering_events,
)
from tests.servers import wait_until

pytestmark = pytest.mark.lasting_leads


@pytest.mark.parametrize("step", ["matched:8", "logged:2", "folded:3", "written:3", "published:3", "acknowledged:2"])
def test_a_crash_after_any_step_loses_nothing_and_counts_nothing_twice(
    deploy: Callable[..., Deployment], step: str
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= SMALL_BATCHES | SAME_MEMBER
    events = wandering_events("steady", 360)
    waiting = iter(events)
    deployment.send_now(islice(waiting, 60))
    crashing = deployment.start_worker(LEADSCORE_TEST_CRASH_AFTER=step, **LINGERING)
    feed_until_death(deployment, crashing, waiting)
    assert crashing.process.returncode == -signal.SIGKILL
    deployment.send_now(waiting)
    deployment.start_worker()
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)


def test_a_worker_asked_to_end_commits_what_it_did_and_leaves_the_group(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= SMALL_BATCHES
    events = wandering_events("ending", 400)
    deployment.send_now(events[:200])
    first = deployment.start_worker(LEADSCORE_COMMIT_INTERVAL="30s", **LINGERING)  # so that the end must commit
    wait_until(deployment.published, 30, "a crossing")
    deployment.send_now(events[200:])
    assert first.terminate() == 0
    assert [deployment.members(stage) for stage in ("match", "score")] == [0, 0]  # no session timeout is waited for
    assert [len(first.said(event)) for event in ("starting", "draining", "stopped")] == [1, 1, 1]
    second = deployment.start_worker()
    all_of_them = set(range(LOG_PARTITIONS))
    wait_until(lambda: second.partitions_of("shards_started") == all_of_them, 20, "a start")
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    repeated = [crossing_id for crossing_id, copies in deployment.published().items() if len(copies) > 1]
    assert repeated == []
