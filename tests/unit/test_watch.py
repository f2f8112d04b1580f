"""The watch over Kafka, with a client whose questions nobody answers."""

from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection

from leadscore.ops.metrics import Metrics
from leadscore.pipeline.kafka.clients import RenewedAdmin
from leadscore.pipeline.kafka.watch import RENEWED_AFTER, KafkaWatch


class Answering:
    """A client for questions that are answered at once, or time out at once."""

    last_error: KafkaError | None = None

    def __init__(self, *, answers: bool) -> None:
        self._answers = answers

    def take_errors(self) -> list[KafkaError]:
        return []

    def describe_topics(self, topics: TopicCollection, request_timeout: float) -> "dict[str, Future[Any]]":
        assert isinstance(topics, TopicCollection)
        assert request_timeout > 0
        question: Future[Any] = Future()
        if self._answers:
            question.set_result(None)
        else:
            question.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
        return {"log": question}


def watch_over(*clients: Answering) -> tuple[KafkaWatch, Any]:
    later = iter(clients)
    admin = RenewedAdmin(lambda: next(later))  # type: ignore[arg-type, return-value]  # all that the watch asks
    return KafkaWatch(admin, "log", "kafka:9092", Metrics("1", []).kafka), admin


def test_a_client_that_gets_no_answers_is_replaced_and_the_next_one_ends_the_outage() -> None:
    lost, fresh = Answering(answers=False), Answering(answers=True)
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
    answering = Answering(answers=True)
    watch, admin = watch_over(answering)
    for _ in range(3 * RENEWED_AFTER):
        watch.look()
    assert admin.client is answering
