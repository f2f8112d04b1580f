"""What a worker and Redis take, sampled while they run, and whether it stays flat."""

import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from itertools import pairwise
from pathlib import Path
from statistics import linear_regression
from threading import Event as Flag
from threading import Thread
from typing import NamedTuple, Self

import redis

from tests.deployment import Deployment, WorkerProcess
from tests.e2e.metric_series import series

EVERY_S = 2.0
LEFT_OUT = 1 / 3
"""At the beginning: caches fill, and connections are made."""


class Sample(NamedTuple):
    """At one moment."""

    at_s: float
    memory_kb: float
    descriptors: float
    threads: float
    redis_kb: float
    metric_series: float


NAMES = Sample._fields[1:]


class Growth(NamedTuple):
    """Of one quantity by a straight line through its samples: from the first to the last, and the middle of it."""

    name: str
    mean: float
    growth: float

    @property
    def share(self) -> float:
        """Of the mean."""
        return self.growth / self.mean

    def __str__(self) -> str:
        return f"{self.name} {self.mean:,.0f} ({self.share:+.1%})"


class Sampler:
    """Samples in a thread of its own until the end of the block."""

    def __init__(self, deployment: Deployment, worker: WorkerProcess) -> None:
        self.samples: list[Sample] = []
        self._deployment, self._worker = deployment, worker
        self._end = Flag()
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._end.wait(EVERY_S):
            with suppress(
                redis.RedisError, OSError, HTTPException
            ):  # a fault is on; ``longest_gap_s`` says for how long
                self.samples.append(sample(self._deployment, self._worker))

    def longest_gap_s(self, began_s: float, ended_s: float) -> float:
        """The longest time without a sample."""
        times = [began_s, *(one.at_s for one in self.samples), ended_s]
        return max(after - before for before, after in pairwise(times))

    def growth(self) -> list[Growth]:
        """Of each quantity, without the beginning."""
        kept = self.samples[int(len(self.samples) * LEFT_OUT) :]
        return [_growth(name, kept, lambda one, name=name: getattr(one, name)) for name in NAMES]  # type: ignore[misc]


def sample(deployment: Deployment, worker: WorkerProcess) -> Sample:
    """Now."""
    process = Path(f"/proc/{worker.process.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    with deployment._redis() as client:
        redis_kb = float(client.info("memory")["used_memory"]) / 1024
    return Sample(
        time.monotonic(),
        float(status["VmRSS"].split()[0]),
        float(len(list((process / "fd").iterdir()))),
        float(status["Threads"]),
        redis_kb,
        float(len(series(worker.get("/metrics")[1]))),
    )


def _growth(name: str, samples: list[Sample], value: Callable[[Sample], float]) -> Growth:
    times, values = [one.at_s for one in samples], [value(one) for one in samples]
    slope = linear_regression(times, values).slope
    return Growth(name, sum(values) / len(values), slope * (times[-1] - times[0]))
