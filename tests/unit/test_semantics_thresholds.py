"""Design 1.7: entering and leaving thresholds."""

import pytest

from tests.histories import in_order_of_arrival
from tests.oracle import DAY_MS, Entry, Plain
from tests.simulated import simulated
from tests.unit.semantics import (
    ShardOfOne,
    act,
    at,
    command,
    crossings,
    model_of,
    mql,
    profile,
    rule,
    run,
    score,
    stop,
    visit,
)

MS = 1 / DAY_MS

# --- entering -------------------------------------------------------------------------------------------------------


def test_a_record_that_brings_the_score_to_enter_enters() -> None:
    assert crossings(mql({"visit": rule(50)}), 1, visit("e1", 0)) == [("ENTER", "EVENT", 0)]
    assert crossings(mql({"visit": rule(49.99)}), 1, visit("e1", 0)) == []


def test_a_command_that_raises_the_score_enters_with_cause_command() -> None:
    assert crossings(mql(), 1, command("adjust", "c1", 0, points=50)) == [("ENTER", "COMMAND", 0)]
    events = visit("e1", 0), stop("e2", 0), command("retract", "c1", 1, target="e2")
    assert crossings(mql(), 2, *events[1:2], *events[:1], events[2]) == [("ENTER", "COMMAND", 1)]


def test_a_lead_that_is_in_does_not_enter_again() -> None:
    assert crossings(mql(), 2, visit("e1", 0), visit("e2", 1)) == [("ENTER", "EVENT", 0)]


def test_only_a_record_that_raised_the_score_enters() -> None:
    """The penalty decays and the score passes ``enter``: then a record with points enters, and one without does not."""
    decaying = {"visit": rule(60), "stop": rule(-40, "stop", decay={"half_life": "1d"}), "click": rule(0, "click")}
    before = visit("e2", 0), stop("e1", 0)
    assert score(mql(decaying), 5, *before[::-1]) == 58.75
    late = [("ENTER", "EVENT", 5)]
    assert crossings(mql(decaying), 5, *before[::-1], act("click", "e3", 5)) == []
    assert crossings(mql({**decaying, "form": rule(0.01, "form")}), 5, *before[::-1], act("form", "e3", 5)) == late


def test_raised_compares_the_score_at_the_records_time_not_at_the_last_record() -> None:
    """100 points on day 0, 50 on day 1, 60 with the form: fewer than there once were, more than there were just now."""
    model = mql({"visit": rule(100, decay={"half_life": "1d"}), "form": rule(10, "form", decay="none")})
    events = command("suspend", "c1", 0), visit("e1", 0), command("resume", "c2", 0, 1), act("form", "e2", 1)
    assert crossings(model, 1, *events) == [("ENTER", "EVENT", 1)]


def test_a_score_raised_beyond_the_ceiling_is_raised() -> None:
    model = mql(cooldown="5d") | {"score": {"ceiling": 55}}
    events = visit("e1", 0), stop("e2", 1), visit("e3", 2), visit("e4", 6)
    assert crossings(model, 9, *events) == [("ENTER", "EVENT", 0), ("LEAVE", "EVENT", 1), ("ENTER", "EVENT", 6)]


def test_fit_counts_for_raising_the_score() -> None:
    model = mql({"visit": rule(30)}) | {"fit": {"attributes": {"role": [{"in": ["ceo"], "points": 20}]}}}
    assert crossings(model, 1, visit("e1", 0), profile("e2", 1, role="ceo")) == [("ENTER", "EVENT", 1)]


def test_points_that_a_burst_gives_back_to_others_let_the_lead_enter() -> None:
    """The late third click makes a burst of the first two; the limit now has room for the two fresh ones."""
    parts: Plain = {"limit": {"times": 2, "per": "forever"}, "exclude_burst": {"at_least": 3, "within": "2s"}}
    model = mql({"visit": rule(30, decay={"half_life": "1d"}, **parts)})
    old = command("suspend", "c1", -1), visit("e1", 0), visit("e2", 0, 1_000)
    fresh = visit("e3", 30), visit("e4", 30, 5_000), command("resume", "c2", 30, 5_000)
    assert score(model, 30, *old, *fresh) < 1
    made = run(model, 30, *old, *fresh, visit("e5", 0, 2_000)).crossings
    assert [(one.cause, one.occurred_at_ms) for one in made] == [("EVENT", at(30, 5_000))]


