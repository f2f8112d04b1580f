"""Presets on records in the form of each vendor's public documentation: what becomes of each kind of event."""

import io
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest

from leadscore.cli.main import main
from leadscore.errors import DeadLetter
from leadscore.events.event import Event
from leadscore.mapping.decoding import Beside, MappedTopics
from leadscore.mapping.language import NAMES
from leadscore.mapping.load import mappings_in, preset, preset_names, preset_text
from leadscore.mapping.sense import may_give
from leadscore.mapping.topics import compile_mappings
from tests.unit.vendor_records import KEY, ROOT, events_of, table_rows, vendor_records, with_preset

Json = dict[str, Any]  # what JSON holds

PAGE = (ROOT / "docs" / "presets.md").read_text()
AT_S = 1_767_607_200
AT = "2026-01-05T10:00:00Z"
AT_TEN = Beside(None, None, AT_S * 1000)
PRESETS = pytest.mark.parametrize("name", preset_names())


def mapped(name: str, record: object, beside: Beside = AT_TEN) -> list[Event]:
    value = None if record is None else json.dumps(record).encode()
    return with_preset(name).events("topic", value, beside)


def vendor_event(name: str, event: str) -> Json:
    """The record of that name in tests/presets, to be changed."""
    (value,) = (record.value for record in vendor_records(name) if record.event == event)
    assert value is not None
    record: Json = json.loads(value)
    return record


@PRESETS
def test_a_preset_can_be_printed_and_loaded_as_a_file_of_its_own(name: str) -> None:
    (mapping,) = mappings_in(preset_text(name), name).values()
    assert mapping == preset(name)


@PRESETS
def test_the_page_says_what_becomes_of_each_event_and_what_cannot_be_known(name: str) -> None:
    section = PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("| ")][1:] == table_rows(name)
    assert "Cannot be known: " in section


def test_every_preset_is_in_the_table_of_systems() -> None:
    table = PAGE.partition("\n## ")[0]
    assert {name for name in preset_names() if f"`{name}`" not in table} == set()


@PRESETS
def test_no_address_is_in_an_id_of_the_events(name: str) -> None:
    events = [event for record in vendor_records(name) for event in events_of(name, record)]
    assert events
    assert all(event.lead_id and "@" not in event.lead_id + event.event_id for event in events)


@PRESETS
def test_all_types_of_a_preset_are_those_that_it_may_give(name: str) -> None:
    events = [event for record in vendor_records(name) for event in events_of(name, record)]
    types = {event.type for event in events if not event.type.startswith("command.")}
    assert {event_type for event_type in types if not may_give(preset(name), event_type)} == set()


@PRESETS
def test_what_comes_twice_has_the_same_ids(name: str) -> None:
    for record in vendor_records(name):
        first, again = (
            [(event.lead_id, event.type, event.event_id) for event in events_of(name, record)] for _ in "12"
        )
        assert first == again
        assert len(set(first)) == len(first)


def test_a_topic_adds_types_to_its_preset_and_replaces_other_keys() -> None:
    (mapping,) = mappings_in("t: {preset: sendgrid, types: {open: mail.seen}, lead_id: who}", "m").values()
    assert (mapping.types["open"], mapping.types["click"]) == ("mail.seen", "email.click")
    assert (mapping.lead_id, mapping.event_id) == ("who", "sg_event_id")


REPLACING: Json = {
    "json": ["x"],
    "each": "x",
    "skip": [{"x": 1}],
    "lead_id": "x",
    "merge": "none",
    "event_id": "x",
    "occurred_at": "x",
    "occurred_at_unit": "ms",
    "time_zone": "+01:00",
    "type": "x.y",
    "type_field": "x",
    "types": {"x": "x.y"},
    "type_prefix": "x.",
    "lift": ["x"],
    "fields": {"x": "y"},
    "attributes": "x",
    "campaign": "x",
    "deleted": {"x": 1},
    "on_delete": "erase",
}


@pytest.mark.parametrize("key", sorted(NAMES.keys() - {"preset"}))
def test_every_key_of_a_preset_can_be_replaced(key: str) -> None:
    beside = {"on_delete": "ignore"} if key == "deleted" else {}
    text = json.dumps({"t": {"preset": "segment", key: REPLACING[key], **beside}})
    (mapping,) = mappings_in(text, "m").values()
    replaced = getattr(mapping, NAMES[key])
    assert (REPLACING[key].items() <= replaced.items()) if key in ("types", "fields") else replaced == REPLACING[key]


