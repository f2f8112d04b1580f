"""Design 1.3 and 1.9: what a new version of the model file changes of a lead, and what it does not."""

from typing import Any

import pytest

from leadscore.scoring.simulation import LeadScore
from tests.oracle import Plain
from tests.unit.semantics import ShardOfOne, act, at, clicks, model_of, profile, rule, visit

RECENT = 64
MQL = {"mql": {"enter": 50, "exit": 30}}


def one_rule(points: float = 10, **parts: Any) -> Plain:
    return model_of({"visit": rule(points, **parts)})


# --- awards and rules ----------------------------------------------------------------------------------------------


def test_an_award_keeps_the_points_of_the_version_that_matched_it() -> None:
    shard = ShardOfOne(one_rule(10), one_rule(25) | {"version": 2})
    shard.apply(1, visit("e1", 0))
    assert shard.line(2, 1).score == 10
    shard.apply(2, visit("e2", 1))
    assert shard.line(2, 1).score == 35


def test_decay_follows_the_version_in_force() -> None:
    new = one_rule(10, decay={"half_life": "2d"}) | {"version": 2}
    for old in ({"half_life": "8d"}, "none", {"linear": "40d"}, {"expire": "9d"}):
        shard = ShardOfOne(one_rule(10, decay=old), new)
        shard.apply(1, visit("e1", 0), visit("e2", 2))
        assert shard.line(2, 4).score == pytest.approx(2.5 + 5, abs=1e-9), old


def test_caps_and_grouping_follow_the_version_in_force() -> None:
    capped = one_rule(10, max=15) | {"version": 2}
    grouped = one_rule(10, group="g") | {"version": 2, "groups": {"g": {"max": 12}}}
    for new, expected in ((capped, 15), (grouped, 12)):
        shard = ShardOfOne(one_rule(10), new)
        shard.apply(1, visit("e1", 0), visit("e2", 0))
        assert (shard.line(1, 1).score, shard.line(2, 1).score) == (20, expected)


def test_a_limit_follows_the_version_in_force() -> None:
    shard = ShardOfOne(one_rule(10), one_rule(10, limit={"times": 1, "per": "day"}) | {"version": 2})
    shard.apply(1, visit("e1", 0), visit("e2", 0.5))
    assert shard.line(2, 1).score == 10


def test_a_rule_that_no_longer_exists_contributes_nothing() -> None:
    shard = ShardOfOne(one_rule(10), model_of({"click": rule(5, "click")}, version=2))
    shard.apply(1, visit("e1", 0))
    assert shard.line(2, 1).score == 0
    shard.apply(2, act("click", "e2", 1))
    assert shard.line(2, 1).score == 5


def test_a_rule_that_comes_back_contributes_again() -> None:
    versions = one_rule(10), model_of({"click": rule(5, "click")}, version=2), one_rule(10) | {"version": 3}
    shard = ShardOfOne(*versions)
    shard.apply(1, visit("e1", 0))
    shard.apply(2, act("click", "e2", 1))
    assert shard.line(3, 1).score == 10


def test_points_of_an_attribute_are_kept_too_and_let_the_lead_enter() -> None:
    """The new version would give too few for any lead to enter."""
    old = one_rule(20) | {"fit": {"attributes": {"role": [{"in": ["ceo"], "points": 40}]}}, "thresholds": MQL}
    new = old | {"version": 2, "fit": {"attributes": {"role": [{"in": ["ceo"], "points": 4}]}}}
    shard = ShardOfOne(old, new)
    shard.apply(1, act("profile.updated", "p1", attributes={"role": "ceo"}))
    (enter,) = shard.apply(2, visit("e1", 1))
    assert (enter.cause.value, enter.score, enter.fit) == ("EVENT", 60, 40)


def test_a_removed_attribute_is_missing_under_a_new_version_too() -> None:
    old, new = (
        one_rule(20) | {"fit": {"attributes": {"role": [{"exists": False, "points": points}]}}} for points in (7, 9)
    )
    shard = ShardOfOne(old, new | {"version": 2})
    shard.apply(1, visit("e1", attributes={"role": "ceo"}), visit("e2", 1, attributes={"role": None}))
    assert [shard.line(version, 2).fit for version in (1, 2)] == [7, 9]


