"""Which log partitions this worker has, and how far each is: owned, doubtful or stopped. No client in here.

    doubtful  assigned, and not (or no longer) known where it goes on: its memory is thrown away, its records are left
              alone until it is reconciled
    owned     the states in memory are those of the stored fence; its records are applied
    stopped   an operator must decide; it is looked at again every half minute, and goes on by itself once its cause
              is gone

A partition is in one of them at a time; what is in none belongs to another worker.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadscore.errors import PartitionStopped
from leadscore.log.records import NO_EPOCH
from leadscore.pipeline.kafka.records import Partition
from leadscore.pipeline.score.shard import Shard

STOPPED_AGAIN_S = 30.0


@dataclass(slots=True)
class OwnedShard:
    """A shard this worker owns, and what it is waiting for."""

    shard: Shard
    publish_from: int
    """Crossings caused below are published already."""
    tick_offset: int | None = None
    """Where the last tick was appended; -1 while Kafka has not said where."""
    review_cursor: int | None = None
    """Where looking at every lead in a threshold, because the model changed, goes on."""

    def begin_review_again(self) -> None:
        """After an outage the place in the store means nothing."""
        if self.review_cursor is not None:
            self.review_cursor = 0

    @property
    def has_tick_under_way(self) -> bool:
        """Whether a tick was appended and is not applied yet. It may come back before Kafka's answer where it is."""
        return self.tick_offset is not None and not 0 <= self.tick_offset <= self.shard.offset


class Shards:
    """The partitions of one worker, by number."""

    def __init__(self) -> None:
        self.owned: dict[int, OwnedShard] = {}
        self.doubtful: set[int] = set()
        self.stopped: dict[int, PartitionStopped] = {}
        self._looked_at_s = 0.0

    def leader_epoch_of(self, partition: Partition) -> int:
        """Of the last record of the log that is applied."""
        owned = self.owned.get(partition[1])
        return NO_EPOCH if owned is None else owned.shard.leader_epoch

    def take(self, numbers: Iterable[int]) -> None:
        """These are assigned now."""
        self.doubt(numbers)

    def release(self, numbers: Iterable[int]) -> None:
        """These belong to another worker."""
        for number in numbers:
            self.owned.pop(number, None)
            self.doubtful.discard(number)
            self.stopped.pop(number, None)

    def doubt(self, numbers: Iterable[int]) -> None:
        """What is in memory of these is not to be trusted."""
        for number in list(numbers):
            self.owned.pop(number, None)
            self.stopped.pop(number, None)
            self.doubtful.add(number)

    def own(self, number: int, owned: OwnedShard) -> None:
        """It is known where this one goes on."""
        self.doubtful.discard(number)
        self.stopped.pop(number, None)
        self.owned[number] = owned

    def stop(self, number: int, why: PartitionStopped) -> None:
        """This one waits for an operator."""
        self.owned.pop(number, None)
        self.doubtful.discard(number)
        self.stopped[number] = why

    def trim(self, most_leads: int) -> None:
        """Keep about this number of leads in memory, of all shards together."""
        most = most_leads // max(1, len(self.owned))
        for owned in self.owned.values():
            owned.shard.trim(most)

    def to_reconcile(self, now_s: float) -> list[int]:
        """The doubtful ones, and from time to time those that are stopped."""
        if now_s - self._looked_at_s < STOPPED_AGAIN_S and self.stopped:
            return sorted(self.doubtful)
        self._looked_at_s = now_s
        return sorted(self.doubtful | set(self.stopped))
