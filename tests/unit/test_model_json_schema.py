"""The JSON Schema of the model file."""

import json
from pathlib import Path

from leadscore.model.json_schema import model_schema
from tests.unit.schema_keys import objects

CURRENT = Path(__file__).parents[2] / "schemas" / "model.schema.json"


def test_the_schema_in_the_repository_is_current() -> None:
    assert json.loads(CURRENT.read_text(encoding="utf-8")) == model_schema(), "run: leadscore check --schema"


def test_every_key_has_a_description() -> None:
    keys = [
        (name, key)
        for part in objects(model_schema())
        if isinstance(properties := part.get("properties"), dict)
        for name, key in properties.items()
    ]

    assert len(keys) > 50
    assert [name for name, key in keys if not key.get("description")] == []


def test_no_mapping_takes_unknown_keys() -> None:
    mappings = [part for part in objects(model_schema()) if "properties" in part and part.get("type") == "object"]

    assert len(mappings) > 10
    assert [part["title"] for part in mappings if part["additionalProperties"] is not False] == []


def test_null_is_never_a_choice() -> None:
    assert [
        part for part in objects(model_schema()) if part.get("type") == "null" or part.get("default", 0) is None
    ] == []


def test_every_reference_leads_somewhere() -> None:
    schema = model_schema()
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)

    references = {str(part["$ref"]) for part in objects(schema) if "$ref" in part}

    assert {reference.removeprefix("#/$defs/") for reference in references} == set(definitions)


def test_the_schema_says_what_it_is() -> None:
    schema = model_schema()

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == "urn:leadscore:schema:model"
    assert schema["title"] == "leadscore model"
    assert schema["required"] == ["model", "version"]


def test_an_editor_sees_that_a_choice_is_made_once_and_that_tests_are_not_empty() -> None:
    definitions = model_schema()["$defs"]
    assert isinstance(definitions, dict)

    for name in ("Decay", "When"):
        assert (definitions[name]["minProperties"], definitions[name]["maxProperties"]) == (1, 1)
    assert [definitions[name]["minProperties"] for name in ("Test", "AttributeTest", "Band", "Condition")] == [
        1,
        2,
        2,
        2,
    ]
    assert definitions["Fit"]["properties"]["grades"]["propertyNames"] == {"enum": ["A", "B", "C", "D", "E", "F"]}
