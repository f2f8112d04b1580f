"""What a run of ``make bench-peers`` measures: the content of docs/benchmarks/peers.json."""

import statistics
from collections.abc import Callable, Sequence

import msgspec

from tests.bench.peers.parts import Parts


class Workload(msgspec.Struct, frozen=True):
    """Which events: ``peers`` or ``starter``."""

    name: str
    events: int
    leads: int


class Cpu(msgspec.Struct, frozen=True):
    """CPU time per event (us); ``None`` where it cannot be measured (a broker in a container)."""

    worker: float
    broker: float | None
    redis: float

    @property
    def total(self) -> float:
        """Of all processes."""
        return self.worker + (self.broker or 0.0) + self.redis


class Crossings(msgspec.Struct, frozen=True):
    """What the crossing topic has, read committed. ``repeated`` is the number of records that say what another said."""

    enter: int
    leave: int
    repeated: int


class Run(msgspec.Struct, frozen=True):
    """One run of one system. The rates and the CPU begin with the first event; ``half`` is the second half alone.

    ``memory_mb`` is the most that the worker's processes had resident, ``redis_mb`` what Redis held at the end.
    ``half_parts`` is where the worker's time of the second half went, in microseconds per event.
    """

    system: str
    workload: Workload
    events_per_s: float
    half_events_per_s: float
    cpu: Cpu
    half_cpu: Cpu
    start_s: float
    start_cpu_s: float
    memory_mb: float
    crossings: Crossings
    redis_mb: float = 0.0
    half_parts: Parts = Parts()


class Absent(msgspec.Struct, frozen=True):
    """A system that could not be had or did not finish, and why."""

    system: str
    reason: str


class Report(msgspec.Struct, frozen=True):
    """All runs, and what they were measured on."""

    date: str
    facts: dict[str, str]
    titles: dict[str, str]
    broker_idle: float | None
    runs: list[Run]
    absent: list[Absent]

    def workloads(self) -> list[Workload]:
        """In the order of the runs."""
        return list(dict.fromkeys(run.workload for run in self.runs))

    def rows(self, workload: Workload) -> dict[str, list[Run]]:
        """The runs of a workload by system, in the order of the titles."""
        runs = [run for run in self.runs if run.workload == workload]
        rows = {system: [run for run in runs if run.system == system] for system in self.titles}
        return {system: row for system, row in rows.items() if row}

    def last_runs(self, workload: Workload) -> list[Run]:
        """The last run of each system on a workload."""
        return [runs[-1] for runs in self.rows(workload).values()]


class Spread(msgspec.Struct, frozen=True):
    """A figure over the rounds."""

    median: float
    least: float
    most: float


def spread(runs: Sequence[Run], figure: Callable[[Run], float | None]) -> Spread | None:
    """Over these runs; ``None`` where the figure could not be measured."""
    values = [value for value in map(figure, runs) if value is not None]
    return Spread(statistics.median(values), min(values), max(values)) if values else None
