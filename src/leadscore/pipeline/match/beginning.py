"""Where a source partition begins: at its committed offset, or at its oldest record where the group has none. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from leadscore.errors import PartitionStopped
from leadscore.pipeline.kafka.records import Bounds, Partition


class Beginning(NamedTuple):
    """Where to begin with a partition, which holds the records from ``low`` up to, and without, ``high``."""

    offset: int
    is_committed: bool
    low: int
    high: int


def beginning(partition: Partition, committed: int | None, bounds: Bounds, group: str) -> Beginning:
    """Where to begin; ``PartitionStopped`` where that is an operator's decision."""
    low, high = bounds
    if committed is None:
        return Beginning(low, is_committed=False, low=low, high=high)
    if low <= committed <= high:
        return Beginning(committed, is_committed=True, low=low, high=high)
    raise PartitionStopped(
        f"{partition[0]}/{partition[1]}: the committed offset {committed} is not in the topic, which holds "
        f"{low} to {high - 1}: records were deleted before they were read, or the topic was recreated. "
        f"To go on, set the offset of group {group} for this partition yourself."
    )


def filled_without_offset(beginnings: Mapping[Partition, Beginning]) -> dict[Partition, int]:
    """How many records there are in each partition that has some, and no committed offset."""
    return {
        partition: begin.high - begin.low
        for partition, begin in beginnings.items()
        if not begin.is_committed and begin.high > begin.low
    }
