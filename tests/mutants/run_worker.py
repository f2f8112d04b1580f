"""``make worker-mutants``: plant one error at a time in how the worker delivers, and show which experiment catches it.

Prints a line per mutant, and writes its row into the table of ``docs/mutants.md``. Ends with 1 if one survives, with 2
if one cannot be planted or the simulation fails without one. Arguments are parts of the names of the mutants expected.
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
from tests.source_tree import LEFT_OUT

PAGE = ROOT / "docs" / "mutants.md"
BEGIN, END = "<!-- made by make worker-mutants -->\n", "<!-- end -->\n"
HEAD = "| Planted error | In | Caught by | Which says |\n|---|---|---|---|"
SEEDS = 1_000
SEEDS_WITHOUT = 100
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
        shutil.copytree(ROOT / "src", source, ignore=LEFT_OUT)
        code, output = simulated(source, SEEDS_WITHOUT)
        if code != PASSED:
            print(f"The simulation fails without a planted error:\n{output}")
            return 2
        caught = {one.mutant.wrong: with_planted(one, source) for one in expected}
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
    PAGE.write_text(with_row(PAGE.read_text(), one.mutant.wrong, row(one, caught)))
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


def row(one: WorkerMutant, caught: Caught) -> str:
    said = caught.said.replace("|", "/")
    return f"| {one.mutant.wrong} | `{one.mutant.file}` | {caught.by or '**nothing**'} | {said} |"


def with_row(page: str, wrong: str, made: str) -> str:
    """The page with this row, in the order of the planted errors; rows of errors that are there no more go."""
    before, _, rest = page.partition(BEGIN)
    lines, _, after = rest.partition(END)
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in lines.splitlines()} | {wrong: made}
    ordered = [rows[one.mutant.wrong] for one in WORKER_MUTANTS if one.mutant.wrong in rows]
    return "\n".join([f"{before}{BEGIN}{HEAD}", *ordered, f"{END}{after}"])


if __name__ == "__main__":
    sys.exit(main())
