"""How what was decided reaches Kafka, and when the log offsets that caused it are safe to commit (design 2.7)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from leadscore.pipeline.kafka.commit_policy import Offsets
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.deliveries import Deliveries
from leadscore.pipeline.kafka.records import Partition
from leadscore.pipeline.score.forwarding import ForwardsRecord
from leadscore.pipeline.score.outgoing import OutputTopics, ShardOutputs
from leadscore.pipeline.score.publishing import Published
from leadscore.pipeline.score.uncommitted import Uncommitted


class Publisher(Protocol):
    """Publishes what is written to Redis."""

    def publish(self, decided: Iterable[ShardOutputs], offsets: Offsets) -> None:
        """Let what was decided be on its way; ``offsets`` are safe to commit when all of it is."""

    def flush(self, deadline: Deadline) -> None:
        """Wait for what is under way, but not beyond the deadline."""

    def complete(self) -> Offsets:
        """The offsets that have become safe since the last call. ``WorkerStopped`` if something can never be sent."""

    def drop(self, partitions: Collection[Partition]) -> None:
        """The offsets of these partitions are not ours to commit, or not any more."""


class AcknowledgedPublisher:
    """At least once: records go out at once, and offsets are safe when they are acknowledged."""

    def __init__(self, topics: OutputTopics, deliveries: Deliveries[Published | ForwardsRecord]) -> None:
        self._topics = topics
        self._deliveries = deliveries
        self.flush, self.complete, self.drop = deliveries.flush, deliveries.complete, deliveries.drop

    def publish(self, decided: Iterable[ShardOutputs], offsets: Offsets) -> None:
        """Hand what was decided to Kafka's client."""
        deliveries = self._deliveries
        with deliveries.batch(offsets) as batch:
            for of_shard in decided:
                for topic, record, output in self._topics.records_of(of_shard):
                    deliveries.produce(batch, record, output, topic)


class TransactionalPublisher:
    """Exactly once: records wait for the commit of the offsets, which takes them along."""

    def __init__(self, topics: OutputTopics, uncommitted: Uncommitted) -> None:
        self._topics = topics
        self._uncommitted = uncommitted
        self._safe: Offsets = {}

    def publish(self, decided: Iterable[ShardOutputs], offsets: Offsets) -> None:
        """Hold what was decided until the offsets are committed."""
        for of_shard in decided:
            self._uncommitted.hold(of_shard.shard.number, self._topics.records_of(of_shard))
        self._safe |= offsets

    def flush(self, deadline: Deadline) -> None:
        """Nothing is under way between two commits."""

    def complete(self) -> Offsets:
        """All that was published since the last call."""
        safe, self._safe = self._safe, {}
        return safe

    def drop(self, partitions: Collection[Partition]) -> None:
        """Forget the offsets of these partitions."""
        for partition in partitions:
            self._safe.pop(partition, None)


@dataclass(frozen=True, slots=True)
class Outputs:
    """How the score stage publishes; ``uncommitted`` is what is committed in transactions, ``None``: nothing."""

    publisher: Publisher
    uncommitted: Uncommitted | None = None
