"""A producer of the Kafka in memory: what the worker uses of ``confluent_kafka.Producer``, transactions as well.

What is produced waits in a queue. A ``poll`` sends some of it, in order within a partition, and some answers come.
``settings`` are librdkafka's: only an idempotent producer keeps the order, and stores once, whatever answer is lost.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from leadscore.pipeline.kafka.records import Headers, Partition
from tests.memory_kafka.broker import Broker, Fenced, GroupOffsets, Record, Transaction
from tests.memory_kafka.consumer import Delivered, Membership, note_of
from tests.memory_kafka.weather import Weather

OnDelivery = Callable[[KafkaError | None, Message], None]


class _Produced(NamedTuple):
    partition: Partition
    record: Record
    on_delivery: OnDelivery | None


class _Sent(NamedTuple):
    produced: _Produced
    offset: int


class MemoryProducer:
    """One producer. When its process has died, ``die`` says how much of its queue may arrive with ``send_late``."""

    def __init__(self, broker: Broker, settings: Mapping[str, object], weather: Weather | None = None) -> None:
        self._broker = broker
        self._is_idempotent = bool(settings.get("enable.idempotence")) or "transactional.id" in settings
        self._is_gapless = bool(settings.get("enable.gapless.guarantee"))
        self._transactional_id = str(settings.get("transactional.id", ""))
        self._reports_errors_only = bool(settings.get("delivery.report.only.error"))
        self._weather = weather or Weather()
        self._queue: list[_Produced] = []
        self._unanswered: list[_Sent] = []
        self._epoch = -1
        self._is_in_transaction = False
        self._fatal: KafkaError | None = None
        self._fails_next = False

    @property
    def as_producer(self) -> Producer:
        return cast("Producer", self)

    def __len__(self) -> int:
        return len(self._queue) + len(self._unanswered)

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        *,
        partition: int = -1,
        timestamp: int = 0,
        headers: Headers | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> None:
        self._weather.before("producer.produce")
        if self._fatal is not None:
            raise KafkaException(KafkaError(KafkaError._FATAL, "the producer has failed", fatal=True))
        place = self._broker.partition_for(topic, key, partition)
        self._queue.append(_Produced(place, Record(key, value, headers or [], timestamp), on_delivery))

    def poll(self, timeout_s: float = 0.0) -> None:
        self._weather.before("producer.poll")
        if self._fatal is None and self._queue and self._weather.happens("producer fails for good"):
            self._fail()
        if self._fails_next:
            self._fails_next = False
            raise KafkaException(self._fatal)
        if self._weather.happens("kafka is silent"):
            self._weather.wait(timeout_s)
            return
        is_flush = timeout_s > 0
        self._send(len(self._queue) if is_flush else self._weather.some(len(self._queue)))
        self._answer(len(self._unanswered) if is_flush else self._weather.some(len(self._unanswered)))
        self._weather.after("producer.poll")

    def flush(self, timeout_s: float) -> int:
        """Until everything is answered; how much is not."""
        self.poll(timeout_s)
        return len(self)

    def die(self, on_the_way: int) -> None:
        """The process is gone, and its queue with it but for this number of records."""
        del self._queue[on_the_way:]

    def send_late(self, number: int) -> None:
        """This number of the records that were on their way arrive now, the others never."""
        with suppress(KafkaException):  # its transaction is over
            self._send(min(number, len(self._queue)))
        self._queue.clear()

    def _send(self, number: int) -> None:
        """The first records of the queue go; those of other partitions may overtake each other, as in Kafka."""
        sent, self._queue = self._queue[:number], self._queue[number:]
        for produced in sent:
            record = produced.record
            if self._is_in_transaction:
                record = record._replace(transaction=self._transaction())
            if not self._is_gapless and not self._transactional_id and self._weather.happens("record refused"):
                self._refuse(produced, KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
                continue
            if not self._is_idempotent and self._weather.happens("records sent again"):
                self._queue.append(produced)  # behind what was produced later; perhaps the first attempt was stored
                if self._weather.happens("records sent again"):
                    self._broker.append(produced.partition, record)
                continue
            self._unanswered.append(_Sent(produced, self._broker.append(produced.partition, record)))

    def _answer(self, number: int) -> None:
        answered, self._unanswered = self._unanswered[:number], self._unanswered[number:]
        for produced, offset in answered:
            if produced.on_delivery is not None and not self._reports_errors_only:
                stored = cast("Message", Delivered(produced.partition, offset, produced.record))
                produced.on_delivery(None, stored)

    def _fail(self) -> None:
        """A record is refused for good: of what is on its way some may be stored, and nobody is told which."""
        self._send(self._weather.some(len(self._queue)))
        self._fatal = KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "gapless guarantee", fatal=True)
        self._fails_next = True
        refused = [*(sent.produced for sent in self._unanswered), *self._queue]
        self._unanswered, self._queue = [], []
        for produced in refused:
            self._refuse(produced, KafkaError(KafkaError._PURGE_QUEUE))

    def _refuse(self, produced: _Produced, error: KafkaError) -> None:
        if produced.on_delivery is not None:
            produced.on_delivery(error, cast("Message", Delivered(produced.partition, -1, produced.record)))

    # --- transactions ---

    def init_transactions(self, timeout_s: float) -> None:
        self._call("init", timeout_s)
        self._epoch = self._broker.begin_epoch(self._transactional_id)
        self._weather.after("transaction.init")

    def begin_transaction(self) -> None:
        if self._is_in_transaction or self._epoch < 0:
            raise AssertionError("a transaction is open, or the producer has not begun")
        self._is_in_transaction = True

    def send_offsets_to_transaction(self, offsets: list[TopicPartition], member: object, timeout_s: float) -> None:
        self._call("offsets", timeout_s)
        if not isinstance(member, Membership):
            raise TypeError(member)
        group = self._broker.group(member.group)
        refusal = group.refusal_of(member.member_id, member.generation)
        if refusal:
            raise KafkaException(KafkaError(refusal, txn_requires_abort=True))
        places = {(one.topic, one.partition): note_of(one) for one in offsets}
        self._transaction().offsets.append(GroupOffsets(member.group, places))
        group.in_transactions |= places.keys()
        self._weather.after("transaction.offsets")

    def commit_transaction(self, timeout_s: float) -> None:
        self._call("commit", timeout_s)
        self._send(len(self._queue))
        self._end(commit=True)
        self._answer(len(self._unanswered))
        self._weather.after("transaction.commit")

    def abort_transaction(self, timeout_s: float) -> None:
        self._call("abort", timeout_s)
        self._queue.clear()
        self._unanswered.clear()
        self._end(commit=False)
        self._weather.after("transaction.abort")

    def _call(self, name: str, timeout_s: float) -> None:
        if timeout_s <= 0:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, retriable=True))
        self._weather.before(f"transaction.{name}")

    def _transaction(self) -> Transaction:
        try:
            return self._broker.transaction_of(self._transactional_id, self._epoch)
        except Fenced as fenced:
            raise _fenced() from fenced

    def _end(self, *, commit: bool) -> None:
        try:
            self._broker.end(self._transactional_id, self._epoch, commit=commit)
        except Fenced as fenced:
            raise _fenced() from fenced
        self._is_in_transaction = False


def _fenced() -> KafkaException:
    return KafkaException(KafkaError(KafkaError._FENCED, "another producer has this name", fatal=True))
