"""Records as real systems send them (``tests/field``): the right values by mapping alone."""

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fastavro
import pytest

from leadscore.cli import mapped_records as mapped_records_module
from leadscore.cli.main import main
from leadscore.cli.mapped_records import MappedRecord, Records, mapped_records
from leadscore.events.event import Event
from leadscore.readers import instant_ms

FIELD = Path(__file__).resolve().parents[1] / "field"
STARTER = Path(__file__).resolve().parents[2] / "deploy" / "model.yaml"
JAN_5 = instant_ms("2026-01-05T10:00:00Z")

Json = dict[str, Any]  # what JSON holds


def mapped(folder: str, topic: str | None = None, file: str = "events.jsonl") -> list[MappedRecord]:
    records = Records(str(FIELD / folder / file), topic, timestamp_ms=JAN_5 + 86_400_000 * 5)
    return list(mapped_records(str(FIELD / folder / "mapping.yaml"), records))


def events_of(folder: str) -> list[Event]:
    return [event for record in mapped(folder) for event in record.events]


def outcomes(folder: str) -> list[str]:
    """Of each record the types of its events, or the reason why there are none."""
    return [
        record.dead_letter.reason.value
        if record.dead_letter is not None
        else " ".join(event.type for event in record.events) or "ignored"
        for record in mapped(folder)
    ]


