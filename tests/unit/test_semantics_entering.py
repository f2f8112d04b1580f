"""Records that must take a lead over a threshold although a quick look at its points says that they cannot."""

from tests.oracle import Plain
from tests.unit.semantics import ShardOfOne, act, command, crossings, line, model_of, mql, profile, rule, score, visit

RECENT_ADJUSTS = 300


def with_role(version: int, points: float, **thresholds: Plain) -> Plain:
    fit = {"attributes": {"role": [{"in": ["ceo"], "points": points}]}}
    return model_of({"visit": rule(6)}, version=version, fit=fit, thresholds=thresholds)


def test_hundreds_of_different_adjusts_keep_their_points() -> None:
    """Each awards points of its own: more than a row can point to, but never more than there are recent events."""
    adjusts = [command("adjust", f"c{number}", 0, number, points=number / 100) for number in range(RECENT_ADJUSTS)]
    model = model_of({"visit": rule(10)}, score={"ceiling": 100_000})
    expected = sum(range(RECENT_ADJUSTS)) / 100
    assert abs(score(model, 1, *adjusts) - expected) < 1e-9
    assert abs(score(model, 1, *reversed(adjusts)) - expected) < 1e-9


def test_silence_begins_with_the_first_event_although_a_reset_came_before_it() -> None:
    quiet = {"silent": {"when": {"quiet": {"rules": ["mail"], "within": "30d"}}, "points": -10}}
    rules = {"visit": rule(55), "mail": rule(0, "mail")}
    model = model_of(rules, conditions=quiet, thresholds={"mql": {"enter": 50, "exit": 30}})
    before = command("adjust", "c1", 0, points=5), command("reset", "c2", 1)
    assert crossings(model, 41, *before, visit("e1", 40)) == [("ENTER", "EVENT", 40)]


def test_an_attribute_matched_under_an_older_version_enters_with_the_points_it_has_kept() -> None:
    threshold = {"enter": 30, "exit": 10}
    shard = ShardOfOne(with_role(1, 40, mql=threshold), with_role(2, 10, mql=threshold))
    shard.apply(2, visit("e1", 0))
    (entered,) = shard.apply(1, profile("e2", 1, role="ceo"))
    assert (entered.score, entered.model_version) == (46, 2)


def test_points_of_an_older_version_count_where_the_newer_one_was_first() -> None:
    threshold = {"enter": 30, "exit": 10}
    shard = ShardOfOne(with_role(1, 25, mql=threshold), with_role(2, 10, mql=threshold))
    shard.follow(2, 0)
    assert shard.apply(1, profile("e1", 1, role="ceo")) == []
    (entered,) = shard.apply(2, visit("e2", 2))
    assert entered.score == 31


def test_a_burst_that_takes_penalties_back_enters() -> None:
    """The rule was a penalty in the version before; the burst takes two of those back and leaves what it once gave."""
    burst: Plain = {"exclude_burst": {"at_least": 3, "within": "2s"}}
    old, new = mql({"visit": rule(-20, **burst)}), mql({"visit": rule(60, **burst)}) | {"version": 2}
    shard = ShardOfOne(old, new)
    (entered,) = shard.apply(2, visit("e1", 0))
    (left,) = shard.apply(1, visit("e2", 1), visit("e3", 1, 500))
    (again,) = shard.apply(2, visit("e4", 1, 900))
    assert [one.direction.value for one in (entered, left, again)] == ["ENTER", "LEAVE", "ENTER"]
    assert again.score == 60


# --- conditions that a threshold requires ---------------------------------------------------------------------------


def gated(when: Plain) -> Plain:
    model = mql({"visit": rule(60), "call": rule(1, "call", qualifies="mql"), "seen": rule(0, "seen")})
    model["thresholds"]["mql"]["require"] = {"conditions": ["gate"]}
    return model | {"conditions": {"gate": {"when": when}}}


KNOWN: Plain = {"attribute": {"name": "has_address", "in": [True]}}
SEEN: Plain = {"count": {"rules": ["seen"], "at_least": 1, "within": "2d"}}


def test_a_lead_enters_only_while_the_condition_that_the_threshold_requires_holds() -> None:
    assert crossings(gated(SEEN), 4, visit("e1", 0)) == []
    assert crossings(gated(SEEN), 4, act("seen", "s1", 0), visit("e1", 2)) == []
    assert crossings(gated(SEEN), 4, act("seen", "s1", 0), visit("e1", 1)) == [("ENTER", "EVENT", 1)]


def test_the_condition_is_read_as_the_record_leaves_it() -> None:
    named = visit("e2", 1) | {"attributes": {"has_address": True}}
    assert crossings(gated(KNOWN), 2, visit("e1", 0), named) == [("ENTER", "EVENT", 1)]
    nameless = visit("e2", 1) | {"attributes": {"has_address": None}}
    assert crossings(gated(KNOWN), 2, profile("p1", 0, has_address=True), nameless) == []


def test_a_record_that_only_makes_the_condition_true_has_not_raised_the_score() -> None:
    before = visit("e1", 0), profile("p1", 1, has_address=True)
    assert crossings(gated(KNOWN), 2, *before) == []
    assert crossings(gated(KNOWN), 2, *before, visit("e2", 2)) == [("ENTER", "EVENT", 2)]


def test_the_end_of_the_condition_takes_no_lead_out_and_what_qualifies_needs_none() -> None:
    assert crossings(gated(SEEN), 20, act("seen", "s1", 0), visit("e1", 1)) == [("ENTER", "EVENT", 1)]
    assert crossings(gated(KNOWN), 1, act("call", "c1", 0)) == [("ENTER", "INSTANT", 0)]


def test_the_explanation_lists_the_condition_while_it_holds() -> None:
    parts = {part.name: part.points for part in line(gated(SEEN), 1, act("seen", "s1", 0)).explanation.parts}
    assert parts["gate"] == 0
    assert "gate" not in {part.name for part in line(gated(SEEN), 3, act("seen", "s1", 0)).explanation.parts}
