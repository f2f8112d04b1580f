"""Design 1.3, ``outcome``: what sales says of a lead is counted once per enter, and remembered by its events."""

from leadscore.model.compiled import CompiledModel
from leadscore.scoring.outcomes import Outcome, latest_outcome
from leadscore.time_units import DAY_MS
from tests.histories import END_MS, in_order_of_arrival
from tests.oracle import Entry, Plain
from tests.oracle import run as run_oracle
from tests.simulated import simulated
from tests.unit.semantics import ShardOfOne, act, at, clicks, command, rule, visit

RULES: Plain = {
    "visit": rule(60),
    "click": rule(0, "click"),
    "accepted": rule(0, "accepted", outcome="accepted"),
    "no_budget": rule(0, "rejected", where={"reason": "budget"}, outcome="rejected"),
    "other_reason": rule(0, "rejected", outcome="rejected", recycles={"threshold": "mql", "for": "5d"}),
    "won": rule(30, "won", outcome="won"),
}
THRESHOLDS: Plain = {"mql": {"enter": 50, "exit": 30}, "hot": {"enter": 90, "exit": 70}}


def model(**changes: Plain) -> Plain:
    """60 points for a visit; sales accepts, rejects, with the reason in a field, and wins, for 30 points more."""
    return {"model": "m", "version": 7, "decay": "none", "rules": RULES | changes, "thresholds": THRESHOLDS}


def counted(model_of_test: Plain, *events: Plain) -> list[tuple[str, str, str]]:
    """Threshold, outcome and rule of each outcome counted; the oracle says the same."""
    log = in_order_of_arrival([Entry(one, one["occurred_at"]) for one in events])
    made = [(one.threshold, one.name, one.rule) for one in simulated(model_of_test, log, END_MS).outcomes]
    assert sorted(made) == sorted(run_oracle(model_of_test, log, END_MS).outcomes)
    return made


# --- what is counted ------------------------------------------------------------------------------------------------


def test_what_sales_says_of_an_enter_is_counted_by_threshold_outcome_and_rule() -> None:
    assert counted(model(), visit("e1"), act("accepted", "a1", 1)) == [("mql", "accepted", "accepted")]


def test_how_long_after_the_enter_it_was_said_is_counted_with_it() -> None:
    log = [Entry(one, one["occurred_at"]) for one in (visit("e1"), act("won", "w1", 3))]
    assert [one.after_ms for one in simulated(model(), log, END_MS).outcomes] == [3 * DAY_MS]
    log = [Entry(one, one["occurred_at"]) for one in (act("won", "w1", 3),)]
    assert [one.after_ms for one in simulated(model(), log, END_MS).outcomes] == [None]


def test_the_version_in_force_is_counted_with_it() -> None:
    log = [Entry(one, one["occurred_at"]) for one in (visit("e1"), act("won", "w1", 1))]
    assert [one.model_version for one in simulated(model(), log, END_MS).outcomes] == [7]


def test_a_threshold_that_the_lead_has_left_has_its_outcome_too() -> None:
    left = act("rejected", "r1", 1)
    assert counted(model(), visit("e1"), left, act("won", "w1", 2)) == [
        ("mql", "rejected", "other_reason"),
        ("mql", "won", "won"),
    ]


def test_an_outcome_is_about_every_threshold_that_the_lead_has_entered() -> None:
    """But for a rule that recycles: it is about the thresholds that it takes the lead out of."""
    both = visit("e1"), visit("e2", 0.5)
    assert counted(model(), *both, act("won", "w1", 1)) == [("mql", "won", "won"), ("hot", "won", "won")]
    assert counted(model(), *both, act("rejected", "r1", 1)) == [("mql", "rejected", "other_reason")]


def test_an_event_is_no_outcome_of_the_enter_that_it_brings_about() -> None:
    """The deal won lifts the lead into ``hot``: nobody was told before."""
    assert counted(model(), visit("e1"), act("won", "w1", 1)) == [("mql", "won", "won")]


def test_of_a_lead_that_never_entered_an_outcome_has_no_threshold() -> None:
    """Sales found it by itself."""
    found_by_sales = act("won", "w1", 1), act("won", "w2", 2)
    assert counted(model(won=rule(0, "won", outcome="won")), *found_by_sales) == [("", "won", "won")]


def test_the_reason_is_the_first_rule_of_the_file_that_matches() -> None:
    assert counted(model(), visit("e1"), act("rejected", "r1", 1, reason="budget")) == [
        ("mql", "rejected", "no_budget")
    ]


