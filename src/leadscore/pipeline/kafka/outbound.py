"""The way out to Kafka: one producer, whose queue may be full and whose errors may be final.

Delivery callbacks run within ``poll``. They may only record, and take no lock: the client raises a fatal error by
leaving it pending while it calls further callbacks, and a lock taken there would never be given back. For the same
reason nothing here calls the client's own ``flush``, which goes on calling callbacks after that; ``poll`` returns.

Once the producer has failed for good, every call says so at once: nothing is waited for that cannot come.
"""

from collections.abc import Callable
from time import monotonic

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from leadscore.errors import WorkerStopped
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.records import OutputRecord

OnDelivery = Callable[[KafkaError | None, Message], None]

FULL_QUEUE_WAIT_S = 0.1
FLUSH_SLICE_S = 0.5
"""Python runs signal handlers only between two calls of the client."""
CAUSE_WAIT_S = 1.0
"""The client refuses records before it has said why; the cause is the next thing it says."""

_CONSEQUENCES = frozenset({KafkaError._FATAL, KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})  # noqa: SLF001
_NOT_ALLOWED = ("authorization failed", "not authorized")


def hand_over(client: Producer, topic: str, record: OutputRecord, on_delivery: OnDelivery) -> None:
    """Give the record to a client; its errors, that of a full queue among them, are the caller's."""
    client.produce(
        topic,
        record.value,
        record.key,
        partition=record.partition,
        timestamp=record.timestamp_ms,
        headers=record.headers,
        on_delivery=on_delivery,
    )


class Outbound:
    """A producer of the worker's."""

    def __init__(self, client: Producer) -> None:
        self._client = client
        self._failure: str | None = None

    @property
    def has_failed(self) -> bool:
        """Whether the producer can never produce again."""
        return self._failure is not None

    def produce(self, topic: str, record: OutputRecord, on_delivery: OnDelivery) -> None:
        """Hand the record to the client, waiting while its queue is full; ``WorkerStopped`` if it can never be sent."""
        refusal = self.try_to_produce(topic, record, on_delivery)
        if refusal is not None:
            raise self._fail(f"a record for topic {topic} cannot be produced: {refusal.str()}")

    def try_to_produce(self, topic: str, record: OutputRecord, on_delivery: OnDelivery) -> KafkaError | None:
        """Hand the record to the client; if it refuses this record, why, and ``on_delivery`` is not called.

        ``WorkerStopped`` if the client refuses every record.
        """
        while True:
            self._check()
            try:
                hand_over(self._client, topic, record, on_delivery)
            except BufferError:
                self.poll(FULL_QUEUE_WAIT_S)
            except KafkaException as error:
                refusal: KafkaError = error.args[0]
                if is_fatal(refusal):
                    raise self._failed_before(topic, refusal) from error
                return refusal
            else:
                return None

    def poll(self, timeout_s: float = 0.0) -> None:
        """Run the delivery callbacks that are due; ``WorkerStopped`` once the producer has failed for good."""
        self._check()
        try:
            self._client.poll(timeout_s)
        except KafkaException as error:
            stopped = self._fail(explanation(error.args[0]))
            self._take_last_answers()
            raise stopped from error

    def flush(self, deadline: Deadline) -> bool:
        """Wait until everything produced is answered, or the deadline comes; whether all is."""
        self.poll()
        while len(self._client) and deadline.left_s:
            self.poll(min(FLUSH_SLICE_S, deadline.left_s))
        return len(self._client) == 0

    def _take_last_answers(self) -> None:
        """What was produced is refused now, record by record: that is soon told, and counted."""
        deadline_s = monotonic() + CAUSE_WAIT_S
        while len(self._client) and monotonic() < deadline_s:
            try:
                self._client.poll(FULL_QUEUE_WAIT_S)
            except KafkaException:
                continue

    def _check(self) -> None:
        if self._failure is not None:
            raise WorkerStopped(self._failure)

    def _failed_before(self, topic: str, refusal: KafkaError) -> WorkerStopped:
        """The producer has failed on another record, perhaps of another topic: that is what has to be told."""
        deadline_s = monotonic() + CAUSE_WAIT_S
        while monotonic() < deadline_s:
            try:
                self.poll(FULL_QUEUE_WAIT_S)
            except WorkerStopped as cause:
                return cause
        return self._fail(f"a record for topic {topic} cannot be produced: {refusal.str()}")

    def _fail(self, why: str) -> WorkerStopped:
        self._failure = self._failure or why
        return WorkerStopped(self._failure)


def is_fatal(error: KafkaError) -> bool:
    """Whether the client can never go on."""
    return error.fatal() or error.code() == KafkaError._FATAL  # noqa: SLF001


def is_consequence(error: KafkaError) -> bool:
    """Whether a record failed only because another one had failed."""
    return error.code() in _CONSEQUENCES


def explanation(error: KafkaError) -> str:
    """A fatal error of the producer in words: the client's name the topic, and what may have to be done is added."""
    words = error.str()
    told = f"Kafka refuses a record for good, and none may follow it: {words}"
    if "size too large" in words:
        return f"{told}. Raise max.message.bytes of that topic, then restart this worker."
    if any(phrase in words.lower() for phrase in _NOT_ALLOWED):
        return f"{told}. The worker's Kafka user needs the permission WRITE on that topic."
    return told
