"""Design 1.8: adjust, reset, retract, suspend and resume, requalify, erase."""

from itertools import permutations

import msgspec
import pytest

from leadscore.model.definition import ModelDefinition
from leadscore.scoring.context import FoldSettings
from leadscore.scoring.simulation import simulate
from leadscore.scoring.state import encode_state
from tests.oracle import DAY_MS, Entry, Plain
from tests.simulated import event_of
from tests.unit.semantics import (
    ShardOfOne,
    act,
    at,
    command,
    crossings,
    id_before,
    line,
    model_of,
    profile,
    rule,
    run,
    score,
    visit,
)

MQL = {"mql": {"enter": 50, "exit": 30}}
TEN: Plain = model_of({"visit": rule(10)})


def test_an_adjustment_decays_by_the_models_default_as_its_own_rule() -> None:
    model = TEN | {"decay": {"half_life": "1d"}}
    told = line(model, 2, command("adjust", "c1", 0, points=16, reason="met at the fair"))
    assert told.score == 4
    assert [(part.name, part.points, part.awarded) for part in told.explanation.parts] == [("command.adjust", 4, 16)]


def test_an_adjustment_may_take_points() -> None:
    assert score(TEN, 1, visit("e1"), visit("e2"), command("adjust", "c1", 0, points=-15)) == 5


def test_the_order_in_which_commands_arrive_does_not_matter_to_the_score() -> None:
    events = (
        visit("e1", 0),
        visit("e2", 3),
        command("adjust", "c1", 1, points=4),
        command("reset", "c2", 2),
        command("retract", "c3", 9, target="e9"),
        visit("e9", 4),
    )
    assert {score(TEN, 10, *order) for order in permutations(events)} == {10}


# --- reset ----------------------------------------------------------------------------------------------------------


def test_what_occurred_up_to_a_reset_counts_no_longer() -> None:
    assert score(TEN, 9, visit("e1", 1), visit("e2", 2), command("reset", "c1", 2)) == 0
    assert score(TEN, 9, visit("e1", 1), visit("e2", 2, 1), command("reset", "c1", 2)) == 10


def test_what_occurred_up_to_a_reset_does_not_count_when_it_arrives_later() -> None:
    late = visit("e1", 2), command("adjust", "c2", 1, points=7)
    assert score(TEN, 9, command("reset", "c1", 2), *late) == 0


def test_an_earlier_reset_that_arrives_later_brings_nothing_back() -> None:
    assert score(TEN, 9, visit("e1", 1), command("reset", "c1", 2), command("reset", "c2", 0)) == 0


def test_after_a_reset_a_limit_is_unused() -> None:
    model = model_of({"visit": rule(10, limit={"times": 1, "per": "day"}), "paper": rule(5, "paper", once_per="asset")})
    before = visit("e1", 0), act("paper", "e2", 0, asset="a")
    after = visit("e3", 0.5), act("paper", "e4", 0.5, asset="a")
    assert score(model, 1, *before, command("reset", "c1", 0.2), *after) == 15


def test_after_a_reset_a_count_begins_anew() -> None:
    busy = {"when": {"count": {"rules": ["visit"], "at_least": 2, "within": "7d"}}, "points": 40}
    model = TEN | {"conditions": {"busy": busy}}
    assert score(model, 2, visit("e1", 0), command("reset", "c1", 1), visit("e2", 2)) == 10


def test_after_a_reset_an_earlier_event_makes_no_burst() -> None:
    model = model_of({"visit": rule(10, exclude_burst={"at_least": 2, "within": "2s"})})
    assert score(model, 1, visit("e1", 0), command("reset", "c1", 0), visit("e2", 0, 1_000)) == 10


def test_a_reset_leaves_attributes_disqualification_and_thresholds() -> None:
    rules = {"visit": rule(10), "stop": rule(0, "stop", disqualifies="complained")}
    model = model_of(rules, fit={"attributes": {"role": [{"in": ["ceo"], "points": 15}]}})
    told = line(model, 3, visit("e1"), profile("e2", role="ceo"), act("stop", "e3"), command("reset", "c1", 1))
    assert (told.score, told.fit, told.disqualified) == (15, 15, "complained")
    fitting = {"fit": {"attributes": {"role": [{"in": ["ceo"], "points": 40}]}}, "thresholds": MQL}
    kept = line(TEN | fitting, 3, visit("e1"), profile("e2", role="ceo"), command("reset", "c1", 1))
    assert (kept.score, kept.thresholds) == (40, {"mql": "in"})


