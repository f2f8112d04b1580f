"""The arithmetic of the latency benchmark: planned times and percentiles."""

from collections.abc import Callable

import pytest

from leadscore.pipeline.pace import SCORE_RECORDS
from tests.bench import latency, recovery
from tests.bench.open_loop import (
    Schedule,
    crossings_of_few,
    event_id,
    every_second_crosses,
    few_cross,
    latencies,
    least_events,
    percentile,
    planned_of,
)

SCHEDULE = Schedule(start_us=1_000_000, rate=300.0, number=90)


@pytest.mark.parametrize("number", [1, 2, 9, 100, 1_000])
def test_a_percentile_is_the_least_value_with_its_share_below_or_at_it(number: int) -> None:
    ordered = [float(value) for value in range(number)]
    for share in (0.5, 0.99, 0.999, 1.0):
        value = percentile(ordered, share)
        assert sum(other <= value for other in ordered) >= share * number
        assert sum(other < value for other in ordered) < share * number


def test_latencies_are_of_all_values_in_any_order() -> None:
    assert latencies([30.0, 10.0, 20.0]) == (3, 20.0, 30.0, 30.0, 30.0)


def test_an_event_is_due_from_its_planned_time_on() -> None:
    for index in range(SCHEDULE.number):
        planned_us = SCHEDULE.planned_us(index)
        assert SCHEDULE.due(planned_us - 1) == index
        assert SCHEDULE.due(planned_us) == index + 1


def test_nothing_is_due_beyond_the_last_event() -> None:
    assert SCHEDULE.due(SCHEDULE.start_us + 3_600_000_000) == SCHEDULE.number


def test_an_id_says_when_its_event_was_planned() -> None:
    assert planned_of(event_id(1_234_567, 89)) == (1_234_567, 89)


def test_of_few_as_many_cross_as_are_waited_for() -> None:
    """An ``attended`` crosses if, and only if, its lead has been brought near the threshold before."""
    schedule = Schedule(0, 200.0, 1_000)
    prepared: set[str] = set()
    crossing = 0
    for event in few_cross(schedule, "run"):
        if event.type == "website.demo_requested":
            prepared.add(event.lead_id)
        elif event.type == "webinar.attended":
            prepared.remove(event.lead_id)
            crossing += 1
    assert crossing == crossings_of_few(schedule.rate, schedule.number) > 0


def test_of_pairs_every_second_event_crosses() -> None:
    events = list(every_second_crosses(SCHEDULE, "run"))
    firsts, seconds = events[::2], events[1::2]
    assert [event.lead_id for event in firsts] == [event.lead_id for event in seconds]
    assert len({event.lead_id for event in firsts}) == len(firsts)
    assert len({event.event_id for event in events}) == len(events)


@pytest.mark.parametrize(
    ("read_options", "least"),
    [(latency.read_options, SCORE_RECORDS), (recovery.read_options, least_events(latency.BACKLOG_RATE))],
)
def test_a_backlog_that_is_too_small_to_measure_by_is_refused(
    read_options: Callable[[list[str]], object], least: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert crossings_of_few(latency.BACKLOG_RATE, least) > 0
    read_options(["--events", str(least)])
    with pytest.raises(SystemExit):
        read_options(["--events", str(least - 1)])
    assert f"expected at least {least}" in capsys.readouterr().err
