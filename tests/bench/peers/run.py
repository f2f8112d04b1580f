"""``make bench-peers``: the same lead scoring in leadscore and in the systems that would be used in its place.

Every system reads the same topics, one process at a time, round after round, on one Kafka and one Redis. The runs are
written to docs/benchmarks/peers.json, and from it the table of docs/benchmarks.md and the plot.

``peers`` is the workload that every system can do: 12 rules with half-lives in three groups, events at random times of
30 days. ``starter`` is the starter model in leadscore with what ``leadscore produce`` makes up; Kafka Streams does the
12 rules of ``peers`` on those events, which is less work, and so does leadscore in rows of its own. ``--only
decode,leadscore --add`` measures a part and leaves the other figures as they are.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from leadscore import __version__
from tests.bench.clock import machine_facts, print_table, say
from tests.bench.peers.figures import Absent, Report, Run, Workload
from tests.bench.peers.inputs import INPUTS, Input, Topics
from tests.bench.peers.installs import NotAvailable
from tests.bench.peers.page import FIGURES, HEAD, cells, read_report, write_page
from tests.bench.peers.running import Bench, DidNotFinish, Servers
from tests.bench.peers.systems import SYSTEMS
from tests.servers import redis_kinds, start_kafka, start_redis
from tests.unit.registry_stub import registry_stub

WARM = ("leadscore", "leadscore-two", "kafka-streams", "kafka-streams-eos", "kafka-streams-eos-tuned")
"""The systems of the long run."""
SAME_RULES = ("leadscore-peers-rules", "leadscore-two-peers-rules")
"""What the workload ``peers`` has anyway."""
STARTER = ("leadscore", "leadscore-two", *SAME_RULES, "kafka-streams-eos", "kafka-streams-eos-tuned")


def planned(options: argparse.Namespace) -> dict[Workload, list[str]]:
    """Which systems on which workload."""
    plan = {
        Workload("peers", options.events, options.leads): [system for system in SYSTEMS if system not in SAME_RULES],
        Workload("peers", options.warm_events, options.leads): list(WARM),
        Workload("starter", options.starter_events, 0): list(STARTER),
    }
    if options.wide_leads:
        plan[Workload("peers", options.warm_events, options.wide_leads)] = ["leadscore", "kafka-streams-eos"]
    expected = options.only or list(SYSTEMS)
    return {
        workload: chosen
        for workload, systems in plan.items()
        if workload.events and (chosen := [system for system in systems if system in expected])
    }


class Session:
    """The runs so far, and what could not be had."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._programs: dict[str, Path] = {}
        self.runs: list[Run] = []
        self.absent: dict[str, str] = {}

    def install(self, systems: Sequence[str]) -> None:
        """Everything that is missing, before anything is measured."""
        for name in systems:
            try:
                self._programs[name] = SYSTEMS[name].install()
            except NotAvailable as reason:
                self._give_up(name, str(reason))

    def all_rounds(self, source: Input, systems: Sequence[str], rounds: int) -> None:
        """Every system once a round, and the slow ones once; the order turns with the round."""
        for number in range(rounds):
            turned = [*systems[number:], *systems[:number]] if number < len(systems) else systems
            for name in turned:
                if name in self._programs and not (number and SYSTEMS[name].slow):
                    self._once(name, source)

    def _once(self, name: str, source: Input) -> None:
        workload = source.workload
        say(f"{workload.name}, {workload.events:,} events of {workload.leads:,} leads: {SYSTEMS[name].title}")
        try:
            run = self._bench.measure(name, SYSTEMS[name], self._programs[name], source)
        except DidNotFinish as reason:
            self._give_up(name, str(reason))
        else:
            self.runs.append(run)
            say(f"  second half: {run.half_events_per_s:,.0f} events/s, {run.half_cpu.total:.1f} us per event")
            say(f"  {msgspec.json.encode(run).decode()}")

    def _give_up(self, name: str, reason: str) -> None:
        say(f"!! {SYSTEMS[name].title}: {reason}")
        self._programs.pop(name, None)
        self.absent[name] = reason


