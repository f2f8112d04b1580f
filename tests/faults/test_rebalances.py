"""Experiments 12 and 14: a handler that is blocked, rolling restarts under load, a member that crashes again and again.

Rolling restarts with the classic protocol, with and without static membership, and with that of KIP-848, in which the
brokers assign. What ends a blocked process is the platform, by ``/livez``.
"""

import time
from collections.abc import Callable

import pytest

from tests.deployment import (
    FEW_RECENT,
    FEW_RECENT_EVENTS,
    LOG_PARTITIONS,
    SOURCES,
    WANDERING_MODEL,
    Deployment,
    WorkerProcess,
    assert_exact,
    wandering_events,
)
from tests.e2e.metric_series import series
from tests.faults.load import Load
from tests.faults.report import Figures
from tests.faults.sizes import SEED, events
from tests.faults.stalls import Stalls
from tests.servers import wait_until
from tests.slow_way import WRITE, SlowWay, patient_on

pytestmark = [pytest.mark.lasting_leads, pytest.mark.timeout(600)]

SHORT_POLL = {
    "LEADSCORE_KAFKA__MAX_POLL_INTERVAL_MS": "10000",
    "LEADSCORE_KAFKA__SESSION_TIMEOUT_MS": "6000",
    "LEADSCORE_KAFKA__HEARTBEAT_INTERVAL_MS": "500",
    "LEADSCORE_DRAIN_TIMEOUT": "1s",
    "LEADSCORE_LIVENESS_TIMEOUT": "10s",
}
WORKERS = 4
NAME = "LEADSCORE_KAFKA__GROUP_INSTANCE_ID"
MEMBERS: dict[str, dict[str, str]] = {
    "cooperative": {},
    "static": {NAME: "worker-{number}"},
    "brokers": {"LEADSCORE_KAFKA__GROUP_PROTOCOL": "consumer"},
}
"""Settings of the workers, by how the group has its members."""
CRASHES = 3
REST_S = 3
"""Between two replacements, as ``minReadySeconds`` in the chart: the heartbeat interval, in which the group settles."""
LONGEST_PAUSE_S = 20
"""The session timeout (15 s) and a hand-over; a partition of a static member waits for a restart. Seen: 3 to 14 s."""


def lost_partitions(worker: WorkerProcess) -> float:
    metrics = series(worker.get("/metrics")[1])
    return sum(value for name, value in metrics.items() if "rebalances_total" in name and 'kind="lost"' in name)


