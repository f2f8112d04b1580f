"""Counting what is published where nothing but its kind matters: frames, ticks, dead letters."""

from prometheus_client import Counter

from leadscore.ops.stage_metrics import PublishMetrics


class PublishCounts:
    """Records of one kind; ``acknowledged`` counts those that Kafka has stored."""

    def __init__(self, publish: PublishMetrics, kind: str, acknowledged: Counter) -> None:
        self._attempts = publish.attempts.labels(kind)
        self._failures = publish.failures.labels(kind)
        self._acknowledged = acknowledged

    def produced(self, _output: object) -> None:
        """One was handed to the client."""
        self._attempts.inc()

    def acknowledged(self, _output: object) -> None:
        """Kafka has stored it."""
        self._acknowledged.inc()

    def failed(self, _output: object) -> None:
        """Kafka has not stored it and never will."""
        self._failures.inc()
