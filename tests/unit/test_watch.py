"""The watch over Kafka, with a client whose questions nobody answers."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicCollection

from leadscore.ops.metrics import Metrics
from leadscore.pipeline.kafka.clients import RenewedAdmin
from leadscore.pipeline.kafka.watch import RENEWED_AFTER, KafkaWatch

LEADER = SimpleNamespace(id=1, host="kafka")
NAMELESS = SimpleNamespace(id=1, host=None)
"""Of a leader that is not among the brokers of the answer."""


class Answering:
    """A client for questions that are answered at once, with a leader for each partition, or time out at once."""

    last_error: KafkaError | None = None

    def __init__(self, *leaders: object, answers: bool = True) -> None:
        self._leaders = leaders or (LEADER,)
        self._answers = answers

    def take_errors(self) -> list[KafkaError]:
        return []

    def describe_topics(self, topics: TopicCollection, request_timeout: float) -> "dict[str, Future[Any]]":
        assert isinstance(topics, TopicCollection)
        assert request_timeout > 0
        question: Future[Any] = Future()
        if self._answers:
            question.set_result(SimpleNamespace(partitions=[SimpleNamespace(leader=one) for one in self._leaders]))
        else:
            question.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
        return {"log": question}


def watch_over(*clients: Answering) -> tuple[KafkaWatch, Any]:
    later = iter(clients)
    admin = RenewedAdmin(lambda: next(later))  # type: ignore[arg-type, return-value]  # all that the watch asks
    return KafkaWatch(admin, "log", "kafka:9092", Metrics("1", []).kafka), admin


def test_a_client_that_gets_no_answers_is_replaced_and_the_next_one_ends_the_outage() -> None:
    lost, fresh = Answering(answers=False), Answering()
    watch, admin = watch_over(lost, fresh)
    for _ in range(RENEWED_AFTER):
        watch.look()
        assert admin.client is lost
    watch.look()
    assert watch.outage is not None
    assert admin.client is fresh
    watch.look()
    assert watch.outage is None


def test_a_client_that_gets_answers_is_kept() -> None:
    answering = Answering()
    watch, admin = watch_over(answering)
    for _ in range(3 * RENEWED_AFTER):
        watch.look()
    assert admin.client is answering


@pytest.mark.parametrize(("leaders", "is_away"), [((NAMELESS, None), True), ((NAMELESS, LEADER), False)])
def test_an_answer_without_the_address_of_any_leader_is_an_outage(leaders: tuple[object, ...], is_away: bool) -> None:
    watch, _ = watch_over(Answering(*leaders))
    watch.look()
    watch.look()
    assert (watch.outage is not None) == is_away
    assert not is_away or "names no broker" in watch.words
