"""When an offset may be committed, and its committing: only after everything it caused is acknowledged (design 2.3).

``Deliveries`` counts what each batch has produced and gives back, in order, the offsets of batches that are complete.
``Commits`` passes them to Kafka, at most once per interval, and knows what Kafka confirmed.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from leadscore.errors import Unavailable, WorkerStopped
from leadscore.pipeline.kafka.clients import Partition, committed_offsets
from leadscore.pipeline.kafka.deadline import Deadline

Offsets = dict[Partition, int]
"""The next offset to read, by partition."""


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


class Commits:
    """Offsets on their way to Kafka. ``on_commit`` is the consumer's callback and only records.

    A commit that failed, as commits do while a group rebalances, is tried again: no later record may ever come to cover
    it, and until then what it covers would be published again after a restart.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._staged: Offsets = {}
        self._under_way: Offsets = {}
        self._last_s = 0.0
        self.confirmed: Offsets = {}
        self.tried = 0
        self.failed = 0

    def on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """What Kafka answered."""
        if error is not None:
            self.failed += 1
        for each in partitions:
            partition = (each.topic, each.partition)
            if error is not None or each.error is not None:
                self._try_again(partition)
            elif each.offset >= 0:
                self._confirm(partition, each.offset)

    def stage(self, offsets: Offsets) -> None:
        """These offsets are safe."""
        self._staged.update(offsets)

    def flush(self, consumer: Consumer, now_s: float) -> None:
        """Commit what is staged, if the last time is long enough ago; does not wait for the answer."""
        if not self._staged or now_s - self._last_s < self._interval_s:
            return
        self._last_s = now_s
        self._commit(consumer)

    def commit_now(self, consumer: Consumer, deadline: Deadline) -> None:
        """Commit what is staged and wait for the answer, but not for longer: before partitions are given up.

        The client's synchronous commit has no timeout: it waits as long as the group has no coordinator. So what is
        waited for is the answer to a question asked afterwards, on the same connection: what is committed?
        """
        if not self._staged:
            return
        expected = self._staged
        self._commit(consumer)
        try:
            known = committed_offsets(consumer, [TopicPartition(*each) for each in expected], deadline.left_s)
        except Unavailable:
            return  # ``on_commit`` will hear what became of it, if there is still time
        for partition, offset in expected.items():
            if known[partition] == offset:
                self._confirm(partition, offset)
            else:
                self._try_again(partition)

    def drop(self, partitions: Collection[Partition]) -> None:
        """Forget partitions that are not ours any more."""
        for partition in partitions:
            self._staged.pop(partition, None)
            self._under_way.pop(partition, None)
            self.confirmed.pop(partition, None)

    def _commit(self, consumer: Consumer) -> None:
        offsets = [TopicPartition(*partition, offset) for partition, offset in self._staged.items()]
        self.tried += 1
        self._under_way.update(self._staged)
        self._staged = {}
        try:
            consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            if error.args[0].fatal():
                raise WorkerStopped(f"committing offsets: {error.args[0].str()}") from error
            self.on_commit(error.args[0], offsets)

    def _confirm(self, partition: Partition, offset: int) -> None:
        self.confirmed[partition] = offset
        if self._under_way.get(partition) == offset:
            del self._under_way[partition]

    def _try_again(self, partition: Partition) -> None:
        """Unless it is not ours any more, or a later offset is staged."""
        offset = self._under_way.pop(partition, None)
        if offset is not None:
            self._staged.setdefault(partition, offset)
