"""Which latency a crossing is observed by when Kafka has it, and how long sales took."""

import pytest
from msgspec.structs import replace

from leadscore.ops.metrics import Metrics
from leadscore.scoring.crossing import Cause, Crossing, Direction, Trigger
from leadscore.scoring.outcomes import CountedOutcome
from tests.unit.sample_crossing import CROSSING

NOW_MS = 1_900_000_000_000
ENTER = replace(
    CROSSING,
    occurred_at_ms=NOW_MS - 90_000,
    decided_at_ms=NOW_MS - 2_000,
    trigger=Trigger("web", "e1", "website.page_view", None, NOW_MS - 3_000),
)
LEAVE = replace(ENTER, direction=Direction.LEAVE, cause=Cause.TIME, trigger=None)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1", ())


def observed(metrics: Metrics, crossing: Crossing) -> dict[str, float | None]:
    """The sum of each latency that it is observed by."""
    metrics.latency.published(crossing, NOW_MS / 1000)
    value = metrics.registry.get_sample_value
    names = ("decision_to_publish", "record_to_crossing", "leave_lateness")
    return {name: value(f"leadscore_{name}_seconds_sum") for name in names if value(f"leadscore_{name}_seconds_count")}


def test_a_crossing_is_observed_from_its_decision_and_from_the_record_that_caused_it(metrics: Metrics) -> None:
    assert observed(metrics, ENTER) == {"decision_to_publish": 2, "record_to_crossing": 3}


def test_a_crossing_of_a_record_without_a_time_is_observed_from_its_decision_alone(metrics: Metrics) -> None:
    assert ENTER.trigger is not None
    untimed = replace(ENTER, trigger=replace(ENTER.trigger, received_at_ms=None))
    assert observed(metrics, untimed) == {"decision_to_publish": 2}


def test_a_leave_by_time_is_observed_from_when_it_was_due(metrics: Metrics) -> None:
    assert observed(metrics, LEAVE) == {"decision_to_publish": 2, "leave_lateness": 90}


def test_a_stale_leave_says_nothing_of_how_late_the_worker_is(metrics: Metrics) -> None:
    assert observed(metrics, replace(LEAVE, stale=True)) == {"decision_to_publish": 2}


def test_a_clock_that_is_behind_the_brokers_takes_nothing_away(metrics: Metrics) -> None:
    ahead = Trigger("web", "e1", "website.page_view", None, NOW_MS + 9_000)
    assert observed(metrics, replace(ENTER, trigger=ahead, decided_at_ms=NOW_MS + 9_000)) == {
        "decision_to_publish": 0,
        "record_to_crossing": 0,
    }


def test_what_sales_says_is_observed_by_threshold_and_outcome(metrics: Metrics) -> None:
    metrics.latency.said(CountedOutcome("mql", "accepted", "rule", 1, 7_200_000))
    metrics.latency.said(CountedOutcome("", "won", "rule", 1, None))
    value = metrics.registry.get_sample_value
    assert value("leadscore_enter_to_outcome_seconds_sum", {"threshold": "mql", "outcome": "accepted"}) == 7_200
    assert value("leadscore_enter_to_outcome_seconds_count", {"threshold": "", "outcome": "won"}) is None
