"""What a consumer asks Kafka about offsets, and asks again while a leader or a coordinator moves.

They move when a broker starts, and when the controller has not heard from it for a while, as on a busy machine.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import Consumer, KafkaException, TopicPartition

from leadscore.errors import KafkaErrorKind
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.error_kinds import kind_of

LONGEST_MOVE_S = 30
MOVING = (KafkaErrorKind.LEADER, KafkaErrorKind.COORDINATOR)

Answer = TypeVar("Answer")


def places_of(consumer: Consumer, topic: str) -> list[TopicPartition]:
    """The partitions of a topic, without offsets."""
    numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    return [TopicPartition(topic, number) for number in numbers]


def committed_of(consumer: Consumer, places: list[TopicPartition]) -> list[TopicPartition]:
    """The places with what the consumer's group has committed of them."""
    return once_moved(lambda: consumer.committed(places, timeout=10))


def end_of(consumer: Consumer, place: TopicPartition) -> int:
    """The offset that the partition's next record gets."""
    return once_moved(lambda: consumer.get_watermark_offsets(place, timeout=10)[1])


def unread_of(consumer: Consumer, topic: str) -> int:
    """The offsets of a topic that the consumer's group has not committed."""
    committed = committed_of(consumer, places_of(consumer, topic))
    return sum(end_of(consumer, place) - max(place.offset, 0) for place in committed)


def once_moved(ask: Callable[[], Answer]) -> Answer:
    """The answer; an error that does not end by asking again, or lasts ``LONGEST_MOVE_S``, is raised."""
    deadline = Deadline(LONGEST_MOVE_S)
    while True:
        try:
            return ask()
        except KafkaException as error:
            if kind_of(error.args[0]) not in MOVING or not deadline.left_s:
                raise
        time.sleep(0.1)
