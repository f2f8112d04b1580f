"""docs/configuration.md says what the code says."""

from pathlib import Path

from leadscore.ops.config import Setting, settings, variable_of
from leadscore.ops.kafka_properties import OWNED

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def table_rows(heading: str) -> list[list[str]]:
    """The rows of the table below a heading, cell by cell, without its head."""
    section = DOCUMENT.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def documented(name: str, setting: Setting) -> list[str]:
    default = "none" if setting.default is None else f"`{setting.default}`"
    expected = setting.expected.what + (" (secret)" if setting.secret else "")
    return [f"`{variable_of(name)}`", default, expected[0].upper() + expected[1:], setting.meaning]


def test_the_document_lists_every_setting_as_it_is_declared() -> None:
    assert table_rows("Settings") == [documented(name, setting) for name, setting in settings().items()]


def test_the_document_lists_every_property_that_the_worker_owns() -> None:
    assert table_rows("Properties the worker owns") == [
        *([f"`{name}`", why[0].upper() + why[1:]] for name, why in OWNED.items()),
        ["`*.cb`, `on.*`", "Callbacks are the worker's"],
    ]
