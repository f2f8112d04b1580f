"""The list of a worker's metrics: each is declared once, in one registry, with what docs/metrics.md says of it."""

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from leadscore.ops.batch_histogram import BatchHistogram
from leadscore.ops.sampled_counter import SampledCounter


class Described(NamedTuple):
    """One row of the catalogue."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str


class Catalogue:
    """Declares metrics in one registry and keeps the list of them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.described: list[Described] = []

    def counter(self, name: str, help_text: str, **labels: Sequence[str]) -> Counter:
        """A counter; of each label the values known beforehand (none: they come with the first use)."""
        self.described.append(Described(name, "counter", tuple(labels), help_text))
        counter = Counter(name, help_text, tuple(labels), registry=self.registry)
        for values in _combinations(labels):
            counter.labels(*values)
        return counter

    def gauge(self, name: str, help_text: str, **labels: Sequence[str]) -> Gauge:
        """A gauge; labels as of a counter."""
        self.described.append(Described(name, "gauge", tuple(labels), help_text))
        gauge = Gauge(name, help_text, tuple(labels), registry=self.registry)
        for values in _combinations(labels):
            gauge.labels(*values)
        return gauge

    def sampled_counter(self, name: str, help_text: str) -> SampledCounter:
        """A counter without labels that a server keeps."""
        self.described.append(Described(name, "counter", (), help_text))
        counter = SampledCounter(name, help_text)
        self.registry.register(counter)
        return counter

    def histogram(self, name: str, help_text: str, buckets_s: Sequence[float], *labels: str) -> Histogram:
        """A histogram with these upper bounds."""
        self.described.append(Described(name, "histogram", labels, help_text))
        return Histogram(name, help_text, labels, buckets=buckets_s, registry=self.registry)

    def batch_histogram(self, name: str, help_text: str, buckets_s: Sequence[float]) -> BatchHistogram:
        """A histogram without labels that takes whole batches."""
        self.described.append(Described(name, "histogram", (), help_text))
        histogram = BatchHistogram(name, help_text, buckets_s)
        self.registry.register(histogram)
        return histogram


def _combinations(labels: dict[str, Sequence[str]]) -> Iterable[tuple[str, ...]]:
    return itertools.product(*labels.values()) if labels else ()
