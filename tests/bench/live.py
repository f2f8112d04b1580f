"""A deployment of its own in live operation: servers, topics, worker processes, and who sends and reads at its ends."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic, TypeVar
from uuid import uuid4

import msgspec
import yaml

from tests.bench import peers_workload
from tests.bench.live_ends import Reading, Seen, Sending, Sent, now_us
from tests.bench.peers.running import total
from tests.deployment import WorkerProcess
from tests.servers import (
    ROOT,
    KafkaServer,
    RedisServer,
    every_partition_answers,
    redis_kinds,
    start_kafka,
    start_redis,
    wait_until,
)

START_S = 60.0
LOOK_EVERY_S = 0.1

Outcome = TypeVar("Outcome", Sent, Seen)


class Cpu(msgspec.Struct, frozen=True):
    """CPU seconds of the processes; ``None`` where they are none of ours."""

    worker: float | None
    broker: float | None
    redis: float | None

    def per_event_us(self, start: "Cpu", count: int) -> dict[str, float | None]:
        """Microseconds per event since ``start``."""
        ends, starts = msgspec.structs.asdict(self), msgspec.structs.asdict(start)
        return {
            name: None if end is None else round((end - starts[name]) / count * 1e6, 1) for name, end in ends.items()
        }


class LiveDeployment:
    """Topics, groups and keys of its own on the servers of one run."""

    def __init__(self, kafka: KafkaServer, redis: RedisServer, folder: Path, settings: Mapping[str, str]) -> None:
        self.name = f"live-{uuid4().hex[:8]}"
        self.kafka, self.redis = kafka, redis
        self._folder = folder
        self.workers: list[WorkerProcess] = []
        model = folder / f"{self.name}.yaml"
        model.write_text(yaml.safe_dump(peers_workload.MODEL, sort_keys=False))
        self.environ = {
            "LEADSCORE_MODEL": str(model),
            "LEADSCORE_GROUP": self.name,
            "LEADSCORE_SOURCE_TOPICS": ",".join(f"{self.name}.{source}" for source in peers_workload.SOURCES),
            **{f"LEADSCORE_{word}_TOPIC": self.topic(word) for word in ("COMMAND", "LOG", "MODELS", "CROSSING")},
            "LEADSCORE_DEAD_LETTER_TOPIC": self.topic("dead"),
            "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap,
            "LEADSCORE_REDIS_URL": redis.url,
            "LEADSCORE_REDIS_PREFIX": self.name,
            "LEADSCORE_HTTP_HOST": "127.0.0.1",
            "LEADSCORE_HTTP_PORT": "0",
            **settings,
        }
        self._create_topics()

    def topic(self, word: str) -> str:
        """The name of one of its topics."""
        return f"{self.name}.{word.lower()}"

    def start_worker(self, **settings: str) -> WorkerProcess:
        """One more process that runs both stages."""
        log = self._folder / f"{self.name}-{len(self.workers)}.log"
        worker = WorkerProcess(self.environ | settings, log)
        self.workers.append(worker)
        return worker

    def cpu(self) -> Cpu:
        """What its workers and the servers have used so far."""
        of_workers = [_cpu_s(worker.process.pid) for worker in self.workers if worker.process.poll() is None]
        whole = sum(used for used in of_workers if used is not None) if None not in of_workers else None
        return Cpu(whole, _cpu_s(self.kafka.pid), _cpu_s(self.redis.pid))

    def sender(self, rate: float, count: int, *, is_pairs: bool = False, is_backlog: bool = False) -> "End[Sent]":
        """Sends events, each at its planned time; those of a backlog were planned for the time before."""
        kafka = {"bootstrap.servers": self.kafka.bootstrap}
        return End(Sending(kafka, self.name, uuid4().hex[:8], rate, count, is_pairs, is_backlog), Sent)

    def subscriber(self, count: int) -> "End[Seen]":
        """Reads this number of crossings from now on; it is ready when this returns."""
        end = End(Reading({"bootstrap.servers": self.kafka.bootstrap}, self.topic("CROSSING"), count), Seen)
        end.wait_for_line()
        return end

    def stop(self) -> None:
        """Let the workers end in order."""
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.terminate()

    def _create_topics(self) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LEADSCORE_")}
        command = [sys.executable, "-m", "leadscore.cli.main", "topics", "create"]
        subprocess.run(command, env=inherited | self.environ, check=True, capture_output=True)
        own = f"{self.name}."
        wait_until(lambda: every_partition_answers(self.kafka.bootstrap, own), START_S, "the leaders of the topics")


def first_matched_us(worker: WorkerProcess) -> int:
    """Waits until the worker has matched a batch; when that was (UTC)."""

    def has_matched() -> bool:
        time.sleep(LOOK_EVERY_S)
        return total(worker.get("/metrics")[1], "leadscore_records_processed_total", 'outcome="matched"') > 0

    wait_until(has_matched, START_S, "the first batch")
    return now_us()


class End(Generic[Outcome]):
    """A sender or a subscriber at work; ``result`` waits for its end."""

    def __init__(self, job: Sending | Reading, outcome: type[Outcome]) -> None:
        self._decoder: msgspec.json.Decoder[Outcome] = msgspec.json.Decoder(outcome)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.live_ends"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(job) + b"\n")
        self._process.stdin.flush()

    def wait_for_line(self) -> bytes:
        """The next line it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def result(self) -> Outcome:
        """What came out."""
        outcome = self._decoder.decode(self.wait_for_line())
        self._process.wait()
        return outcome


@contextmanager
def live(settings: Mapping[str, str]) -> Iterator[LiveDeployment]:
    """A deployment on servers of its own; its workers have ended afterwards."""
    with ExitStack() as stack:
        kafka = stack.enter_context(start_kafka())
        redis = stack.enter_context(start_redis(redis_kinds()[0]))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        deployment = LiveDeployment(kafka, redis, folder, settings)
        stack.callback(deployment.stop)
        yield deployment


def _cpu_s(pid: int | None) -> float | None:
    """User and system time of a process, on Linux."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
