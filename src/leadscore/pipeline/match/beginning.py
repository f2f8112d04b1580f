"""Where a source partition begins: at its committed offset, or at its oldest record where the group has none. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from leadscore.errors import PartitionStopped, StopCause
from leadscore.pipeline.kafka.records import Bounds, Partition


class Beginning(NamedTuple):
    """Where to begin with a partition, which holds the records from ``low`` up to, and without, ``high``."""

    offset: int
    is_committed: bool
    low: int
    high: int


def beginning(partition: Partition, committed: int | None, bounds: Bounds) -> Beginning:
    """Where to begin; ``PartitionStopped`` where that is an operator's decision."""
    low, high = bounds
    if committed is None:
        return Beginning(low, is_committed=False, low=low, high=high)
    if low <= committed <= high:
        return Beginning(committed, is_committed=True, low=low, high=high)
    if committed < low:
        what = f"its {low - committed} records from offset {committed}, the committed one, on were deleted unread"
    else:
        what = (
            f"the committed offset {committed} is beyond its end: at least {committed - high} records are lost that "
            "were read and count"
        )
    raise gap(partition, f"{what}; the topic holds offsets {low} to {high - 1}")


def gap(partition: Partition, what: str) -> PartitionStopped:
    """What stops a partition whose records are not those that the committed offset speaks of."""
    topic, number = partition
    return PartitionStopped(
        f"{topic}/{number}: {what}. Nothing of this partition is read. What the records before earned stays. To go on "
        "with the first record that was not read, stop the workers and run: "
        f"leadscore topics accept-gap --topic {topic} --partition {number}",
        StopCause.RECORDS_LOST,
    )


def filled_without_offset(beginnings: Mapping[Partition, Beginning]) -> dict[Partition, int]:
    """How many records there are in each partition that has some, and no committed offset."""
    return {
        partition: begin.high - begin.low
        for partition, begin in beginnings.items()
        if not begin.is_committed and begin.high > begin.low
    }
