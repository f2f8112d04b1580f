"""Presets on records in the form of each vendor's public documentation: what becomes of each kind of event."""

import json
from typing import Any

import pytest

from leadscore.errors import DeadLetter
from leadscore.mapping.decoding import Beside, MappedTopics
from leadscore.mapping.load import mappings_in, preset, preset_names, preset_text
from leadscore.mapping.topics import compile_mappings

Json = dict[str, Any]  # what JSON holds

AT_S = 1_767_607_200
AT = "2026-01-05T10:00:00Z"
AT_TEN = Beside(None, None, AT_S * 1000)


def mapped(name: str, record: object, beside: Beside = AT_TEN) -> list[str]:
    """The types of the events of a record, or the reason of the dead letter."""
    topics = MappedTopics(compile_mappings({"topic": preset(name)}, None))
    try:
        value = None if record is None else json.dumps(record).encode()
        return [event.type for event in topics.events("topic", value, beside)]
    except DeadLetter as dead_letter:
        return [dead_letter.reason.value]


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_can_be_printed_and_loaded_as_a_file_of_its_own(name: str) -> None:
    (mapping,) = mappings_in(preset_text(name), name).values()
    assert mapping == preset(name)


def test_a_topic_adds_types_to_its_preset_and_replaces_other_keys() -> None:
    (mapping,) = mappings_in("t: {preset: sendgrid, types: {open: mail.seen}, lead_id: who}", "m").values()
    assert (mapping.types["open"], mapping.types["click"]) == ("mail.seen", "email.click")
    assert (mapping.lead_id, mapping.event_id) == ("who", "sg_event_id")


SENDGRID = {
    "processed": [],
    "deferred": [],
    "dropped": [],
    "delivered": ["email.delivered"],
    "bounce": ["email.bounce"],
    "open": ["email.open"],
    "click": ["email.click"],
    "spamreport": ["email.complaint"],
    "unsubscribe": ["email.unsubscribe"],
    "group_unsubscribe": ["email.unsubscribe"],
    "group_resubscribe": [],
}


@pytest.mark.parametrize(("kind", "types"), SENDGRID.items())
def test_each_event_of_sendgrid(kind: str, types: list[str]) -> None:
    event = {"email": "p@example.com", "timestamp": AT_S, "event": kind, "sg_event_id": "s", "category": ["news"]}
    assert mapped("sendgrid", [{**event, "lead_id": "c-1"}]) == types
    assert mapped("sendgrid", [event]) == []


POSTMARK: dict[str, tuple[Json, list[str]]] = {
    "Delivery": ({"Recipient": "p@example.com", "DeliveredAt": AT}, ["email.delivered"]),
    "Bounce": ({"Email": "p@example.com", "Type": "HardBounce", "BouncedAt": AT}, ["email.bounce"]),
    "SpamComplaint": ({"Email": "p@example.com", "BouncedAt": AT}, ["email.complaint"]),
    "Open": ({"FirstOpen": True, "Recipient": "p@example.com", "ReceivedAt": AT}, ["email.open"]),
    "Click": ({"OriginalLink": "https://shop.example/", "ReceivedAt": AT}, ["email.click"]),
    "SubscriptionChange": ({"SuppressSending": True, "ChangedAt": AT}, ["email.unsubscribe"]),
    "Inbound": ({"Date": AT}, []),
}


@pytest.mark.parametrize("kind", POSTMARK)
def test_each_record_of_postmark(kind: str) -> None:
    record, types = POSTMARK[kind]
    record = {"RecordType": kind, "MessageID": "pm-1", "Tag": "welcome", **record}
    assert mapped("postmark", {**record, "Metadata": {"lead_id": "c-1"}}) == types
    assert mapped("postmark", {**record, "Metadata": {}}) == []


def test_a_subscription_that_is_taken_up_again_at_postmark_is_ignored() -> None:
    record = {"RecordType": "SubscriptionChange", "MessageID": "pm", "ChangedAt": AT, "SuppressSending": False}
    assert mapped("postmark", {**record, "Metadata": {"lead_id": "c-1"}}) == []


