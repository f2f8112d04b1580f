"""Several scores in one model: what counts for which, thresholds of each, and what is the lead's in all of them."""

import pytest

from leadscore.scoring.crossing import Crossing
from tests.oracle import Plain
from tests.unit.semantics import ShardOfOne, act, command, crossings, line, model_of, profile, rule, run, visit

RULES: Plain = {
    "visit": rule(30, group="web"),
    "plan": rule(20, "plan", group="account"),
    "call": rule(50, "call"),
    "left": rule(-25, "left", group="account"),
}
GROUPS: Plain = {"web": {"max": 40}, "account": {"in_main": False}}
FIT: Plain = {"attributes": {"role": [{"in": ["ceo"], "points": 25}]}, "grades": {"A": 25, "C": 0}}


def two_scores(expansion: Plain | None = None, **thresholds: Plain) -> Plain:
    """A main score of ``web`` and calls, and an expansion score of ``account`` and ``web``."""
    scores = {"expansion": {"groups": ["account", "web"], **(expansion or {})}}
    return model_of(RULES, groups=GROUPS, scores=scores, fit=FIT, thresholds=thresholds)


def upsell(expansion: Plain | None = None, **parts: object) -> Plain:
    return two_scores(expansion, upsell={"of": "expansion", "enter": 50, "exit": 30, **parts})


def scores_of(model: Plain, *events: Plain) -> tuple[float, float]:
    lead = line(model, 9, *events)
    return lead.score, lead.others["expansion"].score


def only(made: list[Crossing]) -> Crossing:
    (crossing,) = made
    return crossing


# --- what counts for which ------------------------------------------------------------------------------------------


def test_a_group_counts_for_each_score_that_names_it() -> None:
    assert scores_of(two_scores(), visit("e1")) == (30, 30)


def test_a_group_that_is_not_in_main_counts_for_the_other_score_only() -> None:
    assert scores_of(two_scores(), act("plan", "e1")) == (0, 20)


def test_what_has_no_group_counts_for_the_main_score_only() -> None:
    assert scores_of(two_scores(), act("call", "e1"), command("adjust", "c1", points=5)) == (55, 0)


def test_a_condition_counts_for_the_scores_of_its_group() -> None:
    holds = {"when": {"attribute": {"name": "customer", "in": [True]}}, "points": 7}
    model = two_scores() | {"conditions": {"one": {**holds, "group": "account"}, "other": holds}}
    assert scores_of(model, profile("p1", customer=True)) == (7, 7)
    assert [part.name for part in line(model, 1, profile("p1", customer=True)).others["expansion"].parts] == ["one"]


def test_the_clamp_of_a_group_is_that_of_every_score() -> None:
    assert scores_of(two_scores(), visit("e1"), visit("e2")) == (40, 40)


@pytest.mark.parametrize(("counts", "expected"), [({}, (25, 0)), ({"fit": True}, (25, 25)), ({"fit": False}, (25, 0))])
def test_another_score_counts_the_fit_if_it_says_so(counts: Plain, expected: tuple[float, float]) -> None:
    assert scores_of(two_scores(counts), profile("p1", role="ceo")) == expected


def test_each_score_has_a_floor_and_a_ceiling_of_its_own() -> None:
    model = two_scores({"floor": -5, "ceiling": 60})
    assert scores_of(model, act("left", "e1")) == (0, -5)
    assert scores_of(model, *(act("plan", f"e{n}") for n in range(4)), *(act("call", f"c{n}") for n in range(4))) == (
        100,
        60,
    )


def test_the_explanation_of_each_score_has_its_own_parts_and_adds_up() -> None:
    events = visit("e1"), visit("e2"), act("plan", "e3"), act("call", "e4"), profile("p1", role="ceo")
    lead = line(two_scores({"ceiling": 55}), 1, *events)
    for explanation, names, score in (
        (lead.explanation, {"visit", "call", "role"}, 100),
        (lead.others["expansion"], {"visit", "plan"}, 55),
    ):
        assert {part.name for part in explanation.parts} == names
        points = [part.points for part in explanation.parts] + [one.points for one in explanation.adjustments]
        assert (sum(points), explanation.score) == (score, score)


# --- thresholds -----------------------------------------------------------------------------------------------------


def test_a_threshold_of_another_score_is_entered_and_left_by_that_score() -> None:
    events = [act("call", "e1"), visit("e2", 1), act("plan", "e3", 2), act("left", "e4", 3)]
    assert crossings(upsell(), 9, *events) == [("ENTER", "EVENT", 2), ("LEAVE", "EVENT", 3)]


