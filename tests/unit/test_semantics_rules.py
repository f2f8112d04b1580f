"""Design 1.3: what a rule awards, which events of it count, and how points decay."""

from itertools import permutations
from typing import Any

import pytest

from leadscore.model.matching import event_hash
from tests.oracle import DAY_MS, Plain
from tests.unit.semantics import (
    ShardOfOne,
    act,
    command,
    crossings,
    id_before,
    ids_in_order,
    line,
    model_of,
    rule,
    score,
    visit,
)

MQL = {"mql": {"enter": 50, "exit": 30}}
HOUR = 1 / 24


def one_rule(points: float = 10, **parts: Any) -> Plain:
    return model_of({"visit": rule(points, **parts)})


def test_an_event_may_match_many_rules() -> None:
    model = model_of({"visit": rule(10), "pricing": rule(5, where={"page": "pricing"}), "minus": rule(-2)})
    assert score(model, 0, visit("e1", page="pricing")) == 13
    assert score(model, 0, visit("e1", page="blog")) == 8


def test_all_tests_of_where_must_pass() -> None:
    model = one_rule(where={"page": "pricing", "pages": {"at_least": 2}})
    assert score(model, 0, visit("e1", page="pricing", pages=2)) == 10
    assert score(model, 0, visit("e1", page="pricing", pages=1), visit("e2", page="blog", pages=2)) == 0


@pytest.mark.parametrize(("test", "passing", "failing"), [
    ("a", ["a"], ["b", "A", 1]),
    (1, [1, 1.0], [True, "1", 2]),
    (True, [True], [1, "true", False]),
    ({"in": ["a", 1]}, ["a", 1], [True, "b", "1"]),
    ({"not_in": ["a", 1]}, ["b", True, "1"], ["a", 1]),
    ({"at_least": 2}, [2, 2.5], [1.9, "3", True]),
    ({"below": 2}, [1.9, -1], [2, "1", False]),
    ({"matches": "pri"}, ["/pricing"], ["/blog", 7]),
    ({"exists": True}, ["", 0, False], []),
])  # fmt: skip
def test_a_field_passes_its_test_and_a_missing_or_null_field_passes_no_test(
    test: object, passing: list[object], failing: list[object]
) -> None:
    model = one_rule(where={"field": test})
    assert [score(model, 0, visit("e1", field=value)) for value in passing] == [10] * len(passing)
    assert [score(model, 0, visit("e1", field=value)) for value in [*failing, None]] == [0] * (len(failing) + 1)
    assert score(model, 0, visit("e1")) == 0


def test_only_a_missing_or_null_field_does_not_exist() -> None:
    model = one_rule(where={"field": {"exists": False}})
    assert score(model, 0, visit("e1"), visit("e2", field=None)) == 20
    assert score(model, 0, visit("e1", field=0), visit("e2", field=""), visit("e3", field=False)) == 0


# --- decay ----------------------------------------------------------------------------------------------------------


def test_half_life_is_continuous() -> None:
    model = one_rule(decay={"half_life": "1d"})
    assert score(model, 0.5, visit("e1", 0)) == pytest.approx(10 * 2**-0.5, abs=1e-9)
    assert score(model, 1.5, visit("e1", 0)) == pytest.approx(10 * 2**-1.5, abs=1e-9)


def test_the_decay_of_the_rule_comes_before_that_of_its_group_and_that_before_the_models() -> None:
    rules = {
        "own": rule(16, "own", group="g", decay={"half_life": "1d"}),
        "grouped": rule(16, "grouped", group="g"),
        "plain": rule(16, "plain"),
    }
    model = model_of(rules, groups={"g": {"decay": {"half_life": "2d"}}}, decay={"half_life": "4d"})
    scores = [score(model, 4, act(event_type, "e1", 0)) for event_type in rules]
    assert scores == pytest.approx([1, 4, 8], abs=1e-9)


def test_an_age_in_days_counts_calendar_days_in_utc_not_spans_of_24_hours() -> None:
    model = one_rule(decay={"steps": {"0d": 1.0, "1d": 0.5}})
    late_in_the_day = visit("e1", 1, -1)
    assert score(model, 1 - 1 / DAY_MS, late_in_the_day) == 10
    assert score(model, 1, late_in_the_day) == 5
    assert score(model, 2 - 1 / DAY_MS, late_in_the_day) == 5
    assert score(model, 2, late_in_the_day) == 0


