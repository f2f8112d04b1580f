"""The newest records of a topic in Kafka as the mappings map them, for ``leadscore map --from-kafka``.

They are read as the worker would: with its settings, its schema registry and its limits. Nothing is committed, and no
group is joined.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from heapq import nlargest
from typing import NamedTuple, cast

from confluent_kafka import Consumer, Message, TopicPartition

from leadscore.cli.kafka_session import KafkaSession, records_between
from leadscore.cli.mapped_records import MappedRecord, mapped, topic_of
from leadscore.cli.raw_records import RawRecord
from leadscore.errors import ConfigError
from leadscore.events.registered import Headers
from leadscore.events.times import TimeLimits
from leadscore.events.validation import LeaveOut
from leadscore.mapping.decoding import Beside, MappedTopics
from leadscore.mapping.load import load_mappings
from leadscore.mapping.topics import compile_mappings
from leadscore.ops.config import Config
from leadscore.pipeline.kafka.questions import log_bounds, partition_count
from leadscore.pipeline.schema_registry import make_registry

NEWEST = 100


class Newest(NamedTuple):
    """Which records: the newest of a topic, or of the only one that is mapped."""

    topic: str | None
    number: int


def newest_records(
    config: Config, mappings_path: str | None, newest: Newest, leave_out: LeaveOut
) -> Iterator[MappedRecord]:
    """The newest records, mapped, in the order of their time; ``Unavailable`` without Kafka or the registry."""
    if mappings_path is None:
        raise ConfigError("--mappings: not set: expected it, or LEADSCORE_MAPPINGS")
    mappings = load_mappings(mappings_path)
    topic = topic_of(mappings, newest.topic)
    registry = make_registry(config)
    compiled = compile_mappings(mappings, config.lead_id_key, config.command_topic, leave_out)
    topics = MappedTopics(compiled, registry.lookup if registry is not None else None, config.max_record_bytes)
    session = KafkaSession(config)
    with closing(session.consumer(f"{config.group}-tool")) as consumer:
        messages = _newest(session, consumer, topic, newest.number)
    limits = TimeLimits(config.earliest_ms, config.max_future_skew_ms, int(time.time() * 1_000))
    return mapped(map(_raw, messages), topics, limits, topic)


def _newest(session: KafkaSession, consumer: Consumer, topic: str, number: int) -> list[Message]:
    partitions = [(topic, partition) for partition in range(partition_count(consumer, topic))]
    records = (
        message
        for (_, partition), (low, high) in log_bounds(session.admin(), partitions).items()
        for message in records_between(consumer, TopicPartition(topic, partition, max(low, high - number)), high)
    )
    return nlargest(number, records, key=_place)[::-1]


def _place(message: Message) -> tuple[int, int, int]:
    """By time; offsets of one partition in their order."""
    return message.timestamp()[1], message.partition() or 0, message.offset() or 0


def _raw(message: Message) -> RawRecord:
    timestamp_ms = message.timestamp()[1]
    headers = cast("Headers | None", message.headers())
    beside = Beside(message.key(), headers, timestamp_ms if timestamp_ms >= 0 else None)
    where = f"{message.topic()}/{message.partition()}/{message.offset()}"
    return RawRecord(where, message.topic(), message.value(), beside)
