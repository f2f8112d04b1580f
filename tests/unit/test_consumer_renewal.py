"""When a consumer is taken for lost: without partitions for long, and without an answer where others get one."""

from types import SimpleNamespace
from typing import cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

from leadscore.pipeline.kafka import renewal as renewal_module
from leadscore.pipeline.kafka.renewal import ConsumerRenewal
from leadscore.pipeline.kafka.subscription import Subscription


class AskedConsumer:
    """One that gets an answer, or none."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.asked = 0

    def list_topics(self, topic: str, timeout: float) -> object:
        assert (topic, timeout > 0) == ("log", True)
        self.asked += 1
        if not self.answers:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return object()


class Membership:
    """As much of a subscription as is looked at."""

    topics = ("log",)

    def __init__(self, consumer: AskedConsumer, *, is_settled: bool) -> None:
        self.consumer = consumer
        self.is_settled = is_settled

    def renew(self, consumer: AskedConsumer) -> None:
        self.consumer = consumer


def looked_after(consumer: AskedConsumer, *, is_settled: bool, is_kafka_away: bool) -> AskedConsumer:
    """The consumer there is after a few looks."""
    membership = Membership(consumer, is_settled=is_settled)
    fresh = cast("Consumer", SimpleNamespace(list_topics=lambda _topic, timeout: timeout))
    renewal = ConsumerRenewal(cast("Subscription", membership), "group", lambda: fresh)
    for _ in range(3):
        renewal.look(is_kafka_away=is_kafka_away)
    return membership.consumer


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal_module, "UNASSIGNED_FOR_S", 0.0)


@pytest.mark.usefixtures("no_patience")
def test_one_without_partitions_that_gets_no_answer_is_replaced() -> None:
    lost = AskedConsumer(answers=False)
    assert looked_after(lost, is_settled=False, is_kafka_away=False) is not lost
    assert lost.asked == 1


@pytest.mark.usefixtures("no_patience")
def test_one_without_partitions_that_gets_an_answer_waits_for_its_group() -> None:
    waiting = AskedConsumer(answers=True)
    assert looked_after(waiting, is_settled=False, is_kafka_away=False) is waiting
    assert waiting.asked == 3


@pytest.mark.usefixtures("no_patience")
@pytest.mark.parametrize(("is_settled", "is_kafka_away"), [(True, False), (False, True), (True, True)])
def test_one_that_has_partitions_or_that_nobody_would_answer_is_not_asked(
    *, is_settled: bool, is_kafka_away: bool
) -> None:
    consumer = AskedConsumer(answers=False)
    assert looked_after(consumer, is_settled=is_settled, is_kafka_away=is_kafka_away) is consumer
    assert consumer.asked == 0


def test_one_that_is_without_partitions_for_a_short_time_is_not_asked() -> None:
    consumer = AskedConsumer(answers=False)
    assert looked_after(consumer, is_settled=False, is_kafka_away=False) is consumer
    assert consumer.asked == 0
