"""Kafka brokers of a test's own: local processes that can be killed, frozen, restarted, and robbed of what they store.

Each node is broker and controller in one, small enough for several of them: the heap is bounded, and time-outs are
short, so that the cluster notices within seconds that one is away.
"""

import json
import os
import signal
import struct
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from confluent_kafka.admin import AdminClient

from tests.servers import (
    KAFKA_SETTINGS,
    LOOPBACK,
    KafkaServer,
    _cluster_id,
    _java,
    _kafka_answers,
    _kafka_jars,
    _new_directory,
    _run,
    _spawn,
    _wait_for_process,
    free_ports,
    kafka_version,
    wait_until,
)

SMALL_JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
NOTICES_SOON = (
    "broker.session.timeout.ms=4000",
    "broker.heartbeat.interval.ms=500",
    "controller.quorum.election.timeout.ms=1000",
    "controller.quorum.fetch.timeout.ms=2000",
    "replica.lag.time.max.ms=4000",
    "controlled.shutdown.enable=true",
    "group.consumer.min.session.timeout.ms=6000",
    "group.consumer.session.timeout.ms=15000",
    "group.consumer.min.heartbeat.interval.ms=1000",
    "group.consumer.heartbeat.interval.ms=1000",
)


BATCH_HEAD = struct.Struct(">qi")
"""Of a record batch as Kafka stores it: the first offset, and how many bytes follow."""
STOP_TIMEOUT_S = 60.0


def _java_command() -> list[str]:
    return [_java(), *SMALL_JVM, "-cp", f"{_kafka_jars()}/*"]


