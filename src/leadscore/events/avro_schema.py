"""Writer schemas that are safe to compile: parsed, not recursive, no items without bytes. Pure.

A schema comes from a registry that others write to. Recursion would let a value nest without end, an array of items
of no width would let five bytes say two billion items; both are refused when the schema is first seen.
"""

from collections.abc import Set as AbstractSet
from typing import cast

import msgspec
from fastavro.schema import SchemaParseException, UnknownType, parse_schema

from leadscore.errors import DeadLetter, DeadLetterReason

Schema = str | list["Schema"] | dict[str, object]
"""A schema as JSON has it: a name, a union, or a definition."""

MAX_SCHEMA_BYTES = 256 * 1024
MAX_SCHEMA_DEPTH = 50
MAX_UNION_BRANCHES = 64
"""So that an index is one byte."""


class AvroSchema:
    """A parsed record schema: its definition and every named type in it, names written in full."""

    def __init__(self, text: str | bytes) -> None:
        """Raise ``DeadLetter`` (``UNKNOWN_SCHEMA``) for what is no schema, or none to read values with."""
        definition = _parsed(text)
        self._named: dict[str, dict[str, object]] = definition.pop("__named_schemas", {})  # type: ignore[assignment]
        if definition.get("type") != "record":
            raise refused("the schema is not a record")
        self.definition = definition
        self.name = str(definition["name"])
        self._zero_width: dict[str, bool] = {}
        self._depths: dict[str, int] = {}
        self._depth_of(definition)

    def resolve(self, schema: Schema) -> Schema:
        """The definition behind a name or a wrapping; everything else as it is."""
        while True:
            if isinstance(schema, str) and schema in self._named:
                schema = self._named[schema]
            elif isinstance(schema, dict) and (not isinstance(schema["type"], str) or schema["type"] in self._named):
                schema = cast("Schema", schema["type"])
            else:
                return schema

    def is_zero_width(self, schema: Schema) -> bool:
        """Whether values of this schema take no bytes at all: nulls, and records of nothing else."""
        schema = self.resolve(schema)
        if isinstance(schema, str):
            return schema == "null"
        if isinstance(schema, list):
            return False
        if schema["type"] == "record":
            return self._is_empty_record(schema)
        return schema["type"] == "null" or (schema["type"] == "fixed" and schema["size"] == 0)

    def numbers_among_scalars(
        self, apart_from: AbstractSet[str], text_maps: AbstractSet[str] = frozenset()
    ) -> list[str] | None:
        """The fields that may hold a floating-point number, if every field is a scalar (or null); else ``None``.

        Fields of ``text_maps`` may be a map of texts; what those ``apart_from`` this hold does not matter.
        """
        numbers = []
        for name, schema in fields_of(self.definition):
            if name in apart_from or (name in text_maps and self._is_text_map(schema)):
                continue
            if not self._is_one_of(_SCALARS, schema):
                return None
            if not self._is_one_of(_EXACT, schema):
                numbers.append(name)
        return numbers

    def _is_text_map(self, schema: Schema) -> bool:
        schema = self.resolve(schema)
        return isinstance(schema, dict) and schema["type"] == "map" and schema["values"] == "string"

    def _is_one_of(self, types: AbstractSet[str], schema: Schema) -> bool:
        """Whether all that values of the schema can be are scalars of these types, enums among them."""
        schema = self.resolve(schema)
        if isinstance(schema, list):
            return all(self._is_one_of(types, branch) for branch in schema)
        if isinstance(schema, dict):
            is_local = str(schema.get("logicalType", "")).startswith("local-timestamp-")
            return not is_local and schema["type"] in {*types, "enum"}
        return schema in types

    def _is_empty_record(self, record: dict[str, object]) -> bool:
        name = str(record["name"])
        if name not in self._zero_width:
            self._zero_width[name] = all(self.is_zero_width(schema) for _, schema in fields_of(record))
        return self._zero_width[name]

    def _depth_of(self, schema: Schema) -> int:
        """How many containers deep a value can be; refuses what must not be compiled on the way."""
        schema = self.resolve(schema)
        if isinstance(schema, str):
            return 0
        if isinstance(schema, list):
            return self._depth_of_union(schema)
        if schema["type"] == "record":
            return self._depth_of_record(schema)
        depth = 1 + max((self._depth_of(inner) for inner in _inner(schema)), default=-1)
        if schema["type"] == "array" and self.is_zero_width(cast("Schema", schema["items"])):
            raise refused("an array of items without bytes")
        return _checked(depth)

    def _depth_of_union(self, branches: list[Schema]) -> int:
        if not 0 < len(branches) <= MAX_UNION_BRANCHES:
            raise refused(f"a union of no or more than {MAX_UNION_BRANCHES} branches")
        if any(isinstance(self.resolve(branch), list) for branch in branches):
            raise refused("a union in a union")
        return max(self._depth_of(branch) for branch in branches)

    def _depth_of_record(self, record: dict[str, object]) -> int:
        name = str(record["name"])
        if self._depths.get(name) == _UNFINISHED:
            raise refused(f"the record {name} contains itself")
        if name not in self._depths:
            self._depths[name] = _UNFINISHED
            inner = max((self._depth_of(schema) for _, schema in fields_of(record)), default=0)
            self._depths[name] = _checked(1 + inner)
        return self._depths[name]


_UNFINISHED = -1
_EXACT = frozenset({"null", "string", "int", "long", "boolean"})
_SCALARS = _EXACT | {"float", "double"}


def fields_of(record: dict[str, object]) -> list[tuple[str, Schema]]:
    """Name and schema of each field of a record."""
    return [(field["name"], field["type"]) for field in cast("list[dict[str, str]]", record["fields"])]


def refused(detail: str) -> DeadLetter:
    """The error for a schema that no value is read with."""
    return DeadLetter(DeadLetterReason.UNKNOWN_SCHEMA, detail)


def _inner(schema: dict[str, object]) -> list[Schema]:
    return [cast("Schema", schema[key]) for key in ("items", "values") if key in schema]


def _checked(depth: int) -> int:
    if depth > MAX_SCHEMA_DEPTH:
        raise refused(f"the schema is more than {MAX_SCHEMA_DEPTH} levels deep")
    return depth


def _parsed(text: str | bytes) -> dict[str, object]:
    if len(text) > MAX_SCHEMA_BYTES:
        raise refused(f"the schema is longer than {MAX_SCHEMA_BYTES} bytes")
    try:
        raw = msgspec.json.decode(text)
        _check_nesting(raw, 0)
        parsed = parse_schema(raw)
    except (msgspec.MsgspecError, SchemaParseException, UnknownType, RecursionError) as error:
        raise refused(f"the schema cannot be parsed: {type(error).__name__}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # what parse_schema raises for other bad shapes
        raise refused(f"the schema cannot be parsed: {type(error).__name__}") from error
    if not isinstance(parsed, dict):
        raise refused("the schema is not a record")
    return cast("dict[str, object]", parsed)


def _check_nesting(raw: object, depth: int) -> None:
    """Keep the recursion of the parser, which is C, far from the end of the stack."""
    if depth > 4 * MAX_SCHEMA_DEPTH:
        raise refused("the schema's JSON is nested too deeply")
    if isinstance(raw, dict | list):
        for inner in raw.values() if isinstance(raw, dict) else raw:
            _check_nesting(inner, depth + 1)