# --- gates and cooldown ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gate", "role", "enters"), [
    ({"grade": "C"}, "cto", True), ({"grade": "C"}, "boss", False), ({"grade": "C"}, "ceo", True),
    ({"fit": 10}, "cto", True), ({"fit": 10.5}, "cto", False),
    ({"engagement": 60}, "cto", True), ({"engagement": 60.5}, "cto", False),
])  # fmt: skip
def test_a_lead_that_misses_a_gate_does_not_enter(gate: Plain, role: str, enters: bool) -> None:
    bands = [{"in": ["ceo"], "points": 20}, {"in": ["cto"], "points": 10}]
    fit = {"attributes": {"role": bands}, "grades": {"B": 20, "C": 10, "D": 0}}
    made = crossings(mql(require=gate) | {"fit": fit}, 2, profile("e0", 0, role=role), visit("e1", 1))
    assert made == ([("ENTER", "EVENT", 1)] if enters else [])


def test_a_lead_stays_in_when_a_gate_is_no_longer_met() -> None:
    fit = {"attributes": {"role": [{"in": ["ceo"], "points": 20}]}}
    model = mql(require={"fit": 20}) | {"fit": fit}
    events = profile("e0", 0, role="ceo"), visit("e1", 1), profile("e2", 2, role=None)
    assert crossings(model, 3, *events) == [("ENTER", "EVENT", 1)]


@pytest.mark.parametrize(("day", "enters"), [(5 - MS, False), (5, True)])
def test_at_last_enter_plus_cooldown_the_cooldown_is_over(day: float, enters: bool) -> None:
    made = crossings(mql(cooldown="5d"), 9, visit("e1", 0), stop("e2", 4), visit("e3", day))
    assert made[2:] == ([("ENTER", "EVENT", 5)] if enters else [])


def test_the_end_of_a_cooldown_enters_nothing_by_itself() -> None:
    events = visit("e1", 0), stop("e2", 1), visit("e3", 2)
    assert score(mql(cooldown="5d"), 9, *events) == 80
    assert crossings(mql(cooldown="5d"), 9, *events) == [("ENTER", "EVENT", 0), ("LEAVE", "EVENT", 1)]


# --- leaving --------------------------------------------------------------------------------------------------------


def test_a_lead_whose_score_is_at_exit_stays() -> None:
    assert crossings(mql({"visit": rule(60), "stop": rule(-30, "stop")}), 3, visit("e1"), stop("e2", 1)) == [
        ("ENTER", "EVENT", 0)
    ]


def test_a_record_that_takes_the_score_below_exit_leaves() -> None:
    assert crossings(mql(), 3, visit("e1"), stop("e2", 1))[1:] == [("LEAVE", "EVENT", 1)]
    assert crossings(mql(), 3, visit("e1"), command("reset", "c1", 1))[1:] == [("LEAVE", "COMMAND", 1)]


def test_a_newly_disqualified_lead_leaves_with_that_cause_whatever_its_score() -> None:
    model = mql({"visit": rule(60), "stop": rule(-60, "stop", disqualifies="complained")})
    assert crossings(model, 3, visit("e1"), stop("e2", 1))[1:] == [("LEAVE", "DISQUALIFIED", 1)]


def test_a_disqualified_lead_enters_nothing_not_even_at_once() -> None:
    model = mql({"visit": rule(60, qualifies="mql"), "stop": rule(0, "stop", disqualifies="complained")})
    assert crossings(model, 3, stop("e1", 0), visit("e2", 1)) == []


def test_a_leave_by_time_comes_before_the_record_that_shows_it() -> None:
    """A day's points fall at midnight; the visit on day 9 would have kept the lead in, had it come before."""
    model = mql({"visit": rule(60, decay={"expire": "3d"})})
    log = in_order_of_arrival([Entry(visit(f"e{day}", day), at(day)) for day in (0, 9)])
    made = [(one.direction, one.cause, one.occurred_at_ms) for one in simulated(model, log, at(9)).crossings]
    assert made == [("ENTER", "EVENT", at(0)), ("LEAVE", "TIME", at(4)), ("ENTER", "EVENT", at(9))]


