"""What the fold spares itself changes nothing: the same histories with every shortcut taken away.

Shortcuts: no evaluation where a bound says that nothing can cross; the instant to look at a lead again is bounded, not
searched for; a search begins where the lead may no longer be in for sure; the score that a record finds is evaluated
after it, if at all; the latest event of a rule with a selection is added without counting the others again; an instant
is closed in on by slope. Long histories of few leads show what short ones do not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from leadscore.model.compile import compile_model
from leadscore.model.definition import ModelDefinition
from leadscore.model.load import load_model
from leadscore.scoring import course, fold, thresholds, timeline, totals
from leadscore.scoring.before import before_anything
from leadscore.scoring.conditions import Outlook
from leadscore.scoring.crossing import Crossing
from leadscore.scoring.simulation import Simulation
from tests import histories, random_models
from tests.histories import END_MS
from tests.of_the_source import OF_THE_SOURCE
from tests.oracle import DAY_MS, Entry, Plain
from tests.random_models import ALL
from tests.simulated import simulated
from tests.stays import RULES
from tests.stays import run as run_of_stays
from tests.unit.semantics import act, crossings, model_of, rule, score, visit

pytestmark = OF_THE_SOURCE

STARTER = Path(__file__).parents[2] / "deploy" / "model.yaml"
START_MS = 1_767_225_600_000
EXACT_POINTS = 1e-9


@contextmanager
def no_shortcuts() -> Iterator[None]:
    """The fold at its most laborious."""

    def searched(*asked: object) -> int | None:
        leave = timeline.next_leave(*asked)  # type: ignore[arg-type]
        return None if leave is None else leave.at_ms

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fold, "may_cross", lambda *_: True)
        patched.setattr(fold, "_only_raises", lambda *_: False)
        patched.setattr(thresholds, "no_leave_before", searched)
        patched.setattr(timeline, "sure_until", lambda *_: None)
        patched.setattr(fold, "before_event", lambda state, model, at_ms: before_anything(Outlook(state, model), at_ms))
        patched.setattr(totals, "counts_last", lambda *_: None)
        patched.setattr(course.Course, "only_falls", lambda *_: False)
        yield


@given(random_models.models(ALL), histories.logs(ALL))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@pytest.mark.timeout(3_600)
def test_random_histories_are_the_same_without_shortcuts(model: Plain, log: list[Entry]) -> None:
    with no_shortcuts():
        expected = simulated(model, log, END_MS)
    assert_same(simulated(model, log, END_MS), expected)


@pytest.mark.parametrize("seed", range(4))
def test_a_long_history_of_few_leads_is_the_same_without_shortcuts(seed: int) -> None:
    model: Plain = msgspec.to_builtins(load_model(STARTER).definition)
    log = [Entry(event, event["occurred_at"]) for event in dense_events(Random(seed), 500)]
    end_ms = START_MS + 120 * DAY_MS
    with no_shortcuts():
        expected = simulated(model, log, end_ms)
    assert len(expected.crossings) > 10
    assert_same(simulated(model, log, end_ms), expected)


@pytest.mark.parametrize("seed", range(2))
def test_penalties_and_late_events_are_the_same_without_shortcuts(seed: int) -> None:
    with no_shortcuts():
        expected = run_of_stays(RULES, {}, Random(seed))
    assert len(expected.crossings) > 10
    assert_same(run_of_stays(RULES, {}, Random(seed)), expected)


def test_a_penalty_that_has_decayed_keeps_no_lead_out() -> None:
    rules = {"view": rule(40, "view", decay="none"), "gone": rule(-30, "gone", decay={"half_life": "1d"})}
    model = model_of(rules, thresholds={"mql": {"enter": 65, "exit": 35}})
    first, penalty, second = act("view", "e1"), act("gone", "e2", 1), act("view", "e3", 20)
    assert crossings(model, 21, first, penalty, second)[0][:2] == ("ENTER", "EVENT")
    assert not crossings(model, 21, first, act("gone", "e2", 20), second)


def dense_events(random: Random, number: int) -> Iterator[Plain]:
    """Four leads, every few hours an event, now and then a late one; clicks often come in bursts, or nearly."""
    for index in range(number):
        at_ms = START_MS + index * DAY_MS // 8
        event: Plain = {
            "type": random.choice(list(TYPES)),
            "event_id": f"e{index}",
            "lead_id": f"L{random.randrange(4)}",
            "occurred_at": at_ms - (random.randrange(30 * DAY_MS) if random.random() < 0.1 else 0),
        }
        event |= {name: random.choice(values) for name, values in TYPES[event["type"]].items()}
        yield event
        if event["type"] == "email.click" and random.random() < 0.5:
            for more in range(random.randrange(2, 7)):
                step_ms = random.choice((0, 400, 500, 501))
                yield event | {"event_id": f"e{index}-{more}", "occurred_at": event["occurred_at"] + more * step_ms}


def test_points_of_a_condition_are_in_reach_once_the_lead_has_had_what_it_counts() -> None:
    def count(name: str) -> Plain:
        return {"count": {"rules": [name], "at_least": 1, "within": "30d"}}

    rules = {name: rule(10, name) for name in ("visit", "click", "call", "other")}
    either = {"any": [count("click"), count("call")]}
    conditions = {
        "both": {"when": {"all": [count("visit"), either]}, "points": 40},
        "quiet": {"when": {"quiet": {"rules": ["other"], "within": "7d"}}, "points": 1},
    }
    model = model_of(rules, conditions=conditions, thresholds={"mql": {"enter": 50, "exit": 30}})
    compiled = compile_model(msgspec.convert(model, ModelDefinition))
    assert compiled.condition_upper_bounds == (41.0,)
    [earned] = compiled.earned_points
    assert (earned.points, len(earned.needed)) == (40.0, 2)
    assert [direction for direction, *_ in crossings(model, 1, act("click", "a"), act("visit", "b"))] == ["ENTER"]
    assert crossings(model, 1, act("other", "a"), act("visit", "b"), act("other", "c")) == []


def test_points_of_a_condition_that_may_hold_without_an_event_are_in_reach() -> None:
    clicked = {"count": {"rules": ["click"], "at_least": 1, "within": "30d"}}
    quiet = {"quiet": {"rules": ["click"], "within": "7d"}}
    rules = {"click": rule(10, "click"), "visit": rule(10)}
    for when in ({"any": [clicked, quiet]}, {"not": clicked}):
        conditions = {"either": {"when": when, "points": 40}}
        model = model_of(rules, conditions=conditions, thresholds={"mql": {"enter": 60, "exit": 30}})
        assert compile_model(msgspec.convert(model, ModelDefinition)).earned_points == ()
        assert [direction for direction, *_ in crossings(model, 11, visit("a"), visit("b", 10))] == ["ENTER"]


TYPES: dict[str, dict[str, list[object]]] = {
    "website.page_view": {"path": ["/", "/pricing", "/blog/a", "/careers", "/docs", "/product"]},
    "website.form_submitted": {"form": ["whitepaper", "contact"], "asset": ["wp-1", "wp-2"]},
    "website.contact_requested": {},
    "email.open": {"asset": ["m1", "m2", "m3"]},
    "email.click": {"asset": ["m1", "m2", "m3"]},
    "email.unsubscribe": {},
    "webinar.registered": {"asset": ["w1", "w2"]},
    "webinar.attended": {"asset": ["w1", "w2"], "minutes": [5, 30, 60]},
    "profile.updated": {"attributes": [{"role": "ceo"}, {"role": "student"}, {"company_size": 2000}, {"role": None}]},
}


def test_the_latest_event_ends_a_burst_of_events_that_are_no_longer_recent() -> None:
    rules = {"click": rule(10, "click", exclude_burst={"at_least": 3, "within": "2s"}), "visit": rule(1)}
    between = [visit(f"v{number}", 0, 200 + number) for number in range(70)]
    events = [act("click", "a"), act("click", "b", 0, 100), *between, act("click", "c", 0, 2_000)]
    with no_shortcuts():
        expected = score(model_of(rules), 1, *events)
    assert score(model_of(rules), 1, *events) == expected == 20 + 70


def test_a_limit_knows_what_counted_at_the_beginning_of_its_month() -> None:
    rules = {"visit": rule(10, limit={"times": 2, "per": "month"})}
    assert score(model_of(rules), 40, visit("a", 0), visit("b", 1), visit("c", 30)) == 20
    assert score(model_of(rules), 40, visit("a", 0), visit("b", 1), visit("c", 31)) == 30


def assert_same(actual: Simulation, expected: Simulation) -> None:
    assert [facts_of(crossing) for crossing in actual.crossings] == [
        facts_of(crossing) for crossing in expected.crossings
    ]
    for one, other in zip(actual.crossings, expected.crossings, strict=True):
        assert one.score == pytest.approx(other.score, abs=EXACT_POINTS)
        assert one.previous_score == pytest.approx(other.previous_score, abs=EXACT_POINTS)
    for here, there in zip(actual.scores, expected.scores, strict=True):
        assert (here.lead_id, here.thresholds, here.disqualified) == (
            there.lead_id,
            there.thresholds,
            there.disqualified,
        )
        assert here.score == pytest.approx(there.score, abs=EXACT_POINTS)
        expected_others = {name: one.score for name, one in there.others.items()}
        assert {name: one.score for name, one in here.others.items()} == pytest.approx(
            expected_others, abs=EXACT_POINTS
        )


def facts_of(crossing: Crossing) -> tuple[object, ...]:
    """What must be the same to the bit: who, what, why, and when, in the order decided."""
    return (crossing.id, crossing.direction, crossing.cause, crossing.occurred_at_ms, crossing.projected_exit_at_ms)
