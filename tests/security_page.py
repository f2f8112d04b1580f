"""The settings that docs/security.md gives for each kind of login, as tests use them on servers of their own."""

import re
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "security.md"


def environment(heading: str, instead: Mapping[str, str]) -> dict[str, str]:
    """The variables of a section; what the page names (hosts, files, users) is replaced, each at least once."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1]
    block = section.split("```sh\n")[1].split("```")[0]
    for name, ours in instead.items():
        assert name in block, f"{name} is not in the section {heading!r}"
        block = block.replace(name, ours)
    return dict(line.split("=", 1) for line in block.strip().splitlines())


def told_refusals() -> list[str]:
    """What the log says when a login or a certificate is refused."""
    section = PAGE.read_text(encoding="utf-8").split("\n## When it is refused\n")[1]
    return [words for row in section.splitlines()[3:] for words in re.findall("`([^`]+)`", row.split("|")[1])]
