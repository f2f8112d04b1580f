"""Redis loses what it has stored, the log its oldest records, and an operator restores what cannot be repaired."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from leadscore.ops.choices import OnStateLoss
from leadscore.store.fence import decode as decode_fence
from tests.simulation.redis import copy_of
from tests.simulation.site import LOG, Site
from tests.unit.fake_store import FakeShard


class Lost(NamedTuple):
    """What is stored of a shard since a loss, and the copy from before it."""

    fence: bytes | None
    copy: FakeShard


class Losses:
    """Of one deployment. A worker repairs every loss, unless the log no longer holds what is needed, or told not to."""

    def __init__(self, random: Random, site: Site, say: Callable[[str], None], counts: Counter[str]) -> None:
        self._random = random
        self._site = site
        self._say = say
        self._counts = counts
        self._lost: dict[int, Lost] = {}

    def lose_writes(self) -> None:
        """Redis goes back to an earlier state of one shard, or of several."""
        for number in self._some_shards():
            copies = self._site.redis.copies(number)
            if copies:
                self._lose(number, self._random.choice(copies))

    def lose_all(self) -> None:
        """All of a shard is lost, or nothing of it but the fence."""
        for number in self._some_shards():
            shard = self._site.redis.shards.get(number, FakeShard())
            left = FakeShard() if self._random.random() < 0.5 else copy_of(shard)
            left.fence = None
            self._lose(number, left)

    def retain_less(self) -> None:
        """Retention deletes records of the log that are folded; a loss of writes may yet ask for them."""
        number = self._random.randrange(self._site.config.log_partitions)
        applied = self._site.redis.applied(number)
        log = self._site.kafka.log_of((LOG, number))
        if applied >= log.low:
            self._site.kafka.delete_before((LOG, number), self._random.randrange(log.low, applied + 1) + 1)
            self._counts["retention"] += 1
            self._say(f"the log of shard {number} begins at {log.low}")

    @property
    def to_restore(self) -> list[int]:
        """The shards that must stop where they are: no worker may go on from what is left of them."""
        redis = self._site.redis
        self._lost = {number: lost for number, lost in self._lost.items() if redis.fence(number) == lost.fence}
        return [number for number, lost in self._lost.items() if self._must_stop(number, lost.fence)]

    def restore(self) -> None:
        """An operator restores the shards that have stopped, from their latest copies."""
        for number in self.to_restore:
            self._site.redis.put(number, self._lost.pop(number).copy)
            self._counts["restored"] += 1
            self._say(f"shard {number} is restored to {self._site.redis.applied(number)}")

    def _some_shards(self) -> list[int]:
        numbers = list(range(self._site.config.log_partitions))
        return numbers if self._random.random() < 0.3 else [self._random.choice(numbers)]

    def _lose(self, number: int, left: FakeShard) -> None:
        before = copy_of(self._site.redis.shards.get(number, FakeShard()))
        if before.fence == left.fence:
            return
        if number not in self.to_restore:
            self._lost[number] = Lost(left.fence, before)
        self._lost[number] = self._lost[number]._replace(fence=left.fence)
        self._site.redis.put(number, left)
        self._counts["losses"] += 1
        self._say(f"redis loses shard {number}: it goes back to {self._site.redis.applied(number)}")

    def _must_stop(self, number: int, fence: bytes | None) -> bool:
        """What the design's table says, in this file's own words."""
        low = self._site.kafka.log_of((LOG, number)).low
        if fence is not None:
            return decode_fence(fence).offset + 1 < low
        place = self._site.kafka.group(self._site.config.score_group).committed.get((LOG, number))
        is_new = place is None or place.offset == 0
        return low > 0 or (not is_new and self._site.config.on_state_loss is OnStateLoss.HALT)
