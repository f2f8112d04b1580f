"""What polls bring of the source partitions: every record once, in offset order, into the alignment.

Records of one partition come in long runs, so the work per partition is done once a run.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from confluent_kafka import KafkaError, Message

from leadscore.ops.stage_metrics import MatchMetrics
from leadscore.pipeline.kafka.records import Partition
from leadscore.pipeline.match.alignment import Alignment, Arrived

IsProof = Callable[[Partition, Message], bool]
"""Whether a record was read before, and comes only to be looked at."""


class PolledPartition:
    """How many records of a partition a poll brought: ``again`` had been read before, ``given_up`` are not ours."""

    __slots__ = ("again", "given_up", "records")

    def __init__(self) -> None:
        self.records = self.again = self.given_up = 0

    @property
    def taken(self) -> int:
        """The new ones."""
        return self.records - self.again - self.given_up


class Polled:
    """What one poll brought: records, counted by partition, and errors."""

    def __init__(self) -> None:
        self.partitions: dict[Partition, PolledPartition] = {}
        self.errors: list[tuple[Partition, KafkaError]] = []

    @property
    def taken(self) -> list[Partition]:
        """The partitions of which there were new records."""
        return [partition for partition, polled in self.partitions.items() if polled.taken]

    def count(self, match: MatchMetrics) -> None:
        """Add the poll to the metrics."""
        for (topic, _), polled in self.partitions.items():
            match.records_consumed.labels(topic).inc(polled.records)
            if polled.again:
                match.records_reread.labels(topic).inc(polled.again)
            if polled.given_up:
                match.records_processed.labels(topic, "given_up").inc(polled.given_up)


class Intake:
    """How far each source partition is read; the way of its records into the alignment."""

    def __init__(self, alignment: Alignment[Partition, Message]) -> None:
        self._alignment = alignment
        self._read: dict[Partition, int] = {}

    def begin(self, partition: Partition, offset: int) -> None:
        """The next record of the partition is the one at this offset, or the first one behind it."""
        self._read[partition] = offset - 1

    def forget(self, partitions: Iterable[Partition]) -> None:
        """These are not read any more."""
        for partition in partitions:
            self._read.pop(partition, None)

    def last_offset(self, partition: Partition) -> int:
        """The offset of the last record that was read, or the one before the beginning if none was."""
        return self._read[partition]

    def take(self, messages: Sequence[Message], is_proof: IsProof | None) -> Polled:
        """Put what a poll brought into the alignment; records that are proofs are left out."""
        polled = Polled()
        for partition, run in _runs(messages):
            records = []
            for message in run:
                error = message.error()
                if error is None:
                    if is_proof is None or not is_proof(partition, message):
                        records.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    self._take_records(polled, partition, records)
                    records = []
                    self._alignment.at_end(partition)
                else:
                    polled.errors.append((partition, error))
            self._take_records(polled, partition, records)
        return polled

    def _take_records(self, polled: Polled, partition: Partition, records: list[Message]) -> None:
        if not records:
            return
        last = self._read.get(partition, -1)
        arrived: list[Arrived[Message]] = []
        for record in records:
            offset = record.offset() or 0
            if offset > last:  # the client has been seen to deliver an offset twice
                last = offset
                arrived.append((record.timestamp()[1], len(record), record))
        of_partition = polled.partitions.setdefault(partition, PolledPartition())
        of_partition.records += len(records)
        of_partition.again += len(records) - len(arrived)
        if arrived and self._alignment.add(partition, arrived):
            self._read[partition] = last
        else:
            of_partition.given_up += len(arrived)


def _runs(messages: Sequence[Message]) -> Iterator[tuple[Partition, list[Message]]]:
    """Consecutive messages of the same partition."""
    partition: Partition = ("", -1)
    run: list[Message] = []
    for message in messages:
        topic, number = message.topic(), message.partition()
        if number != partition[1] or topic != partition[0]:
            if run:
                yield partition, run
            partition, run = (topic or "", -1 if number is None else number), []
        run.append(message)
    if run:
        yield partition, run
