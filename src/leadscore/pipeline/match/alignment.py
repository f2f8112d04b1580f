"""Merging the source partitions by Kafka timestamp: catching up decides as live operation would (design 2.3). Pure.

A merge of the partitions' heads: within a partition always offset order. A record may go once every other partition has
a later one at hand, or is at its end. A partition that has nothing at hand and is not known to be at its end is waited
for, but not for ever: its broker may be down. Best effort: scores do not depend on it.

Partitions run ahead of each other, and what came of one that is ahead is held. To pause a partition makes the client
throw away what it has fetched ahead of it, so that is done late and seldom: at half of the bytes that may be held, with
the partitions that hold their share of that half or more, each until an eighth of the whole share is left. The others
hold less than the share, so all together never hold more than the limit and what one poll brings of each partition.
"""

from collections import deque
from collections.abc import Hashable, Iterable
from operator import itemgetter
from typing import Generic, NamedTuple, TypeVar

Record = TypeVar("Record")
Key = TypeVar("Key", bound=Hashable)

LONG_AGO_MS = -(1 << 62)
RECORD_BYTES = 500
"""What a record that is held takes in memory beside its value: the client's record, Python's, and its place here."""

LEAST_SHARE = 5
"""A batch that lacks less than this of each partition is full enough."""

_time_of = itemgetter(0)


class Flow(NamedTuple, Generic[Key]):
    """Which partitions to pause and to resume."""

    pause: list[Key]
    resume: list[Key]


# Plain tuples, because there is one for each record.
Arrived = tuple[int, int, Record]
"""The Kafka timestamp (ms), the bytes of the value, the record."""
_Held = tuple[int, int, Record]
"""The latest timestamp so far, which never goes back, what it takes in memory, the record."""


class _Partition(Generic[Record]):
    __slots__ = ("at_end", "held_bytes", "is_paused", "latest_ms", "records", "waited_since_ms")

    def __init__(self) -> None:
        self.records: deque[_Held[Record]] = deque()
        self.held_bytes = 0
        self.latest_ms = LONG_AGO_MS
        self.at_end = False
        self.is_paused = False
        self.waited_since_ms: int | None = None


