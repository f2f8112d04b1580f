"""A counter that a server keeps, and that is copied from there."""

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector


class SampledCounter(Collector):
    """A counter without labels; it falls to 0 when the server is started anew, as counters may."""

    def __init__(self, name: str, help_text: str) -> None:
        self._name = name
        self._help = help_text
        self._value = 0.0

    def set(self, value: float) -> None:
        """What the server says now."""
        self._value = value

    def collect(self) -> Iterator[Metric]:
        """What the registry renders."""
        yield CounterMetricFamily(self._name, self._help, value=self._value)
