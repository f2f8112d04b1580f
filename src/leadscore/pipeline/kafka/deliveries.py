"""Publishing, and which offsets are safe to commit: those for which all they caused is acknowledged.

``Deliveries`` counts what each batch has produced and gives back, in order, the offsets of batches that are complete
(design 2.3). Its delivery callbacks only record (see ``outbound``); the loop looks at what they recorded.
"""

from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Generic, NamedTuple, Protocol, TypeVar

from confluent_kafka import KafkaError, Message

from leadscore.errors import WorkerStopped
from leadscore.pipeline.kafka.commit_policy import Offsets
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.outbound import Outbound, is_consequence
from leadscore.pipeline.kafka.records import OutputRecord, Partition

Output = TypeVar("Output")
Counted_contra = TypeVar("Counted_contra", contravariant=True)


class OutputCounts(Protocol[Counted_contra]):
    """Counts what is published. Called by the loop, never from within a callback of the client."""

    def produced(self, output: Counted_contra) -> None:
        """It was handed to the client."""

    def acknowledged(self, output: Counted_contra) -> None:
        """Kafka has stored it."""

    def failed(self, output: Counted_contra) -> None:
        """Kafka has not stored it and never will."""


class Batch:
    """The offsets that become safe when everything produced for them is acknowledged."""

    __slots__ = ("offsets", "outstanding")

    def __init__(self, offsets: Offsets) -> None:
        self.offsets = offsets
        self.outstanding = 0


class _Failed(NamedTuple, Generic[Output]):
    output: Output
    topic: str
    error: KafkaError


class Deliveries(Generic[Output]):
    """Batches in the order in which they were made, and what became of the records produced for them.

    ``topic`` is where records go that name no other.
    """

    def __init__(self, outbound: Outbound, topic: str, counts: OutputCounts[Output]) -> None:
        self._outbound = outbound
        self._topic = topic
        self._counts = counts
        self._batches: deque[Batch] = deque()
        self._acknowledged: list[Output] = []
        self._failed: list[_Failed[Output]] = []
        self._failure: str | None = None

    @contextmanager
    def batch(self, offsets: Offsets) -> Iterator[Batch]:
        """A batch that will make these offsets safe; never, if producing what belongs to it breaks off."""
        batch = Batch(offsets)
        batch.outstanding = 1
        self._batches.append(batch)
        yield batch
        batch.outstanding -= 1

    def produce(self, batch: Batch, record: OutputRecord, output: Output, topic: str | None = None) -> None:
        """Produce one more record of the batch; ``output`` is what is counted for it."""
        destination = topic or self._topic
        batch.outstanding += 1
        self._counts.produced(output)

        def on_delivery(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                self._failed.append(_Failed(output, destination, error))
                return
            batch.outstanding -= 1
            self._acknowledged.append(output)

        self._outbound.produce(destination, record, on_delivery)

    def flush(self, deadline: Deadline) -> None:
        """Wait until everything produced is answered, or the deadline comes."""
        try:
            self._outbound.flush(deadline)
        finally:
            self._count()

    def complete(self) -> Offsets:
        """Offsets that have become safe since the last call. ``WorkerStopped`` after a failed delivery."""
        try:
            self._outbound.poll()
        finally:
            self._count()
        if self._failure is not None:
            raise WorkerStopped(self._failure)
        safe: Offsets = {}
        while self._batches and self._batches[0].outstanding == 0:
            safe.update(self._batches.popleft().offsets)
        return safe

    @property
    def waiting(self) -> int:
        """Batches that are not complete."""
        return len(self._batches)

    @property
    def oldest(self) -> Batch | None:
        """The batch that the others wait for."""
        return self._batches[0] if self._batches else None

    def drop(self, partitions: Collection[Partition]) -> None:
        """These partitions belong to another worker now; their offsets are not ours to commit."""
        for batch in self._batches:
            for partition in partitions:
                batch.offsets.pop(partition, None)

    def _count(self) -> None:
        acknowledged, self._acknowledged = self._acknowledged, []
        for output in acknowledged:
            self._counts.acknowledged(output)
        failed, self._failed = self._failed, []
        for failure in sorted(failed, key=lambda failure: is_consequence(failure.error)):
            self._counts.failed(failure.output)
            self._failure = self._failure or (
                f"a record for topic {failure.topic} could not be stored: {failure.error.str()}"
            )
