"""Values of our own contracts to bytes: for ``produce``, the demo, the tests, and the crossings. Pure."""

import io

import msgspec
from fastavro import schemaless_writer

from leadscore.events.local_schemas import parsed_schema, single_object_header
from leadscore.scoring.crossing import Crossing


def encode_single_object(schema_name: str, record: dict[str, object]) -> bytes:
    """Avro single-object encoding with a local schema (``website_event``); instants are integer milliseconds."""
    return single_object_header(schema_name) + _encoded(schema_name, record)


def encode_confluent(schema_id: int, schema_name: str, record: dict[str, object]) -> bytes:
    """Confluent framing: the id under which the local schema is registered, and the record."""
    return b"\x00" + schema_id.to_bytes(4) + _encoded(schema_name, record)


def crossing_record(crossing: Crossing) -> dict[str, object]:
    """A crossing as ``crossing.avsc`` has it."""
    record: dict[str, object] = msgspec.to_builtins(crossing)
    for name in ("occurred_at", "decided_at", "projected_exit_at"):
        record[name] = record.pop(f"{name}_ms")
    return record


def _encoded(schema_name: str, record: dict[str, object]) -> bytes:
    target = io.BytesIO()
    schemaless_writer(target, parsed_schema(schema_name), record)
    return target.getvalue()
