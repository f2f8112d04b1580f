"""Plain words: phrases of a dialect that must not come back."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "docs" / "design.md", ROOT / "docs" / "promise.md", ROOT / "docs" / "benchmarks.md"]

BANNED = {
    r"\bwanted\b": "expected",
    r"\b(?:there|that|which|one|it) is none\b|\bif none is\b": "does not exist; there is no ...",
    r"\bso many\b": "at most n, at least n, this many",
    r"\bmend(?:s|ed|ing)?\b": "fix",
    r"\blies about\b": "is wrong about",
    r"\bhears?\b": "is told, is notified",
    r"\b[Ss]omebody\b": "another worker, an operator, anyone",
    r"\bfad(?:e|es|ed|ing)\b": "decay",
    r"\bmade[- ]up\b": "invented",
    r"\be-mail\b": "email",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_uses_plain_words(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert {(match[0], instead) for phrase, instead in BANNED.items() for match in re.finditer(phrase, text)} == set()