@pytest.mark.experiment("12", "a blocked handler loses its partitions, commits nothing, another goes on")
def test_a_handler_blocked_beyond_the_poll_interval_loses_its_partitions_and_commits_nothing(
    deploy: Callable[..., Deployment], new_slow_way: Callable[[], SlowWay], figures: Figures
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= FEW_RECENT | SHORT_POLL
    sent = wandering_events(f"blocked-{SEED}", 600)
    way = new_slow_way()
    blocked = deployment.start_worker(**patient_on(way))
    deployment.send_now(sent[:100])
    deployment.wait_until_settled()
    way.naming = sent[100].lead_id.encode()
    way.command = WRITE
    deployment.send_now(sent[100:103])
    assert way.is_holding.wait(20)

    other = deployment.start_worker()
    deployment.send_now(sent[103:400])
    wait_until(
        lambda: other.partitions_of("shards_started") == set(range(LOG_PARTITIONS)), 60, "the other to take over"
    )
    deployment.wait_until_settled()
    assert_exact(deployment, sent[:400], FEW_RECENT_EVENTS)
    wait_until(lambda: blocked.get("/livez")[0] == 503, 30, "the hang to be seen")
    assert "store" in blocked.wait_for("loop_hangs")["stack"]

    way.let_go.set()
    wait_until(lambda: lost_partitions(blocked) > 0, 60, "the loss to be seen")
    deployment.send_now(sent[400:])
    deployment.wait_until_settled()
    assert_exact(deployment, sent, FEW_RECENT_EVENTS)
    assert other.said("state_regression") == []
    assert [worker.terminate() for worker in (blocked, other)] == [0, 0]
    figures.events, figures.violations = len(sent), 0
    figures.note = "/livez fails while it is blocked; late write a no-op"


def rebalances(workers: list[WorkerProcess]) -> float:
    """Assignments and revocations that the workers have seen."""
    return sum(
        value
        for worker in workers
        for name, value in series(worker.get("/metrics")[1]).items()
        if name.startswith("leadscore_rebalances_total")
    )


class Fleet:
    """Workers by number; one that comes back has the number of the one that went."""

    def __init__(self, deployment: Deployment, settings: dict[str, str]) -> None:
        self._deployment, self._settings = deployment, settings
        self.workers = [self._start(number) for number in range(WORKERS)]

    def _start(self, number: int) -> WorkerProcess:
        own = {name: value.format(number=number) for name, value in self._settings.items()}
        return self._deployment.start_worker(**own)

    def restart(self, number: int) -> WorkerProcess:
        self.workers[number] = self._start(number)
        return self.workers[number]


@pytest.mark.experiment("14", "a rolling restart under load loses nothing and keeps to its bound of rebalances")
@pytest.mark.parametrize("membership", MEMBERS)
def test_four_workers_are_replaced_one_by_one_under_load_and_one_crashes_again_and_again(
    deploy: Callable[..., Deployment], figures: Figures, membership: str
) -> None:
    deployment = deploy(WANDERING_MODEL, source_partitions=WORKERS)
    deployment.environ |= FEW_RECENT
    sent = wandering_events(f"rolling-{SEED}", events(2_000), leads=64)
    fleet = Fleet(deployment, MEMBERS[membership])
    wait_until(lambda: all(map(is_ready, fleet.workers)), 90, "all workers to be ready")
    with Load(deployment, sent, pause_s=0.6):
        with Stalls(deployment, "match", SOURCES) as of_match, Stalls(deployment, "score", ["log"]) as of_score:
            rolling = replace_one_by_one(fleet)
        before = rebalances(fleet.workers[1:])
        for _ in range(CRASHES):
            fleet.workers[0].kill()
            fleet.restart(0).wait_for("listening")
        seen = rebalances(fleet.workers[1:]) - before
    deployment.wait_until_settled()
    assert_exact(deployment, sent, FEW_RECENT_EVENTS)
    assert [deployment.members(stage) for stage in ("match", "score")] == [WORKERS, WORKERS]
    # Each crash is a leave and a join in two groups, of which each of the others may see a part.
    bound = CRASHES * 2 * 2 * (WORKERS - 1)
    assert seen <= bound, seen
    # A worker that is replaced leaves and joins two groups; each of the four then loses some partitions and gets some.
    rolling_bound = WORKERS * 2 * 2 * WORKERS * 2
    assert rolling <= rolling_bound, rolling
    pauses_s = (of_match.longest_s, of_score.longest_s)
    assert max(pauses_s) < LONGEST_PAUSE_S, pauses_s
    figures.killed(CRASHES)
    figures.events, figures.violations = len(sent), 0
    figures.note = (
        f"{membership}: {rolling:.0f} rebalances in {WORKERS} replacements, bound {rolling_bound}; longest pause of a "
        f"source partition {pauses_s[0]:.1f} s, of a log partition {pauses_s[1]:.1f} s; "
        f"{seen:.0f} rebalances of the others in {CRASHES} crashes, bound {bound}"
    )


def replace_one_by_one(fleet: Fleet) -> float:
    """As a Deployment does: the next when the new one has been ready for a while. The rebalances that all saw."""
    seen = 0.0
    for number in range(WORKERS):
        before = rebalances(fleet.workers)
        gone = rebalances([fleet.workers[number]])
        assert fleet.workers[number].terminate() == 0
        worker = fleet.restart(number)
        wait_until(lambda worker=worker: is_ready(worker), 60, "the new worker to be ready")  # type: ignore[misc]
        time.sleep(REST_S)
        seen += rebalances(fleet.workers) - (before - gone)
    return seen


def is_ready(worker: WorkerProcess) -> bool:
    worker.check()
    return bool(worker.said("listening")) and worker.get("/readyz")[0] == 200
