"""The oracle itself, against values computed by hand from design section 1. Nothing here touches the product."""

from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import histories, random_models
from tests.oracle import (
    ADJUST,
    DAY_MS,
    Entry,
    History,
    Limits,
    Plain,
    Standing,
    digest_of,
    first_departure,
    instant_ms,
    passes,
    record_of,
    run,
    run_versions,
)

DAY_0_MS = histories.START_MS
VIEW, CLICK = "website.page_view", "email.click"
HOUR_MS = 3_600_000


def at(days: float) -> int:
    return DAY_0_MS + round(days * DAY_MS)


def model_of(rules: Plain, **parts: object) -> Plain:
    return {"model": "m", "version": 1, "rules": rules, **parts}


def rule(points: float, **parts: object) -> Plain:
    return {"event": VIEW, "points": points, **parts}


def view(event_id: str, day: float, **fields: object) -> Plain:
    return {"type": VIEW, "event_id": event_id, "lead_id": "L1", "occurred_at": at(day), **fields}


def command(order: str, event_id: str, day: float, **fields: object) -> Plain:
    return view(event_id, day, **fields) | {"type": f"command.{order}"}


def in_time(*events: Plain) -> list[Entry]:
    """Each event comes when it occurs, or right after what came before."""
    return histories.in_order_of_arrival([Entry(event, instant_ms(event["occurred_at"])) for event in events])


def line(model: Plain, day: float, *events: Plain) -> Plain:
    (only,) = run(model, in_time(*events), at(day)).scores
    return only


def score(model: Plain, day: float, *events: Plain) -> float:
    return float(line(model, day, *events)["score"])


def crossings(model: Plain, day: float, *events: Plain) -> list[tuple[str, str, float]]:
    made = run(model, in_time(*events), at(day)).crossings
    return [(c["direction"], c["cause"], (c["occurred_at_ms"] - DAY_0_MS) / DAY_MS) for c in made]


# --- worked examples of 1.6 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("day", "expected"), [(0, 10), (7, 8.5067), (14, 7.2364), (30, 5), (60, 2.5)])
def test_half_life_30_days(day: int, expected: float) -> None:
    assert score(model_of({"r": rule(10)}), day, view("e1", 0)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("day", "expected"), [(7, 10), (14, 7.5), (30, 5), (31, 0)])
def test_steps_7_14_30_days(day: int, expected: float) -> None:
    model = model_of({"r": rule(10, decay={"steps": {"7d": 1.0, "14d": 0.75, "30d": 0.5}})})
    assert score(model, day, view("e1", 0)) == expected


@pytest.mark.parametrize(("day", "expected"), [(30, 5), (45, 2.5), (60, 0)])
def test_linear_60_days(day: int, expected: float) -> None:
    assert score(model_of({"r": rule(10, decay={"linear": "60d"})}), day, view("e1", 0)) == expected


@pytest.mark.parametrize(("day", "expected"), [(0, 20), (30, 15)])
def test_a_group_is_clamped_on_read(day: int, expected: float) -> None:
    model = model_of({"r": rule(10, group="g")}, groups={"g": {"max": 20}})
    assert score(model, day, view("e1", 0), view("e2", 0), view("e3", 0)) == expected


def plus_and_minus() -> Plain:
    rules = {"plus": rule(100), "minus": rule(-60, decay={"half_life": "7d"})}
    return model_of(rules, thresholds={"mql": {"enter": 50, "exit": 30}})


@pytest.mark.parametrize(("day", "expected"), [(0, 40), (3.6, 50), (12, 57.5), (26.3, 50)])
def test_a_score_may_rise_and_fall_again(day: float, expected: float) -> None:
    assert score(plus_and_minus(), day, view("e1", 0)) == pytest.approx(expected, abs=0.05)


def test_time_alone_never_enters() -> None:
    assert crossings(plus_and_minus(), 60, view("e1", 0)) == []


