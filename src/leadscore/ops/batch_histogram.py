"""A histogram that takes whole batches: the hot path cannot afford the client library's own."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from threading import Lock

from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

MS_PER_S = 1_000


class BatchHistogram(Collector):
    """A histogram without labels of how long ago things were, whole batches at once.

    The client library's own takes about a microsecond a value, as much as decoding an event should. Here the batch is
    sorted, which is quick where it is nearly in order, and each boundary is looked up in it once.
    """

    def __init__(self, name: str, help_text: str, buckets_s: Sequence[float]) -> None:
        self._name = name
        self._help = help_text
        self._bounds_s = tuple(buckets_s)
        self._bounds_ms = [round(bound_s * MS_PER_S) for bound_s in buckets_s]
        self._totals = [0] * (len(self._bounds_s) + 1)
        self._sum_ms = 0
        self._lock = Lock()

    def observe_ages(self, now_ms: int, instants_ms: Sequence[int]) -> None:
        """Count how long ago each of the instants was; one that is ahead counts as 0, so that the sum never falls."""
        ordered = sorted(instants_ms)
        number = len(ordered)
        past = bisect_left(ordered, now_ms)
        with self._lock:
            for place, bound_ms in enumerate(self._bounds_ms):
                self._totals[place] += number - bisect_left(ordered, now_ms - bound_ms)
            self._totals[-1] += number
            self._sum_ms += past * now_ms - sum(ordered[:past])

    def collect(self) -> Iterator[Metric]:
        """What the registry renders."""
        with self._lock:
            totals, sum_ms = list(self._totals), self._sum_ms
        names = [*map(floatToGoString, self._bounds_s), "+Inf"]
        buckets: list[tuple[str, float]] = [(name, total) for name, total in zip(names, totals, strict=True)]
        yield HistogramMetricFamily(self._name, self._help, buckets=buckets, sum_value=sum_ms / MS_PER_S)
