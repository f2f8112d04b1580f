"""What stands at both ends of a worker in live operation, each in a process of its own so that neither disturbs it.

``python -m tests.bench.live_ends``, a ``Sending`` or a ``Reading`` as JSON on stdin; the last line on stdout is a
``Sent`` or a ``Seen`` as JSON. A subscriber prints a line when it is ready.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from uuid import uuid4

import msgspec
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from leadscore.events.event_bytes import avro_bytes, json_bytes
from tests.bench.open_loop import Schedule, every_second_crosses, few_cross, planned_of
from tests.deployment import decode_crossing

PREPARING_S_PER_EVENT = 40e-6
SLEEP_S = 0.0005
SILENCE_S = 10.0


class Sending(msgspec.Struct, frozen=True, tag=True):
    """What to send; of a backlog, everything at once, planned for the time before."""

    kafka: dict[str, str]
    topics: str
    name: str
    rate: float
    count: int
    is_pairs: bool = False
    is_backlog: bool = False


class Reading(msgspec.Struct, frozen=True, tag=True):
    """Which crossings to wait for: ``count`` of them, or as long as they come."""

    kafka: dict[str, str]
    topic: str
    count: int


class Sent(msgspec.Struct, frozen=True):
    """When the first event was planned, and how much later than planned the latest one was sent."""

    start_us: int
    latest_ms: float


class Arrival(msgspec.Struct, frozen=True, array_like=True):
    """A crossing: when the event that caused it was planned, logged (Kafka's clock), and when the crossing was here."""

    lead_id: str
    place: int
    planned_us: int
    logged_ms: int
    arrived_us: int


class Seen(msgspec.Struct, frozen=True):
    """Every crossing once, by arrival."""

    arrivals: list[Arrival]


def now_us() -> int:
    """UTC, microseconds."""
    return time.time_ns() // 1000


def send(sending: Sending) -> Sent:
    """Encode everything first; then send each event at its planned time."""
    until_start_s = -sending.count / sending.rate if sending.is_backlog else 1 + sending.count * PREPARING_S_PER_EVENT
    schedule = Schedule(now_us() + int(until_start_s * 1e6), sending.rate, sending.count)
    made = (every_second_crosses if sending.is_pairs else few_cross)(schedule, sending.name)
    records = [
        (f"{sending.topics}.{event.type.partition('.')[0]}", avro_bytes(event) or json_bytes(event)) for event in made
    ]
    # Without keys, and with the client's own linger of 5 ms: a request for each event would measure the broker.
    producer = Producer({**sending.kafka, "queue.buffering.max.messages": 10_000_000})
    sent, latest_us = 0, 0
    while sent < schedule.number:
        due = schedule.due(now_us())
        for index in range(sent, due):
            topic, value = records[index]
            producer.produce(topic, value, timestamp=schedule.planned_us(index) // 1000)
        if sent < due:
            latest_us = max(latest_us, now_us() - schedule.planned_us(sent))
            sent = due
        producer.poll(0)
        time.sleep(SLEEP_S)
    producer.flush()
    return Sent(schedule.start_us, latest_us / 1000)


def read(reading: Reading) -> Seen:
    """What a subscriber in its own process reads, from now on."""
    properties = {**reading.kafka, "group.id": f"bench-{uuid4().hex[:8]}", "isolation.level": "read_committed"}
    records: list[tuple[int, Message]] = []
    with closing(Consumer({**properties, "enable.auto.commit": False})) as consumer:
        numbers = consumer.list_topics(reading.topic, timeout=10).topics[reading.topic].partitions
        ends = {
            number: consumer.get_watermark_offsets(TopicPartition(reading.topic, number), timeout=10)[1]
            for number in numbers
        }
        consumer.assign([TopicPartition(reading.topic, number, end) for number, end in ends.items()])
        say("ready")
        heard_s = time.monotonic()
        while len(records) < reading.count and (not records or time.monotonic() - heard_s < SILENCE_S):
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                records.append((now_us(), message))
                heard_s = time.monotonic()
    return Seen(list(_first_of_each(records)))


def _first_of_each(records: Iterable[tuple[int, Message]]) -> Iterator[Arrival]:
    event_ids = set()
    for arrived_us, message in records:
        crossing = decode_crossing(message.value() or b"")
        event_id = crossing["trigger"]["event_id"]
        if event_id not in event_ids:
            event_ids.add(event_id)
            planned = planned_of(event_id)
            yield Arrival(crossing["lead_id"], planned.place, planned.at_us, message.timestamp()[1], arrived_us)


def say(line: str) -> None:
    """To the process that started this one."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the job, do it, say what came out."""
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Sending | Reading)
    outcome = send(job) if isinstance(job, Sending) else read(job)
    say(msgspec.json.encode(outcome).decode())


if __name__ == "__main__":
    main()