def test_72_points_fall_below_50_after_15_78_days() -> None:
    model = model_of({"r": rule(72)}, thresholds={"mql": {"enter": 65, "exit": 50}})
    enter, leave = run(model, in_time(view("e1", 0)), at(20)).crossings
    assert (leave["occurred_at_ms"] - DAY_0_MS) / DAY_MS == pytest.approx(15.78, abs=0.005)
    assert leave["score"] == leave["previous_score"] == pytest.approx(50, abs=1e-6)
    assert enter["projected_exit_at_ms"] == leave["occurred_at_ms"]
    assert leave["trigger"] is None
    assert leave["projected_exit_at_ms"] is None


@given(random_models.models(random_models.ORDERLESS), histories.logs(random_models.ORDERLESS), st.data())
@settings(max_examples=50)
def test_any_order_and_each_event_twice_give_the_same_scores(
    model: Plain, log: list[Entry], data: st.DataObject
) -> None:
    shuffled = histories.in_order_of_arrival(data.draw(st.permutations(log + log)))
    for expected, shuffled_line in zip(scores_of(model, log), scores_of(model, shuffled), strict=True):
        assert shuffled_line["score"] == pytest.approx(expected["score"], abs=1e-9)
        assert shuffled_line["disqualified"] == expected["disqualified"]
        assert shuffled_line["recent_events"] == expected["recent_events"]


def scores_of(model: Plain, log: list[Entry]) -> list[Plain]:
    return run(model, log, histories.END_MS).scores


# --- which events count (1.2, 1.3) ----------------------------------------------------------------------------------


def test_a_repeated_event_changes_nothing() -> None:
    assert score(model_of({"r": rule(10, decay="none")}), 1, view("e1", 0), view("e1", 0.5)) == 10


def test_deduplication_reaches_as_far_as_the_recent_events() -> None:
    model = model_of({"r": rule(10, decay="none")})
    log = in_time(view("e1", 0), view("e2", 0.5), view("e1", 0))
    assert run(model, log, at(1), Limits(recent_events=1)).scores[0]["score"] == 30
    assert run(model, log, at(1), Limits(recent_events=2)).scores[0]["score"] == 20


@pytest.mark.parametrize(("per", "expected"), [("day", 30), ("week", 20), ("forever", 10)])
def test_a_limit_counts_per_utc_day_iso_week_or_ever(per: str, expected: float) -> None:
    model = model_of({"r": rule(10, decay="none", limit={"times": 1, "per": per})})
    last_ms = {"occurred_at": at(4) - 1}  # day 0 is a Thursday; day 4 is a Monday
    assert score(model, 5, view("e1", 3), view("e2", 3) | last_ms, view("e3", 4), view("e4", 5)) == expected


def test_a_late_earlier_event_displaces_a_counted_later_one() -> None:
    model = model_of({"r": rule(16, decay={"half_life": "1d"}, limit={"times": 1, "per": "forever"})})
    assert score(model, 3, view("e1", 2), view("e2", 0)) == 2


def test_equal_times_are_ordered_by_the_hash_of_the_id() -> None:
    by_hash = sorted(["e1", "e2", "e3"], key=lambda name: digest_of((VIEW, name)))
    rules = {"all": rule(0), "first": rule(1, decay="none", limit={"times": 1, "per": "forever"})}
    model = model_of(
        rules | {"each": rule(7, decay="none", where={"id": by_hash[0]}, limit={"times": 1, "per": "day"})}
    )
    events = [view(name, 0, id=name) for name in reversed(by_hash)]
    assert line(model, 0, *events)["recent_events"] == [(VIEW, name) for name in by_hash]
    assert line(model, 0, *events)["score"] == 8


def test_once_per_counts_the_first_of_each_value_and_missing_is_one_value() -> None:
    model = model_of({"r": rule(10, decay="none", once_per="asset")})
    assets: list[Plain] = [{"asset": "a"}, {"asset": "a"}, {"asset": "b"}, {}, {"asset": None}]
    assert score(model, 1, *(view(f"e{n}", 0, **asset) for n, asset in enumerate(assets))) == 30


