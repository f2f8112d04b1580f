"""Which offsets are safe to commit: those for which everything they caused is acknowledged (design 2.3).

``Deliveries`` counts what each batch has produced and gives back, in order, the offsets of batches that are complete.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, Message

from leadscore.errors import WorkerStopped
from leadscore.pipeline.kafka.clients import Partition
from leadscore.pipeline.kafka.commit_policy import Offsets


class Batch:
    """The offsets that become safe when everything produced for them is acknowledged."""

    __slots__ = ("offsets", "outstanding")

    def __init__(self, offsets: Offsets) -> None:
        self.offsets = offsets
        self.outstanding = 0


class Deliveries:
    """Batches in the order in which they were made."""

    def __init__(self) -> None:
        self._batches: deque[Batch] = deque()
        self._failure: str | None = None

    @contextmanager
    def batch(self, offsets: Offsets) -> Iterator[Batch]:
        """A batch that will make these offsets safe; never, if handing over what belongs to it breaks off."""
        batch = Batch(offsets)
        batch.outstanding = 1
        self._batches.append(batch)
        yield batch
        batch.outstanding -= 1

    def expect(
        self, batch: Batch, acknowledged: Callable[[], None] | None = None
    ) -> Callable[[KafkaError | None, Message], None]:
        """One more record belongs to the batch; the answer is the record's delivery callback."""
        batch.outstanding += 1

        def on_delivery(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._failure = f"a record for topic {message.topic()} could not be stored: {error.str()}"
                return
            batch.outstanding -= 1
            if acknowledged is not None:
                acknowledged()

        return on_delivery

    def complete(self) -> Offsets:
        """Offsets that have become safe since the last call. ``WorkerStopped`` after a failed delivery."""
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

    def drop(self, partitions: Collection[Partition]) -> None:
        """These partitions belong to somebody else now; their offsets are not ours to commit."""
        for batch in self._batches:
            for partition in partitions:
                batch.offsets.pop(partition, None)
