"""Handing a record to the producer, whose queue may be full and whose errors may be final."""

from collections.abc import Callable
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from leadscore.errors import WorkerStopped

Headers = list[tuple[str, str | bytes | None]]
OnDelivery = Callable[[KafkaError | None, Message], None]

FULL_QUEUE_WAIT_S = 0.1
ANY_PARTITION = -1
NOW = 0


class OutputRecord(NamedTuple):
    """A record to produce; without a partition its key decides, without a timestamp (ms) it is of now."""

    key: bytes | None
    value: bytes | None
    headers: Headers = []  # noqa: RUF012  # never changed
    partition: int = ANY_PARTITION
    timestamp_ms: int = NOW


def hand_over(producer: Producer, topic: str, record: OutputRecord, on_delivery: OnDelivery) -> None:
    """Give the record to the producer, waiting while its queue is full; ``WorkerStopped`` if it can never be sent."""
    refusal = offer(producer, topic, record, on_delivery)
    if refusal is not None:
        raise WorkerStopped(f"a record for topic {topic} cannot be produced: {refusal.str()}")


def offer(producer: Producer, topic: str, record: OutputRecord, on_delivery: OnDelivery) -> KafkaError | None:
    """The same; the answer is why it can never be sent, and then ``on_delivery`` is not called."""
    while True:
        try:
            producer.produce(
                topic,
                record.value,
                record.key,
                partition=record.partition,
                timestamp=record.timestamp_ms,
                headers=record.headers,
                on_delivery=on_delivery,
            )
        except BufferError:
            producer.poll(FULL_QUEUE_WAIT_S)
        except KafkaException as error:
            refusal: KafkaError = error.args[0]
            return refusal
        else:
            return None