def test_check_warns_of_rules_whose_type_no_preset_gives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def warned(**more: Json) -> set[str]:
        mappings = tmp_path / "mappings.yaml"
        closed = {name: {"preset": name} for name in preset_names() if not name.startswith("cloudevents")}
        mappings.write_text(json.dumps({**closed, **more}))
        assert main(["check", "--model", str(ROOT / "deploy" / "model.yaml"), "--mappings", str(mappings)]) == 0
        return {line.split(": ")[2] for line in capsys.readouterr().err.splitlines() if line[:5] != "note:"}

    assert {"app.trial_started", "social.engaged", "event.attended"} <= warned()
    trial = {"preset": "posthog", "types": {"trial started": "app.trial_started"}}
    assert warned() - warned(posthog=trial) == {"app.trial_started"}
    assert warned(shop={"preset": "cloudevents"}) == set()  # its types are anyone's


# Trackers


def test_a_batch_of_segment_says_when_it_was_sent_and_of_which_campaign_it_is() -> None:
    record = vendor_event("segment", "a batch of page and identify")
    events = mapped("segment", record)
    assert [(event.lead_id, event.occurred_at_ms) for event in events] == [("anon-1", AT_S * 1000)] * 2
    assert [event.fields["campaign"] for event in events] == ["spring", "spring"]
    events = mapped("segment", {"batch": record["batch"], "receivedAt": AT})
    assert [event.occurred_at_ms for event in events] == [AT_S * 1000] * 2


def test_an_address_of_segment_may_be_hashed_instead() -> None:
    (mapping,) = mappings_in("t: {preset: segment, lead_id: [{keyed_hash: userId}, anonymousId]}", "m").values()
    topics = MappedTopics(compile_mappings({"topic": mapping}, KEY))
    call = {"type": "page", "messageId": "m", "timestamp": AT, "anonymousId": "anon-1", "userId": "jane@example.com"}
    (event,) = topics.events("topic", json.dumps(call).encode())
    assert event.lead_id == mapped("goto-webinar", vendor_event("goto-webinar", "registrant.joined"))[0].lead_id


def test_an_event_of_posthog_is_the_same_in_every_form() -> None:
    forms = [record for record in vendor_records("posthog") if record.event.startswith(("one of yours", "the same"))]
    events = [event for record in forms for event in events_of("posthog", record)]
    assert {event.event_id for event in events} == {"018daf23-89b3-7cf8-a4f1-94064c96df90"}
    assert [event.lead_id for event in events] == ["u-1", "u-1", "018d-1", "u-1"]
    assert {event.fields["path"] for event in events} == {"/"}


def test_an_event_of_yours_is_not_taken_for_one_of_posthogs_own() -> None:
    record = vendor_event("posthog", "$set")
    assert [event.type for event in mapped("posthog", {**record, "event": "set"})] == ["track.set"]


def test_a_visit_of_matomo_that_comes_again_with_more_actions_has_the_same_ids() -> None:
    visit = vendor_event("matomo", "a visit of two pages")
    first = mapped("matomo", {**visit, "actionDetails": visit["actionDetails"][:1]})
    again = mapped("matomo", visit)
    assert first[0].event_id == again[0].event_id != again[1].event_id
    assert [event.fields["path"] for event in again] == ["/", "/about"]
    assert again[1].occurred_at_ms == AT_S * 1000 + 30_000


def test_a_form_of_snowplow_has_its_name() -> None:
    (event,) = mapped("snowplow", vendor_event("snowplow", "submit_form"))
    assert (event.fields["form"], event.fields["campaign"], event.lead_id) == ("contact", "spring", "d-1")


def test_a_binary_cloudevent_is_read_by_its_headers() -> None:
    headers = {
        "ce_specversion": "1.0",
        "ce_id": "1",
        "ce_source": "/web",
        "ce_type": "com.shop.paid",
        "ce_subject": "L1",
    }
    beside = Beside(None, [(name, text.encode()) for name, text in headers.items()], AT_S * 1000)
    (event,) = mapped("cloudevents-binary", {"path": "/pricing"}, beside)
    assert (event.type, event.event_id, event.lead_id) == ("com.shop.paid", "/web 1", "L1")
    assert (event.occurred_at_ms, event.fields) == (AT_S * 1000, {"path": "/pricing"})


# CRM systems


@pytest.mark.parametrize("wrap", [lambda change: change, lambda change: {"schema": {}, "payload": change}])
def test_a_change_of_a_row_at_debezium_with_and_without_its_schema(wrap: Any) -> None:
    source = {"connector": "postgresql", "ts_ms": AT_S * 1000, "lsn": 100}
    row = {"id": 17, "role": "ceo", "notes": "__debezium_unavailable_value"}
    change = {"before": None, "after": row, "source": source, "op": "u", "ts_ms": AT_S * 1000}
    (event,) = mapped("debezium", wrap(change))
    assert (event.lead_id, event.type, event.attributes) == ("17", "profile.updated", {"id": 17, "role": "ceo"})
    deleted = {**change, "before": row, "after": None, "op": "d"}
    (event,) = mapped("debezium", wrap(deleted))
    assert event.attributes == {"id": None, "role": None}