def test_one_event_may_be_two_outcomes() -> None:
    rules = model(lost=rule(0, "rejected", outcome="lost"))
    assert counted(rules, visit("e1"), act("rejected", "r1", 1)) == [
        ("mql", "rejected", "other_reason"),
        ("mql", "lost", "lost"),
    ]


# --- once per enter -------------------------------------------------------------------------------------------------


def test_an_outcome_is_counted_once_per_enter() -> None:
    accepted = act("accepted", "a1", 1), act("accepted", "a2", 2)
    once = [("mql", "accepted", "accepted")]
    assert counted(model(), visit("e1"), *accepted) == once
    assert counted(model(), visit("e1"), act("accepted", "a1", 2), act("accepted", "a2", 1)) == once


def test_after_the_next_enter_it_is_counted_again() -> None:
    first = visit("e1"), act("rejected", "r1", 1)
    again = visit("e2", 7), act("rejected", "r2", 8)
    assert counted(model(visit=rule(60, limit={"times": 1, "per": "forever"})), *first, *again) == [
        ("mql", "rejected", "other_reason")
    ]
    assert counted(model(), *first, *again) == [("mql", "rejected", "other_reason")] * 2


def test_what_occurred_before_the_enter_says_nothing_of_it() -> None:
    assert counted(model(), visit("e1", 2), act("accepted", "a1", 1)) == []


def test_an_event_that_comes_twice_is_counted_once() -> None:
    assert counted(model(), visit("e1"), act("won", "w1", 1), act("won", "w1", 1)) == [("mql", "won", "won")]


def test_what_does_not_count_is_no_outcome() -> None:
    rules = model(won=rule(0, "won", outcome="won", exclude_burst={"at_least": 2, "within": "2s"}))
    assert counted(rules, visit("e1"), act("won", "w1", 1), act("won", "w2", 1, 1_000)) == [("mql", "won", "won")]
    assert counted(rules, visit("e1", 0), act("won", "w2", 1, 1_000), visit("e2", 2)) == [("mql", "won", "won")]
    limited = model(won=rule(0, "won", outcome="won", once_per="deal"))
    assert counted(limited, act("won", "w1", 0, deal="d"), visit("e1", 1), act("won", "w2", 2, deal="d")) == [
        ("", "won", "won")
    ]


def test_what_was_retracted_may_be_said_again() -> None:
    retract = command("retract", "c1", 2, target="a1")
    assert (
        counted(model(), visit("e1"), act("accepted", "a1", 1), retract, act("accepted", "a2", 3))
        == [("mql", "accepted", "accepted")] * 2
    )


# --- what is remembered ---------------------------------------------------------------------------------------------


def latest(*events: Plain, changed: Plain | None = None, recent_events: int = 64) -> Outcome | None:
    rules = model() if changed is None else changed
    shard = ShardOfOne(rules, recent_events=recent_events)
    shard.apply(7, *events)
    compiled: CompiledModel = shard.models[7]
    return latest_outcome(shard.state(), compiled)


def test_the_latest_outcome_is_remembered_with_its_rule_and_time() -> None:
    assert latest(visit("e1")) is None
    rejected = act("rejected", "r1", 1, reason="budget")
    assert latest(visit("e1"), rejected) == Outcome("rejected", "no_budget", at(1))
    assert latest(visit("e1"), rejected, act("won", "w1", 3)) == Outcome("won", "won", at(3))
    assert latest(visit("e1"), act("won", "w1", 3), rejected) == Outcome("won", "won", at(3))


def test_a_retraction_or_a_reset_takes_the_outcome_back() -> None:
    before = visit("e1"), act("won", "w1", 1)
    for order in (command("retract", "c1", 2, target="w1"), command("reset", "c1", 2)):
        assert latest(*before, order) is None


def test_an_outcome_that_is_no_longer_among_the_recent_events_is_remembered_and_not_counted_again() -> None:
    rejected, again = act("rejected", "r1", 1), act("rejected", "r2", 3)
    assert latest(visit("e1"), rejected, *clicks(4, 2), recent_events=2) == Outcome("rejected", "other_reason", at(1))
    shard = ShardOfOne(model(), recent_events=2)
    shard.apply(7, visit("e1"), rejected, *clicks(4, 2), again)
    assert len(shard.counts().outcomes) == 1


def test_a_lead_without_an_outcome_has_the_bytes_of_a_model_without_outcomes() -> None:
    plain = {name: {key: value for key, value in one.items() if key != "outcome"} for name, one in RULES.items()}
    with_them, without = ShardOfOne(model()), ShardOfOne(model() | {"rules": plain})
    for shard in (with_them, without):
        shard.apply(7, visit("e1"), visit("e2", 1))
    assert with_them.lead_write().state == without.lead_write().state
