"""Endurance: load for long, with a random fault every so often: ``make endurance MINUTES=60 RATE=500``.

Without ``RATE`` the load is 70 % of what the worker takes at the beginning of the same run, of a backlog and without
faults. One worker lives from the beginning to the end and is sampled; another is killed and started again. Every so
often the load stops until all is done: then every lead has the score that its events so far are worth, and the metrics
say what was sent. What came out is held in the end against the plain fold of the log. No event and no crossing is kept
(``running_truth``, ``long_run``), so that an hour takes no more memory of the test than a minute.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, islice
from random import Random

import msgspec
import pytest

from leadscore.events.event import Event
from leadscore.scoring.state import encode_state
from tests.deployment import (
    FEW_RECENT,
    FEW_RECENT_EVENTS,
    WANDERING_MODEL,
    Deployment,
    WorkerProcess,
    _points_of,
    now_ms,
    wandering_events,
)
from tests.faults.inputs import dead_letters
from tests.faults.judge import TOLERANCE, lost_counts
from tests.faults.load import POISON
from tests.faults.long_run import folded_log, seen_by_subscriber
from tests.faults.report import Figures
from tests.faults.running_truth import RunningTruth
from tests.faults.samples import Sampler
from tests.faults.seen import metric
from tests.faults.sizes import random
from tests.faults.way import Way

MINUTES = float(os.environ.get("MINUTES") or 0)
RATE = float(os.environ.get("RATE") or 0)
SHARE_OF_MAXIMUM = 0.7
BACKLOG = 100_000
LEADS = 500
STEERED_LEADS = frozenset(f"lead-{number}" for number in range(LEADS // 10))
"""Without a hand on them leads gather points, and cross nothing any more after the first minute."""
RISES_TO, FALLS_TO = 90.0, 30.0
"""Beyond the enters and the exits of the model."""
LEAST_CROSSINGS_PER_S = 1.0
"""That come in time is said of crossings; so there must be some, from beginning to end."""
FAULT_EVERY_S = 15.0
CHECK_EVERY_S = 60.0
POISON_EVERY_S = 1.0
"""A record that is no event. What is kept of a batch with a dead letter shows in the memory after minutes."""
SILENCE_S = 3.0
LATE_S = 45.0
"""The bound: detection of a killed member (the session times out), silence of a server, and catching up."""
LONGEST_GAP_S = 60.0
"""Between two samples, or there is no saying that nothing has grown."""
FLAT = 0.10
SESSION = {"LEADSCORE_KAFKA__SESSION_TIMEOUT_MS": "6000"}
WRITES = ("EVALSHA", "EVAL")
APPLIED = 'leadscore_awards_total{outcome="applied"}'

pytestmark = [
    pytest.mark.lasting_leads,
    pytest.mark.skipif(not MINUTES, reason="make endurance MINUTES=60 runs it"),
]


class Faults:
    """What happens now and then."""

    def __init__(self, deployment: Deployment, ways: dict[str, Way], figures: Figures, steady: WorkerProcess) -> None:
        self._deployment, self._ways, self._figures, self._steady = deployment, ways, figures, steady
        self._victim = deployment.start_worker()
        self._random: Random = random("endurance")
        # Never shut down: a worker dies with the thread that started it.
        self._beside = ThreadPoolExecutor(1)

    @property
    def workers(self) -> tuple[WorkerProcess, WorkerProcess]:
        """Those that live."""
        return self._steady, self._victim

    def next(self) -> Future[None]:
        """One of them, drawn from the seed, beside whatever the caller does until it is over."""
        kind = self._random.choice((self.kill, self.freeze, self.lose_replies, self.silence, self.break_off))
        return self._beside.submit(kind)

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


class Load:
    """Events that occur when they are sent, and what they are worth. A tenth of the leads goes up and down for ever.

    ``poison`` counts the records among them that are no events.
    """

    def __init__(self, deployment: Deployment) -> None:
        self.truth = RunningTruth(WANDERING_MODEL, now_ms())
        self._deployment = deployment
        self._falling: set[str] = set()
        self._events = self._endless()
        self.poison = 0
        self._poison_at_s = 0.0

    def send(self, number: int) -> None:
        """That many, now; and poison if it is time."""
        self._deployment.send_now(islice(self._events, number))
        if time.monotonic() >= self._poison_at_s:
            self._poison_at_s = time.monotonic() + POISON_EVERY_S
            self._deployment.send_bytes("website", POISON, now_ms())
            self.poison += 1

    def _endless(self) -> Iterator[Event]:
        for part in count():
            for event in wandering_events(f"endurance-{part}", 5_000, LEADS):
                now = msgspec.structs.replace(event, occurred_at_ms=now_ms())
                if self._is_falling(now):
                    now = msgspec.structs.replace(now, type="webinar.no_show", fields={})
                self.truth.add(now)
                yield now

    def _is_falling(self, event: Event) -> bool:
        """Whether a steered lead has been up, and was not down again since."""
        lead_id = event.lead_id
        if lead_id not in STEERED_LEADS:
            return False
        score = self.truth.score(lead_id, event.occurred_at_ms)
        if score > RISES_TO:
            self._falling.add(lead_id)
        elif score < FALLS_TO:
            self._falling.discard(lead_id)
        return lead_id in self._falling


class Checks:
    """What must hold whenever everything that was sent is done."""

    def __init__(self, deployment: Deployment, load: Load) -> None:
        self._deployment, self._load = deployment, load
        self._before: dict[str, float] = {}
        self._sent = 0
        self.violations: list[str] = []
        self.number = self.metrics_compared = 0

    def check(self, workers: tuple[WorkerProcess, ...]) -> None:
        """Scores, and of metrics those that add up over the same workers since the last time."""
        self._deployment.wait_until_done(120)
        self.number += 1
        wrong = [*self._wrong_scores(), *lost_counts(self._deployment), *self._wrong_awards(workers)]
        self.violations += [f"check {self.number}: {one}" for one in wrong]

    def _wrong_scores(self) -> Iterator[str]:
        truth = self._load.truth
        states = self._deployment.stored(sorted(truth.lead_ids))
        at_ms = now_ms()
        present = {lead_id: state for lead_id, state in states.items() if state is not None}
        points = _points_of(self._deployment, present, at_ms)
        for lead_id in truth.lead_ids:
            expected, apart = truth.score(lead_id, at_ms), TOLERANCE + truth.rounding(lead_id, at_ms)
            if abs(points.get(lead_id, 0.0) - expected) > apart:
                yield f"score of {lead_id}: {points.get(lead_id)}, expected {expected} to {apart:.1g}"

    def _wrong_awards(self, workers: tuple[WorkerProcess, ...]) -> Iterator[str]:
        """Every event matches: as many awards are applied, by all workers together. What a dead one said is lost."""
        applied = {worker.log_path.name: metric([worker], APPLIED) for worker in workers}
        sent = self._load.truth.events
        if applied.keys() == self._before.keys():
            self.metrics_compared += 1
            more = sum(applied.values()) - sum(self._before.values())
            if more != sent - self._sent:
                yield f"{more:.0f} awards applied, of {sent - self._sent} events"
        self._before, self._sent = applied, sent


def maximum_rate(deployment: Deployment, load: Load) -> float:
    """Events per second of a backlog."""
    load.send(BACKLOG)
    worker = deployment.start_worker()
    worker.wait_for("shards_started", 60)
    began_s = time.monotonic()
    deployment.wait_until_done(300)
    return BACKLOG / (time.monotonic() - began_s)


def send_for_long(load: Load, rate: float, faults: Faults, checks: Checks) -> None:
    """At the rate, with a fault beside it and a check every so often."""
    began_s = time.monotonic()
    sent, fault_s, check_s = 0, began_s + FAULT_EVERY_S, began_s + CHECK_EVERY_S
    fault = faults.next()
    while (now_s := time.monotonic()) < began_s + MINUTES * 60:
        due = int(rate * (now_s - began_s)) - sent
        load.send(due)
        sent += due
        if now_s > fault_s and fault.done():
            fault.result()
            fault = faults.next()
            fault_s = time.monotonic() + FAULT_EVERY_S
        if now_s > check_s:
            fault.result()
            checks.check(faults.workers)
            began_s += time.monotonic() - now_s  # what a check takes is no load to catch up with
            check_s = time.monotonic() + CHECK_EVERY_S
        time.sleep(0.05)
    fault.result()


def wrong_outcome(deployment: Deployment, load: Load, since_ms: int, figures: Figures) -> Iterator[str]:
    """All poison is dead letters, states and crossings are those of the plain fold of the log, and none is too late."""
    dead = len(dead_letters(deployment))
    if dead != load.poison:
        yield f"{dead} records are dead letters, expected {load.poison}"
    folded = folded_log(deployment, FEW_RECENT_EVENTS)
    stored = deployment.stored(sorted(folded.states))
    states = {lead_id: None if state is None else encode_state(state) for lead_id, state in stored.items()}
    yield from (f"state of {lead_id}" for lead_id, state in folded.states.items() if states[lead_id] != state)
    seen = seen_by_subscriber(deployment, folded.digests, since_ms)
    figures.note += f"; {seen.crossings:,} crossings, the latest {seen.latest_s:.1f} s after its event"
    yield from seen.violations
    if seen.timed < LEAST_CROSSINGS_PER_S * MINUTES * 60:
        yield f"{seen.timed} crossings say how late they come, expected at least {LEAST_CROSSINGS_PER_S:g} per second"
    if seen.latest_s > LATE_S:
        yield f"a crossing came {seen.latest_s:.1f} s after its event"


@pytest.mark.timeout(0)
@pytest.mark.experiment("endurance", "load for long, with faults: exact, in time, and nothing grows")
def test_load_for_long_with_faults_is_scored_exactly_in_time_and_nothing_grows(
    deploy: Callable[..., Deployment], redis_way: Way, kafka_way: Way, figures: Figures
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.take_time_of_broker("crossings")
    deployment.environ |= FEW_RECENT | SESSION | {"LEADSCORE_REDIS_URL": redis_way.redis_url}
    deployment.environ |= {"LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": kafka_way.kafka_address}
    load = Load(deployment)
    maximum = maximum_rate(deployment, load)
    rate = RATE or SHARE_OF_MAXIMUM * maximum
    (steady,) = deployment.workers
    faults = Faults(deployment, {"redis": redis_way, "kafka": kafka_way}, figures, steady)
    checks = Checks(deployment, load)
    checks.check(faults.workers)
    since_ms = now_ms()
    began_s = time.monotonic()
    with Sampler(deployment, steady) as sampler:
        send_for_long(load, rate, faults, checks)
    longest_gap_s = sampler.longest_gap_s(began_s, time.monotonic())
    checks.check(faults.workers)
    deployment.wait_until_settled()
    figures.events, figures.leads = load.truth.events, LEADS
    figures.note = f"{MINUTES:g} min, {rate:,.0f} events/s of at most {maximum:,.0f}; {checks.number} checks, "
    figures.note += f"{checks.metrics_compared} of metrics; " + ", ".join(map(str, sampler.growth()))
    violations = [*checks.violations, *wrong_outcome(deployment, load, since_ms, figures)]
    figures.violations = len(violations)
    assert not violations, "\n".join(violations)
    assert longest_gap_s < LONGEST_GAP_S
    assert [str(one) for one in sampler.growth() if one.share > FLAT] == []
    steady.wait_until_ready(30)