def test_a_disqualifying_event_that_comes_after_a_later_reset_disqualifies() -> None:
    model = model_of({"stop": rule(0, "stop", disqualifies="complained")})
    assert line(model, 9, command("reset", "c1", 5), act("stop", "e1", 1)).disqualified == "complained"


def test_an_event_before_a_reset_qualifies_nothing_when_it_arrives_later() -> None:
    model = model_of({"call": rule(1, "call", qualifies="mql")}, thresholds=MQL)
    assert crossings(model, 9, command("reset", "c1", 5), act("call", "e1", 4)) == []


# --- retract --------------------------------------------------------------------------------------------------------


def test_a_retracted_event_is_as_if_it_had_never_come() -> None:
    model = model_of({"visit": rule(16, decay={"half_life": "1d"}, limit={"times": 1, "per": "week"})})
    events = visit("e1", 4), visit("e2", 5), command("retract", "c1", 6, target="e1")
    assert score(model, 7, *events) == 4


def test_an_event_that_arrives_after_its_retraction_is_not_accepted() -> None:
    model = model_of({"visit": rule(60)}, thresholds=MQL)
    assert run(model, 9, command("retract", "c1", 1, target="e1"), visit("e1", 2)).crossings == []
    assert score(model, 9, visit("e1", 0), command("retract", "c1", 1, target="e1"), visit("e1", 0)) == 0


def test_an_event_that_arrives_after_its_retraction_leaves_the_lead_as_it_is() -> None:
    """Its latest time, too: a later event would otherwise be evaluated at it."""
    shard = ShardOfOne(model_of({"visit": rule(60)}, thresholds=MQL))
    shard.apply(1, command("retract", "c1", 1, target="e1"))
    before = encode_state(shard.state())
    assert shard.apply(1, visit("e1", 5, attributes={"role": "ceo"})) == []
    assert encode_state(shard.state()) == before


def test_retracting_what_never_came_changes_nothing_else() -> None:
    assert score(TEN, 9, visit("e1"), command("retract", "c1", 1, target="e2"), visit("e3", 2)) == 20


def test_a_retraction_that_uncovers_points_enters_and_one_that_takes_them_leaves() -> None:
    model = model_of({"visit": rule(60), "stop": rule(-40, "stop")}, thresholds=MQL)
    lost = visit("e1", 0), act("stop", "e2", 1), command("retract", "c1", 2, target="e2")
    assert crossings(model, 9, *lost)[1:] == [("LEAVE", "EVENT", 1), ("ENTER", "COMMAND", 2)]
    taken = visit("e1", 0), command("retract", "c1", 2, target="e1")
    assert crossings(model, 9, *taken)[1:] == [("LEAVE", "COMMAND", 2)]


TWO_TYPES: Plain = model_of({"visit": rule(10), "click": rule(5, "click")})


@pytest.mark.parametrize(
    ("retraction", "left"),
    [
        ({"target_type": "visit"}, 5 + 3 + 1),
        ({"target_type": "click"}, 10 + 3 + 1),
        ({"target_type": "profile.updated"}, 10 + 5 + 3),
        ({"target_type": "command.adjust"}, 10 + 5 + 1),
        ({"target_type": "form"}, 10 + 5 + 3 + 1),
        ({}, 0),
    ],
)
def test_a_retraction_takes_back_one_type_or_every_type_of_the_model(retraction: Plain, left: float) -> None:
    """Also events that come after it, whatever the order."""
    model = TWO_TYPES | {"fit": {"attributes": {"role": [{"in": ["ceo"], "points": 1}]}}}
    acts = visit("7", 0), act("click", "7", 0), command("adjust", "7", 0, points=3), profile("7", 0, role="ceo")
    for place in range(len(acts) + 1):
        order = [*acts[:place], command("retract", "7", 1, target="7", **retraction), *acts[place:]]
        assert score(model, 2, *order) == left


def test_a_retraction_without_a_type_spares_what_no_rule_names() -> None:
    """Of such an event nothing but attributes is known; its type can be said."""
    model = TWO_TYPES | {"fit": {"attributes": {"role": [{"in": ["ceo"], "points": 1}]}}}
    signed_up, retract = act("signed_up", "7", 0, attributes={"role": "ceo"}), command("retract", "c1", 1, target="7")
    assert score(model, 2, signed_up, retract) == score(model, 2, retract, signed_up) == 1
    assert score(model, 2, signed_up, retract | {"target_type": "signed_up"}) == 0


