"""Publishes to the scores topic: news and the log offsets they are of, in one Kafka transaction (design 2.10).

Theory of operation. The topic is compacted: of each lead the record that comes last stays. A worker that was away while
another took its shards over may still hold news to send. A plain producer would send them when the worker wakes up,
after the newer ones of its successor, and there they would stay. So news and the committed offset go together:

    pending    what was written to Redis and is not committed: the latest news of each lead, by shard
    commit     begin, produce what is pending, commit the offsets in the name of the group's member, commit
    committed  both are there. The group takes no offset of a worker that is no member any more, nor of a generation
               that is over, and without the offset no reader (``read_committed``) sees the news
    refused    neither is there: aborted; offsets and news stay, and go with a later commit
    unknown    no answer, or the producer has failed for good: a new producer under the same name ends what is open,
               one way or the other; what was pending is committed again

After a crash the next owner finds in the outbox what lies at or above the committed offset; it waits with asking for
that offset until no transaction on it is open. A plain commit happens only while nothing is pending.
"""

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from time import time
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from leadscore.errors import Unavailable, WorkerStopped
from leadscore.ops.services import OutageLog
from leadscore.pipeline.kafka.commits import Together
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.outbound import FULL_QUEUE_WAIT_S, explanation
from leadscore.pipeline.score.counts import ScoreNewsCounts
from leadscore.pipeline.score.score_records import ScoreEncoding, score_record
from leadscore.scoring.latest_score import ScoreNews

AGAIN_AFTER_S = 2.0
"""After a transaction that failed; every attempt may take as long as an answer of Kafka."""

_REFUSED_FOR_GOOD = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
    }
)
_NO_MEMBER = KafkaError(KafkaError.UNKNOWN_MEMBER_ID, "the worker is not in its group")


class Names(NamedTuple):
    """The topic, and under which name this worker's transactions are."""

    topic: str
    transactional_id: str


class ScoresTopic:
    """The way to the scores topic of one worker. ``new_producer`` makes a producer under its one transactional id."""

    def __init__(
        self,
        names: Names,
        encoding: ScoreEncoding,
        new_producer: Callable[[], Producer],
        counts: ScoreNewsCounts,
        outages: OutageLog,
    ) -> None:
        self._topic, self._transactional_id = names
        self._encoding = encoding
        self._new_producer = new_producer
        self._counts = counts
        self._outages = outages
        self._producer: Producer | None = None
        self._pending: dict[int, dict[str, ScoreNews]] = {}
        self._not_before_s = 0.0
        self._refusals: list[KafkaError] = []

    def hold(self, number: int, news: Iterable[ScoreNews]) -> None:
        """News of a shard, in the order decided, that are written to Redis: to be published with the next commit."""
        of_shard = self._pending.setdefault(number, {})
        of_shard.update((one.lead_id, one) for one in news)

    def drop(self, numbers: Collection[int]) -> None:
        """These shards belong to another worker, which finds their news in the outbox."""
        for number in numbers:
            self._pending.pop(number, None)

    @property
    def pending(self) -> int:
        """How many leads have news that are not committed."""
        return sum(map(len, self._pending.values()))

    def commit(self, consumer: Consumer, offsets: list[TopicPartition], timeout_s: float) -> Together:
        """Publish what is pending together with the offsets. ``WorkerStopped`` where Kafka refuses it for good."""
        news = [one for of_shard in self._pending.values() for one in of_shard.values()]
        if not news:
            return Together.NOTHING
        if time() < self._not_before_s:
            return Together.FAILED
        try:
            self._publish(news, consumer, offsets, Deadline(timeout_s))
        except KafkaException as error:
            self._not_before_s = time() + AGAIN_AFTER_S
            self._failed(error.args[0], len(news))
            return Together.FAILED
        self._pending.clear()
        self._counts.committed(news)
        self._outages.end(time())
        return Together.COMMITTED

    def _publish(
        self, news: list[ScoreNews], consumer: Consumer, offsets: list[TopicPartition], deadline: Deadline
    ) -> None:
        producer = self._producer or self._begun(deadline)
        self._refusals.clear()
        producer.begin_transaction()
        try:
            for one in news:
                self._produce(producer, one)
            producer.send_offsets_to_transaction(offsets, _membership(consumer), deadline.left_s)
            producer.commit_transaction(deadline.left_s)
        except KafkaException as error:
            self._end(producer, error.args[0], deadline)
            raise

    def _begun(self, deadline: Deadline) -> Producer:
        """A new producer; whatever an earlier one under its name has left open is ended by that."""
        producer = self._new_producer()
        producer.init_transactions(deadline.left_s)
        self._producer = producer
        return producer

    def _produce(self, producer: Producer, news: ScoreNews) -> None:
        record = score_record(news, self._encoding)
        while True:
            try:
                producer.produce(
                    self._topic,
                    record.value,
                    record.key,
                    timestamp=record.timestamp_ms,
                    headers=record.headers,
                    on_delivery=self._note,  # of refusals only, see ``make_scores_producer``
                )
            except BufferError:
                producer.poll(FULL_QUEUE_WAIT_S)
            else:
                return

    def _note(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._refusals.append(error)

    def _end(self, producer: Producer, error: KafkaError, deadline: Deadline) -> None:
        """Abort what was refused; a producer whose transaction cannot be ended is thrown away."""
        self._producer = None
        if error.fatal() or (error.retriable() and not error.txn_requires_abort()):
            return
        with suppress(KafkaException):
            producer.abort_transaction(max(deadline.left_s, 1.0))
            self._producer = producer

    def _failed(self, error: KafkaError, number: int) -> None:
        self._counts.failed(number)
        final = [refusal for refusal in (*self._refusals, error) if refusal.code() in _REFUSED_FOR_GOOD]
        if error.code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            needs = (
                f"the worker's Kafka user needs the permission WRITE on the transactional id {self._transactional_id}"
            )
            raise WorkerStopped(f"topic {self._topic}: {error.str()}: {needs}")
        if final:
            raise WorkerStopped(f"topic {self._topic}: {explanation(final[0])}")
        detail = f"topic {self._topic}: {error.str()}"
        self._outages.note(time(), Unavailable("kafka", error.name(), detail))


def _membership(consumer: Consumer) -> object:
    """The worker as a member of its group, as of now; Kafka checks the generation of members only."""
    membership: object = consumer.consumer_group_metadata()
    if not consumer.memberid():
        raise KafkaException(_NO_MEMBER)
    return membership
