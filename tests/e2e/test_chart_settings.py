"""The settings of the Helm chart without Kubernetes: what the example renders runs as processes on real servers.

The job that creates the topics runs first, as the hook does, then the worker with the words, the variables and the
files of its container. Only what a cluster would decide is another here: the addresses, the names of topics, the port.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from leadscore.events.event import Event
from leadscore.events.event_bytes import json_bytes
from tests.chart import EXAMPLE, documents
from tests.deployment import WorkerProcess, decode_crossing, now_ms
from tests.servers import KafkaServer, RedisServer, free_ports, wait_until

pytestmark = [pytest.mark.lasting_leads]

RENDERED = {document["kind"]: document for document in documents(EXAMPLE.read_text())}
NAME = "acme"
"""In the example every name in Kafka and Redis begins with it."""


class Cluster:
    """What the kubelet does with a pod: its files, its variables, its words."""

    def __init__(self, folder: Path, name: str, addresses: dict[str, str]) -> None:
        self._folder, self._name, self._addresses = folder, name, addresses

    def environment(self, pod: dict[str, Any]) -> dict[str, str]:
        [container] = pod["containers"]
        folders = {mount["mountPath"]: self._mounted(pod, mount["name"]) for mount in container["volumeMounts"]}
        variables = {one["name"]: one.get("value", f"{self._name}-0") for one in container["env"]}
        return {name: self._here(name, text, folders) for name, text in variables.items()}

    def _mounted(self, pod: dict[str, Any], name: str) -> Path:
        """The folder of a volume; a secret has what a user would put there."""
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        [volume] = [volume for volume in pod["volumes"] if volume["name"] == name]
        for item in volume.get("configMap", {}).get("items", []):
            (folder / item["path"]).write_text(RENDERED["ConfigMap"]["data"][item["key"]])
        for item in volume.get("secret", {}).get("items", []):
            (folder / item["path"]).write_text("no password is asked for here")
        return folder

    def _here(self, name: str, text: str, folders: dict[str, Path]) -> str:
        if name in self._addresses:
            return self._addresses[name]
        for path, folder in folders.items():
            if text.startswith(f"{path}/"):
                return str(folder) + text.removeprefix(path)
        return ",".join(
            self._name + part.removeprefix(NAME) if part.startswith(NAME) else part for part in text.split(",")
        )


@pytest.fixture
def cluster(
    kafka: KafkaServer, redis_server: RedisServer, fresh_name: Callable[[str], str], tmp_path: Path
) -> Iterator[Cluster]:
    name = fresh_name("c")
    (port,) = free_ports(1)
    addresses = {
        "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap,
        "LEADSCORE_REDIS_URL": redis_server.url,
        "LEADSCORE_HTTP_PORT": str(port),
        "LEADSCORE_REDIS_PASSWORD_FILE": "",  # the Redis of the tests has no password
    }
    yield Cluster(tmp_path, name, addresses)
    admin = AdminClient({**kafka.properties})
    for deleted in admin.delete_topics(
        [t for t in admin.list_topics(timeout=10).topics if t.startswith(name)]
    ).values():
        deleted.result(timeout=30)


def test_what_the_chart_renders_runs_from_its_topics_to_a_crossing_and_its_end(
    cluster: Cluster, kafka: KafkaServer, tmp_path: Path
) -> None:
    job = RENDERED["Job"]["spec"]["template"]["spec"]
    run_to_its_end(job["containers"][0]["args"], cluster.environment(job))
    pod = RENDERED["Deployment"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["args"] == ["run"]
    environment = cluster.environment(pod)
    worker = WorkerProcess(environment, tmp_path / "worker.log")
    try:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            wait_for_probe(worker, container[probe])
        send_two_visits(kafka, environment["LEADSCORE_SOURCE_TOPICS"].split(",")[0])
        crossing = first_crossing(kafka, environment["LEADSCORE_CROSSING_TOPIC"])
        assert (crossing["lead_id"], crossing["threshold"], crossing["model"]) == ("L1", "mql", "acme")
        asked_at_s = time.monotonic()
        assert worker.terminate(pod["terminationGracePeriodSeconds"]) == 0
        assert time.monotonic() - asked_at_s < pod["terminationGracePeriodSeconds"]
    finally:
        worker.kill()


def run_to_its_end(words: list[str], environment: dict[str, str]) -> None:
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("LEADSCORE_")}
    command = [sys.executable, "-m", "leadscore.cli.main", *words]
    run = subprocess.run(command, env=inherited | environment, capture_output=True, text=True, timeout=90, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def wait_for_probe(worker: WorkerProcess, probe: dict[str, Any]) -> None:
    """Within the time after which the kubelet would give the pod up."""
    worker.wait_for("listening", 60)
    seconds = max(probe["periodSeconds"] * probe["failureThreshold"], 60)
    wait_until(lambda: worker.get(probe["httpGet"]["path"])[0] == 200, seconds, probe["httpGet"]["path"])


def send_two_visits(kafka: KafkaServer, topic: str) -> None:
    producer = Producer(kafka.properties)
    for number in range(2):
        visit = Event("website.page_view", f"e{number}", "L1", now_ms(), {"path": "/pricing"})
        producer.produce(topic, json_bytes(visit))
    assert producer.flush(30) == 0


def first_crossing(kafka: KafkaServer, topic: str) -> dict[str, Any]:
    consumer = Consumer(kafka.properties | {"group.id": f"{topic}-reader", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    try:
        message = wait_until(lambda: consumer.poll(1.0), 60, "a crossing")
        assert message is not None
        assert message.error() is None
        value = message.value()
        assert value is not None
        return decode_crossing(value)
    finally:
        consumer.close()
