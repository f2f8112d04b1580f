"""The programs of docs/subscribers.md, run from the very text of the page on what real workers published."""

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest
from confluent_kafka import Consumer, Message

from leadscore.events.event import Event
from leadscore.events.local_schemas import parsed_schema, single_object_header
from tests.deployment import Deployment, headers_of, now_ms
from tests.offsets import unread_of
from tests.servers import wait_until

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "subscribers.md").read_text()
DAY_MS = 86_400_000

MODEL = {
    "model": "subscribed",
    "version": 1,
    "decay": {"half_life": "10d"},
    "rules": {
        "pricing": {"event": "website.page_view", "points": 65},
        "call_me": {"event": "website.contact_requested", "points": 10, "qualifies": "mql"},
    },
    "thresholds": {"mql": {"enter": 60, "exit": 40}},
}


def program(language: str) -> str:
    """The one block of that language on the page."""
    [text] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert isinstance(text, str)
    return text


@pytest.fixture(params=["python", "js"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    """How to start the page's subscriber, and what it needs in its environment."""
    path = tmp_path / "subscriber" / f"subscriber.{request.param}"
    path.parent.mkdir()
    path.write_text(program(request.param))
    for name in ("crossing", "crossing.1", "crossing.2", "crossing.3"):
        printed = subprocess.run(
            [sys.executable, "-m", "leadscore.cli.main", "schemas", "print", name], capture_output=True, check=True
        )
        (path.parent / f"{name}.avsc").write_bytes(printed.stdout)
    if request.param == "python":
        return [sys.executable, "-W", "error", str(path)], {}
    return ["node", str(path)], {"NODE_PATH": str(request.getfixturevalue("node_modules"))}


@pytest.mark.lasting_leads
def test_the_subscriber_of_the_page_does_each_thing_once(
    deploy: Callable[..., Deployment], command: tuple[list[str], dict[str, str]], tmp_path: Path
) -> None:
    deployment = deploy(MODEL)
    entered = publish_in_every_way(deployment)
    with subscriber(deployment, command, tmp_path) as process:
        wait_until(lambda: unread(deployment) == 0, 60, "the subscriber to commit all it has read")
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    lines = said[0].splitlines()
    assert said[1] == ""
    expected = {
        f"TASK {entered['buyer']} buyer wake pricing +65",
        f"TASK {entered['caller']} caller wake call_me +10",
        f"TASK {entered['leaver']} leaver wake pricing +65",
        f"CLOSE {entered['leaver']} leaver",
        f"TASK {entered['old']} old quiet pricing +65",
        f"CLOSE {entered['old']} old",
        f"TASK {entered['erased']} erased wake pricing +65",
        "FORGET erased",
        f"TASK {entered['in-json']} in-json wake pricing +65",
        "TASK of-older older quiet pricing +65",
        "TASK of-framed framed quiet pricing +65",
    }
    assert sorted(lines) == sorted(expected)
    assert lines.index("FORGET erased") > lines.index(f"TASK {entered['erased']} erased wake pricing +65")


def publish_in_every_way(deployment: Deployment) -> dict[str, str]:
    """By workers: enters, leaves, an erasure, in Avro, then in JSON. By hand: repeats, and other ways to write Avro.

    The id of the enter of each lead that the workers published.
    """
    worker = deployment.start_worker()
    deployment.send_now(
        [
            *(page_view(lead, now_ms()) for lead in ("buyer", "leaver", "erased")),
            page_view("old", now_ms() - 60 * DAY_MS),
            Event("website.contact_requested", "c", "caller", now_ms(), {}),
        ]
    )
    deployment.wait_until_settled()
    ordered_ms = now_ms()
    adjust = Event("command.adjust", "a", "leaver", ordered_ms, {"points": -60.0})
    deployment.send_now([adjust, Event("command.erase", "x", "erased", ordered_ms, {})])
    deployment.wait_until_settled()
    assert worker.terminate() == 0
    worker = deployment.start_worker(LEADSCORE_CROSSING_FORMAT="json")
    deployment.send_now([page_view("in-json", now_ms())])
    deployment.wait_until_settled()
    assert worker.terminate() == 0
    published = deployment.read("crossings")
    headers = [text_headers(message) for message in published]
    produce_again(deployment, [message for message in published if message.key() in (b"leaver", b"in-json", b"old")])
    produce_by_hand(deployment, "older", single_object_header("crossing.1"), "crossing.1")
    produce_by_hand(deployment, "framed", b"\x00\x00\x00\x00\x07", "crossing")
    return {row["ce_subject"]: row["ce_id"] for row in headers if row["ce_type"] == "leadscore.crossing.enter"}


def text_headers(message: Message) -> dict[str, str]:
    return {name: value.decode() for name, value in headers_of(message) if isinstance(value, bytes)}


def page_view(lead_id: str, occurred_ms: int) -> Event:
    return Event("website.page_view", f"of-{lead_id}", lead_id, occurred_ms, {})


def produce_again(deployment: Deployment, messages: list[Message]) -> None:
    """Late repeats: each record once more, after all of them."""
    for message in messages:
        deployment.producer.produce(
            deployment.topic("crossings"),
            message.value(),
            message.key(),
            partition=message.partition() or 0,
            headers=headers_of(message),
        )
    assert deployment.producer.flush(30) == 0


def produce_by_hand(deployment: Deployment, lead_id: str, start: bytes, schema: str) -> None:
    """An enter that is over, as another version or another framing writes it."""
    example: dict[str, Any] = msgspec.json.decode((ROOT / "schemas" / "examples" / "crossing.json").read_bytes())[0]
    reasons = [{"name": "pricing", "points": 65.0}]
    body = io.BytesIO()
    record = {**example, "id": f"of-{lead_id}", "lead_id": lead_id, "reasons": reasons}
    fastavro.schemaless_writer(body, parsed_schema(schema), record)
    deployment.producer.produce(deployment.topic("crossings"), start + body.getvalue(), lead_id.encode())
    assert deployment.producer.flush(30) == 0


@contextmanager
def subscriber(
    deployment: Deployment, command: tuple[list[str], dict[str, str]], folder: Path
) -> Iterator["subprocess.Popen[str]"]:
    arguments, environ = command
    names = {"BOOTSTRAP": deployment.kafka.bootstrap, "TOPIC": deployment.topic("crossings"), "GROUP": deployment.name}
    process = subprocess.Popen(
        arguments,
        cwd=folder / "subscriber",
        env={**os.environ, **environ, **names},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def unread(deployment: Deployment) -> int:
    """Records of the crossing topic that the subscriber's group has not committed."""
    consumer = Consumer({"bootstrap.servers": deployment.kafka.bootstrap, "group.id": deployment.name})
    try:
        return unread_of(consumer, deployment.topic("crossings"))
    finally:
        consumer.close()
