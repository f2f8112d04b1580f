"""Records with two ids of one person: the merge that comes before the event, and when there is no merge."""

import json
from typing import Any

import pytest

from leadscore.errors import ConfigError, DeadLetter, DeadLetterReason
from leadscore.events.event import Event
from leadscore.mapping.compiled import MOST_EVENTS
from leadscore.mapping.decoding import MappedTopics
from leadscore.mapping.load import mappings_in, preset
from leadscore.mapping.sense import paths_in
from leadscore.mapping.topics import compile_mappings

Json = dict[str, Any]  # what JSON holds

JAN_5 = 1_767_607_200_000
FORM: Json = {"contact": "c-1", "cookie": "v-1", "id": "f-1", "at": JAN_5}
FORMS = "{lead_id: contact, event_id: id, occurred_at: at, type: website.form_submitted, %s}"
BY_PATHS = FORMS % "merge: {lead_id: cookie, into: contact}"
BY_LEAD = FORMS % "merge: {lead_id: [cookie, {opaque: visitor}]}"
KEY = "a secret of at least sixteen characters"


def mapped(record: object, mapping: str = BY_PATHS) -> list[Event]:
    compiled = compile_mappings(mappings_in(f"topic: {mapping}", "m.yaml"), KEY)
    return MappedTopics(compiled).events("topic", json.dumps(record).encode())


def by_segment(**record: object) -> list[Event]:
    call = {"messageId": "m-1", "timestamp": "2026-01-05T10:00:00Z", **record}
    return MappedTopics(compile_mappings({"topic": preset("segment")}, None)).events("topic", json.dumps(call).encode())


def merge(lead_id: str, into: str, event_id: str = "m-1") -> Event:
    return Event("command.merge", event_id, lead_id, JAN_5, {"into": into})


def test_a_record_with_two_ids_gives_the_merge_and_then_its_event() -> None:
    for mapping in (BY_PATHS, BY_LEAD):
        first, second = mapped(FORM, mapping)
        assert first == merge("v-1", "c-1", "f-1")
        assert (second.type, second.lead_id, second.event_id) == ("website.form_submitted", "c-1", "f-1")


@pytest.mark.parametrize(
    "changes", [{"cookie": None}, {"cookie": ""}, {"cookie": "c-1"}, {"cookie": 7, "contact": "7"}]
)
def test_without_two_ids_there_is_the_event_alone(changes: Json) -> None:
    for mapping in (BY_PATHS, BY_LEAD):
        (event,) = mapped({**FORM, **changes}, mapping)
        assert event.type == "website.form_submitted"


def test_whole_numbers_are_ids_as_they_are_elsewhere() -> None:
    first, _ = mapped({**FORM, "cookie": 7})
    assert first == merge("7", "c-1", "f-1")


def test_an_address_among_the_ids_is_a_dead_letter_that_names_the_path() -> None:
    by_other = FORMS % "merge: {lead_id: cookie, into: account.id}"
    with pytest.raises(DeadLetter, match=r"^invalid_field: cookie: expected an opaque id") as refused:
        mapped({**FORM, "cookie": "me@x.org"})
    assert refused.value.reason is DeadLetterReason.INVALID_FIELD
    with pytest.raises(
        DeadLetter, match=r"^invalid_command: account\.id: expected the lead_id to merge into, an opaque id"
    ) as refused:
        mapped({**FORM, "account": {"id": "me@x.org"}}, by_other)
    assert refused.value.reason is DeadLetterReason.INVALID_COMMAND


def test_the_two_ids_may_be_made_of_an_address() -> None:
    by_hash = "{lead_id: {keyed_hash: mail}, event_id: id, occurred_at: at, type: a.b, merge: {lead_id: cookie}}"
    first, second = mapped({**FORM, "mail": "me@x.org"}, by_hash)
    assert first == merge("v-1", second.lead_id, "f-1")
    assert len(second.lead_id) == 64
    needs_key = "topic: {lead_id: id, merge: {lead_id: a, into: {keyed_hash: b}}}"
    with pytest.raises(ConfigError, match="LEADSCORE_LEAD_ID_KEY_FILE: not set"):
        compile_mappings(mappings_in(needs_key, "m.yaml"), None)


def test_a_record_that_is_skipped_or_wrong_or_deletes_merges_nothing() -> None:
    skipping = FORMS % "merge: {lead_id: cookie}, skip: [{kind: test}]"
    assert mapped({**FORM, "kind": "test"}, skipping) == []
    with pytest.raises(DeadLetter, match=r"^missing_field: id: expected an id of the event"):
        mapped({**FORM, "id": None})
    erasing = FORMS % "merge: {lead_id: cookie}, deleted: {gone: true}, on_delete: erase"
    assert [event.type for event in mapped({**FORM, "gone": True}, erasing)] == ["command.erase"]


