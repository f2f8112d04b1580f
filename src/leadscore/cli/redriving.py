"""Dead letters sent back to their topics, each together with its mark, in Kafka transactions.

A mark in the dead-letter topic says that a record was redriven. Record and mark are stored both or not at all, and
readers of the source topics see what is committed and nothing else. So whoever reads the marks first never sends a
record twice, also after a command that was killed. Two commands at once: all of one deployment begin under one
transactional name, after which the broker lets no earlier holder of it commit; only then are the marks read.

The mark lies behind its dead letter in the same partition, so that retention cannot take it first.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from leadscore.cli.dead_letter_topic import StoredLetter
from leadscore.errors import Unavailable, WorkerStopped
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.outbound import FLUSH_SLICE_S, OnDelivery
from leadscore.pipeline.kafka.questions import partition_count, unavailable
from leadscore.pipeline.kafka.records import ANY_PARTITION
from leadscore.pipeline.match.dead_letter_headers import mark_headers, redriven_headers

ANSWER_TIMEOUT_S = 30.0
BATCH_LETTERS = 500
BATCH_BYTES = 4 * 1024 * 1024
"""A transaction is this large at most: the readers of its topics wait until it ends."""

_OF_THE_RECORD = frozenset(
    {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError.INVALID_TIMESTAMP, KafkaError.INVALID_MSG}
)
"""Refusals that say something of the record and nothing of the topic."""


_FENCED = frozenset({KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH})  # noqa: SLF001
_PURGED = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})  # noqa: SLF001
"""Records that went with the refused one, and may take the first of the next transaction along: those go again."""
MOST_TRIES = 100
"""Each but a few of them leaves a letter out."""


class RefusedLetter(NamedTuple):
    """A dead letter that its own topic does not take."""

    letter: StoredLetter
    why: str


class _Errors(NamedTuple):
    """What the client says of records that are not stored, by the number of the letter."""

    of_records: dict[int, KafkaError]
    of_marks: dict[int, KafkaError]

    def by_letter(self) -> dict[int, KafkaError]:
        """One error for each letter: one that is no consequence of others, if there is one."""
        both = [*self.of_marks.items(), *self.of_records.items()]
        return dict(sorted(both, key=lambda item: item[1].code() not in _PURGED))


class Redriving:
    """Sends dead letters back. From the moment it is made, no earlier one sends any more."""

    def __init__(self, producer: Producer, dead_letter_topic: str) -> None:
        self._producer = producer
        self._dead_letter_topic = dead_letter_topic
        self._partitions: dict[str, int] = {}
        with self._explained("beginning to redrive"):
            producer.init_transactions(ANSWER_TIMEOUT_S)

    def send(self, letters: Sequence[StoredLetter]) -> list[RefusedLetter]:
        """Send all that their topics take, or nothing if this raises; what they do not take comes back."""
        refused: list[RefusedLetter] = []
        tries = 0
        while letters and (answers := self._try(letters)):
            tries += 1
            refusals = {number: error for number, error in answers.items() if error.code() in _OF_THE_RECORD}
            if not refusals and (tries > MOST_TRIES or any(error.code() not in _PURGED for error in answers.values())):
                raise _unsent(answers.values())
            refused += [RefusedLetter(letters[number], error.str()) for number, error in sorted(refusals.items())]
            letters = [letter for number, letter in enumerate(letters) if number not in refusals]
        return refused

    def _try(self, letters: Sequence[StoredLetter]) -> dict[int, KafkaError]:
        """One transaction; nothing is sent if there is an answer for any of the letters, which is why not."""
        errors = _Errors({}, {})
        with self._explained("sending dead letters back"):
            self._producer.begin_transaction()
            try:
                for number, letter in enumerate(letters):
                    self._produce(letter, number, errors)
                is_answered = self._wait()
                if is_answered and not errors.by_letter():
                    self._producer.commit_transaction(ANSWER_TIMEOUT_S)
                    return {}
            except BaseException:
                with suppress(KafkaException):
                    self._producer.abort_transaction(ANSWER_TIMEOUT_S)
                raise
            self._producer.abort_transaction(ANSWER_TIMEOUT_S)
        if not is_answered:
            raise Unavailable("kafka", "timeout", f"sending dead letters back: no answer in {ANSWER_TIMEOUT_S:g} s")
        return errors.by_letter()

    def _produce(self, letter: StoredLetter, number: int, errors: "_Errors") -> None:
        """Hand the record and its mark to the client."""
        position = letter.position
        partition = position.partition if position.partition < self._partitions_of(position.topic) else ANY_PARTITION
        try:
            self._producer.produce(
                position.topic,
                letter.value,
                letter.key,
                partition=partition,
                timestamp=max(0, letter.timestamp_ms),
                headers=redriven_headers(letter.account),
                on_delivery=_noting(errors.of_records, number),
            )
            self._producer.produce(
                self._dead_letter_topic,
                partition=letter.partition,
                headers=mark_headers(position),
                on_delivery=_noting(errors.of_marks, number),
            )
        except KafkaException as error:
            if error.args[0].code() not in _OF_THE_RECORD:
                raise
            errors.of_records[number] = error.args[0]
        self._producer.poll(0)

    def _wait(self) -> bool:
        """Whether everything is answered. Not by ``flush``, which calls callbacks on after a fatal error."""
        deadline = Deadline(ANSWER_TIMEOUT_S)
        while len(self._producer) and deadline.left_s:
            self._producer.poll(min(FLUSH_SLICE_S, deadline.left_s))
        return len(self._producer) == 0

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """What Kafka refuses as an error that says what it means for the command."""
        try:
            yield
        except KafkaException as error:
            if error.args[0].code() in _FENCED:
                raise WorkerStopped(
                    f"another redrive from topic {self._dead_letter_topic} has begun: this one sends no more"
                ) from error
            raise unavailable(error, f"{doing}; nothing is sent twice if you repeat it") from error

    def _partitions_of(self, topic: str) -> int:
        if topic not in self._partitions:
            self._partitions[topic] = partition_count(self._producer, topic)
        return self._partitions[topic]


def _noting(errors: dict[int, KafkaError], number: int) -> OnDelivery:
    """A callback that only records: the client may have left an error pending when it calls it."""

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            errors[number] = error

    return on_delivery


def batches(letters: Iterator[StoredLetter]) -> Iterator[list[StoredLetter]]:
    """The letters by the transaction."""
    batch: list[StoredLetter] = []
    size_bytes = 0
    for letter in letters:
        batch.append(letter)
        size_bytes += len(letter.value or b"")
        if len(batch) == BATCH_LETTERS or size_bytes >= BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def _unsent(errors: Iterable[KafkaError]) -> Unavailable:
    """Why nothing could be sent: the first error that is no consequence of another, if there is one."""
    cause = min(errors, key=lambda error: error.code() in _PURGED)
    return Unavailable("kafka", cause.name(), f"sending dead letters back: {cause.str()}")
