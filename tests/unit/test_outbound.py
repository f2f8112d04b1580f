"""The producer's final errors: told with their cause, waited for no longer, and counted outside of its callbacks."""

from typing import cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from leadscore.errors import WorkerStopped
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.deliveries import Deliveries
from leadscore.pipeline.kafka.outbound import OnDelivery, Outbound, explanation
from leadscore.pipeline.kafka.records import OutputRecord
from leadscore.pipeline.publish_counts import PublishCounts

REFUSED = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
AFTER_IT = KafkaError(KafkaError._FATAL)
WHY = KafkaError(
    KafkaError._GAPLESS_GUARANTEE, "ProduceRequest for the-log [1] failed: Broker: Message size too large", fatal=True
)
RECORD = OutputRecord(None, b"value")


class FailingProducer:
    """As the real client: it refuses what is produced once it has failed, and says why at the next poll."""

    def __init__(self) -> None:
        self.callbacks: list[OnDelivery] = []
        self.topics: list[str] = []
        self.has_failed = self.has_said_why = False
        self.polls = 0

    def produce(self, topic: str, _value: bytes, _key: None, *, on_delivery: OnDelivery, **_: object) -> None:
        if self.has_failed:
            raise KafkaException(AFTER_IT)
        self.topics.append(topic)
        self.callbacks.append(on_delivery)

    def poll(self, _timeout_s: float) -> int:
        self.polls += 1
        if self.has_failed and not self.has_said_why:
            self.has_said_why = True
            raise KafkaException(WHY)
        if self.has_failed:
            callbacks, self.callbacks = self.callbacks, []
            for index, on_delivery in enumerate(callbacks):
                on_delivery(REFUSED if index else AFTER_IT, cast("Message", None))
        return 0

    def __len__(self) -> int:
        return len(self.callbacks)


@pytest.fixture
def client() -> FailingProducer:
    return FailingProducer()


@pytest.fixture
def outbound(client: FailingProducer) -> Outbound:
    return Outbound(cast("Producer", client))


def nothing(_error: KafkaError | None, _message: Message) -> None:
    """A delivery that does not matter."""


def test_a_record_refused_after_the_end_is_reported_with_the_topic_of_the_one_that_ended_it(
    client: FailingProducer, outbound: Outbound
) -> None:
    client.has_failed = True
    with pytest.raises(WorkerStopped, match=r"the-log.*Raise max\.message\.bytes"):
        outbound.produce("crossings", RECORD, nothing)


def test_a_fatal_error_met_while_polling_is_no_bare_client_error(client: FailingProducer, outbound: Outbound) -> None:
    client.has_failed = True
    with pytest.raises(WorkerStopped, match="the-log"):
        outbound.poll()
    assert outbound.has_failed


def test_nothing_is_waited_for_after_the_end(client: FailingProducer, outbound: Outbound) -> None:
    client.has_failed = True
    with pytest.raises(WorkerStopped):
        outbound.poll()
    polls = client.polls
    for call in (outbound.poll, lambda: outbound.flush(Deadline(30.0))):
        with pytest.raises(WorkerStopped, match="the-log"):
            call()
    assert client.polls == polls


def test_the_records_that_a_fatal_error_took_along_are_counted(client: FailingProducer, outbound: Outbound) -> None:
    metrics = Metrics("1.0", [])
    counts = PublishCounts(metrics.publish, "frame", metrics.match.frames_published)
    deliveries: Deliveries[int] = Deliveries(outbound, "the-log", counts)
    with deliveries.batch({}) as batch:
        for number in range(3):
            deliveries.produce(batch, RECORD, number)
    client.has_failed = True
    with pytest.raises(WorkerStopped):
        deliveries.complete()
    value_of = metrics.registry.get_sample_value
    assert value_of("leadscore_publish_attempts_total", {"kind": "frame"}) == 3
    assert value_of("leadscore_publish_failures_total", {"kind": "frame"}) == 3
    assert value_of("leadscore_frames_published_total") == 0


def test_nothing_is_counted_within_a_callback_of_the_client(client: FailingProducer, outbound: Outbound) -> None:
    metrics = Metrics("1.0", [])
    counts = PublishCounts(metrics.publish, "frame", metrics.match.frames_published)
    deliveries: Deliveries[int] = Deliveries(outbound, "the-log", counts)
    with deliveries.batch({("t", 0): 1}) as batch:
        deliveries.produce(batch, RECORD, 0)
    client.callbacks.pop()(None, cast("Message", None))
    assert metrics.registry.get_sample_value("leadscore_frames_published_total") == 0
    assert deliveries.complete() == {("t", 0): 1}
    assert metrics.registry.get_sample_value("leadscore_frames_published_total") == 1


def test_a_permission_that_was_withdrawn_is_named() -> None:
    told = explanation(
        KafkaError(
            KafkaError._GAPLESS_GUARANTEE,
            "ProduceRequest for crossings [0] with 13 message(s) failed: Broker: Topic authorization failed",
            fatal=True,
        )
    )
    assert "crossings" in told
    assert "needs the permission WRITE on that topic" in told


def test_a_batch_for_two_topics_is_complete_when_both_have_it(client: FailingProducer, outbound: Outbound) -> None:
    metrics = Metrics("1.0", [])
    counts = PublishCounts(metrics.publish, "frame", metrics.match.frames_published)
    deliveries: Deliveries[int] = Deliveries(outbound, "crossings", counts)
    with deliveries.batch({("t", 0): 1}) as batch:
        deliveries.produce(batch, RECORD, 0)
        deliveries.produce(batch, RECORD, 1, topic="the-log")
    assert client.topics == ["crossings", "the-log"]
    client.callbacks.pop()(None, cast("Message", None))
    assert deliveries.complete() == {}
    client.callbacks.pop()(None, cast("Message", None))
    assert deliveries.complete() == {("t", 0): 1}


class FullProducer(FailingProducer):
    """Its queue has room for one record; the second poll after that makes room again."""

    def produce(self, topic: str, _value: bytes, _key: None, *, on_delivery: OnDelivery, **more: object) -> None:
        if self.callbacks:
            raise BufferError("Local: Queue full")
        super().produce(topic, _value, _key, on_delivery=on_delivery, **more)

    def poll(self, _timeout_s: float) -> int:
        if super().poll(_timeout_s) == 0 and self.polls % 2 == 0:
            for on_delivery in self.callbacks:
                on_delivery(None, cast("Message", None))
            self.callbacks.clear()
        return 0


def test_a_full_queue_is_waited_for_and_nothing_is_dropped() -> None:
    client = FullProducer()
    outbound = Outbound(cast("Producer", client))
    for number in range(3):
        outbound.produce(f"topic-{number}", RECORD, nothing)
    assert client.topics == ["topic-0", "topic-1", "topic-2"]
    assert client.polls == 4
