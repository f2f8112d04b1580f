"""JSON Schemas of our files, as editors read them: optional keys are left out, never empty. Pure."""

_NULL = {"type": "null"}


def without_null(schema: dict[str, object]) -> dict[str, object]:
    """Optional keys are left out of a file, never empty; so ``null`` is no choice and no default."""
    cleaned = {key: _cleaned(item) for key, item in schema.items() if not (key == "default" and item is None)}
    choices = cleaned.get("anyOf")
    if isinstance(choices, list) and len(choices) == 1:
        del cleaned["anyOf"]
        return {**choices[0], **cleaned}
    return cleaned


def _cleaned(value: object) -> object:
    if isinstance(value, list):
        return [_cleaned(item) for item in value if item != _NULL]
    return without_null(value) if isinstance(value, dict) else value
