"""The JSON Schema of the model file, made out of the types, for editors that complete and check while one writes.

A value the schema refuses is refused by ``load`` too; ``load`` knows more than a schema can say.
"""

import msgspec

from leadscore.model.compiled import GRADES
from leadscore.model.definition import ModelDefinition

_NULL = {"type": "null"}
_ROOT = "ModelDefinition"
_ONE = {"minProperties": 1, "maxProperties": 1}
_KEY_COUNTS = {
    "Decay": _ONE,
    "When": _ONE,
    "Test": {"minProperties": 1},
    "AttributeTest": {"minProperties": 2},
    "Band": {"minProperties": 2},
    "Condition": {"minProperties": 2},
}
"""How many keys a mapping has at least and at most: what the types cannot say, and ``sense`` does."""


def model_schema() -> dict[str, object]:
    """The schema, ready to be written as JSON."""
    _, definitions = msgspec.json.schema_components([ModelDefinition], ref_template="#/$defs/{name}")
    root = definitions.pop(_ROOT)
    for name, expected in _KEY_COUNTS.items():
        definitions[name] |= expected
    definitions["Fit"]["properties"]["grades"]["propertyNames"] = {"enum": list(GRADES)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:leadscore:schema:model",
        **_without_null({**root, "title": "leadscore model", "$defs": definitions}),
    }


def _without_null(schema: dict[str, object]) -> dict[str, object]:
    """Optional keys are left out of a model file, never empty; so ``null`` is no choice and no default."""
    cleaned = {key: _cleaned(item) for key, item in schema.items() if not (key == "default" and item is None)}
    choices = cleaned.get("anyOf")
    if isinstance(choices, list) and len(choices) == 1:
        del cleaned["anyOf"]
        return {**choices[0], **cleaned}
    return cleaned


def _cleaned(value: object) -> object:
    if isinstance(value, list):
        return [_cleaned(item) for item in value if item != _NULL]
    return _without_null(value) if isinstance(value, dict) else value
