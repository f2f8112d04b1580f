"""A subscriber in another client library, kafkajs with its defaults (``read_committed``), that reads as workers die."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from tests.deployment import Deployment
from tests.servers import ending_with_parent

CLIENT = Path(__file__).parent / "e2e" / "foreign" / "client.js"
END_TIMEOUT_S = 120


class Follower:
    """What it has seen is known at its end, which ``to_the_end`` brings about."""

    def __init__(self, deployment: Deployment, process: subprocess.Popen[bytes], seen: Path, partitions: int) -> None:
        self._deployment = deployment
        self._process = process
        self._seen = seen
        self._partitions = partitions

    def so_far(self) -> list[dict[str, Any]]:
        """What it has seen: key, CloudEvents id, value and when, in the order in which it came."""
        lines = self._seen.read_text().split("\n")
        return [json.loads(line) for line in lines[:-1]]  # the last one may be half written

    def to_the_end(self) -> list[dict[str, Any]]:
        """Everything up to a last record in each partition, which is produced here: nothing comes before it later."""
        producer = Producer({**self._deployment.kafka.properties})
        for number in range(self._partitions):
            producer.produce(self._deployment.topic("crossings"), b"the end", partition=number)
        assert producer.flush(30) == 0
        assert self._process.wait(END_TIMEOUT_S) == 0
        return self.so_far()


@contextmanager
def following(deployment: Deployment, node_modules: Path) -> Iterator[Follower]:
    """A follower of the topic of crossings, from its beginning."""
    topic = deployment.topic("crossings")
    partitions = len(Producer({**deployment.kafka.properties}).list_topics(topic, timeout=10).topics[topic].partitions)
    command = ["node", str(CLIENT), "follow", deployment.kafka.bootstrap, topic, str(partitions)]
    seen = deployment.folder / "followed.jsonl"
    with seen.open("wb") as out:
        environ = {**os.environ, "NODE_PATH": str(node_modules)}
        process = subprocess.Popen(ending_with_parent(["/usr/bin/env", *command]), env=environ, stdout=out)
        try:
            yield Follower(deployment, process, seen, partitions)
        finally:
            process.kill()
            process.wait(10)
