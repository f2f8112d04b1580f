"""What an Avro schema says of the numbers in a mapped record: their unit, by where they are. Pure.

A mapping's ``occurred_at_unit`` is for numbers of which the schema says nothing: what has a unit is never divided by
another.
"""

from collections.abc import Iterator
from typing import cast

from leadscore.events.avro_schema import AvroSchema, Schema, fields_of
from leadscore.mapping.paths import Steps
from leadscore.mapping.times import LOGICAL_TYPES, SEVERAL, LogicalType


class RecordShape:
    """The logical types in a record schema."""

    def __init__(self, schema: AvroSchema) -> None:
        self._schema = schema
        self._logical: dict[Steps, LogicalType | None] = {}

    def logical_at(self, steps: Steps) -> LogicalType | None:
        """What the schema says of numbers behind the steps; remembered, for mappings have few paths."""
        if steps not in self._logical:
            self._logical[steps] = self._looked_up(steps)
        return self._logical[steps]

    def _looked_up(self, steps: Steps) -> LogicalType | None:
        schemas: list[Schema] = [self._schema.definition]
        for step in steps:
            inner = (branch for schema in schemas for part in _inside(schema, step) for branch in self._branches(part))
            schemas = list({id(schema): schema for schema in inner}.values())
        logical = {_logical_of(schema) for schema in schemas if _is_whole(schema)}
        if len(logical) > 1:
            return SEVERAL
        return logical.pop() if logical else None

    def _branches(self, schema: Schema) -> Iterator[Schema]:
        resolved = self._schema.resolve(schema)
        for branch in resolved if isinstance(resolved, list) else [resolved]:
            yield self._schema.resolve(branch)


def _inside(schema: Schema, step: str | int) -> Iterator[Schema]:
    """The schemas of what one step into a value of the schema leads to."""
    if not isinstance(schema, dict):
        return
    if schema["type"] == "record":
        yield from (field_schema for name, field_schema in fields_of(schema) if name == step)
    elif schema["type"] == ("map" if isinstance(step, str) else "array"):
        yield cast("Schema", schema["values" if isinstance(step, str) else "items"])


def _is_whole(schema: Schema) -> bool:
    return (schema["type"] if isinstance(schema, dict) else schema) in ("int", "long")


def _logical_of(schema: Schema) -> LogicalType | None:
    """What a schema of whole numbers says of them; a logical type that does not fit its type is none, as in Avro."""
    if not isinstance(schema, dict):
        return None
    name = str(schema.get("logicalType", ""))
    return LOGICAL_TYPES.get(name) if (name == "date") == (schema["type"] == "int") else None
