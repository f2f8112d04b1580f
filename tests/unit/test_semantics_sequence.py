"""Design 1.7: the numbers of a lead's crossings of one threshold."""

from leadscore.scoring.crossing import Crossing
from tests.unit.semantics import ShardOfOne, act, command, mql, rule, run, stop, visit

UP_AND_DOWN = mql({"visit": rule(60), "stop": rule(-60, "stop")})


def sequences(crossings: list[Crossing]) -> list[tuple[str, str, int | None]]:
    return [(one.threshold, one.direction.value, one.sequence) for one in crossings]


def test_the_crossings_of_a_lead_and_threshold_are_numbered() -> None:
    events = [visit("e1", 0), stop("e2", 1), visit("e3", 2), stop("e4", 3), visit("e5", 4)]
    ways = ["ENTER", "LEAVE"] * 3
    assert sequences(run(UP_AND_DOWN, 9, *events).crossings) == [("mql", ways[n - 1], n) for n in range(1, 6)]


def test_each_threshold_has_its_own_numbers() -> None:
    model = UP_AND_DOWN | {"thresholds": {"mql": {"enter": 50, "exit": 30}, "hot": {"enter": 70, "exit": 65}}}
    events = visit("e1", 0), visit("e2", 1), stop("e3", 2), visit("e4", 3)
    assert sequences(run(model, 9, *events).crossings) == [
        ("mql", "ENTER", 1),
        ("hot", "ENTER", 1),
        ("hot", "LEAVE", 2),
        ("hot", "ENTER", 3),
    ]


def test_a_leave_by_time_and_a_disqualification_are_numbered_too() -> None:
    model = mql({"visit": rule(60, decay={"expire": "3d"}), "stop": rule(0, "stop", disqualifies="complained")})
    events = visit("e1", 0), visit("e2", 10), stop("e3", 11)
    made = [(one.cause.value, one.sequence) for one in run(model, 20, *events).crossings]
    assert made == [("EVENT", 1), ("TIME", 2), ("EVENT", 3), ("DISQUALIFIED", 4)]


def test_a_hold_that_ends_takes_no_number() -> None:
    rules = {"ask": rule(10, "ask", qualifies="mql"), "visit": rule(60), "stop": rule(-60, "stop")}
    events = act("ask", "e1", 0), visit("e2", 1), stop("e3", 2)
    made = [(one.cause.value, one.sequence) for one in run(mql(rules), 3, *events).crossings]
    assert made == [("INSTANT", 1), ("EVENT", 2)]


def test_a_new_model_version_goes_on_with_the_numbers() -> None:
    shard = ShardOfOne(UP_AND_DOWN, UP_AND_DOWN | {"version": 2})
    made = shard.apply(1, visit("e1", 0), stop("e2", 1)) + shard.apply(2, visit("e3", 2))
    assert [one.sequence for one in made] == [1, 2, 3]


def test_a_threshold_that_comes_back_into_the_model_begins_at_one() -> None:
    shard = ShardOfOne(mql(), mql() | {"version": 2, "thresholds": {}}, mql() | {"version": 3})
    shard.apply(1, visit("e1", 0), stop("e2", 1))
    shard.apply(2, visit("e3", 2))
    assert [one.sequence for one in shard.apply(3, visit("e4", 3))] == [1]


def test_a_lead_that_was_erased_or_forgotten_begins_at_one() -> None:
    erased = run(mql(), 9, visit("e1", 0), command("erase", "c1", 1), visit("e2", 2)).crossings
    assert [one.sequence for one in erased] == [1, 1]
    model = mql({"visit": rule(60, decay={"half_life": "1d"})}) | {"forget_after": "30d"}
    forgotten = run(model, 70, visit("e1", 0), visit("e2", 60)).crossings
    assert [(one.direction.value, one.sequence) for one in forgotten[:3]] == [("ENTER", 1), ("LEAVE", 2), ("ENTER", 1)]
