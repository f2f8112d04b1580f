"""What the JSON Schema of the model file has in it: every object, and the keys of the file."""

from collections.abc import Iterator

from leadscore.model.json_schema import model_schema


def objects(schema: object) -> Iterator[dict[str, object]]:
    """Every schema inside the schema."""
    if isinstance(schema, dict):
        yield schema
        for part in schema.values():
            yield from objects(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from objects(part)


def keys_of_the_schema() -> set[str]:
    """Every key that a model file may have."""
    return {
        name
        for part in objects(model_schema())
        if isinstance(properties := part.get("properties"), dict)
        for name in properties
    }


def keys_within(value: object) -> Iterator[str]:
    """Every key in a model."""
    if isinstance(value, dict):
        yield from value
        for part in value.values():
            yield from keys_within(part)
    elif isinstance(value, list):
        for part in value:
            yield from keys_within(part)
