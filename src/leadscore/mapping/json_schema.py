"""The JSON Schema of mappings files, made out of the types, for editors that complete and check while one writes.

A value the schema refuses is refused by ``load`` too; ``load`` knows more than a schema can say.
"""

import msgspec

from leadscore.mapping.language import TopicMapping
from leadscore.mapping.load import preset_names
from leadscore.yaml_reading.editor_schema import without_null

_ROOT = "TopicMapping"


def mappings_schema() -> dict[str, object]:
    """The schema, ready to be written as JSON."""
    _, definitions = msgspec.json.schema_components([TopicMapping], ref_template="#/$defs/{name}")
    definitions["Test"] |= {"minProperties": 1}
    definitions[_ROOT]["properties"]["preset"]["enum"] = list(preset_names())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:leadscore:schema:mappings",
        "title": "leadscore mappings",
        "description": "How the records of foreign topics become events: one entry per topic.",
        "type": "object",
        "additionalProperties": {"$ref": f"#/$defs/{_ROOT}"},
        "$defs": without_null(definitions),
    }
