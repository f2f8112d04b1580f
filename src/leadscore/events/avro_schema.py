"""Writer schemas that are safe to compile: parsed, not recursive, no items without bytes. Pure.

A schema comes from a registry that others write to. Recursion would let a value nest without end, an array of items
of no width would let five bytes say two billion items; both are refused when the schema is first seen.
"""

import copy
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple, cast

import msgspec
from fastavro.schema import SchemaParseException, UnknownType, parse_schema

from leadscore.errors import DeadLetter, DeadLetterReason

Schema = str | list["Schema"] | dict[str, object]
"""A schema as JSON has it: a name, a union, or a definition."""

MAX_SCHEMA_BYTES = 256 * 1024
MAX_SCHEMA_DEPTH = 50
MAX_UNION_BRANCHES = 64
"""So that an index is one byte."""

MOST_OBJECTS = 100_000
"""Objects and lists in one record: those of 1 MiB of JSON take as much memory."""

Named = dict[str, dict[str, object]]
"""The definitions of the named types, by their full names."""


class Reference(NamedTuple):
    """A schema that another one uses types of; ``name`` is what messages call it."""

    name: str
    text: str


class AvroSchema:
    """A parsed record schema: its definition and every named type in it, names written in full."""

    def __init__(self, definition: dict[str, object], named: Named) -> None:
        """Raise ``DeadLetter`` (``UNKNOWN_SCHEMA``) for a schema that no values must be read with."""
        self._named = named
        self.definition = definition
        self.name = str(definition["name"])
        self._zero_width: dict[str, bool] = {}
        self._depths: dict[str, int] = {}
        self._objects: dict[str, int] = {}
        self._depth_of(definition)
        if self.objects_in(definition) > MOST_OBJECTS:
            raise refused(f"a record of more than {MOST_OBJECTS} objects and lists")

    def resolve(self, schema: Schema) -> Schema:
        """The definition behind a name or a wrapping; everything else as it is."""
        return _resolved(schema, self._named)

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

    def objects_in(self, schema: Schema) -> int:
        """The objects and lists that a value becomes at most, without those in the items of its lists and maps."""
        schema = self.resolve(schema)
        if isinstance(schema, str) or self.is_zero_width(schema):
            return 0
        if isinstance(schema, list):
            return max(map(self.objects_in, schema))
        if schema["type"] != "record":
            return 1 if schema["type"] in ("map", "array") else 0
        name = str(schema["name"])
        if name not in self._objects:
            self._objects[name] = 1 + sum(self.objects_in(field_schema) for _, field_schema in fields_of(schema))
        return self._objects[name]

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

    def local_time(self, field: str) -> str | None:
        """The logical type of a field that holds dates or times without a zone, and no instants; else ``None``."""
        schemas = [schema for name, schema in fields_of(self.definition) if name == field]
        resolved = self.resolve(schemas[0]) if schemas else "null"
        branches = [self.resolve(branch) for branch in (resolved if isinstance(resolved, list) else [resolved])]
        names = {_local_name(branch) for branch in branches if branch != "null"}
        return names.pop() if len(names) == 1 else None

    def _is_text_map(self, schema: Schema) -> bool:
        schema = self.resolve(schema)
        return isinstance(schema, dict) and schema["type"] == "map" and schema["values"] == "string"

    def _is_one_of(self, types: AbstractSet[str], schema: Schema) -> bool:
        """Whether all that values of the schema can be are scalars of these types, enums among them."""
        schema = self.resolve(schema)
        if isinstance(schema, list):
            return all(self._is_one_of(types, branch) for branch in schema)
        if isinstance(schema, dict):
            is_local = str(schema.get("logicalType", "")).startswith(_LOCAL)
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
        _check_definition(schema)
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


class AvroUnion:
    """A parsed union on top, of records of several types: the schema of each branch, ``None`` for what is no record."""

    def __init__(self, branches: list[Schema], named: Named) -> None:
        """Raise ``DeadLetter`` (``UNKNOWN_SCHEMA``) for branches that no values must be read with."""
        if len(branches) > MAX_UNION_BRANCHES:
            raise refused(f"a union of more than {MAX_UNION_BRANCHES} branches")
        self.branches = [_record_schema(branch, named) for branch in branches]
        if not any(self.branches):
            raise refused(_NO_RECORD)


