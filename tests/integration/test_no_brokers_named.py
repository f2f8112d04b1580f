"""A broker that was cut off names no broker at all for a moment: clients ask again, and are back within seconds.

librdkafka drops every broker that an answer does not name. A client without topics, as for questions, then has none
until it refreshes what it knows of the cluster, by default after five minutes, and one time in four not even then: the
watch over Kafka makes another client in its place. A consumer whose connections were cut before may be lost for good,
too: the group gets another member.
"""

import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from leadscore.ops.metrics import Metrics
from leadscore.pipeline.kafka import renewal
from leadscore.pipeline.kafka.clients import RenewedAdmin, make_admin, make_consumer, make_producer
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.questions import ask_for_topic
from leadscore.pipeline.kafka.renewal import ConsumerRenewal
from leadscore.pipeline.kafka.subscription import Subscription
from leadscore.pipeline.kafka.watch import KafkaWatch
from leadscore.pipeline.pace import Waits
from tests.kafka_way import KafkaWay
from tests.servers import KAFKA_VARIABLE, ServerNotAvailable, start_kafka_reached_by, wait_until

TOPIC = "cut-off"
BACK_WITHIN_S = 60
OUTAGE_S = 3.0
ROUNDS = 20
CLIENTS = {"producer", "leadscore-admin", "group"}
LOGGER = logging.getLogger("tests.no_brokers")


@pytest.fixture
def way(monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaWay]:
    monkeypatch.delenv(KAFKA_VARIABLE, raising=False)
    with KafkaWay() as made:
        try:
            kafka = start_kafka_reached_by(made.port)
        except ServerNotAvailable as reason:
            pytest.skip(f"needs a real Kafka: {reason}")
        with kafka:
            made.target_port = int(kafka.bootstrap.rpartition(":")[2])
            yield made
            made.shutdown()


@pytest.fixture
def properties(way: KafkaWay) -> Mapping[str, str]:
    reached = {"bootstrap.servers": f"127.0.0.1:{way.port}"}
    admin = AdminClient({**reached, "client.id": "creator"})
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(timeout=30)
    return reached


def from_the_beginning(consumer: Consumer, places: list[TopicPartition]) -> None:
    consumer.assign([TopicPartition(place.topic, place.partition, 0) for place in places])


def test_clients_that_were_told_of_no_broker_are_back_within_seconds(
    way: KafkaWay, properties: Mapping[str, str]
) -> None:
    producer = make_producer(properties, "producer", LOGGER)
    admin = RenewedAdmin(lambda: make_admin(properties, LOGGER))
    watch = KafkaWatch(admin, TOPIC, f"127.0.0.1:{way.port}", Metrics("1", []).kafka)
    consumer = make_consumer(properties, "group", "range", LOGGER)
    consumer.subscribe([TOPIC], on_assign=from_the_beginning)

    def send_and_read() -> None:
        producer.produce(TOPIC, b"a record")
        assert producer.flush(BACK_WITHIN_S) == 0
        wait_until(lambda: has_read(consumer), BACK_WITHIN_S, "the record")

    send_and_read()
    wait_until(lambda: is_answered(admin), BACK_WITHIN_S, "an answer")
    way.hides_brokers = True
    for client in (producer, consumer, admin.client):
        client.list_topics(timeout=30)
    assert way.told >= CLIENTS
    way.hides_brokers = False
    send_and_read()
    wait_until(lambda: sees_kafka(watch, admin), BACK_WITHIN_S, "an answer")
    consumer.close()


class Member:
    """A consumer of a group of its own, and what looks after it."""

    def __init__(self, properties: Mapping[str, str], group: str) -> None:
        self.subscription = Subscription(self.make(properties, group), [TOPIC], lambda _: None)
        self.renewal = ConsumerRenewal(self.subscription, group, partial(self.make, properties, group))
        self.offset = 0

    @staticmethod
    def make(properties: Mapping[str, str], group: str) -> Consumer:
        return make_consumer(properties, group, "range", LOGGER)

    def step(self) -> bool:
        """One turn; whether it has read on."""
        self.renewal.look(is_kafka_away=False)
        messages = self.subscription.poll(10, Waits(0.0, 0.01))
        _, fresh = self.subscription.take_changes()
        if fresh:
            self.subscription.start(dict.fromkeys(fresh, self.offset))
        read = [message for message in messages if message.error() is None]
        if read:
            self.offset = (read[-1].offset() or 0) + 1
        return bool(read)

    @property
    def is_stranded(self) -> bool:
        try:
            self.subscription.consumer.list_topics(TOPIC, timeout=2)
        except KafkaException:
            return True
        return False


def test_a_consumer_that_has_no_broker_left_to_ask_is_replaced(
    way: KafkaWay, properties: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(renewal, "UNASSIGNED_FOR_S", 2.0)
    producer = make_producer(properties, "producer", LOGGER)
    members = [Member(properties, f"group-{number}") for number in range(8)]

    def all_read() -> None:
        producer.produce(TOPIC, b"a record")
        assert producer.flush(BACK_WITHIN_S) == 0
        behind = list(members)
        deadline = Deadline(BACK_WITHIN_S)
        while behind and deadline.left_s:
            behind = [member for member in behind if not member.step()]
        assert behind == []

    all_read()
    stranded: list[Member] = []
    for _ in range(ROUNDS):
        way.hides_brokers = True
        way.cut()
        time.sleep(OUTAGE_S)
        way.hides_brokers = False
        time.sleep(OUTAGE_S)
        stranded = [member for member in members if member.is_stranded]
        if stranded:
            break
    assert stranded, "no consumer was left without brokers: is librdkafka issue 5301 fixed, and the renewal needless?"
    all_read()
    assert len(said(caplog, "consumer_replaced")) >= len(stranded)
    for member in members:
        member.subscription.close()


def said(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.message == event]


def has_read(consumer: Consumer) -> bool:
    return any(message.error() is None for message in consumer.consume(10, 0.1))


def is_answered(admin: RenewedAdmin) -> bool:
    try:
        ask_for_topic(admin.client, TOPIC, timeout_s=2).result(timeout=5)
    except KafkaException:
        return False
    return True


def sees_kafka(watch: KafkaWatch, admin: RenewedAdmin) -> bool:
    watch.look()
    return is_answered(admin)


ASKING = """
import logging, sys
from contextlib import suppress
from confluent_kafka import KafkaException
from leadscore.pipeline.kafka.clients import make_admin
from leadscore.pipeline.kafka.questions import ask_for_topic

admin = make_admin({"bootstrap.servers": sys.argv[1]}, logging.getLogger("asking"))
for _ in range(4):
    with suppress(KafkaException):
        ask_for_topic(admin, sys.argv[2], 2.0).result(10)
    print("asked", flush=True)
    sys.stdin.readline()
"""


def test_the_question_whether_kafka_answers_ends_no_process(way: KafkaWay, properties: Mapping[str, str]) -> None:
    command = [sys.executable, "-c", ASKING, properties["bootstrap.servers"], TOPIC]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        assert asking.stdout.readline() == "asked\n"
        way.hides_brokers = True
        said, _ = asking.communicate("\n" * 4, timeout=60)
    assert (asking.returncode, said) == (0, "asked\n" * 3)
    assert "leadscore-admin" in way.told
