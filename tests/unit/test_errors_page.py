"""docs/errors.md lists every kind of error, in the order of the code, with metrics and tests that exist."""

import re
from pathlib import Path

import pytest

from leadscore.errors import KafkaErrorKind
from leadscore.ops.metrics import Metrics
from leadscore.store.failures import FailureKind

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")


def rows_below(heading: str) -> list[list[str]]:
    """The cells of every row of a section's tables, without their heads."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return [cells for cells in rows if "Test" not in cells and not cells[0].startswith("---")]


def kinds_below(heading: str) -> list[str]:
    """Of the table of kinds, whose first cells are one word."""
    return [cells[0] for cells in rows_below(heading) if re.fullmatch(r"[a-z_]+", cells[0])]


def test_every_kind_of_redis_error_has_its_row() -> None:
    assert kinds_below("Redis") == [kind.value for kind in FailureKind]


def test_every_kind_of_kafka_error_has_its_row() -> None:
    assert kinds_below("Kafka") == [kind.value for kind in KafkaErrorKind]


def test_every_test_that_is_named_is_there() -> None:
    written = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    named = [re.fullmatch(r"`(test_\w+)`", cells[-1]) for part in ("Redis", "Kafka") for cells in rows_below(part)]
    assert all(named)
    assert {match[1] for match in named if match} - written == set()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(leadscore_\w+)`", PAGE))))
def test_every_metric_that_is_named_is_there(name: str) -> None:
    assert name in {described.name for described in Metrics("0", []).described}
