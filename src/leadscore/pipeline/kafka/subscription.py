"""A consumer group membership whose callbacks only record, so that one loop changes everything (design 2.7).

Partitions that the group assigns are not read until the loop says where they begin (``start``). The client gets them
from Kafka only then, at an offset that is a number: never at a logical one such as the beginning. Such an offset has to
be asked for, and librdkafka asks again when something else was done to the partition before the answer came
("outdated offset response"). The second answer comes half a second later and puts the partition there, whatever it was
told in between: a worker that was sent to its committed offset read everything from the beginning.

Before partitions are revoked the owner gets one bounded chance to drain; lost ones are only reported.
An exception must never leave a callback of the client: it would swallow records that are already dequeued.
"""

from collections.abc import Callable, Iterable, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from leadscore.errors import WorkerStopped
from leadscore.pipeline.kafka.questions import Committed, committed_places, unavailable
from leadscore.pipeline.kafka.records import Partition
from leadscore.pipeline.pace import Waits


class Subscription:
    """Assigned partitions of one consumer.

    ``drain`` gets the partitions about to be revoked, and keeps within a budget of its own; ``cooperative`` says that
    the consumer's assignor moves partitions one by one, ``brokers`` that they assign, and do so, too.
    """

    def __init__(
        self,
        consumer: Consumer,
        topics: list[str],
        drain: Callable[[list[Partition]], None],
        *,
        cooperative: bool = False,
        brokers: bool = False,
    ) -> None:
        self.consumer = consumer
        self.topics = topics
        self.assigned: set[Partition] = set()
        self.assigned_count = 0
        self.revoked_count = 0
        self.lost_count = 0
        self._is_cooperative = cooperative or brokers
        self._brokers_assign = brokers
        self._has_settled = False
        self._started: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._fresh: list[Partition] = []
        self._gone: list[Partition] = []
        self._drain = drain
        self._is_closing = False
        self._failure: BaseException | None = None
        self._subscribe()

    @property
    def is_settled(self) -> bool:
        """Whether the group has decided what is read here: not before the first assignment, nor between two.

        Brokers that assign tell a member only what it gets and loses: one that has nothing may yet get something.
        """
        return bool(self.assigned) if self._brokers_assign else self._has_settled

    def poll(self, most: int, waits: Waits) -> list[Message]:
        """Records and partition events; what the callbacks recorded is ready in ``take_changes`` afterwards.

        Raises ``WorkerStopped`` on a fatal client error.
        """
        try:
            messages = self.consumer.consume(waits.first, waits.first_s) if waits.first_s else []
            if messages or not waits.first_s:
                messages += self.consumer.consume(most, waits.more_s)
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

    def start(self, offsets: Mapping[Partition, int]) -> None:
        """Let partitions begin, each at its offset; one that has begun goes there, one that is paused is resumed.

        ``Unavailable`` if the client refuses it for now; then the partitions are where they were.
        """
        ours = {partition: offset for partition, offset in offsets.items() if partition in self.assigned}
        unmoved = {partition: offset for partition, offset in ours.items() if not self._seek(partition, offset)}
        try:
            if unmoved and self._is_cooperative:
                self._start_some(unmoved)
            elif unmoved:
                self._start_beside_the_others(unmoved)
        except KafkaException as error:
            raise unavailable(error, f"starting to read {', '.join(map(str, ours))}") from error
        self._started.update(ours)
        self.resume(self._paused & ours.keys())

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Deliver nothing of these partitions until they are resumed or started."""
        started = [partition for partition in partitions if partition in self._started]
        if started:
            self.consumer.pause(_at(started))
            self._paused.update(started)

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Deliver paused partitions again from where they are."""
        started = [partition for partition in partitions if partition in self._started]
        if started:
            self.consumer.resume(_at(started))
            self._paused.difference_update(started)

    def committed(self, places: list[TopicPartition]) -> dict[Partition, Committed]:
        """What the group has committed of each partition; ``Unavailable`` if Kafka does not say."""
        return committed_places(self.consumer, places)

    def close(self) -> None:
        """Leave the group; what was to be drained is drained before.

        While a consumer closes, its questions get no answer: a drain in there would wait for all of its budget.
        """
        self._is_closing = True
        self.consumer.close()

    def renew(self, consumer: Consumer) -> None:
        """Go on with another member of the group: what was assigned to the one before is lost."""
        self.close()
        self._is_closing = False
        self.consumer = consumer
        self._has_settled = False
        self._started.clear()
        self._paused.clear()
        self._gone += sorted(self.assigned)
        self.assigned.clear()
        self._subscribe()

    def _subscribe(self) -> None:
        self.consumer.subscribe(
            self.topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def _seek(self, partition: Partition, offset: int) -> bool:
        """Whether a partition goes on at the offset, as one that is being read does."""
        if partition not in self._started:
            return False
        try:
            self.consumer.seek(TopicPartition(*partition, offset))
        except KafkaException as error:
            if error.args[0].code() == KafkaError._STATE:  # noqa: SLF001
                return False
            raise unavailable(error, f"seeking {partition} to {offset}") from error
        return True

    def _start_some(self, offsets: Mapping[Partition, int]) -> None:
        again = [partition for partition in offsets if partition in self._started]
        if again:
            self.consumer.incremental_unassign(_at(again))
        self.consumer.incremental_assign(_placed(offsets))

    def _start_beside_the_others(self, offsets: Mapping[Partition, int]) -> None:
        """With an eager assignor the client takes all its partitions at once; the others go on where they are."""
        others = [partition for partition in self._started if partition not in offsets]
        for place in self.consumer.position(_at(others)) if others else []:
            if place.offset >= 0:
                self._started[place.topic, place.partition] = place.offset
        self.consumer.assign(_placed({**self._started, **offsets}))

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            if self._is_cooperative:
                consumer.incremental_assign([])
            else:
                self._start_beside_the_others({})
            names = _names(partitions)
            self._has_settled = True
            self.assigned |= set(names)
            self._fresh += names
            self.assigned_count += bool(names)
        except BaseException as failure:  # noqa: BLE001  # see the module's docstring; the next poll raises it
            self._failure = failure

    def _on_revoke(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            if not self._is_closing:
                self._drain(_names(partitions))
        except BaseException as failure:  # noqa: BLE001  # as above
            self._failure = failure
        self._take_away(_names(partitions))
        self.revoked_count += bool(partitions)

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._take_away(_names(partitions))
        self.lost_count += bool(partitions)

    def _take_away(self, names: list[Partition]) -> None:
        self._has_settled = False
        started = [name for name in names if name in self._started]
        try:
            # The client would give back all of them by itself, and fail over those that it never got.
            if self._is_cooperative:
                self.consumer.incremental_unassign(_at(started))
        except BaseException as failure:  # noqa: BLE001  # as above
            self._failure = self._failure or failure
        for name in started:
            del self._started[name]
        self.assigned -= set(names)
        self._gone += names


def _names(partitions: list[TopicPartition]) -> list[Partition]:
    return [(partition.topic, partition.partition) for partition in partitions]


def _at(partitions: Iterable[Partition]) -> list[TopicPartition]:
    return [TopicPartition(*partition) for partition in partitions]


def _placed(offsets: Mapping[Partition, int]) -> list[TopicPartition]:
    return [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
