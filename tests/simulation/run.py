"""``make simulate-faults``: the simulation of many seeds, in parallel processes; of one that fails the steps are shown.

``SEEDS=10000 FIRST=0``: ten thousand, from 0 on. With one seed its trace is printed, whether it fails or not.
"""

# ruff: noqa: T201  # a command prints

import argparse
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator
from multiprocessing import get_context
from time import monotonic
from typing import NamedTuple

from tests.simulation.simulate import simulate
from tests.simulation.verdict import Violation
from tests.simulation.world import World

SEEDS_AT_ONCE = 10
TOLD_STEPS = 60
TOLD_VIOLATIONS = 5
COUNTED = (
    "events",
    "merges",
    "people",
    "crossings",
    "dead letters",
    "kills",
    "zombies",
    "losses",
    "lost inputs",
    "lost log ends",
    "restored",
    "faults",
)


class Result(NamedTuple):
    """What some seeds came to; ``violations`` by seed, each with its trace."""

    seeds: int
    turns: int
    counts: Counter[str]
    violations: dict[int, list[str]]


def main() -> int:
    arguments = parsed(sys.argv[1:])
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets of texts is part of what happens
        os.execve(
            sys.executable, [sys.executable, "-m", __spec__.name, *sys.argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"}
        )
    logging.disable(logging.CRITICAL)
    if arguments.seeds == 1:
        return told_of_one(arguments.first)
    return told_of_many(arguments)


def parsed(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulate-faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many run side by side")
    parser.add_argument("--until-violation", action="store_true", help="end with the first seed that fails")
    return parser.parse_args(words)


def told_of_one(seed: int) -> int:
    """A seed with its trace."""
    try:
        world = simulate(seed, traced=True)
    except Violation as violation:
        print(*violation.trace, f"seed {seed}: VIOLATION: {violation}", sep="\n")
        return 1
    print(*world.trace, f"seed {seed}: {summary(world.counts)}: no violation", sep="\n")
    return 0


def told_of_many(arguments: argparse.Namespace) -> int:
    began_s = monotonic()
    total = Result(0, 0, Counter(), {})
    for result in results(arguments):
        for seed, trace in result.violations.items():
            if len(total.violations) < TOLD_VIOLATIONS:
                print(
                    *trace[-TOLD_STEPS:], f"again: make simulate-faults FIRST={seed} SEEDS=1", "", sep="\n", flush=True
                )
        total = Result(
            total.seeds + result.seeds,
            total.turns + result.turns,
            total.counts + result.counts,
            total.violations | result.violations,
        )
        if total.violations and arguments.until_violation:
            break
    seconds = monotonic() - began_s
    print(f"{total.seeds} seeds, {total.turns} turns in {seconds:.0f} s: {summary(total.counts)}")
    print(f"violations: {len(total.violations)}" + (f", seeds {sorted(total.violations)}" if total.violations else ""))
    return int(bool(total.violations))


def results(arguments: argparse.Namespace) -> Iterator[Result]:
    """Of the seeds, some at a time, as they come."""
    end = arguments.first + arguments.seeds
    parts = [range(first, min(first + SEEDS_AT_ONCE, end)) for first in range(arguments.first, end, SEEDS_AT_ONCE)]
    if arguments.processes == 1:
        yield from map(result_of, parts)
        return
    with get_context("fork").Pool(arguments.processes) as pool:
        yield from pool.imap(result_of, parts)


def result_of(seeds: range) -> Result:
    turns, counts, violations = 0, Counter[str](), dict[int, list[str]]()
    for seed in seeds:
        try:
            world = simulate(seed)
        except Violation:
            violations[seed] = trace_of(seed)
        else:
            turns += world.turns
            counts += world.counts
    return Result(len(seeds), turns, counts, violations)


def trace_of(seed: int) -> list[str]:
    """The seed once more, with its steps."""
    try:
        world: World = simulate(seed, traced=True)
    except Violation as violation:
        return [*violation.trace, f"seed {seed}: VIOLATION: {violation}"]
    return [*world.trace, f"seed {seed}: VIOLATION, and none when it is run again: it is not deterministic"]


def summary(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in COUNTED)


if __name__ == "__main__":
    sys.exit(main())
