"""``make worker-mutants``: plant one error at a time in how the worker delivers, and show which experiment catches it.

Prints a line per mutant and, without arguments, writes the table into ``docs/mutants.md``. Ends with 1 if one survives,
with 2 if one cannot be planted or the simulation fails without one. Arguments are parts of the names of the mutants.
"""

# ruff: noqa: T201  # a command prints

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.mutants.of_the_worker import SIMULATION, WORKER_MUTANTS, WorkerMutant
from tests.mutants.run import FAILED, PASSED, ROOT, first_failed, is_plantable

PAGE = ROOT / "docs" / "mutants.md"
BEGIN, END = "<!-- made by make worker-mutants -->\n", "<!-- end -->\n"
SEEDS = 1_000
SEEDS_WITHOUT = 300
_FIRST_VIOLATION = re.compile(r"^seed (\d+): VIOLATION: (.*)$", re.MULTILINE)
LONGEST = 90


class Caught(NamedTuple):
    """What caught an error, and what it said; empty if nothing did."""

    by: str
    said: str


def main() -> int:
    parts = sys.argv[1:]
    expected = [one for one in WORKER_MUTANTS if not parts or any(part in one.mutant.wrong for part in parts)]
    for one in expected:
        if not is_plantable(one.mutant):
            print(f"{one.mutant.wrong}: its old text does not stand exactly once in {one.mutant.file}")
            return 2
    with TemporaryDirectory() as scratch:
        source = Path(scratch) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        code, output = simulated(source, SEEDS_WITHOUT)
        if code != PASSED:
            print(f"The simulation fails without a planted error:\n{output}")
            return 2
        caught = {one: with_planted(one, source) for one in expected}
    if not parts:
        PAGE.write_text(with_table(PAGE.read_text(), table(caught)))
    survived = sum(not one.by for one in caught.values())
    print(f"{len(caught) - survived} of {len(caught)} planted errors are caught.")
    return int(survived > 0)


def with_planted(one: WorkerMutant, source: Path) -> Caught:
    """What catches the error; the source is as before afterwards."""
    path = source / "leadscore" / one.mutant.file
    text = path.read_text()
    path.write_text(text.replace(one.mutant.old, one.mutant.new))
    caught = by_simulation(source) if one.caught_by == SIMULATION else by_test(source, one.caught_by)
    path.write_text(text)
    print(f"{one.mutant.wrong:70} {caught.by or 'NOT CAUGHT'} {caught.said}", flush=True)
    return caught


def by_simulation(source: Path) -> Caught:
    code, output = simulated(source, SEEDS)
    violation = _FIRST_VIOLATION.search(output)
    if code != FAILED or violation is None:
        return Caught("", output[-200:] if code not in {PASSED, FAILED} else "")
    seed, said = violation.groups()
    return Caught(
        f"`make simulate-faults FIRST={seed} SEEDS=1`", said if len(said) <= LONGEST else f"{said[:LONGEST]}…"
    )


def simulated(source: Path, seeds: int) -> tuple[int, str]:
    return _run(source, "tests.simulation.run", "--seeds", str(seeds), "--until-violation")


def by_test(source: Path, test: str) -> Caught:
    code, output = _run(source, "pytest", "-x", "-q", "--tb=line", "-p", "no:cacheprovider", test)
    failed = first_failed(output) if code == FAILED else None
    return Caught(f"`{failed}`", "it fails") if failed else Caught("", "")


def _run(source: Path, module: str, *words: str) -> tuple[int, str]:
    environ = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", module, *words]
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def table(caught: dict[WorkerMutant, Caught]) -> str:
    rows = [
        f"| {one.mutant.wrong} | `{one.mutant.file}` | {result.by or '**nothing**'} | {result.said.replace('|', '/')} |"
        for one, result in caught.items()
    ]
    return "\n".join(["| Planted error | In | Caught by | Which says |", "|---|---|---|---|", *rows, ""])


def with_table(page: str, made: str) -> str:
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{made}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    sys.exit(main())
