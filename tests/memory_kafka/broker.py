"""Kafka in memory: topics with retention and ids, transactions. It keeps ``tests/kafka_contract.py``, as real ones do.

Nothing happens by itself: time, retention, and transactions that time out are the caller's. Records that retention has
deleted are kept for whoever checks afterwards (``history``); clients cannot read them.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from leadscore.pipeline.kafka.records import Bounds, Headers, Partition
from tests.memory_kafka.groups import Group, OffsetNote


class TransactionState(Enum):
    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


class GroupOffsets(NamedTuple):
    """Offsets that a transaction commits for a group."""

    group: str
    offsets: dict[Partition, OffsetNote]


@dataclass(eq=False, slots=True)
class Transaction:
    """One transaction of a transactional id; ``partitions`` are those it has written to."""

    transactional_id: str
    state: TransactionState = TransactionState.OPEN
    partitions: set[Partition] = field(default_factory=set)
    offsets: list[GroupOffsets] = field(default_factory=list)


class Record(NamedTuple):
    """A record as the broker keeps it; ``is_marker``: the end of a transaction, which clients do not see.

    ``leader_epoch``: under which leader of its partition it was stored.
    """

    key: bytes | None
    value: bytes | None
    headers: Headers
    time_ms: int
    transaction: Transaction | None = None
    is_marker: bool = False
    leader_epoch: int = 0

    @property
    def is_committed(self) -> bool:
        """Whether a reader of committed records may have it."""
        if self.is_marker:
            return False
        return self.transaction is None or self.transaction.state is TransactionState.COMMITTED


@dataclass(slots=True)
class PartitionLog:
    """Every record that a partition ever had; those below ``low`` are gone for clients."""

    history: list[Record] = field(default_factory=list)
    low: int = 0
    leader_epoch: int = 0

    @property
    def high(self) -> int:
        return len(self.history)

    @property
    def stable_end(self) -> int:
        """The offset up to which no transaction is open."""
        for offset in range(self.high - 1, self.low - 1, -1):
            record = self.history[offset]
            if record.transaction is None:
                continue
            if record.transaction.state is TransactionState.OPEN:
                return self._first_open()
        return self.high

    def _first_open(self) -> int:
        return next(
            offset
            for offset, record in enumerate(self.history)
            if record.transaction is not None and record.transaction.state is TransactionState.OPEN
        )

    def committed_records(self) -> Iterator[tuple[int, Record]]:
        """All that readers of committed records could ever read."""
        return ((offset, record) for offset, record in enumerate(self.history) if record.is_committed)


@dataclass(slots=True)
class Topic:
    """``has_append_time``: records get the broker's time, not their producer's."""

    topic_id: str
    partitions: list[PartitionLog]
    has_append_time: bool = False


class Fenced(Exception):
    """A transactional producer that another one of its name has followed."""


class Broker:
    """One cluster. ``now_ms`` is its clock."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self.topics: dict[str, Topic] = {}
        self.groups: dict[str, Group] = {}
        self._created = 0
        self._epochs: dict[str, int] = {}
        self.open_transactions: dict[str, Transaction] = {}

    # --- topics ---

    def create(self, topic: str, partitions: int, *, has_append_time: bool = False) -> None:
        self._created += 1
        logs = [PartitionLog() for _ in range(partitions)]
        self.topics[topic] = Topic(f"id-{self._created}", logs, has_append_time)

    def recreate(self, topic: str) -> None:
        """Delete a topic with all its records, and the offsets committed for it, and make it again."""
        before = self.topics[topic]
        for group in self.groups.values():
            group.forget_topic(topic)
        self.create(topic, len(before.partitions), has_append_time=before.has_append_time)

    def log_of(self, partition: Partition) -> PartitionLog:
        return self.topics[partition[0]].partitions[partition[1]]

    def partitions_of(self, topic: str) -> list[Partition]:
        return [(topic, number) for number in range(len(self.topics[topic].partitions))]

    def bounds(self, partition: Partition) -> Bounds:
        """What a reader of committed records is told."""
        log = self.log_of(partition)
        return log.low, log.stable_end

    def append(self, partition: Partition, record: Record) -> int:
        """Store a record; its offset."""
        topic = self.topics[partition[0]]
        if topic.has_append_time or not record.time_ms:
            record = record._replace(time_ms=self._now_ms())
        if record.transaction is not None:
            record.transaction.partitions.add(partition)
        log = topic.partitions[partition[1]]
        log.history.append(record._replace(leader_epoch=log.leader_epoch))
        return log.high - 1

    def partition_for(self, topic: str, key: bytes | None, number: int) -> Partition:
        """The partition that a record names, or that its key decides."""
        if number >= 0:
            return topic, number
        return topic, zlib.crc32(key or b"") % len(self.topics[topic].partitions)

    def delete_before(self, partition: Partition, offset: int) -> None:
        """Retention."""
        log = self.log_of(partition)
        log.low = max(log.low, min(offset, log.high))

    def lose_end(self, partition: Partition, offset: int) -> None:
        """The leader comes back without its records from this one on; others will stand there, of a later epoch."""
        log = self.log_of(partition)
        del log.history[offset:]
        log.leader_epoch += 1

    def leader_epochs(self, places: Mapping[Partition, int]) -> dict[Partition, int]:
        """Those of the records at these offsets, as ``leader_epochs_at`` reads them: where a reader finds one."""
        epochs = {}
        for partition, offset in places.items():
            log = self.log_of(partition)
            if log.low <= offset < log.high and log.history[offset].is_committed:
                epochs[partition] = log.history[offset].leader_epoch
        return epochs

    # --- groups ---

    def group(self, name: str) -> Group:
        return self.groups.setdefault(name, Group(self.partitions_of))

    # --- transactions ---

    def begin_epoch(self, transactional_id: str) -> int:
        """A producer takes the name over: what its predecessor has left open is aborted."""
        self.time_out(transactional_id)
        self._epochs[transactional_id] = self._epochs.get(transactional_id, 0) + 1
        return self._epochs[transactional_id]

    def transaction_of(self, transactional_id: str, epoch: int) -> Transaction:
        """The open transaction, which begins with the first call that needs it; ``Fenced`` for a predecessor."""
        self._check(transactional_id, epoch)
        if transactional_id not in self.open_transactions:
            self.open_transactions[transactional_id] = Transaction(transactional_id)
        return self.open_transactions[transactional_id]

    def end(self, transactional_id: str, epoch: int, *, commit: bool) -> None:
        """End the transaction, if one is open."""
        self._check(transactional_id, epoch)
        self._end(transactional_id, commit=commit)

    def time_out(self, transactional_id: str) -> None:
        """What the broker does with a transaction that is left open: abort it, and fence its producer."""
        if transactional_id in self.open_transactions:
            self._epochs[transactional_id] += 1
            self._end(transactional_id, commit=False)

    def _check(self, transactional_id: str, epoch: int) -> None:
        if self._epochs.get(transactional_id) != epoch:
            raise Fenced(transactional_id)

    def _end(self, transactional_id: str, *, commit: bool) -> None:
        transaction = self.open_transactions.pop(transactional_id, None)
        if transaction is None:
            return
        transaction.state = TransactionState.COMMITTED if commit else TransactionState.ABORTED
        for partition in sorted(transaction.partitions):
            self.append(partition, Record(None, None, [], 0, transaction, is_marker=True))
        for group, offsets in transaction.offsets:
            self.group(group).end_transaction(offsets, commit=commit)
