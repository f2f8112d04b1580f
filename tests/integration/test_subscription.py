"""Partitions begin where they are told to, on a real broker, whatever was asked of them just before."""

import logging
import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Message, Producer

from leadscore.pipeline.kafka.clients import make_consumer
from leadscore.pipeline.kafka.subscription import Subscription
from leadscore.pipeline.pace import Waits
from tests.servers import KafkaServer, wait_until

PARTITIONS = 13
RECORDS = 100
WAITS = Waits(0.0, 0.1)
SECOND_ANSWER_S = 1.5
"""librdkafka asks for a logical offset again half a second after an answer that it takes to be outdated."""

Places = dict[int, list[int]]


@pytest.fixture(params=[("range", False), ("cooperative-sticky", True)], ids=["eager", "cooperative"])
def subscription(
    request: pytest.FixtureRequest, kafka: KafkaServer, new_topic: Callable[..., str], fresh_name: Callable[[str], str]
) -> Iterator[Subscription]:
    """One that has all partitions of a topic, none of which has begun."""
    assignor, is_cooperative = request.param
    topic = new_topic("subscription", partitions=PARTITIONS)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for number in range(PARTITIONS):
        for _ in range(RECORDS):
            producer.produce(topic, b"", partition=number)
    producer.flush(30)
    logger = logging.getLogger("tests.subscription")
    consumer = make_consumer({"bootstrap.servers": kafka.bootstrap}, fresh_name("group"), assignor, logger)
    made = Subscription(consumer, [topic], lambda _: None, cooperative=is_cooperative)
    yield made
    made.close()


def begin(subscription: Subscription) -> str:
    """Wait for the assignment; the topic."""
    wait_until(lambda: not subscription.poll(10, WAITS) and subscription.assigned, 30, "the partitions")
    _, fresh = subscription.take_changes()
    assert len(fresh) == PARTITIONS
    return fresh[0][0]


def read(subscription: Subscription, for_s: float) -> Places:
    """The offsets delivered within that time, by partition."""
    places: Places = {}
    end_s = time.monotonic() + for_s
    while time.monotonic() < end_s:
        for message in filter(_is_record, subscription.poll(500, WAITS)):
            places.setdefault(message.partition() or 0, []).append(message.offset() or 0)
    return places


def _is_record(message: Message) -> bool:
    return message.error() is None


def test_a_partition_that_begins_at_its_end_delivers_nothing(subscription: Subscription) -> None:
    topic = begin(subscription)
    subscription.start({(topic, number): RECORDS for number in range(PARTITIONS)})
    assert read(subscription, SECOND_ANSWER_S) == {}


def test_another_consumer_takes_over_what_the_one_before_had(
    subscription: Subscription, kafka: KafkaServer, fresh_name: Callable[[str], str]
) -> None:
    topic = begin(subscription)
    every = {(topic, number) for number in range(PARTITIONS)}
    subscription.start(dict.fromkeys(every, 50))
    subscription.pause([(topic, 0)])
    assignor = "cooperative-sticky" if subscription._is_cooperative else "range"
    logger = logging.getLogger("tests.subscription")
    another = make_consumer({"bootstrap.servers": kafka.bootstrap}, fresh_name("group"), assignor, logger)
    subscription.renew(another)
    assert (subscription.assigned, subscription.is_settled) == (set(), False)
    gone, fresh = subscription.take_changes()
    assert (sorted(gone), fresh) == (sorted(every), [])
    begin(subscription)
    subscription.start(dict.fromkeys(every, 95))
    assert read(subscription, SECOND_ANSWER_S) == {number: list(range(95, RECORDS)) for number in range(PARTITIONS)}


def test_the_last_of_several_places_counts(subscription: Subscription) -> None:
    topic = begin(subscription)
    for offset in (0, 50, 10, 95):
        subscription.start({(topic, number): offset for number in range(PARTITIONS)})
    assert read(subscription, SECOND_ANSWER_S) == {number: list(range(95, RECORDS)) for number in range(PARTITIONS)}
    subscription.start({(topic, 3): 98})
    assert read(subscription, SECOND_ANSWER_S) == {3: [98, 99]}


def test_partitions_that_begin_later_leave_the_others_where_they_are(subscription: Subscription) -> None:
    topic = begin(subscription)
    subscription.start({(topic, 0): 90, (topic, 1): RECORDS})
    assert read(subscription, SECOND_ANSWER_S) == {0: list(range(90, RECORDS))}
    subscription.start({(topic, 2): 97})
    assert read(subscription, SECOND_ANSWER_S) == {2: [97, 98, 99]}


def test_a_paused_partition_is_resumed_by_its_start(subscription: Subscription) -> None:
    topic = begin(subscription)
    subscription.start({(topic, 0): RECORDS})
    subscription.pause([(topic, 0), (topic, 1)])
    subscription.start({(topic, 0): 99})
    assert read(subscription, SECOND_ANSWER_S) == {0: [99]}


def test_a_record_that_comes_alone_does_not_wait_for_others(subscription: Subscription) -> None:
    topic = begin(subscription)
    subscription.start({(topic, 0): RECORDS - 1})
    longer_than_the_test_may_take = Waits(200.0, 0.0)
    messages: list[Message] = []
    while not any(map(_is_record, messages)):  # the end of the partition may come first
        messages = subscription.poll(10, longer_than_the_test_may_take)
