"""Design 1.5 and 1.6: who the lead is, and how everything adds up."""

from itertools import permutations

import pytest

from tests.oracle import Plain
from tests.unit.semantics import act, command, ids_in_order, line, model_of, profile, rule, score, visit

ROLES: Plain = {"attributes": {"role": [{"in": ["ceo"], "points": 15}, {"matches": "^c", "points": 10}]}}


def fit_model(**fit: object) -> Plain:
    return model_of({"visit": rule(10)}, fit={**ROLES, **fit})


def test_any_event_may_carry_attributes() -> None:
    told = line(fit_model(), 1, visit("e1", attributes={"role": "ceo"}))
    assert (told.engagement, told.fit, told.score) == (10, 15, 25)


def test_the_latest_value_by_occurred_at_wins_in_any_order_of_arrival() -> None:
    values = profile("e1", 0, role="ceo"), profile("e2", 2, role="cto"), profile("e3", 1, role="student")
    assert {score(fit_model(), 5, *order) for order in permutations(values)} == {10}


def test_of_values_with_equal_times_the_hash_of_the_event_id_decides() -> None:
    first, second = ids_in_order("e1", "e2", event_type="profile.updated")
    older, newer = profile(first, 0, role="cto"), profile(second, 0, role="ceo")
    assert score(fit_model(), 1, older, newer) == score(fit_model(), 1, newer, older) == 15


def test_null_removes_an_attribute() -> None:
    assert score(fit_model(), 5, profile("e1", 0, role="ceo"), profile("e2", 1, role=None)) == 0
    assert score(fit_model(), 5, profile("e2", 1, role=None), profile("e1", 0, role="ceo")) == 0


def test_an_attribute_never_seen_does_not_exist() -> None:
    fit = {"attributes": {"role": [{"exists": False, "points": 7}, {"exists": True, "points": 3}]}}
    model = model_of({"visit": rule(10)}, fit=fit)
    assert line(model, 1, visit("e1")).fit == 7
    assert line(model, 1, visit("e1"), profile("e2", role="x")).fit == 3
    assert line(model, 2, profile("e2", role="x"), profile("e3", 1, role=None)).fit == 7


def test_of_the_bands_the_first_match_wins() -> None:
    assert [line(fit_model(), 1, profile("e1", role=role)).fit for role in ("ceo", "cto", "boss")] == [15, 10, 0]


def test_of_the_bands_the_first_match_wins_even_if_a_later_one_gives_more() -> None:
    bands = [{"in": ["cto"], "points": 5}, {"matches": "^c", "points": 10}]
    model = model_of({}, fit={"attributes": {"role": bands}})
    assert [line(model, 1, profile("e1", role=role)).fit for role in ("cto", "ceo")] == [5, 10]


def test_fit_is_the_sum_of_the_attributes_within_its_own_limits() -> None:
    attributes = {
        "role": [{"in": ["ceo"], "points": 15}, {"in": ["student"], "points": -40}],
        "size": [{"at_least": 1000, "points": 20}, {"below": 1000, "points": 5}],
    }
    model = model_of({}, fit={"min": -30, "max": 30, "attributes": attributes}, score={"floor": -100})
    assert line(model, 1, profile("e1", role="ceo", size=10)).fit == 20
    assert line(model, 1, profile("e1", role="ceo", size=2000)).fit == 30
    assert line(model, 1, profile("e1", role="student", size=10)).fit == -30


@pytest.mark.parametrize(
    ("fit", "grade"), [(31, "A"), (30, "A"), (29.5, "B"), (20, "B"), (10, "C"), (0, "D"), (-0.5, "F")]
)
def test_a_grade_begins_at_its_smallest_fit_and_f_is_below_all(fit: float, grade: str) -> None:
    bands = {"attributes": {"x": [{"exists": True, "points": fit}]}, "grades": {"A": 30, "B": 20, "C": 10, "D": 0}}
    assert line(model_of({}, fit=bands), 1, profile("e1", x=1)).grade == grade


def test_a_grade_and_a_band_begin_where_the_points_add_up_to_them() -> None:
    """As binary fractions 0.7 + 0.1 + 0.1 is a little less than 0.9; scores are the same to 1e-9 (1.6)."""
    tenths = {"a": 0.7, "b": 0.1, "c": 0.1}
    bands = {name: [{"exists": True, "points": points}] for name, points in tenths.items()}
    fit = {"attributes": bands, "grades": {"A": 0.9, "B": 0}}
    assert line(model_of({}, fit=fit), 1, profile("e1", a=1, b=1, c=1)).grade == "A"
    model = model_of({name: rule(points, name) for name, points in tenths.items()}, bands={"warm": 0.9})
    events = [act(name, name) for name in tenths]
    assert {line(model, 1, *order).band for order in permutations(events)} == {"warm"}


def test_fit_does_not_decay() -> None:
    model = fit_model() | {"decay": {"half_life": "1d"}}
    assert score(model, 300, profile("e1", 0, role="ceo")) == 15


def test_a_retracted_value_uncovers_the_one_before_it() -> None:
    values = profile("e1", 0, role="ceo"), profile("e2", 1, role="cto")
    assert score(fit_model(), 5, *values, command("retract", "c1", 2, target="e2")) == 15


# --- 1.6 ------------------------------------------------------------------------------------------------------------


def test_each_rule_is_clamped_and_then_the_group() -> None:
    rules = {"visit": rule(10, group="g", max=12), "click": rule(10, "click", group="g")}
    model = model_of(rules, groups={"g": {"min": -5, "max": 25}})
    two_of_each = visit("e1"), visit("e2"), act("click", "e3"), act("click", "e4")
    assert score(model, 1, *two_of_each[:3]) == 22
    assert score(model, 1, *two_of_each) == 25


