"""Design 1.3: what the event decides about the award of a rule: its type, its time, and a number that it carries."""

import pytest

from leadscore.scoring.explanation import Part
from tests.oracle import Plain
from tests.unit.semantics import act, at, command, crossings, line, model_of, score, visit

MQL = {"mql": {"enter": 50, "exit": 30}}
WATCHED = ["attended", "on_demand"]


def minutes(**points: object) -> Plain:
    """Points out of the field ``minutes``."""
    return model_of({"watched": {"event": WATCHED, "points": {"field": "minutes", **points}}}, score={"floor": -100})


def active(**span: str) -> Plain:
    """10 points in the span."""
    return model_of({"visit": {"event": "visit", "points": 10, "active": span}})


# --- types ----------------------------------------------------------------------------------------------------------


def test_a_rule_may_name_several_types() -> None:
    model = model_of({"either": {"event": ["visit", "click"], "points": 10}, "click": {"event": "click", "points": 1}})
    assert score(model, 0, visit("e1")) == 10
    assert score(model, 0, act("click", "e1")) == 11
    assert score(model, 0, visit("e1"), act("click", "e1"), act("form", "e1")) == 21


def test_a_limit_holds_for_all_types_of_a_rule_together() -> None:
    model = model_of({"either": {"event": ["visit", "click"], "points": 10, "limit": {"times": 1, "per": "day"}}})
    assert score(model, 0, visit("e1"), act("click", "e2")) == 10


def test_a_retraction_without_a_type_finds_every_type_of_a_list() -> None:
    model = model_of({"either": {"event": ["visit", "click"], "points": 10}})
    retract = command("retract", "c1", 1, target="e1")
    assert score(model, 2, visit("e1"), act("click", "e1"), retract) == 0
    assert score(model, 2, visit("e1"), act("click", "e1"), retract | {"target_type": "click"}) == 10


# --- points out of a field ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "value", "worth"),
    [
        ({}, 12, 12),
        ({"times": 0.5}, 12, 6),
        ({"times": 0.5, "max": 20}, 45, 20),
        ({"times": 0.5, "max": 20}, 40.5, 20),
        ({"times": 0.5, "max": 20}, 39, 19.5),
        ({"min": 5}, 3, 5),
        ({"min": 5}, -3, 5),
        ({"times": -2, "min": -10}, 3, -6),
        ({"times": -2, "min": -10}, 6, -10),
        ({}, -7, -7),
        ({}, 0.1, 0.1),
    ],
)
def test_a_number_of_the_event_times_a_factor_within_limits(points: Plain, value: float, worth: float) -> None:
    assert line(minutes(**points), 0, act("attended", "e1", minutes=value)).engagement == pytest.approx(worth, abs=1e-9)


@pytest.mark.parametrize("fields", [{}, {"minutes": None}, {"minutes": "45"}, {"minutes": True}, {"minutes": (45,)}])
def test_a_missing_value_and_what_is_no_number_give_nothing(fields: Plain) -> None:
    """Not the least either: who did not say how long has not stayed for the shortest time that counts."""
    told = line(minutes(min=5), 0, act("attended", "e1", **fields))
    assert told.engagement == 0
    assert [(part.count, part.awarded) for part in told.explanation.parts] == [(1, 0)]


@pytest.mark.parametrize("value", [10**18, 1e308])
def test_an_event_gives_a_million_points_at_most(value: float) -> None:
    for sign in (1, -1):
        told = line(minutes(times=sign * 10**15), 0, act("attended", "e1", minutes=value))
        assert told.engagement == sign * 1_000_000


def test_each_event_gives_its_own_points_which_can_be_taken_back() -> None:
    events = [act("attended", f"e{stayed}", minutes=stayed) for stayed in (3, 5, 11)]
    assert score(minutes(), 1, *events) == 19
    assert score(minutes(), 1, *events, command("retract", "c1", 1, target="e5")) == 14


