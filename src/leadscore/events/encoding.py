"""Values of our own contracts to bytes: for ``produce``, the demo and the tests. Pure."""

import io

from fastavro import schemaless_writer

from leadscore.events.local_schemas import parsed_schema, single_object_header


def encode_single_object(schema_name: str, record: dict[str, object]) -> bytes:
    """Avro single-object encoding with a local schema (``website_event``); instants are integer milliseconds."""
    return single_object_header(schema_name) + _encoded(schema_name, record)


def encode_confluent(schema_id: int, schema_name: str, record: dict[str, object]) -> bytes:
    """Confluent framing: the id under which the local schema is registered, and the record."""
    return confluent_header(schema_id) + _encoded(schema_name, record)


def confluent_header(schema_id: int) -> bytes:
    """What stands before a value whose schema is in a registry."""
    return b"\x00" + schema_id.to_bytes(4)


def _encoded(schema_name: str, record: dict[str, object]) -> bytes:
    target = io.BytesIO()
    schemaless_writer(target, parsed_schema(schema_name), record)
    return target.getvalue()
