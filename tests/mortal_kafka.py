"""A Kafka process of a test's own that dies and comes back with its disk, whole or without the end of a partition."""

import os
import resource
import signal
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tests.servers import (
    LOOPBACK,
    KafkaServer,
    _cluster_id,
    _java,
    _kafka_answers,
    _kafka_jars,
    _kafka_settings,
    _new_directory,
    _run,
    _spawn,
    _wait_for_process,
    free_ports,
    kafka_version,
)

BATCH_HEADER = struct.Struct(">qi")
"""Of a stored batch of records: the offset of its first one, and how many bytes follow."""


class MortalKafka:
    """One broker and controller; ``server`` is what a deployment wants, whether the process is alive or not."""

    def __init__(self, undo: ExitStack, more: Sequence[str]) -> None:
        self._undo = undo
        self._directory = _new_directory("kafka", undo)
        broker_port, controller_port = free_ports(2)
        self._settings = _kafka_settings(self._directory, (broker_port, controller_port), "PLAINTEXT", more)
        self._classes = f"{_kafka_jars()}/*"
        bootstrap = f"{LOOPBACK}:{broker_port}"
        self.server = KafkaServer(bootstrap, kafka_version(), "local process", stop=self.kill)
        storage = ["kafka.tools.StorageTool", "format", f"--cluster-id={_cluster_id()}", "-c", str(self._settings)]
        _run([_java(), "-cp", self._classes, *storage])
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Come back, and answer."""
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        command = [_java(), "-Xmx512m", quiet, "-cp", self._classes, "kafka.Kafka", str(self._settings)]
        process = self._process = _spawn(command, self._directory, self._undo)
        _wait_for_process(process, self._directory, lambda: _kafka_answers(self.server.bootstrap))

    def kill(self) -> None:
        """As a loss of power does."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def fill_disk(self) -> None:
        """No file grows any more: for a broker that is what a full disk is. It ends, for it has no other log folder."""
        assert self._process is not None
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (4_096, resource.RLIM_INFINITY))

    def wait_for_death(self, timeout_s: float = 60) -> None:
        """Until the process has ended by itself."""
        assert self._process is not None
        self._process.wait(timeout_s)
        self._process = None

    def lose_end(self, topic: str, partition: int, first: int) -> None:
        """While the process is dead: the partition loses its batches from the one at this offset on."""
        folder = self._directory / "data" / f"{topic}-{partition}"
        [segment] = folder.glob("*.log")
        stored, place = segment.read_bytes(), 0
        while place < len(stored):
            base, length = BATCH_HEADER.unpack_from(stored, place)
            if base >= first:
                break
            place += BATCH_HEADER.size + length
        segment.write_bytes(stored[:place])
        for derived in [*folder.glob("*index"), *folder.glob("*.snapshot")]:
            derived.unlink()


@contextmanager
def mortal_kafka(*more: str) -> Iterator[MortalKafka]:
    """Alive at first; with further settings of the broker."""
    with ExitStack() as undo:
        kafka = MortalKafka(undo, more)
        kafka.start()
        yield kafka
