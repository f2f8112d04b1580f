"""Mapped topics in the pipeline: several events in one record, tombstones, and replays of both."""

import json
from time import thread_time
from typing import Any

import pytest
from confluent_kafka import Message

from leadscore.cli.topics import LOG_MAX_BYTES
from leadscore.errors import ConfigError, DeadLetter, DeadLetterReason
from leadscore.events.decoder import Decoder
from leadscore.log.records import Award, Frame, Source, Trace, decode
from leadscore.mapping.compiled import MOST_EVENTS
from leadscore.mapping.decoding import Beside, MappedTopics
from leadscore.mapping.load import mappings_in
from leadscore.mapping.topics import compile_mappings
from leadscore.mapping.types import LONGEST_REMEMBERED, Types
from leadscore.model.compile import compile_model
from leadscore.model.definition import ModelDefinition, Rule
from leadscore.model.matching import Matcher
from leadscore.ops.config import load_config
from leadscore.pipeline.match.batch import Work
from leadscore.pipeline.score.shard import Shard
from leadscore.scoring.context import FoldSettings
from leadscore.store.fence import Fence

TOPIC = "mail"
MODEL = ModelDefinition(model="m", version=1, rules={"open": Rule(event="email.open", points=1)})
MAPPING = """
mail:
  each: $record
  lead_id: [lead, $key.id]
  event_id: id
  occurred_at: at
  type: email.open
  on_delete: erase
"""
NOON_MS = 1_767_607_200_000


def topics(text: str = MAPPING, key: str | None = None) -> MappedTopics:
    return MappedTopics(compile_mappings(mappings_in(text, "mappings.yaml"), key))


def message(value: Any, offset: int = 0, key: bytes | None = None) -> Message:
    text = None if value is None else json.dumps(value).encode()
    return Message(topic=TOPIC, partition=0, offset=offset, key=key, value=text, timestamp=(1, NOON_MS))


def opens(count: int, lead: str = "L1") -> list[dict[str, object]]:
    return [{"lead": lead, "id": f"e{index}", "at": NOON_MS} for index in range(count)]


def work_of(*messages: Message) -> Work:
    config = load_config({"LEADSCORE_SOURCE_TOPICS": TOPIC, "LEADSCORE_LOG_PARTITIONS": "1"})
    work = Work(config, Decoder(), Matcher(MODEL), {(TOPIC, 0): Source(TOPIC, "", 0)}, topics())
    work.take(messages)
    return work


def frames_of(work: Work) -> list[Frame]:
    frames = [decode(logged.value) for logged in work.frames()]
    return [frame for frame in frames if isinstance(frame, Frame)]


def test_every_event_of_a_record_has_its_kafka_timestamp_and_its_trace_context() -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    value = json.dumps(opens(3)).encode()
    headers: list[tuple[str, str | bytes | None]] = [("traceparent", parent.encode())]
    traced = Message(topic=TOPIC, partition=0, offset=0, value=value, timestamp=(1, NOON_MS + 7), headers=headers)
    untimed = Message(topic=TOPIC, partition=0, offset=1, value=json.dumps(opens(1, "L2")).encode(), timestamp=(0, -1))
    [frame] = frames_of(work_of(traced, untimed))
    carried = [(award.received_at_ms, award.trace) for award in frame.awards]
    assert carried == [(NOON_MS + 7, Trace(parent))] * 3 + [(None, None)]


def applied(*frames: Frame) -> int:
    """How many awards a new shard applies of the frames."""
    model = compile_model(MODEL)
    shard = Shard(0, None, Fence("", -1, 0, 0, {}), lambda _: model, FoldSettings())
    shard.load(["L1", "L2"], [None, None])
    for offset, frame in enumerate(frames):
        shard.fold(frame, offset, NOON_MS)
    return shard.counts.applied


def test_every_event_of_a_record_is_awarded_and_the_record_counts_once() -> None:
    work = work_of(message(opens(3)), message(opens(2, "L2"), 1))
    assert [len(awards) for awards in work.awards.values()] == [5]
    assert work.offsets == {(TOPIC, 0): 2}
    assert work.records == 2


def test_one_wrong_event_makes_the_whole_record_a_dead_letter_that_names_it() -> None:
    work = work_of(message([*opens(2), {"lead": "L1", "id": "x"}]))
    assert work.awards == {}
    ((_, failure),) = work.dead
    assert failure.detail == "event 2 of the record: at: expected ISO 8601 with an offset, or a number since 1970"


@pytest.mark.parametrize("events", [500, 1_500])
def test_the_events_of_one_record_are_in_one_frame(events: int) -> None:
    others = [message(opens(1), offset) for offset in range(999)]
    frames = frames_of(work_of(*others, message(opens(events, "L2"), 999), message(opens(3, "L3"), 1_000)))
    places = [{award.offset for award in frame.awards} for frame in frames]
    assert sum(len(frame.awards) for frame in frames) == 999 + events + 3
    assert all(not one & other for index, one in enumerate(places) for other in places[index + 1 :])


