"""How far a source partition was read, in one integer: the leader epoch and the offset of a record (design 2.3). Pure.

Kafka numbers the leaders of a partition, and every record keeps the number of the leader that wrote it, its leader
epoch. A partition that loses its end, in an unclean election or because a disk came back without its last writes, uses
offsets again, under a leader with a higher number. So leader epoch and offset together never come twice, and their
order is that of the records: what stands now where a record was lost comes after that record, and is no replay of it.

A position without an epoch is the offset itself: those that were stored before positions had one, and those of brokers
that do not say. It is compared by the offset alone.
"""

from typing import Final

from leadscore.log.records import NO_EPOCH

OFFSETS: Final = 1 << 43
"""More than a partition ever has."""
NOTHING_SEEN: Final = -1
ALL_SEEN: Final = OFFSETS


def position_at(leader_epoch: int, offset: int) -> int:
    """The position of a record."""
    return (leader_epoch + 1) * OFFSETS + offset


def seen_offset(position: int, leader_epoch: int) -> int:
    """Up to which offset the records of this leader were seen, where ``position`` is the highest that was.

    ``NOTHING_SEEN`` where that is of an earlier leader, ``ALL_SEEN`` where it is of a later one.
    """
    if position == NOTHING_SEEN:
        return NOTHING_SEEN
    seen_epoch, offset = position // OFFSETS - 1, position % OFFSETS
    if NO_EPOCH in (seen_epoch, leader_epoch) or seen_epoch == leader_epoch:
        return offset
    return NOTHING_SEEN if seen_epoch < leader_epoch else ALL_SEEN


def position_after(position: int, leader_epoch: int, offset: int) -> int:
    """The highest position seen, once this record was too; a record of an unknown leader is one of the latest."""
    seen_epoch = NO_EPOCH if position == NOTHING_SEEN else position // OFFSETS - 1
    return position_at(max(seen_epoch, leader_epoch), offset)
