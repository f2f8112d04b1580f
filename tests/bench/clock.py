"""What time and CPU a piece of work took, what machine it took them on, and tables of it."""

import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, Self

from leadscore.build_kind import full_version

PACKAGES = ("confluent-kafka", "fastavro", "msgspec", "redis", "hiredis")


class Spent(NamedTuple):
    """Seconds: by the wall clock; of CPU by all threads of this process; of CPU by the thread that asks."""

    wall_s: float
    process_s: float
    thread_s: float

    @classmethod
    def so_far(cls) -> Self:
        """Three clocks, each with a zero of its own: for differences."""
        return cls(time.perf_counter(), time.process_time(), time.thread_time())

    def since(self, start: "Spent") -> "Spent":
        """What was spent from ``start`` to here."""
        return Spent(self.wall_s - start.wall_s, self.process_s - start.process_s, self.thread_s - start.thread_s)


def machine_facts() -> dict[str, str]:
    """What a reader of the numbers must know of the machine."""
    return {
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "processor": _processor(),
        "system": platform.platform(terse=True),
        "python": f"{platform.python_version()} ({platform.python_build()[1]}, {platform.python_compiler()})",
        "leadscore": full_version(),
        "load": f"{os.getloadavg()[0]:.1f}",
        **{package: version(package) for package in PACKAGES},
    }


def print_facts(title: str, facts: dict[str, str]) -> None:
    """A heading and what was measured on what."""
    sys.stdout.write(f"\n{title}\n")
    sys.stdout.write("  " + ", ".join(f"{name} {value}" for name, value in facts.items()) + "\n\n")


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; the first one to the left, the others to the right."""
    table = [list(head), *map(list, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for number, row in enumerate(table):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        sys.stdout.write("  " + "  ".join(cells).rstrip() + "\n")
        if number == 0:
            sys.stdout.write("  " + "  ".join("-" * width for width in widths) + "\n")
    sys.stdout.flush()


def say(line: str) -> None:
    """A line of progress, apart from the results."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"
