"""docs/first-hour.md: thirty checks, each with a test or a command that exists, in the run that the page names."""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from tests.commands_page import commands

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "first-hour.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \| (.+?) \|$", TEXT, re.MULTILINE)
NAMED = re.compile(r"`([^`]+)`(?: \(`(make [\w-]+)`\))?")
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))
COMMANDS = {words for words, _ in commands()}


@cache
def file_by_test() -> dict[str, Path]:
    return {
        name: path
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }


def is_full(path: Path, test: str) -> bool:
    """Whether the test, or all of its file, is marked as one of the full size."""
    text = path.read_text(encoding="utf-8")
    of_the_test = rf"^@pytest\.mark\.full\n(?:@.*\n)*def {test}\("
    return re.search(rf"^pytestmark = .*mark\.full|{of_the_test}", text, re.MULTILINE) is not None


def run_by(path: Path, test: str) -> set[str]:
    """The targets of the Makefile that run the test; empty: ``make test`` does."""
    if path.parent.name == "faults":
        return {"make faults"}
    if is_full(path, test):
        own = re.findall(r"^([\w-]+):.*\n(?:\t.*\n)*?\t.*-m full .*" + re.escape(path.name), MAKEFILE, re.MULTILINE)
        return {"make full", *(f"make {target}" for target in own)}
    return set()


def test_a_mark_on_one_test_of_a_file_counts_for_it_alone() -> None:
    marked = "test_every_kind_of_fault_raises_its_alerts_and_no_others"
    unmarked = "test_an_outage_of_redis_raises_its_alerts_and_every_query_has_data"
    assert "make alerts-live" in run_by(file_by_test()[marked], marked)
    assert run_by(file_by_test()[unmarked], unmarked) == set()


def test_there_are_thirty_checks_in_order() -> None:
    assert [int(number) for number, *_ in ROWS] == list(range(1, 31))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_check_names_a_test_or_a_command_that_exists(row: tuple[str, str, str, str]) -> None:
    named = NAMED.findall(row[3])
    assert named
    for what, target in named:
        if what.startswith("test_"):
            path = file_by_test().get(what)
            assert path is not None, f"there is no test {what}"
            expected = run_by(path, what)
            assert target in expected if expected else not target, f"{what} is run by {expected or 'make test'}"
        elif what.startswith("make "):
            assert what.split()[1] in TARGETS, what
        else:
            words = shlex.split(what)
            assert " ".join(words[:3]) in COMMANDS or " ".join(words[:2]) in COMMANDS, what


def test_every_target_of_the_page_exists() -> None:
    assert set(re.findall(r"`make ([\w-]+)`", TEXT)) <= TARGETS


def test_every_test_of_the_page_exists() -> None:
    assert set(re.findall(r"`(test_\w+)`", TEXT)) <= file_by_test().keys()
