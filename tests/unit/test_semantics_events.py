"""Design 1.2: which events are accepted, and once."""

import msgspec
import pytest
from confluent_kafka import Message

from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.decoder import Decoder
from leadscore.events.event_bytes import json_bytes
from leadscore.events.times import EARLIEST_MS, TimeLimits, too_early
from leadscore.log.records import Frame, encode
from leadscore.model.definition import ModelDefinition
from leadscore.model.matching import Matcher
from leadscore.ops.config import load_config
from leadscore.pipeline.match.batch import Work
from leadscore.scoring.state import encode_state
from tests.oracle import Plain
from tests.simulated import event_of
from tests.unit.semantics import (
    SOURCE,
    ShardOfOne,
    act,
    at,
    command,
    crossings,
    line,
    model_of,
    profile,
    rule,
    run,
    score,
    visit,
)

TEN_PER_VISIT = model_of({"visit": rule(10)})


def test_a_second_event_with_the_same_type_and_id_for_the_same_lead_changes_nothing() -> None:
    assert score(TEN_PER_VISIT, 5, visit("e1", 0), visit("e1", 0)) == 10


def test_a_second_event_with_the_same_type_and_id_changes_nothing_even_if_it_says_something_else() -> None:
    model = model_of({"visit": rule(10), "long": rule(5, where={"pages": {"at_least": 3}})})
    assert score(model, 5, visit("e1", 0), visit("e1", 3, pages=4)) == 10


def test_the_same_id_of_another_type_is_another_event() -> None:
    model = model_of({"visit": rule(10), "click": rule(5, "click")})
    assert score(model, 5, visit("1001", 0), act("click", "1001", 0), command("adjust", "1001", 0, points=3)) == 18


@pytest.mark.parametrize("again", [visit("e1", 0), visit("e1", 3), visit("e1", 9, attributes={"role": "ceo"})])
def test_a_second_event_with_the_same_type_and_id_leaves_the_lead_as_it_is(again: Plain) -> None:
    """Its points, attributes and conditions, and its latest time."""
    busy = {"when": {"count": {"rules": ["visit"], "at_least": 1, "within": "7d"}}, "points": 5}
    fit = {"attributes": {"role": [{"in": ["ceo"], "points": 15}]}}
    rules = {"visit": rule(10), "click": rule(5, "click")}
    shard = ShardOfOne(model_of(rules, fit=fit, conditions={"busy": busy}, thresholds={"t": {"enter": 9, "exit": 1}}))
    shard.apply(1, visit("e1", 0))
    before = encode_state(shard.state())
    assert shard.apply(1, again) == []
    assert encode_state(shard.state()) == before


def test_the_same_id_of_another_lead_is_another_event() -> None:
    scores = run(TEN_PER_VISIT, 5, visit("e1"), visit("e1") | {"lead_id": "L2"}).scores
    assert [(one.lead_id, one.score) for one in scores] == [("L1", 10), ("L2", 10)]


def record(visited: Plain, day: float, plus_ms: int = 0) -> Message:
    """A record of an input topic; ``day`` and ``plus_ms`` are its Kafka timestamp."""
    value = json_bytes(event_of(visited))
    return Message(topic="website", partition=0, offset=0, value=value, timestamp=(1, at(day, plus_ms)))


def taken(message: Message, **settings: str) -> list[str]:
    """What the match stage makes of the record: an award, or the reason of a dead letter."""
    matcher = Matcher(msgspec.convert(TEN_PER_VISIT, ModelDefinition))
    work = Work(load_config(settings), Decoder(), matcher, {("website", 0): SOURCE})
    work.take([message])
    return [failure.reason.value for _, failure in work.dead] + [
        "award" for awards in work.awards.values() for _ in awards
    ]


def test_an_award_has_the_kafka_timestamp_of_its_record() -> None:
    work = Work(
        load_config({}), Decoder(), Matcher(msgspec.convert(TEN_PER_VISIT, ModelDefinition)), {("website", 0): SOURCE}
    )
    work.take([record(visit("e1"), 3, 7)])
    [[award]] = work.awards.values()
    assert (award.received_at_ms, award.trace) == (at(3, 7), None)


@pytest.mark.parametrize(("ahead_ms", "becomes"), [(300_000, "award"), (300_001, "future")])
def test_an_event_too_far_ahead_of_its_kafka_timestamp_is_a_dead_letter(ahead_ms: int, becomes: str) -> None:
    assert taken(record(visit("e1", 3, ahead_ms), 3)) == [becomes]


