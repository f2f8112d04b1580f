"""The product against the oracle, on random models and random logs: ``--hypothesis-profile nightly`` for many more.

The oracle computes design 1.1-1.11 from lists of records; the product folds bounded state. They share no code.
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadscore.scoring.crossing import Crossing
from leadscore.scoring.simulation import LeadScore
from tests import histories, oracle
from tests.histories import ALL, CORE, END_MS, ORDERLESS, Features
from tests.oracle import Entry, Plain
from tests.simulated import simulated

pytestmark = pytest.mark.timeout(7_200)  # the nightly profile takes its time
slowly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

EXACT_POINTS = 1e-9
DATED_POINTS = 1e-6  # at an instant that was searched for
INSTANT_MS = 1_000


def cases(features: Features) -> st.SearchStrategy[tuple[Plain, list[Entry]]]:
    return st.tuples(histories.models(features), histories.logs(features))


@given(cases(CORE))
@slowly
def test_core_models_agree_with_the_oracle(case: tuple[Plain, list[Entry]]) -> None:
    assert_agreement(*case)


@given(cases(ALL))
@slowly
def test_whole_models_agree_with_the_oracle(case: tuple[Plain, list[Entry]]) -> None:
    assert_agreement(*case)


@given(cases(ORDERLESS), st.data())
@slowly
def test_any_order_of_arrival_gives_the_same_scores(case: tuple[Plain, list[Entry]], data: st.DataObject) -> None:
    model, log = case
    shuffled = histories.in_order_of_arrival(data.draw(st.permutations(log)))
    assert_same_scores(oracle.run(model, log, END_MS).scores, simulated(model, shuffled, END_MS).scores)


@given(cases(ORDERLESS), st.data())
@slowly
def test_each_event_twice_gives_the_same_scores(case: tuple[Plain, list[Entry]], data: st.DataObject) -> None:
    model, log = case
    again = [Entry(entry.event, data.draw(st.sampled_from([entry.log_time_ms, END_MS]))) for entry in log]
    twice = histories.in_order_of_arrival(sorted(log + again, key=lambda entry: entry.log_time_ms))
    assert_same_scores(oracle.run(model, log, END_MS).scores, simulated(model, twice, END_MS).scores)


def assert_agreement(model: Plain, log: list[Entry]) -> None:
    expected, found = oracle.run(model, log, END_MS), simulated(model, log, END_MS)
    assert [of_oracle(c) for c in in_comparable_order(expected.crossings)] == [
        of_product(c) for c in sorted(found.crossings, key=lambda c: (c.decided_at_ms, c.lead_id, c.threshold))
    ]
    assert_same_numbers(expected.crossings, found.crossings)
    assert_decided_in_order(found.crossings)
    assert_same_scores(expected.scores, found.scores)


# --- crossings ----------------------------------------------------------------------------------------------------


def in_comparable_order(crossings: list[Plain]) -> list[Plain]:
    """Per decision, lead and threshold: instants that were searched for may lie a second apart in the two."""
    return sorted(crossings, key=lambda c: (c["decided_at_ms"], c["lead_id"], c["threshold"]))


WORDS = ("id", "direction", "cause", "entered_id", "lead_id", "threshold", "decided_at_ms", "model", "model_version")
LEVELS = ("enter_level", "exit_level", "grade")


def of_oracle(crossing: Plain) -> Plain:
    """All of a crossing that must be exactly the same."""
    return {name: crossing[name] for name in (*WORDS, *LEVELS, "trigger")}


def of_product(crossing: Crossing) -> Plain:
    trigger = crossing.trigger
    words: Plain = {name: getattr(crossing, name) for name in (*WORDS, *LEVELS)}
    named = None
    if trigger is not None:
        named = {name: getattr(trigger, name) for name in ("topic", "event_id", "type", "campaign")}
    return words | {"trigger": named}


def assert_same_numbers(expected: list[Plain], found: list[Crossing]) -> None:
    """Instants to a second, points to 1e-9, or to 1e-6 where the instant itself was searched for."""
    by_id = {(crossing.id, crossing.decided_at_ms): crossing for crossing in found}
    for one in expected:
        other = by_id[one["id"], one["decided_at_ms"]]
        dated = one["trigger"] is None
        assert other.occurred_at_ms == pytest.approx(one["occurred_at_ms"], abs=INSTANT_MS if dated else 0)
        assert_same_instant(one["projected_exit_at_ms"], other.projected_exit_at_ms)
        points = DATED_POINTS if dated else EXACT_POINTS
        for name in ("score", "previous_score", "engagement", "fit"):
            assert getattr(other, name) == pytest.approx(one[name], abs=points), name
        reasons = [(reason.name, reason.points) for reason in other.reasons]
        assert [name for name, _ in reasons] == [reason["name"] for reason in one["reasons"]]
        assert [worth for _, worth in reasons] == pytest.approx([r["points"] for r in one["reasons"]], abs=points)
        assert other.stale == one["stale"] or dated


def assert_same_instant(expected_ms: int | None, found_ms: int | None) -> None:
    if expected_ms is None or found_ms is None:
        assert found_ms is expected_ms
    else:
        assert found_ms == pytest.approx(expected_ms, abs=INSTANT_MS)


def assert_decided_in_order(crossings: list[Crossing]) -> None:
    """Decisions never go back in time; of leaves by time at one decision the earlier instant comes first."""
    assert [c.decided_at_ms for c in crossings] == sorted(c.decided_at_ms for c in crossings)
    for decided_at_ms in {c.decided_at_ms for c in crossings}:
        on_the_way = [c for c in crossings if c.decided_at_ms == decided_at_ms and c.trigger is None]
        on_the_way = [c for c in on_the_way if c.occurred_at_ms <= decided_at_ms]
        keys = [(c.occurred_at_ms, c.lead_id, -c.exit_level) for c in on_the_way]
        assert keys == sorted(keys)


# --- scores -------------------------------------------------------------------------------------------------------


def assert_same_scores(expected: list[Plain], found: list[LeadScore]) -> None:
    assert [score.lead_id for score in found] == [one["lead_id"] for one in expected]
    for one, other in zip(expected, found, strict=True):
        for name in ("score", "engagement", "fit"):
            assert getattr(other, name) == pytest.approx(one[name], abs=EXACT_POINTS), name
        assert (other.grade, other.band) == (one["grade"], one["band"])
        assert other.disqualified in (one["reasons_against"] or [None])
        assert other.as_of_ms == one["as_of_ms"]
        assert_same_explanation(one, other)


def assert_same_explanation(expected: Plain, found: LeadScore) -> None:
    """The same points part by part, and they add up."""
    told = found.explanation
    total = sum(part.points for part in told.parts) + sum(one.points for one in told.adjustments)
    assert total == pytest.approx(found.score, abs=EXACT_POINTS)
    for kind in ("rule", "condition", "attribute"):
        points = {part.name: part.points for part in told.parts if part.part == kind}
        for name, worth in expected["explanation"][f"{kind}s"].items():
            assert points.pop(name, 0.0) == pytest.approx(worth, abs=EXACT_POINTS), name
        assert list(points.values()) == pytest.approx([0.0] * len(points), abs=EXACT_POINTS)
