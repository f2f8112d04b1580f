"""Design 1.4: points and disqualification while something is true."""

import pytest

from tests.oracle import DAY_MS, Plain
from tests.unit.semantics import act, command, crossings, line, model_of, profile, rule, run, score, visit

MQL = {"mql": {"enter": 50, "exit": 30}}
MS = 1 / DAY_MS


def model_with(when: Plain, rules: Plain | None = None, **effect: object) -> Plain:
    effect = effect or {"points": 40}
    some = rules or {"visit": rule(0), "click": rule(0, "click")}
    return model_of(some, conditions={"c": {"when": when, **effect}})


def count(at_least: int, within: str, *rules: str) -> Plain:
    return {"count": {"rules": list(rules or ("visit",)), "at_least": at_least, "within": within}}


def quiet(within: str, *rules: str) -> Plain:
    return {"quiet": {"rules": list(rules or ("visit",)), "within": within}}


# --- count ----------------------------------------------------------------------------------------------------------


def test_a_count_sees_events_from_after_the_windows_start_up_to_now() -> None:
    model = model_with(count(1, "7d"))
    assert score(model, 3, visit("e1", 3)) == 40
    assert score(model, 10 - MS, visit("e1", 3)) == 40
    assert score(model, 10, visit("e1", 3)) == 0


def test_a_count_needs_enough_events() -> None:
    model = model_with(count(3, "7d"))
    assert score(model, 3, visit("e1", 1), visit("e2", 2)) == 0
    assert score(model, 3, visit("e1", 1), visit("e2", 2), visit("e3", 3)) == 40
    assert score(model, 8, visit("e1", 1), visit("e2", 2), visit("e3", 3)) == 0


def test_an_event_of_two_of_the_rules_counts_as_one() -> None:
    rules = {"visit": rule(0), "pricing": rule(0, where={"page": "pricing"})}
    model = model_with(count(2, "7d", "visit", "pricing"), rules)
    assert score(model, 1, visit("e1", 0, page="pricing")) == 0
    assert score(model, 1, visit("e1", 0, page="pricing"), visit("e2", 0)) == 40


@pytest.mark.parametrize("selection", [{"limit": {"times": 1, "per": "forever"}}, {"once_per": "page"}])
def test_limit_and_once_per_do_not_matter_to_a_count(selection: Plain) -> None:
    model = model_with(count(2, "7d"), {"visit": rule(1, **selection)})
    assert score(model, 1, visit("e1", 0), visit("e2", 1)) == 41


def test_a_rule_of_no_points_may_exist_just_to_be_counted() -> None:
    told = line(model_with(count(1, "7d")), 1, visit("e1", 0))
    assert (told.score, told.engagement) == (40, 40)


# --- quiet ----------------------------------------------------------------------------------------------------------


def test_quiet_begins_more_than_within_after_the_latest_such_event() -> None:
    model = model_with(quiet("7d"))
    assert score(model, 10, visit("e1", 0), visit("e2", 3)) == 0
    assert score(model, 10 + MS, visit("e1", 0), visit("e2", 3)) == 40


def test_quiet_does_not_punish_a_newcomer_until_within_after_the_first_event_of_any_kind() -> None:
    model = model_with(quiet("7d"))
    assert score(model, 7, act("click", "e1", 0)) == 0
    assert score(model, 7 + MS, act("click", "e1", 0)) == 40


def test_an_event_with_attributes_only_is_a_first_event_too() -> None:
    model = model_with(quiet("7d")) | {"fit": {"attributes": {"role": [{"in": ["ceo"], "points": 1}]}}}
    assert score(model, 7, profile("e1", 0, role="cto")) == 0
    assert score(model, 7 + MS, profile("e1", 0, role="cto")) == 40


def test_commands_are_no_first_event() -> None:
    orders = command("suspend", "c1", 0), command("adjust", "c2", 0, points=1), command("requalify", "c3", 0)
    assert score(model_with(quiet("7d")), 20, *orders) == 1


def test_quiet_counts_from_the_latest_reset() -> None:
    model = model_with(quiet("7d"))
    assert score(model, 12, visit("e1", 0), command("reset", "c1", 5)) == 0
    assert score(model, 12 + MS, visit("e1", 0), command("reset", "c1", 5)) == 40


