"""docs/design.md as the tests read it: its sections, its blocks, and the table of worked examples."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")

_HEADING = re.compile(r"^#{2,3} (\d+(?:\.\d+)?)\.? ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class WorkedExample:
    """A row of the table in 1.6: what the lead has, when its score is read, and what it is."""

    case: str
    days: tuple[float, ...]
    scores: tuple[float, ...]


def section_numbers() -> set[str]:
    """``1``, ``1.1`` and so on."""
    return set(_HEADING.findall(PAGE))


def section(number: str) -> str:
    """The text of a section, up to the next heading of its level or above."""
    text = re.split(rf"^### {re.escape(number)} .*$", PAGE, maxsplit=1, flags=re.MULTILINE)[1]
    return re.split(r"^#{2,3} ", text, maxsplit=1, flags=re.MULTILINE)[0]


def block(number: str, language: str) -> str:
    """The only code block of that language in the section."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```", section(number), re.MULTILINE | re.DOTALL)
    return str(text)


@cache
def worked_examples() -> tuple[WorkedExample, ...]:
    """The rows of the table in 1.6, in its order."""
    rows = re.findall(r"^\| (.*\d.*) \| (.*) \| (.*) \|$", section("1.6"), re.MULTILINE)
    return tuple(WorkedExample(case, _numbers(days), _numbers(scores)) for case, days, scores in rows)


def _numbers(cell: str) -> tuple[float, ...]:
    return tuple(float(number) for number in cell.split(", "))