def unnoticed(model: Plain, *events: Plain) -> list[tuple[str, str, float]]:
    """Direction, cause and day of the crossings of a lead that no tick looks at."""
    made = ShardOfOne(model).apply(1, *events)
    return [(one.direction.value, one.cause.value, (one.occurred_at_ms - at(0)) / DAY_MS) for one in made]


def test_a_leave_by_time_is_dated_as_it_was_whenever_it_is_noticed() -> None:
    model = mql({"visit": rule(60, decay={"expire": "3d"})})
    expected = [("ENTER", "EVENT", 0), ("LEAVE", "TIME", 4), ("ENTER", "EVENT", 9)]
    assert unnoticed(model, visit("e1", 0), visit("e2", 9)) == expected


def test_a_record_at_the_instant_of_a_leave_by_time_comes_first_though_an_earlier_one_was_expected() -> None:
    model = mql({"visit": rule(60, decay={"expire": "3d"})})
    assert unnoticed(model, visit("e1", 0), visit("e2", 1), visit("e3", 5)) == [("ENTER", "EVENT", 0)]


def test_a_disqualification_by_time_is_dated_as_it_was_whenever_it_is_noticed() -> None:
    silent = {"when": {"quiet": {"rules": ["visit"], "within": "7d"}}, "disqualifies": "silent"}
    model = mql({"visit": rule(60)}) | {"conditions": {"silent": silent}}
    expected = [("ENTER", "EVENT", 0), ("LEAVE", "DISQUALIFIED", 7 + MS), ("ENTER", "EVENT", 9)]
    assert unnoticed(model, visit("e1", 0), visit("e2", 9)) == expected


def test_a_dip_between_two_steps_takes_the_lead_out() -> None:
    model = mql({"visit": rule(60, decay={"steps": {"1d": 1.0, "2d": 0.25, "9d": 1.0}})})
    assert crossings(model, 20, visit("e1", 0)) == [("ENTER", "EVENT", 0), ("LEAVE", "TIME", 2)]


def test_a_command_moves_the_latest_time() -> None:
    for order in ("resume", "requalify", "reset"):
        events = command(order, "c1", 6) | {"occurred_at": at(0, -1 if order == "reset" else 6)}, visit("e1", 0)
        assert [day for _, _, day in crossings(mql(), 9, *events)] == [6 * MS if order != "reset" else 0]


def test_the_latest_time_never_goes_back() -> None:
    events = visit("e1", 0), command("resume", "c1", 6), command("resume", "c2", 3), stop("e2", 1)
    assert crossings(mql(), 9, *events)[1:] == [("LEAVE", "EVENT", 6)]


def test_a_record_at_the_instant_of_a_leave_by_time_comes_first() -> None:
    """Step 1 looks before tau: at tau itself the record decides."""
    model = mql({"visit": rule(60, decay={"expire": "3d"})})
    log = [Entry(visit("e1", 0), at(0)), Entry(visit("e2", 4), at(4, -1))]
    assert [one.direction for one in simulated(model, log, at(4)).crossings] == ["ENTER"]


def test_a_late_record_is_evaluated_at_the_leads_latest_time() -> None:
    events = visit("e1", 0), visit("e2", 6), stop("e3", 2), stop("e4", 3), stop("e5", 1)
    made = crossings(mql(), 20, *events)
    assert made == [("ENTER", "EVENT", 0), ("LEAVE", "EVENT", 6)]


def test_a_leave_by_time_moves_the_latest_time() -> None:
    model = mql({"visit": rule(60, decay={"expire": "3d"}), "form": rule(55, "form")})
    log = [Entry(visit("e1", 0), at(0)), Entry(act("form", "e2", 1), at(8))]
    made = [(one.direction, one.cause, one.occurred_at_ms) for one in simulated(model, log, at(9)).crossings]
    assert made == [("ENTER", "EVENT", at(0)), ("LEAVE", "TIME", at(4)), ("ENTER", "EVENT", at(4))]


# --- entering at once -----------------------------------------------------------------------------------------------

CALL_ME: Plain = {"call": rule(10, "call", qualifies="mql"), "visit": rule(25), "stop": rule(-8, "stop")}


