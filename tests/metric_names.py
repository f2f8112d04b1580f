"""Which metrics an expression of Prometheus reads, and which there are."""

import re

from leadscore.ops.metrics import Metrics

OF_THE_PROCESS = {
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "up",
}
"""Those that are not leadscore's own."""


def metrics_in(expression: str) -> set[str]:
    """The metrics of the worker that an expression reads, without the names of recording rules."""
    return set(re.findall(r"(?<![\w:])leadscore_[a-z_]+", re.sub(r"\w+(?::\w+)+", "", expression)))


def exported() -> set[str]:
    rows = Metrics("0", []).described
    parts = {"histogram": ("_bucket", "_count", "_sum")}
    return {row.name + part for row in rows for part in parts.get(row.type, ("",))}
