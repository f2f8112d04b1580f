"""What is left of a partition: its bounds, what a group has committed, and a deletion such as retention makes."""

from typing import NamedTuple

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.deployment import Deployment
from tests.offsets import committed_of, once_moved


class Place(NamedTuple):
    """Of one partition: the oldest offset it holds, the one after its newest, and what the group has committed."""

    low: int
    high: int
    committed: int


def place_of(deployment: Deployment, stage: str, word: str, partition: int) -> Place:
    consumer = Consumer({**deployment.kafka.properties, "group.id": f"{deployment.name}-{stage}"})
    try:
        asked = TopicPartition(deployment.topic(word), partition)
        low, high = once_moved(lambda: consumer.get_watermark_offsets(asked, timeout=10))
        [committed] = committed_of(consumer, [asked])
        return Place(low, high, committed.offset)
    finally:
        consumer.close()


def delete_below(deployment: Deployment, word: str, partition: int, offset: int) -> None:
    """What retention does, at once."""
    admin = AdminClient({**deployment.kafka.properties})
    for deleted in admin.delete_records([TopicPartition(deployment.topic(word), partition, offset)]).values():
        deleted.result(timeout=30)
