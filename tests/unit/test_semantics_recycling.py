"""Design 1.3 and 1.7, ``recycles``: sales gives a lead back, and it does not enter again for a time."""

from leadscore.scoring.context import FoldSettings
from tests.histories import END_MS, in_order_of_arrival
from tests.oracle import DAY_MS, Entry, Limits, Plain
from tests.oracle import run as run_oracle
from tests.simulated import simulated_from_bytes
from tests.unit.semantics import ShardOfOne, act, clicks, command, crossings, id_before, mql, rule, run, score, visit

MS = 1 / DAY_MS
ENTERED = ("ENTER", "EVENT", 0)
RECYCLED = ("LEAVE", "RECYCLED", 1)


def given_back(span: str = "10d", **parts: object) -> Plain:
    """A visit is 60 points, a rejection none; ``parts`` are those of the rule ``rejected``."""
    rejected = rule(0, "rejected", recycles={"threshold": "mql", "for": span}, **parts)
    return {"visit": rule(60), "call": rule(1, "call", qualifies="mql"), "rejected": rejected}


def rejection(event_id: str = "r1", day: float = 1, plus_ms: int = 0, **fields: object) -> Plain:
    return act("rejected", event_id, day, plus_ms, **fields)


# --- leaving --------------------------------------------------------------------------------------------------------


def test_the_event_takes_the_lead_out_whatever_the_score() -> None:
    assert crossings(mql(given_back()), 2, visit("e1"), rejection()) == [ENTERED, RECYCLED]
    assert score(mql(given_back()), 2, visit("e1"), rejection()) == 60


def test_a_held_lead_leaves_too() -> None:
    made = crossings(mql(given_back()), 2, act("call", "c1"), rejection())
    assert made == [("ENTER", "INSTANT", 0), RECYCLED]


def test_the_lead_stays_in_other_thresholds() -> None:
    model = mql(given_back())
    model["thresholds"]["hot"] = {"enter": 55, "exit": 40}
    assert crossings(model, 2, visit("e1"), rejection()) == [ENTERED, ENTERED, RECYCLED]


def test_a_list_of_thresholds_is_left_highest_first_and_none_of_them_is_entered_before_its_time() -> None:
    rules = given_back()
    rules["rejected"]["recycles"]["threshold"] = ["mql", "hot"]
    model = mql(rules)
    model["thresholds"]["hot"] = {"enter": 55, "exit": 40}
    events = visit("e1"), rejection(), visit("e2", 11 - MS)
    made = [(one.threshold, one.direction.value) for one in run(model, 12, *events).crossings]
    assert made == [("mql", "ENTER"), ("hot", "ENTER"), ("hot", "LEAVE"), ("mql", "LEAVE")]
    assert len(crossings(model, 12, *events, visit("e3", 11))) == 6


def test_disqualification_comes_first_and_recycling_before_the_score() -> None:
    model = mql(given_back(disqualifies="spam"))
    assert crossings(model, 2, visit("e1"), rejection()) == [ENTERED, ("LEAVE", "DISQUALIFIED", 1)]
    rules = given_back()
    rules["rejected"]["points"] = -60
    assert crossings(mql(rules), 2, visit("e1"), rejection()) == [ENTERED, RECYCLED]


def test_one_record_that_recycles_and_qualifies_lets_the_lead_in_again() -> None:
    """Leaves come before enters."""
    model = mql(given_back() | {"again": rule(0, "rejected", qualifies="mql")})
    assert crossings(model, 2, visit("e1"), rejection()) == [ENTERED, RECYCLED, ("ENTER", "INSTANT", 1)]


def test_a_late_event_takes_the_lead_out_at_its_latest_time() -> None:
    assert crossings(mql(given_back()), 4, visit("e1"), visit("e2", 3), rejection()) == [
        ENTERED,
        ("LEAVE", "RECYCLED", 3),
    ]


# --- entering again -------------------------------------------------------------------------------------------------


