"""Plain words (see CONTRIBUTING): phrases and names that must not come back into the pages and the source.

The lists are short on purpose: each entry is a habit that this repository had, with what to write in its place.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "schemas/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
SOURCES = sorted((ROOT / "src" / "leadscore").rglob("*.py"))
TESTS = [path for path in sorted((ROOT / "tests").rglob("*.py")) if path != Path(__file__)]
EXAMPLES = [path for folder in ("examples", "deploy") for path in sorted((ROOT / folder).rglob("*.py"))]
SCRIPTS = [*sorted((ROOT / "src" / "leadscore").rglob("*.lua")), *sorted((ROOT / "examples").rglob("*.js"))]
TEXTS = [
    ROOT / "Makefile",
    *sorted((ROOT / "schemas").glob("*.avsc")),
    *sorted(path for path in (ROOT / "deploy").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")),
]

BANNED_PHRASES = {
    r"wanted": "expected",
    r"(?:there|that|which|one|it) is none|if none is": "does not exist, there is no ...",
    r"so many": "at most n, at least n, this many",
    r"mend(?:s|ed|ing)?": "fix",
    r"lies about": "is wrong about",
    r"hears": "is told, is notified",
    r"somebody|anybody": "another worker, an operator, anyone",
    r"fad(?:e|es|ed|ing)": "decay",
    r"grant(?:s|ed|ing)?": "award",
}
BANNED_NAMES = {
    "known": "what it is: the state, the model, the names",
    "given": "what it is: the award, the arguments",
    "each": "the noun: the partition, the row",
    "found": "what was found: the rows, the problems",
    "wanted": "expected",
}


def banned_phrases(text: str) -> set[str]:
    """The banned phrases that occur in the text, as they stand there."""
    return {match[0] for phrase in BANNED_PHRASES for match in re.finditer(rf"\b(?:{phrase})\b", text, re.IGNORECASE)}


def prose_of(source: str) -> Iterator[str]:
    """Comments, docstrings and messages of a Python file."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.COMMENT)):
            yield token.string


def banned_names(source: str) -> set[str]:
    """The banned names that are bound: variables, arguments, loop variables."""
    nodes = list(ast.walk(ast.parse(source)))
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return (bound | {node.arg for node in nodes if isinstance(node, ast.arg)}) & BANNED_NAMES.keys()


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_a_page_is_written_in_plain_words(page: Path) -> None:
    # The glossary names the words that are not to be used.
    text, _, glossary = page.read_text(encoding="utf-8").partition("\n## Glossary\n")
    assert banned_phrases(text + glossary.partition("\n## ")[2]) == set()


@pytest.mark.parametrize("path", [*SOURCES, *TESTS, *EXAMPLES], ids=relative)
def test_a_module_is_written_in_plain_words(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert {phrase for text in prose_of(source) for phrase in banned_phrases(text)} == set()
    assert banned_names(source) == set()


@pytest.mark.parametrize("path", [*SCRIPTS, *TEXTS], ids=relative)
def test_a_script_or_a_file_of_settings_is_written_in_plain_words(path: Path) -> None:
    assert banned_phrases(path.read_text(encoding="utf-8")) == set()


def test_planted_phrases_and_names_are_caught() -> None:
    source = 'def run(given):\n    """Somebody waits so long."""\n    found = f"{given} is wanted"  # points fade\n'
    assert {phrase for text in prose_of(source) for phrase in banned_phrases(text)} >= {"Somebody", "wanted", "fade"}
    assert banned_names(source) == {"given", "found"}
    assert banned_phrases("The award is a known value that decays; a hearing, mandate, granted-at") == {"granted"}
