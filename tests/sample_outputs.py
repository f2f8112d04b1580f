"""One record of every kind that subscribers get."""

from leadscore.pipeline.kafka.records import OutputRecord
from leadscore.pipeline.score.publishing import (
    RegisteredSchema,
    avro_encoding,
    crossing_output,
    erasure_output,
    json_encoding,
)
from leadscore.pipeline.score.score_records import avro_score_encoding, json_score_encoding, score_record
from leadscore.scoring.latest_score import LatestScore, LeadGone
from leadscore.scoring.outputs import ErasedLead
from tests.unit.sample_crossing import CROSSING

REGISTERED = RegisteredSchema(7, "https://registry.example/schemas/ids/7")
SCORE = LatestScore("b2b", "L1", 1, 1_767_607_201_456, 3, 1_767_607_200_123, 67.25, 47.25, 20.0, "B", "hot", None, [])
CROSSINGS: dict[str, OutputRecord] = {
    "Avro": crossing_output(CROSSING, avro_encoding(None)),
    "Avro, registered": crossing_output(CROSSING, avro_encoding(REGISTERED)),
    "JSON": crossing_output(CROSSING, json_encoding()),
}
SCORES: dict[str, OutputRecord] = {
    "score as Avro": score_record(SCORE, avro_score_encoding(None)),
    "score as Avro, registered": score_record(SCORE, avro_score_encoding(REGISTERED)),
    "score as JSON": score_record(SCORE, json_score_encoding()),
}
ERASED = erasure_output(ErasedLead("b2b", "L1", "c1", 1_767_607_200_123, 1_767_607_201_456))
GONE = score_record(LeadGone("b2b", "L1", 2, 1_767_607_201_456), avro_score_encoding(None))
EVENTS = CROSSINGS | SCORES
"""Those that have a value."""