def read_schema(text: str | bytes, references: Sequence[Reference] = ()) -> AvroSchema | AvroUnion:
    """The schema in a text; ``references`` are the schemas it uses, each after those it uses itself.

    ``DeadLetter`` (``UNKNOWN_SCHEMA``) for what is no schema, or none to read records with.
    """
    if sum(len(reference.text) for reference in references) + len(text) > MAX_SCHEMA_BYTES:
        raise refused(f"the schema is longer than {MAX_SCHEMA_BYTES} bytes")
    named: Named = {}
    for reference in references:
        try:
            _parse(reference.text, named)
        except DeadLetter as error:
            raise refused(f"{reference.name}: {error.detail}") from error
    top = _resolved(_parse(text, named), named)
    if isinstance(top, list):
        return AvroUnion(top, named)
    schema = _record_schema(top, named)
    if schema is None:
        raise refused(_NO_RECORD)
    return schema


def record_schema(text: str | bytes) -> AvroSchema:
    """The schema of one record; ``DeadLetter`` (``UNKNOWN_SCHEMA``) for anything else."""
    schema = read_schema(text)
    if isinstance(schema, AvroUnion):
        raise refused(_NO_RECORD)
    return schema


_NO_RECORD = "the schema is no record, and no union with a record in it"
_UNFINISHED = -1
_LOCAL = "local-timestamp-"
_ALREADY_PARSED = "__fastavro_parsed"
_EXACT = frozenset({"null", "string", "int", "long", "boolean"})
_SCALARS = _EXACT | {"float", "double"}
_KINDS = _SCALARS | {"bytes", "record", "map", "array", "enum", "fixed"}


def fields_of(record: dict[str, object]) -> list[tuple[str, Schema]]:
    """Name and schema of each field of a record."""
    return [(field["name"], field["type"]) for field in cast("list[dict[str, str]]", record["fields"])]


def refused(detail: str) -> DeadLetter:
    """The error for a schema that no value is read with."""
    return DeadLetter(DeadLetterReason.UNKNOWN_SCHEMA, detail)


def _check_definition(schema: dict[str, object]) -> None:
    """Refuse what the parser lets through, and no value can be read with."""
    kind = schema["type"]
    if kind not in _KINDS:
        raise refused(f"a type {kind}, expected one of {', '.join(sorted(_KINDS))}")
    if kind == "fixed" and (type(schema["size"]) is not int or schema["size"] < 0):
        raise refused("a fixed whose size is no natural number")
    if kind == "enum" and type(schema["symbols"]) is not list:
        raise refused("an enum whose symbols are no list")
    if kind == "record" and not all(type(name) is str for name, _ in fields_of(schema)):
        raise refused("a field whose name is no text")


def _local_name(schema: Schema) -> str | None:
    if not isinstance(schema, dict):
        return None
    name = str(schema.get("logicalType", ""))
    is_local = name == "date" if schema["type"] == "int" else schema["type"] == "long" and name.startswith(_LOCAL)
    return name if is_local else None


def _inner(schema: dict[str, object]) -> list[Schema]:
    return [cast("Schema", schema[key]) for key in ("items", "values") if key in schema]


def _checked(depth: int) -> int:
    if depth > MAX_SCHEMA_DEPTH:
        raise refused(f"the schema is more than {MAX_SCHEMA_DEPTH} levels deep")
    return depth


def _resolved(schema: Schema, named: Named) -> Schema:
    while True:
        if isinstance(schema, str) and schema in named:
            schema = named[schema]
        elif isinstance(schema, dict) and (not isinstance(schema["type"], str) or schema["type"] in named):
            schema = cast("Schema", schema["type"])
        else:
            return schema


def _record_schema(schema: Schema, named: Named) -> AvroSchema | None:
    """The schema of a record with definitions of its own, so that a change to one says nothing to another."""
    definition = _resolved(schema, named)
    if not isinstance(definition, dict) or definition["type"] != "record":
        return None
    return AvroSchema(*copy.deepcopy((definition, named)))


def _parse(text: str | bytes, named: Named) -> Schema:
    """The schema in a text, and into ``named`` the types that it defines."""
    try:
        raw = msgspec.json.decode(text)
        _check_nesting(raw, 0)
        parsed = parse_schema(raw, named_schemas=named)
    except (msgspec.MsgspecError, SchemaParseException, UnknownType, RecursionError) as error:
        raise refused(f"the schema cannot be parsed: {type(error).__name__}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # what parse_schema raises for other bad shapes
        raise refused(f"the schema cannot be parsed: {type(error).__name__}") from error
    return cast("Schema", parsed)


def _check_nesting(raw: object, depth: int) -> None:
    """Keep the recursion of the parser, which is C, far from the end of the stack; and let it parse everything."""
    if depth > 4 * MAX_SCHEMA_DEPTH:
        raise refused("the schema's JSON is nested too deeply")
    if isinstance(raw, dict) and _ALREADY_PARSED in raw:
        raise refused(f"a schema with the key {_ALREADY_PARSED}, by which a parser marks what it has checked")
    if isinstance(raw, dict | list):
        for inner in raw.values() if isinstance(raw, dict) else raw:
            _check_nesting(inner, depth + 1)