class Alignment(Generic[Key, Record]):
    """What is held of the source partitions; ``wait_ms`` bounds waiting for an empty one, 0 turns the merge off."""

    def __init__(self, wait_ms: int, most_bytes: int) -> None:
        self._wait_ms = wait_ms
        self._most_bytes = most_bytes
        self._partitions: dict[Key, _Partition[Record]] = {}

    def assign(self, keys: Iterable[Key]) -> None:
        """Begin with these partitions, too."""
        for key in keys:
            self._partitions[key] = _Partition()

    def revoke(self, keys: Iterable[Key]) -> int:
        """Drop these partitions and what is buffered of them; how many records that were."""
        dropped = [self._partitions.pop(key) for key in keys if key in self._partitions]
        return sum(len(partition.records) for partition in dropped)

    def add(self, key: Key, arrived: Iterable[Arrived[Record]]) -> bool:
        """Records of a partition, in offset order; not taken if the partition is not, or no longer, assigned."""
        partition = self._partitions.get(key)
        if partition is None:
            return False
        latest_ms, held_bytes, records = partition.latest_ms, partition.held_bytes, partition.records
        for timestamp_ms, value_bytes, record in arrived:
            # Timestamps may go back within a partition; its order may not.
            if timestamp_ms > latest_ms:  # noqa: PLR1730 - ``max`` would be a call for each record
                latest_ms = timestamp_ms
            size_bytes = value_bytes + RECORD_BYTES
            held_bytes += size_bytes
            records.append((latest_ms, size_bytes, record))
        partition.latest_ms, partition.held_bytes = latest_ms, held_bytes
        partition.at_end = False
        partition.waited_since_ms = None
        return True

    def at_end(self, key: Key) -> None:
        """The partition has nothing more for now."""
        if key in self._partitions:
            self._partitions[key].at_end = True

    def latest_ms(self, key: Key) -> int:
        """The latest time of the partition's records so far."""
        return self._partitions[key].latest_ms

    @property
    def buffered(self) -> int:
        """Records that have not been taken."""
        return sum(len(partition.records) for partition in self._partitions.values())

    def buffered_by_partition(self) -> dict[Key, int]:
        """Of each partition, the records that have not been taken."""
        return {key: len(partition.records) for key, partition in self._partitions.items()}

    @property
    def held_bytes(self) -> int:
        """What these records take in memory."""
        return sum(partition.held_bytes for partition in self._partitions.values())

    def take(self, now_ms: int, most: int) -> list[Record]:
        """Up to about ``most`` records that may go now, merged."""
        if self._wait_ms == 0:
            return [record for partition in self._partitions.values() for record in _drain(partition, None, most)]
        safe_ms = self._safe_ms(now_ms)
        taken: list[Record] = []
        while len(taken) < most and (filled := self._filled(safe_ms)):
            share = (most - len(taken)) // len(filled)
            if taken and share < LEAST_SHARE:
                break
            taken += _merged(filled, safe_ms, max(1, share))
        return taken

    def flow(self) -> Flow[Key]:
        """Which partitions hold so much that they are to be paused, and which so little that they are to go on."""
        flow: Flow[Key] = Flow([], [])
        share = self._most_bytes / max(1, len(self._partitions))
        is_full = self.held_bytes >= self._most_bytes / 2
        for key, partition in self._partitions.items():
            if partition.is_paused and partition.held_bytes <= share / 8:
                partition.is_paused = False
                flow.resume.append(key)
            elif is_full and not partition.is_paused and partition.held_bytes >= share / 2:
                partition.is_paused = True
                flow.pause.append(key)
        return flow

    def reached_ms(self, now_ms: int) -> int:
        """The time up to which everything at hand has been taken: now, or the earliest record still waiting."""
        partitions = self._partitions.values()
        waiting = [partition.records[0][0] for partition in partitions if partition.records]
        unread = [partition.latest_ms for partition in partitions if not partition.at_end and not partition.records]
        return min([now_ms, *waiting, *unread])

    def _filled(self, safe_ms: int | None) -> list[_Partition[Record]]:
        """The partitions that have records which may go."""
        return [
            partition
            for partition in self._partitions.values()
            if partition.records and (safe_ms is None or partition.records[0][0] <= safe_ms)
        ]

    def _safe_ms(self, now_ms: int) -> int | None:
        """Everything up to here may go: nothing earlier is still to come, or it was waited for long enough."""
        bounds = []
        for partition in self._partitions.values():
            if partition.at_end:
                continue
            if partition.records:
                bounds.append(partition.latest_ms)
            elif self._is_waited_for(partition, now_ms):
                bounds.append(LONG_AGO_MS)
        return min(bounds, default=None)

    def _is_waited_for(self, partition: _Partition[Record], now_ms: int) -> bool:
        if partition.waited_since_ms is None:
            partition.waited_since_ms = now_ms
        return now_ms - partition.waited_since_ms < self._wait_ms


def _merged(partitions: list[_Partition[Record]], safe_ms: int | None, share: int) -> list[Record]:
    """The records up to the time by which the first partition has given its share, or up to ``safe_ms``."""
    if len(partitions) == 1:
        return _drain(partitions[0], safe_ms, share)
    bounds = [partition.records[share][0] for partition in partitions if len(partition.records) > share]
    bound_ms = min([*bounds, *([] if safe_ms is None else [safe_ms])], default=None)
    taken: list[_Held[Record]] = []
    for partition in partitions:
        taken += _popped(partition, bound_ms, len(partition.records))
    taken.sort(key=_time_of)  # stable: offset order within a partition stays
    return [record for _, _, record in taken]


def _drain(partition: _Partition[Record], safe_ms: int | None, most: int) -> list[Record]:
    return [record for _, _, record in _popped(partition, safe_ms, most)]


def _popped(partition: _Partition[Record], safe_ms: int | None, most: int) -> list[_Held[Record]]:
    records = partition.records
    popped: list[_Held[Record]] = []
    while records and len(popped) < most and (safe_ms is None or records[0][0] <= safe_ms):
        popped.append(records.popleft())
    partition.held_bytes -= sum([size_bytes for _, size_bytes, _ in popped])
    return popped