def test_until_the_time_is_over_only_a_record_that_qualifies_enters() -> None:
    before = visit("e1"), rejection()
    assert crossings(mql(given_back()), 12, *before, visit("e2", 11 - MS)) == [ENTERED, RECYCLED]
    assert crossings(mql(given_back()), 12, *before, visit("e2", 11)) == [ENTERED, RECYCLED, ("ENTER", "EVENT", 11)]
    made = crossings(mql(given_back()), 12, *before, act("call", "c1", 2))
    assert made == [ENTERED, RECYCLED, ("ENTER", "INSTANT", 2)]


def test_a_lead_that_was_never_in_does_not_enter_either() -> None:
    assert crossings(mql(given_back()), 12, rejection(), visit("e1", 2)) == []
    assert crossings(mql(given_back()), 12, rejection(), visit("e1", 11)) == [("ENTER", "EVENT", 11)]


def test_the_time_begins_when_the_event_occurred_not_when_it_came() -> None:
    late = visit("e1"), visit("e2", 5), rejection()
    assert crossings(mql(given_back()), 12, *late, visit("e3", 11))[2:] == [("ENTER", "EVENT", 11)]


def test_the_end_of_the_time_alone_lets_no_lead_in() -> None:
    assert crossings(mql(given_back()), 30, visit("e1"), rejection()) == [ENTERED, RECYCLED]


def test_the_latest_of_such_events_counts_although_its_time_is_the_shorter() -> None:
    """In any order of arrival; of two at one instant the one with the later hash."""
    lost = rule(0, "lost", recycles={"threshold": "mql", "for": "2d"})
    model = mql(given_back() | {"lost": lost})
    for events in ([rejection(), act("lost", "l1", 2)], [act("lost", "l1", 2), rejection()]):
        assert crossings(model, 20, *events, visit("e1", 4 - MS)) == []
        assert crossings(model, 20, *events, visit("e1", 4)) == [("ENTER", "EVENT", 4)]
    same = act("lost", id_before(rejection(), "lost"), 1)
    assert crossings(model, 20, same, rejection(), visit("e1", 11 - MS)) == []
    last = rejection(id_before(act("lost", "l1", 1), "rejected"))
    assert crossings(model, 20, last, act("lost", "l1", 1), visit("e1", 3)) == [("ENTER", "EVENT", 3)]


def test_of_two_rules_of_one_event_the_longer_time_counts() -> None:
    other = rule(0, "rejected", recycles={"threshold": "mql", "for": "2d"})
    for rules in (given_back() | {"a": other}, {"a": other} | given_back()):
        assert crossings(mql(rules), 20, rejection(), visit("e1", 11 - MS)) == []


def test_cooldown_and_recycling_must_both_be_over() -> None:
    model = mql(given_back(), cooldown="15d")
    assert crossings(model, 20, visit("e1"), rejection(), visit("e2", 12)) == [ENTERED, RECYCLED]
    assert crossings(model, 20, visit("e1"), rejection(), visit("e2", 15))[2:] == [("ENTER", "EVENT", 15)]


# --- what counts ----------------------------------------------------------------------------------------------------


def test_only_an_event_that_counts_recycles() -> None:
    once = mql(given_back("5d", once_per="deal"))
    first, again = rejection(deal="d"), rejection("r2", 9, deal="d")
    made = crossings(once, 30, visit("e1"), first, visit("e2", 8), again)
    assert made == [ENTERED, RECYCLED, ("ENTER", "EVENT", 8)]
    limited = mql(given_back("5d", limit={"times": 1, "per": "month"}))
    assert crossings(limited, 30, visit("e1"), first, visit("e2", 8), again) == made


def test_a_burst_takes_back_what_it_has_recycled() -> None:
    model = mql(given_back(exclude_burst={"at_least": 2, "within": "2s"}))
    burst = rejection(), rejection("r2", 1, 1_000)
    made = crossings(model, 30, visit("e1"), *burst, visit("e2", 2))
    assert made == [ENTERED, RECYCLED, ("ENTER", "EVENT", 2)]
    assert crossings(model, 30, visit("e1"), burst[0], visit("e2", 2)) == [ENTERED, RECYCLED]