def test_once_per_and_bursts_follow_the_version_in_force() -> None:
    burst = one_rule(10, exclude_burst={"at_least": 2, "within": "2s"}) | {"version": 2}
    once = one_rule(10, once_per="asset") | {"version": 2}
    for new, expected in ((burst, 0), (once, 10)):
        shard = ShardOfOne(one_rule(10), new)
        shard.apply(1, visit("e1", 0), visit("e2", 0, 1_000))
        assert shard.line(2, 1).score == expected
        shard = ShardOfOne(new | {"version": 1}, one_rule(10) | {"version": 2})
        shard.apply(1, visit("e1", 0), visit("e2", 0, 1_000))
        assert shard.line(2, 1).score == 20


# --- what fell out of the recent events ------------------------------------------------------------------------------

TEN: Plain = model_of({"visit": rule(10), "click": rule(0, "click")}, score={"ceiling": 100_000})


def with_rule(**parts: Any) -> Plain:
    return TEN | {"rules": {"visit": rule(10, **parts), "click": rule(0, "click")}}


def test_what_fell_out_ages_in_days_from_the_version_that_counts_it_so() -> None:
    limit = {"times": 2, "per": "forever"}
    shard = ShardOfOne(with_rule(limit=limit), with_rule(limit=limit, decay={"expire": "9d"}) | {"version": 2})
    shard.apply(1, visit("e1", 0), visit("e2", 0), *clicks(RECENT, 1))
    shard.apply(2, act("click", "c1", 3))
    assert [shard.line(2, day).engagement for day in (10.9, 11)] == [20, 0]
    shard.apply(2, visit("e3", 30))
    assert shard.line(2, 30).engagement == 0


def test_what_fell_out_keeps_what_its_days_left_of_it_under_a_version_with_half_lives() -> None:
    shard = ShardOfOne(
        with_rule(decay={"linear": "10d"}), with_rule(decay={"half_life": "2d"}) | {"version": 2}, TEN | {"version": 3}
    )
    shard.apply(1, visit("e1", 0), *clicks(RECENT, 5))
    assert shard.line(2, 7).engagement == pytest.approx(5 * 2 ** (-(2 - 63 / 1440) / 2), abs=1e-9)
    assert shard.line(3, 7).engagement == 5


def test_points_of_what_fell_out_stay_when_a_version_limits_the_rule() -> None:
    shard = ShardOfOne(TEN, with_rule(limit={"times": 1, "per": "day"}) | {"version": 2})
    shard.apply(1, visit("e1", 0), *clicks(RECENT, 1))
    shard.apply(2, visit("e2", 3), visit("e3", 3))
    assert shard.line(2, 3).engagement == 20


# --- thresholds -----------------------------------------------------------------------------------------------------


def test_a_threshold_that_a_version_no_longer_has_is_left_without_a_crossing() -> None:
    rules = {"visit": rule(60)}
    with_it, without = model_of(rules, thresholds=MQL), model_of(rules, version=2)
    shard = ShardOfOne(with_it, without, with_it | {"version": 3})
    shard.apply(1, visit("e1", 0))
    assert shard.apply(2, visit("e2", 1)) == []
    assert shard.state().thresholds == []
    assert [one.direction.value for one in shard.apply(3, visit("e3", 2))] == ["ENTER"]


def test_a_version_takes_no_lead_out_before_it_came_in_force() -> None:
    rules, levels = {"visit": rule(60)}, {"mql": {"enter": 80, "exit": 70}}
    old, new = model_of(rules, thresholds=MQL), model_of(rules, thresholds=levels, version=2)

    def in_by_the_old_version() -> ShardOfOne:
        shard = ShardOfOne(old, new)
        shard.apply(1, visit("e1", 0))
        shard.follow(2, 5)
        return shard

    for left in (
        in_by_the_old_version().tick(5),
        in_by_the_old_version().tick(9),
        in_by_the_old_version().apply(2, visit("e2", 9))[:1],
    ):
        assert [(one.cause.value, one.occurred_at_ms, one.exit_level) for one in left] == [("TIME", at(5), 70)]