def burst_model(**parts: object) -> Plain:
    return model_of({"r": rule(10, decay="none", exclude_burst={"at_least": 3, "within": "2s"}, **parts)})


def seconds(event_id: str, second: float, **fields: object) -> Plain:
    return view(event_id, 0, **fields) | {"occurred_at": DAY_0_MS + round(second * 1000)}


def test_a_burst_is_taken_back_when_it_becomes_visible() -> None:
    two = [seconds("e1", 0), seconds("e2", 1)]
    assert score(burst_model(), 1, *two) == 20
    assert score(burst_model(), 1, *two, seconds("e3", 2), seconds("e4", 2.001)) == 0
    assert score(burst_model(), 1, *two, seconds("e3", 2.001)) == 30
    assert score(burst_model(), 1, *two, seconds("e3", 2), seconds("e4", 4)) == 10


def test_an_excluded_event_uses_up_nothing() -> None:
    model = burst_model(limit={"times": 1, "per": "forever"}, once_per="asset")
    burst = [seconds(f"e{n}", n / 10, asset="a") for n in range(3)]
    assert score(model, 1, *burst, seconds("e9", 60, asset="a")) == 10


def test_once_per_comes_before_limit() -> None:
    model = model_of({"r": rule(10, decay="none", once_per="asset", limit={"times": 2, "per": "day"})})
    assert score(model, 1, *(view(f"e{n}", n / 10, asset=asset) for n, asset in enumerate("aab"))) == 20


def test_max_clamps_a_rule_on_both_sides_on_read() -> None:
    model = model_of({"r": rule(10, max=15), "s": rule(-10, max=15, where={"path": "/s"})}, score={"floor": -100})
    assert score(model, 0, *(view(f"e{n}", 0) for n in range(3))) == 15
    assert score(model, 30, *(view(f"e{n}", 0) for n in range(4))) == 15
    assert score(model, 30, *(view(f"e{n}", 0, path="/s") for n in range(3))) == 0


def test_a_day_aged_weight_counts_utc_midnights() -> None:
    model = model_of({"r": rule(10, decay={"steps": {"0d": 1.0, "1d": 0.5}})})
    late = view("e1", 1) | {"occurred_at": at(1) - 1}
    assert score(model, 0.99999999, late) == 10
    assert [score(model, day, late) for day in (1, 1.999, 2)] == [5, 5, 0]


@pytest.mark.parametrize(
    ("test", "value", "expected"),
    [
        (1, True, False),
        (True, 1, False),
        (1, 1.0, True),
        ("a", None, False),
        ({"in": [1, 2]}, True, False),
        ({"not_in": ["a"]}, "b", True),
        ({"not_in": ["a"]}, None, False),
        ({"at_least": 2}, 2, True),
        ({"at_least": 2}, "3", False),
        ({"below": 2}, 2, False),
        ({"at_least": 0}, True, False),
        ({"matches": "rici"}, "/pricing", True),
        ({"matches": "^rici"}, "/pricing", False),
        ({"exists": False}, None, True),
        ({"exists": False}, 0, False),
        ({"exists": True}, 0, True),
        ({"exists": True}, None, False),
    ],
)
def test_a_test_of_a_value(test: object, value: object, expected: bool) -> None:
    assert passes(test, value) is expected


# --- conditions and fit (1.4, 1.5) ----------------------------------------------------------------------------------


def condition_model(when: Plain, **parts: object) -> Plain:
    rules = {"seen": rule(0), "clicked": {"event": CLICK, "points": 0}}
    return model_of(rules, conditions={"c": {"when": when, "points": 7, **parts}})


def test_count_looks_back_over_a_half_open_window() -> None:
    model = condition_model({"count": {"rules": ["seen"], "at_least": 2, "within": "7d"}})
    events = [view("e1", 0), view("e2", 3)]
    assert score(model, 7 - 1 / DAY_MS, *events) == 7
    assert score(model, 7, *events) == 0


