"""When to commit which offsets. Pure: the time is an argument, what Kafka answered is told, nothing is asked.

An offset is *staged* once everything it caused is acknowledged, *under way* from the commit to Kafka's answer, and
*confirmed* afterwards. A commit that failed, as commits do while a group rebalances, stages its offsets again: no later
record may ever come to cover them, and until then what they cover would be published again after a restart.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

Offsets = dict[tuple[str, int], int]
"""The next offset to read, by topic and partition."""


@dataclass(frozen=True, slots=True)
class CommitPolicy:
    """Commits are at least ``interval_s`` apart."""

    interval_s: float

    def begin(self) -> "CommitPolicyState":
        """Nothing staged, nothing committed."""
        return CommitPolicyState(self)


class CommitPolicyState:
    """The offsets of one consumer on their way."""

    def __init__(self, policy: CommitPolicy) -> None:
        self._policy = policy
        self._staged: Offsets = {}
        self._under_way: Offsets = {}
        self._last_s = 0.0
        self.confirmed: Offsets = {}

    def stage(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """These offsets are safe to commit."""
        self._staged.update(offsets)

    def should_commit(self, now_s: float, interval_s: float = 0.0) -> bool:
        """Whether something is staged and the last commit is long enough ago: the longer of two intervals."""
        return bool(self._staged) and now_s - self._last_s >= max(interval_s, self._policy.interval_s)

    def did_commit(self, now_s: float) -> None:
        """The interval starts anew."""
        self._last_s = now_s

    def take(self) -> Offsets:
        """What is staged, and from now on under way."""
        offsets, self._staged = self._staged, {}
        self._under_way |= offsets
        return offsets

    def confirm(self, partition: tuple[str, int], offset: int) -> None:
        """Kafka has it."""
        self.confirmed[partition] = offset
        if self._under_way.get(partition) == offset:
            del self._under_way[partition]

    def fail(self, partition: tuple[str, int]) -> None:
        """Kafka does not have it: stage it again, unless it is not ours any more or a later offset is staged."""
        offset = self._under_way.pop(partition, None)
        if offset is not None:
            self._staged.setdefault(partition, offset)

    def drop(self, partitions: Collection[tuple[str, int]]) -> None:
        """Forget partitions that are not ours any more."""
        for partition in partitions:
            self._staged.pop(partition, None)
            self._under_way.pop(partition, None)
            self.confirmed.pop(partition, None)