def test_how_far_ahead_an_event_may_be_is_configurable() -> None:
    ahead = record(visit("e1", 3, 60_001), 3)
    assert taken(ahead, LEADSCORE_MAX_FUTURE_SKEW="1m") == ["future"]
    assert taken(ahead, LEADSCORE_MAX_FUTURE_SKEW="2m") == ["award"]


def test_a_record_may_come_long_after_its_event() -> None:
    assert taken(record(visit("e1", -9_000), 3)) == ["award"]


def test_an_event_before_the_earliest_time_is_a_dead_letter() -> None:
    assert taken(record(visit("e1", -20_000), 3)) == ["too_early"]
    assert taken(record(visit("e1", -20_000), 3), LEADSCORE_EARLIEST="1950-01-01T00:00:00Z") == ["award"]


def test_seconds_that_are_read_as_milliseconds_are_named_so() -> None:
    assert "is it in seconds?" in too_early(1_767_607_200, EARLIEST_MS).detail
    assert "seconds" not in too_early(-5, EARLIEST_MS).detail


@pytest.mark.parametrize("kafka_day", [3, None])
def test_an_event_ahead_of_the_clock_is_a_dead_letter_whatever_kafka_says(kafka_day: float | None) -> None:
    """Producers copy a wrong clock into Kafka's timestamp; -1 is no timestamp."""
    kafka_time_ms = -1 if kafka_day is None else at(kafka_day)
    limits = TimeLimits(EARLIEST_MS, 300_000, at(2))
    limits.check(at(2, 300_000), kafka_time_ms)
    with pytest.raises(DeadLetter, match="ahead of the worker's clock") as caught:
        limits.check(at(3), kafka_time_ms)
    assert caught.value.reason is DeadLetterReason.FUTURE


def test_old_events_are_welcome_at_any_age() -> None:
    assert score(TEN_PER_VISIT, 5, visit("e1", 0), visit("e2", -20_000)) == 20


def test_events_before_1970_are_in_order_too() -> None:
    model = model_of({"visit": rule(0), "first": rule(7, limit={"times": 1, "per": "forever"}, where={"page": "a"})})
    told = line(model, 5, visit("e1", -21_000, page="a"), visit("e2", -22_000, page="a"))
    (first,) = [part for part in told.explanation.parts if part.name == "first"]
    assert first.latest_event_ms == visit("e2", -22_000)["occurred_at"]


def test_an_event_that_matches_no_rule_and_sets_no_attribute_leaves_no_trace() -> None:
    shard = ShardOfOne(TEN_PER_VISIT)
    assert shard.award(1, act("unheard.of", "e1", attributes={"unknown": 1})) is None


def test_an_event_that_leaves_no_trace_is_not_the_first_event_of_a_newcomer() -> None:
    conditions = {"silent": {"when": {"quiet": {"rules": ["visit"], "within": "7d"}}, "points": 25}}
    model = model_of({"visit": rule(10), "click": rule(0, "click")}, conditions=conditions)
    late = act("click", "e2", 5)
    assert score(model, 10, act("unheard.of", "e1", 0), late) == 0
    assert score(model, 10, act("click", "e1", 0), late) == 25


def test_an_event_that_leaves_no_trace_does_not_move_the_latest_time() -> None:
    model = model_of({"visit": rule(50)}, thresholds={"mql": {"enter": 50, "exit": 30}})
    assert crossings(model, 20, act("unheard.of", "e1", 10), visit("e2", 5)) == [("ENTER", "EVENT", 5)]


@pytest.mark.parametrize("line", [profile("e1", role="ceo-of-acme"), visit("e1", attributes={"role": "ceo-of-acme"})])
def test_the_value_of_an_attribute_is_neither_in_the_log_nor_in_the_state(line: dict[str, object]) -> None:
    fit = {"attributes": {"role": [{"matches": "ceo", "points": 15}]}}
    shard = ShardOfOne(model_of({"visit": rule(10)}, fit=fit))
    award = shard.award(1, line)
    assert award is not None
    assert award.attributes[0].points == 15
    shard.apply(1, line)
    assert b"acme" not in encode(Frame(1, [SOURCE], [award])) + encode_state(shard.state())


def test_a_command_that_comes_twice_counts_once() -> None:
    adjust = command("adjust", "c1", 0, points=10)
    assert score(TEN_PER_VISIT, 5, adjust, adjust) == 10
