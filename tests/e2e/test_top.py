"""``leadscore top`` beside a running deployment: what it shows is what the deployment did."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from leadscore.events.event import Event
from tests.deployment import LASTING_MODEL, Deployment, WorkerProcess, now_ms
from tests.secured_deployment import run
from tests.servers import wait_until

pytestmark = pytest.mark.lasting_leads

LEADS = 3


@contextmanager
def crossed(deployment: Deployment) -> Iterator[list[WorkerProcess]]:
    """Two workers, and leads that entered ``mql`` with 60, 70 and 80 points."""
    workers = [deployment.start_worker(), deployment.start_worker()]
    for worker in workers:
        worker.wait_until_ready(60)
    events = [
        Event("email.click", f"{lead}-{number}", f"lead-{lead}", now_ms(), {})
        for lead in range(LEADS)
        for number in range(6 + lead)
    ]
    deployment.send(events)
    wait_until(lambda: len(deployment.crossings()) == LEADS, 60, "the crossings")
    log = f'leadscore_consumer_lag_records{{partition="0",topic="{deployment.topic("log")}"}} 0.0'
    wait_until(lambda: any(log in worker.get("/metrics")[1] for worker in workers), 30, "the lag of the log")
    yield workers


def address(worker: WorkerProcess) -> str:
    return f"127.0.0.1:{worker.wait_for('listening')['port']}"


def test_what_is_shown_is_what_the_deployment_did(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(LASTING_MODEL)
    with crossed(deployment) as workers:
        one, other = map(address, workers)
        done = run(deployment, "top", one, other, "--once", "--json", "--interval", "1")
        assert done.returncode == 0, done.stderr
        shown = json.loads(done.stdout)
        assert [worker["ready"] for worker in shown["load"]["workers"]] == [True, True]
        assert {worker["model"] for worker in shown["load"]["workers"]} == {"lasting 1"}
        assert set(shown["load"]["lag_records"]) == {
            deployment.topic(word) for word in ("website", "email", "webinar", "profiles", "commands", "log")
        }
        assert shown["load"]["latency"]["observations"] == LEADS
        assert {crossing["lead_id"] for crossing in shown["crossings"]} == {f"lead-{lead}" for lead in range(LEADS)}
        assert {(crossing["direction"], crossing["threshold"]) for crossing in shown["crossings"]} == {("enter", "mql")}
        assert [lead["lead_id"] for lead in shown["hottest"]] == ["lead-2", "lead-1", "lead-0"]
        assert shown["notes"] == []

        workers[1].kill()
        lines = run(deployment, "top", one, other, "--once", "--interval", "1", "--limit", "1").stdout.splitlines()
        assert any(line.startswith("Workers     1 of 2 ready") for line in lines)
        assert sum("lead-" in line for line in lines) == 2  # one crossing, one lead

        gone = run(deployment, "top", other, "--once", "--interval", "1", LEADSCORE_REDIS_URL="redis://127.0.0.1:1/0")
        assert gone.returncode == 1
        assert "note: leads: redis is unavailable" in gone.stdout


def test_a_stopped_partition_is_shown_with_its_reason(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(LASTING_MODEL)
    with crossed(deployment) as workers:
        deployment.lose_everything()
        for worker in workers:
            worker.terminate()
        again = deployment.start_worker()
        again.wait_for("log_partitions_stopped", 60)
        done = run(deployment, "top", address(again), "--once", "--json", "--interval", "3")
    [stopped] = json.loads(done.stdout)["load"]["stopped"]
    assert stopped["stage"] == "score"
    assert stopped["partitions"] >= 1
    assert "LEADSCORE_ON_STATE_LOSS" in stopped["detail"] or "gone" in stopped["detail"]
