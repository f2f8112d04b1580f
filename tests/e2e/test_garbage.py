"""Records that can never be decoded: each is one dead letter, untouched, with its position, and delays no other."""

import json
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from leadscore.errors import DeadLetterReason
from leadscore.events.event import Event
from leadscore.events.event_bytes import avro_bytes, json_bytes
from tests.deployment import (
    WANDERING_MODEL,
    Deployment,
    WorkerProcess,
    assert_exact,
    headers_of,
    now_ms,
    wandering_events,
)
from tests.offsets import committed_of
from tests.servers import wait_until

pytestmark = pytest.mark.lasting_leads

EVENT = Event("website.page_view", "e1", "lead-1", now_ms(), {"path": "/pricing"})
GOOD = avro_bytes(EVENT) or b""
JSON = json_bytes(EVENT)
HOUR_MS = 3_600_000


class Garbage(NamedTuple):
    """A value that is no event, and why."""

    value: bytes | None
    reason: DeadLetterReason
    word: str = "website"
    timestamp_ms: int = now_ms()


GARBAGE = {
    "truncated": Garbage(GOOD[:-3], DeadLetterReason.MALFORMED),
    "trailing bytes": Garbage(GOOD + b"\x00", DeadLetterReason.TRAILING_BYTES),
    "wrong magic": Garbage(b"\x7f" + GOOD[1:], DeadLetterReason.UNKNOWN_FORMAT),
    "unknown fingerprint": Garbage(GOOD[:2] + b"\x00" * 8 + GOOD[10:], DeadLetterReason.UNKNOWN_SCHEMA),
    "unknown schema id": Garbage(b"\x00\x00\x00\x00\x07" + GOOD[10:], DeadLetterReason.UNKNOWN_SCHEMA),
    "null": Garbage(None, DeadLetterReason.EMPTY),
    "empty": Garbage(b"", DeadLetterReason.EMPTY),
    "5 MB": Garbage(b"{" + b" " * 5_000_000, DeadLetterReason.TOO_LARGE),
    "not JSON": Garbage(b'{"type": "website.page_view", ', DeadLetterReason.MALFORMED),
    "no lead": Garbage(JSON.replace(b"lead_id", b"load_id"), DeadLetterReason.MISSING_FIELD),
    "an email address": Garbage(JSON.replace(b"lead-1", b"a@example.com"), DeadLetterReason.INVALID_FIELD),
    "tomorrow": Garbage(GOOD, DeadLetterReason.FUTURE, timestamp_ms=EVENT.occurred_at_ms - 24 * HOUR_MS),
    "an event among commands": Garbage(JSON, DeadLetterReason.INVALID_COMMAND, word="commands"),
}


def header_texts(message: Message) -> dict[str, str]:
    return {name: text.decode() for name, text in headers_of(message) if isinstance(text, bytes)}


