"""Whether a partition still holds the last record that was read of it, before it goes on behind it. Pure.

A topic that has lost its end and was written on since may be longer than the committed offset again: new records stand
where others were read, and would be passed over. So a partition begins one record early. That record must be of no
later leader than the one that was committed with the offset; it is looked at and not read a second time.

The client compares leader epochs itself, but only of a partition that it is reading when its leader changes.
"""

from collections.abc import Iterable

from leadscore.log.records import NO_EPOCH
from leadscore.pipeline.kafka.records import Partition
from leadscore.pipeline.match.beginning import Beginning, gap


class Proofs:
    """Partitions that begin one record early, and have not delivered it yet."""

    def __init__(self) -> None:
        self._open: dict[Partition, tuple[int, int]] = {}

    def __contains__(self, partition: Partition) -> bool:
        return partition in self._open

    def __bool__(self) -> bool:
        return bool(self._open)

    def place(self, partition: Partition, begin: Beginning, leader_epoch: int) -> int:
        """Where to begin to read a partition whose offset was committed with this leader epoch."""
        self._open.pop(partition, None)
        if not begin.is_committed or leader_epoch == NO_EPOCH or begin.offset <= begin.low:
            return begin.offset
        self._open[partition] = (begin.offset, leader_epoch)
        return begin.offset - 1

    def is_one(self, partition: Partition, offset: int, epoch: int | None) -> bool:
        """Whether the first record of a partition is the one before its offset; ``PartitionStopped`` if a later one."""
        committed, leader_epoch = self._open.pop(partition)
        if offset >= committed:  # the one before it was compacted, or marks the end of a transaction
            return False
        if epoch is not None and epoch > leader_epoch:
            raise gap(
                partition,
                f"it has lost its end, and other records stand there by now: record {offset}, before the committed "
                f"offset {committed}, is of leader epoch {epoch}, and the one that was read was of {leader_epoch}",
            )
        return True

    def forget(self, partitions: Iterable[Partition]) -> None:
        """These are not read any more, or begin anew."""
        for partition in partitions:
            self._open.pop(partition, None)
