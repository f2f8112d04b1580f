"""The limit beyond which a topic is stopped rather than drained into the dead letters. Pure.

A wrong mapping or a wrong producer makes dead letters of good records. So each batch is judged before anything of it is
published or committed, topic by topic: if too large a share of the recent records would be dead letters, and of the
batch itself as well, the topic stops in front of the batch. A batch in order never stops a topic, whatever came before.

What was counted goes with each committed offset, as its metadata. The next process counts on from there: restarts do
not let a bad topic through bit by bit. At most ``min_records`` are let through before there is a judgement.
"""

import re
from collections import deque
from collections.abc import Collection, Mapping
from typing import NamedTuple

from leadscore.pipeline.kafka.records import Partition

_NOTE = re.compile(r"dead_letters=(\d{1,12})/(\d{1,12})")
KEPT = 4
"""Beyond this many times ``min_records`` old records weigh less and less."""


class Tally(NamedTuple):
    """How many records there were, and how many of them were dead letters."""

    records: int = 0
    dead: int = 0

    def plus(self, other: "Tally") -> "Tally":
        """Both together."""
        return Tally(self.records + other.records, self.dead + other.dead)

    def is_beyond(self, max_ratio: float) -> bool:
        """Whether too large a share were dead letters."""
        return self.dead > max_ratio * self.records


class Counted(NamedTuple):
    """The records of one partition in a batch: their tally, the first offset and the one after the last."""

    tally: Tally
    first: int
    end: int


class _Recent:
    """The recent records of one partition; ``steps`` are the tallies at offsets that are not committed yet."""

    __slots__ = ("steps", "tally")

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.steps: deque[tuple[int, Tally]] = deque([(0, tally)])


class DeadLetterLimit:
    """Counts the records of the partitions this worker owns."""

    def __init__(self, max_ratio: float, min_records: int) -> None:
        self._max_ratio = max_ratio
        self._min_records = min_records
        self._recent: dict[Partition, _Recent] = {}

    def begin(self, partition: Partition, note: str) -> None:
        """A partition goes on from its committed offset, whose metadata is ``note``."""
        told = _NOTE.fullmatch(note)
        self._recent[partition] = _Recent(Tally(int(told[2]), int(told[1])) if told else Tally())

    def forget(self, partitions: Collection[Partition]) -> None:
        """These partitions are another worker's now."""
        for partition in partitions:
            self._recent.pop(partition, None)

    def beyond(self, batch: Mapping[Partition, Counted]) -> dict[str, Tally]:
        """The topics that are to stop in front of the batch, each with its recent records, the batch's among them."""
        by_topic: dict[str, Tally] = {}
        for (topic, _), counted in batch.items():
            by_topic[topic] = by_topic.get(topic, Tally()).plus(counted.tally)
        bad = [topic for topic, tally in by_topic.items() if tally.is_beyond(self._max_ratio)]
        recent = {topic: self._recent_of(topic).plus(by_topic[topic]) for topic in bad}
        return {
            topic: tally
            for topic, tally in recent.items()
            if tally.records >= self._min_records and tally.is_beyond(self._max_ratio)
        }

    def count(self, batch: Mapping[Partition, Counted]) -> None:
        """A batch is published."""
        for partition, counted in batch.items():
            recent = self._recent.setdefault(partition, _Recent(Tally()))
            tally = recent.tally.plus(counted.tally)
            if tally.records > KEPT * self._min_records:
                tally = Tally(tally.records // 2, tally.dead // 2)
            recent.tally = tally
            recent.steps.append((counted.end, tally))

    def note(self, partition: Partition, offset: int) -> str:
        """The metadata of a commit: what was counted below the offset."""
        recent = self._recent.get(partition)
        if recent is None:
            return ""
        while len(recent.steps) > 1 and recent.steps[1][0] <= offset:
            recent.steps.popleft()
        records, dead = recent.steps[0][1]
        return f"dead_letters={dead}/{records}"

    def words(self, partition: Partition, recent: Tally, batch: Counted | None) -> str:
        """Why a partition of such a topic stops, and what of it is published."""
        topic, number = partition
        from_there = "its next record" if batch is None else f"offset {batch.first}"
        return (
            f"{topic}/{number}: {recent.dead} of the last {recent.records} records of topic {topic} were or would be "
            f"dead letters, more than the {self._max_ratio:.0%} of LEADSCORE_DEAD_LETTER_MAX_RATIO: the format of the "
            f"topic, its mapping or the schema registry is probably wrong. From {from_there} on nothing of this "
            "partition is published or committed; what came before it is. Correct the cause, then restart this worker; "
            "to let the records go to the dead letters, raise LEADSCORE_DEAD_LETTER_MAX_RATIO."
        )

    def _recent_of(self, topic: str) -> Tally:
        total = Tally()
        for (name, _), recent in self._recent.items():
            if name == topic:
                total = total.plus(recent.tally)
        return total