def test_each_garbage_record_is_one_dead_letter_and_good_events_around_it_are_scored(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(WANDERING_MODEL)
    events = wandering_events("good", 120)
    for index, (name, garbage) in enumerate(GARBAGE.items()):
        deployment.send_now(events[5 * index : 5 * index + 5])
        record: dict[str, Any] = {"key": name.encode(), "headers": [("trace", name.encode())]}
        deployment.send_bytes(garbage.word, garbage.value, garbage.timestamp_ms, **record)
    deployment.send_now(events[5 * len(GARBAGE) :])
    worker = deployment.start_worker()
    deployment.wait_until_settled()
    assert_exact(deployment, events)

    dead = {header_texts(message)["trace"]: message for message in deployment.read("dead-letters")}
    assert len(deployment.read("dead-letters")) == len(GARBAGE)
    assert {name: (message.key(), message.value()) for name, message in dead.items()} == {
        name: (name.encode(), garbage.value) for name, garbage in GARBAGE.items()
    }
    assert {name: reason_and_position(message) for name, message in dead.items()} == {
        header_texts(message)["trace"]: (GARBAGE[header_texts(message)["trace"]].reason.value, *position(message))
        for word in ("website", "commands")
        for message in deployment.read(word)
        if "trace" in header_texts(message)
    }
    causes = {(line["topic"], line["reason"]) for line in worker.said("dead_letter")}
    assert causes == {(deployment.topic(garbage.word), garbage.reason.value) for garbage in GARBAGE.values()}
    assert worker.terminate() == 0


def reason_and_position(dead: Message) -> tuple[str, ...]:
    headers = header_texts(dead)
    return tuple(headers[f"leadscore.dead_letter.{name}"] for name in ("reason", "topic", "partition", "offset"))


def position(message: Message) -> tuple[str, str, str]:
    return str(message.topic()), str(message.partition()), str(message.offset())


def test_a_topic_of_garbage_stops_instead_of_draining_into_the_dead_letters_and_restarts_do_not_drain_it(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(WANDERING_MODEL, source_partitions=1)
    deployment.environ |= {"LEADSCORE_DEAD_LETTER_MIN_RECORDS": "100", "LEADSCORE_BATCH_SIZE": "30"}
    for index in range(500):
        deployment.send_bytes("website", f"no event {index}".encode(), now_ms())
    others = [event for event in wandering_events("good", 200) if not event.type.startswith("website")]
    deployment.send_now(others)
    for _ in range(3):
        worker = deployment.start_worker()
        stopped = worker.wait_for("source_partition_stopped")
        assert stopped["topic"] == deployment.topic("website")
        assert "LEADSCORE_DEAD_LETTER_MAX_RATIO" in stopped["detail"]
        wait_until(partial(names_the_limit, worker), 30, "/readyz to say so")
        wait_until(lambda: deployment._lag(f"{deployment.name}-match", ["email", "webinar"]) == 0, 30, "other topics")
        assert worker.terminate() == 0
        published = committed_offset(deployment)
        assert published < 100
        assert f"From offset {published} on nothing" in stopped["detail"]
        dead = [message.value() for message in deployment.read("dead-letters")]
        assert dead == [f"no event {index}".encode() for index in range(published)]


def committed_offset(deployment: Deployment) -> int:
    consumer = Consumer({"bootstrap.servers": deployment.kafka.bootstrap, "group.id": f"{deployment.name}-match"})
    [committed] = committed_of(consumer, [TopicPartition(deployment.topic("website"), 0)])
    consumer.close()
    return max(committed.offset, 0)


def names_the_limit(worker: WorkerProcess) -> bool:
    return "LEADSCORE_DEAD_LETTER_MAX_RATIO" in why_not_matching(worker)


def why_not_matching(worker: WorkerProcess) -> str:
    return str(json.loads(worker.get("/readyz")[1])["checks"]["match_running"]["detail"])


def test_a_dead_letter_that_its_topic_refuses_stops_its_partition_until_the_topic_takes_it(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(WANDERING_MODEL, source_partitions=1)
    deployment.take_records_up_to("dead-letters", 20_000)
    events = wandering_events("good", 200)
    website = [event for event in events if event.type.startswith("website")]
    others = [event for event in events if not event.type.startswith("website")]
    deployment.send_now(website[:20])
    deployment.send_bytes("website", b"small", now_ms())
    large = Random(1).randbytes(200_000)
    deployment.send_bytes("website", large, now_ms())
    deployment.send_now(website[20:])
    deployment.send_now(others[:50])
    worker = deployment.start_worker()
    stopped = worker.wait_for("source_partition_stopped")
    deployment.send_now(others[50:])
    wait_until(lambda: deployment._lag(f"{deployment.name}-match", ["email", "webinar"]) == 0, 30, "the other topics")

    assert committed_offset(deployment) == 21
    wait_until(lambda: why_not_matching(worker) == stopped["detail"], 10, "unreadiness")
    for told in (deployment.topic("dead-letters"), "20000 bytes", "200", "max.message.bytes", "restart"):
        assert told in stopped["detail"]
    worker.check()
    assert worker.terminate() == 0

    deployment.take_records_up_to("dead-letters", 1_000_000)
    deployment.start_worker()
    deployment.wait_until_settled()
    assert_exact(deployment, events)
    assert {message.value() for message in deployment.read("dead-letters")} == {b"small", large}
