"""Topics that refuse what the worker publishes, under load: it ends in time and says why, and nothing is lost.

The client of a producer without gaps fails for good at the first refused record. A worker that then waited, for answers
that cannot come or with its partitions still in hand, would hold up its whole group.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from threading import Thread

import pytest

from leadscore.cli.ending import CLOSING_S, Exit
from leadscore.events.event import Event
from tests.deployment import (
    FEW_RECENT,
    FEW_RECENT_EVENTS,
    WANDERING_MODEL,
    Deployment,
    WorkerProcess,
    assert_exact,
    now_ms,
    wandering_events,
)
from tests.servers import wait_until

pytestmark = pytest.mark.lasting_leads

DRAIN_S = 8
SETTINGS = {
    **FEW_RECENT,
    "LEADSCORE_DRAIN_TIMEOUT": f"{DRAIN_S}s",
    "LEADSCORE_BATCH_SIZE": "50",
    "LEADSCORE_ALIGNMENT_WAIT": "200ms",
    "LEADSCORE_DUE_INTERVAL": "400ms",
}
LARGE = 1_000_000


@pytest.mark.parametrize("word", ["log", "crossings"])
def test_a_worker_whose_topic_refuses_records_under_load_ends_in_time_and_another_goes_on(
    deploy: Callable[..., Deployment], word: str
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= SETTINGS
    events = wandering_events("load", 1500)
    worker = deployment.start_worker()
    deployment.send_now(events[:300])
    wait_until(deployment.published, 30, "a crossing")
    feeding = Feeding(deployment, events[300:])
    deployment.take_records_up_to(word, 40)
    worker.wait_for_death(60)
    assert_ended_by_itself(worker, deployment.topic(word))
    # It has left both groups: no session has to run out before another worker gets its partitions.
    assert deployment.members("match") + deployment.members("score") == 0
    feeding.finish()

    deployment.take_records_up_to(word, LARGE)
    deployment.start_worker()
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)


def test_a_worker_whose_dead_letters_are_refused_under_load_goes_on_with_other_partitions_and_ends_in_time(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= SETTINGS
    events = wandering_events("load", 1500)
    worker = deployment.start_worker()
    deployment.send_now(events[:300])
    wait_until(deployment.published, 30, "a crossing")
    feeding = Feeding(deployment, events[300:])
    deployment.take_records_up_to("dead-letters", 40)
    for index in range(20):
        deployment.send_bytes("email", f"no event {index}".encode() * 20, now_ms(), partition=0)
    stopped = worker.wait_for("source_partition_stopped")
    assert (stopped["topic"], stopped["partition"]) == (deployment.topic("email"), 0)
    feeding.finish()
    wait_until(lambda: deployment._lag(f"{deployment.name}-match", ["website", "webinar"]) == 0, 60, "other topics")
    assert worker.terminate() == Exit.DONE

    deployment.take_records_up_to("dead-letters", LARGE)
    deployment.start_worker()
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    assert len({message.value() for message in deployment.read("dead-letters")}) == 20


class Feeding:
    """Sends events bit by bit while the test goes on."""

    def __init__(self, deployment: Deployment, events: list[Event]) -> None:
        self._hurry = threading.Event()
        self._thread = Thread(target=self._send, args=(deployment, events), daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Send the rest at once."""
        self._hurry.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _send(self, deployment: Deployment, events: list[Event]) -> None:
        for first in range(0, len(events), 20):
            deployment.send_now(events[first : first + 20])
            self._hurry.wait(0.05)


def assert_ended_by_itself(worker: WorkerProcess, topic: str) -> None:
    """It says once what happened and which topic it was, and closed what it had within its time."""
    assert worker.process.returncode == Exit.FAILED, worker.tail()
    assert "Traceback" not in worker.log_path.read_text()
    [stopped] = worker.said("worker_stopped")
    assert topic in stopped["detail"]
    [end] = worker.said("stopped")
    assert not worker.said("drain_given_up")
    lasted_s = (at(end) - at(stopped)).total_seconds()
    assert lasted_s < DRAIN_S + CLOSING_S


def at(line: dict[str, str]) -> datetime:
    return datetime.fromisoformat(line["timestamp"])