def scores(
    folder: str, capsys: pytest.CaptureFixture[str], model: Path = STARTER, at: str = "2026-01-05T11:00:00Z"
) -> dict[str, Json]:
    """What ``simulate`` makes of the folder, by lead."""
    words = ["simulate", "--model", str(model), "--events", str(FIELD / folder / "events.jsonl"), "--scores-at", at]
    mapping = FIELD / folder / "mapping.yaml"
    assert main([*words, *(["--mappings", str(mapping)] if mapping.exists() else [])]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {line["lead_id"]: line for line in lines if "direction" not in line}


def test_one_id_in_two_topics_is_two_events(capsys: pytest.CaptureFixture[str]) -> None:
    """10 points of the webinar and 40 of the request, which enters at once: it was taken for the first event again."""
    lead = scores("ids_of_two_topics", capsys)["L1"]
    assert (round(lead["score"], 2), lead["thresholds"]["mql"]) == (49.99, "in")


def test_one_record_with_an_array_of_sendgrid_events() -> None:
    assert outcomes("sendgrid_array") == ["email.open email.click", "email.open", "ignored", "email.unsubscribe"]
    assert {event.lead_id for event in events_of("sendgrid_array")} == {"c-1"}
    assert events_of("sendgrid_array")[2].fields["category"] == ("news", "spring")


def test_the_records_of_segment() -> None:
    records = mapped("segment_preset")
    types = outcomes("segment_preset")
    first = records[0].events[0]
    assert (first.type, first.lead_id) == ("website.contact_requested", "anon-1")
    assert [types[index] for index in (1, 2, 3, 4, 9, 11)] == [
        "future",
        "app.trial_started",
        "app.trial_started",
        "app.trial_started",
        "website.contact_requested",
        "app.trial_started",
    ]
    assert all("campaign" not in records[index].events[0].fields for index in (2, 3))
    assert "order_id" not in records[4].events[0].fields
    assert records[12].events[0].occurred_at_ms == JAN_5


def test_a_change_of_one_contact_of_hubspot_and_a_list_of_one() -> None:
    events = events_of("hubspot_contact_changes")
    assert {event.lead_id for event in events} == {"1246965"}
    assert [event.attributes for event in events] == [
        {"role": "ceo"},
        {"company_size": 250},
        {"role": "ceo"},
    ]


def test_three_events_of_one_mail_of_postmark(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcomes("postmark_same_message") == ["email.delivered", "email.open", "email.click"]
    assert len({event.event_id for event in events_of("postmark_same_message")}) == 3
    assert scores("postmark_same_message", capsys)["12345"]["score"] == pytest.approx(2.997, abs=1e-3)


def test_what_zoom_sends_that_is_not_about_a_lead_is_ignored() -> None:
    assert outcomes("zoom_webinar") == ["webinar.attended", "ignored", "ignored", "ignored"]
    assert events_of("zoom_webinar")[0].lead_id == "reg-1"


def test_an_id_of_a_cloudevent_is_one_of_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    """The record without a time has that of Kafka, five days later; the last two are of the same source."""
    folder = FIELD / "cloudevents_structured"
    assert outcomes("cloudevents_structured") == ["website.page_view"] * 5
    events = events_of("cloudevents_structured")
    assert [event.event_id for event in events][:2] == ["/web/eu 1", "/web/us 1"]
    assert events[2].occurred_at_ms == JAN_5 + 86_400_000 * 5
    assert events[3].fields["path"] == "/pricing"
    assert events[4].occurred_at_ms == JAN_5
    two = "\n".join((folder / "events.jsonl").read_text().splitlines()[:2])
    assert len(two.splitlines()) == 2
    assert scores("cloudevents_structured", capsys, folder / "model.yaml", "2030-01-01T00:00:00Z")["L1"]["score"] == 55


def test_rows_of_debezium_are_attributes_and_a_deleted_row_removes_them() -> None:
    created, updated, deleted = events_of("debezium_leads")
    assert {created.lead_id, updated.lead_id, deleted.lead_id} == {"17"}
    assert (created.attributes or {})["company_size"] == 250
    assert (created.attributes or {})["phone"] is None
    assert (updated.attributes or {})["role"] == "student"
    assert deleted.attributes == {"id": None, "role": None}


def test_seconds_text_and_floats_are_the_instants_they_look_like() -> None:
    times = {event.lead_id: event.occurred_at_ms for event in events_of("epoch_seconds_unnoticed")}
    instant = instant_ms("2025-11-28T10:40:00Z")
    assert {times[lead] for lead in ("L-good", "L-sec", "L-text", "L-float", "L-exp", "L-basic", "L-lower")} == {
        instant
    }
    assert times["L-7"] == instant + 907
    assert times["L-IST"] == instant_ms("2025-11-28T05:10:00Z")
    assert outcomes("epoch_seconds_unnoticed")[5] == "too_early"


def test_a_lifted_campaign_counts_and_foreign_attributes_are_left_out() -> None:
    events = {event.lead_id: event for event in events_of("lifted_campaign")}
    assert events["L-top"].fields["campaign"] == events["L-lifted"].fields["campaign"] == "spring"
    assert events["L-attr"].attributes is events["L-attrtext"].attributes is None
    assert events["L-lifttype"].type == "email.click"


def test_a_time_of_1970_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    leads = scores("first_visit_1970", capsys, at="2025-11-21T10:00:00Z")
    assert leads["B-late1970"]["score"] == pytest.approx(leads["A-real"]["score"], abs=1e-9)
    assert leads["D-new1970"]["score"] == pytest.approx(leads["C-new"]["score"], abs=1e-9)


@pytest.mark.parametrize("unit", ["", "  occurred_at_unit: us\n"])
def test_an_avro_logical_type_says_its_unit_by_itself(unit: str, tmp_path: Path) -> None:
    schema = json.loads((FIELD / "avro_micros_with_unit" / "schema.avsc").read_text())
    record = json.loads((FIELD / "avro_micros_with_unit" / "events.jsonl").read_text())
    file = io.BytesIO()
    fastavro.writer(file, fastavro.parse_schema(schema), [record])
    (tmp_path / "records.avro").write_bytes(file.getvalue())
    text = (FIELD / "avro_micros_with_unit" / "mapping.yaml").read_text().replace("  occurred_at_unit: us\n", unit)
    (tmp_path / "mapping.yaml").write_text(text)
    records = mapped_records(str(tmp_path / "mapping.yaml"), Records(str(tmp_path / "records.avro"), None))
    ((event,),) = [record.events for record in records]
    assert event.occurred_at_ms == instant_ms("2025-11-28T10:40:00.123Z")


def test_map_sums_up_an_avro_file_and_simulate_scores_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = FIELD / "avro_micros_with_unit"
    schema = json.loads((folder / "schema.avsc").read_text())
    record = json.loads((folder / "events.jsonl").read_text())
    stamped = next(name for name, value in record.items() if isinstance(value, int))
    with (tmp_path / "records.avro").open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(schema), [record, {**record, stamped: 1_000_000}])
    words = ["--mappings", str(folder / "mapping.yaml")]
    assert main(["map", *words, str(tmp_path / "records.avro")]) == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1
    assert said.err.splitlines()[1:] == [
        "2 records: 1 gave events (50 %), 0 ignored (0 %), 1 dead letters (50 %)",
        "  1 x too_early",
    ]
    words += ["--model", str(STARTER), "--events", str(tmp_path / "records.avro")]
    assert main(["simulate", *words, "--scores-at", "2025-11-29T00:00:00Z"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_page_counts_once_and_three_of_them_more(capsys: pytest.CaptureFixture[str]) -> None:
    model = FIELD / "url_once_and_three_times" / "model.yaml"
    leads = scores("url_once_and_three_times", capsys, model, at="2026-01-06T11:00:00Z")
    assert {lead_id: line["score"] for lead_id, line in leads.items()} == {"L1": 6, "L2": 1, "L3": 0}


def test_a_kafka_time_as_wrong_as_that_of_the_event_is_judged_by_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The records as ``kcat -J`` writes them: a producer gave them the time that the event says."""
    folder = FIELD / "future_in_kafka_time"
    lines = (folder / "events.jsonl").read_text().splitlines()
    sent = [{"topic": "website", "ts": instant_ms(json.loads(line)["received_at"]), "payload": line} for line in lines]
    (tmp_path / "sent.jsonl").write_text("\n".join(map(json.dumps, sent)))
    monkeypatch.setattr(mapped_records_module, "time", SimpleNamespace(time=lambda: JAN_5 / 1_000 + 3_600))
    words = ["--mappings", str(folder / "mapping.yaml"), "--kcat"]
    assert main(["map", *words, str(tmp_path / "sent.jsonl")]) == 1
    assert "sent.jsonl:4: future: occurred_at is" in capsys.readouterr().err
    words += ["--model", str(folder / "model.yaml"), "--events", str(tmp_path / "sent.jsonl")]
    assert main(["simulate", *words]) == 0
    crossings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(crossing["lead_id"], crossing["occurred_at"], crossing["direction"]) for crossing in crossings} == {
        (lead_id, "2026-01-05T10:02:00.000Z", "ENTER") for lead_id in ("good", "skewed")
    }
