"""Runs one system over an input and measures it: progress, CPU of worker, broker and Redis, memory, crossings."""

import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import redis

from tests.bench.peers.figures import Cpu, Run
from tests.bench.peers.inputs import PARTITIONS, Input, Topics
from tests.bench.peers.parts import Parts, cpu_by_thread, seconds_by_step
from tests.bench.peers.scoring import MARKS
from tests.bench.peers.systems import Place, System, Worker, leadscore_environ
from tests.servers import CACHE, ROOT, KafkaServer, RedisServer

TICK = os.sysconf("SC_CLK_TCK")
POLL_S = 0.3
SILENCE_S = 90.0
STOP_S = 60.0
IDLE_S = 6.0
TAIL = 2_000


class DidNotFinish(Exception):
    """A system stopped or got no further; the message says how far it was, and has the end of its output."""


class Sample(NamedTuple):
    """Where everything stands: events done, the wall clock, and CPU seconds so far."""

    done: int
    at_s: float
    worker_s: float
    broker_s: float
    redis_s: float
    parts: Parts = Parts()


class Servers(NamedTuple):
    """Those of the benchmark, and what the broker uses when nothing happens (CPU seconds per second)."""

    kafka: KafkaServer
    redis: RedisServer
    broker_idle: float = 0.0

    def measured_idle(self) -> "Servers":
        """With the broker's idle rate."""
        before, start = self.broker_s(), time.monotonic()
        time.sleep(IDLE_S)
        return self._replace(broker_idle=(self.broker_s() - before) / (time.monotonic() - start))

    def broker_s(self) -> float:
        """CPU seconds of the broker; 0 where it is not a process of this machine."""
        return cpu_s(self.kafka.pid) if self.kafka.pid else 0.0

    def redis_s(self) -> float:
        """CPU seconds of Redis, by its own account."""
        with closing(redis.Redis.from_url(self.redis.url)) as client:
            used = client.info("cpu")
            return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])

    def redis_mb(self) -> float:
        """What Redis holds."""
        with closing(redis.Redis.from_url(self.redis.url)) as client:
            return float(client.info("memory")["used_memory"]) / 1e6

    def empty_redis(self) -> None:
        """Every run finds an empty one."""
        with closing(redis.Redis.from_url(self.redis.url)) as client:
            client.flushdb()


