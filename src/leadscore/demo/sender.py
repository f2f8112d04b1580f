"""Hands generated records to the input topics of a broker and counts what became of them.

Every record's Kafka timestamp is its own ``timestamp_ms``, as if it had been sent at once. The topics are not keyed
alike, on purpose: the worker's inputs need no particular keys.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TextIO

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from leadscore.demo.traffic import GeneratedEvent
from leadscore.errors import ConfigError, Unavailable
from leadscore.events.contracts import COMMAND_CONTRACT, EVENT_CONTRACTS, TopicRole, contract_of_source
from leadscore.events.event_bytes import avro_bytes, json_bytes
from leadscore.ops.config import Config
from leadscore.pipeline.kafka.refused_properties import refused_properties

DELIVERY_TIMEOUT_S = 30
ANSWER_TIMEOUT_S = 10
CREATION_TIMEOUT_S = 5


def topics_by_role(config: Config) -> dict[TopicRole, str]:
    """The topic of each role: the source topic whose name ends with the role's name."""
    topics: dict[TopicRole, str] = {COMMAND_CONTRACT.topic_role: config.command_topic}
    for contract in EVENT_CONTRACTS:
        role = contract.topic_role
        fitting = [topic for topic in config.source_topics if contract_of_source(topic) is contract]
        if len(fitting) != 1:
            raise ConfigError(
                f"LEADSCORE_SOURCE_TOPICS: {','.join(config.source_topics)!r}: to produce, expected exactly one topic "
                f"whose name ends with {role!r}"
            )
        topics[role] = fitting[0]
    return topics


class Sender:
    """Sends records to a broker and counts what became of them. ``ConfigError`` for properties librdkafka refuses."""

    def __init__(self, config: Config, value_format: str) -> None:
        self._topics = topics_by_role(config)
        self._as_avro = value_format == "avro"
        self._sent: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._unanswered = 0
        self._seconds = 0.0
        self._complaint = ""
        # librdkafka would say every failed attempt to connect on stderr; its last complaint goes into our message.
        preferred = {"log_level": 0, "linger.ms": 20, "queue.buffering.max.messages": 100_000}
        owned = {"enable.idempotence": True, "partitioner": "murmur2_random", "error_cb": self._complained}
        limits = {"message.timeout.ms": DELIVERY_TIMEOUT_S * 1_000}
        with refused_properties(config.kafka):
            self._producer = Producer({**preferred, **config.kafka, **owned, **limits})

    def check_topics(self) -> None:
        """``ConfigError`` where an input topic is missing, ``Unavailable`` where no broker answers.

        A broker that creates topics by itself gets a few seconds to do so.
        """
        deadline_s = time.monotonic() + CREATION_TIMEOUT_S
        for topic in self._topics.values():
            while not self._exists(topic):
                if time.monotonic() > deadline_s:
                    raise ConfigError(f"topic {topic!r} is not on the broker: `leadscore topics create` makes it")
                self._producer.poll(0.1)

    def send(self, records: Iterable[GeneratedEvent], rate: float, clock: Callable[[], float]) -> None:
        """Send them all, ``rate`` per second (0: no limit), and wait until every one is delivered or has failed."""
        started_s = clock()
        try:
            for number, record in enumerate(records):
                while rate and (ahead_s := started_s + number / rate - clock()) > 0:
                    self._producer.poll(ahead_s)
                self._send_one(record)
        finally:
            self._unanswered = self._producer.flush(DELIVERY_TIMEOUT_S + 5)
            self._seconds = clock() - started_s

    def report(self, out: TextIO, errors: TextIO) -> int:
        """Say what was delivered, and why the rest was not. 0 where all was, else 1."""
        failures = self._failures + Counter({"no answer in time": self._unanswered})
        total = sum(self._sent.values())
        rate = total / self._seconds if self._seconds else 0.0
        per_topic = ", ".join(f"{topic} {number:,}" for topic, number in sorted(self._sent.items()))
        delivered = f"{total - failures.total():,} of {total:,} records delivered"
        out.write(f"{delivered} in {self._seconds:.1f} s ({rate:,.0f}/s): {per_topic}\n")
        errors.writelines(f"{number:,} records not delivered: {why}\n" for why, number in failures.most_common())
        return 1 if failures else 0

    def _exists(self, topic: str) -> bool:
        try:
            state = self._producer.list_topics(topic, timeout=ANSWER_TIMEOUT_S).topics[topic]
        except KafkaException as error:
            self._producer.poll(0)
            why = self._complaint or error.args[0].str()
            raise Unavailable("kafka", "connection", f"no broker answers: {why}") from error
        return state.error is None

    def _send_one(self, record: GeneratedEvent) -> None:
        topic = self._topics[record.topic_role]
        value, key = self._value(record), _key(record)
        self._sent[topic] += 1
        while True:
            try:
                self._producer.produce(topic, value, key, timestamp=record.timestamp_ms, on_delivery=self._delivered)
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                self._failures[f"{topic}: {error.args[0].str()}"] += 1
                return

    def _value(self, record: GeneratedEvent) -> bytes:
        if isinstance(record.content, bytes):
            return record.content
        avro = avro_bytes(record.content) if self._as_avro else None
        return json_bytes(record.content) if avro is None else avro

    def _complained(self, error: KafkaError) -> None:
        self._complaint = error.str()

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures[f"{message.topic()}: {error.str()}"] += 1


def _key(record: GeneratedEvent) -> str | None:
    """No key, the event's id, or the lead's: three habits of three teams."""
    if record.topic_role == "website" or isinstance(record.content, bytes):
        return None
    return record.content.event_id if record.topic_role == "email" else record.content.lead_id
