"""Where a worker's time goes: CPU by thread of its processes, and wall time by step of leadscore's loop.

The loop is the main thread; librdkafka's threads have the names that it gives them, and those of several clients the
same one. Steps are by leadscore's own timers, which tell the time that a step took, waiting included.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from math import fsum
from pathlib import Path

import msgspec

LOOP = "loop"
STEPS = {
    "poll": ("match: poll", "score: poll"),
    "match": ("match: match",),
    "log": ("match: log",),
    "read": ("score: read",),
    "fold": ("score: fold",),
    "write": ("score: write",),
    "publish": ("score: publish",),
    "commit": ("match: commit", "score: commit"),
}
"""What a turn does, and the steps of the stages that do it."""
_STEP = re.compile(r'^leadscore_stage_duration_seconds_sum\{stage="(\w+)",step="(\w+)"\} (\S+)$', re.MULTILINE)


class Parts(msgspec.Struct, frozen=True):
    """By thread and by step: seconds so far, or microseconds per event."""

    threads: dict[str, float] = {}
    steps: dict[str, float] = {}

    def per_event_us(self, start: "Parts", each_us: float) -> "Parts":
        """What was spent since ``start``, with this many microseconds per event for a second."""
        return Parts(_since(self.threads, start.threads, each_us), _since(self.steps, start.steps, each_us))

    def __add__(self, other: "Parts") -> "Parts":
        return Parts(_sum(self.threads, other.threads), _sum(self.steps, other.steps))


def cpu_by_thread(pid: int, tick: int) -> dict[str, float]:
    """CPU seconds of a process by the name of its threads; of those that live."""
    used: dict[str, float] = {}
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):  # it has ended
            head, _, rest = (thread / "stat").read_text().rpartition(")")
            name = LOOP if thread.name == str(pid) else head.partition("(")[2]
            fields = rest.split()
            used[name] = used.get(name, 0.0) + (int(fields[11]) + int(fields[12])) / tick
    return used


def seconds_by_step(metrics: str) -> dict[str, float]:
    """What /metrics says of the steps of a loop."""
    return {f"{stage}: {step}": float(seconds) for stage, step, seconds in _STEP.findall(metrics)}


def of_both_stages(steps: Mapping[str, float]) -> dict[str, float]:
    """What is told of the stages' steps, added up; 0 where a step was not told of. By ``fsum``, as all of the page."""
    return {name: fsum(steps.get(step, 0.0) for step in of_stages) for name, of_stages in STEPS.items()}


def _sum(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in one.keys() | other.keys()}


def _since(end: Mapping[str, float], start: Mapping[str, float], each_us: float) -> dict[str, float]:
    spent = {name: round((seconds - start.get(name, 0.0)) * each_us, 2) for name, seconds in end.items()}
    return {name: us for name, us in sorted(spent.items(), key=lambda part: -part[1]) if us >= 0.01}
