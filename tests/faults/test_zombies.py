"""Experiment 13: a worker stands still until another took over, and then goes on as if nothing had happened."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

from tests.deployment import FEW_RECENT, LOG_PARTITIONS, WANDERING_MODEL, Deployment, WorkerProcess, wandering_events
from tests.faults.judge import assert_holds, judge
from tests.faults.load import Load
from tests.faults.mutated import planted
from tests.faults.report import Figures
from tests.faults.sizes import SEED, events, kills, random
from tests.servers import RedisServer, wait_until
from tests.slow_way import WRITE, SlowWay, patient_on

pytestmark = [pytest.mark.lasting_leads, pytest.mark.timeout(7_200)]

CLAUSE = "a frozen worker that wakes up changes nothing"
SESSION_S = 6.0
SHORT_SESSION = {"LEADSCORE_KAFKA__SESSION_TIMEOUT_MS": "6000", "LEADSCORE_KAFKA__HEARTBEAT_INTERVAL_MS": "500"}
SMALL_BATCHES = {"LEADSCORE_BATCH_SIZE": "20", "LEADSCORE_SCORE_BATCH_FRAMES": "2", "LEADSCORE_COMMIT_INTERVAL": "0s"}


def has_passed(seconds: float) -> Callable[[], bool]:
    """Whether this much time is over."""
    until_s = time.monotonic() + seconds
    return lambda: time.monotonic() > until_s


def shards_of(worker: WorkerProcess) -> set[int]:
    return worker.partitions_of("shards_started")


@pytest.mark.experiment("13", CLAUSE)
def test_workers_that_stand_still_for_three_sessions_change_nothing(
    deploy: Callable[..., Deployment], figures: Figures
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= FEW_RECENT | SMALL_BATCHES | SHORT_SESSION
    workers = [deployment.start_worker() for _ in range(2)]
    chosen = random("zombies")
    with Load(deployment, wandering_events(f"zombies-{SEED}", events(3_000), leads=64), 0.3, poison=True):
        wait_until(lambda: shards_of(workers[0]) | shards_of(workers[1]) == set(range(LOG_PARTITIONS)), 60, "a start")
        for _ in range(kills(1)):
            zombie = chosen.choice(workers)
            zombie.freeze()
            wait_until(has_passed(3 * SESSION_S), 60, "three sessions to pass")
            zombie.thaw()
            figures.lost()
    deployment.wait_until_settled()
    figures.note = "losses are the times that a worker stood still"
    assert_holds(deployment, figures)
    assert [worker.terminate() for worker in workers] == [0, 0]


@pytest.fixture
def slow_way(redis_server: RedisServer) -> Iterator[SlowWay]:
    with SlowWay(redis_server) as way:
        Thread(target=way.serve_forever, args=(0.05,), daemon=True).start()
        yield way
        way.let_go.set()
        way.shutdown()


@pytest.mark.experiment("13", CLAUSE)
def test_a_worker_whose_writes_ignore_the_fence_is_caught(
    deploy: Callable[..., Deployment], figures: Figures, tmp_path: Path, slow_way: SlowWay
) -> None:
    """Its write is held up until another has taken over and written more."""
    figures.control = "Redis writes whatever fence is stored"
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= FEW_RECENT | SHORT_SESSION | planted(figures.control, tmp_path)
    sent = wandering_events(f"fence-{SEED}", 400)
    zombie = deployment.start_worker(**patient_on(slow_way))
    deployment.send_now(sent[:100])
    deployment.wait_until_settled()
    slow_way.naming, slow_way.command = sent[100].lead_id.encode(), WRITE
    deployment.send_now(sent[100:103])
    assert slow_way.is_holding.wait(20)
    zombie.freeze()
    successor = deployment.start_worker()
    deployment.send_now(sent[103:])
    wait_until(lambda: shards_of(successor) == set(range(LOG_PARTITIONS)), 60, "the successor to take over")
    wait_until(lambda: deployment.lag() == 0, 60, "all records committed")
    lead_id = sent[100].lead_id
    before = deployment.stored([lead_id])
    slow_way.let_go.set()
    wait_until(lambda: deployment.stored([lead_id]) != before, 20, "the late write")
    zombie.kill()
    figures.lost()
    judgement = judge(deployment)
    figures.take(judgement)
    assert judgement.violations