def test_quiet_does_not_need_an_event_of_its_rules_at_all() -> None:
    assert score(model_with(quiet("7d", "click")), 30, visit("e1", 0)) == 40


def test_limit_and_once_per_do_not_matter_to_quiet() -> None:
    for selection in ({"limit": {"times": 1, "per": "forever"}}, {"once_per": "page"}):
        model = model_with(quiet("7d"), {"visit": rule(0, **selection)})
        assert [score(model, day, visit("e1", 0), visit("e2", 5)) for day in (12, 12 + MS)] == [0, 40]


def test_a_late_first_event_shows_that_the_lead_is_no_newcomer() -> None:
    model = model_with(quiet("7d", "click"))
    assert score(model, 9, visit("e1", 5)) == 0
    assert score(model, 9, visit("e1", 5), visit("e2", 0)) == 40


# --- attribute, all, any, not ---------------------------------------------------------------------------------------


def test_an_attribute_test_follows_the_latest_value() -> None:
    model = model_with({"attribute": {"name": "role", "in": ["student"]}})
    student, graduate = profile("e1", 0, role="student"), profile("e2", 5, role="cto")
    assert score(model, 9, student) == 40
    assert score(model, 9, student, graduate) == score(model, 9, graduate, student) == 0


@pytest.mark.parametrize(
    ("test", "value", "passes"),
    [
        ({"at_least": 10}, 10, True),
        ({"at_least": 10}, 9.5, False),
        ({"below": 10}, 10, False),
        ({"below": 10}, 9, True),
        ({"matches": "^head"}, "head of IT", True),
        ({"matches": "^head"}, "ahead", False),
        ({"in": [1]}, True, False),
        ({"not_in": ["a"]}, "b", True),
        ({"not_in": ["a"]}, None, False),
        ({"exists": False}, None, True),
        ({"exists": True}, None, False),
        ({"exists": True}, 0, True),
    ],
)
def test_the_tests_of_an_attribute_are_those_of_the_bands(test: Plain, value: object, passes: bool) -> None:
    band = {"attributes": {"size": [test | {"points": 10}]}}
    model = model_with({"attribute": {"name": "size", **test}}) | {"fit": band}
    assert score(model, 1, visit("e0"), profile("e1", size=value)) == (50 if passes else 0)


def test_all_any_and_not_combine() -> None:
    clicked, seen = count(1, "7d", "click"), count(1, "7d", "visit")
    both = visit("e1", 0), act("click", "e2", 0)
    for when, expected in (
        ({"all": [clicked, seen]}, [40, 0, 0]),
        ({"any": [clicked, seen]}, [40, 40, 40]),
        ({"not": clicked}, [0, 40, 0]),
        ({"all": [seen, {"not": clicked}]}, [0, 40, 0]),
    ):
        model = model_with(when)
        assert [score(model, 1, *events) for events in (both, both[:1], both[1:])] == expected


# --- what a condition gives -----------------------------------------------------------------------------------------


def test_a_condition_gives_its_points_in_its_group() -> None:
    model = model_with(count(1, "7d"), points=40, group="g") | {"groups": {"g": {"max": 25}}}
    assert score(model, 1, visit("e1")) == 25


def test_a_condition_disqualifies_while_it_holds() -> None:
    model = model_with(quiet("7d"), disqualifies="silent")
    assert [line(model, day, visit("e1", 0)).disqualified for day in (7, 8)] == [None, "silent"]
    assert line(model, 9, visit("e1", 0), visit("e2", 9)).disqualified is None


def test_a_condition_may_give_points_and_disqualify() -> None:
    told = line(model_with(quiet("7d"), points=5, disqualifies="silent"), 8, visit("e1", 0))
    assert (told.score, told.disqualified) == (5, "silent")


# --- time alone -----------------------------------------------------------------------------------------------------


def test_a_condition_that_time_ends_takes_the_lead_out_at_that_instant() -> None:
    model = model_with(count(1, "7d"), {"visit": rule(20)}, points=40) | {"thresholds": MQL}
    assert crossings(model, 20, visit("e1", 0)) == [("ENTER", "EVENT", 0), ("LEAVE", "TIME", 7)]