def call(event_id: str, day: float) -> Plain:
    return act("call", event_id, day)


def test_a_record_that_qualifies_enters_whatever_the_score_gates_and_cooldown_say() -> None:
    model = mql(CALL_ME, cooldown="30d", require={"engagement": 90}, hold="1d")
    assert crossings(model, 3, call("e1", 0), call("e2", 2)) == [
        ("ENTER", "INSTANT", 0),
        ("LEAVE", "TIME", 1),
        ("ENTER", "INSTANT", 2),
        ("LEAVE", "TIME", 3),
    ]


def test_a_held_lead_leaves_by_time_when_hold_is_over() -> None:
    assert crossings(mql(CALL_ME), 20, call("e1", 0)) == [("ENTER", "INSTANT", 0), ("LEAVE", "TIME", 14)]
    assert run(mql(CALL_ME), 1, call("e1", 0)).crossings[0].projected_exit_at_ms == at(14)


def test_the_score_of_a_held_lead_does_not_take_it_out() -> None:
    assert crossings(mql(CALL_ME), 9, call("e1", 0), stop("e2", 1)) == [("ENTER", "INSTANT", 0)]


def test_at_the_end_of_hold_a_record_takes_out_what_time_would() -> None:
    """Step 1 looks before tau; at the end of ``hold`` the score takes the lead out again."""
    assert unnoticed(mql(CALL_ME), call("e1", 0), stop("e2", 14))[1:] == [("LEAVE", "EVENT", 14)]
    assert unnoticed(mql(CALL_ME), call("e1", 0), stop("e2", 14 - MS))[1:] == []
    assert unnoticed(mql(CALL_ME), call("e1", 0), stop("e2", 14 + MS))[1:] == [("LEAVE", "TIME", 14)]


def test_a_held_lead_that_time_alone_lifted_above_exit_is_held_until_a_record_finds_it_there() -> None:
    decaying = CALL_ME | {"stop": rule(-40, "stop", decay={"half_life": "1d"}), "visit": rule(40)}
    events = visit("e0", 0), stop("e1", 0), call("e2", 0)
    assert score(mql(decaying), 5, *events) == 48.75
    assert crossings(mql(decaying), 9, *events, stop("e3", 5)) == [("ENTER", "INSTANT", 0)]
    seen = *events, command("resume", "c1", 5), stop("e3", 6)
    assert crossings(mql(decaying), 9, *seen)[1:] == [("LEAVE", "EVENT", 6)]


def test_a_record_that_qualifies_and_reaches_enter_enters_at_once() -> None:
    model = mql(CALL_ME | {"call": rule(60, "call", qualifies="mql")})
    assert crossings(model, 1, call("e1", 0)) == [("ENTER", "INSTANT", 0)]


def test_a_lead_that_is_in_does_not_enter_again_by_a_record_that_qualifies() -> None:
    assert crossings(mql(CALL_ME), 9, call("e1", 0), call("e2", 1)) == [("ENTER", "INSTANT", 0)]


def test_a_record_that_finds_a_held_lead_above_exit_ends_the_hold() -> None:
    assert crossings(mql(CALL_ME), 9, call("e1", 0), visit("e2", 1), stop("e3", 2))[1:] == [("LEAVE", "EVENT", 2)]


def test_a_record_that_finds_a_held_lead_at_exit_does_not_end_the_hold() -> None:
    rules = CALL_ME | {"visit": rule(20)}
    assert crossings(mql(rules), 9, call("e1", 0), visit("e2", 1), stop("e3", 2)) == [("ENTER", "INSTANT", 0)]


def test_a_lead_that_enters_at_once_at_exit_is_held_and_above_it_is_not() -> None:
    for points, made in ((30, []), (30.5, [("LEAVE", "EVENT", 1)])):
        rules = CALL_ME | {"call": rule(points, "call", qualifies="mql")}
        assert crossings(mql(rules), 9, call("e1", 0), stop("e2", 1))[1:] == made


def test_a_held_lead_that_is_disqualified_leaves() -> None:
    rules = CALL_ME | {"no": rule(0, "no", disqualifies="said no")}
    assert crossings(mql(rules), 9, call("e1", 0), act("no", "e2", 1))[1:] == [("LEAVE", "DISQUALIFIED", 1)]


