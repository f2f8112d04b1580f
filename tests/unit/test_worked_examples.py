"""The worked examples of design 1.6, read from the page and computed by the product's ``simulate``."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.scoring.crossing import Cause, Direction
from leadscore.scoring.simulation import Simulation
from tests.design_page import WorkedExample, worked_examples
from tests.histories import START_MS, in_order_of_arrival
from tests.oracle import DAY_MS, Entry, Plain
from tests.simulated import simulated


def at(days: float) -> int:
    return START_MS + round(days * DAY_MS)


def model_of(rules: Plain, **parts: object) -> Plain:
    return {"model": "m", "version": 1, "rules": rules, **parts}


def rule(points: float, **parts: object) -> Plain:
    return {"event": "website.page_view", "points": points, **parts}


def view(event_id: str, day: float = 0) -> Plain:
    return {"type": "website.page_view", "event_id": event_id, "lead_id": "L1", "occurred_at": at(day)}


def read_at(model: Plain, day: float, *events: Plain) -> Simulation:
    log = in_order_of_arrival([Entry(event, event["occurred_at"]) for event in events])
    return simulated(model, log, at(day))


def score(model: Plain, day: float, *events: Plain) -> float:
    (only,) = read_at(model, day, *events).scores
    return only.score


HALF_LIFE, STEPS, LINEAR, GROUP, PLUS_AND_MINUS = worked_examples()
"""The rows of the table, in its order."""


def reads(example: WorkedExample) -> list[tuple[float, float]]:
    """Day and score of each reading."""
    return list(zip(example.days, example.scores, strict=True))


def test_the_table_has_the_cases_that_are_computed_here() -> None:
    decays = [
        "`half_life: 30d`",
        "`steps: {7d: 1.0, 14d: 0.75, 30d: 0.5}`",
        "`linear: 60d`",
        "`max: 20`",
        "`half_life: 7d`",
    ]
    assert [decay in row.case for decay, row in zip(decays, worked_examples(), strict=True)] == [True] * 5


@pytest.mark.parametrize(("day", "expected"), reads(HALF_LIFE))
def test_half_life_30_days(day: int, expected: float) -> None:
    points = score(model_of({"r": rule(10, decay={"half_life": "30d"})}), day, view("e1"))
    assert points == pytest.approx(expected, abs=5e-5)
    assert points == pytest.approx(10 * 2 ** (-day / 30), abs=1e-9)


@pytest.mark.parametrize(("day", "expected"), reads(STEPS))
def test_steps_change_after_their_last_day(day: int, expected: float) -> None:
    model = model_of({"r": rule(10, decay={"steps": {"7d": 1.0, "14d": 0.75, "30d": 0.5}})})
    assert score(model, day, view("e1")) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("day", "expected"), reads(LINEAR))
def test_linear_60_days(day: int, expected: float) -> None:
    assert score(model_of({"r": rule(10, decay={"linear": "60d"})}), day, view("e1")) == pytest.approx(
        expected, abs=1e-9
    )


@pytest.mark.parametrize(("day", "expected"), reads(GROUP))
def test_a_group_is_clamped_on_read_not_on_write(day: int, expected: float) -> None:
    model = model_of({"r": rule(10, group="g")}, groups={"g": {"max": 20, "decay": {"half_life": "30d"}}})
    assert score(model, day, view("e1"), view("e2"), view("e3")) == pytest.approx(expected, abs=1e-9)


def plus_and_minus() -> Plain:
    rules = {
        "plus": rule(100, decay={"half_life": "30d"}),
        "minus": rule(-60, decay={"half_life": "7d"}),
    }
    return model_of(rules, thresholds={"mql": {"enter": 50, "exit": 30}})


@pytest.mark.parametrize(("day", "expected"), reads(PLUS_AND_MINUS))
def test_a_score_rises_as_its_penalty_decays(day: float, expected: float) -> None:
    assert score(plus_and_minus(), day, view("e1")) == pytest.approx(expected, abs=0.05)


def test_time_alone_never_enters() -> None:
    assert read_at(plus_and_minus(), 60, view("e1")).crossings == []


def test_72_points_fall_below_50_after_15_78_days() -> None:
    model = model_of({"r": rule(72)}, thresholds={"mql": {"enter": 65, "exit": 50}})
    enter, leave = read_at(model, 20, view("e1")).crossings
    assert (enter.direction, enter.cause, enter.occurred_at_ms) == (Direction.ENTER, Cause.EVENT, at(0))
    assert (leave.direction, leave.cause) == (Direction.LEAVE, Cause.TIME)
    assert (leave.occurred_at_ms - at(0)) / DAY_MS == pytest.approx(15.78, abs=0.005)
    assert enter.projected_exit_at_ms == pytest.approx(leave.occurred_at_ms, abs=1_000)


@given(st.permutations(range(8)))
def test_any_order_and_each_event_twice_give_the_same_score(order: list[int]) -> None:
    rules = {"r": rule(10, group="g", limit={"times": 2, "per": "day"}), "s": rule(7, decay={"linear": "60d"})}
    model = model_of(rules, groups={"g": {"max": 25}})
    events = [view(f"e{number}", number // 3) for number in range(8)]
    shuffled = [events[number] for number in order]
    assert score(model, 40, *shuffled, *shuffled) == pytest.approx(score(model, 40, *events), abs=1e-9)
