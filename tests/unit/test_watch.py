"""The watch over Kafka, with a client whose questions nobody answers."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from leadscore.errors import Unavailable
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.kafka import watch as watch_module
from leadscore.pipeline.kafka.clients import RenewedAdmin
from leadscore.pipeline.kafka.lag_times import ReadTimes
from leadscore.pipeline.kafka.questions import log_bounds
from leadscore.pipeline.kafka.watch import RENEWED_AFTER, KafkaWatch, LagWatch
from tests.uncommitted import Uncommitted

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

    def list_offsets(self, places: dict[TopicPartition, OffsetSpec], **_: Any) -> "dict[TopicPartition, Future[Any]]":
        answers: dict[TopicPartition, Future[Any]] = {place: Future() for place in places}
        for answer in answers.values():
            answer.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
        return answers


class Silent(Answering):
    """One whose questions are neither answered nor ended."""

    def describe_topics(self, topics: TopicCollection, request_timeout: float) -> "dict[str, Future[Any]]":
        return dict.fromkeys(super().describe_topics(topics, request_timeout), Future())

    def list_offsets(self, places: dict[TopicPartition, OffsetSpec], **_: Any) -> "dict[TopicPartition, Future[Any]]":
        return {place: Future() for place in places}


class Offsets(Answering):
    """One that knows the offsets of every partition: it begins at 0 and ends at 7."""

    def list_offsets(self, places: dict[TopicPartition, OffsetSpec], **_: Any) -> "dict[TopicPartition, Future[Any]]":
        answers = {}
        for place, spec in places.items():
            answers[place] = Future[Any]()
            answers[place].set_result(SimpleNamespace(offset=7 if spec is OffsetSpec.latest() else 0))
        return answers


class FormerLeader(Offsets):
    """One that answers of another leader until it has asked for the leaders of now."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_for_leaders: list[TopicCollection] = []

    def describe_topics(self, topics: TopicCollection, request_timeout: float) -> "dict[str, Future[Any]]":
        self.asked_for_leaders.append(topics)
        return super().describe_topics(topics, request_timeout)

    def list_offsets(self, places: dict[TopicPartition, OffsetSpec], **_: Any) -> "dict[TopicPartition, Future[Any]]":
        if self.asked_for_leaders:
            return super().list_offsets(places)
        answers: dict[TopicPartition, Future[Any]] = {place: Future() for place in places}
        for answer in answers.values():
            answer.set_exception(KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)))
        return answers


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


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "GIVEN_UP_AFTER_S", 0.0)


@pytest.mark.usefixtures("no_patience")
def test_a_question_that_never_ends_is_given_up_as_one_without_an_answer() -> None:
    silent, fresh = Silent(), Answering()
    watch, admin = watch_over(silent, fresh)
    for _ in range(1 + RENEWED_AFTER):
        watch.look()
    assert watch.outage is not None
    assert "neither answered nor given up" in watch.words
    assert admin.client is fresh
    watch.look()
    assert watch.outage is None


def test_a_question_under_way_is_waited_for() -> None:
    watch, _ = watch_over(Silent())
    for _ in range(3 * RENEWED_AFTER):
        watch.look()
    assert watch.outage is None


@pytest.mark.usefixtures("no_patience")
def test_lags_are_asked_for_again_where_a_question_never_ends() -> None:
    later = iter((Silent(), Offsets()))
    admin: Any = RenewedAdmin(lambda: next(later))  # type: ignore[arg-type, return-value]
    watch = LagWatch(admin, Uncommitted(), ReadTimes())  # type: ignore[arg-type]  # all that it asks of them
    owned = [("log", 0)]
    watch.look(owned)
    admin.renew()
    watch.look(owned)
    assert watch.lags == {}
    watch.look(owned)
    assert watch.lags[("log", 0)].records == 7


def test_the_leaders_of_now_are_asked_for_after_the_answer_of_a_former_one() -> None:
    client = FormerLeader()
    admin: Any = RenewedAdmin(lambda: client)  # type: ignore[arg-type, return-value]
    watch = LagWatch(admin, Uncommitted(), ReadTimes())  # type: ignore[arg-type]  # all that it asks of them
    owned = [("log", 0), ("log", 1)]
    for _ in range(3):  # asked, another leader, answered
        watch.look(owned)
    assert len(client.asked_for_leaders) == 1
    assert watch.lags.keys() == set(owned)


def test_the_leaders_of_now_are_asked_for_where_the_bounds_come_from_a_former_one() -> None:
    client: Any = FormerLeader()
    with pytest.raises(Unavailable, match="asking for the bounds"):
        log_bounds(client, [("log", 0)])
    assert log_bounds(client, [("log", 0)]) == {("log", 0): (0, 7)}


def test_a_leader_that_answers_is_no_outage_while_nobody_answers_for_the_controller() -> None:
    lost, fresh = Offsets(answers=False), Offsets()
    watch, admin = watch_over(lost, fresh)
    for _ in range(1 + RENEWED_AFTER):
        watch.look()
        assert watch.outage is None
    assert admin.client is fresh  # only this one finds the new controller


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