def test_a_tombstone_of_debezium_without_a_key_is_no_dead_letter() -> None:
    assert mapped("debezium", None, Beside(None, None, AT_S * 1000)) == []


def test_generic_subscriptions_of_hubspot_are_about_contacts_alone() -> None:
    change = {"objectId": 12, "eventId": 100, "occurredAt": AT_S * 1000, "subscriptionType": "object.creation"}
    events = mapped("hubspot", [{**change, "objectTypeId": "0-1"}, {**change, "objectTypeId": "0-2"}])
    assert [event.type for event in events] == ["crm.created"]


def test_one_change_at_salesforce_may_be_of_several_leads() -> None:
    events = mapped("salesforce", vendor_event("salesforce", "UPDATE of two leads"))
    assert [event.lead_id for event in events] == ["00Q5e00001AbcDEEAZ", "00Q5e00001AbcDFEAZ"]
    assert [event.attributes for event in events] == [{"lead_status": "Working"}] * 2


def test_fields_that_did_not_change_at_salesforce_stay_as_they_are_in_json_and_avro() -> None:
    """The Pub/Sub API sends Avro with all fields: those that did not change are null."""
    record = vendor_event("salesforce", "UPDATE")
    optional = ["null", "string"]
    text, texts, number = "string", {"type": "array", "items": "string"}, "long"
    kinds: Json = {"recordIds": texts, "nulledFields": texts, "diffFields": texts, "changedFields": texts}
    kinds |= {"sequenceNumber": "int", "commitTimestamp": number, "commitNumber": number}
    header = [{"name": name, "type": kinds.get(name, text)} for name in record["ChangeEventHeader"]]
    fields = [
        {"name": "ChangeEventHeader", "type": {"type": "record", "name": "Header", "fields": header}},
        {"name": "Title", "type": optional},
        {"name": "NumberOfEmployees", "type": ["null", "int"]},
        {"name": "Status", "type": optional},
    ]
    schema = {"type": "record", "name": "LeadChangeEvent", "fields": fields}
    value = io.BytesIO(b"\x00\x00\x00\x00\x01")
    value.seek(5)
    fastavro.schemaless_writer(value, fastavro.parse_schema(schema), record)
    topics = MappedTopics(
        compile_mappings({"topic": preset("salesforce")}, None), lambda _: {"schema": json.dumps(schema)}
    )
    expected = {"role": "Head of Sales", "job_title": "Head of Sales"}
    assert [event.attributes for event in topics.events("topic", value.getvalue())] == [expected]
    assert [event.attributes for event in mapped("salesforce", record)] == [expected]


def test_a_lead_that_salesforce_deleted_loses_its_attributes() -> None:
    (event,) = mapped("salesforce", vendor_event("salesforce", "DELETE"))
    assert event.attributes is not None
    assert event.attributes.keys() >= {"role", "company_size", "country"}
    assert set(event.attributes.values()) == {None}


# Mail


def test_an_event_of_ses_is_the_same_through_sns_and_raw() -> None:
    wrapped, raw = (mapped("ses", vendor_event("ses", name)) for name in ("Open", "Open, with raw message delivery"))
    assert [event.event_id for event in wrapped] == [event.event_id for event in raw]
    assert [event.fields["campaign"] for event in wrapped] == ["spring"]


def test_a_text_that_is_no_json_is_a_dead_letter_unless_it_is_skipped() -> None:
    notification = vendor_event("ses", "the text that SES sends to try the topic")
    with pytest.raises(DeadLetter, match="malformed: Message: expected text that is JSON"):
        mapped("ses", {**notification, "Message": "{half of an event"})


def test_mailgun_says_fractions_of_a_second() -> None:
    (event,) = mapped("mailgun", vendor_event("mailgun", "clicked"))
    assert event.occurred_at_ms == AT_S * 1000 + 908
    assert (event.fields["campaign"], event.fields["url"]) == ("news", "https://shop.example/")


# Webinars and meetings


def test_one_person_is_one_lead_at_goto_webinar_and_calendly() -> None:
    events = mapped("goto-webinar", vendor_event("goto-webinar", "registrant.added"))
    events += mapped("goto-webinar", vendor_event("goto-webinar", "registrant.joined"))
    events += mapped("calendly", vendor_event("calendly", "invitee.created"))
    assert len({event.lead_id for event in events}) == 1
    assert [event.fields["asset"] for event in events] == ["News of spring", "News of spring", "Demo, 30 minutes"]