def test_a_retraction_of_every_type_is_one_of_those_that_are_remembered() -> None:
    shard = ShardOfOne(model_of({name: rule(10, name) for name in ("visit", "click", "form")}))
    shard.apply(1, *(command("retract", f"c{number}", 0, number, target=f"e{number}") for number in range(64)))
    shard.apply(1, visit("e0", 1), act("form", "e63", 1))
    assert shard.line(1, 2).score == 0


def test_an_adjustment_can_be_retracted() -> None:
    assert score(TEN, 9, command("adjust", "c1", 0, points=7), command("retract", "c2", 1, target="c1")) == 0


def test_a_retracted_disqualification_is_lifted() -> None:
    model = model_of({"stop": rule(0, "stop", disqualifies="complained")})
    assert line(model, 9, act("stop", "e1", 1), command("retract", "c1", 2, target="e1")).disqualified is None


def test_retracting_an_event_of_a_burst_gives_the_points_of_the_others_back() -> None:
    model = model_of({"visit": rule(10, exclude_burst={"at_least": 2, "within": "2s"})})
    assert score(model, 9, visit("e1"), visit("e2", 0, 1_000), command("retract", "c1", 1, target="e2")) == 10


def test_a_retracted_first_event_leaves_a_newcomer() -> None:
    silent = {"when": {"quiet": {"rules": ["click"], "within": "7d"}}, "points": 25}
    model = model_of({"visit": rule(0), "click": rule(0, "click")}, conditions={"silent": silent})
    events = visit("e1", 0), visit("e2", 5), command("retract", "c1", 6, target="e1")
    assert [score(model, 10, *events[:count]) for count in (2, 3)] == [25, 0]


# --- suspend, resume ------------------------------------------------------------------------------------------------


def test_a_suspended_lead_is_scored_but_enters_nothing() -> None:
    model = model_of({"visit": rule(60, qualifies="mql")}, thresholds=MQL)
    told = run(model, 9, command("suspend", "c1", 0), visit("e1", 1))
    assert (told.crossings, told.scores[0].score) == ([], 60)


def test_a_suspended_lead_stays_in_and_may_leave() -> None:
    model = model_of({"visit": rule(60), "stop": rule(-40, "stop")}, thresholds=MQL)
    events = visit("e1", 0), command("suspend", "c1", 1), act("stop", "e2", 2)
    assert crossings(model, 9, *events) == [("ENTER", "EVENT", 0), ("LEAVE", "EVENT", 2)]


def test_of_suspend_and_resume_the_latest_wins_not_the_last_to_arrive() -> None:
    model = model_of({"visit": rule(60)}, thresholds=MQL)
    suspend, resume = command("suspend", "c1", 1), command("resume", "c2", 2)
    for orders in ((suspend, resume), (resume, suspend)):
        assert crossings(model, 9, *orders, visit("e1", 3)) == [("ENTER", "EVENT", 3)]
    assert crossings(model, 9, command("suspend", "c3", 2.5), resume, visit("e1", 3)) == []


def test_of_suspend_and_resume_at_equal_times_the_hash_of_the_id_decides() -> None:
    model = model_of({"visit": rule(60)}, thresholds=MQL)
    resume = command("resume", "c1", 1)
    orders = command("suspend", id_before(resume, "command.suspend"), 1), resume
    for arrived in (orders, orders[::-1]):
        assert crossings(model, 9, *arrived, visit("e1", 3)) == [("ENTER", "EVENT", 3)]


def test_resuming_enters_nothing_by_itself() -> None:
    model = model_of({"visit": rule(60)}, thresholds=MQL)
    events = command("suspend", "c1", 0), visit("e1", 1), command("resume", "c2", 2)
    assert crossings(model, 9, *events) == []
    assert crossings(model, 9, *events, visit("e2", 3)) == [("ENTER", "EVENT", 3)]


# --- requalify ------------------------------------------------------------------------------------------------------


def test_of_several_requalifies_the_latest_counts_in_any_order_of_arrival() -> None:
    model = model_of({"stop": rule(0, "stop", disqualifies="complained")})
    events = act("stop", "e1", 3), command("requalify", "c1", 5), command("requalify", "c2", 1)
    assert {line(model, 9, *order).disqualified for order in permutations(events)} == {None}


def test_requalify_lifts_what_all_rules_said_until_then() -> None:
    model = model_of({"stop": rule(0, "stop", disqualifies="no"), "spam": rule(0, "spam", disqualifies="spam")})
    events = act("stop", "e1", 1), act("spam", "e2", 2), command("requalify", "c1", 3)
    assert line(model, 9, *events).disqualified is None
    assert line(model, 9, *events, act("stop", "e3", 4)).disqualified == "no"
    assert line(model, 9, *events[:2], command("requalify", "c1", 1.5)).disqualified == "spam"


