"""Records that must take a lead over a threshold although a quick look at its points says that they cannot."""

from tests.oracle import Plain
from tests.unit.semantics import ShardOfOne, command, crossings, model_of, mql, profile, rule, score, visit

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
