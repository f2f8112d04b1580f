"""Which metrics an expression of Prometheus reads, with which labels, and which there are."""

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import msgspec

from leadscore.model.definition import ModelDefinition
from leadscore.ops.metrics import Metrics
from leadscore.ops.services import KAFKA, REDIS
from tests.monitored import MODEL

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


class LabelValue(NamedTuple):
    """A value of a label of a metric."""

    metric: str
    label: str
    value: str


def label_values_in(expression: str) -> Iterator[LabelValue]:
    """Those that an expression selects by name; patterns and the variables of dashboards say nothing of values."""
    for metric, matchers in re.findall(r"(leadscore_\w+)\{([^}]*)\}", expression):
        for label, operator, text in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', matchers):
            for value in text.split("|") if "~" in operator else [text]:
                if not re.search(r"[$*.+]", value) or label == "le":
                    yield LabelValue(metric, label, value)


@cache
def exported_label_values() -> frozenset[LabelValue]:
    """What a worker exports from its start on, with a model that has outcomes and thresholds."""
    metrics = Metrics("0", ["website"])
    metrics.expect(msgspec.convert(MODEL, ModelDefinition))
    for service in (KAFKA, REDIS):
        metrics.kafka.dependency_up.labels(service).set(1)
    return frozenset(
        LabelValue(sample.name, label, value)
        for family in metrics.registry.collect()
        for sample in family.samples
        for label, value in sample.labels.items()
    )
