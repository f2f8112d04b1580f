"""What polls bring of the source partitions."""

from confluent_kafka import KafkaError, Message

from leadscore.pipeline.kafka.records import Partition
from leadscore.pipeline.match.alignment import Alignment
from leadscore.pipeline.match.intake import Intake, Polled

NOW_MS = 1_000
ONE, OTHER, NOT_OURS = ("visits", 0), ("visits", 1), ("mails", 0)


class Polling:
    """An intake of two partitions, from offset 5 on, and its alignment."""

    def __init__(self) -> None:
        self.alignment: Alignment[Partition, Message] = Alignment(wait_ms=60_000, most_bytes=1_000_000)
        self.alignment.assign([ONE, OTHER])
        self.intake = Intake(self.alignment)
        for partition in (ONE, OTHER):
            self.intake.begin(partition, 5)

    def poll(self, *messages: Message, proof: Message | None = None) -> Polled:
        return self.intake.take(messages, None if proof is None else lambda _, message: message is proof)

    def matched(self) -> list[tuple[Partition, int | None]]:
        """The records that may go now, in their order."""
        taken = self.alignment.take(NOW_MS, 100)
        return [((message.topic() or "", message.partition() or 0), message.offset()) for message in taken]


def record(partition: Partition, offset: int) -> Message:
    """One that came in the order of the offsets of all partitions."""
    return Message(topic=partition[0], partition=partition[1], offset=offset, value=b"value", timestamp=(1, offset))


def failure(partition: Partition, code: int) -> Message:
    return Message(topic=partition[0], partition=partition[1], error=KafkaError(code))


def the_end(partition: Partition) -> Message:
    return failure(partition, KafkaError._PARTITION_EOF)


def counts(polled: Polled) -> dict[Partition, tuple[int, int, int]]:
    return {partition: (one.records, one.again, one.given_up) for partition, one in polled.partitions.items()}


def test_records_of_all_runs_are_taken_once_and_in_order() -> None:
    polling = Polling()
    polled = polling.poll(record(ONE, 5), record(ONE, 8), record(OTHER, 6), record(OTHER, 7), record(ONE, 9))
    assert counts(polled) == {ONE: (3, 0, 0), OTHER: (2, 0, 0)}
    assert polled.taken == [ONE, OTHER]
    assert polling.matched() == [(ONE, 5), (OTHER, 6), (OTHER, 7)]
    assert (polling.intake.last_offset(ONE), polling.intake.last_offset(OTHER)) == (9, 7)


def test_a_record_that_comes_again_or_lies_before_the_beginning_is_not_taken() -> None:
    polling = Polling()
    polling.poll(record(ONE, 5), the_end(ONE), the_end(OTHER))
    polled = polling.poll(record(ONE, 4), record(ONE, 5))
    assert counts(polled) == {ONE: (2, 2, 0)}
    assert polled.taken == []
    assert polling.matched() == [(ONE, 5)]
    polling.poll(the_end(ONE), record(ONE, 5))
    assert polling.alignment.reached_ms(NOW_MS) == NOW_MS  # nor is the end of the partition forgotten
    assert counts(polling.poll(record(ONE, 5), record(ONE, 6), record(ONE, 6))) == {ONE: (3, 2, 0)}


def test_what_comes_of_a_partition_that_is_not_ours_is_given_up() -> None:
    polled = Polling().poll(record(NOT_OURS, 5), record(NOT_OURS, 6))
    assert counts(polled) == {NOT_OURS: (2, 0, 2)}
    assert polled.taken == []


def test_a_partition_is_at_its_end_unless_a_record_comes_after_that() -> None:
    polling = Polling()
    polling.poll(the_end(OTHER), record(ONE, 5), the_end(ONE))
    assert polling.matched() == [(ONE, 5)]
    assert polling.alignment.reached_ms(NOW_MS) == NOW_MS
    polling.poll(record(OTHER, 6), the_end(ONE), record(ONE, 7), the_end(OTHER))
    assert polling.matched() == [(OTHER, 6), (ONE, 7)]
    polling.poll(record(OTHER, 8))
    assert polling.matched() == []  # a record has come of the other since its end
    polling.poll(the_end(ONE))
    assert polling.matched() == [(OTHER, 8)]


def test_errors_are_kept_in_their_order_and_say_nothing_of_the_end() -> None:
    polling = Polling()
    polled = polling.poll(
        the_end(ONE),
        failure(ONE, KafkaError.TOPIC_AUTHORIZATION_FAILED),
        failure(OTHER, KafkaError._AUTO_OFFSET_RESET),
        record(OTHER, 5),
    )
    assert [(partition, error.code()) for partition, error in polled.errors] == [
        (ONE, KafkaError.TOPIC_AUTHORIZATION_FAILED),
        (OTHER, KafkaError._AUTO_OFFSET_RESET),
    ]
    assert counts(polled) == {OTHER: (1, 0, 0)}
    assert polling.matched() == [(OTHER, 5)]


def test_a_proof_is_neither_taken_nor_counted() -> None:
    polling = Polling()
    proof = record(ONE, 4)
    assert counts(polling.poll(proof, record(ONE, 5), proof=proof)) == {ONE: (1, 0, 0)}
    assert polling.intake.last_offset(ONE) == 5


def test_a_partition_that_was_forgotten_begins_where_it_is_told() -> None:
    polling = Polling()
    polling.poll(record(ONE, 5), record(ONE, 6))
    polling.alignment.revoke([ONE])
    polling.intake.forget([ONE])
    polling.alignment.assign([ONE])
    polling.intake.begin(ONE, 6)
    assert counts(polling.poll(record(ONE, 5), record(ONE, 6))) == {ONE: (2, 1, 0)}