class KafkaNode:
    """One process of the cluster, and its folder, which outlives it."""

    def __init__(self, node_id: int, port: int, settings: Path, undo: ExitStack) -> None:
        self.id, self.port = node_id, port
        self._settings, self._undo = settings, undo
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def _data(self) -> Path:
        return self._settings.parent / "data"

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def quorum_state(self) -> dict[str, int]:
        """Whom it takes for the controller, and in which epoch."""
        state: dict[str, int] = json.loads((self._data / "__cluster_metadata-0" / "quorum-state").read_text())
        return state

    def format(self, cluster_id: str) -> None:
        """Prepare the folder, once."""
        goal = ["format", f"--cluster-id={cluster_id}", "-c", str(self._settings)]
        _run([*_java_command(), "kafka.tools.StorageTool", *goal])

    def spawn(self) -> None:
        command = [*_java_command(), "kafka.Kafka", str(self._settings)]
        self.process = _spawn(command, self._settings.parent, self._undo)

    def wait_until_it_answers(self) -> None:
        assert self.process is not None
        _wait_for_process(self.process, self._settings.parent, lambda: _kafka_answers(self.bootstrap))

    def start(self) -> None:
        self.spawn()
        self.wait_until_it_answers()

    def stop(self) -> None:
        """As an operator stops it: leaders move away, everything is on disk."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    def _end(self, number: signal.Signals) -> None:
        self._signal(number)
        assert self.process is not None
        self.process.wait(STOP_TIMEOUT_S)

    def lose_from(self, topic: str, partition: int, offset: int) -> int:
        """While it does not run, its disk loses a partition's records from this offset on; the offset that is next.

        Records are stored in batches: the one with the offset in it goes as a whole. What was derived from the records
        is built again at the start, as after a crash.
        """
        folder = self._data / f"{topic}-{partition}"
        end = 0
        for segment in sorted(folder.glob("*.log")):
            end = _cut_segment(segment, offset)
        for derived in (*folder.glob("*index"), *folder.glob("*.snapshot")):
            derived.unlink()
        self._forget_clean_stop()
        return end

    def _forget_clean_stop(self) -> None:
        (self._data / ".kafka_cleanshutdown").unlink(missing_ok=True)
        for checkpoint in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
            (self._data / checkpoint).unlink(missing_ok=True)


def _cut_segment(segment: Path, offset: int) -> int:
    """Without the batches that reach the offset; the offset after the last one left."""
    content = segment.read_bytes()
    end, at = int(segment.stem), 0
    while at + BATCH_HEAD.size < len(content):
        first, size = BATCH_HEAD.unpack_from(content, at)
        last = first + struct.unpack_from(">i", content, at + 23)[0]
        if last >= offset:
            break
        end, at = last + 1, at + BATCH_HEAD.size + size
    if at == 0 and int(segment.stem) > 0:
        segment.unlink()
    else:
        os.truncate(segment, at)
    return end


class KafkaCluster:
    """The nodes, by id from 1 on."""

    def __init__(self, nodes: list[KafkaNode]) -> None:
        self.nodes = {node.id: node for node in nodes}

    @property
    def server(self) -> KafkaServer:
        """As tests know a Kafka."""
        bootstrap = ",".join(node.bootstrap for node in self.nodes.values())
        origin = f"{len(self.nodes)} local processes" if len(self.nodes) > 1 else "local process"
        return KafkaServer(bootstrap, kafka_version(), origin, stop=lambda: None)

    @property
    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.server.bootstrap})

    def controller(self) -> int:
        """The id of the active controller, as the nodes that run have it on disk: brokers tell clients any node."""
        states = [node.quorum_state() for node in self.nodes.values() if node.is_running]
        leaders = {state["leaderEpoch"]: state["leaderId"] for state in states}
        return int(leaders[max(leaders)])

    def start_all(self) -> None:
        """Start the nodes that do not run."""
        for node in self.nodes.values():
            if not node.is_running:
                node.start()

    def partitions(self, topic: str) -> dict[int, int]:
        """The leader of each partition; -1 where it has no leader."""
        metadata = self.admin.list_topics(topic, timeout=10).topics[topic]
        return {number: int(partition.leader) for number, partition in metadata.partitions.items()}

    def wait_until_in_sync(self, prefix: str, replicas: int) -> None:
        """Until every partition of the topics that begin like this has that many replicas in sync."""

        def all_in_sync() -> bool:
            topics = self.admin.list_topics(timeout=10).topics
            mine = [topics[name] for name in topics if name.startswith(f"{prefix}.")]
            return all(
                len(partition.isrs) >= replicas and partition.leader >= 0
                for topic in mine
                for partition in topic.partitions.values()
            )

        wait_until(all_in_sync, 60, "the replicas to be in sync")


@contextmanager
def kafka_cluster(size: int, *settings: str) -> Iterator[KafkaCluster]:
    """That many nodes; ``settings`` are lines for each of them."""
    with ExitStack() as undo:
        ports = free_ports(2 * size)
        brokers, controllers = ports[:size], ports[size:]
        voters = ",".join(f"{number}@{LOOPBACK}:{port}" for number, port in enumerate(controllers, start=1))
        copies = [
            f"controller.quorum.voters={voters}",
            f"offsets.topic.replication.factor={size}",
            f"transaction.state.log.replication.factor={size}",
            f"transaction.state.log.min.isr={max(1, size - 1)}",
        ]
        nodes = []
        for number, (broker, controller) in enumerate(zip(brokers, controllers, strict=True), start=1):
            directory = _new_directory(f"kafka-{number}", undo)
            listeners = f"listeners=PLAINTEXT://{LOOPBACK}:{broker},CONTROLLER://{LOOPBACK}:{controller}"
            own = [f"node.id={number}", listeners, f"advertised.listeners=PLAINTEXT://{LOOPBACK}:{broker}"]
            own += [f"log.dirs={directory / 'data'}", *NOTICES_SOON, *copies, *settings]
            path = directory / "server.properties"
            path.write_text("\n".join([KAFKA_SETTINGS.read_text(), *own, ""]))
            nodes.append(KafkaNode(number, broker, path, undo))
        with ThreadPoolExecutor(size) as threads:
            list(threads.map(KafkaNode.format, nodes, [_cluster_id()] * size))
        for node in nodes:
            node.spawn()
        for node in nodes:
            node.wait_until_it_answers()
        yield KafkaCluster(nodes)
