"""docs/design.md: every reference leads to a section, and its examples are what the product reads."""

import re
from pathlib import Path

import pytest

from leadscore.events.json_lines import read_lines
from leadscore.log.records import COMMANDS
from leadscore.model.load import parse_model
from leadscore.scoring.crossing import Crossing
from tests.design_page import PAGE, block, section, section_numbers
from tests.unit.model_texts import EVERYTHING

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = re.compile(r"\bdesign(?:\.md)?,? (?:section )?(\d+(?:\.\d+)?(?:(?:, |-| and )\d+\.\d+)*)")
SOURCES = [
    path
    for folder in ("src", "tests", "schemas", "deploy")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".lua", ".md", ".yaml", ".avsc"} and path.is_file() and path != Path(__file__)
]


def references(text: str) -> set[str]:
    """The sections that a text refers to: ``design 1.4, 1.7`` are two of them."""
    return {number for named in REFERENCE.findall(text) for number in re.findall(r"\d+(?:\.\d+)?", named)}


def test_the_page_has_its_sections_in_order() -> None:
    expected = ["1", *(f"1.{number}" for number in range(1, 13)), "2", *(f"2.{number}" for number in range(1, 11))]
    assert sorted(section_numbers(), key=lambda number: [int(part) for part in number.split(".")]) == expected


def test_every_reference_to_the_design_leads_to_a_section() -> None:
    named = {path.relative_to(ROOT).as_posix(): references(path.read_text()) for path in SOURCES}
    assert sum(1 for numbers in named.values() if numbers) > 40
    assert {path: numbers - section_numbers() for path, numbers in named.items() if numbers - section_numbers()} == {}


def test_every_reference_within_the_page_leads_to_a_section() -> None:
    text = PAGE.partition("## Planned")[0]
    named = {number for inside in re.findall(r"\(([12]\.\d+(?:, [12]\.\d+)*)\)", text) for number in inside.split(", ")}
    assert len(named) > 5
    assert named - section_numbers() == set()


def test_a_planted_reference_is_seen() -> None:
    assert references("twice (design 1.4, 1.7), and docs/design.md 2.9; design 3.1-3.2") == {
        "1.4",
        "1.7",
        "2.9",
        "3.1",
        "3.2",
    }


def test_the_model_of_the_page_is_the_one_that_the_tests_of_the_model_read() -> None:
    assert parse_model(block("1.10", "yaml"), "design.md") == parse_model(EVERYTHING, "model.yaml")


def test_the_lines_of_the_page_are_events() -> None:
    lines = list(read_lines(block("1.11", "json").splitlines(), "design.md"))
    assert [line.event.event_id for line in lines] == ["e1", "e2", "e3", "c1", "c2"]


def test_the_page_names_every_command() -> None:
    named = set(re.findall(r"command\.\w+", section("1.11")))
    assert named == set(COMMANDS)


@pytest.mark.parametrize("name", Crossing.__struct_fields__)
def test_the_page_names_every_field_of_a_crossing(name: str) -> None:
    assert f"`{name.removesuffix('_ms')}`" in section("1.7")


def test_the_page_says_where_the_tests_of_a_field_are_defined() -> None:
    assert "[table of tests](model.md#rules-points-for-events)" in section("1.10")
    assert "\n## rules: points for events\n" in (ROOT / "docs" / "model.md").read_text()