def test_the_weight_is_that_of_the_first_step_that_is_not_smaller_than_the_age() -> None:
    model = one_rule(decay={"steps": {"3d": 0.25, "1d": 1.0}})
    assert [score(model, day, visit("e1", 0)) for day in (0, 1, 2, 3, 4)] == [10, 10, 2.5, 2.5, 0]


def test_zero_days_is_the_events_own_day() -> None:
    model = one_rule(decay={"steps": {"0d": 1.0}})
    assert [score(model, day, visit("e1", 0.5)) for day in (0.5, 0.99, 1)] == [10, 10, 0]


def test_linear_falls_by_the_same_part_on_each_day_and_not_below_zero() -> None:
    model = one_rule(decay={"linear": "4d"})
    assert [score(model, day, visit("e1", 0)) for day in (0, 0.9, 1, 2, 3, 4, 5)] == [10, 10, 7.5, 5, 2.5, 0, 0]


def test_expire_is_a_step_of_full_weight() -> None:
    expiring, stepped = one_rule(decay={"expire": "3d"}), one_rule(decay={"steps": {"3d": 1.0}})
    for model in (expiring, stepped):
        assert [score(model, day, visit("e1", 0)) for day in (3, 3.99, 4)] == [10, 10, 0]


def test_without_decay_points_stay() -> None:
    assert score(one_rule(decay="none"), 5_000, visit("e1", 0)) == 10


def test_a_late_event_is_worth_what_it_would_be_worth_had_it_come_in_time() -> None:
    for decay in ({"half_life": "2d"}, {"linear": "10d"}, {"steps": {"4d": 1.0, "9d": 0.5}}):
        model = one_rule(decay=decay)
        early, late = visit("e1", 1), visit("e2", 6)
        assert score(model, 7, late, early) == pytest.approx(score(model, 7, early, late), abs=1e-9)


# --- limit ----------------------------------------------------------------------------------------------------------


def test_a_limit_per_day_counts_utc_days() -> None:
    model = one_rule(limit={"times": 1, "per": "day"})
    assert score(model, 5, visit("e1", 0.1), visit("e2", 0.9)) == 10
    assert score(model, 5, visit("e1", 1, -1), visit("e2", 1)) == 20


def test_a_limit_per_week_counts_iso_weeks_from_monday() -> None:
    model = one_rule(limit={"times": 1, "per": "week"})  # day 0 is a Thursday, day 4 a Monday
    assert score(model, 20, visit("e1", 0), visit("e2", 4, -1)) == 10
    assert score(model, 20, visit("e1", 4, -1), visit("e2", 4)) == 20
    assert score(model, 20, visit("e1", 4), visit("e2", 11, -1)) == 10


def test_an_iso_week_goes_on_over_the_turn_of_the_year() -> None:
    model = one_rule(limit={"times": 1, "per": "week"})  # day 0 is 1 January 2026, in the week from 29 December
    assert score(model, 20, visit("e1", -3), visit("e2", -1), visit("e3", 0), visit("e4", 4, -1)) == 10
    assert score(model, 20, visit("e1", -3, -1), visit("e2", -3)) == 20
    assert score(model, 20, visit("e1", -7), visit("e2", -1), visit("e3", 358), visit("e4", 365)) == 40


def test_a_limit_per_month_counts_calendar_months_in_utc() -> None:
    model = one_rule(limit={"times": 1, "per": "month"})  # day 0 is 1 January 2026
    assert score(model, 90, visit("e1", 0), visit("e2", 31, -1)) == 10
    assert score(model, 90, visit("e1", 31, -1), visit("e2", 31), visit("e3", 59, -1), visit("e4", 59)) == 30
    assert score(model, 900, visit("e1", 0), visit("e2", 365), visit("e3", -1)) == 30


def test_a_limit_for_ever_counts_ever() -> None:
    assert score(one_rule(limit={"times": 2, "per": "forever"}), 999, *(visit(f"e{d}", d) for d in (0, 90, 400))) == 20


def test_of_the_events_in_a_bucket_the_earliest_count_not_the_first_to_arrive() -> None:
    model = model_of({"visit": rule(16, decay={"half_life": "1d"}, limit={"times": 1, "per": "week"})})
    monday, wednesday = visit("e1", 4), visit("e2", 6)
    assert score(model, 8, monday, wednesday) == score(model, 8, wednesday, monday) == pytest.approx(1, abs=1e-9)