def test_a_condition_that_time_makes_true_enters_nothing() -> None:
    model = model_with(quiet("7d"), {"visit": rule(20)}, points=40) | {"thresholds": MQL}
    assert score(model, 20, visit("e1", 0)) == 60
    assert crossings(model, 20, visit("e1", 0)) == []


def test_any_part_of_a_condition_may_be_ended_by_time() -> None:
    rules = {"visit": rule(20), "click": rule(0, "click")}
    events = act("click", "e1", 0), visit("e2", 0)
    for first, second in ((("visit", "7d"), ("click", "3d")), (("click", "3d"), ("visit", "7d"))):
        both = {"all": [count(1, first[1], first[0]), {"not": {"not": count(1, second[1], second[0])}}]}
        model = model_with(both, rules, points=40) | {"thresholds": MQL}
        assert crossings(model, 20, *events) == [("ENTER", "EVENT", 0), ("LEAVE", "TIME", 3)]


def test_any_condition_may_be_ended_by_time() -> None:
    conditions = {
        "long": {"when": count(1, "9d"), "points": 1},
        "short": {"when": count(1, "3d"), "points": 40},
        "other": {"when": count(1, "5d"), "points": 1},
    }
    model = model_of({"visit": rule(20)}, conditions=conditions, thresholds=MQL)
    assert crossings(model, 20, visit("e1", 0)) == [("ENTER", "EVENT", 0), ("LEAVE", "TIME", 3)]


def test_an_event_that_ends_a_silence_worth_points_takes_the_lead_out() -> None:
    model = model_with(quiet("7d", "click"), {"visit": rule(20), "click": rule(1, "click")}, points=40)
    events = act("click", "e1", 0), visit("e2", 8), act("click", "e3", 9)
    made = crossings(model | {"thresholds": MQL}, 9, *events)
    assert made == [("ENTER", "EVENT", 8), ("LEAVE", "EVENT", 9)]


def test_an_event_that_makes_a_count_disqualify_takes_the_lead_out_whatever_its_points() -> None:
    model = model_with(count(2, "7d"), {"visit": rule(60)}, disqualifies="looks for a job") | {"thresholds": MQL}
    assert crossings(model, 2, visit("e1", 0), visit("e2", 1))[1:] == [("LEAVE", "DISQUALIFIED", 1)]


def test_while_a_condition_disqualifies_nothing_is_entered_and_afterwards_the_next_record_may() -> None:
    model = model_with(count(1, "7d", "click"), {"visit": rule(60), "click": rule(0, "click")}, disqualifies="x")
    events = act("click", "e1", 0), visit("e2", 1), visit("e3", 7)
    assert crossings(model | {"thresholds": MQL}, 9, *events) == [("ENTER", "EVENT", 7)]


def test_a_disqualification_by_time_is_dated_at_its_first_instant() -> None:
    model = model_with(quiet("7d"), {"visit": rule(60)}, disqualifies="silent") | {"thresholds": MQL}
    enter, leave = run(model, 30, visit("e1", 0)).crossings
    assert (leave.cause.value, leave.occurred_at_ms) == ("DISQUALIFIED", enter.occurred_at_ms + 7 * DAY_MS + 1)
    assert enter.projected_exit_at_ms == leave.occurred_at_ms


def test_the_first_event_of_a_lead_that_entered_by_a_command_starts_the_time_of_quiet() -> None:
    rules = {"visit": rule(10), "click": rule(0, "click")}
    model = model_with(quiet("7d", "click"), rules, points=-40) | {"thresholds": MQL}
    events = command("adjust", "c1", 0, points=50), visit("e1", 1)
    assert crossings(model, 60, *events) == [("ENTER", "COMMAND", 0), ("LEAVE", "TIME", 8 + MS)]


def test_an_event_that_pushes_a_counted_one_out_of_the_recent_events_takes_the_lead_out() -> None:
    model = model_with(count(1, "365d", "click"), {"visit": rule(0), "click": rule(0, "click")}, points=60)
    events = [act("click", "c", 0), *(visit(f"e{number}", 1, number) for number in range(70))]
    told = crossings(model | {"thresholds": MQL}, 2, *events)
    assert told == [("ENTER", "EVENT", 0), ("LEAVE", "EVENT", 1 + 63 * MS)]