@pytest.mark.parametrize(("category", "campaign"), [("news", "news"), (["news", "spring"], "news")])
def test_the_campaign_of_sendgrid_is_its_first_category(category: object, campaign: str) -> None:
    mail = {"lead_id": "c-1", "event": "open", "sg_event_id": "e", "timestamp": AT_S, "category": category}
    (event,) = mapped("sendgrid", [mail])
    assert event.fields["campaign"] == campaign


def test_hubspot_erases_no_lead_for_an_object_that_may_be_no_contact() -> None:
    deletion = {"eventId": 1, "subscriptionType": "object.deletion", "objectId": 7, "occurredAt": AT_S * 1000}
    assert mapped("hubspot", [deletion, {**deletion, "objectTypeId": "0-2"}]) == []
    (event,) = mapped("hubspot", [{**deletion, "objectTypeId": "0-1"}])
    assert event.type == "command.erase"


@pytest.mark.parametrize("missing", ["ce_type", "ce_id", "ce_subject"])
def test_a_tombstone_that_is_no_whole_cloudevent_is_ignored(missing: str) -> None:
    (record,) = (record for record in vendor_records("cloudevents-binary") if record.value is None)
    headers = [(name, value) for name, value in record.beside.headers or [] if name != missing]
    assert mapped("cloudevents-binary", None, record.beside._replace(headers=headers)) == []


@pytest.mark.parametrize("name", ["Page", "Screen", "Identify", "Group", "Alias"])
def test_a_track_call_of_segment_is_none_of_the_other_calls_whatever_its_event_is_named(name: str) -> None:
    call = {**vendor_event("segment", "track: Demo Requested"), "event": name}
    (event,) = mapped("segment", call)
    assert event.type == f"track.{name.lower()}"
    assert "type" not in event.fields
    (event,) = mapped("segment", {**vendor_event("segment", "page"), "event": name})
    assert event.type == "website.page_view"


# Forms of values


@pytest.mark.parametrize("webinar", [6_962_400_003, "6962400003"])
def test_a_webinar_of_zoom_is_the_same_asset_as_a_number_and_as_text(webinar: object) -> None:
    record = vendor_event("zoom", "webinar.registration_created")
    record["payload"]["object"]["id"] = webinar
    (event,) = mapped("zoom", record)
    assert event.fields["asset"] == "6962400003"


@pytest.mark.parametrize("webinar", [5_620_084_814_059_709_442, "5620084814059709442"])
def test_a_webinar_of_goto_without_a_title_is_its_key(webinar: object) -> None:
    record = vendor_event("goto-webinar", "registrant.added")
    record |= {"webinarKey": webinar, "webinarTitle": None}
    (event,) = mapped("goto-webinar", record)
    assert event.fields["asset"] == "5620084814059709442"


@pytest.mark.parametrize("value", [12.5, "12.50"])
def test_the_value_of_a_structured_event_of_snowplow_is_a_number(value: object) -> None:
    record = vendor_event("snowplow", "a structured event: Demo Requested")
    (event,) = mapped("snowplow", record | {"se_value": value})
    assert event.fields["se_value"] == 12.5


def test_numbers_and_flags_of_hubspot_are_text() -> None:
    changed: Any = vendor_event("hubspot", "contact.propertyChange")
    (change,) = changed
    changes = [
        {**change, "eventId": 1, "propertyName": "subscribed", "propertyValue": "true"},
        {**change, "eventId": 2, "propertyName": "numberofemployees", "propertyValue": "250"},
    ]
    events = mapped("hubspot", changes)
    assert [event.attributes for event in events] == [{"subscribed": True}, {"company_size": 250}]


def test_an_event_of_posthog_without_uuid_has_the_id_that_it_was_sent_with() -> None:
    record = vendor_event("posthog", "$pageview")
    del record["uuid"]
    record["properties"]["$insert_id"] = "i-1"
    (event,) = mapped("posthog", record)
    assert event.event_id == "i-1"


def test_documents_of_mongodb_are_text_in_debezium() -> None:
    example = PAGE.partition("MongoDB")[2].partition("```yaml\n")[2].partition("```")[0]
    topics = MappedTopics(compile_mappings(mappings_in(example, "m"), None))
    oid = {"$oid": "64f0"}
    source = {"ts_ms": AT_S * 1000, "db": "crm", "collection": "leads"}
    change = {"op": "u", "ts_ms": AT_S * 1000, "source": source, "before": None}
    document = json.dumps({**change, "after": json.dumps({"_id": oid, "role": "cto"})}).encode()
    (event,) = topics.events("crm.leads", document, AT_TEN)
    assert (event.lead_id, (event.attributes or {})["role"]) == ("64f0", "cto")
    key = json.dumps({"id": json.dumps(oid)}).encode()
    for record in (json.dumps({**change, "op": "d", "after": None}).encode(), None):
        assert topics.events("crm.leads", record, Beside(key, None, AT_S * 1000)) == []