def test_a_tick_from_before_a_version_came_in_force_is_not_asked_for_again() -> None:
    """A worker that catches up, or whose clock is slow, writes ticks of earlier times: they change nothing."""
    rules, levels = {"visit": rule(60)}, {"mql": {"enter": 80, "exit": 70}}
    shard = ShardOfOne(model_of(rules, thresholds=MQL), model_of(rules, thresholds=levels, version=2))
    shard.apply(1, visit("e1", 0))
    shard.follow(2, 5)
    assert shard.tick(4) == []
    assert shard.state().due_ms == at(5)


# --- the file rearranged ---------------------------------------------------------------------------------------------

ONE: Plain = rule(10, limit={"times": 1, "per": "week"}, decay={"half_life": "9d"}, group="g")
TWO: Plain = rule(7, "paper", once_per="asset", decay={"linear": "90d"})
THREE: Plain = rule(4, "click", exclude_burst={"at_least": 2, "within": "2s"})
FOUR: Plain = rule(-3, "stop")
BEFORE: Plain = model_of(
    {"one": ONE, "two": TWO, "three": THREE, "four": FOUR},
    groups={"g": {"max": 30}, "h": {}},
    thresholds={"hot": {"enter": 30, "exit": 12}, "mql": {"enter": 20, "exit": 10}},
    fit={"attributes": {"role": [{"in": ["ceo"], "points": 5}], "size": [{"at_least": 10, "points": 1}]}},
    conditions={
        "busy": {"when": {"count": {"rules": ["three"], "at_least": 2, "within": "30d"}}, "points": 6},
        "silent": {"when": {"quiet": {"rules": ["two"], "within": "9d"}}, "points": -2},
    },
)
STORY: list[Plain] = [
    profile("p1", 0, role="ceo", size=20),
    visit("e1", 0),
    visit("e2", 0.5),
    act("paper", "e3", 1, asset="a"),
    *clicks(RECENT, 2),
    act("stop", "e4", 3),
    visit("e5", 4),
]
SEQUEL: list[Plain] = [visit("e6", 5), act("paper", "e7", 6, asset="a"), act("click", "e8", 6), act("stop", "e9", 7)]


def reordered(model: Plain) -> Plain:
    parts = {name: dict(reversed(model[name].items())) for name in ("rules", "groups", "thresholds", "conditions")}
    fit = {"attributes": dict(reversed(model["fit"]["attributes"].items()))}
    return model | parts | {"fit": fit, "version": 2}


def after_the_sequel(new: Plain) -> tuple[ShardOfOne, LeadScore]:
    shard = ShardOfOne(BEFORE, new)
    shard.apply(1, *STORY)
    shard.apply(2, *SEQUEL)
    return shard, shard.line(2, 9)


def parts_of(told: LeadScore) -> dict[str, tuple[float, float, int, int | None]]:
    parts = told.explanation.parts
    return {part.name: (round(part.points, 9), part.awarded, part.count, part.latest_event_ms) for part in parts}


def test_reordering_the_model_file_changes_nothing() -> None:
    same_shard, same = after_the_sequel(BEFORE | {"version": 2})
    shard, told = after_the_sequel(reordered(BEFORE))
    assert shard.lead_write().state == same_shard.lead_write().state
    assert (told.score, told.thresholds, parts_of(told)) == (same.score, same.thresholds, parts_of(same))


def test_a_version_that_changes_nothing_changes_nothing() -> None:
    shard = ShardOfOne(BEFORE)
    shard.apply(1, *STORY, *SEQUEL)
    assert parts_of(after_the_sequel(BEFORE | {"version": 2})[1]) == parts_of(shard.line(1, 9))


def test_adding_a_rule_changes_nothing_of_the_others() -> None:
    _, same = after_the_sequel(BEFORE | {"version": 2})
    more = BEFORE | {"version": 2, "rules": {"new": rule(1, "stop"), **BEFORE["rules"]}}
    _, told = after_the_sequel(more)
    assert parts_of(told).pop("new") == (1, 1, 1, at(7))
    assert {name: part for name, part in parts_of(told).items() if name != "new"} == parts_of(same)


def test_removing_a_rule_changes_nothing_of_the_others() -> None:
    shard = ShardOfOne(
        BEFORE, BEFORE | {"version": 2, "rules": {k: BEFORE["rules"][k] for k in ("three", "two", "one")}}
    )
    shard.apply(1, *STORY)
    before = parts_of(shard.line(1, 9))
    assert before.pop("four") == (-3, -3, 1, at(3))
    assert parts_of(shard.line(2, 9)) == before
