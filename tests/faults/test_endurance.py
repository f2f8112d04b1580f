"""Endurance: load for long, with a random fault every so often: ``make endurance MINUTES=60 RATE=500``.

Without ``RATE`` the load is 70 % of what the worker takes at the beginning of the same run, of a backlog and without
faults. One worker lives from the beginning to the end and is sampled; another is killed and started again. What came
out is held against the plain fold of the events and of the log: leads with histories this long are too much for the
oracle, which the other experiments have.
"""

import os
import time
from collections.abc import Callable, Iterator
from itertools import count
from random import Random

import msgspec
import pytest

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
from tests.faults.judge import different_repeats, lost_counts, wrong_order
from tests.faults.report import Figures
from tests.faults.samples import Sampler
from tests.faults.sizes import random
from tests.faults.way import Way
from tests.servers import wait_until

MINUTES = float(os.environ.get("MINUTES") or 0)
RATE = float(os.environ.get("RATE") or 0)
SHARE_OF_MAXIMUM = 0.7
BACKLOG = 20_000
LEADS = 500
FAULT_EVERY_S = 15.0
SILENCE_S = 3.0
LATE_S = 45.0
"""The bound: detection of a killed member (the session times out), silence of a server, and catching up."""
FLAT = 0.10
SESSION = {"LEADSCORE_KAFKA__SESSION_TIMEOUT_MS": "6000"}
WRITES = ("EVALSHA", "EVAL")

pytestmark = [
    pytest.mark.lasting_leads,
    pytest.mark.skipif(not MINUTES, reason="make endurance MINUTES=60 runs it"),
]


class Faults:
    """What happens now and then; each is over when its call returns."""

    def __init__(self, deployment: Deployment, ways: dict[str, Way], figures: Figures, steady: WorkerProcess) -> None:
        self._deployment, self._ways, self._figures, self._steady = deployment, ways, figures, steady
        self._victim = deployment.start_worker()
        self._random: Random = random("endurance")

    def next(self) -> None:
        """One of them, drawn from the seed."""
        self._random.choice((self.kill, self.freeze, self.lose_replies, self.silence, self.break_off))()

    def kill(self) -> None:
        """A worker dies, and another begins."""
        self._victim.kill()
        self._figures.killed()
        self._victim = self._deployment.start_worker()

    def freeze(self) -> None:
        """The worker that lives long stands still for a while."""
        self._steady.freeze()
        time.sleep(SILENCE_S)
        self._steady.thaw()

    def lose_replies(self) -> None:
        """Redis writes, and some of its replies never come."""
        way = self._ways["redis"]
        before = way.lost.total()
        way.lose_replies(WRITES, 0.05)
        time.sleep(SILENCE_S)
        way.lose_replies((), 0.0)
        self._figures.lost(way.lost.total() - before)

    def silence(self) -> None:
        """A server is not to be reached for a while."""
        way = self._ways[self._random.choice(sorted(self._ways))]
        way.cut()
        time.sleep(SILENCE_S)
        way.heal()

    def break_off(self) -> None:
        """Every connection to a server breaks."""
        self._ways[self._random.choice(sorted(self._ways))].break_off()


def endless(name: str, taken: list[Event]) -> Iterator[Event]:
    """Events that occur when they are taken; those that were."""
    for part in count():
        for event in wandering_events(f"{name}-{part}", 5_000, LEADS):
            taken.append(msgspec.structs.replace(event, occurred_at_ms=now_ms()))
            yield taken[-1]


def maximum_rate(deployment: Deployment, events: Iterator[Event]) -> float:
    """Events per second of a backlog."""
    deployment.send_now(next(events) for _ in range(BACKLOG))
    worker = deployment.start_worker()
    worker.wait_for("shards_started", 60)
    began_s = time.monotonic()
    deployment.wait_until_done(300)
    return BACKLOG / (time.monotonic() - began_s)


def send_for_long(deployment: Deployment, events: Iterator[Event], rate: float, faults: Faults) -> None:
    """At the rate, with a fault every so often; what a fault holds up is sent after it."""
    began_s = time.monotonic()
    sent, fault_s = 0, began_s + FAULT_EVERY_S
    while (now_s := time.monotonic()) < began_s + MINUTES * 60:
        due = int(rate * (now_s - began_s)) - sent
        deployment.send_now(next(events) for _ in range(due))
        sent += due
        if now_s > fault_s:
            faults.next()
            fault_s = time.monotonic() + FAULT_EVERY_S
        time.sleep(0.05)


def latest_s(deployment: Deployment) -> float:
    """How long the latest first copy of a crossing that an event caused came after that event occurred."""
    first: dict[str, int] = {}
    for message in deployment.read("crossings"):
        crossing_id = dict(message.headers() or [])["ce_id"]
        identity = crossing_id.decode() if isinstance(crossing_id, bytes) else str(crossing_id)
        first[identity] = min(first.get(identity, message.timestamp()[1]), message.timestamp()[1])
    crossings = [crossing for crossing in deployment.crossings() if crossing["trigger"] is not None]
    lateness_ms = [first[one["id"]] - one["occurred_at"].timestamp() * 1000 for one in crossings]
    return float(max(lateness_ms)) / 1000


@pytest.mark.timeout(0)
@pytest.mark.experiment("endurance", "load for long, with faults: exact, in time, and nothing grows")
def test_load_for_long_with_faults_is_scored_exactly_in_time_and_nothing_grows(
    deploy: Callable[..., Deployment], redis_way: Way, kafka_way: Way, figures: Figures
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= FEW_RECENT | SESSION | {"LEADSCORE_REDIS_URL": redis_way.redis_url}
    deployment.environ |= {"LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": kafka_way.kafka_address}
    sent: list[Event] = []
    events = endless("endurance", sent)
    maximum = maximum_rate(deployment, events)
    rate = RATE or SHARE_OF_MAXIMUM * maximum
    (steady,) = deployment.workers
    faults = Faults(deployment, {"redis": redis_way, "kafka": kafka_way}, figures, steady)
    with Sampler(deployment, steady) as sampler:
        send_for_long(deployment, events, rate, faults)
    deployment.wait_until_done(300)
    deployment.wait_until_settled()
    figures.note = f"{MINUTES:g} min, {rate:,.0f} events/s of at most {maximum:,.0f}; " + ", ".join(
        map(str, sampler.growth())
    )
    late_s = latest_s(deployment)
    figures.note += f"; latest crossing {late_s:.1f} s"
    figures.events, figures.leads = len(sent), LEADS
    violations = [*different_repeats(deployment), *wrong_order(deployment.crossings()), *lost_counts(deployment)]
    figures.violations = len(violations)
    assert not violations
    assert_exact(deployment, sent, FEW_RECENT_EVENTS)
    assert [str(one) for one in sampler.growth() if one.share > FLAT] == []
    assert late_s < LATE_S
    wait_until(lambda: steady.get("/readyz")[0] == 200, 30, "readiness at the end")