def test_a_late_event_that_displaces_the_one_that_counted_moves_the_time() -> None:
    model = mql(given_back("5d", limit={"times": 1, "per": "forever"}))
    before = visit("e1"), rejection("r2", 4), rejection("r1", 1)
    assert crossings(model, 30, *before, visit("e2", 6)) == [ENTERED, ("LEAVE", "RECYCLED", 4), ("ENTER", "EVENT", 6)]


def test_what_is_retracted_or_reset_recycles_no_longer() -> None:
    before = visit("e1"), rejection()
    for order in (command("retract", "c1", 2, target="r1"), command("reset", "c1", 2)):
        assert crossings(mql(given_back()), 30, *before, order, visit("e2", 3))[2:] == [("ENTER", "EVENT", 3)]
    reset = command("reset", "c1", 2), visit("e1", 3)
    assert crossings(mql(given_back()), 30, *reset, rejection()) == [("ENTER", "EVENT", 3)]


def test_a_suspended_lead_is_taken_out_all_the_same() -> None:
    assert crossings(mql(given_back()), 3, visit("e1"), command("suspend", "c1", 0.5), rejection()) == [
        ENTERED,
        RECYCLED,
    ]


def test_an_erased_lead_is_recycled_no_longer() -> None:
    erase = command("erase", "c1", 2)
    assert crossings(mql(given_back()), 3, rejection(), erase, visit("e1", 3)) == [("ENTER", "EVENT", 3)]


# --- beyond the recent events, and versions -------------------------------------------------------------------------


def test_what_has_fallen_out_of_the_recent_events_still_recycles() -> None:
    model = mql(given_back() | {"click": rule(0, "click")})
    assert fewest(model, visit("e1"), rejection(), *clicks(4, 2), visit("e2", 11 - MS)) == [ENTERED[:2], RECYCLED[:2]]
    assert fewest(model, visit("e1"), rejection(), *clicks(4, 2), visit("e2", 11))[2:] == [("ENTER", "EVENT")]


def test_a_reset_lifts_what_has_fallen_out_of_the_recent_events() -> None:
    model = mql(given_back() | {"click": rule(0, "click")})
    made = fewest(model, visit("e1"), rejection(), *clicks(4, 2), command("reset", "c1", 3), visit("e2", 4))
    assert made[2:] == [("ENTER", "EVENT")]


def fewest(model: Plain, *events: Plain) -> list[tuple[str, str]]:
    """Direction and cause of the crossings of a lead with two recent events; the oracle says the same."""
    log = in_order_of_arrival([Entry(one, one["occurred_at"]) for one in events])
    actual, _ = simulated_from_bytes(model, log, END_MS, FoldSettings(recent_events=2))
    expected = run_oracle(model, log, END_MS, Limits(2)).crossings
    made = [(one.direction.value, one.cause.value) for one in actual.crossings]
    assert made == [(one["direction"], one["cause"]) for one in expected]
    return [one for one in made if one != ("LEAVE", "TIME")]


def test_the_version_in_force_says_what_recycles_and_for_how_long() -> None:
    longer = mql(given_back("20d")) | {"version": 2}
    nothing = mql({"visit": rule(60), "rejected": rule(0, "rejected")}) | {"version": 3}
    shard = ShardOfOne(mql(given_back()), longer, nothing)
    assert [one.cause.value for one in shard.apply(1, visit("e1"), rejection())] == ["EVENT", "RECYCLED"]
    assert shard.apply(2, visit("e2", 15)) == []
    assert [one.cause.value for one in shard.apply(3, visit("e3", 16))] == ["EVENT"]


def test_a_lead_that_nothing_recycled_has_the_bytes_of_a_model_without_it() -> None:
    with_it, without = ShardOfOne(mql(given_back())), ShardOfOne(mql({"visit": rule(60)}))
    for shard in (with_it, without):
        shard.apply(1, visit("e1"), visit("e2", 1))
    assert with_it.lead_write().state == without.lead_write().state


def test_the_state_of_a_recycled_lead_is_no_larger_than_its_event() -> None:
    plain = {"visit": rule(60), "rejected": rule(0, "rejected")}
    recycled, other = ShardOfOne(mql(given_back())), ShardOfOne(mql(plain))
    for shard in (recycled, other):
        shard.apply(1, rejection())
    assert recycled.lead_write().state == other.lead_write().state
