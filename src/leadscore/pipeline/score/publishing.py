"""What the worker publishes: crossings and erasures as CloudEvents (Kafka binary mode). Pure.

The same crossing always gives the same record, byte for byte: a replay must not publish another body under an old id.
"""

from collections.abc import Callable
from typing import NamedTuple
from uuid import uuid5

import msgspec

from leadscore.events.crossing_avro import crossing_avro
from leadscore.events.encoding import confluent_header, encode_confluent, encode_single_object
from leadscore.events.local_schemas import single_object_header
from leadscore.events.old_crossings import OLD_SCHEMA, old_crossing_object, old_crossing_record
from leadscore.events.trace_context import trace_headers
from leadscore.pipeline.kafka.records import Headers, OutputRecord
from leadscore.scoring.crossing import Crossing, as_json_object, iso_instant
from leadscore.scoring.crossing_ids import CROSSING_NAMESPACE
from leadscore.scoring.outputs import ErasedLead

AVRO, JSON = "application/avro", "application/json"
SCHEMA_URN = "urn:leadscore:schema:crossing:v1"
_json = msgspec.json.Encoder(order="deterministic")


Published = Crossing | ErasedLead
"""What goes to the topic of crossings."""


class CrossingEncoding(NamedTuple):
    """How a crossing's value is written, and what its headers say about that."""

    encode: Callable[[Crossing], bytes]
    content_type: str
    schema: str
    old: "CrossingEncoding | None" = None
    """That of crossings without a number; ``None``: as of the others."""


class RegisteredSchema(NamedTuple):
    """The crossing's schema in a registry: its id, and the URI of it."""

    schema_id: int
    uri: str


def avro_encoding(registered: RegisteredSchema | None, old: RegisteredSchema | None = None) -> CrossingEncoding:
    """Avro: Confluent framing where the schema is in a registry, single-object encoding elsewhere.

    ``old`` is the schema without numbers in the registry, where it was ever registered.
    """
    if registered is None:
        header, schema = single_object_header("crossing"), SCHEMA_URN
        of_old: CrossingEncoding | None = CrossingEncoding(
            lambda crossing: encode_single_object(OLD_SCHEMA, old_crossing_record(crossing)), AVRO, SCHEMA_URN
        )
    else:
        header, schema = confluent_header(registered.schema_id), registered.uri
        of_old = None if old is None else _old_confluent(old.schema_id)
    return CrossingEncoding(lambda crossing: header + crossing_avro(crossing), AVRO, schema, of_old)


def _old_confluent(schema_id: int) -> CrossingEncoding:
    """As the version wrote it that did not number crossings: the schema's address was a path."""
    return CrossingEncoding(
        lambda crossing: encode_confluent(schema_id, OLD_SCHEMA, old_crossing_record(crossing)),
        AVRO,
        f"/schemas/ids/{schema_id}",
    )


def json_encoding() -> CrossingEncoding:
    """JSON with the names of design 1.7 and ISO 8601 instants."""
    return CrossingEncoding(
        lambda crossing: _json.encode(as_json_object(crossing)),
        JSON,
        SCHEMA_URN,
        CrossingEncoding(lambda crossing: _json.encode(old_crossing_object(crossing)), JSON, SCHEMA_URN),
    )


def output_record(output: Published, encoding: CrossingEncoding) -> OutputRecord:
    """The record of a crossing or an erasure."""
    return erasure_output(output) if isinstance(output, ErasedLead) else crossing_output(output, encoding)


def crossing_output(crossing: Crossing, encoding: CrossingEncoding) -> OutputRecord:
    """A CloudEvent about the lead; subscribers drop repeats by ``ce_source`` and ``ce_id``."""
    if crossing.sequence is None and encoding.old is not None:
        encoding = encoding.old
    headers: Headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", crossing.id),
        ("ce_source", f"urn:leadscore:model:{crossing.model}"),
        ("ce_type", f"leadscore.crossing.{crossing.direction.value.lower()}"),
        ("ce_subject", crossing.lead_id),
        ("ce_time", iso_instant(crossing.occurred_at_ms)),
        ("ce_dataschema", encoding.schema),
        ("content-type", encoding.content_type),
    ]
    if crossing.trigger is not None and crossing.trigger.trace is not None:
        headers += trace_headers(crossing.trigger.trace)
    value = encoding.encode(crossing)
    return OutputRecord(crossing.lead_id.encode(), value, headers, timestamp_ms=crossing.decided_at_ms)


def erasure_output(erased: ErasedLead) -> OutputRecord:
    """A tombstone, a CloudEvent without data: what keeps the latest record of each lead forgets this one."""
    named = f"{erased.model}\x1f{erased.lead_id}\x1f{erased.command_id}"
    headers: Headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", str(uuid5(CROSSING_NAMESPACE, named))),
        ("ce_source", f"urn:leadscore:model:{erased.model}"),
        ("ce_type", "leadscore.lead.erased"),
        ("ce_subject", erased.lead_id),
        ("ce_time", iso_instant(erased.occurred_at_ms)),
    ]
    return OutputRecord(erased.lead_id.encode(), None, headers, timestamp_ms=erased.decided_at_ms)
