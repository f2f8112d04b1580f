"""What the merge by time costs at the broker: a backlog is fetched once, though topics have unlike rates."""

import json
import logging
from collections.abc import Callable
from typing import Any, cast

from confluent_kafka import Message, Producer

from leadscore.pipeline.kafka.clients import SOURCE_CONSUMER, make_consumer
from leadscore.pipeline.kafka.records import Partition
from leadscore.pipeline.kafka.subscription import Subscription
from leadscore.pipeline.match.alignment import RECORD_BYTES, Alignment
from leadscore.pipeline.pace import Waits
from tests.servers import KafkaServer, wait_until

PARTITIONS = 3
RECORDS = {"website": 60_000, "email": 30_000, "webinar": 10_000}
HELD_BYTES = 28_000_000
"""Of records that take 70 MB: partitions have to be paused."""
POLL = 2_000
WAITS = Waits(0.0, 0.1)
VALUE = b"x" * 200
READY_RECORDS = SOURCE_CONSUMER["queued.min.messages"] + SOURCE_CONSUMER["fetch.message.max.bytes"] // len(VALUE)
"""What one poll may bring of a partition, at most: what the client has ready."""


class Backlog:
    """Three topics whose records are spread over the same time; ``fetched_bytes`` is what librdkafka got of them."""

    def __init__(self, kafka: KafkaServer, topics: dict[str, str], group: str) -> None:
        self.fetched_bytes = 0
        self.told = 0
        properties = {**kafka.properties, "statistics.interval.ms": 100, "stats_cb": self._on_statistics}
        logger = logging.getLogger("tests.fetching")
        self.subscription = Subscription(
            make_consumer(cast("dict[str, str]", properties), group, "range", logger, fetching=SOURCE_CONSUMER),
            list(topics.values()),
            lambda _: None,
            cooperative=False,
        )
        self._alignment: Alignment[Partition, Message] = Alignment(60_000, HELD_BYTES)
        self.pauses = 0
        self.most_held_bytes = 0

    def begin(self) -> None:
        """All partitions from their beginning."""
        wait_until(lambda: not self.subscription.poll(10, WAITS) and self.subscription.assigned, 30, "the partitions")
        partitions = self.subscription.assigned
        self._alignment.assign(partitions)
        self.subscription.start(dict.fromkeys(partitions, 0))

    def turn(self) -> list[int]:
        """Poll, hold, take; the times of what was taken."""
        for message in self.subscription.poll(POLL, WAITS):
            key = (message.topic() or "", message.partition() or 0)
            if message.error() is None:
                self._alignment.add(key, [(message.timestamp()[1], len(message), message)])
            else:
                self._alignment.at_end(key)
        self.most_held_bytes = max(self.most_held_bytes, self._alignment.held_bytes)
        flow = self._alignment.flow()
        self.pauses += len(flow.pause)
        self.subscription.pause(flow.pause)
        self.subscription.resume(flow.resume)
        return [message.timestamp()[1] for message in self._alignment.take(0, POLL)]

    def _on_statistics(self, text: str) -> None:
        statistics: dict[str, Any] = json.loads(text)
        self.told += 1
        self.fetched_bytes = statistics["rxmsg_bytes"]


def test_a_backlog_of_topics_at_unlike_rates_is_fetched_once(
    kafka: KafkaServer, new_topic: Callable[..., str], fresh_name: Callable[[str], str]
) -> None:
    topics = {name: new_topic(name, partitions=PARTITIONS) for name in RECORDS}
    fill(kafka, topics)
    backlog = Backlog(kafka, topics, fresh_name("group"))
    backlog.begin()
    times_ms: list[int] = []
    while len(times_ms) < sum(RECORDS.values()):
        times_ms += backlog.turn()
    assert times_ms == sorted(times_ms)
    told = backlog.told
    wait_until(lambda: not backlog.turn() and backlog.told > told, 10, "the last statistics")
    assert backlog.pauses > 0
    assert backlog.most_held_bytes <= HELD_BYTES + len(RECORDS) * PARTITIONS * READY_RECORDS * (
        len(VALUE) + RECORD_BYTES
    )
    assert backlog.fetched_bytes <= 1.2 * sum(RECORDS.values()) * len(VALUE)
    backlog.subscription.close()


def fill(kafka: KafkaServer, topics: dict[str, str]) -> None:
    """Every topic's records from second 1 on, evenly within the same hour."""
    producer = Producer(
        {**kafka.properties, "linger.ms": 50, "batch.size": 32_768, "queue.buffering.max.messages": 1_000_000}
    )
    for name, number in RECORDS.items():
        for index in range(number):
            timestamp_ms = 1_000 + 3_600_000 * index // number
            producer.produce(topics[name], VALUE, partition=index % PARTITIONS, timestamp=timestamp_ms)
    producer.flush(60)
