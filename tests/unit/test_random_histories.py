"""The product against the oracle, on random models and random logs: ``--hypothesis-profile nightly`` for many more.

The oracle computes design 1.1-1.11 from lists of records; the product folds bounded state. They share no code.
"""

from itertools import accumulate

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadscore.scoring.context import FoldSettings
from leadscore.scoring.crossing import Crossing
from leadscore.scoring.explanation import Explanation
from leadscore.scoring.outcomes import CountedOutcome
from leadscore.scoring.simulation import LeadScore
from tests import histories, oracle, random_models
from tests.histories import END_MS
from tests.oracle import DAY_MS, Entry, Limits, Plain
from tests.random_models import ALL, CORE, ORDERLESS, ORDERLESS_PEOPLE, PEOPLE, SETTLED, VERSIONS, Features
from tests.simulated import scores_over_versions, simulated, simulated_from_bytes

pytestmark = pytest.mark.timeout(3_600)  # the nightly profile takes its time
slowly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

EXACT_POINTS = 1e-9
DATED_POINTS = 1e-6  # at an instant that was searched for
INSTANT_MS = 1_000


def cases(features: Features) -> st.SearchStrategy[tuple[Plain, list[Entry]]]:
    return st.tuples(random_models.models(features), histories.logs(features))


@given(cases(CORE))
@slowly
def test_core_models_agree_with_the_oracle(case: tuple[Plain, list[Entry]]) -> None:
    assert_agreement(*case)


@given(cases(ALL))
@slowly
def test_whole_models_agree_with_the_oracle(case: tuple[Plain, list[Entry]]) -> None:
    assert_agreement(*case)


@given(cases(PEOPLE))
@slowly
def test_people_with_several_ids_agree_with_the_oracle(case: tuple[Plain, list[Entry]]) -> None:
    assert_agreement(*case)


@given(cases(ORDERLESS_PEOPLE), st.data())
@slowly
def test_any_order_of_events_and_merges_gives_a_person_the_same_score(
    case: tuple[Plain, list[Entry]], data: st.DataObject
) -> None:
    """Which of the ids is the lead is a matter of order: the same lines, but for that and for the thresholds."""
    model, log = case
    shuffled = histories.in_order_of_arrival(data.draw(st.permutations(log)))
    expected = oracle.run(model, under_one_id(log), END_MS).scores
    actual = simulated(model, shuffled, END_MS).scores
    names = names_of_persons(log)
    renamed = [msgspec.structs.replace(score, lead_id=names[score.lead_id]) for score in actual]
    assert_same_scores(expected, sorted(renamed, key=lambda score: score.lead_id))


def names_of_persons(log: list[Entry]) -> dict[str, str]:
    """By id, the smallest of all ids that merges connect with it."""
    names = {one: one for entry in log for one in (entry.event["lead_id"], entry.event.get("into")) if one is not None}
    for entry in log:
        if entry.event["type"] == oracle.MERGE:
            joined = {names[entry.event["lead_id"]], names[entry.event["into"]]}
            names = {one: min(joined) if name in joined else name for one, name in names.items()}
    return names


def under_one_id(log: list[Entry]) -> list[Entry]:
    """The same log as if every person had one id only; a merge is one into itself."""
    names = names_of_persons(log)
    return [
        Entry(
            {name: names[value] if name in ("lead_id", "into") else value for name, value in entry.event.items()},
            entry.log_time_ms,
        )
        for entry in log
    ]


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


@given(cases(SETTLED), st.integers(1, 6))
@slowly
def test_leads_with_few_recent_events_agree_as_long_as_no_event_is_late(
    case: tuple[Plain, list[Entry]], recent_events: int
) -> None:
    model, log = with_one_reason(case[0]), case[1]
    expected = oracle.run(model, log, END_MS, Limits(recent_events))
    actual, recent = simulated_from_bytes(model, log, END_MS, FoldSettings(recent_events=recent_events))
    assert_same_crossings(expected.crossings, actual.crossings)
    assert_leaves_on_the_way_in_order(log, actual.crossings)
    assert_same_scores(expected.scores, actual.scores)
    assert_same_outcomes(expected.outcomes, actual.outcomes)
    assert_same_recent_events(expected.scores, recent)


def with_one_reason(model: Plain) -> Plain:
    """Of events that fell out at one instant the reasons are known, but not which was the later one."""
    rules = {
        name: one
        | ({"disqualifies": "no"} if "disqualifies" in one else {})
        | ({"recycles": one["recycles"] | {"for": "20d"}} if "recycles" in one else {})
        for name, one in model["rules"].items()
    }
    return model | {"rules": rules}