def test_a_late_earlier_event_displaces_a_counted_later_one() -> None:
    rules = {"visit": rule(10, limit={"times": 1, "per": "day"}, decay={"linear": "10d"})}
    told = line(model_of(rules), 0.9, visit("e2", 0.8), visit("e1", 0.2))
    assert told.explanation.parts[0].latest_event_ms == visit("e1", 0.2)["occurred_at"]
    assert told.score == 10


@pytest.mark.parametrize("arrives_last", [0, 1])
def test_where_times_are_equal_the_hash_of_the_event_id_decides(arrives_last: int) -> None:
    rules = {"visit": rule(1, limit={"times": 1, "per": "day"}, qualifies="mql")}
    event_ids = ids_in_order("e1", "e2")
    last, other = event_ids[arrives_last], event_ids[1 - arrives_last]
    shard = ShardOfOne(model_of(rules, thresholds=MQL))
    shard.apply(1, command("suspend", "c0"), visit(other), command("resume", "c1", 0, 1))
    counts = [one.cause.value for one in shard.apply(1, visit(last))] == ["INSTANT"]
    assert counts == (arrives_last == 0)


def test_the_hash_is_the_same_in_every_version_of_the_program() -> None:
    """BLAKE2b of 8 bytes: another one would let other events count when a log is replayed."""
    hashes = [event_hash(event_type, "e1").hex() for event_type in ("email.click", "command.adjust")]
    assert hashes == ["52324fc721dda068", "3db3dbf214c2fb72"]


# --- once per -------------------------------------------------------------------------------------------------------


def test_for_each_value_of_the_field_the_earliest_event_counts() -> None:
    model = model_of({"visit": rule(16, decay={"half_life": "1d"}, once_per="asset")})
    events = visit("e1", 3, asset="a"), visit("e2", 2, asset="a"), visit("e3", 3, asset="b")
    assert {round(score(model, 4, *order), 9) for order in permutations(events)} == {4 + 8}


def test_a_missing_field_is_one_value() -> None:
    model = one_rule(once_per="asset")
    assert score(model, 5, visit("e1", 0), visit("e2", 1), visit("e3", 2, asset=None), visit("e4", 3, asset="a")) == 20


def test_values_of_different_sorts_are_different() -> None:
    assert score(one_rule(once_per="asset"), 5, visit("e1", asset="1"), visit("e2", asset=1)) == 20


def test_a_whole_number_is_one_value_however_it_is_written() -> None:
    model = one_rule(once_per="asset")
    assert score(model, 5, visit("e1", asset=1), visit("e2", asset=1.0)) == 10
    assert score(model, 5, visit("e1", asset=1), visit("e2", asset=1.5), visit("e3", asset=True)) == 30


@pytest.mark.parametrize("arrives_last", [0, 1])
def test_of_one_value_at_equal_times_the_hash_of_the_event_id_decides(arrives_last: int) -> None:
    event_ids = ids_in_order("e1", "e2")
    last, other = event_ids[arrives_last], event_ids[1 - arrives_last]
    shard = ShardOfOne(model_of({"visit": rule(1, once_per="asset", qualifies="mql")}, thresholds=MQL))
    shard.apply(1, command("suspend", "c0"), visit(other, asset="a"), command("resume", "c1", 0, 1))
    counts = [one.cause.value for one in shard.apply(1, visit(last, asset="a"))] == ["INSTANT"]
    assert counts == (arrives_last == 0)


# --- max ------------------------------------------------------------------------------------------------------------


def test_max_clamps_the_total_of_a_rule_on_read() -> None:
    model = one_rule(max=15, decay={"half_life": "10d"})
    assert score(model, 0, visit("e1"), visit("e2"), visit("e3"), visit("e4")) == 15
    assert score(model, 10, visit("e1"), visit("e2"), visit("e3"), visit("e4")) == 15
    assert score(model, 20, visit("e1"), visit("e2"), visit("e3"), visit("e4")) == 10


def test_max_clamps_a_penalty_too() -> None:
    model = model_of({"visit": rule(-10, max=15), "click": rule(50, "click")})
    assert score(model, 0, act("click", "c1"), visit("e1"), visit("e2")) == 35