def test_a_group_is_not_below_its_min() -> None:
    rules = {"visit": rule(-10, group="g"), "click": rule(50, "click")}
    model = model_of(rules, groups={"g": {"min": -15}})
    assert score(model, 1, act("click", "e0"), visit("e1"), visit("e2")) == 35


def test_engagement_is_the_sum_of_the_groups_and_of_what_has_no_group() -> None:
    rules = {"visit": rule(10, group="g"), "click": rule(7, "click", group="h"), "form": rule(4, "form")}
    model = model_of(rules, groups={"g": {"max": 8}, "h": {"max": 6}})
    assert line(model, 1, visit("e1"), act("click", "e2"), act("form", "e3")).engagement == 18


def test_the_score_is_engagement_and_fit_within_floor_and_ceiling() -> None:
    model = fit_model() | {"score": {"floor": 12, "ceiling": 30}}
    assert score(model, 1, visit("e1")) == 12
    assert score(model, 1, visit("e1"), profile("e2", role="ceo")) == 25
    told = line(model, 1, visit("e1"), visit("e3"), profile("e2", role="ceo"))
    assert (told.score, told.engagement, told.fit) == (30, 20, 15)


def test_nothing_is_lost_by_being_clamped() -> None:
    model = model_of({"visit": rule(60), "stop": rule(-50, "stop")})
    assert score(model, 1, visit("e1"), visit("e2"), visit("e3")) == 100
    assert score(model, 1, visit("e1"), visit("e2"), visit("e3"), act("stop", "e4")) == 100
    assert score(model, 1, act("stop", "e4"), visit("e1")) == 10


def test_old_penalties_decay_by_themselves() -> None:
    model = model_of({"visit": rule(60), "stop": rule(-40, "stop", decay={"half_life": "1d"})})
    assert [score(model, day, visit("e1"), act("stop", "e2")) for day in (0, 1, 2)] == [20, 40, 50]


def test_an_explanation_lists_points_now_points_awarded_count_and_latest_event() -> None:
    model = model_of({"visit": rule(16, decay={"half_life": "1d"}), "click": rule(5, "click")})
    told = line(model, 2, visit("e1", 0), visit("e2", 1), act("click", "e3", 0)).explanation
    parts = {part.name: (part.points, part.awarded, part.count, part.latest_event_ms) for part in told.parts}
    expected = {"visit": (12, 32, 2, visit("e2", 1)["occurred_at"]), "click": (5, 5, 1, visit("e3")["occurred_at"])}
    assert parts == expected


def test_an_explanation_lists_every_adjustment_a_clamp_made_and_adds_up() -> None:
    rules = {"visit": rule(50, group="g", max=80), "click": rule(30, "click", group="g")}
    model = fit_model(max=12) | {"rules": rules, "groups": {"g": {"max": 95}}}
    events = visit("e1"), visit("e2"), act("click", "e3"), profile("e4", role="ceo")
    told = line(model, 1, *events).explanation
    made = [(one.clamp, one.name, one.points) for one in told.adjustments]
    assert made == [("rule", "visit", -20), ("group", "g", -15), ("fit", "fit", -3), ("score", "score", -7)]
    assert sum(part.points for part in told.parts) + sum(one.points for one in told.adjustments) == told.score == 100


def test_an_explanation_says_when_an_attribute_was_set() -> None:
    told = line(fit_model(), 9, profile("e1", 0, role="cto"), profile("e2", 3, role="ceo")).explanation
    (role,) = told.parts
    assert (role.points, role.awarded, role.count) == (15, 15, 1)
    assert role.latest_event_ms == profile("e2", 3)["occurred_at"]


def test_an_explanation_lists_the_conditions_that_hold() -> None:
    condition = {"when": {"count": {"rules": ["visit"], "at_least": 1, "within": "7d"}}, "points": 5}
    model = model_of({"visit": rule(1)}, conditions={"busy": condition})
    parts = line(model, 1, visit("e1")).explanation.parts
    assert [(part.part, part.name, part.points) for part in parts] == [("rule", "visit", 1), ("condition", "busy", 5)]


def test_an_explanation_counts_what_fell_out_of_the_recent_events() -> None:
    model = model_of({"visit": rule(2), "form": rule(3, "form", limit={"times": 2, "per": "forever"})})
    forms, visits = [act("form", f"f{n}", 0, n) for n in range(3)], [visit(f"e{n}", 1, n) for n in range(70)]
    told = line(model, 2, *forms, *visits).explanation
    parts = {part.name: (part.points, part.awarded, part.count) for part in told.parts}
    assert parts == {"visit": (140, 140, 70), "form": (6, 6, 2)}
    latest = {part.name: part.latest_event_ms for part in told.parts}
    assert latest["visit"] == visits[-1]["occurred_at"]
    assert latest["form"] == forms[-1]["occurred_at"], "the latest that was seen, counted or not"


def test_an_explanation_adds_up_when_the_lead_is_worth_less_than_nothing() -> None:
    model = model_of({"visit": rule(-50, max=60)}, groups={}, fit={"min": -5, "attributes": ROLES["attributes"]})
    told = line(model, 1, visit("e1"), visit("e2"), profile("e3", role="boss")).explanation
    assert [(one.clamp, one.points) for one in told.adjustments] == [("rule", 40), ("score", 60)]
    assert told.score == 0
