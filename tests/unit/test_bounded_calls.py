"""Calls of Kafka's client that end in time, or are left behind."""

from threading import Event

import pytest
from confluent_kafka import KafkaError, KafkaException

from leadscore.pipeline.kafka.bounded_calls import ended_within


def test_a_call_that_ends_in_time_has_ended() -> None:
    called: list[str] = []
    ended_within(10, lambda: called.append("once"), "calling")
    ended_within(None, lambda: called.append("without a limit"), "calling")
    assert called == ["once", "without a limit"]


def test_what_a_call_raises_is_raised_where_it_is_waited_for() -> None:
    def refused() -> None:
        raise KafkaException(KafkaError(KafkaError.NOT_COORDINATOR))

    with pytest.raises(KafkaException) as raised:
        ended_within(10, refused, "calling")
    assert raised.value.args[0].code() == KafkaError.NOT_COORDINATOR


def test_a_call_that_does_not_end_is_left_behind_with_a_time_out_after_which_the_producer_is_thrown_away() -> None:
    never = Event()
    with pytest.raises(KafkaException, match="calling: the call does not end") as raised:
        ended_within(0.05, never.wait, "calling")  # type: ignore[arg-type]  # what it returns is not looked at
    never.set()
    error = raised.value.args[0]
    assert (error.code(), error.fatal(), error.retriable(), error.txn_requires_abort()) == (
        KafkaError._TIMED_OUT, False, True, False,
    )  # fmt: skip
