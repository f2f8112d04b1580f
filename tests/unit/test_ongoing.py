"""One line per cause when it begins and one when it is over, whatever happens in between."""

import logging

import pytest

from leadscore.ops.ongoing import CHANGE_AFTER_S, REMIND_AFTER_S, OngoingLog, ranges

NOW_S = 1_000_000.0
WARNING = logging.WARNING


@pytest.fixture
def outages(caplog: pytest.LogCaptureFixture) -> OngoingLog:
    caplog.set_level(logging.INFO)
    return OngoingLog(logging.getLogger("leadscore.test"), "paused", "resumed")


def said(caplog: pytest.LogCaptureFixture, *fields: str) -> list[tuple[object, ...]]:
    """Event and the named fields of each line."""
    return [(line.getMessage(), *(getattr(line, name, None) for name in fields)) for line in caplog.records]


def test_a_cause_that_lasts_is_one_line_and_its_end_another(
    outages: OngoingLog, caplog: pytest.LogCaptureFixture
) -> None:
    for second in range(60):
        outages.note(NOW_S + second, "redis", WARNING, detail="Connection refused")
    outages.end(NOW_S + 61.5, "redis")
    assert said(caplog, "cause", "detail", "count", "lasted_s") == [
        ("paused", "redis", "Connection refused", None, None),
        ("resumed", "redis", None, 60, 61.5),
    ]


def test_after_its_end_a_cause_begins_anew(outages: OngoingLog, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        outages.note(NOW_S, "redis", WARNING)
        outages.end(NOW_S + 1, "redis")
    assert said(caplog, "count") == [("paused", None), ("resumed", 1), ("paused", None), ("resumed", 1)]


def test_a_reminder_says_how_often_and_since_when(outages: OngoingLog, caplog: pytest.LogCaptureFixture) -> None:
    for second in (0, 1, REMIND_AFTER_S, REMIND_AFTER_S + 1):
        outages.note(NOW_S + second, "redis", WARNING)
    assert said(caplog, "count", "since") == [("paused", None, None), ("paused", 3, "1970-01-12T13:46:40.000Z")]


def test_a_change_of_the_extent_is_reported_but_not_at_once(
    outages: OngoingLog, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(8):
        outages.note(NOW_S + 0.1 * number, "state_lost", WARNING, extent=number, partitions=f"0-{number}")
    outages.note(NOW_S + CHANGE_AFTER_S, "state_lost", WARNING, extent=8, partitions="0-8")
    outages.note(NOW_S + 2 * CHANGE_AFTER_S, "state_lost", WARNING, extent=8, partitions="0-8")
    assert said(caplog, "partitions", "count") == [("paused", "0-0", None), ("paused", "0-8", 9)]


def test_causes_are_distinguished(outages: OngoingLog, caplog: pytest.LogCaptureFixture) -> None:
    outages.note(NOW_S, "redis", WARNING)
    outages.note(NOW_S, "kafka", WARNING)
    outages.end_others(NOW_S + 2, {"kafka"})
    outages.end(NOW_S + 2, "schema_registry")
    assert said(caplog, "cause") == [("paused", "redis"), ("paused", "kafka"), ("resumed", "redis")]


@pytest.mark.parametrize(
    ("numbers", "words"), [([], ""), ([3], "3"), ([2, 0, 1, 3, 7], "0-3, 7"), ([0, 2, 3, 9], "0, 2-3, 9")]
)
def test_partitions_are_written_as_ranges(numbers: list[int], words: str) -> None:
    assert ranges(numbers) == words
