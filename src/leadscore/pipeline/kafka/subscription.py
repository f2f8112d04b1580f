"""A consumer group membership whose callbacks only record, so that one loop changes everything (design 2.7).

Newly assigned partitions start paused; the loop decides where each begins (``start``) or that it does not (it stays
paused). Before partitions are revoked the owner gets one bounded chance to drain; lost ones are only reported.
An exception must never leave a callback of the client: it would swallow records that are already dequeued.
"""

from collections.abc import Callable
from time import monotonic, sleep

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from leadscore.errors import Unavailable, WorkerStopped
from leadscore.pipeline.kafka.clients import Partition

SEEK_TIMEOUT_S = 10.0


class Subscription:
    """Assigned partitions of one consumer; it is not ``is_settled`` before the first assignment, nor between two.

    ``drain`` gets the partitions about to be revoked, and keeps within a budget of its own; ``cooperative`` says that
    the consumer's assignor moves partitions one by one.
    """

    def __init__(
        self, consumer: Consumer, topics: list[str], drain: Callable[[list[Partition]], None], *, cooperative: bool
    ) -> None:
        self.consumer = consumer
        self._assign = consumer.incremental_assign if cooperative else consumer.assign
        self.assigned: set[Partition] = set()
        self.is_settled = False
        self.assignments = 0
        self.assigned_count = 0
        self.revoked_count = 0
        self.lost_count = 0
        self._fresh: list[Partition] = []
        self._gone: list[Partition] = []
        self._drain = drain
        self._failure: BaseException | None = None
        consumer.subscribe(topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    def poll(self, most: int, timeout_s: float) -> list[Message]:
        """Records and partition events; what the callbacks recorded is ready in ``take_changes`` afterwards.

        Raises ``WorkerStopped`` on a fatal client error.
        """
        try:
            messages = self.consumer.consume(most, timeout_s)
        except KafkaException as error:
            raise WorkerStopped(f"the Kafka consumer failed: {error.args[0].str()}") from error
        if self._failure is not None:
            raise self._failure
        return messages

    def take_changes(self) -> tuple[list[Partition], list[Partition]]:
        """Partitions gone and partitions newly assigned since the last call."""
        gone, self._gone = self._gone, []
        fresh, self._fresh = self._fresh, []
        return gone, [partition for partition in fresh if partition in self.assigned]

    def start(self, partition: Partition, offset: int) -> None:
        """Let a paused partition begin at the offset (``OFFSET_BEGINNING`` is one, too)."""
        deadline_s = monotonic() + SEEK_TIMEOUT_S
        while True:
            try:
                self.consumer.seek(TopicPartition(*partition, offset))
                break
            except KafkaException as error:
                # Just after an assignment the partition is not being fetched yet.
                if error.args[0].code() != KafkaError._STATE or monotonic() > deadline_s:  # noqa: SLF001
                    raise Unavailable("kafka", error.args[0].name(), f"seeking {partition} to {offset}") from error
                sleep(0.01)
        self.consumer.resume([TopicPartition(*partition)])

    def pause(self, partitions: list[Partition]) -> None:
        """Deliver nothing of these partitions until they are resumed or started."""
        self._change_flow(self.consumer.pause, partitions)

    def resume(self, partitions: list[Partition]) -> None:
        """Deliver paused partitions again from where they are."""
        self._change_flow(self.consumer.resume, partitions)

    def close(self) -> None:
        """Leave the group."""
        self.consumer.close()

    def _change_flow(self, change: Callable[[list[TopicPartition]], None], partitions: list[Partition]) -> None:
        still_ours = [TopicPartition(*partition) for partition in partitions if partition in self.assigned]
        if still_ours:
            change(still_ours)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            for partition in partitions:
                partition.offset = OFFSET_BEGINNING
            self._assign(partitions)
            if partitions:
                consumer.pause(partitions)
            names = _names(partitions)
            self.is_settled = True
            self.assignments += 1
            self.assigned |= set(names)
            self._fresh += names
            self.assigned_count += bool(names)
        except BaseException as failure:  # noqa: BLE001  # see the module's docstring; the next poll raises it
            self._failure = failure

    def _on_revoke(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            self._drain(_names(partitions))
            self._take_away(_names(partitions))
            self.revoked_count += bool(partitions)
        except BaseException as failure:  # noqa: BLE001  # as above
            self._failure = failure

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._take_away(_names(partitions))
        self.lost_count += bool(partitions)

    def _take_away(self, names: list[Partition]) -> None:
        self.is_settled = False
        self.assigned -= set(names)
        self._gone += names


def _names(partitions: list[TopicPartition]) -> list[Partition]:
    return [(partition.topic, partition.partition) for partition in partitions]
