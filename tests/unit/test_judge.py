"""The judge of the experiments sees what is wrong; and each of the reference's experiments is there."""

import re

from tests.deployment import WANDERING_MODEL
from tests.faults.inputs import Inputs, Position
from tests.faults.judge import (
    LogEntry,
    LogView,
    Scores,
    expected_crossings,
    missing_in_log,
    wrong_crossings,
    wrong_dead_letters,
    wrong_order,
    wrong_scores,
)
from tests.faults.report import Figures, row_of
from tests.oracle import Limits, Plain
from tests.servers import ROOT

NOW_MS = 1_790_000_000_000
MODEL = dict(WANDERING_MODEL)
EVENTS: list[Plain] = [
    {"type": "webinar.attended", "event_id": f"e{index}", "lead_id": "L1", "occurred_at": NOW_MS - 1_000 + index}
    for index in range(3)
]
PLACE = Position("webinar", 0, 0)


def crossings() -> dict[str, Plain]:
    log = LogView()
    log.by_lead["L1"] = [LogEntry(event, event["occurred_at"], NOW_MS) for event in EVENTS]
    return expected_crossings(MODEL, log, Limits())


def test_a_lead_enters_by_the_events_of_the_log() -> None:
    [crossing] = crossings().values()
    assert (crossing["lead_id"], crossing["threshold"], crossing["sequence"]) == ("L1", "mql", 1)


def test_a_lead_leaves_by_the_ticks_of_the_log() -> None:
    log = LogView()
    later_ms = NOW_MS + 60 * 86_400_000
    log.by_lead["L1"] = [LogEntry(event, event["occurred_at"], NOW_MS) for event in EVENTS]
    log.by_lead["L1"].append(LogEntry(None, later_ms, later_ms))
    directions = [crossing["direction"] for crossing in expected_crossings(MODEL, log, Limits()).values()]
    assert directions == ["ENTER", "LEAVE"]


def test_a_crossing_that_is_missing_is_wrong() -> None:
    assert len(list(wrong_crossings(crossings(), []))) == 1


def test_a_crossing_that_nothing_caused_is_wrong() -> None:
    assert len(list(wrong_crossings({}, list(crossings().values())))) == 1


def test_a_crossing_with_another_score_is_wrong() -> None:
    published = [crossing | {"score": crossing["score"] + 1e-6} for crossing in crossings().values()]
    assert len(list(wrong_crossings(crossings(), published))) == 1
    assert list(wrong_crossings(crossings(), list(crossings().values()))) == []


def test_a_score_that_is_off_is_wrong() -> None:
    by_lead = {"L1": EVENTS}
    assert list(wrong_scores(MODEL, by_lead, Scores({"L1": 75.0}, EVENTS[-1]["occurred_at"]))) == []
    assert len(list(wrong_scores(MODEL, by_lead, Scores({"L1": 100.0}, NOW_MS)))) == 1
    assert len(list(wrong_scores(MODEL, by_lead, Scores({}, NOW_MS)))) == 1


def test_an_event_that_is_not_in_the_log_is_wrong() -> None:
    inputs = Inputs({PLACE: EVENTS[0]}, set())
    assert len(list(missing_in_log(MODEL, inputs, LogView()))) == 1
    assert list(missing_in_log(MODEL, inputs, LogView(logged={PLACE}))) == []


def test_a_sequence_that_falls_is_wrong() -> None:
    rising: list[Plain] = [{"id": str(n), "lead_id": "L1", "threshold": "mql", "sequence": n} for n in (1, 2, 3)]
    assert list(wrong_order([*rising, rising[0]])) == []
    assert len(list(wrong_order(rising[::-1]))) == 2


def test_dead_letters_are_the_poison_and_nothing_else() -> None:
    inputs = Inputs({}, {PLACE})
    assert list(wrong_dead_letters(inputs, {PLACE})) == []
    assert len(list(wrong_dead_letters(inputs, {Position("webinar", 0, 1)}))) == 2


def test_a_control_is_caught_or_has_failed() -> None:
    figures = Figures(control="a worker with an error", violations=3)
    assert row_of("t", ("2", "c"), figures, passed=True, seconds=1.0).verdict == "caught"
    assert row_of("t", ("2", "c"), figures, passed=False, seconds=1.0).verdict == "FAILED"
    assert row_of("t", ("2", "c"), Figures(violations=0), passed=True, seconds=1.0).verdict == "holds"


def test_every_experiment_of_the_reference_is_there() -> None:
    texts = [path.read_text() for path in (ROOT / "tests" / "faults").glob("test_*.py")]
    numbers = {int(number) for text in texts for number in re.findall(r'\.experiment\(\s*"(\d+)"', text)}
    assert numbers == set(range(1, 21))
