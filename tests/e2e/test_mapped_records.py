"""Several events in one record, on real servers: each counts once, whatever happens to the worker that reads them."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from leadscore.events.event import Event
from tests.deployment import (
    FEW_RECENT,
    FEW_RECENT_EVENTS,
    LASTING_MODEL,
    Deployment,
    assert_exact,
    frames,
    now_ms,
)

pytestmark = pytest.mark.lasting_leads

EVENTS, LEADS = 500, 5
EAGER_COMMITS = {"LEADSCORE_COMMIT_INTERVAL": "0s", "LEADSCORE_ALIGNMENT_WAIT": "200ms"}
SHORT_SESSION = {"LEADSCORE_KAFKA__SESSION_TIMEOUT_MS": "6000", "LEADSCORE_KAFKA__HEARTBEAT_INTERVAL_MS": "500"}
"""The group lets go of the dead worker soon; a static member would stay in it after its end, and forbid the replay."""


def test_a_record_with_500_events_is_scored_once_through_a_kill_before_its_commit_and_through_a_replay(
    deploy: Callable[..., Deployment],
) -> None:
    """Leads remember 8 events, so it is the position of the record that tells a repeat."""
    deployment = deploy(LASTING_MODEL)
    deployment.environ |= FEW_RECENT | EAGER_COMMITS | SHORT_SESSION
    deployment.environ["LEADSCORE_MAPPINGS"] = str(mappings(deployment))
    events = clicks()
    send_as_one(deployment, events)
    dying = deployment.start_worker(LEADSCORE_TEST_CRASH_AFTER="logged:1")
    dying.wait_for_death()
    assert dying.process.returncode == -signal.SIGKILL
    assert len(list(awards(deployment))) == EVENTS

    worker = deployment.start_worker()
    deployment.wait_until_done()
    assert len(list(awards(deployment))) == 2 * EVENTS  # its offset was not committed
    assert_exact(deployment, events, FEW_RECENT_EVENTS)

    assert worker.terminate() == 0
    deployment.read_sources_again()
    later = clicks("later", 3)
    send_as_one(deployment, later)
    deployment.start_worker()
    deployment.wait_until_done()
    assert len(list(awards(deployment))) == 3 * EVENTS + len(later)
    assert_exact(deployment, [*events, *later], FEW_RECENT_EVENTS)
    assert deployment.read("dead-letters") == []


def clicks(name: str = "click", number: int = EVENTS) -> list[Event]:
    """Events within a minute, of one lead after the other, in whole seconds as SendGrid has them."""
    begin_ms = (now_ms() // 1_000 - 60) * 1_000
    return [
        Event("email.click", f"{name}-{index}", f"lead-{index % LEADS}", begin_ms + index // 10 * 1_000, {})
        for index in range(number)
    ]


def send_as_one(deployment: Deployment, events: list[Event]) -> None:
    array = [
        {
            "event": "click",
            "lead_id": event.lead_id,
            "sg_event_id": event.event_id,
            "timestamp": event.occurred_at_ms // 1_000,
        }
        for event in events
    ]
    deployment.send_bytes("email", json.dumps(array).encode(), now_ms(), partition=0)
    deployment.producer.flush(60)


def mappings(deployment: Deployment) -> Path:
    path = deployment.folder / "mappings.yaml"
    path.write_text(yaml.safe_dump({deployment.topic("email"): {"preset": "sendgrid"}}))
    return path


def awards(deployment: Deployment) -> Iterator[str]:
    """The ids of the events in the award log, repeats among them."""
    for _, _, frame in frames(deployment.log()):
        yield from (award.event_id for award in frame.awards)