def test_quiet_does_not_punish_a_newcomer() -> None:
    model = condition_model({"quiet": {"rules": ["clicked"], "within": "30d"}})
    assert score(model, 30, view("e1", 0)) == 0
    assert score(model, 30 + 1 / DAY_MS, view("e1", 0)) == 7
    assert score(model, 32, view("e1", 0), view("e2", 2) | {"type": CLICK}) == 0
    assert score(model, 35, view("e1", 0), command("reset", "c1", 6)) == 0
    assert score(model, 35, command("suspend", "c1", 0)) == 0
    assert score(model, 35, command("adjust", "c1", 0, points=0)) == 0
    assert score(model, 36.5, command("reset", "c1", 6)) == 7


def test_all_any_not_and_attribute_combine() -> None:
    role = {"attribute": {"name": "role", "in": ["student"]}}
    seen = {"count": {"rules": ["seen"], "at_least": 1, "within": "7d"}}
    model = condition_model({"all": [role, {"not": seen}]})
    student = view("e1", 0, attributes={"role": "student"})
    assert score(model, 6.9, student) == 0
    assert score(model, 7, student) == 7
    assert score(condition_model({"any": [role, seen]}), 8, student) == 7
    assert score(model, 8, student, view("e2", 0.5, attributes={"role": None})) == 0


def fit_model(**parts: object) -> Plain:
    sizes = [{"at_least": 1000, "points": 20}, {"at_least": 200, "points": 10}]
    fit = {
        "max": 25,
        "attributes": {"size": sizes, "role": [{"exists": False, "points": -5}, {"in": ["ceo"], "points": 15}]},
    }
    return model_of({"seen": rule(0)}, fit=fit | {"grades": {"A": 25, "B": 10, "C": 0}}, **parts)


def test_fit_is_the_first_band_of_the_latest_value() -> None:
    latest = view("e2", 2, attributes={"size": 1000, "role": "ceo"})
    earlier = view("e1", 1, attributes={"size": 250})
    assert line(fit_model(), 3, earlier)["fit"] == 5
    lead = line(fit_model(), 3, latest, earlier)
    assert (lead["fit"], lead["grade"]) == (25, "A")
    removed = line(fit_model(), 3, latest, earlier, view("e3", 2.5, attributes={"size": None}))
    assert (removed["fit"], removed["grade"]) == (15, "B")
    assert line(fit_model(), 3, view("e4", 0))["grade"] == "F"


def test_an_event_that_matches_nothing_leaves_no_trace() -> None:
    lead = line(fit_model(), 3, view("e1", 0, attributes={"shoes": 42}) | {"type": "other"})
    assert lead["recent_events"] == []


def test_points_and_clamps_add_up_to_the_score() -> None:
    model = fit_model(score={"ceiling": 30}, groups={"g": {"max": 12}})
    model["rules"] = {"r": rule(10, group="g", max=15, decay="none")}
    lead = line(model, 0, view("e1", 0), view("e2", 0, attributes={"size": 1000, "role": "ceo"}))
    assert lead["explanation"] == {
        "rules": {"r": 20, "command.adjust": 0},
        "conditions": {},
        "attributes": {"size": 20, "role": 15},
        "clamps": {"rule r": -5, "rule command.adjust": 0, "group g": -3, "fit": -10, "score": -7},
    }
    assert lead["score"] == 30


# --- thresholds (1.7) -----------------------------------------------------------------------------------------------


def threshold_model(points: float = 20, **parts: object) -> Plain:
    rules = {"r": rule(points, decay={"expire": "9d"}), "down": {"event": CLICK, "points": -15, "decay": "none"}}
    rules |= {"now": {"event": "now", "points": 1, "decay": "none", "qualifies": "mql"}}
    rules |= {"stop": {"event": "stop", "points": 0, "disqualifies": "stop"}}
    return model_of(rules, thresholds={"mql": {"enter": 20, "exit": 10, **parts}})


