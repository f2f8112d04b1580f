"""What every Kafka must do, as far as the worker relies on it: one function per promise.

They run against the Kafka in memory (``tests/memory_kafka``), on which simulations stand, and against the real one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from leadscore.pipeline.kafka.records import Bounds, Partition

FEW_S = 0.2


class Subject(Protocol):
    """A Kafka, and ways to do what clients cannot."""

    def new_topic(self, partitions: int = 1) -> str:
        """A topic that no other test has."""

    def new_group(self) -> str:
        """A group that no other test has."""

    def producer(self, **settings: Any) -> Producer:
        """An idempotent one, unless the settings make it transactional."""

    def consumer(self, group: str, assignor: str = "cooperative-sticky") -> Consumer:
        """One as the worker's."""

    def delete_before(self, partition: Partition, offset: int) -> None:
        """What retention does."""

    def bounds(self, partition: Partition) -> Bounds:
        """The oldest offset, and the one up to which committed records may be read."""

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for it."""


@dataclass
class Reader:
    """A member of a group that begins every partition where it is told, and remembers all that happens to it."""

    consumer: Consumer
    topic: str

    def __post_init__(self) -> None:
        self.assigned: set[int] = set()
        self.lost = 0
        self.values: dict[int, list[bytes | None]] = {}
        self.errors: list[int] = []
        self.ends: set[int] = set()
        self.consumer.subscribe([self.topic], on_assign=self._take, on_revoke=self._give_up, on_lost=self._lose)

    def poll(self) -> None:
        """Once."""
        for message in self.consumer.consume(100, FEW_S):
            self._note(message)

    def _note(self, message: Message) -> None:
        error, number = message.error(), message.partition()
        assert number is not None
        if error is None:
            self.values.setdefault(number, []).append(message.value())
        elif error.code() == KafkaError._PARTITION_EOF:
            self.ends.add(number)
        else:
            self.errors.append(error.code())

    def _take(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign([TopicPartition(one.topic, one.partition, 0) for one in partitions])
        self.assigned |= {one.partition for one in partitions}

    def _give_up(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_unassign(partitions)
        self.assigned -= {one.partition for one in partitions}

    def _lose(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up(consumer, partitions)
        self.lost += 1


def records_of_a_partition_come_in_the_order_in_which_they_were_produced(subject: Subject) -> None:
    topic = subject.new_topic(2)
    produced(subject, topic, *(str(number).encode() for number in range(50)), number=0)
    produced(subject, topic, b"other", number=1)
    reader = reading(subject, topic, subject.new_group())
    subject.until(lambda: _polled(reader).ends == {0, 1}, "both ends")
    assert reader.values == {0: [str(number).encode() for number in range(50)], 1: [b"other"]}


def what_is_committed_is_there_for_whoever_asks(subject: Subject) -> None:
    topic, group = subject.new_topic(2), subject.new_group()
    reader = reading(subject, topic, group)
    reader.consumer.commit(offsets=[TopicPartition(topic, 0, 7, metadata="a note")], asynchronous=True)
    answers = reader.consumer.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], timeout=10)
    assert [(one.offset >= 0, one.metadata or "") for one in answers] == [(True, "a note"), (False, "")]
    reader.consumer.close()
    later = reading(subject, topic, group)
    assert later.consumer.committed([TopicPartition(topic, 0)], timeout=10)[0].offset == 7


def a_member_that_joins_gets_its_share_and_the_other_goes_on_with_the_rest(subject: Subject) -> None:
    topic, group = subject.new_topic(4), subject.new_group()
    one = reading(subject, topic, group)
    assert one.assigned == {0, 1, 2, 3}
    other = Reader(subject.consumer(group), topic)
    subject.until(lambda: len(_polled(one).assigned) == len(_polled(other).assigned) == 2, "two shares")
    assert not one.assigned & other.assigned
    assert one.lost == 0
    one.consumer.close()
    subject.until(lambda: _polled(other).assigned == {0, 1, 2, 3}, "all partitions")


def offsets_of_who_is_no_member_any_more_are_refused(subject: Subject) -> None:
    topic, group = subject.new_topic(), subject.new_group()
    reader = reading(subject, topic, group)
    stale = reader.consumer.consumer_group_metadata()
    reader.consumer.close()
    other = reading(subject, topic, group)
    producer = begun(subject)
    with_error = _error_of(lambda: producer.send_offsets_to_transaction([TopicPartition(topic, 0, 5)], stale, 10))
    assert with_error in {KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION, KafkaError.FENCED_INSTANCE_ID}
    producer.abort_transaction(10)
    assert other.consumer.committed([TopicPartition(topic, 0)], timeout=10)[0].offset < 0


def an_aborted_transaction_is_never_seen(subject: Subject) -> None:
    topic = subject.new_topic()
    for is_committed, value in ((True, b"first"), (False, b"aborted"), (True, b"last")):
        producer = begun(subject)
        producer.produce(topic, value, None, partition=0)
        if is_committed:
            producer.commit_transaction(10)
        else:
            producer.flush(10)
            producer.abort_transaction(10)
    reader = reading(subject, topic, subject.new_group())
    subject.until(lambda: _polled(reader).ends == {0}, "the end")
    assert reader.values == {0: [b"first", b"last"]}


def nothing_behind_an_open_transaction_is_read_before_it_ends(subject: Subject) -> None:
    topic = subject.new_topic()
    producer = begun(subject)
    producer.produce(topic, b"open", None, partition=0)
    producer.flush(10)
    produced(subject, topic, b"behind", number=0)
    reader = reading(subject, topic, subject.new_group())
    subject.until(lambda: _polled(reader).ends == {0}, "the end of what may be read")
    assert reader.values == {}
    assert subject.bounds((topic, 0)) == (0, 0)
    producer.commit_transaction(10)
    subject.until(lambda: _polled(reader).values == {0: [b"open", b"behind"]}, "both records")


def offsets_of_a_transaction_are_committed_with_it_or_not_at_all(subject: Subject) -> None:
    topic, group = subject.new_topic(), subject.new_group()
    reader = reading(subject, topic, group)
    for offset, is_committed, expected in ((3, True, 3), (5, False, 3)):
        producer = begun(subject)
        member = reader.consumer.consumer_group_metadata()
        producer.produce(topic, b"with offsets", None, partition=0)
        producer.send_offsets_to_transaction([TopicPartition(topic, 0, offset)], member, 10)
        if is_committed:
            producer.commit_transaction(10)
        else:
            producer.abort_transaction(10)
        assert reader.consumer.committed([TopicPartition(topic, 0)], timeout=10)[0].offset == expected


def a_producer_that_another_one_of_its_name_has_followed_is_fenced(subject: Subject) -> None:
    topic, name = subject.new_topic(), subject.new_group()
    before = begun(subject, name)
    before.produce(topic, b"of the first", None, partition=0)
    before.flush(10)
    after = begun(subject, name)
    after.produce(topic, b"of the second", None, partition=0)
    after.commit_transaction(10)
    assert _error_of(lambda: before.commit_transaction(10)) in {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH}
    reader = reading(subject, topic, subject.new_group())
    subject.until(lambda: _polled(reader).ends == {0}, "the end")
    assert reader.values == {0: [b"of the second"]}


def a_reader_that_retention_has_overtaken_is_told_so_and_has_to_begin_anew(subject: Subject) -> None:
    topic = subject.new_topic()
    produced(subject, topic, *(str(number).encode() for number in range(10)), number=0)
    subject.delete_before((topic, 0), 4)
    assert subject.bounds((topic, 0)) == (4, 10)
    reader = reading(subject, topic, subject.new_group())
    subject.until(lambda: bool(_polled(reader).errors), "an error")
    assert reader.errors == [KafkaError._AUTO_OFFSET_RESET]
    assert reader.values == {}
    place = TopicPartition(topic, 0, 4)
    assert _error_of(lambda: reader.consumer.seek(place)) == KafkaError._STATE
    reader.consumer.incremental_unassign([place])
    reader.consumer.incremental_assign([place])
    subject.until(lambda: len(_polled(reader).values.get(0, [])) == 6, "what is left")


# --- what they share --------------------------------------------------------------------------------------------------

_names = count()


def produced(subject: Subject, topic: str, *values: bytes, number: int) -> None:
    """Records are produced and acknowledged."""
    producer, answers = subject.producer(), list[Any]()
    for value in values:
        producer.produce(topic, value, None, partition=number, on_delivery=lambda error, _: answers.append(error))

    def is_answered() -> bool:
        producer.poll(FEW_S)
        return len(answers) == len(values)

    subject.until(is_answered, "answers")
    assert set(answers) == {None}


def begun(subject: Subject, name: str = "") -> Producer:
    """A producer with an open transaction."""
    producer = subject.producer(**{"transactional.id": name or f"{subject.new_group()}-{next(_names)}"})
    producer.init_transactions(30)
    producer.begin_transaction()
    return producer


def reading(subject: Subject, topic: str, group: str) -> Reader:
    """A member that has partitions."""
    reader = Reader(subject.consumer(group), topic)
    subject.until(lambda: bool(_polled(reader).assigned), "an assignment")
    return reader


def _polled(reader: Reader) -> Reader:
    reader.poll()
    return reader


def _error_of(call: Callable[[], Any]) -> int:
    try:
        call()
    except KafkaException as error:
        return int(error.args[0].code())
    raise AssertionError("expected an error of Kafka")


CONTRACT: tuple[Callable[[Subject], None], ...] = (
    records_of_a_partition_come_in_the_order_in_which_they_were_produced,
    what_is_committed_is_there_for_whoever_asks,
    a_member_that_joins_gets_its_share_and_the_other_goes_on_with_the_rest,
    offsets_of_who_is_no_member_any_more_are_refused,
    an_aborted_transaction_is_never_seen,
    nothing_behind_an_open_transaction_is_read_before_it_ends,
    offsets_of_a_transaction_are_committed_with_it_or_not_at_all,
    a_producer_that_another_one_of_its_name_has_followed_is_fenced,
    a_reader_that_retention_has_overtaken_is_told_so_and_has_to_begin_anew,
)
