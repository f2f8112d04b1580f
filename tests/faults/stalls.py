"""How long nothing of a partition is committed although there is something to commit: the pauses of a hand-over.

Seen from outside, by the group's offsets and the ends of the partitions, several times a second, while there is load.
"""

import time
from collections.abc import Sequence
from threading import Event as Flag
from threading import Thread
from typing import Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.deployment import OUT_OF_GROUP, Deployment

LOOK_EVERY_S = 0.1

Place = tuple[str, int]


class Stalls:
    """Watches the topics of a group while the block runs; ``longest_s`` is the longest pause of any partition."""

    def __init__(self, deployment: Deployment, group: str, words: Sequence[str]) -> None:
        own = {"group.id": f"{deployment.name}-{group}", **OUT_OF_GROUP, "fetch.wait.max.ms": 20}
        self._consumer = Consumer({**deployment.kafka.properties, **own})
        self._places = [
            TopicPartition(topic, number)
            for topic in map(deployment.topic, words)
            for number in self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ]
        self.longest_s = 0.0
        self._committed: dict[Place, int] = {}
        self._waiting_since_s: dict[Place, float] = {}
        self._is_over = Flag()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        self._thread.join(30)
        self._consumer.close()

    def _watch(self) -> None:
        while not self._is_over.wait(LOOK_EVERY_S):
            try:
                self._look()
            except KafkaException:  # a coordinator that is busy with a rebalance: the next look sees the same pause
                continue

    def _look(self) -> None:
        committed = self._consumer.committed(self._places, timeout=5)
        now_s = time.monotonic()
        for place in committed:
            key = (place.topic, place.partition)
            beginning, end = self._consumer.get_watermark_offsets(place, timeout=5)
            # Of a partition without a record nothing was ever committed, and its offset is below its beginning.
            if max(place.offset, beginning) >= end or place.offset != self._committed.get(key):
                self._waiting_since_s[key] = now_s
            self._committed[key] = place.offset
            self.longest_s = max(self.longest_s, now_s - self._waiting_since_s.get(key, now_s))