def of_type(event_type: str, event_id: str, day: float) -> Plain:
    return view(event_id, day) | {"type": event_type}


def test_a_lead_enters_by_an_event_and_leaves_by_time_at_the_midnight() -> None:
    assert crossings(threshold_model(), 9.999, view("e1", 0.5)) == [("ENTER", "EVENT", 0.5)]
    assert crossings(threshold_model(), 10, view("e1", 0.5))[1:] == [("LEAVE", "TIME", 10)]


def test_ids_are_computed() -> None:
    enter, leave = run(threshold_model(), in_time(view("e1", 0)), at(20)).crossings
    namespace = uuid5(NAMESPACE_URL, "urn:leadscore:crossing")
    assert enter["id"] == str(uuid5(namespace, f"m\x1fL1\x1fmql\x1f{VIEW}\x1fe1"))
    assert leave["id"] == str(uuid5(UUID(enter["id"]), "leave"))
    assert leave["entered_id"] == enter["id"]


def test_an_event_takes_a_lead_out() -> None:
    down = of_type(CLICK, "e2", 1)
    made = run(threshold_model(), in_time(view("e1", 0), down), at(1)).crossings
    assert [(c["cause"], c["previous_score"], c["score"]) for c in made] == [("EVENT", 0, 20), ("EVENT", 20, 5)]
    assert made[1]["trigger"] == {"topic": None, "event_id": "e2", "type": CLICK, "campaign": None}


def test_a_command_takes_a_lead_out() -> None:
    assert crossings(threshold_model(), 1, view("e1", 0), command("reset", "c1", 1))[1:] == [("LEAVE", "COMMAND", 1)]


def test_only_a_record_that_raises_the_score_enters() -> None:
    model = plus_and_minus()
    model["rules"] |= {"none": {"event": "none", "points": 0}, "some": {"event": "some", "points": 0.5}}
    assert crossings(model, 12, view("e1", 0), of_type("none", "e2", 12)) == []
    assert crossings(model, 12, view("e1", 0), of_type("some", "e2", 12)) == [("ENTER", "EVENT", 12)]


def test_cooldown_counts_from_the_last_enter_and_is_over_at_its_end() -> None:
    first = [("ENTER", "EVENT", 0), ("LEAVE", "EVENT", 1)]
    story = [view("e1", 0), of_type(CLICK, "e2", 1), view("e3", 2)]
    assert crossings(threshold_model(cooldown="3d"), 2, *story) == first
    assert crossings(threshold_model(cooldown="2d"), 2, *story) == [*first, ("ENTER", "EVENT", 2)]


def test_gates_keep_a_lead_out() -> None:
    assert crossings(threshold_model(require={"engagement": 21}), 1, view("e1", 0)) == []
    assert crossings(threshold_model(require={"engagement": 20}), 1, view("e1", 0)) == [("ENTER", "EVENT", 0)]
    assert crossings(threshold_model(require={"fit": 1}), 1, view("e1", 0), of_type("now", "e2", 1)) == [
        ("ENTER", "INSTANT", 1)
    ]


def test_an_instant_enter_is_held_until_hold_is_over() -> None:
    now = of_type("now", "e1", 0)
    assert crossings(threshold_model(), 20, now) == [("ENTER", "INSTANT", 0), ("LEAVE", "TIME", 14)]
    assert crossings(threshold_model(hold="3d"), 20, now)[1:] == [("LEAVE", "TIME", 3)]
    assert crossings(threshold_model(), 20, now, of_type(CLICK, "e2", 1))[1:] == [("LEAVE", "TIME", 14)]


def test_a_record_that_finds_the_lead_above_exit_ends_the_hold() -> None:
    story = [of_type("now", "e1", 0), view("e2", 1)]
    assert crossings(threshold_model(), 20, *story) == [("ENTER", "INSTANT", 0), ("LEAVE", "TIME", 11)]
    assert crossings(threshold_model(), 20, *story, of_type(CLICK, "e3", 2))[1:] == [("LEAVE", "EVENT", 2)]


