"""The JSON Schema of the model file, made out of the types, for editors that complete and check while one writes.

A value the schema refuses is refused by ``load`` too; ``load`` knows more than a schema can say.
"""

import msgspec

from leadscore.model.compiled import GRADES
from leadscore.model.definition import ModelDefinition
from leadscore.yaml_reading.editor_schema import without_null

_ROOT = "ModelDefinition"
_ONE = {"minProperties": 1, "maxProperties": 1}
_KEY_COUNTS = {
    "Decay": _ONE,
    "When": _ONE,
    "Active": {"minProperties": 1},
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
        **without_null({**root, "title": "leadscore model", "$defs": definitions}),
    }