HUBSPOT = {
    "contact.creation": ["crm.created"],
    "contact.propertyChange": ["profile.updated"],
    "contact.deletion": ["command.erase"],
    "contact.privacyDeletion": ["command.erase"],
    "contact.merge": [],
    "deal.creation": [],
    "company.propertyChange": [],
}


@pytest.mark.parametrize(("kind", "types"), HUBSPOT.items())
def test_each_change_of_hubspot(kind: str, types: list[str]) -> None:
    change = {"objectId": 12, "eventId": 100, "subscriptionId": 1, "portalId": 3, "occurredAt": AT_S * 1000}
    assert mapped("hubspot", [{**change, "subscriptionType": kind, "attemptNumber": 0}]) == types


def test_generic_subscriptions_of_hubspot_are_about_contacts_alone() -> None:
    change = {"objectId": 12, "eventId": 100, "occurredAt": AT_S * 1000, "subscriptionType": "object.creation"}
    assert mapped("hubspot", [{**change, "objectTypeId": "0-1"}, {**change, "objectTypeId": "0-2"}]) == ["crm.created"]


ZOOM = {
    "webinar.registration_created": ["webinar.registered"],
    "webinar.participant_joined": ["webinar.attended"],
    "webinar.participant_left": [],
    "webinar.started": [],
    "webinar.ended": [],
    "endpoint.url_validation": [],
}


@pytest.mark.parametrize(("kind", "types"), ZOOM.items())
def test_each_event_of_zoom(kind: str, types: list[str]) -> None:
    person = (
        {"registrant": {"id": "reg-1", "create_time": AT, "email": "p@example.com"}}
        if "registration" in kind
        else {"participant": {"user_id": "16", "registrant_id": "reg-1", "join_time": AT}}
    )
    payload = {"account_id": "A", "object": {"id": "951", "uuid": "wu==", "topic": "Demo", **person}}
    assert mapped("zoom", {"event": kind, "event_ts": AT_S * 1000, "payload": payload}) == types


def test_a_binary_cloudevent_is_read_by_its_headers() -> None:
    headers = {
        "ce_specversion": "1.0",
        "ce_id": "1",
        "ce_source": "/web",
        "ce_type": "com.shop.paid",
        "ce_subject": "L1",
    }
    beside = Beside(None, [(name, text.encode()) for name, text in headers.items()], AT_S * 1000)
    topics = MappedTopics(compile_mappings({"topic": preset("cloudevents-binary")}, None))
    (event,) = topics.events("topic", b'{"path": "/pricing"}', beside)
    assert (event.type, event.event_id, event.lead_id) == ("com.shop.paid", "/web 1", "L1")
    assert (event.occurred_at_ms, event.fields) == (AT_S * 1000, {"path": "/pricing"})


@pytest.mark.parametrize("wrap", [lambda change: change, lambda change: {"schema": {}, "payload": change}])
def test_a_change_of_a_row_at_debezium_with_and_without_its_schema(wrap: Any) -> None:
    source = {"connector": "postgresql", "ts_ms": AT_S * 1000, "lsn": 100}
    row = {"id": 17, "role": "ceo", "notes": "__debezium_unavailable_value"}
    topics = MappedTopics(compile_mappings({"topic": preset("debezium")}, None))
    change = {"before": None, "after": row, "source": source, "op": "u", "ts_ms": AT_S * 1000}
    (event,) = topics.events("topic", json.dumps(wrap(change)).encode())
    assert (event.lead_id, event.type, event.attributes) == ("17", "profile.updated", {"id": 17, "role": "ceo"})
    deleted = {**change, "before": row, "after": None, "op": "d"}
    (event,) = topics.events("topic", json.dumps(wrap(deleted)).encode())
    assert event.attributes == {"id": None, "role": None}
    assert mapped("debezium", wrap({**change, "op": "t", "after": None})) == []


def test_a_tombstone_of_debezium_is_no_dead_letter() -> None:
    assert mapped("debezium", None, Beside(b'{"id": 17}', None, AT_S * 1000)) == ["profile.updated"]
    assert mapped("debezium", None, Beside(None, None, AT_S * 1000)) == []
