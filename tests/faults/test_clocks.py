"""Experiment 18: clocks. A worker on a machine with a wrong clock stops before it does harm; the others go on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leadscore.events.event import Event
from tests.deployment import Deployment, WorkerProcess, assert_exact, now_ms
from tests.other_clock import python_whose_clock_steps, python_with_clock
from tests.servers import wait_until

pytestmark = pytest.mark.lasting_leads

HOUR_MS = 3_600_000


def model(half_life: str) -> dict[str, Any]:
    """60 points are less than 45 after 0.42 half-lives."""
    return {
        "model": "clocks",
        "version": 1,
        "decay": {"half_life": half_life},
        "rules": {
            "pricing": {"event": "website.page_view", "where": {"path": "/pricing"}, "points": 60},
            "click": {"event": "email.click", "points": 5},
        },
        "thresholds": {"mql": {"enter": 50, "exit": 45}},
    }


MODEL = model("1d")


def visit(lead_id: str, occurred_at_ms: int) -> Event:
    return Event("website.page_view", f"{lead_id}-{occurred_at_ms}", lead_id, occurred_at_ms, {"path": "/pricing"})


SET_THE_CLOCK = "Set the clock that is wrong (NTP), then start the worker again"


def stopped_for_its_clock(worker: WorkerProcess, beginning: str = "the clock of this machine is ") -> str:
    """What it says; it has ended by then."""
    worker.wait_for_death()
    assert worker.process.returncode == 1
    said = str(worker.wait_for("worker_stopped")["detail"])
    assert said.startswith(beginning)
    return said


@pytest.mark.experiment("18", "a clock that is ahead stops its worker before a lead leaves too early")
@pytest.mark.parametrize(("ahead_h", "half_life"), [(24, "1d"), (12, "1d"), (1, "2h")])
def test_a_worker_whose_clock_is_ahead_takes_no_lead_out_too_early(
    deploy: Callable[..., Deployment], tmp_path: Path, ahead_h: int, half_life: str
) -> None:
    """By a clock that is so far ahead, all the leads are below the exit level already."""
    deployment, ahead_s = deploy(model(half_life)), 3_600.0 * ahead_h
    events = [visit(f"L{number}", now_ms()) for number in range(20)]
    worker = deployment.start_worker()
    deployment.send_now(events)
    deployment.wait_until_settled()
    assert worker.terminate() == 0
    entered = deployment.published()
    assert len(entered) == 20

    ahead = deployment.start_version(python_with_clock(tmp_path, ahead_s))
    said = stopped_for_its_clock(ahead)
    assert f"is {ahead_s:.0f} s ahead of that of the Kafka brokers" in said
    assert SET_THE_CLOCK in said
    assert deployment.published() == entered
    worker = deployment.start_worker()
    more = [visit(f"L{number}", now_ms() - ahead_h * HOUR_MS // 24) for number in range(40)]
    deployment.send_now(more)
    deployment.wait_until_settled()
    assert worker.terminate() == 0
    assert_exact(deployment, events + more)


@pytest.mark.experiment("18", "a clock that is behind stops its worker, and makes no dead letters")
def test_a_worker_whose_clock_is_behind_makes_no_dead_letters_of_events_of_now(
    deploy: Callable[..., Deployment], tmp_path: Path
) -> None:
    deployment = deploy(MODEL)
    events = [visit(f"L{number}", now_ms()) for number in range(20)]
    worker = deployment.start_worker()
    deployment.send_now(events)
    deployment.wait_until_settled()
    behind = deployment.start_version(python_with_clock(tmp_path, -86_400.0))
    more = [visit(f"M{number}", now_ms()) for number in range(50)]
    deployment.send_now(more)
    said = stopped_for_its_clock(behind)
    assert "s behind that of the Kafka brokers" in said
    assert SET_THE_CLOCK in said
    deployment.wait_until_settled()
    assert worker.terminate() == 0
    assert deployment.read("dead-letters") == []
    assert_exact(deployment, events + more)


@pytest.mark.experiment("18", "a clock that steps back stops its worker, and makes no dead letters")
def test_a_worker_whose_clock_steps_back_ends_and_makes_no_dead_letters_of_events_of_now(
    deploy: Callable[..., Deployment], tmp_path: Path
) -> None:
    deployment = deploy(MODEL)
    step = tmp_path / "step"
    worker = deployment.start_version(python_whose_clock_steps(tmp_path, step))
    events = [visit(f"L{number}", now_ms()) for number in range(20)]
    deployment.send_now(events)
    deployment.wait_until_settled()
    step.with_suffix(".new").write_text("-3600")
    step.with_suffix(".new").rename(step)
    more = [visit(f"M{number}", now_ms()) for number in range(50)]
    deployment.send_now(more)
    said = stopped_for_its_clock(worker, "the clock of this machine went back by 3600 s while the worker ran")
    assert "Set the clock if it is wrong (NTP), then start the worker again" in said
    worker = deployment.start_worker()
    deployment.wait_until_settled()
    assert worker.terminate() == 0
    assert deployment.read("dead-letters") == []
    assert_exact(deployment, events + more)


@pytest.mark.experiment("18", "the time of the event counts, whatever its Kafka time; from the future: a dead letter")
def test_events_of_other_years_and_of_tomorrow_are_handled_by_the_rule_of_the_design(
    deploy: Callable[..., Deployment],
) -> None:
    """Before LEADSCORE_EARLIEST and from the future: a dead letter. Between them the time of the event counts."""
    deployment = deploy(MODEL)
    deployment.start_worker()
    now = now_ms()
    # Daylight saving ends on 2026-10-25 at 01:00 UTC in Europe: an hour of local time comes twice, none of UTC does.
    good = [
        visit(f"G{number}", now - hours * HOUR_MS) for number, hours in enumerate((0, 1, 24, 24 * 30, 24 * 365 * 20))
    ]
    good += [visit("D", 1_792_890_000_000 + step * HOUR_MS // 2) for step in range(-4, 5)]
    bad = [visit(f"B{number}", at_ms) for number, at_ms in enumerate((0, 1, 946_684_799_999, now + 24 * HOUR_MS))]
    bad.append(visit("B9", 253_402_300_799_000))  # the end of the year 9999
    deployment.send_now(good + bad)
    wait_until(lambda: len(deployment.read("dead-letters")) == len(bad), 60, "the dead letters")
    deployment.wait_until_settled()
    assert_exact(deployment, good)