def test_requalify_does_not_lift_what_a_condition_says() -> None:
    silent = {"when": {"quiet": {"rules": ["visit"], "within": "7d"}}, "disqualifies": "silent"}
    model = TEN | {"conditions": {"silent": silent}}
    assert line(model, 20, visit("e1", 0), command("requalify", "c1", 15)).disqualified == "silent"


def test_requalifying_enters_nothing_by_itself() -> None:
    model = model_of({"visit": rule(60), "stop": rule(0, "stop", disqualifies="complained")}, thresholds=MQL)
    events = act("stop", "e1", 0), visit("e2", 1), command("requalify", "c1", 2)
    assert crossings(model, 9, *events) == []
    assert crossings(model, 9, *events, visit("e3", 3)) == [("ENTER", "EVENT", 3)]


# --- erase ----------------------------------------------------------------------------------------------------------


def test_an_erased_lead_has_no_score_and_no_crossing() -> None:
    model = model_of({"visit": rule(60)}, thresholds=MQL)
    told = run(model, 9, visit("e1", 0), command("erase", "c1", 1))
    assert [one.direction.value for one in told.crossings] == ["ENTER"]
    assert told.scores == []


def test_everything_that_came_before_an_erase_is_deleted_even_what_occurred_later() -> None:
    assert score(TEN, 9, visit("e1", 5), command("erase", "c1", 1), visit("e2", 6)) == 10


def test_an_erase_deletes_all_that_came_before_it_though_another_had_a_later_time() -> None:
    earlier_time = command("erase", "c2", 1)
    told = run(TEN, 9, visit("e1", 0), command("erase", "c1", 4), visit("e2", 5), earlier_time, visit("e3", 3))
    assert told.scores == []


def test_an_erase_that_comes_again_leaves_what_came_in_between() -> None:
    erase = command("erase", "c1", 1)
    assert score(TEN, 9, visit("e1", 0), erase, visit("e2", 2), erase) == 10


def test_what_occurred_up_to_an_erase_never_brings_the_lead_back() -> None:
    model = model_of({"visit": rule(60)}, thresholds=MQL)
    erase = command("erase", "c1", 1)
    told = run(model, 9, visit("e1", 0), erase, visit("e1", 0), visit("e2", 1), command("adjust", "c2", 1, points=50))
    assert (len(told.crossings), told.scores) == (1, [])
    assert [one.score for one in run(model, 9, erase, visit("e3", 1, 1)).scores] == [60]


def test_flags_attributes_and_thresholds_go_with_an_erased_lead() -> None:
    rules = {"visit": rule(60), "stop": rule(0, "stop", disqualifies="complained")}
    fit = {"attributes": {"role": [{"in": ["ceo"], "points": 15}]}}
    model = model_of(rules, fit=fit, thresholds={"mql": {"enter": 50, "exit": 30, "cooldown": "30d"}})
    before = visit("e1", 0), profile("e2", role="ceo"), act("stop", "e3", 0), command("suspend", "c0", 0)
    told = run(model, 9, *before, command("erase", "c1", 1), visit("e4", 2))
    assert [one.direction.value for one in told.crossings] == ["ENTER", "LEAVE", "ENTER"]
    (lead,) = told.scores
    assert (lead.score, lead.fit, lead.disqualified) == (60, 0, None)


def test_the_memory_of_an_erasure_expires_by_the_logs_time() -> None:
    settings = FoldSettings(erasure_memory_ms=10 * DAY_MS)
    log = [Entry(command("erase", "c1", 1), at(1))]
    for late_ms, expected in ((at(11), []), (at(11, 1), [10])):
        told = simulated_with(settings, [*log, Entry(visit("e1", 0), late_ms)])
        assert told == expected


def simulated_with(settings: FoldSettings, log: list[Entry]) -> list[float]:
    events = [(event_of(entry.event), entry.log_time_ms) for entry in log]
    return [one.score for one in simulate(msgspec.convert(TEN, ModelDefinition), events, at(12), settings).scores]


def test_erasing_one_lead_leaves_the_others() -> None:
    told = run(TEN, 9, visit("e1"), visit("e2") | {"lead_id": "L2"}, command("erase", "c1", 1))
    assert [(one.lead_id, one.score) for one in told.scores] == [("L2", 10)]