def test_a_crossing_says_which_score_it_is_of_and_has_its_numbers() -> None:
    events = act("call", "e1"), profile("p1", role="ceo"), visit("e2", 1), act("plan", "e3", 2)
    crossing = only(run(upsell(), 2, *events).crossings)
    assert (crossing.threshold, crossing.score_name) == ("upsell", "expansion")
    assert (crossing.score, crossing.previous_score, crossing.engagement) == (50, 30, 50)
    assert [(reason.name, reason.points) for reason in crossing.reasons] == [("visit", 30), ("plan", 20)]


def test_fit_and_grade_are_those_of_the_lead_also_where_the_score_leaves_the_fit_out() -> None:
    crossing = only(run(upsell(), 2, profile("p1", role="ceo"), visit("e2", 1), act("plan", "e3", 2)).crossings)
    assert (crossing.score, crossing.fit, crossing.grade) == (50, 25, "A")


def test_a_threshold_of_the_main_score_names_no_score() -> None:
    for of in ({}, {"of": "main"}):
        model = two_scores(mql={"enter": 50, "exit": 30, **of})
        assert only(run(model, 1, act("plan", "e1"), act("call", "e2")).crossings).score_name is None


def test_a_record_that_does_not_raise_the_score_of_the_threshold_lets_nobody_in() -> None:
    """The penalty has decayed, so the expansion score is high enough; the call raises the main score."""
    rules = RULES | {"left": rule(-25, "left", group="account", decay={"half_life": "1d"})}
    model = upsell() | {"rules": rules}
    before = visit("e1"), act("left", "e2"), act("plan", "e3", 0.1)
    assert crossings(model, 30, *before, act("call", "e4", 20)) == []
    assert crossings(model, 30, *before, act("call", "e4", 20), act("plan", "e5", 21)) == [("ENTER", "EVENT", 21)]


def test_fit_raises_only_the_scores_that_count_it() -> None:
    rules = RULES | {"left": rule(-25, "left", group="account", decay={"half_life": "1d"})}
    events = visit("e1"), act("left", "e2"), act("plan", "e3", 0.1), profile("p1", 20, role="ceo")
    assert crossings(upsell() | {"rules": rules}, 30, *events) == []
    assert crossings(upsell({"fit": True}) | {"rules": rules}, 30, *events) == [("ENTER", "EVENT", 20)]


def test_gates_of_engagement_look_at_the_score_of_the_threshold_and_those_of_fit_at_the_lead() -> None:
    gated = upsell({"fit": True}, enter=40, require={"engagement": 35, "grade": "A"})
    ceo = profile("p1", role="ceo")
    assert crossings(gated, 9, ceo, act("call", "e1"), act("plan", "e2", 1)) == []
    assert crossings(gated, 9, ceo, act("plan", "e1"), act("plan", "e2", 1)) == [("ENTER", "EVENT", 1)]
    assert crossings(gated, 9, *(act("plan", f"e{n}", n) for n in range(4))) == []


def test_one_event_may_enter_thresholds_of_two_scores_lowest_enter_first() -> None:
    model = two_scores(mql={"enter": 30, "exit": 20}, upsell={"of": "expansion", "enter": 25, "exit": 10})
    assert [(one.threshold, one.score_name) for one in run(model, 1, visit("e1")).crossings] == [
        ("upsell", "expansion"),
        ("mql", None),
    ]


def test_time_takes_a_lead_out_of_each_threshold_when_its_score_has_fallen() -> None:
    decays = {name: one | {"decay": {"half_life": "10d" if name == "visit" else "5d"}} for name, one in RULES.items()}
    thresholds: Plain = {"mql": {"enter": 30, "exit": 15}, "upsell": {"of": "expansion", "enter": 50, "exit": 25}}
    model = two_scores(**thresholds) | {"rules": decays}
    made = run(model, 30, visit("e1"), act("plan", "e2")).crossings
    left = {one.threshold: one for one in made if one.direction == "LEAVE"}
    entered = {one.threshold: one for one in made if one.direction == "ENTER"}
    assert {name: one.cause for name, one in left.items()} == {"mql": "TIME", "upsell": "TIME"}
    assert left["mql"].score == pytest.approx(15, abs=1e-6)
    assert left["upsell"].score == pytest.approx(25, abs=1e-6)
    assert all(entered[name].projected_exit_at_ms == one.occurred_at_ms for name, one in left.items())