# --- bursts ---------------------------------------------------------------------------------------------------------


def test_in_a_burst_every_event_counts_zero() -> None:
    model = one_rule(exclude_burst={"at_least": 3, "within": "2s"})
    assert score(model, 1, visit("e1"), visit("e2", 0, 1_000), visit("e3", 0, 1_500)) == 0
    assert score(model, 1, visit("e1"), visit("e2", 0, 1_000)) == 20


def test_the_interval_of_a_burst_is_closed() -> None:
    model = one_rule(exclude_burst={"at_least": 2, "within": "2s"})
    assert score(model, 1, visit("e1"), visit("e2", 0, 2_000)) == 0
    assert score(model, 1, visit("e1"), visit("e2", 0, 2_001)) == 20


def test_an_event_is_excluded_if_some_interval_around_it_is_a_burst() -> None:
    model = one_rule(exclude_burst={"at_least": 3, "within": "2s"})
    clicks = [visit(f"e{number}", 0, number * 1_000) for number in range(4)]
    assert score(model, 1, *clicks) == 0
    assert score(model, 1, *clicks, visit("e4", 0, 5_001)) == 10


def test_points_already_awarded_are_taken_back_when_the_burst_becomes_visible() -> None:
    model = model_of({"visit": rule(30, exclude_burst={"at_least": 3, "within": "2s"})}, thresholds=MQL)
    events = visit("e1"), visit("e2", 0, 1_000), visit("e3", 0, 2_000)
    assert [direction for direction, *_ in crossings(model, 0, *events[:2])] == ["ENTER"]
    assert [(way, cause) for way, cause, _ in crossings(model, 0, *events)] == [("ENTER", "EVENT"), ("LEAVE", "EVENT")]


def test_a_late_event_makes_a_burst_of_those_that_counted() -> None:
    model = one_rule(exclude_burst={"at_least": 3, "within": "2s"})
    assert score(model, 1, visit("e1"), visit("e3", 0, 2_000), visit("e2", 0, 1_000)) == 0


# --- the order of the three -----------------------------------------------------------------------------------------


def test_an_event_in_a_burst_uses_up_no_limit() -> None:
    model = one_rule(exclude_burst={"at_least": 2, "within": "2s"}, limit={"times": 1, "per": "day"})
    assert score(model, 1, visit("e1"), visit("e2", 0, 1_000), visit("e3", 0.5)) == 10


def test_an_event_in_a_burst_uses_up_no_value_of_once_per() -> None:
    model = one_rule(exclude_burst={"at_least": 2, "within": "2s"}, once_per="asset")
    burst = visit("e1", asset="a"), visit("e2", 0, 1_000, asset="a")
    assert score(model, 1, *burst, visit("e3", 0.5, asset="a")) == 10


def test_a_repeated_value_of_once_per_still_makes_a_burst() -> None:
    model = one_rule(exclude_burst={"at_least": 2, "within": "2s"}, once_per="asset")
    assert score(model, 1, visit("e1", asset="a"), visit("e2", 0, 1_000, asset="a")) == 0


def test_a_repeated_value_of_once_per_uses_up_no_limit() -> None:
    model = one_rule(once_per="asset", limit={"times": 2, "per": "day"})
    events = visit("e1", 0, asset="a"), visit("e2", 0.1, asset="a"), visit("e3", 0.2, asset="b")
    assert score(model, 1, *events) == 20


def test_an_event_that_a_limit_leaves_out_still_makes_a_burst() -> None:
    model = one_rule(exclude_burst={"at_least": 2, "within": "2s"}, limit={"times": 1, "per": "day"})
    assert score(model, 1, visit("e1", 0), visit("e2", 0.5), visit("e3", 0.5, 1_000)) == 10
    assert score(model, 1, visit("e2", 0.5), visit("e3", 0.5, 1_000)) == 0


def test_an_event_in_a_burst_is_seen_by_no_condition() -> None:
    busy = {"when": {"count": {"rules": ["visit"], "at_least": 2, "within": "7d"}}, "points": 40}
    silent = {"when": {"quiet": {"rules": ["visit"], "within": "7d"}}, "points": 3}
    rules = {"visit": rule(10, exclude_burst={"at_least": 2, "within": "2s"}), "click": rule(0, "click")}
    model = model_of(rules, conditions={"busy": busy, "silent": silent})
    burst = visit("e1", 5), visit("e2", 5, 1_000)
    assert score(model, 6, act("click", "c1", 0), *burst) == 0
    assert score(model, 8, act("click", "c1", 0), *burst) == 3
    assert score(model, 8, act("click", "c1", 0), visit("e1", 5), visit("e2", 5, 3_000)) == 60