def test_an_enter_at_once_starts_the_cooldown_too() -> None:
    model = mql(CALL_ME | {"visit": rule(60)}, cooldown="5d", hold="1d")
    assert crossings(model, 9, call("e1", 0), visit("e2", 2)) == [("ENTER", "INSTANT", 0), ("LEAVE", "TIME", 1)]
    assert crossings(model, 9, call("e1", 0), visit("e2", 5))[2:] == [("ENTER", "EVENT", 5)]


# --- several thresholds ---------------------------------------------------------------------------------------------

TWO: Plain = {"hot": {"enter": 90, "exit": 70}, "mql": {"enter": 50, "exit": 30}}


def names(model: Plain, *events: Plain) -> list[tuple[str, str]]:
    return [(one.direction.value, one.threshold) for one in run(model, 9, *events).crossings]


def test_leaves_come_highest_first_and_enters_lowest_first() -> None:
    model = model_of({"visit": rule(95), "stop": rule(-80, "stop")}, thresholds=TWO)
    assert names(model, visit("e1", 0), stop("e2", 1)) == [
        ("ENTER", "mql"),
        ("ENTER", "hot"),
        ("LEAVE", "hot"),
        ("LEAVE", "mql"),
    ]


def test_one_record_leaves_before_it_enters() -> None:
    """The call costs the lead ``mql`` and qualifies it for ``hot``."""
    rules = {"visit": rule(60), "call": rule(-40, "call", qualifies="hot")}
    made = names(model_of(rules, thresholds=TWO), visit("e1", 0), act("call", "e2", 1))
    assert made == [("ENTER", "mql"), ("LEAVE", "mql"), ("ENTER", "hot")]


def test_each_threshold_is_crossed_by_itself() -> None:
    model = model_of({"visit": rule(95), "stop": rule(-40, "stop")}, thresholds=TWO)
    made = names(model, visit("e1", 0), stop("e2", 1), visit("e3", 2))
    assert made == [("ENTER", "mql"), ("ENTER", "hot"), ("LEAVE", "hot"), ("ENTER", "hot")]


def test_leaves_by_time_that_are_noticed_together_come_in_the_order_of_their_instants() -> None:
    """``hot`` has the higher ``exit``, but is held for longer than the points last."""
    rules = {"call": rule(60, "call", qualifies="hot", decay={"expire": "3d"})}
    shard = ShardOfOne(model_of(rules, thresholds=TWO))
    made = shard.apply(1, act("call", "e1", 0)) + shard.tick(20)
    assert [(one.direction.value, one.threshold, one.occurred_at_ms) for one in made] == [
        ("ENTER", "mql", at(0)),
        ("ENTER", "hot", at(0)),
        ("LEAVE", "mql", at(4)),
        ("LEAVE", "hot", at(14)),
    ]


def test_each_threshold_is_left_by_time_in_its_time() -> None:
    rules = {"visit": rule(60, decay={"expire": "3d"}), "form": rule(40, "form", decay={"expire": "9d"})}
    model = model_of(rules, thresholds=TWO)
    left = [
        [one.threshold for one in run(model, day, visit("e1", 0), act("form", "e2", 0)).crossings[2:]]
        for day in (4 - MS, 4, 10 - MS, 10)
    ]
    assert left == [[], ["hot"], ["hot"], ["hot", "mql"]]


def test_a_dip_that_is_over_soon_takes_the_lead_out_when_it_begins() -> None:
    """What falls fast is gone before the penalty is: below ``exit`` within the hour, high again the next day."""
    rules = {
        "base": rule(60, "base"),
        "boost": rule(40, "boost", decay={"half_life": "2h"}),
        "drop": rule(-50, "drop", decay={"half_life": "10h"}),
    }
    model = model_of(rules, thresholds={"mql": {"enter": 50, "exit": 45}})
    told = run(model, 9, act("boost", "e1"), act("base", "e2"), act("drop", "e3"))
    assert [one.cause.value for one in told.crossings] == ["EVENT", "TIME"]
    left = told.crossings[1]
    assert 0 < left.occurred_at_ms - at(0) < 3_600_000
    assert left.score == pytest.approx(45, abs=1e-3)
