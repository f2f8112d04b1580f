"""Merging the source partitions by Kafka timestamp: catching up decides as live operation would (design 2.3). Pure.

A merge of the partitions' heads: within a partition always offset order. A record may go once every other partition has
a later one at hand, or is at its end. A partition that has nothing at hand and is not known to be at its end is waited
for, but not for ever: its broker may be down. One that is far ahead fills its buffer and is paused. Best effort: scores
do not depend on it.
"""

from collections import deque
from collections.abc import Hashable, Iterable
from typing import Generic, NamedTuple, TypeVar

Record = TypeVar("Record")
Key = TypeVar("Key", bound=Hashable)

LONG_AGO_MS = -(1 << 62)


class Flow(NamedTuple, Generic[Key]):
    """Which partitions to pause and to resume."""

    pause: list[Key]
    resume: list[Key]


class _Partition(Generic[Record]):
    __slots__ = ("at_end", "is_paused", "latest_ms", "records", "waited_since_ms")

    def __init__(self) -> None:
        self.records: deque[tuple[int, Record]] = deque()
        self.latest_ms = LONG_AGO_MS
        self.at_end = False
        self.is_paused = False
        self.waited_since_ms: int | None = None


class Alignment(Generic[Key, Record]):
    """Buffers of the source partitions; ``wait_ms`` bounds waiting for an empty one, 0 turns the merge off."""

    def __init__(self, wait_ms: int, most_buffered: int) -> None:
        self._wait_ms = wait_ms
        self._most_buffered = most_buffered
        self._partitions: dict[Key, _Partition[Record]] = {}

    def assign(self, keys: Iterable[Key]) -> None:
        """Begin with these partitions, too."""
        for key in keys:
            self._partitions[key] = _Partition()

    def revoke(self, keys: Iterable[Key]) -> int:
        """Drop these partitions and what is buffered of them; how many records that were."""
        dropped = [self._partitions.pop(key) for key in keys if key in self._partitions]
        return sum(len(partition.records) for partition in dropped)

    def add(self, key: Key, timestamp_ms: int, record: Record) -> bool:
        """A record of a partition, in offset order; not taken if the partition is not, or no longer, assigned."""
        partition = self._partitions.get(key)
        if partition is None:
            return False
        # Timestamps may go back within a partition; its order may not.
        partition.latest_ms = max(partition.latest_ms, timestamp_ms)
        partition.records.append((partition.latest_ms, record))
        partition.at_end = False
        partition.waited_since_ms = None
        return True

    def at_end(self, key: Key) -> None:
        """The partition has nothing more for now."""
        if key in self._partitions:
            self._partitions[key].at_end = True

    @property
    def buffered(self) -> int:
        """Records that have not been taken."""
        return sum(len(partition.records) for partition in self._partitions.values())

    def buffered_by_partition(self) -> dict[Key, int]:
        """Of each partition, the records that have not been taken."""
        return {key: len(partition.records) for key, partition in self._partitions.items()}

    def take(self, now_ms: int, most: int) -> list[Record]:
        """Up to about ``most`` records that may go now, merged."""
        if self._wait_ms == 0:
            return [record for partition in self._partitions.values() for record in _drain(partition, None, most)]
        safe_ms = self._safe_ms(now_ms)
        filled = [partition for partition in self._partitions.values() if partition.records]
        if len(filled) == 1:
            return _drain(filled[0], safe_ms, most)
        safe_ms = _bounded(filled, safe_ms, most)
        taken: list[tuple[int, Record]] = []
        for partition in filled:
            records = partition.records
            while records and (safe_ms is None or records[0][0] <= safe_ms):
                taken.append(records.popleft())
        taken.sort(key=lambda timed: timed[0])  # stable: offset order within a partition stays
        return [record for _, record in taken]

    def flow(self) -> Flow[Key]:
        """Partitions that have run far ahead are paused until half their buffer is gone."""
        flow: Flow[Key] = Flow([], [])
        for key, partition in self._partitions.items():
            buffered = len(partition.records)
            if not partition.is_paused and buffered >= self._most_buffered:
                partition.is_paused = True
                flow.pause.append(key)
            elif partition.is_paused and buffered <= self._most_buffered // 2:
                partition.is_paused = False
                flow.resume.append(key)
        return flow

    def reached_ms(self, now_ms: int) -> int:
        """The time up to which everything at hand has been taken: now, or the earliest record still waiting."""
        partitions = self._partitions.values()
        waiting = [partition.records[0][0] for partition in partitions if partition.records]
        unread = [partition.latest_ms for partition in partitions if not partition.at_end and not partition.records]
        return min([now_ms, *waiting, *unread])

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


def _bounded(partitions: list[_Partition[Record]], safe_ms: int | None, most: int) -> int | None:
    """An earlier bound where a batch would become too large: the time by which the first partition has its share."""
    share = max(1, most // max(1, len(partitions)))
    heads = [partition.records[share][0] for partition in partitions if len(partition.records) > share]
    return min([*heads, *([] if safe_ms is None else [safe_ms])], default=None)


def _drain(partition: _Partition[Record], safe_ms: int | None, most: int) -> list[Record]:
    records = partition.records
    taken: list[Record] = []
    while records and len(taken) < most and (safe_ms is None or records[0][0] <= safe_ms):
        taken.append(records.popleft()[1])
    return taken