def test_a_record_with_more_events_than_a_frame_of_the_log_can_hold_is_a_dead_letter() -> None:
    fits, too_many = message(opens(MOST_EVENTS, "l" * 256), 0), message(opens(MOST_EVENTS + 1), 1)
    work = work_of(fits, too_many)
    assert all(len(logged.value) < LOG_MAX_BYTES for logged in work.frames())
    ((dead, failure),) = work.dead
    assert (dead.offset(), failure.reason) == (1, DeadLetterReason.TOO_LARGE)
    assert failure.detail == f"{MOST_EVENTS + 1} events in one record, expected at most {MOST_EVENTS}"


def test_a_record_with_500_events_is_scored_once_through_a_replay_in_other_frames() -> None:
    first = frames_of(work_of(message(opens(500), 7)))
    again = frames_of(work_of(message(opens(1), 6), message(opens(500), 7), message(opens(2, "L2"), 8)))
    assert applied(*first) == 500
    assert applied(*first, *first) == 500
    assert applied(*first, *again) == 502


def test_a_tombstone_erases_the_lead_of_its_key() -> None:
    work = work_of(message(None, 0, b'{"id": 17}'), message(None, 1))
    awards: list[Award] = [award for made in work.awards.values() for award in made]
    assert [(award.type, award.lead_id) for award in awards] == [("command.erase", "17")]
    assert work.dead == []


def test_a_record_cannot_give_a_command() -> None:
    mapped = topics("mail: {type_field: kind}")
    record = {"kind": "command.erase", "lead_id": "L", "event_id": "e", "occurred_at": NOON_MS}
    with pytest.raises(DeadLetter, match="kind: expected no commands on this topic"):
        mapped.events(TOPIC, json.dumps(record).encode())


# keyed_hash

HASHED = "mail: {lead_id: {keyed_hash: email}, event_id: id, occurred_at: at, type: email.open}"
SECRET = "a secret of at least sixteen characters"


def hashed(address: object, key: str = SECRET) -> str:
    value = json.dumps({"email": address, "id": "e", "at": NOON_MS}).encode()
    (event,) = topics(HASHED, key).events(TOPIC, value, Beside())
    assert "email" not in event.fields
    return event.lead_id


def test_an_address_is_one_lead_however_it_is_written() -> None:
    assert hashed("Jane@Example.com ") == hashed("jane@example.com")
    assert hashed("j\u00e9@example.com") == hashed("je\u0301@example.com")
    assert hashed("jane@example.com") != hashed("joan@example.com")
    assert len(hashed("jane@example.com")) == 64


def test_a_text_that_is_too_long_for_an_address_is_none_and_takes_no_time() -> None:
    """The normal form of these marks would take minutes."""
    started_s = thread_time()
    with pytest.raises(DeadLetter, match="missing_field: email"):
        hashed("a" + "\u0301" * 40_000 + "\u0327" * 40_000 + "@example.com")
    assert thread_time() - started_s < 2


def test_names_of_types_that_are_long_are_not_remembered() -> None:
    types = Types({}, "x.", "kind", gives_commands=False)
    for number in range(10):
        types.of(f"{number}" + "a" * LONGEST_REMEMBERED)
        types.of(f"{number}")
    assert len(types.remembered) == 10


def test_another_key_makes_another_lead() -> None:
    assert hashed("jane@example.com") != hashed("jane@example.com", "another secret of sixteen characters")


@pytest.mark.parametrize("key", [None, "short"])
def test_hashing_needs_a_secret(key: str | None) -> None:
    with pytest.raises(ConfigError, match="LEADSCORE_LEAD_ID_KEY_FILE: "):
        topics(HASHED, key)


def test_no_address_is_in_a_message() -> None:
    mapping = HASHED.replace("{keyed_hash: email}", "email")
    value = json.dumps({"email": "jane@example.com", "id": "e", "at": NOON_MS}).encode()
    with pytest.raises(DeadLetter, match=r"^invalid_field: email: expected an opaque id, not an email address$"):
        topics(mapping).events(TOPIC, value)


# Messages


@pytest.mark.parametrize("topic", [TOPIC, "other"])
def test_a_schema_id_in_a_header_is_named(topic: str) -> None:
    headers: list[tuple[str, str | bytes | None]] = [("__value_schema_id", b"1")]
    record = Message(topic=topic, partition=0, offset=0, value=b"\x08abc", headers=headers, timestamp=(1, NOON_MS))
    config = load_config({"LEADSCORE_SOURCE_TOPICS": topic})
    work = Work(config, Decoder(), Matcher(MODEL), {(topic, 0): Source(topic, "", 0)}, topics())
    work.take([record])
    ((_, failure),) = work.dead
    assert failure.detail.startswith("the schema id is in the header __value_schema_id, and no registry is set")


def test_a_list_on_a_topic_without_a_mapping_is_named_so() -> None:
    with pytest.raises(DeadLetter, match="a JSON list, expected an object; a mapping reads lists"):
        Decoder().decode("topic", b"[{}]")
