"""docs/model.md: every key of the model file is in it, with an example, and every example loads."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadscore.model import yaml_text
from leadscore.model.json_schema import model_schema
from leadscore.model.load import parse_model
from tests.unit.model_texts import minimal_with
from tests.unit.test_model_json_schema import objects

PAGE = (Path(__file__).parents[2] / "docs" / "model.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def keys_of_the_schema() -> set[str]:
    return {
        name
        for part in objects(model_schema())
        if isinstance(properties := part.get("properties"), dict)
        for name in properties
    }


def keys_within(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for part in value.values():
            yield from keys_within(part)
    elif isinstance(value, list):
        for part in value:
            yield from keys_within(part)


def documented_keys() -> set[str]:
    """What stands in backticks in the first column of a table."""
    first_columns = re.findall(r"^\|([^|]*)\|", PAGE, re.MULTILINE)
    return {key for column in first_columns for key in re.findall(r"`([a-z_]+)[`:]", column)}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.split("\n")[1])
def test_every_example_loads(example: str) -> None:
    fragment = example.startswith("# fragment\n")

    parse_model(minimal_with(example) if fragment else example, "example")


def test_every_key_of_the_model_file_is_in_the_page() -> None:
    mentioned = set(re.findall(r"`([a-z_]+)[`:]", PAGE))

    assert keys_of_the_schema() - mentioned == set()


def test_every_key_of_the_model_file_is_in_an_example() -> None:
    shown = {key for example in EXAMPLES for key in keys_within(yaml_text.read(example).value)}

    assert keys_of_the_schema() - shown == set()


def test_the_tables_name_no_key_that_does_not_exist() -> None:
    words = {"none"}  # a word of `decay`, no key

    assert documented_keys() - keys_of_the_schema() == words


def test_the_page_explains_most_keys_in_tables() -> None:
    assert len(documented_keys()) > 40