def test_each_element_of_a_list_merges_what_it_names() -> None:
    listing = FORMS % "merge: {lead_id: cookie}, each: all"
    events = mapped({"all": [FORM, {**FORM, "id": "f-2", "cookie": "v-2"}]}, listing)
    assert [(event.type, event.lead_id) for event in events] == [
        ("command.merge", "v-1"),
        ("website.form_submitted", "c-1"),
        ("command.merge", "v-2"),
        ("website.form_submitted", "c-1"),
    ]


def test_a_record_gives_no_more_in_all_because_of_merges() -> None:
    """Its awards for a log partition are in one frame, whose size is bounded."""
    listing = FORMS % "merge: {lead_id: cookie}, each: all"
    assert len(mapped({"all": [FORM] * (MOST_EVENTS // 2)}, listing)) == MOST_EVENTS
    with pytest.raises(DeadLetter, match=f"expected at most {MOST_EVENTS // 2}"):
        mapped({"all": [FORM] * (MOST_EVENTS // 2 + 1)}, listing)


def test_merges_on_mapped_topics_are_held_to_the_time_of_their_event() -> None:
    compiled = compile_mappings(mappings_in(f"topic: {BY_PATHS}", "m.yaml"), KEY)
    checked: list[int] = []
    MappedTopics(compiled).events("topic", json.dumps(FORM).encode(), check_time=checked.append)
    assert checked == [JAN_5]


@pytest.mark.parametrize(
    ("merge_key", "problem"),
    [
        ("{into: contact}", "topic.merge: lead_id is missing"),
        ("cookie", 'topic.merge: "cookie": expected an object with lead_id, and into or not, or none'),
        ("{lead_id: 'a..b'}", 'topic.merge.lead_id: "a..b": a path'),
        ("{lead_id: a, into: {as: text}}", "topic.merge.into: expected exactly one of path"),
        ("{lead_id: a, of: b}", "topic.merge.of"),
    ],
)
def test_what_makes_no_sense_is_said_by_place(merge_key: str, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        mappings_in(f"topic: {{merge: {merge_key}}}", "m.yaml")
    assert problem in str(refused.value).replace("m.yaml:1:", "")


def test_the_paths_of_a_merge_are_paths_of_the_mapping() -> None:
    (mapping,) = mappings_in("topic: {merge: {lead_id: [a.b, {path: c, when: {d: 1}}], into: $key.e}}", "m").values()
    assert {"a.b", "c", "d", "$key.e"} <= set(paths_in(mapping))


# Segment


def test_an_identify_call_merges_the_visitor_into_the_user() -> None:
    first, second = by_segment(type="identify", anonymousId="a-1", userId="u-1", traits={"role": "cto"})
    assert first == merge("a-1", "u-1")
    assert (second.type, second.lead_id, second.attributes) == ("profile.updated", "u-1", {"role": "cto"})


def test_an_alias_call_merges_the_previous_id_into_the_user() -> None:
    first, second = by_segment(type="alias", previousId="u-0", userId="u-1")
    assert (first, second.type) == (merge("u-0", "u-1"), "segment.alias")


@pytest.mark.parametrize(
    "call",
    [
        {"type": "identify", "anonymousId": "a-1"},
        {"type": "identify", "anonymousId": "a-1", "userId": "me@x.org"},
        {"type": "page", "anonymousId": "a-1", "userId": "u-1"},
        {"type": "track", "event": "alias", "anonymousId": "a-1", "userId": "u-1", "previousId": "u-0"},
        {"type": "alias", "previousId": "me@x.org", "userId": "u-1"},
        {"type": "alias", "previousId": "u-0", "userId": "me@x.org"},
    ],
)
def test_other_calls_merge_nothing(call: Json) -> None:
    assert "command.merge" not in [event.type for event in by_segment(**call)]


def test_where_the_lead_is_made_of_an_address_the_visitor_is_merged_into_that() -> None:
    text = "topic: {preset: segment, lead_id: [{keyed_hash: userId}, userId, anonymousId]}"
    topics = MappedTopics(compile_mappings(mappings_in(text, "m"), KEY))
    call = {"type": "identify", "messageId": "m-1", "timestamp": JAN_5, "anonymousId": "a-1", "userId": "me@x.org"}
    first, second = topics.events("topic", json.dumps(call).encode())
    assert first == merge("a-1", second.lead_id)