def test_a_lead_held_by_one_score_is_released_by_that_score_only() -> None:
    rules = RULES | {"ask": rule(0, "ask", qualifies="upsell")}
    model = upsell(hold="20d") | {"rules": rules}
    asked, called = act("ask", "a1"), act("call", "e1", 1)
    assert crossings(model, 30, asked, called)[-1] == ("LEAVE", "TIME", 20)
    freed = visit("e2", 2), act("plan", "e3", 3), act("left", "e4", 4)
    assert crossings(model, 30, asked, called, *freed)[-1] == ("LEAVE", "EVENT", 4)


def test_a_disqualified_lead_leaves_the_thresholds_of_every_score() -> None:
    rules = RULES | {"stop": rule(0, "stop", disqualifies="asked to")}
    thresholds: Plain = {"mql": {"enter": 30, "exit": 20}, "upsell": {"of": "expansion", "enter": 25, "exit": 10}}
    made = run(two_scores(**thresholds) | {"rules": rules}, 2, visit("e1"), act("stop", "e2", 1)).crossings
    assert [(one.threshold, one.cause) for one in made[2:]] == [("mql", "DISQUALIFIED"), ("upsell", "DISQUALIFIED")]


def test_an_event_recycles_the_threshold_it_names_whichever_score_that_is_of() -> None:
    rules = RULES | {"not_now": rule(0, "not_now", recycles={"threshold": "upsell", "for": "10d"})}
    thresholds: Plain = {"mql": {"enter": 30, "exit": 20}, "upsell": {"of": "expansion", "enter": 25, "exit": 10}}
    model = two_scores(**thresholds) | {"rules": rules}
    events = visit("e1"), act("not_now", "r1", 1), act("plan", "e2", 5), act("plan", "e3", 11)
    made = run(model, 12, *events).crossings
    assert [(one.threshold, one.cause) for one in made[2:]] == [("upsell", "RECYCLED"), ("upsell", "EVENT")]


# --- versions -------------------------------------------------------------------------------------------------------


def test_a_version_that_adds_a_score_reads_the_points_that_leads_have() -> None:
    before = two_scores(mql={"enter": 90, "exit": 50})
    before["groups"], before["scores"] = {"web": {"max": 40}, "account": {}}, {}
    shard = ShardOfOne(before, upsell() | {"version": 2})
    shard.apply(1, visit("e1"), act("plan", "e2"))
    crossing = only(shard.apply(2, act("plan", "e3", 1)))
    assert (crossing.score_name, crossing.score, crossing.previous_score) == ("expansion", 70, 50)


def test_a_threshold_that_a_version_puts_on_another_score_is_left_by_that_score() -> None:
    before = two_scores(upsell={"enter": 50, "exit": 30})
    shard = ShardOfOne(before, upsell() | {"version": 2})
    entered = only(shard.apply(1, act("call", "e1")))
    shard.follow(2, 1)
    left = only(shard.tick(1))
    assert (entered.score_name, left.score_name, left.cause) == (None, "expansion", "TIME")
    assert left.entered_id == entered.id


# --- what is spared -------------------------------------------------------------------------------------------------

HALVED: Plain = {name: one | {"decay": {"half_life": "10d"}} for name, one in RULES.items()}


def test_the_fit_keeps_no_lead_in_a_threshold_whose_score_leaves_it_out() -> None:
    """50 points of a half-life of 10 days are 30 after 7.37."""
    ceo = profile("p1", role="ceo")
    made = crossings(upsell() | {"rules": HALVED}, 30, ceo, visit("e1"), act("plan", "e2"))
    assert made[1][:2] == ("LEAVE", "TIME")
    assert made[1][2] == pytest.approx(7.37, abs=0.005)


def test_the_floor_of_the_main_score_keeps_no_lead_in_a_threshold_of_another() -> None:
    model = upsell() | {"rules": HALVED, "score": {"floor": 35}}
    assert crossings(model, 30, visit("e1"), act("plan", "e2"))[1][:2] == ("LEAVE", "TIME")


def test_a_score_that_is_high_enough_is_seen_where_the_main_one_is_out_of_reach() -> None:
    model = two_scores(mql={"enter": 95, "exit": 50}, upsell={"of": "expansion", "enter": 40, "exit": 10})
    assert crossings(model, 9, act("plan", "e1"), act("plan", "e2", 1)) == [("ENTER", "EVENT", 1)]


def test_the_score_before_a_command_is_that_of_the_threshold() -> None:
    thresholds: Plain = {"mql": {"enter": 95, "exit": 50}, "upsell": {"of": "expansion", "enter": 40, "exit": 30}}
    events = act("plan", "e1"), act("plan", "e2"), command("reset", "c1", 1)
    entered, left = run(two_scores(**thresholds), 2, *events).crossings
    assert (entered.previous_score, left.previous_score, left.score) == (20, 40, 0)