@given(random_models.models(VERSIONS), random_models.models(VERSIONS), histories.logs(VERSIONS), st.data())
@slowly
def test_scores_under_a_new_version_agree_with_the_oracle(
    old: Plain, new: Plain, log: list[Entry], data: st.DataObject
) -> None:
    """Some frames are matched under the old version after the new one came in force: a rolling deployment."""
    versions = [old | {"version": 1, "thresholds": {}}, new | {"version": 2, "thresholds": {}}]
    begins = data.draw(st.integers(0, len(log)))
    late = data.draw(st.sets(st.integers(begins, len(log)), max_size=3))
    steps = [(versions[place >= begins and place not in late], entry) for place, entry in enumerate(log)]
    expected = oracle.run_versions(steps, versions[0], END_MS)
    assert_same_scores(expected.scores, scores_over_versions(steps, versions[0], END_MS))


# --- what random histories once found, and what they seldom meet ----------------------------------------------------


def at(days: float) -> int:
    return histories.START_MS + round(days * DAY_MS)


def came(event_type: str, event_id: str, day: float, **fields: object) -> Entry:
    return Entry({"type": event_type, "event_id": event_id, "lead_id": "L1", "occurred_at": at(day), **fields}, at(day))


def visits(**parts: object) -> Plain:
    return {"model": "m", "version": 1, "rules": {"visit": {"event": "visit", "points": 15}}, **parts}


def test_an_erase_that_comes_twice_deletes_nothing_more() -> None:
    erase = came("command.erase", "c1", 1)
    again = Entry(erase.event, at(3))
    assert_agreement(visits(), [came("visit", "e1", 0), erase, came("visit", "e2", 2), again])


def test_an_adjustment_is_no_first_event_of_a_newcomer() -> None:
    quiet = {"when": {"quiet": {"rules": ["visit"], "within": "7d"}}, "points": 5, "disqualifies": "silent"}
    assert_agreement(visits(conditions={"quiet": quiet}), [came("command.adjust", "c1", 0, points=10)])


def test_of_two_leaves_at_one_instant_the_highest_exit_comes_first() -> None:
    thresholds = {"hot": {"enter": 12, "exit": 5}, "mql": {"enter": 10, "exit": 8}}
    assert_agreement(visits(decay={"expire": "3d"}, thresholds=thresholds), [came("visit", "e1", 0)])


def test_of_two_leaves_by_one_record_the_highest_exit_comes_first() -> None:
    thresholds = {"hot": {"enter": 12, "exit": 5}, "mql": {"enter": 10, "exit": 8}}
    assert_agreement(visits(thresholds=thresholds), [came("visit", "e1", 0), came("command.reset", "c1", 1)])


@pytest.mark.timeout(20)  # it once took for ever
def test_a_lead_that_never_leaves_is_seen_to_never_leave_at_once() -> None:
    rules = {
        "visit": {"event": "visit", "points": 10},
        "penalty": {"event": "visit", "points": -30, "decay": {"steps": {"3d": 0.0, "9d": 0.1}}},
    }
    once = {"when": {"not": {"count": {"rules": ["visit"], "at_least": 2, "within": "12h"}}}, "points": 25}
    thresholds = {"mql": {"enter": 20.25, "exit": 10.25}}
    assert_agreement(
        visits(conditions={"once": once}, thresholds=thresholds) | {"rules": rules}, [came("visit", "e", 0)]
    )


# --- agreement ----------------------------------------------------------------------------------------------------


def assert_agreement(model: Plain, log: list[Entry]) -> None:
    expected, actual = oracle.run(model, log, END_MS), simulated(model, log, END_MS)
    assert_same_crossings(expected.crossings, actual.crossings)
    assert_leaves_on_the_way_in_order(log, actual.crossings)
    assert_same_scores(expected.scores, actual.scores)
    assert_same_outcomes(expected.outcomes, actual.outcomes)
    from_bytes, recent = simulated_from_bytes(model, log, END_MS, FoldSettings())
    assert from_bytes == actual
    assert_same_recent_events(expected.scores, recent)


def assert_same_outcomes(expected: list[tuple[str, str, str]], actual: list[CountedOutcome]) -> None:
    """Which thresholds come first is open."""
    assert sorted(expected) == sorted((one.threshold, one.name, one.rule) for one in actual)


# --- crossings ----------------------------------------------------------------------------------------------------


def assert_same_crossings(expected: list[Plain], actual: list[Crossing]) -> None:
    assert [of_oracle(c) for c in in_comparable_order(expected)] == [
        of_product(c) for c in sorted(actual, key=lambda c: (c.decided_at_ms, c.lead_id, c.threshold))
    ]
    assert_same_numbers(expected, actual)
    assert_decided_in_order(expected, actual)


