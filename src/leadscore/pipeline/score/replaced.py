"""Whether the records that a shard goes on behind still stand in its log (design 2.4).

A log that has lost its end and was written on may be longer than what was applied of it. Then the offsets fit, and
other records stand where applied ones stood: they would be passed over. The leader epoch of a record tells: one that
was written later has a higher one. Where a reader finds no record any more, the end of a transaction stands.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from leadscore.log.records import NO_EPOCH
from leadscore.pipeline.kafka.questions import Committed
from leadscore.pipeline.kafka.records import Bounds, Partition
from leadscore.store.fence import Fence

LeaderEpochs = Callable[[Mapping[Partition, int]], dict[Partition, int]]
"""The leader epochs of the records at these offsets, where a reader finds one."""


class Expected(NamedTuple):
    """A record that was applied, and the leader epoch that it has at most."""

    offset: int
    leader_epoch: int


def replaced_records(
    fences: Mapping[Partition, Fence | None],
    committed: Mapping[Partition, Committed],
    bounds: Mapping[Partition, Bounds],
    leader_epochs: LeaderEpochs,
) -> dict[Partition, int]:
    """Of each partition the offset of such a record in whose place another one stands, if there is one.

    A partition without a fence has lost its states; what was published of it is told by what is committed all the same.
    """
    replaced: dict[Partition, int] = {}
    for choose in (_last_applied, _last_committed):
        expected = {
            partition: record
            for partition, fence in fences.items()
            if (record := choose(fence, committed[partition])) is not None
            and record.leader_epoch != NO_EPOCH
            and bounds[partition][0] <= record.offset < bounds[partition][1]
        }
        if expected:
            epochs = leader_epochs({partition: record.offset for partition, record in expected.items()})
            for partition, record in expected.items():
                if partition not in epochs or epochs[partition] > record.leader_epoch:
                    replaced.setdefault(partition, record.offset)
    return replaced


def _last_applied(fence: Fence | None, _committed: Committed) -> Expected | None:
    return None if fence is None else Expected(fence.offset, fence.log_leader_epoch)


def _last_committed(fence: Fence | None, committed: Committed) -> Expected | None:
    """The judge of what was published, where it is further than the states."""
    applied = -1 if fence is None else fence.offset
    if committed.offset is None or committed.offset <= applied + 1:
        return None
    return Expected(committed.offset - 1, committed.leader_epoch)
