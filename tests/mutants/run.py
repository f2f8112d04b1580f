"""``make mutants``: plant one error at a time in a copy of the source, and show which test catches it.

Prints a line per mutant. Ends with 1 if one survives, with 2 if one cannot be planted or a test fails without one.
Arguments, if any, are parts of the names of the mutants expected.
"""

# ruff: noqa: T201  # a command prints

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutants.table import MUTANTS, Mutant
from tests.source_tree import LEFT_OUT

ROOT = Path(__file__).parents[2]
UNIT = Path("tests/unit")
PASSED, FAILED = 0, 1
WIDTH = 56


def main() -> int:
    expected = [mutant for mutant in MUTANTS if not sys.argv[1:] or any(part in mutant.wrong for part in sys.argv[1:])]
    unplantable = [mutant for mutant in expected if not is_plantable(mutant)]
    for mutant in unplantable:
        print(f"{mutant.wrong}: its old text does not stand exactly once in {mutant.file}: {mutant.old!r}")
    if unplantable:
        return 2
    with TemporaryDirectory() as scratch:
        source = Path(scratch) / "src"
        shutil.copytree(ROOT / "src", source, ignore=LEFT_OUT)
        code, output = tested(source)
        if code != PASSED:
            print(f"The tests fail without a planted error:\n{output}")
            return 2
        return summary([survives(mutant, source) for mutant in expected])


def is_plantable(mutant: Mutant) -> bool:
    return (ROOT / "src/leadscore" / mutant.file).read_text().count(mutant.old) == 1


def survives(mutant: Mutant, source: Path) -> bool:
    """Whether all tests pass with the error planted; the source is as before afterwards."""
    path = source / "leadscore" / mutant.file
    text = path.read_text()
    path.write_text(text.replace(mutant.old, mutant.new))
    code, output = tested(source)
    path.write_text(text)
    caught_by = first_failed(output) if code == FAILED else None
    print(f"{mutant.wrong:{WIDTH}} {caught_by or f'NOT CAUGHT (pytest ended with {code})'}", flush=True)
    return caught_by is None


def tested(source: Path) -> tuple[int, str]:
    """What pytest says of this source: sentences first, then the random histories, up to the first failure."""
    files = [
        *sorted((ROOT / UNIT).glob("test_semantics_*.py")),
        UNIT / "test_worked_examples.py",
        UNIT / "test_old_states.py",
    ]
    options: list[str | Path] = ["-x", "-q", "--tb=line", "-p", "no:randomly", "-p", "no:cacheprovider"]
    histories: list[str | Path] = [
        "-p",
        "tests.mutants.profile",
        "--hypothesis-profile",
        "mutants",
        UNIT / "test_spared_work.py",
        UNIT / "test_random_histories.py",
        UNIT / "test_simulation.py",
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *files, *histories],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def first_failed(output: str) -> str | None:
    return next((line.split()[1] for line in output.splitlines() if line.startswith("FAILED ")), None)


def summary(survived: Iterable[bool]) -> int:
    results = list(survived)
    print(f"{len(results) - sum(results)} of {len(results)} planted errors are caught.")
    return int(any(results))


if __name__ == "__main__":
    sys.exit(main())
