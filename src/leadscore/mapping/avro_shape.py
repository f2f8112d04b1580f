"""What an Avro schema says of a mapped record beyond its values: columns that are null, units of numbers. Pure.

The reader leaves nulls out, as events have none. A mapping tells a null (which removes an attribute) from what is not
there at all, as in JSON: so they are put back.
"""

from typing import cast

import msgspec

from leadscore.events.avro_schema import AvroSchema, Schema, fields_of
from leadscore.events.validation import Record
from leadscore.mapping.paths import Steps
from leadscore.mapping.times import LOGICAL_TYPES, LogicalType

_MARK = "leadscore-"
_LOCAL = "local-timestamp-"
Children = dict[str, "RecordShape | None"]


class RecordShape:
    """The fields of a record schema, those inside its records among them."""

    def __init__(self, schema: AvroSchema, definition: dict[str, object] | None = None) -> None:
        self._children: Children = {}
        self._logical: dict[Steps, LogicalType] = {}
        for name, field_type in fields_of(schema.definition if definition is None else definition):
            self._add(schema, name, field_type)

    @property
    def logical(self) -> dict[Steps, LogicalType]:
        """What the schema says of numbers, by the steps to them."""
        return self._logical

    def complete(self, record: Record) -> Record:
        """Put the nulls back that the reader left out."""
        for name, child in self._children.items():
            value = record.setdefault(name, None)
            if child is not None and type(value) is dict:
                child.complete(value)
        return record

    def _add(self, schema: AvroSchema, name: str, field_type: Schema) -> None:
        self._children[name] = None
        for branch in _branches(schema, field_type):
            if isinstance(branch, dict) and branch.get("type") == "record":
                child = RecordShape(schema, branch)
                self._children[name] = child
                self._logical |= {(name, *steps): logical for steps, logical in child.logical.items()}
            elif isinstance(branch, dict) and (logical_type := _logical_name(branch)) in LOGICAL_TYPES:
                self._logical[(name,)] = LOGICAL_TYPES[logical_type]


def with_local_times(text: str) -> str:
    """The schema with local timestamps as numbers under another name: the reader drops what is no instant."""
    try:
        return msgspec.json.encode(_renamed(msgspec.json.decode(text))).decode()
    except (msgspec.MsgspecError, RecursionError):
        return text  # what is wrong with it is for ``AvroSchema`` to say


def _renamed(raw: object) -> object:
    if isinstance(raw, list):
        return [_renamed(part) for part in raw]
    if not isinstance(raw, dict):
        return raw
    renamed = {key: _renamed(part) for key, part in raw.items()}
    if str(renamed.get("logicalType", "")).startswith(_LOCAL):
        renamed["logicalType"] = f"{_MARK}{renamed['logicalType']}"
    return renamed


def _logical_name(branch: dict[str, object]) -> str:
    return str(branch.get("logicalType", "")).removeprefix(_MARK)


def _branches(schema: AvroSchema, field_type: Schema) -> list[Schema]:
    resolved = schema.resolve(field_type)
    return [schema.resolve(branch) for branch in resolved] if isinstance(resolved, list) else [cast("Schema", resolved)]
