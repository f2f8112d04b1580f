"""The same events give the same bytes: compiled or not, on every version of Python, and in every release."""

import ast
import json
from pathlib import Path

import pytest

from tests.same_bytes import DIGESTS, WORKLOADS, digests_of

SOURCE = Path(__file__).resolve().parents[2] / "src" / "leadscore"
ADDS_UP = sorted(
    [*(SOURCE / "scoring").glob("*.py"), *(SOURCE / "model" / f"{name}.py" for name in ("compile", "compiled"))]
)
"""Where points are added up."""
COMPENSATING = {"sum", "fsum", "sumprod", "statistics"}
"""What adds floats up otherwise than by one rounding per addition, on some version of Python at least."""


@pytest.mark.parametrize("name", WORKLOADS)
def test_states_crossings_and_frames_are_the_bytes_of_every_build(name: str) -> None:
    expected = json.loads(DIGESTS.read_text())[name]
    assert digests_of(WORKLOADS[name]())._asdict() == expected


def test_the_workloads_reach_every_cause_of_a_crossing() -> None:
    crossings = json.loads(DIGESTS.read_text())["everything"]["crossings"]
    assert set(crossings) == {"EVENT", "COMMAND", "INSTANT", "TIME", "DISQUALIFIED", "RECYCLED"}


def compensated_sums(source: str) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name | ast.Attribute):
            names.append(node.id if isinstance(node, ast.Name) else node.attr)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names += [alias.name for alias in node.names]
            names.append((node.module if isinstance(node, ast.ImportFrom) else None) or "")
    return [name for name in names if name in COMPENSATING]


@pytest.mark.parametrize("path", ADDS_UP, ids=lambda path: path.stem)
def test_the_fold_adds_up_with_loops_and_plain_sum(path: Path) -> None:
    assert compensated_sums(path.read_text()) == []


@pytest.mark.parametrize(
    "planted",
    [
        "total = sum(x for x in y)",
        "from math import fsum",
        "import math\nmath.fsum(y)",
        "from statistics import mean",
        "import statistics",
    ],
)
def test_a_planted_compensated_sum_is_caught(planted: str) -> None:
    assert compensated_sums(planted) != []