def in_comparable_order(crossings: list[Plain]) -> list[Plain]:
    """Per decision, lead and threshold: instants that were searched for may lie a second apart in the two."""
    return sorted(crossings, key=lambda c: (c["decided_at_ms"], c["lead_id"], c["threshold"]))


WORDS = (
    *(
        "id",
        "direction",
        "cause",
        "merged_with",
        "entered_id",
        "sequence",
        "lead_id",
        "threshold",
        "score_name",
        "decided_at_ms",
    ),
    *("model", "model_version"),
)
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


def assert_same_numbers(expected: list[Plain], actual: list[Crossing]) -> None:
    """Instants to a second, points to 1e-9, or to 1e-6 where the instant itself was searched for."""
    by_id = {(crossing.id, crossing.decided_at_ms): crossing for crossing in actual}
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


def assert_decided_in_order(expected: list[Plain], actual: list[Crossing]) -> None:
    """Records cross in the oracle's order; on the way to one log time a lead's earlier leave comes first (1.7, 1.11).

    Of several leads, see ``assert_leaves_on_the_way_in_order``.
    """
    assert [c.decided_at_ms for c in actual] == sorted(c.decided_at_ms for c in actual)
    assert [c.id for c in actual if c.trigger] == [c["id"] for c in expected if c["trigger"]]
    for decided_at_ms in {c.decided_at_ms for c in actual}:
        on_the_way = [c for c in actual if c.trigger is None and c.occurred_at_ms <= c.decided_at_ms == decided_at_ms]
        for lead_id in {c.lead_id for c in on_the_way}:
            keys = [(c.occurred_at_ms, -c.exit_level) for c in on_the_way if c.lead_id == lead_id]
            assert keys == sorted(keys)


def assert_leaves_on_the_way_in_order(log: list[Entry], actual: list[Crossing]) -> None:
    """Before each record, the earliest leave comes first.

    Where records share a log time, the crossings do not say which of them a leave came before.
    """
    times = list(accumulate((entry.log_time_ms for entry in log), max))
    for decided_at_ms in {c.decided_at_ms for c in actual if times.count(c.decided_at_ms) <= 1}:
        on_the_way = [c for c in actual if c.trigger is None and c.occurred_at_ms <= c.decided_at_ms == decided_at_ms]
        keys = [(c.occurred_at_ms, c.lead_id, -c.exit_level) for c in on_the_way]
        assert keys == sorted(keys)


# --- scores -------------------------------------------------------------------------------------------------------


def assert_same_scores(expected: list[Plain], actual: list[LeadScore]) -> None:
    assert [score.lead_id for score in actual] == [one["lead_id"] for one in expected]
    for one, other in zip(expected, actual, strict=True):
        for name in ("score", "engagement", "fit"):
            assert getattr(other, name) == pytest.approx(one[name], abs=EXACT_POINTS), name
        assert (other.grade, other.band) == (one["grade"], one["band"])
        assert other.disqualified == one["disqualified"]
        assert other.as_of_ms == one["as_of_ms"]
        assert_same_explanation(one, other.explanation)
        assert list(other.others) == list(one["scores"])
        for name, explanation in other.others.items():
            assert_same_explanation(one["scores"][name], explanation)


def assert_same_recent_events(expected: list[Plain], actual: dict[str, list[bytes]]) -> None:
    hashes = {one["lead_id"]: [oracle.digest_of(identity) for identity in one["recent_events"]] for one in expected}
    hashes_by_lead = {lead_id: actual.get(lead_id, []) for lead_id in hashes}
    assert hashes_by_lead == hashes


def assert_same_explanation(expected: Plain, told: Explanation) -> None:
    """The same numbers, the same points part by part, and they add up."""
    for name in ("score", "engagement", "fit"):
        assert getattr(told, name) == pytest.approx(expected[name], abs=EXACT_POINTS), name
    total = sum(part.points for part in told.parts) + sum(one.points for one in told.adjustments)
    assert total == pytest.approx(told.score, abs=EXACT_POINTS)
    for kind in ("rule", "condition", "attribute"):
        points = {part.name: part.points for part in told.parts if part.part == kind}
        for name, worth in expected["explanation"][f"{kind}s"].items():
            assert points.pop(name, 0.0) == pytest.approx(worth, abs=EXACT_POINTS), name
        assert list(points.values()) == pytest.approx([0.0] * len(points), abs=EXACT_POINTS)
