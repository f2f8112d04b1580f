"""Experiment 1: processes are killed at every named step of the loop, also within a revoke and a drain."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from leadscore.events.event import Event
from tests.crashing import LINGERING, SAME_MEMBER, SMALL_BATCHES, feed_until_death
from tests.deployment import WANDERING_MODEL, Deployment, WorkerProcess, wandering_events
from tests.faults.judge import assert_holds, judge
from tests.faults.mutated import planted
from tests.faults.report import Figures
from tests.faults.sizes import SEED, kills, random
from tests.servers import wait_until

pytestmark = [pytest.mark.lasting_leads, pytest.mark.timeout(7_200)]

CLAUSE = "a process may die after any step, in a revoke, in a drain"
POINTS = ("matched", "logged", "folded", "written", "published", "acknowledged")
SHORT_SESSION = {"LEADSCORE_KAFKA__SESSION_TIMEOUT_MS": "6000", "LEADSCORE_KAFKA__HEARTBEAT_INTERVAL_MS": "500"}


def stream(name: str, leads: int = 16) -> Iterator[Event]:
    """Events without end."""
    for number in count():
        yield from wandering_events(f"{name}-{SEED}-{number}", 100, leads)


def kill_at(deployment: Deployment, points: list[str], waiting: Iterator[Event], **settings: str) -> Counter[str]:
    """One worker after the other, each dead at its point, the first, second or third time that it is there."""
    times = random("kills")
    died: Counter[str] = Counter()
    for point in points:
        crash = {"LEADSCORE_TEST_CRASH_AFTER": f"{point}:{times.randint(1, 3)}"}
        worker = deployment.start_worker(**LINGERING, **crash, **settings)
        feed_until_death(deployment, worker, waiting)
        assert worker.process.returncode == -signal.SIGKILL
        died[point] += 1
    return died


def kill_in_drain(deployment: Deployment, waiting: Iterator[Event]) -> None:
    """Asked to end, with crossings under way, and killed before it commits what it has drained."""
    worker = deployment.start_worker(**LINGERING, LEADSCORE_TEST_CRASH_AFTER="drained")
    worker.expected_to_die = True
    worker.wait_for("shards_started")
    deployment.send_now([next(waiting) for _ in range(60)])
    assert worker.terminate() == -signal.SIGKILL


def conclude(deployment: Deployment, figures: Figures, died: Counter[str]) -> None:
    """A worker that lives does what is left; then the judge."""
    deployment.start_worker()
    deployment.wait_until_settled()
    figures.killed(died.total())
    figures.note = ", ".join(f"{number} {point}" for point, number in died.items())
    assert_holds(deployment, figures)


@pytest.mark.experiment("1", CLAUSE)
def test_kills_at_every_step_lose_nothing_and_count_nothing_twice(
    deploy: Callable[..., Deployment], figures: Figures
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= SMALL_BATCHES | SAME_MEMBER
    waiting = stream("kills")
    number = kills(1)
    died = kill_at(deployment, random("order").sample([*POINTS] * number, number * len(POINTS)), waiting)
    for _ in range(number):
        kill_in_drain(deployment, waiting)
        died["drained"] += 1
    conclude(deployment, figures, died)


@pytest.mark.experiment("1", CLAUSE)
def test_kills_within_a_revoke_lose_nothing_and_count_nothing_twice(
    deploy: Callable[..., Deployment], figures: Figures
) -> None:
    """Every worker that joins takes partitions from the one before it, which dies of it."""
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= SMALL_BATCHES | SHORT_SESSION
    waiting = stream("revokes")
    number = kills(1)
    worker = revocable(deployment)
    for _ in range(number):
        worker.wait_for("shards_started")
        successor = revocable(deployment)
        feed_until_death(deployment, worker, waiting)
        assert worker.process.returncode == -signal.SIGKILL
        worker = successor
    worker.kill()
    conclude(deployment, figures, Counter(revoked=number, anywhere=1))


def revocable(deployment: Deployment) -> WorkerProcess:
    return deployment.start_worker(**LINGERING, LEADSCORE_TEST_CRASH_AFTER="revoked")


@pytest.mark.parametrize(
    ("wrong", "point"),
    [("source positions of frames are ignored", "logged"), ("the outbox is not written", "written")],
)
@pytest.mark.experiment("1", CLAUSE)
def test_a_worker_with_an_error_is_caught_by_kills(
    deploy: Callable[..., Deployment], figures: Figures, tmp_path: Path, wrong: str, point: str
) -> None:
    figures.control = wrong
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= SMALL_BATCHES | SAME_MEMBER | planted(wrong, tmp_path)
    died = kill_at(deployment, [point] * 2, stream("mutants"))
    deployment.start_worker()
    wait_until(lambda: deployment.lag() == 0, 60, "all records committed")
    figures.killed(died.total())
    judgement = judge(deployment)
    figures.take(judgement)
    assert judgement.violations