def test_points_out_of_a_field_enter_a_threshold_and_take_out_of_it() -> None:
    model = minutes(times=2) | {"thresholds": MQL}
    events = (
        act("attended", "e1", 0, minutes=24),
        act("attended", "e2", 1, minutes=1),
        act("attended", "e3", 2, minutes=-11),
    )
    assert crossings(model, 3, *events) == [("ENTER", "EVENT", 1), ("LEAVE", "EVENT", 2)]


# --- active ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("span", "passing", "failing"),
    [
        ({"from": "2026-01-03"}, [(2, 0), (900, 0)], [(2, -1), (0, 0)]),  # day 0 is 1 January
        ({"until": "2026-01-03"}, [(2, -1), (-900, 0)], [(2, 0), (9, 0)]),
        ({"from": "2026-01-02", "until": "2026-01-03"}, [(1, 0), (2, -1)], [(1, -1), (2, 0)]),
        ({"from": "2026-01-02T12:00:00.500+02:00"}, [(1, 10 * 3_600_000 + 500)], [(1, 10 * 3_600_000 + 499)]),
    ],
)
def test_only_events_that_occurred_in_the_span_match(
    span: dict[str, str], passing: list[tuple[float, int]], failing: list[tuple[float, int]]
) -> None:
    assert [score(active(**span), 999, visit("e1", day, plus_ms)) for day, plus_ms in passing] == [10] * len(passing)
    assert [score(active(**span), 999, visit("e1", day, plus_ms)) for day, plus_ms in failing] == [0] * len(failing)


def test_when_an_event_arrives_does_not_matter_to_the_span() -> None:
    late = visit("e1", 1)
    assert score(active(until="2026-01-03"), 30, act("other", "e0", 20), late) == 10


def test_points_of_a_span_that_is_over_stay_and_decay() -> None:
    model = active(until="2026-01-03") | {"decay": {"half_life": "10d"}}
    assert score(model, 11, visit("e1", 1)) == pytest.approx(5, abs=1e-9)


def test_outside_of_its_span_a_rule_neither_qualifies_nor_is_counted() -> None:
    rules = {"spring": {"event": "visit", "points": 0, "qualifies": "mql", "active": {"until": "2026-01-03"}}}
    many = {"when": {"count": {"rules": ["spring"], "at_least": 1, "within": "7d"}}, "points": 7}
    model = model_of(rules, conditions={"many": many}, thresholds=MQL)
    assert (crossings(model, 1, visit("e1", 1)), score(model, 1, visit("e1", 1))) == ([("ENTER", "INSTANT", 1)], 7)
    assert (crossings(model, 3, visit("e1", 2)), score(model, 3, visit("e1", 2))) == ([], 0)


# --- together -------------------------------------------------------------------------------------------------------


def test_a_rule_may_have_all_of_it() -> None:
    """Of each webinar the first time, by the minutes, in spring, with the month's limit on top."""
    rule: Plain = {
        "event": WATCHED,
        "points": {"field": "minutes", "times": 0.5, "max": 20},
        "active": {"from": "2026-01-01", "until": "2026-03-01"},
        "once_per": "asset",
        "limit": {"times": 2, "per": "month"},
    }
    events = (
        act("attended", "e1", -1, asset="z", minutes=60),
        act("attended", "e2", 1, asset="a", minutes=10),
        act("on_demand", "e2", 2, asset="a", minutes=60),
        act("on_demand", "e3", 3, asset="b", minutes=60),
        act("attended", "e4", 4, asset="c", minutes=2),
        act("attended", "e5", 31, asset="d", minutes=14),
        act("attended", "e6", 59, asset="e", minutes=60),
    )
    told = line(model_of({"watched": rule}), 60, *events)
    expected = Part(part="rule", name="watched", group=None, points=32, awarded=32, count=3, latest_event_ms=at(31))
    assert told.explanation.parts == [expected]
