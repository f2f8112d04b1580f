"""How long ago Kafka got the oldest record of a partition that is not committed. Pure: no client and no clock in here.

Kafka does not answer that question. Two things are known:

    looks   where the partition ended, every few seconds: what is beyond the end of a look came after it
    notes   of some of the records that were read, offset and Kafka timestamp

The oldest record that is not committed came after the last look that found nothing beyond the committed offset, and not
before the last note below that offset: the later of the two is taken. Where there is neither, because the worker began
with a backlog, the first note above the offset stands for them, and before anything was read the first look.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection

from leadscore.pipeline.kafka.records import Partition

NOTES_APART_MS = 1_000
MOST_LOOKS = 1_000
MOST_NOTES = 1_000


class ReadTimes:
    """Offsets and Kafka timestamps of records that one consumer has read: about one a second of each partition."""

    def __init__(self) -> None:
        self._offsets: dict[Partition, list[int]] = {}
        self._times_ms: dict[Partition, list[int]] = {}

    def note(self, partition: Partition, offset: int, time_ms: int) -> None:
        """The last record of a poll."""
        offsets, times_ms = self._offsets.setdefault(partition, []), self._times_ms.setdefault(partition, [])
        if offsets and offset <= offsets[-1]:
            return
        if len(offsets) > 1 and time_ms - times_ms[-2] < NOTES_APART_MS:
            offsets[-1], times_ms[-1] = offset, time_ms
            return
        offsets.append(offset)
        times_ms.append(time_ms)
        if len(offsets) > MOST_NOTES:
            del offsets[1::2], times_ms[1::2]

    def forget(self, partitions: Collection[Partition]) -> None:
        """These partitions are read anew, or by another worker."""
        for partition in partitions:
            self._offsets.pop(partition, None)
            self._times_ms.pop(partition, None)

    def last_offset(self, partition: Partition) -> int | None:
        """The last record that was noted; ``None`` where none was."""
        offsets = self._offsets.get(partition)
        return offsets[-1] if offsets else None

    def before_ms(self, partition: Partition, committed: int) -> int | None:
        """The time of the last note below the committed offset; older ones are forgotten."""
        offsets, times_ms = self._offsets.get(partition, []), self._times_ms.get(partition, [])
        place = bisect_left(offsets, committed) - 1
        if place < 0:
            return None
        del offsets[:place], times_ms[:place]
        return times_ms[0]

    def from_ms(self, partition: Partition, committed: int) -> int | None:
        """The time of the first note at or above the committed offset."""
        offsets = self._offsets.get(partition, [])
        place = bisect_left(offsets, committed)
        return self._times_ms[partition][place] if place < len(offsets) else None


class _Looks:
    """Where one partition ended, and when that was seen last; the ends only grow."""

    def __init__(self, at_s: float) -> None:
        self.first_s = at_s
        self._ends: list[int] = []
        self._at_s: list[float] = []

    def note(self, at_s: float, end: int) -> None:
        if self._ends and end <= self._ends[-1]:
            self._at_s[-1] = at_s
            return
        self._ends.append(end)
        self._at_s.append(at_s)
        if len(self._ends) > MOST_LOOKS:
            del self._ends[1::2], self._at_s[1::2]

    def nothing_beyond_s(self, committed: int) -> float | None:
        """The last look that found nothing beyond the committed offset; older ones are forgotten."""
        place = bisect_right(self._ends, committed) - 1
        if place < 0:
            return None
        del self._ends[:place], self._at_s[:place]
        return self._at_s[0]


class LagTimes:
    """Says of the partitions of one consumer since when their oldest record that is not committed is in Kafka."""

    def __init__(self, read_times: ReadTimes) -> None:
        self._read_times = read_times
        self._looks: dict[Partition, _Looks] = {}

    def forget_others(self, owned: Collection[Partition]) -> None:
        """What is not owned is of no interest."""
        self._looks = {partition: looks for partition, looks in self._looks.items() if partition in owned}

    def oldest_s(self, partition: Partition, asked_at_s: float, end: int, committed: int) -> float:
        """Since when (Unix time) the record at the committed offset is there; ``end`` was asked at that time."""
        looks = self._looks.setdefault(partition, _Looks(asked_at_s))
        looks.note(asked_at_s, end)
        before_ms = self._read_times.before_ms(partition, committed)
        bounds_s = [looks.nothing_beyond_s(committed), None if before_ms is None else before_ms / 1000]
        known_s = [bound_s for bound_s in bounds_s if bound_s is not None]
        if known_s:
            return max(known_s)
        from_ms = self._read_times.from_ms(partition, committed)
        return looks.first_s if from_ms is None else from_ms / 1000
