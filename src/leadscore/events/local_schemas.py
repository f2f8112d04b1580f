"""The contracts of the ``schemas/`` folder, as installed with the package: by name, and by fingerprint on the wire."""

import functools
from importlib import resources
from typing import cast

import msgspec
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

from leadscore.events.avro_schema import AvroSchema, Schema, fields_of, record_schema
from leadscore.events.contracts import EVENT_CONTRACTS, contract_of_record, contract_of_type

_NUMBERS = frozenset({"int", "long", "float", "double"})
SINGLE_OBJECT_MAGIC = b"\xc3\x01"


@functools.cache
def schema_texts() -> dict[str, str]:
    """Text of every schema file by its name without the ending: ``website_event``, ``crossing``, ..."""
    folder = resources.files("leadscore") / "schemas"
    files = [file for file in folder.iterdir() if file.name.endswith(".avsc")]
    return {file.name.removesuffix(".avsc"): file.read_text("utf-8") for file in sorted(files, key=lambda f: f.name)}


@functools.cache
def parsed_schema(name: str) -> dict[str, object]:
    """A schema as fastavro writes with it; ``KeyError`` for a name that is not there."""
    return cast("dict[str, object]", parse_schema(msgspec.json.decode(schema_texts()[name])))


@functools.cache
def single_object_header(name: str) -> bytes:
    """What stands before a value in single-object encoding: the magic, and the schema's fingerprint, little-endian."""
    canonical = to_parsing_canonical_form(msgspec.json.decode(schema_texts()[name]))
    return SINGLE_OBJECT_MAGIC + bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))


def with_event_types(schema: AvroSchema) -> None:
    """Make a schema of ours give event types in place of enum symbols; symbols we do not know become ``unknown``."""
    contract = contract_of_record(schema.name)
    if contract is not None:
        ours = _symbols_of_ours()[schema.name]
        enum = _type_enum(schema)
        symbols = cast("list[str]", enum.get("symbols", []))
        enum["symbols"] = [f"{contract.type_prefix}.{(s if s in ours else 'UNKNOWN').lower()}" for s in symbols]


def _type_enum(schema: AvroSchema) -> dict[str, object]:
    types = [schema.resolve(type_) for name, type_ in fields_of(schema.definition) if name == "type"]
    enum: Schema = types[0] if types else {}
    return enum if isinstance(enum, dict) else {}


@functools.cache
def _symbols_of_ours() -> dict[str, frozenset[str]]:
    schemas = [record_schema(text) for text in schema_texts().values()]
    return {s.name: frozenset(cast("list[str]", _type_enum(s).get("symbols", []))) for s in schemas}


@functools.cache
def event_types_of_ours() -> frozenset[str]:
    """The types of events that our schemas have."""
    symbols = _symbols_of_ours()
    return frozenset(
        f"{contract.type_prefix}.{symbol.lower()}"
        for contract in EVENT_CONTRACTS
        for symbol in symbols[contract.record]
    )


def number_fields_of(event_type: str) -> list[str] | None:
    """The fields of such events that hold numbers by our schema; ``None`` for a type that our schemas do not have."""
    contract = contract_of_type(event_type)
    if contract is None or event_type not in event_types_of_ours():
        return None
    fields = fields_of(record_schema(schema_texts()[contract.schema]).definition)
    return [name for name, type_ in fields if isinstance(type_, list) and not _NUMBERS.isdisjoint(map(str, type_))]