class Process:
    """A worker that runs, with its output in a file."""

    def __init__(self, worker: Worker, folder: Path) -> None:
        self.metrics_port = worker.metrics_port
        self._log = (folder / "log").open("ab")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("LEADSCORE_")}
        self._process = subprocess.Popen(
            worker.command,
            env=environ | {"PYTHONPATH": str(ROOT)} | worker.environ,
            cwd=ROOT if worker.metrics_port == 0 else folder,
            stdout=self._log if worker.metrics_port else subprocess.PIPE,
            stderr=self._log,
        )
        self._unread = b""
        self._done = 0
        self.used_s = 0.0
        self.metrics = ""

    @property
    def ended(self) -> bool:
        """Without being asked to."""
        return self._process.poll() is not None

    def cpu_s(self) -> float:
        """So far."""
        with suppress(OSError):
            self.used_s = cpu_s(self._process.pid)
        return self.used_s

    def parts(self) -> Parts:
        """The CPU so far by thread, and what leadscore said last of its steps."""
        return Parts(cpu_by_thread(self._process.pid, TICK), seconds_by_step(self.metrics))

    def read_metrics(self) -> str:
        """What the worker says of itself now; nothing before it has started."""
        address = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with suppress(OSError), urllib.request.urlopen(address, timeout=10) as answer:
            self.metrics = answer.read().decode()
        return self.metrics

    def memory_mb(self) -> float:
        """The most that was resident."""
        with suppress(OSError):
            status = Path(f"/proc/{self._process.pid}/status").read_text()
            peak = re.search(r"VmHWM:\s+(\d+)", status)
            return int(peak[1]) / 1024 if peak else 0.0
        return 0.0

    def last_mark(self) -> int:
        """Waits a moment for a line ``MARK n``; the last one's number."""
        output = self._process.stdout
        if output and select.select([output], [], [], POLL_S)[0]:
            *lines, self._unread = (self._unread + os.read(output.fileno(), 65_536)).split(b"\n")
            for line in lines:
                if line.startswith(b"MARK "):
                    self._done = int(line[5:])
                else:
                    self._log.write(line + b"\n")
        return self._done

    def kill(self) -> None:
        """As a machine would that fails."""
        self._process.kill()
        self._process.wait()
        self._close()

    def stop(self) -> None:
        """As an operator would; ``used_s`` is then what it used in all."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + STOP_S
            while time.monotonic() < deadline:
                pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
                if pid:
                    self._process.returncode = os.waitstatus_to_exitcode(status)
                    self.used_s = usage.ru_utime + usage.ru_stime
                    break
                self.last_mark() if self._process.stdout else time.sleep(0.05)
            else:
                self._process.kill()
                self._process.wait()
        self._close()

    def _close(self) -> None:
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and of its children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / TICK


class Bench:
    """Measures systems on the same servers, one at a time."""

    def __init__(self, servers: Servers, topics: Topics) -> None:
        self.servers = servers
        self._topics = topics

    def measure(self, name: str, system: System, program: Path, source: Input) -> Run:
        """One run, from an empty Redis and with topics of its own."""
        folder = Path(tempfile.mkdtemp(prefix="bench-peers-", dir=CACHE))
        place = Place(self.servers.kafka.bootstrap, self.servers.redis.url, f"run-{uuid4().hex[:8]}", folder)
        self.servers.empty_redis()
        self._prepare(system, program, source, place)
        workers = system.workers(program, source, place)
        try:
            samples, memory_mb, start_s = self._run(workers, source, folder)
            return self._figures(name, source, samples, place, (memory_mb, start_s))
        finally:
            self._topics.delete_all_of(place.group)
            shutil.rmtree(folder)

    def _prepare(self, system: System, program: Path, source: Input, place: Place) -> None:
        if not system.log:
            self._topics.create({place.crossings: PARTITIONS})
            return
        environ = {name: value for name, value in os.environ.items() if not name.startswith("LEADSCORE_")}
        command = [str(program.with_name("leadscore")), "topics", "create"]
        settings = leadscore_environ(source, place)
        del settings["LEADSCORE_SCHEMA_REGISTRY_URL"]  # ours has schemas to read, and takes none
        subprocess.run(command, env=environ | settings, check=True, stdout=subprocess.DEVNULL, cwd=place.folder)

    def _run(self, workers: Sequence[Worker], source: Input, folder: Path) -> tuple[list[Sample], float, float]:
        """Samples from before the start to after the end, the memory, and the seconds to the first event."""
        start = self._sample(0, [])
        processes = [Process(worker, folder) for worker in workers]
        try:
            samples = self._follow(processes, source.workload.events, folder)
            memory_mb = sum(process.memory_mb() for process in processes)
        finally:
            for process in processes:
                process.stop()
        time.sleep(1)  # what the broker still does for it
        ended = self._sample(samples[-1].done, processes)
        return [start, *samples, ended], memory_mb, samples[0].at_s - start.at_s

    def _follow(self, processes: Sequence[Process], events: int, folder: Path) -> list[Sample]:
        """From the first event to the last."""
        progress: Callable[[], tuple[int, bool]] = (
            _Counters(processes, events) if processes[0].metrics_port else _Marks(processes[0], events)
        )
        samples: list[Sample] = []
        deadline, finished = time.monotonic() + SILENCE_S, False
        while not finished:
            done, finished = progress()
            if done > (samples[-1].done if samples else 0):
                samples.append(self._sample(done, processes))
                deadline = time.monotonic() + SILENCE_S
            if not finished and (any(process.ended for process in processes) or time.monotonic() > deadline):
                tail = (folder / "log").read_bytes()[-TAIL:].decode(errors="replace")
                raise DidNotFinish(f"stopped after {samples[-1].done if samples else 0:,} events: {tail}")
        return samples

    def _sample(self, done: int, processes: Sequence[Process]) -> Sample:
        worker_s = sum(process.cpu_s() for process in processes)
        parts = sum((process.parts() for process in processes), Parts())
        return Sample(done, time.monotonic(), worker_s, self.servers.broker_s(), self.servers.redis_s(), parts)

    def _figures(
        self, name: str, source: Input, samples: list[Sample], place: Place, about: tuple[float, float]
    ) -> Run:
        start, first, *_, last, ended = samples
        half = next(sample for sample in samples[1:] if 2 * sample.done >= last.done)
        if last in (first, half):
            raise DidNotFinish(f"{last.done:,} events were done before the second look at the progress: give it more")
        scale = source.workload.events / last.done  # awards, where not every event is one
        return Run(
            name,
            source.workload,
            round(scale * _rate(first, last)),
            round(scale * _rate(half, last)),
            self._cpu(first, ended, scale),
            self._cpu(half, last, scale),
            round(about[1], 2),
            round(first.worker_s - start.worker_s, 2),
            round(about[0], 1),
            self._topics.crossings(place.crossings),
            round(self.servers.redis_mb(), 1),
            last.parts.per_event_us(half.parts, 1e6 / (last.done - half.done) / scale),
        )

    def _cpu(self, first: Sample, last: Sample, scale: float) -> Cpu:
        """Per event."""
        each_us = 1e6 / (last.done - first.done) / scale
        idle_s = self.servers.broker_idle * (last.at_s - first.at_s)
        broker_us = (last.broker_s - first.broker_s - idle_s) * each_us if self.servers.kafka.pid else None
        worker_us, redis_us = (last.worker_s - first.worker_s) * each_us, (last.redis_s - first.redis_s) * each_us
        return Cpu(round(worker_us, 2), broker_us if broker_us is None else round(broker_us, 2), round(redis_us, 2))


def _rate(first: Sample, last: Sample) -> float:
    return round((last.done - first.done) / (last.at_s - first.at_s), 1)


class _Marks:
    """Progress of a worker that prints marks."""

    def __init__(self, process: Process, events: int) -> None:
        self._process = process
        self._last = events // MARKS * MARKS

    def __call__(self) -> tuple[int, bool]:
        done = self._process.last_mark()
        return done, done >= self._last


class _Counters:
    """Progress of leadscore by its metrics: awards that are scored, and the end when every event is.

    It has begun when the first record is matched: a backlog is matched for seconds before its first award is scored.
    """

    def __init__(self, processes: Sequence[Process], events: int) -> None:
        self._processes = processes
        self._events = events

    def __call__(self) -> tuple[int, bool]:
        time.sleep(POLL_S)
        text = "".join(process.read_metrics() for process in self._processes)
        processed = total(text, "leadscore_records_processed_total")
        matched = total(text, "leadscore_records_processed_total", 'outcome="matched"')
        awards = total(text, "leadscore_awards_total")
        return max(awards, min(processed, 1)), processed >= self._events and awards >= matched


def total(metrics: str, name: str, label: str = "") -> int:
    """The sum over all labels, or over those with this one."""
    lines = re.findall(rf"^{name}(\S*) (\S+)$", metrics, re.MULTILINE)
    return int(sum(float(value) for labels, value in lines if label in labels))
