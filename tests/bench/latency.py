"""``make bench-latency``: from an event to its crossing at a ``read_committed`` subscriber, on real Kafka and Redis.

One worker process with both stages and its default settings. First a backlog gives the maximum rate; then events are
sent at shares of it, open loop: each at its planned time, whatever the worker does. The planned time is the Kafka
timestamp of the event (the producer's, so that it does not move with the broker's load), and latency counts from it to
the crossing in the hands of a subscriber. One event in twenty causes a crossing. Sender and subscriber are processes of
their own. Last, with ``--pairs``, what the peers were measured with: every second event crosses.

Half of the way is told apart: until the award is in the log, by the broker's clock, whole milliseconds.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from leadscore.pipeline.pace import SCORE_RECORDS
from tests.bench.clock import machine_facts, print_facts, print_table, say
from tests.bench.live import LiveDeployment, first_matched_us, live
from tests.bench.open_loop import Latencies, crossings_of_few, latencies
from tests.bench.peers.parts import STEPS, of_both_stages, seconds_by_step

BACKLOG_RATE = 20_000.0
"""Events per second by the Kafka timestamps of the backlog."""
SHARES = (0.1, 0.5, 0.8)
HEAD = ("", "events/s", "crossings", "p50 ms", "p99", "p99.9", "most", "in the log: p50", "p99")
WORKING_STEPS = [step for step in STEPS if step != "poll"]
"""Polls wait for the sender to begin as well."""
STEPS_HEAD = ("us per event in", *WORKING_STEPS)
CPU_HEAD = ("us of CPU per event", "worker", "broker", "Redis", "worker's share of a core", "sent late by ms")


class Load(NamedTuple):
    """A rate to measure at, for so long after warming up."""

    name: str
    rate: float
    seconds: float
    warm_s: float
    is_pairs: bool = False


class Measured(NamedTuple):
    """Latency of crossings; CPU per event (us), the worker's share of a core, the sender's worst delay (ms).

    ``steps_us`` is the time per event in each step of the loop, with what it waited there for Redis and for a core.
    """

    load: Load
    to_subscriber: Latencies
    to_log: Latencies
    cpu_us: dict[str, float | None]
    worker_cores: float | None
    latest_ms: float
    steps_us: dict[str, float]


def steps_so_far(deployment: LiveDeployment) -> dict[str, float]:
    """Seconds that its worker says it has spent in each step."""
    return of_both_stages(seconds_by_step(deployment.workers[-1].get("/metrics")[1]))


def highest_rate(deployment: LiveDeployment, events: int) -> float:
    """Events per second while a backlog of them is worked off, from the first batch to the last crossing.

    Crossings come by whole scoring turns, and within one by log partition: those in between say nothing of the rate.
    """
    deployment.sender(BACKLOG_RATE, events, is_backlog=True).result()
    crossings = crossings_of_few(BACKLOG_RATE, events)
    subscriber = deployment.subscriber(crossings)
    began_us = first_matched_us(deployment.start_worker())
    last = subscriber.result().arrivals[-1]
    return events / (last.arrived_us - began_us) * 1e6


def measure(deployment: LiveDeployment, load: Load) -> Measured:
    """Send at this load and wait for the crossings."""
    count = int(load.rate * (load.warm_s + load.seconds))
    expected = count // 2 if load.is_pairs else crossings_of_few(load.rate, count)
    subscriber = deployment.subscriber(expected)
    start, start_s, start_steps = deployment.cpu(), time.monotonic(), steps_so_far(deployment)
    sender = deployment.sender(load.rate, count, is_pairs=load.is_pairs)
    sent, arrivals = sender.result(), subscriber.result().arrivals
    end, wall_s, steps = deployment.cpu(), time.monotonic() - start_s, steps_so_far(deployment)
    warm = [arrival for arrival in arrivals if arrival.planned_us >= sent.start_us + load.warm_s * 1e6]
    cores = None if end.worker is None or start.worker is None else (end.worker - start.worker) / wall_s
    return Measured(
        load,
        latencies([(arrival.arrived_us - arrival.planned_us) / 1000 for arrival in warm]),
        latencies([arrival.logged_ms - arrival.planned_us / 1000 for arrival in warm]),
        end.per_event_us(start, count),
        cores,
        sent.latest_ms,
        {step: (steps[step] - start_steps[step]) / count * 1e6 for step in WORKING_STEPS},
    )


def run(deployment: LiveDeployment, options: argparse.Namespace) -> tuple[float, list[Measured]]:
    """The highest rate, and what was measured at each load."""
    say(f"working off {options.events:,} events")
    highest = options.rate or highest_rate(deployment, options.events)
    if options.rate:
        deployment.start_worker()
    loads = [
        Load(f"{share:.0%} of the highest rate", highest * share, options.seconds, options.warm) for share in SHARES
    ]
    if options.pairs:
        loads.append(Load("every second crosses", options.pairs, options.seconds, options.warm, is_pairs=True))
    measured = []
    # A broker that has just been started takes seconds of CPU until small requests cost it what they cost later.
    measure(deployment, loads[1]._replace(warm_s=0))
    for load in loads:
        say(f"{load.name}: {load.rate:,.0f} events/s")
        measured.append(measure(deployment, load))
    return highest, measured


def print_results(measured: Sequence[Measured]) -> None:
    """Latencies, then what they cost."""
    rows = []
    for one in measured:
        whole, log = one.to_subscriber, one.to_log
        times = (f"{value:.1f}" for value in (*whole[1:], log.p50, log.p99))
        rows.append((one.load.name, f"{one.load.rate:,.0f}", f"{whole.number:,}", *times))
    print_table(HEAD, rows)
    sys.stdout.write("\n")
    costs = []
    for one in measured:
        cells = ("-" if used is None else f"{used:.1f}" for used in one.cpu_us.values())
        cores = "-" if one.worker_cores is None else f"{one.worker_cores:.2f}"
        costs.append((one.load.name, *cells, cores, f"{one.latest_ms:.1f}"))
    print_table(CPU_HEAD, costs)
    sys.stdout.write("\n")
    print_table(STEPS_HEAD, [(one.load.name, *(f"{us:.1f}" for us in one.steps_us.values())) for one in measured])


def as_json(one: Measured) -> dict[str, Any]:
    """For the last line."""
    rest: dict[str, Any] = {
        "cpu_us": one.cpu_us,
        "worker_cores": one.worker_cores,
        "sender_latest_ms": one.latest_ms,
        "steps_us": one.steps_us,
    }
    return {"to_subscriber_ms": one.to_subscriber._asdict(), "to_log_ms": one.to_log._asdict(), **rest}


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--events", type=int, default=2 * SCORE_RECORDS, help="of the backlog that gives the highest rate"
    )
    parser.add_argument("--rate", type=float, default=0, help="take this as the highest rate")
    parser.add_argument("--seconds", type=float, default=20, help="how long each load is measured")
    parser.add_argument("--warm", type=float, default=5, help="seconds of each load before that")
    parser.add_argument("--pairs", type=float, default=500, help="also: events/s of which every second crosses; 0: no")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the worker")
    options = parser.parse_args(arguments)
    if options.events < SCORE_RECORDS:
        parser.error(f"--events {options.events}: expected at least {SCORE_RECORDS}, which are scored in one turn")
    return options


def main() -> int:
    """Start the servers, measure, print."""
    options = read_options()
    facts = machine_facts()
    settings = dict(setting.split("=", 1) for setting in options.set)
    with live(settings) as deployment:
        highest, measured = run(deployment, options)
        facts |= {"servers": f"{deployment.kafka}; {deployment.redis}"}
    print_facts("leadscore latency", facts | settings | {"highest rate": f"{highest:,.0f} events/s"})
    print_results(measured)
    figures = {one.load.name: {"rate": one.load.rate, **as_json(one)} for one in measured}
    about = {"events": options.events, "seconds": options.seconds, "highest_rate": highest, "settings": settings}
    sys.stdout.write(json.dumps({"bench": "latency", **about, "facts": facts, "loads": figures}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
