"""The programs of examples/ as processes, and the topic that they read."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from leadscore.pipeline.score.publishing import CrossingEncoding, Published, avro_encoding, output_record
from tests.deployment import headers_of
from tests.http_stand_in import StandIn
from tests.offsets import unread_of
from tests.servers import ending_with_parent, wait_until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SEGMENTS = {"mql": {"tag": "ready", "entered": "hello", "left": "come-back"}}


class Programs:
    """Examples as processes that read one topic, each with a group of its own."""

    def __init__(self, bootstrap: str, topics: tuple[str, str], folder: Path, node_path: Path) -> None:
        self.bootstrap, self.folder = bootstrap, folder
        self.topic, self.dead_letter_topic = topics
        self._node_path = node_path
        self._started: list[Program] = []
        (folder / "segments.json").write_text(json.dumps(SEGMENTS))

    @contextmanager
    def running(self, name: str, api: StandIn, **environ: str) -> Iterator[None]:
        """The program, which is told to end as a platform does, and must end well."""
        program = self.start(name, api, **environ)
        try:
            yield
            program.process.send_signal(signal.SIGTERM)
            assert program.ended() == 0, program.said()
        finally:
            program.kill()

    def start(self, name: str, api: StandIn, **environ: str) -> "Program":
        settings = {
            "KAFKA__BOOTSTRAP_SERVERS": self.bootstrap,
            "TOPIC": self.topic,
            "DEAD_LETTER_TOPIC": self.dead_letter_topic,
            "GROUP": self.group(name),
            "SCHEMAS": str(ROOT / "schemas"),
            "STORE": str(self.folder / f"{name}.store"),
            "FIRST_WAIT_S": "0.02",
            "CRM_URL": api.url,
            "CRM_TOKEN": "a-token",
            "EMAIL_TOOL_URL": api.url,
            "EMAIL_TOOL_TOKEN": "a-token",
            "SEGMENTS": str(self.folder / "segments.json"),
            "WEBHOOK_URL": api.url,
            "NODE_PATH": str(self._node_path),
        }
        node = [shutil.which("node") or "node", str(EXAMPLES / name / f"{name}.js")]
        command = node if name == "chat_alert" else [sys.executable, "-W", "error", "-m", name]
        # A member that comes back under its name takes its partitions at once; another waits until it counts as dead.
        if name != "chat_alert":
            settings["KAFKA_CONSUMER__GROUP_INSTANCE_ID"] = "one"
        log = self.folder / f"{name}-{len(self._started)}.log"
        program = Program(command, {**os.environ, **settings, **environ}, log)
        self._started.append(program)
        return program

    def group(self, name: str) -> str:
        return f"{self.topic}-{name}"

    def wait_until_done(self, *groups: str) -> None:
        def is_done() -> bool:
            for program in self._started:
                assert program.process.poll() in (None, 0, -signal.SIGKILL), program.said()
            return all(self.unread(group) == 0 for group in groups)

        wait_until(is_done, 60, f"{', '.join(groups)} to commit all there is")

    def unread(self, group: str) -> int:
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group})
        try:
            return unread_of(consumer, self.topic)
        finally:
            consumer.close()

    def dead_letters(self) -> list[tuple[bytes | None, bytes | None, dict[str, str]]]:
        """Key, value and headers of each."""
        settings = {"group.id": "reader", "enable.partition.eof": True, "enable.auto.commit": False}
        consumer = Consumer({"bootstrap.servers": self.bootstrap, **settings})
        consumer.assign([TopicPartition(self.dead_letter_topic, 0, OFFSET_BEGINNING)])
        letters = []
        while (message := consumer.poll(10)) is not None and message.error() is None:
            headers = {name: bytes(value or b"").decode() for name, value in headers_of(message)}  # type: ignore[arg-type]
            letters.append((message.key(), message.value(), headers))
        consumer.close()
        return letters


class Program:
    """A process of an example; what it says on standard error goes into a file."""

    def __init__(self, command: list[str], environ: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                ending_with_parent(command), cwd=EXAMPLES, env=environ, stdout=subprocess.DEVNULL, stderr=stderr
            )

    def ended(self) -> int:
        return self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def said(self) -> str:
        return self._log.read_text()


class Topic:
    """Publishes crossings as a worker would, and other records."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self.name = name
        self._producer = Producer({"bootstrap.servers": bootstrap})
        self._encoding = avro_encoding(None)

    def use(self, encoding: CrossingEncoding) -> None:
        self._encoding = encoding

    def publish(self, partition: int, *outputs: Published) -> None:
        for output in outputs:
            record = output_record(output, self._encoding)
            self.raw(partition, record.value, record.key, headers=list(record.headers))
        assert self._producer.flush(30) == 0

    def raw(self, partition: int, value: bytes | None, key: bytes | None, **more: Any) -> None:
        self._producer.produce(self.name, value, key, partition=partition, **more)
        assert self._producer.flush(30) == 0