def test_a_disqualified_lead_leaves_and_enters_nothing_until_requalified_later() -> None:
    stop = of_type("stop", "e2", 1)
    out = [("ENTER", "EVENT", 0), ("LEAVE", "DISQUALIFIED", 1)]
    assert crossings(threshold_model(), 2, view("e1", 0), stop, of_type("now", "e3", 2)) == out
    assert line(threshold_model(), 2, stop)["disqualified"] == "stop"
    assert line(threshold_model(), 2, stop, command("requalify", "c1", 1))["disqualified"] == "stop"
    assert line(threshold_model(), 2, stop, command("reset", "c1", 1.5))["disqualified"] == "stop"
    lifted = [view("e1", 0), stop, command("requalify", "c1", 1.5)]
    assert crossings(threshold_model(), 2, *lifted) == out
    assert crossings(threshold_model(), 2, *lifted, view("e4", 2)) == [*out, ("ENTER", "EVENT", 2)]


def test_a_condition_disqualifies_by_time_at_its_first_instant() -> None:
    model = threshold_model()
    model["conditions"] = {"c": {"when": {"quiet": {"rules": ["r"], "within": "2d"}}, "disqualifies": "silent"}}
    made = run(model, in_time(view("e1", 0)), at(5)).crossings
    assert [(c["cause"], c["occurred_at_ms"]) for c in made] == [("EVENT", at(0)), ("DISQUALIFIED", at(2) + 1)]
    assert made[0]["projected_exit_at_ms"] == at(2) + 1


def test_a_suspended_lead_is_scored_and_enters_nothing() -> None:
    suspend, resume = command("suspend", "c1", 0), command("resume", "c2", 1)
    assert crossings(threshold_model(), 1, suspend, view("e1", 0.5)) == []
    assert score(threshold_model(), 1, suspend, view("e1", 0.5)) == 20
    assert crossings(threshold_model(), 2, suspend, view("e1", 0.5), resume) == []
    assert crossings(threshold_model(), 2, suspend, resume, view("e1", 1.5)) == [("ENTER", "EVENT", 1.5)]


def test_a_late_record_is_evaluated_at_the_leads_latest_time() -> None:
    model = threshold_model(points=10)
    assert crossings(model, 5, view("e1", 5), view("e2", 1)) == [("ENTER", "EVENT", 5)]


def test_leaves_come_highest_first_and_enters_lowest_first() -> None:
    model = threshold_model(points=100)
    model["thresholds"] = {"hot": {"enter": 90, "exit": 70}, "mql": {"enter": 20, "exit": 10}}
    made = run(model, in_time(view("e1", 0)), at(20)).crossings
    assert [(c["direction"], c["threshold"]) for c in made] == [
        ("ENTER", "mql"),
        ("ENTER", "hot"),
        ("LEAVE", "hot"),
        ("LEAVE", "mql"),
    ]


def test_time_leaves_of_many_leads_are_ordered_by_instant_then_lead() -> None:
    events = [view(f"e{n}", day) | {"lead_id": lead} for n, (lead, day) in enumerate([("B", 1), ("A", 1), ("C", 0)])]
    log = histories.in_order_of_arrival([Entry(event, event["occurred_at"]) for event in events])
    made = run(threshold_model(), log, at(50)).crossings
    assert [c["lead_id"] for c in made if c["direction"] == "LEAVE"] == ["C", "A", "B"]


def test_stale_is_decided_long_after_it_occurred() -> None:
    log = [Entry(view("e1", 0), at(1)), Entry(view("e2", 0.5), at(1.9))]
    (enter,) = run(threshold_model(), log, at(2)).crossings
    assert (enter["decided_at_ms"], enter["stale"]) == (at(1), False)
    (late,) = run(threshold_model(), [Entry(view("e1", 0), at(1) + 1)], at(2)).crossings
    assert late["stale"]


