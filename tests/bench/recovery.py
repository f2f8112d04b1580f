"""``make bench-recovery``: start-up, catching up, rebuilding and rebalancing, on real Kafka and Redis.

Worker processes with both stages and their default settings, on one deployment, in this order:

    start      from the start of the process to the first crossing of an event that waited; then of a second start,
               which finds committed offsets
    catch up   a backlog waits, and live events go on arriving: events per second of the backlog, and how long until a
               crossing is as late as one second only
    rebuild    Redis has lost everything: awards per second of the replay of the whole log, beside those of catching up
    rebalance  two workers: one joins, leaves in order, joins again, is killed. Every second live event crosses; the
               pause of a log partition is the greatest latency of its crossings from then on
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from statistics import median
from typing import Any, NamedTuple, TypeVar

import redis

from leadscore.log.records import partition_of
from tests.bench.clock import machine_facts, print_facts, print_table, say
from tests.bench.live import LiveDeployment, first_matched_us, live
from tests.bench.live_ends import Arrival, now_us
from tests.bench.open_loop import crossings_of_few, least_events
from tests.deployment import WorkerProcess
from tests.e2e.metric_series import series
from tests.servers import wait_until

Outcome = TypeVar("Outcome")

BACKLOG_RATE = 20_000.0
LOG_PARTITIONS = 32
FIRST_EVENTS = 200
CAUGHT_UP_MS = 1_000
LOOK_EVERY_S = 0.1
DONE_S = 600.0
PAIRS_RATE = 400.0
JOIN_S, LEAVE_S, JOIN_AGAIN_S, KILL_S, END_S = 15.0, 30.0, 40.0, 55.0, 85.0
"""When, in seconds after the first live event, another worker does what."""


class Pauses(NamedTuple):
    """Milliseconds, of the log partitions that moved and of those that stayed."""

    what: str
    moved: list[float]
    stayed: list[float]


class CaughtUp(NamedTuple):
    """Events per second of the backlog, and seconds from the start of the process until the lag was gone."""

    events_per_s: float
    lag_gone_s: float


def start(deployment: LiveDeployment) -> float:
    """Seconds from the start of a worker process to its first crossing."""
    deployment.sender(BACKLOG_RATE, FIRST_EVENTS, is_pairs=True, is_backlog=True).result()
    subscriber = deployment.subscriber(FIRST_EVENTS // 2)
    started_us = now_us()
    worker = deployment.start_worker()
    first = subscriber.result().arrivals[0]
    worker.terminate()
    return (first.arrived_us - started_us) / 1e6


def catch_up(deployment: LiveDeployment, events: int, live_rate: float, live_s: float) -> CaughtUp:
    """Work off a backlog while live events arrive."""
    deployment.sender(BACKLOG_RATE, events, is_backlog=True).result()
    number = int(live_rate * live_s)
    crossings = crossings_of_few(BACKLOG_RATE, events) + crossings_of_few(live_rate, number)
    subscriber, sender = deployment.subscriber(crossings), deployment.sender(live_rate, number)
    started_us = now_us()
    worker = deployment.start_worker()
    began_us = first_matched_us(worker)
    sender.result()
    arrivals = subscriber.result().arrivals
    worker.terminate()
    backlog = [arrival for arrival in arrivals if arrival.planned_us < started_us]
    of_live = [arrival for arrival in arrivals if arrival.planned_us >= started_us]
    caught_up = next((one for one in of_live if one.arrived_us - one.planned_us < CAUGHT_UP_MS * 1000), None)
    if caught_up is None:
        raise SystemExit(f"{events:,} events were not caught up with in {live_s:g} s: more --live-seconds")
    rate = events / (backlog[-1].arrived_us - began_us) * 1e6
    return CaughtUp(rate, (caught_up.arrived_us - started_us) / 1e6)


def rebuild(deployment: LiveDeployment, events: int) -> float:
    """Awards per second of the replay after Redis has lost everything."""
    with closing(redis.Redis.from_url(deployment.redis.url)) as client:
        client.flushall()
    worker = deployment.start_worker(LEADSCORE_ON_STATE_LOSS="rebuild")
    first = _applied_at(worker, events // 10)
    last = _applied_at(worker, events * 9 // 10)
    _applied_at(worker, events)
    worker.terminate()
    return (last[1] - first[1]) / (last[0] - first[0])


def rebalance(deployment: LiveDeployment) -> list[Pauses]:
    """What another worker that comes and goes does to the crossings under way."""
    number = int(PAIRS_RATE * END_S)
    subscriber = deployment.subscriber(number // 2)
    deployment.start_worker()
    sender = deployment.sender(PAIRS_RATE, number, is_pairs=True)
    began_s = time.monotonic()
    second = _after(began_s + JOIN_S, deployment.start_worker)
    joining_us = now_us()
    _after(began_s + LEAVE_S, lambda: second.process.send_signal(signal.SIGTERM))
    leaving_us = now_us()
    third = _after(began_s + JOIN_AGAIN_S, deployment.start_worker)
    _after(began_s + KILL_S, third.kill)
    killing_us = now_us()
    sender.result()
    arrivals = subscriber.result().arrivals
    moved, moved_again = (worker.partitions_of("shards_started") for worker in (second, third))
    return [
        pauses("joins", arrivals, (joining_us, leaving_us), moved),
        pauses("leaves", arrivals, (leaving_us, leaving_us + int((JOIN_AGAIN_S - LEAVE_S) * 1e6)), moved),
        pauses("is killed", arrivals, (killing_us, killing_us + int((END_S - KILL_S) * 1e6)), moved_again),
    ]


def pauses(what: str, arrivals: Sequence[Arrival], within_us: tuple[int, int], moved: set[int]) -> Pauses:
    """The greatest latency in each log partition, of the crossings planned within that time."""
    greatest: dict[int, float] = {}
    for arrival in arrivals:
        if within_us[0] <= arrival.planned_us < within_us[1]:
            number = partition_of(arrival.lead_id, LOG_PARTITIONS)
            greatest[number] = max(greatest.get(number, 0.0), (arrival.arrived_us - arrival.planned_us) / 1000)
    of_moved = [latency for number, latency in greatest.items() if number in moved]
    return Pauses(what, of_moved, [latency for number, latency in greatest.items() if number not in moved])


def _after(until_s: float, act: Callable[[], Outcome]) -> Outcome:
    time.sleep(max(0.0, until_s - time.monotonic()))
    return act()


def _applied_at(worker: WorkerProcess, expected: int) -> tuple[float, float]:
    """When the worker has applied this number of awards, and how many it has then."""

    def applied() -> tuple[float, float] | None:
        metrics = series(worker.get("/metrics")[1])
        number = metrics['leadscore_awards_total{outcome="applied"}']
        time.sleep(LOOK_EVERY_S)
        return (time.monotonic(), number) if number >= expected else None

    applied_at = wait_until(applied, DONE_S, "the awards to be applied")
    assert applied_at is not None
    return applied_at


def run(deployment: LiveDeployment, options: argparse.Namespace) -> dict[str, Any]:
    """Everything, in this order."""
    say("starting twice")
    starts = [start(deployment), start(deployment)]
    say(f"catching up with {options.events:,} events")
    caught_up = catch_up(deployment, options.events, options.live_rate, options.live_seconds)
    awards = 2 * FIRST_EVENTS + options.events + int(options.live_rate * options.live_seconds)
    say(f"rebuilding from {awards:,} awards")
    rebuilt = rebuild(deployment, awards)
    say(f"rebalancing, {END_S:g} s")
    moves = rebalance(deployment)
    return {
        "first_start_s": starts[0],
        "second_start_s": starts[1],
        "catch_up_events_per_s": caught_up.events_per_s,
        "lag_gone_s": caught_up.lag_gone_s,
        "rebuild_awards": awards,
        "rebuild_awards_per_s": rebuilt,
        "rebuild_to_catch_up": rebuilt / caught_up.events_per_s,
        "pauses_ms": {pause.what: _summary(pause) for pause in moves},
    }


def _summary(pause: Pauses) -> dict[str, float | int]:
    both = {"moved": pause.moved, "stayed": pause.stayed}
    summary: dict[str, float | int] = {}
    for name, values in both.items():
        summary[name] = len(values)
        if values:
            summary |= {f"{name}_median": median(values), f"{name}_most": max(values)}
    return summary


def print_results(figures: Mapping[str, Any]) -> None:
    """The figures, then the pauses."""
    rows = [(name, f"{value:,.2f}") for name, value in figures.items() if not isinstance(value, dict)]
    print_table(("", ""), rows)
    sys.stdout.write("\n")
    names = ("moved", "moved_median", "moved_most", "stayed", "stayed_median", "stayed_most")
    cells = [
        (f"a worker {what}", *(f"{summary[name]:,.0f}" if name in summary else "-" for name in names))
        for what, summary in figures["pauses_ms"].items()
    ]
    print_table(("pause, ms", *(name.replace("_", ", ") for name in names)), cells)


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="of the backlog")
    parser.add_argument("--live-rate", type=float, default=500, help="events per second that arrive meanwhile")
    parser.add_argument("--live-seconds", type=float, default=100, help="for this long")
    options = parser.parse_args(arguments)
    if options.events < least_events(BACKLOG_RATE):
        parser.error(f"--events {options.events}: expected at least {least_events(BACKLOG_RATE)}")
    return options


def main() -> int:
    """Start the servers, measure, print."""
    options = read_options()
    facts = machine_facts()
    with live({}) as deployment:
        figures = run(deployment, options)
        facts |= {"servers": f"{deployment.kafka}; {deployment.redis}"}
    print_facts("leadscore recovery", facts)
    print_results(figures)
    sys.stdout.write(json.dumps({"bench": "recovery", "events": options.events, "facts": facts, **figures}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