# --- qualifies, disqualifies ----------------------------------------------------------------------------------------


def test_only_an_event_that_counts_qualifies() -> None:
    limited = model_of({"visit": rule(1, qualifies="mql", limit={"times": 1, "per": "day"})}, thresholds=MQL)
    first, second = visit("e1", 0), visit("e2", 0.5)
    freed = command("requalify", "c1", 0.4)
    suspended = command("suspend", "c0", -1)
    resumed = command("resume", "c2", 0.3)
    assert crossings(limited, 1, suspended, first, resumed, freed, second) == []
    assert crossings(limited, 1, first) == [("ENTER", "INSTANT", 0)]


def test_an_event_that_makes_a_burst_qualifies_nothing() -> None:
    burst = {"at_least": 2, "within": "2s"}
    model = model_of({"visit": rule(1, qualifies="mql", exclude_burst=burst)}, thresholds=MQL)
    first = command("suspend", "c0", -1), visit("e1"), command("resume", "c1", 0, 500)
    assert crossings(model, 1, *first, visit("e2", 0, 2_000)) == []
    assert crossings(model, 1, *first, visit("e2", 0, 2_001)) == [("ENTER", "INSTANT", 2_001 / DAY_MS)]


def test_only_an_event_that_counts_disqualifies() -> None:
    burst = {"at_least": 2, "within": "2s"}
    model = model_of({"visit": rule(0, disqualifies="complained", exclude_burst=burst)})
    assert line(model, 1, visit("e1")).disqualified == "complained"
    assert line(model, 1, visit("e1"), visit("e2", 0, 1_000)).disqualified is None


def test_the_reason_is_that_of_the_latest_disqualifying_event() -> None:
    model = model_of({"stop": rule(0, "stop", disqualifies="said no"), "spam": rule(0, "spam", disqualifies="spam")})
    events = act("stop", "e1", 2), act("spam", "e2", 1)
    assert {line(model, 9, *order).disqualified for order in permutations(events)} == {"said no"}


def test_of_disqualifying_events_at_equal_times_the_hash_of_the_id_decides_the_reason() -> None:
    model = model_of({"stop": rule(0, "stop", disqualifies="said no"), "spam": rule(0, "spam", disqualifies="spam")})
    stopped = act("stop", "e1", 1)
    events = stopped, act("spam", id_before(stopped, "spam"), 1)
    assert {line(model, 9, *order).disqualified for order in permutations(events)} == {"said no"}


def test_what_came_before_decides_nothing_about_the_reason_of_an_event_of_two_rules() -> None:
    rules = {"b": rule(0, "stop", disqualifies="B"), "a": rule(0, "stop", disqualifies="A", where={"a": 1})}
    for earlier in ([], [act("stop", "e1", 0)], [act("stop", "e1", 0, a=1)]):
        assert line(model_of(rules), 9, *earlier, act("stop", "e2", 1, a=1)).disqualified == "A"


def test_a_disqualification_holds_until_a_requalify_with_a_later_time() -> None:
    model = model_of({"visit": rule(0, disqualifies="complained")})
    assert line(model, 2_000, visit("e1", 5)).disqualified == "complained"
    assert line(model, 20, visit("e1", 5), command("requalify", "c1", 5, 1)).disqualified is None
    assert line(model, 20, visit("e1", 5), command("requalify", "c1", 5)).disqualified == "complained"
    assert line(model, 20, visit("e1", 5), command("requalify", "c1", 4)).disqualified == "complained"


def test_a_disqualification_that_arrives_after_a_later_requalify_is_lifted_already() -> None:
    model = model_of({"visit": rule(0, disqualifies="complained")})
    assert line(model, 20, command("requalify", "c1", 5, 1), visit("e1", 5)).disqualified is None


def test_a_later_disqualification_holds_in_spite_of_an_earlier_requalify() -> None:
    model = model_of({"visit": rule(0, disqualifies="complained")})
    assert line(model, 20, visit("e1", 1), command("requalify", "c1", 2), visit("e2", 3)).disqualified == "complained"