def test_reasons_are_the_top_five_by_points_then_by_name() -> None:
    points = {"b": 10.0, "a": 10.0, "c": -20.0, "d": 1.0, "e": 0.004, "f": 2.0, "g": 3.0}
    model = model_of({name: rule(worth) for name, worth in points.items()}, thresholds={"t": {"enter": 5, "exit": 1}})
    (enter,) = run(model, in_time(view("e1", 0)), at(0)).crossings
    assert [reason["name"] for reason in enter["reasons"]] == ["c", "a", "b", "g", "f"]


# --- commands (1.8) and forgetting (1.9) ----------------------------------------------------------------------------


def forever() -> Plain:
    return model_of({"r": rule(10, decay="none")})


def test_adjustments_decay_as_the_model_and_count_once() -> None:
    adjust = command("adjust", "c1", 0, points=10)
    assert score(forever(), 30, adjust, adjust) == 5
    assert score(forever(), 30, adjust, command("retract", "c2", 1, target="c1")) == 0
    assert line(forever(), 30, adjust, view("e1", 1))["recent_events"] == [(ADJUST, "c1"), (VIEW, "e1")]


def test_reset_forgets_what_occurred_up_to_its_time_whenever_it_arrives() -> None:
    reset = command("reset", "c1", 1)
    assert score(forever(), 2, view("e1", 0), reset, view("e2", 1), view("e3", 1.5)) == 10


def test_retract_works_before_and_after_its_target() -> None:
    retract = command("retract", "c1", 1, target="e1")
    assert score(forever(), 2, view("e1", 0), view("e2", 0), retract) == 10
    assert score(forever(), 2, retract, view("e1", 0), view("e2", 0)) == 10


def test_erase_deletes_what_came_before_it_and_what_occurred_up_to_its_time() -> None:
    erase = command("erase", "c1", 2)
    assert run(forever(), in_time(view("e1", 0), erase), at(3)).scores == []
    assert run(forever(), in_time(view("e1", 0), erase, view("e1", 0)), at(3)).scores == []
    assert score(forever(), 5, view("e0", 3), erase, view("e1", 2), view("e2", 4)) == 10
    assert score(forever(), 5, erase, view("e2", 4), erase) == 10


def test_erasing_makes_no_crossing() -> None:
    assert crossings(threshold_model(), 30, view("e1", 0), command("erase", "c1", 1)) == [("ENTER", "EVENT", 0)]


def forgetful(**parts: object) -> Plain:
    limit = {"times": 1, "per": "forever"}
    return model_of({"r": rule(10, decay={"expire": "30d"}, limit=limit)}, forget_after="60d", **parts)


def test_a_forgotten_lead_is_new() -> None:
    assert score(forgetful(), 60, view("e1", 0), view("e2", 60)) == 0
    assert score(forgetful(), 61, view("e1", 0), view("e2", 61)) == 10
    assert score(forgetful(), 61, view("e1", 0), command("resume", "c1", 1), view("e2", 61)) == 0


def test_what_was_erased_stays_out_after_the_lead_was_forgotten() -> None:
    story = [command("erase", "c1", 1), view("e1", 2), view("e2", 70), view("e3", 1)]
    assert line(forgetful(), 70, *story)["recent_events"] == [(VIEW, "e2")]


def test_a_suspended_lead_is_not_forgotten() -> None:
    assert score(forgetful(), 61, view("e1", 0), command("suspend", "c1", 0), view("e2", 61)) == 0