def measure(options: argparse.Namespace) -> Report:
    """Start the servers and run the plan."""
    with ExitStack() as stack:
        kafka = stack.enter_context(start_kafka())
        redis_server = stack.enter_context(start_redis(redis_kinds()[0]))
        registry = stack.enter_context(registry_stub())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        topics = Topics(kafka.bootstrap)
        bench = Bench(Servers(kafka, redis_server), topics)
        session = Session(bench)
        plan = planned(options)
        session.install(list(dict.fromkeys(name for systems in plan.values() for name in systems)))
        for number, (workload, systems) in enumerate(plan.items()):
            say(f"filling in {workload.events:,} events: {workload.name}")
            place = folder / str(number)
            place.mkdir()
            source = INPUTS[workload.name](topics, place, registry, workload)
            if number == 0:
                warm_up(session, source, systems[0])
                bench.servers = bench.servers.measured_idle()
            session.all_rounds(source, systems, options.rounds if workload.events <= options.events else 1)
            topics.delete_all_of("input-")
        product = f"{__version__}, compiled where a row does not say otherwise"
        facts = machine_facts() | {"servers": f"{kafka}; {redis_server}", "leadscore": product}
    idle = round(bench.servers.broker_idle, 4) if kafka.pid else None
    absent = [Absent(name, reason) for name, reason in session.absent.items()]
    titles = {name: system.title for name, system in SYSTEMS.items()}
    return Report(time.strftime("%Y-%m-%d"), facts, titles, idle, session.runs, absent)


def warm_up(session: Session, source: Input, system: str) -> None:
    """The broker compiles what it runs often: the first system must not pay for it."""
    session.all_rounds(source, [system], 1)
    session.runs.clear()


def added(report: Report) -> Report:
    """The runs of the report in place of those of the same systems and workloads in the repository's.

    The starter model's events end now, and are others every time: runs on those of another time go as well.
    """
    if not FIGURES.exists():
        return report
    old = msgspec.json.decode(FIGURES.read_bytes(), type=Report)
    new = {(run.system, run.workload) for run in report.runs}
    names = {run.system for run in report.runs} | {absent.system for absent in report.absent}
    has_starter = any(run.workload.name == "starter" for run in report.runs)
    kept = [run for run in old.runs if not (has_starter and run.workload.name == "starter")]
    runs = [run for run in kept if (run.system, run.workload) not in new] + report.runs
    absent = [absent for absent in old.absent if absent.system not in names] + report.absent
    return msgspec.structs.replace(report, runs=runs, absent=absent)


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda text: text.split(","), help=f"of {', '.join(SYSTEMS)}")
    parser.add_argument("--events", type=int, default=300_000, help="start and warm-up weigh here")
    parser.add_argument("--warm-events", type=int, default=3_000_000, help="one round; 0: leave out")
    parser.add_argument("--starter-events", type=int, default=1_000_000, help="one round; 0: leave out")
    parser.add_argument("--leads", type=int, default=20_000)
    parser.add_argument("--wide-leads", type=int, default=200_000, help="of a second long run; 0: leave out")
    parser.add_argument("--rounds", type=int, default=2, help="of the short runs; Redis and Quix have one")
    parser.add_argument("--add", action="store_true", help="to the figures in the repository")
    parser.add_argument("--render", action="store_true", help="only the table and the plot, from those figures")
    options = parser.parse_args(arguments)
    if unknown := set(options.only or ()) - set(SYSTEMS):
        parser.error(f"{', '.join(sorted(unknown))}: expected some of {', '.join(SYSTEMS)}")
    if options.wide_leads == options.leads:
        parser.error(f"--wide-leads {options.wide_leads}: expected another number than that of --leads")
    return options


def main() -> int:
    """Measure, write, print."""
    options = read_options()
    if options.render:
        write_page(read_report())
        return 0
    report = measure(options)
    for workload in report.workloads():
        sys.stdout.write(f"\n{workload.name}, {workload.events:,} events of {workload.leads:,} leads\n")
        print_table(HEAD, [cells(report.titles[system], runs) for system, runs in report.rows(workload).items()])
    for absent in report.absent:
        sys.stdout.write(f"\n!! not measured: {report.titles[absent.system]}: {absent.reason}\n")
    write_page(added(report) if options.add else report)
    sys.stdout.write(f"\n{msgspec.json.encode(report).decode()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
