"""An event as the bytes a producer sends: Avro by the schemas of ``schemas/``, or JSON (design 1.11)."""

from functools import cache

import msgspec

from leadscore.events.contracts import contract_of_type
from leadscore.events.encoding import encode_single_object
from leadscore.events.event import Event, FieldValue
from leadscore.events.local_schemas import schema_texts
from leadscore.scoring.crossing import iso_instant

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "long": (int,),
    "double": (int, float),
    "boolean": (bool,),
}
_IDENTITY = frozenset({"event_id", "lead_id", "occurred_at", "type"})

AvroRecord = dict[str, object]


class _Shape(msgspec.Struct, frozen=True):
    """What one of our schemas can hold: symbols of its type, its named fields with their Avro types, free fields."""

    symbols: frozenset[str]
    named: dict[str, str]
    has_free_fields: bool
    has_attributes: bool
    needs_attributes: bool


def avro_bytes(event: Event) -> bytes | None:
    """The event in Avro single-object encoding; ``None`` where our schemas cannot hold it unchanged."""
    fitting = avro_record(event)
    return None if fitting is None else encode_single_object(*fitting)


def json_bytes(event: Event) -> bytes:
    """The event as JSON on one line, fields on the top level; without the line's end."""
    line: dict[str, object] = {
        "type": event.type,
        "event_id": event.event_id,
        "lead_id": event.lead_id,
        "occurred_at": iso_instant(event.occurred_at_ms),
    }
    if event.attributes is not None:
        line["attributes"] = event.attributes
    return msgspec.json.encode({**event.fields, **line})


def avro_record(event: Event) -> tuple[str, AvroRecord] | None:
    """The name of the schema and the record of it; ``None`` where no schema of ours can hold the event unchanged."""
    contract = contract_of_type(event.type)
    if contract is None:
        return None
    shape = _shape(contract.schema)
    name = event.type.partition(".")[2]
    symbol = name.upper()
    if symbol not in shape.symbols or symbol.lower() != name or not _holds(shape, event):
        return None
    record: AvroRecord = {"event_id": event.event_id, "lead_id": event.lead_id, "type": symbol}
    record["occurred_at"] = event.occurred_at_ms
    record |= {field: event.fields.get(field) for field in shape.named}
    if shape.has_free_fields:
        record["fields"] = {field: value for field, value in event.fields.items() if field not in shape.named}
    if shape.has_attributes:
        record["attributes"] = event.attributes
    return contract.schema, record


def _holds(shape: _Shape, event: Event) -> bool:
    attributes_fit = shape.has_attributes if event.attributes is not None else not shape.needs_attributes
    return attributes_fit and all(_fits(shape, field, value) for field, value in event.fields.items())


def _fits(shape: _Shape, field: str, value: FieldValue) -> bool:
    avro_type = shape.named.get(field)
    if avro_type is None:
        return shape.has_free_fields and isinstance(value, str)
    return value is None or (
        isinstance(value, _PYTHON_TYPES[avro_type]) and (type(value) is bool) == (avro_type == "boolean")
    )


@cache
def _shape(schema_name: str) -> _Shape:
    schema = msgspec.json.decode(schema_texts()[schema_name])
    types = {field["name"]: field["type"] for field in schema["fields"]}
    others = {name: avro_type for name, avro_type in types.items() if name not in _IDENTITY}
    attributes = others.pop("attributes", None)
    free = others.pop("fields", None)
    return _Shape(
        symbols=frozenset(types["type"]["symbols"]) - {"UNKNOWN"},
        named={name: _branch(avro_type) for name, avro_type in others.items()},
        has_free_fields=free is not None,
        has_attributes=attributes is not None,
        needs_attributes=isinstance(attributes, dict),
    )


def _branch(avro_type: str | list[str]) -> str:
    """The type of a field, or of a nullable field its type when it is not null."""
    return avro_type if isinstance(avro_type, str) else next(branch for branch in avro_type if branch != "null")
