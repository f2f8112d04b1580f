"""Dead letters sent back to their topics: each record at most once, whatever becomes of the command."""

import json
from collections.abc import Callable
from contextlib import closing, suppress
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest
from confluent_kafka import KafkaException, Message, Producer

from leadscore.cli.dead_letter_topic import DeadLetterTopic, StoredLetter
from leadscore.cli.kafka_session import KafkaSession
from leadscore.cli.main import main
from leadscore.cli.redriving import Redriving
from leadscore.errors import DeadLetter, DeadLetterReason, WorkerStopped
from leadscore.events.event import Event
from leadscore.events.event_bytes import json_bytes
from leadscore.ops.config import load_config
from leadscore.pipeline.match.dead_letter_headers import Origin, dead_letter_headers
from tests.deployment import FEW_RECENT, FEW_RECENT_EVENTS, LASTING_MODEL, Deployment, assert_exact, headers_of, now_ms
from tests.servers import wait_until

pytestmark = pytest.mark.lasting_leads

Deploy = Callable[..., Deployment]
Dlq = Callable[..., tuple[int, str, str]]


@pytest.fixture
def dlq(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Dlq:
    """``dlq(deployment, "list")`` is exit code, output and complaints of the command."""

    def run(deployment: Deployment, *arguments: str) -> tuple[int, str, str]:
        for name, value in deployment.config().items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = main(["dlq", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def put_dead_letter(
    deployment: Deployment,
    offset: int,
    topic: str = "website",
    reason: DeadLetterReason = DeadLetterReason.MALFORMED,
    size: int = 0,
) -> None:
    """A dead letter as the worker writes it: of partition 1 of a topic, one second later for each offset."""
    origin = Origin(deployment.topic(topic), 1, offset, "g", "topic-id", 1_000_000_000_000 + 1_000 * offset)
    headers = dead_letter_headers(origin, DeadLetter(reason, "expected JSON"), [("trace", b"t")])
    value = f"value {offset}".encode() + Random(offset).randbytes(size)  # which nothing compresses
    deployment.send_bytes("dead-letters", value, now_ms(), key=b"key", headers=headers)
    deployment.producer.flush(30)


def redriven(deployment: Deployment, number: int) -> list[str]:
    return sorted((message.value() or b"")[:7].decode() for message in visible(deployment, number))


def visible(deployment: Deployment, number: int, key: bytes = b"key") -> list[Message]:
    """This many records with the key: a transaction is decided before the broker lets its readers see it."""

    def records() -> list[Message]:
        return [message for message in deployment.read("website") if message.key() == key]

    wait_until(lambda: len(records()) >= number, 30, f"{number} records to be visible")
    return records()


def texts(message: Message) -> dict[str, str]:
    return {name: text.decode() for name, text in headers_of(message) if isinstance(text, bytes)}


class Begun(NamedTuple):
    """A command that has begun, and what it is about to send."""

    redriving: Redriving
    letter: StoredLetter


def beginning(deployment: Deployment) -> Begun:
    config, name = load_config(deployment.config()), deployment.topic("dead-letters")
    session = KafkaSession(config)
    redriving = Redriving(session.transactional_producer(f"{name}-redrive"), name)
    with closing(session.consumer("reader")) as consumer:
        return Begun(redriving, DeadLetterTopic(session, consumer, name).letter(0, 0))


def test_a_redriven_record_is_scored_once_however_often_it_is_redriven(deploy: Deploy, dlq: Dlq) -> None:
    deployment = deploy(LASTING_MODEL)
    deployment.environ |= FEW_RECENT
    events = [Event("website.page_view", f"e{number}", "L1", now_ms() - 60_000, {"n": number}) for number in range(20)]
    long = msgspec.structs.replace(events[0], fields={"path": "/" + "x" * 2_000})
    deployment.send_bytes("website", json_bytes(long), now_ms(), partition=1, key=b"k", headers=[("trace", b"t")])

    def pass_on(some: list[Event], copies: int) -> None:
        """Let the worker come to an end: behind what was redriven, which ends with the mark of its transaction."""
        visible(deployment, copies, b"k")
        for event in some:
            deployment.send_bytes("website", json_bytes(event), now_ms(), partition=1)
        deployment.producer.flush(30)
        deployment.wait_until_done()

    worker = deployment.start_worker(LEADSCORE_MAX_RECORD_BYTES="1024")
    pass_on(events[1:2], 1)
    assert dlq(deployment, "redrive")[0] == 0  # before the cause is fixed: it becomes a dead letter again
    pass_on(events[2:3], 2)
    assert worker.terminate() == 0

    deployment.start_worker()
    assert dlq(deployment, "redrive")[1].splitlines() == [
        f"1 dead letter sent back: 1 to {deployment.topic('website')}",
        "1 not sent: redriven before",
    ]
    pass_on(events[3:19], 3)
    assert dlq(deployment, "redrive")[1] == "0 dead letters sent back\n2 not sent: redriven before\n"
    pass_on(events[19:], 3)
    assert_exact(deployment, events, FEW_RECENT_EVENTS)

    sent, failed_again, scored = visible(deployment, 3, b"k")
    assert texts(sent) == {"trace": "t"}
    position = {"topic": str(sent.topic()), "partition": str(sent.partition()), "offset": str(sent.offset())}
    for message in (failed_again, scored):
        assert (message.key(), message.value(), message.timestamp()) == (sent.key(), sent.value(), sent.timestamp())
        own = texts(message)
        assert own.pop("leadscore.redriven.topic_id")
        assert own == {"trace": "t"} | {f"leadscore.redriven.{name}": text for name, text in position.items()}


def test_a_redrive_that_was_killed_or_runs_beside_another_sends_nothing_twice(deploy: Deploy, dlq: Dlq) -> None:
    deployment = deploy(LASTING_MODEL)
    for offset in range(3):
        put_dead_letter(deployment, offset)
    put_dead_letter(deployment, 2)  # as a worker leaves it that was killed before its commit
    properties: dict[str, Any] = {
        **deployment.kafka.properties,
        "transactional.id": f"{deployment.topic('dead-letters')}-redrive",
        "error_cb": lambda _: None,
    }
    killed = Producer(properties)
    killed.init_transactions(30)
    killed.begin_transaction()
    killed.produce(deployment.topic("website"), b"value 0", b"key", partition=1)
    killed.flush(30)

    code, out, _ = dlq(deployment, "redrive", "--limit", "1")
    assert (code, out) == (0, f"1 dead letter sent back: 1 to {deployment.topic('website')}\n")
    with pytest.raises(KafkaException):
        killed.commit_transaction(30)
    assert redriven(deployment, 1) == ["value 0"]

    code, out, _ = dlq(deployment, "redrive")
    assert out.splitlines() == [
        f"2 dead letters sent back: 2 to {deployment.topic('website')}",
        "1 not sent: redriven before",
        "1 not sent: copies of others, as a worker that crashed leaves them",
    ]
    first = beginning(deployment)
    assert dlq(deployment, "redrive")[1].splitlines()[0] == "0 dead letters sent back"
    with pytest.raises(WorkerStopped, match="another redrive from topic d-"):
        first.redriving.send([first.letter])
    assert redriven(deployment, 3) == ["value 0", "value 1", "value 2"]
    with suppress(KafkaException):
        killed.abort_transaction(10)


def test_only_what_is_asked_for_is_sent_and_only_to_topics_that_are_read(deploy: Deploy, dlq: Dlq) -> None:
    deployment = deploy(LASTING_MODEL)
    put_dead_letter(deployment, 0, reason=DeadLetterReason.EMPTY)
    for offset in range(1, 4):
        put_dead_letter(deployment, offset, size=5_000 if offset == 3 else 0)
    put_dead_letter(deployment, 4, topic="crossings")
    deployment.send_bytes("dead-letters", b"of another program", now_ms())
    deployment.producer.flush(30)
    deployment.take_records_up_to("website", 2_000)

    chosen = ["--reason", "malformed", "--since", "2001-09-09T01:46:42Z", "--until", "1000000004000"]
    website = deployment.topic("website")
    assert dlq(deployment, "redrive", "--dry-run", *chosen) == (
        0,
        f"2 dead letters would be sent back: 2 to {website}\n",
        "",
    )
    assert redriven(deployment, 0) == []
    code, out, complaint = dlq(deployment, "redrive", *chosen)
    assert (code, out.splitlines(), complaint) == (
        1,
        [
            f"1 dead letter sent back: 1 to {website}",
            f"0/3 not sent: topic {website} refuses it: Broker: Message size too large",
        ],
        "",
    )
    deployment.take_records_up_to("website", 1_000_000)
    assert dlq(deployment, "redrive", *chosen)[0] == 0
    assert redriven(deployment, 2) == ["value 2", "value 3"]

    code, _, complaint = dlq(deployment, "redrive", "--topic", deployment.topic("crossings"))
    assert (code, "nothing is sent to a topic that the worker does not read" in complaint) == (2, True)
    code, out, _ = dlq(deployment, "redrive")
    assert (code, out.splitlines()[0].startswith("2 dead letters sent back")) == (1, True)
    assert f"1 not sent: the worker does not read their topic {deployment.topic('crossings')}" in out
    assert deployment.read("crossings") == []

    _, out, _ = dlq(deployment, "list")
    cells = [line.split() for line in out.splitlines()]
    assert [row[:4] for row in cells] == [
        ["reason", "topic", "waiting", "redriven"],
        ["malformed", website, "0", "3"],
        ["empty", website, "0", "1"],
        ["malformed", deployment.topic("crossings"), "1", "0"],
    ]
    assert cells[1][4:] == ["2001-09-09", "01:46", "2001-09-09", "01:46"]
    _, out, _ = dlq(deployment, "list", "--json", "--topic", deployment.topic("crossings"))
    letter = json.loads(out)
    assert (letter["redriven"], letter["source"]["offset"], letter["timestamp"]) == (
        False,
        4,
        "2001-09-09T01:46:44.000Z",
    )
    _, out, notice = dlq(deployment, "show", f"{letter['partition']}/{letter['offset']}")
    assert out.splitlines()[-5:] == ["header     trace: t", "key, 3 bytes:", "key", "value, 7 bytes:", "value 4"]
    assert "personal data" in notice
