"""The records of the scores topic, CloudEvents in Kafka's binary mode: latest scores, and tombstones. Pure."""

from collections.abc import Callable
from typing import NamedTuple
from uuid import uuid5

import msgspec

from leadscore.events.contracts import LEAD_SCORE_SCHEMA
from leadscore.events.encoding import confluent_header
from leadscore.events.lead_score_avro import lead_score_avro
from leadscore.events.local_schemas import single_object_header
from leadscore.pipeline.kafka.records import Headers, OutputRecord
from leadscore.pipeline.score.publishing import RegisteredSchema
from leadscore.scoring.crossing import iso_instant
from leadscore.scoring.crossing_ids import CROSSING_NAMESPACE
from leadscore.scoring.latest_score import LatestScore, ScoreNews, as_json_object

_SCHEMA_URN = "urn:leadscore:schema:lead_score:v1"

_json = msgspec.json.Encoder()


class ScoreEncoding(NamedTuple):
    """How a latest score is written, and what its headers say about that."""

    encode: Callable[[LatestScore], bytes]
    content_type: str
    schema: str


def avro_score_encoding(registered: RegisteredSchema | None) -> ScoreEncoding:
    """Avro: Confluent framing where the schema is in a registry, single-object encoding elsewhere."""
    if registered is None:
        header, schema = single_object_header(LEAD_SCORE_SCHEMA), _SCHEMA_URN
    else:
        header, schema = confluent_header(registered.schema_id), registered.uri
    return ScoreEncoding(lambda latest: header + lead_score_avro(latest), "application/avro", schema)


def json_score_encoding() -> ScoreEncoding:
    """JSON with the names of the schema and ISO 8601 instants."""
    return ScoreEncoding(lambda latest: _json.encode(as_json_object(latest)), "application/json", _SCHEMA_URN)


def score_record(news: ScoreNews, encoding: ScoreEncoding) -> OutputRecord:
    """The record of a latest score, or a tombstone: the same news always give the same bytes."""
    is_score = isinstance(news, LatestScore)
    named = f"score\x1f{news.model}\x1f{news.lead_id}\x1f{news.decided_at_ms}\x1f{news.revision}"
    headers: Headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", str(uuid5(CROSSING_NAMESPACE, named))),
        ("ce_source", f"urn:leadscore:model:{news.model}"),
        ("ce_type", "leadscore.lead.score" if is_score else "leadscore.lead.gone"),
        ("ce_subject", news.lead_id),
        ("ce_time", iso_instant(news.as_of_ms if isinstance(news, LatestScore) else news.decided_at_ms)),
    ]
    value = None
    if isinstance(news, LatestScore):
        headers += [("ce_dataschema", encoding.schema), ("content-type", encoding.content_type)]
        value = encoding.encode(news)
    return OutputRecord(news.lead_id.encode(), value, headers, timestamp_ms=news.decided_at_ms)