def test_an_award_keeps_its_points_and_the_rest_follows_the_version_in_force() -> None:
    fit = {"attributes": {"role": [{"in": ["ceo"], "points": 9}]}}
    old = model_of({"r": rule(10, decay="none"), "gone": rule(3)}, fit=fit, version=1)
    new = model_of({"r": rule(50, limit={"times": 2, "per": "day"}, decay={"linear": "10d"})}, version=2)
    new["fit"] = {"attributes": {"role": [{"in": ["ceo"], "points": 1}], "size": [{"exists": False, "points": 2}]}}
    early, late, next_one = view("e1", 0, attributes={"role": "ceo"}), view("e2", 0), view("e3", 1)
    steps = [(old, early), (new, next_one), (old, late)]
    entries = [(model, Entry(event, at(1))) for model, event in steps]
    (lead,) = run_versions(entries, old, at(5)).scores
    assert (lead["engagement"], lead["fit"]) == (5 + 5 + 50 * 0.6, 9 + 2)
    (before,) = run_versions(entries[:1], old, at(5)).scores
    assert (before["engagement"], before["fit"]) == (10 + 3 * 2 ** (-5 / 30), 9)


def test_of_a_value_only_the_tests_of_the_version_that_saw_it_are_known() -> None:
    new = condition_model({"attribute": {"name": "role", "in": ["ceo"]}}) | {"version": 2}
    old = new | {"version": 1, "conditions": {}, "fit": {"attributes": {"role": [{"exists": True, "points": 1}]}}}
    seen = Entry(view("e1", 0, attributes={"role": "ceo"}), at(0))
    again = Entry(view("e2", 1, attributes={"role": "ceo"}), at(1))
    assert run_versions([(old, seen), (new, Entry(view("e9", 1), at(1)))], old, at(2)).scores[0]["score"] == 0
    assert run_versions([(old, seen), (new, again)], old, at(2)).scores[0]["score"] == 7


def test_a_count_sees_the_recent_events_only() -> None:
    model = condition_model({"count": {"rules": ["seen"], "at_least": 2, "within": "7d"}})
    log = in_time(view("e1", 0), view("e2", 1), view("e3", 2) | {"type": CLICK})
    scores = [run(model, log, at(3), Limits(recent_events=recent)).scores[0]["score"] for recent in (3, 2)]
    assert scores == [7, 0]


# --- the search for the first instant below a level -----------------------------------------------------------------


@given(random_models.models(random_models.ORDERLESS), histories.logs(random_models.ORDERLESS))
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
def test_no_earlier_instant_takes_the_lead_out(model: Plain, log: list[Entry]) -> None:
    history = History(model, tuple(record_of(model, entry.event) for entry in log if entry.event["lead_id"] == "L1"))
    after_ms = max((record.at_ms for record in history.records), default=at(0))
    threshold = next(iter(model["thresholds"].values()))
    departure = first_departure(history, threshold, Standing(is_in=True), after_ms)
    end_ms = departure.at_ms if departure else after_ms + 400 * DAY_MS
    steps_ms = sorted({after_ms + 1, end_ms - 1, *range(after_ms + 1, end_ms, (end_ms - after_ms) // 200 + 1)})
    assert not any(is_out(history, threshold, at_ms) for at_ms in steps_ms if after_ms < at_ms < end_ms)
    assert departure is None or is_out(history, threshold, departure.at_ms)


def is_out(history: History, threshold: Plain, at_ms: int) -> bool:
    below = history.reading(at_ms).score < threshold["exit"] - 1e-9
    return below or bool(history.condition_reasons(at_ms))


def test_a_short_dip_is_found() -> None:
    rules = {"plus": rule(60, decay="none"), "minus": rule(-40, decay={"half_life": "6h"})}
    rules |= {"decaying": rule(40, decay={"half_life": "5h"})}
    model = model_of(rules, thresholds={"t": {"enter": 60, "exit": 58.5}})
    history = History(model, (record_of(model, view("e1", 0)),))
    departure = first_departure(history, model["thresholds"]["t"], Standing(is_in=True), at(0))
    assert departure is not None
    assert history.reading(departure.at_ms - 1).score >= 58.5 - 1e-9 > history.reading(departure.at_ms).score
    assert departure.at_ms < at(0) + 12 * HOUR_MS
