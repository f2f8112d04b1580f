"""``make bench-builds``: what compiling the hot modules is worth: ``bench-in-process`` on both builds, in turn.

Each round runs the pure and the compiled build, so that a change of the machine's speed meets both. Figures are CPU
time per event, the least of the rounds; ``ratio`` is compiled to pure. A second table has the fold by kind of record
(``kinds``), of the round in which it was fastest. Both builds must give the same states and crossings.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from leadscore.build_kind import COMPILED, PURE
from tests.bench import kinds
from tests.bench.clock import machine_facts, print_facts, print_table, say
from tests.bench.in_process import STEPS
from tests.bench.streams import STREAMS
from tests.compiled_build import compiled_build, in_front
from tests.source_tree import ROOT

WORKLOADS = ("peers", "base", "starter")


class Run(NamedTuple):
    """What ``bench-in-process`` prints of one run, by workload."""

    costs: dict[str, dict[str, Any]]
    halves: dict[str, list[kinds.Half]]


def run_once(build: Mapping[str, str], options: argparse.Namespace) -> Run:
    """One run of every workload on a build."""
    size = [f"--events={options.events}", f"--leads={options.leads}", f"--seed={options.seed}", "--repeats=1"]
    command = [sys.executable, "-m", "tests.bench.in_process", *options.workloads, *size]
    run = subprocess.run(command, cwd=ROOT, env={**os.environ, **build}, stdout=subprocess.PIPE, text=True, check=True)
    made = json.loads(run.stdout.splitlines()[-1])
    halves = {name: [kinds.Half.of(figures) for figures in both] for name, both in made["kinds"].items()}
    return Run(made["costs"], halves)


def rows_of_kinds(workload: str, runs: Mapping[str, Sequence[Run]]) -> list[tuple[str, ...]]:
    """The fold by kind of record, of each build."""
    return [
        row
        for build, of_build in runs.items()
        for row in kinds.rows(f"{workload}, {build}", min((run.halves[workload] for run in of_build), key=kinds.sum_us))
    ]


def rows_of(workload: str, runs: Mapping[str, Sequence[Run]]) -> list[tuple[str, ...]]:
    """Pure, compiled and their ratio, step by step, then all together."""
    least = {
        build: [*(min(run.costs[workload]["steps_us"][step] for run in of_build) for step in STEPS)]
        for build, of_build in runs.items()
    }
    figures = {build: [*steps, sum(steps)] for build, steps in least.items()}
    ratios = [compiled / pure for pure, compiled in zip(figures[PURE], figures[COMPILED], strict=True)]
    rows = [(f"{workload}, {build}", *(f"{figure:.1f}" for figure in figures[build])) for build in runs]
    return [*rows, ("  ratio", *(f"{ratio:.2f}" for ratio in ratios))]


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(STREAMS)}")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--leads", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    options.workloads = options.workloads or WORKLOADS
    return options


def main() -> int:
    """Measure, print; 1 where the builds do not give the same."""
    options = read_options()
    builds = {PURE: in_front(ROOT / "src"), COMPILED: in_front(compiled_build())}
    runs: dict[str, list[Run]] = {build: [] for build in builds}
    for number in range(options.rounds):
        for build, environ in builds.items():
            say(f"round {number + 1} of {options.rounds}: {build}")
            runs[build].append(run_once(environ, options))
    size = {name: str(getattr(options, name)) for name in ("events", "leads", "seed", "rounds")}
    print_facts("leadscore bench-builds", machine_facts() | size)
    rows = [row for workload in options.workloads for row in rows_of(workload, runs)]
    print_table(("us of CPU per event", *STEPS, "all"), rows)
    sys.stdout.write("\n")
    print_table(kinds.HEAD, [row for workload in options.workloads for row in rows_of_kinds(workload, runs)])
    all_runs = [run for of_build in runs.values() for run in of_build]
    different = [name for name in options.workloads if len({run.costs[name]["digest"] for run in all_runs}) > 1]
    for name in different:
        sys.stdout.write(f"{name}: the builds give different states or crossings\n")
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main())
