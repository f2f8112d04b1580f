"""Consumer groups in memory: members, generations, eager and cooperative rebalances, and committed offsets.

As in Kafka's classic protocol. Whoever joins or leaves begins a rebalance. It ends when every member has joined again,
with a new generation. Until then members of the old one may commit, afterwards they may not. With a cooperative
assignor nobody is given what another member still owns: that one gives it up first, and joins once more.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from confluent_kafka import KafkaError

from leadscore.pipeline.kafka.records import Partition


class OffsetNote(NamedTuple):
    """A committed offset, its metadata, and the leader epoch of the record before it; -1: not told."""

    offset: int
    note: str
    leader_epoch: int = -1


@dataclass(slots=True)
class Member:
    """``owned`` is what it said it has when it joined last; ``assigned`` what the group has given it since."""

    topics: tuple[str, ...]
    is_cooperative: bool
    owned: set[Partition] = field(default_factory=set)
    assigned: set[Partition] = field(default_factory=set)
    has_joined: bool = True


class Group:
    """The coordinator's view; ``partitions_of`` lists those of a topic."""

    def __init__(self, partitions_of: Callable[[str], list[Partition]]) -> None:
        self._partitions_of = partitions_of
        self._joined = 0
        self.members: dict[str, Member] = {}
        self.generation = 0
        self.is_rebalancing = False
        self.committed: dict[Partition, OffsetNote] = {}
        self.in_transactions: set[Partition] = set()
        """Partitions whose offset an open transaction may still change."""

    def join(self, member_id: str, member: Member) -> str:
        """A member joins, anew if its id is empty or not one of the group; the id it has from now on."""
        if member_id not in self.members:
            self._joined += 1
            member_id = f"member-{self._joined}"
        if not self.is_rebalancing:
            self._begin_rebalance()
        self.members[member_id] = member
        self._end_rebalance_if_all_joined()
        return member_id

    def leave(self, member_id: str) -> None:
        """A member leaves, or has not been heard of for too long."""
        if self.members.pop(member_id, None) is None:
            return
        if not self.is_rebalancing:
            self._begin_rebalance()
        self._end_rebalance_if_all_joined()

    def commit(self, member_id: str, generation: int, offsets: Mapping[Partition, OffsetNote]) -> int:
        """Take offsets of a member; the code of the error, ``KafkaError.NO_ERROR`` if they are taken."""
        refusal = self.refusal_of(member_id, generation)
        if refusal == KafkaError.NO_ERROR:
            self.committed |= offsets
        return refusal

    def refusal_of(self, member_id: str, generation: int) -> int:
        """Why offsets of a member are not taken; ``KafkaError.NO_ERROR`` if they are."""
        if member_id not in self.members:
            return KafkaError.UNKNOWN_MEMBER_ID
        return KafkaError.NO_ERROR if generation == self.generation else KafkaError.ILLEGAL_GENERATION

    def end_transaction(self, offsets: Mapping[Partition, OffsetNote], *, commit: bool) -> None:
        """A transaction with these offsets has ended."""
        self.in_transactions -= offsets.keys()
        if commit:
            self.committed |= offsets

    def forget_topic(self, topic: str) -> None:
        """What Kafka does when a topic is deleted."""
        self.committed = {partition: note for partition, note in self.committed.items() if partition[0] != topic}

    def _begin_rebalance(self) -> None:
        self.is_rebalancing = True
        for member in self.members.values():
            member.has_joined = False

    def _end_rebalance_if_all_joined(self) -> None:
        if not all(member.has_joined for member in self.members.values()):
            return
        self.is_rebalancing = False
        self.generation += 1
        if self.members:
            self._assign()

    def _assign(self) -> None:
        is_cooperative = all(member.is_cooperative for member in self.members.values())
        topics = sorted({topic for member in self.members.values() for topic in member.topics})
        partitions = {topic: self._partitions_of(topic) for topic in topics}
        targets = _sticky(self.members, partitions) if is_cooperative else _ranges(self.members, partitions)
        owners = {partition: name for name, member in self.members.items() for partition in member.owned}
        for name, member in self.members.items():
            member.assigned = {
                partition for partition in targets[name] if not is_cooperative or owners.get(partition, name) == name
            }


def _ranges(members: Iterable[str], partitions: Mapping[str, list[Partition]]) -> dict[str, list[Partition]]:
    """The same slice of every topic."""
    names = sorted(members)
    targets: dict[str, list[Partition]] = {name: [] for name in names}
    for of_topic in partitions.values():
        for index, partition in enumerate(of_topic):
            targets[names[index * len(names) // len(of_topic)]].append(partition)
    return targets


def _sticky(members: Mapping[str, Member], partitions: Mapping[str, list[Partition]]) -> dict[str, list[Partition]]:
    """What a member owns it keeps, up to its share."""
    every = [partition for of_topic in partitions.values() for partition in of_topic]
    share = -(-len(every) // len(members))
    targets: dict[str, list[Partition]] = {}
    for name, member in sorted(members.items()):
        taken = {partition for target in targets.values() for partition in target}
        targets[name] = [one for one in every if one in member.owned and one not in taken][:share]
    assigned = {partition for target in targets.values() for partition in target}
    for partition in every:
        if partition not in assigned:
            targets[min(targets, key=lambda name: (len(targets[name]), name))].append(partition)
    return targets
