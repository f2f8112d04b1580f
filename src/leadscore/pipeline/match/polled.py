"""What one poll brought of each source partition, for the metrics."""

from collections import Counter

from leadscore.ops.stage_metrics import MatchMetrics
from leadscore.pipeline.kafka.records import Partition


class Polled:
    """``read`` counts all records: ``again`` those read before, ``given_up`` are of none of our partitions."""

    def __init__(self) -> None:
        self.read: Counter[Partition] = Counter()
        self.again: Counter[Partition] = Counter()
        self.given_up: Counter[Partition] = Counter()

    @property
    def taken(self) -> list[Partition]:
        """The partitions of which there were new records."""
        left_out = self.again + self.given_up
        return [partition for partition, number in self.read.items() if number > left_out[partition]]

    def count(self, match: MatchMetrics) -> None:
        """Add the poll to the metrics."""
        for (topic, _), number in self.read.items():
            match.records_consumed.labels(topic).inc(number)
        for (topic, _), number in self.again.items():
            match.records_reread.labels(topic).inc(number)
        for (topic, _), number in self.given_up.items():
            match.records_processed.labels(topic, "given_up").inc(number)
