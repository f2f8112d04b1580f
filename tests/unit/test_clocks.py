"""A clock that is a day wrong on one worker: it stops before it does harm, and says what to do."""

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME

from leadscore.errors import WorkerStopped
from leadscore.pipeline.kafka.clocks import BrokersClock, why_wrong

NOON_S = 1_767_268_800.0
DAY_S = 86_400.0


@pytest.mark.parametrize("apart_s", [-50.0, 0.0, 30.0, 90.0, 140.0])
def test_a_record_stored_while_its_acknowledgement_was_waited_for_confirms_the_clock(apart_s: float) -> None:
    """Kafka may be silent for long, and a frozen worker late to learn: neither says anything of a clock."""
    clock = BrokersClock()
    clock.note((TIMESTAMP_LOG_APPEND_TIME, int((NOON_S + apart_s) * 1000)), NOON_S, NOON_S + 90)
    assert clock.is_confirmed
    clock.check()


@pytest.mark.parametrize(("apart_s", "words"), [(DAY_S, "86400 s behind that"), (-DAY_S, "86400 s ahead of that")])
def test_a_clock_that_is_a_day_wrong_stops_the_worker(apart_s: float, words: str) -> None:
    clock = BrokersClock()
    clock.note((TIMESTAMP_LOG_APPEND_TIME, int((NOON_S + apart_s) * 1000)), NOON_S, NOON_S)
    assert not clock.is_confirmed
    with pytest.raises(WorkerStopped, match=words):
        clock.check()


@pytest.mark.parametrize(
    "timestamp", [(TIMESTAMP_CREATE_TIME, int((NOON_S + DAY_S) * 1000)), (TIMESTAMP_LOG_APPEND_TIME, 1_000)]
)
def test_the_time_of_producers_or_of_an_embedded_broker_says_nothing_of_a_clock(timestamp: tuple[int, int]) -> None:
    clock = BrokersClock()
    clock.note(timestamp, NOON_S, NOON_S)
    assert clock.is_confirmed


def test_the_message_has_both_times_and_what_to_do() -> None:
    assert why_wrong(NOON_S, NOON_S + DAY_S, NOON_S + DAY_S) == (
        "the clock of this machine is 86400 s ahead of that of the Kafka brokers: here it was "
        "2026-01-02T12:00:00+00:00 when they stored a record of the log at 2026-01-01T12:00:00+00:00. Set the clock "
        "that is wrong (NTP), then start the worker again; until then others may score its partitions"
    )
