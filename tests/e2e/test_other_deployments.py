"""A second deployment on the same Redis prefix or the same award log is refused at its start."""

from collections.abc import Callable

import pytest

from tests.deployment import WANDERING_MODEL, Deployment, WorkerProcess, assert_exact, wandering_events

pytestmark = pytest.mark.lasting_leads


def refusal_of(worker: WorkerProcess) -> str:
    """Why it did not start."""
    worker.wait_for_death()
    assert worker.process.returncode == 2
    return str(worker.wait_for("worker_stopped")["detail"])


def test_a_second_deployment_on_the_same_prefix_or_log_is_refused(deploy: Callable[..., Deployment]) -> None:
    first, second = deploy(WANDERING_MODEL), deploy(WANDERING_MODEL)
    events = wandering_events("load", 100)
    worker = first.start_worker()
    first.send_now(events)
    first.wait_until_settled()
    worker.wait_until_ready(30)

    other_log = refusal_of(second.start_worker(LEADSCORE_GROUP=first.name))
    assert f"log topic '{first.topic('log')}' (LEADSCORE_LOG_TOPIC is '{second.topic('log')}')" in other_log
    assert f"delete the key {{{first.prefix}:}}:owner" in other_log
    other_prefix = refusal_of(
        first.start_worker(LEADSCORE_GROUP=second.name, LEADSCORE_REDIS_PREFIX=f"{first.prefix}-b")
    )
    assert other_prefix.startswith(f"LEADSCORE_LOG_TOPIC: {first.topic('log')}: it is scored by another deployment")

    assert_exact(first, events)
    assert all(len(records) == 1 for records in first.published().values())
    restarted = first.start_worker()  # the same deployment is welcome, beside itself and again
    restarted.wait_until_ready(60)
    assert [process.terminate() for process in (worker, restarted)] == [0, 0]
    other_group = refusal_of(first.start_worker(LEADSCORE_GROUP=second.name))
    assert f"group '{first.name}' (LEADSCORE_GROUP is '{second.name}')" in other_group
