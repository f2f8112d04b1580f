"""The records of the scores topic: as the contract has them, field by field."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from leadscore.events.encoding import encode_single_object
from leadscore.events.lead_score_avro import lead_score_avro
from leadscore.events.local_schemas import schema_texts, single_object_header
from leadscore.pipeline.score.publishing import RegisteredSchema
from leadscore.pipeline.score.score_records import avro_score_encoding, json_score_encoding, score_record
from leadscore.scoring.latest_score import LatestScore, LeadGone, NamedScore, ThresholdPlace, as_json_object

EXAMPLE = json.loads((Path(__file__).resolve().parents[2] / "schemas" / "examples" / "lead_score.json").read_text())[0]
FIELDS = json.loads(schema_texts()["lead_score"])["fields"]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
INSTANTS = st.integers(-(2**45), 2**45)
POINTS = st.floats(allow_nan=False)


def lead_score_record(latest: LatestScore) -> dict[str, object]:
    """A latest score as ``lead_score.avsc`` has it."""
    record = as_json_object(latest)
    record["as_of"], record["decided_at"] = latest.as_of_ms, latest.decided_at_ms
    record["thresholds"] = [
        {"threshold": place.threshold, "place": "IN" if place.is_in else "OUT", "entered_at": place.entered_ms}
        for place in latest.thresholds
    ]
    return record


def test_a_latest_score_is_written_as_the_example_says() -> None:
    latest = LatestScore(
        model="b2b",
        lead_id="L1",
        revision=4711,
        decided_at_ms=1_767_607_200_120,
        model_version=3,
        as_of_ms=1_767_607_200_120,
        score=72.0,
        engagement=47.0,
        fit=25.0,
        grade="B",
        band="hot",
        disqualified=None,
        thresholds=[ThresholdPlace("mql", True, 1_767_607_200_000), ThresholdPlace("hot", False, None)],
        scores={"expansion": NamedScore(12.5, 12.5)},
    )
    assert lead_score_record(latest) == EXAMPLE
    record = score_record(latest, json_score_encoding())
    as_json = json.loads(record.value or b"")
    assert as_json["as_of"] == "2026-01-05T10:00:00.120Z"
    assert list(as_json) == [field["name"] for field in FIELDS]
    assert dict(record.headers)["ce_type"] == "leadscore.lead.score"


@given(
    st.builds(
        LatestScore,
        model=TEXTS,
        lead_id=TEXTS,
        revision=st.integers(0, 2**50),
        decided_at_ms=INSTANTS,
        model_version=st.integers(1, 2**31),
        as_of_ms=INSTANTS,
        score=POINTS,
        engagement=POINTS,
        fit=POINTS,
        grade=TEXTS,
        band=TEXTS,
        disqualified=st.none() | TEXTS,
        thresholds=st.lists(st.builds(ThresholdPlace, TEXTS, st.booleans(), st.none() | INSTANTS), max_size=3),
        scores=st.dictionaries(TEXTS, st.builds(NamedScore, POINTS, POINTS), max_size=3),
    )
)
def test_a_latest_score_is_written_as_fastavro_writes_it(latest: LatestScore) -> None:
    value = single_object_header("lead_score") + lead_score_avro(latest)
    assert value == encode_single_object("lead_score", lead_score_record(latest))


def test_a_tombstone_has_the_key_of_the_lead_no_value_and_says_what_it_is() -> None:
    record = score_record(LeadGone("b2b", "L1", 4711, 1_767_607_200_120), avro_score_encoding(None))
    headers = dict(record.headers)
    assert (record.key, record.value) == (b"L1", None)
    assert (headers["ce_type"], headers["ce_subject"]) == ("leadscore.lead.gone", "L1")
    assert headers["ce_time"] == "2026-01-05T10:00:00.120Z"
    assert "content-type" not in headers


def test_a_registered_schema_is_named_by_its_id_and_its_uri() -> None:
    latest = LatestScore("b2b", "L1", 1, 1, 1, 1, 0.0, 0.0, 0.0, "", "cold", None, [])
    record = score_record(latest, avro_score_encoding(RegisteredSchema(7, "https://registry.example/schemas/ids/7")))
    assert (record.value or b"")[:5] == b"\x00\x00\x00\x00\x07"
    assert dict(record.headers)["ce_dataschema"] == "https://registry.example/schemas/ids/7"
