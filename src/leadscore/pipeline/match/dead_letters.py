"""Dead letters on their way out: records that can never be decoded, untouched (design 2.7).

They have a producer of their own. The log's must leave no gap, so that a single record refused by the broker would end
it for good; a dead letter may be refused, for its size or because its topic is gone, and that must stop the source
partition it comes from and nothing else.

The dead letters of a batch come before its frames, and the frames wait until they are acknowledged. Were a later record
of the partition in the log already, and the refused one then fixed by a new mapping or schema, the fold would take the
event for one it has seen: lost without a trace.
"""

from collections.abc import Callable
from typing import NamedTuple

from confluent_kafka import KafkaError, Message

from leadscore.errors import DeadLetter, DeadLetterReason, WorkerStopped
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.outbound import Outbound, is_fatal
from leadscore.pipeline.kafka.records import OutputRecord, Partition
from leadscore.pipeline.match.dead_letter_headers import Origin, dead_letter_headers
from leadscore.pipeline.match.dead_letter_log import DeadLetterLog


class _Refused(NamedTuple):
    origin: Origin
    size_bytes: int
    error: KafkaError


class Refusal(NamedTuple):
    """A dead letter that could not be published, and what an operator should know about it."""

    partition: Partition
    offset: int
    detail: str


class DeadLetters:
    """Publishes dead letters; ``limit_bytes`` asks how large a record the topic takes, ``None`` if it does not say."""

    def __init__(
        self, outbound: Outbound, topic: str, group: str, metrics: Metrics, limit_bytes: Callable[[], int | None]
    ) -> None:
        self._outbound = outbound
        self._topic = topic
        self._group = group
        self._published = metrics.match.dead_letters
        self._attempts = metrics.publish.attempts.labels("dead_letter")
        self._failures = metrics.publish.failures.labels("dead_letter")
        self._log = DeadLetterLog()
        self._limit_bytes = limit_bytes
        self._unanswered = 0
        self._acknowledged: list[DeadLetterReason] = []
        self._refused: list[_Refused] = []

    def publish(self, message: Message, failure: DeadLetter, now_s: float, topic_id: str) -> None:
        """Publish one dead letter; ``topic_id`` is that of its topic."""
        place = (message.topic() or "", message.partition() or 0, message.offset() or 0)
        timestamp_ms = message.timestamp()[1]
        origin = Origin(*place, self._group, topic_id, timestamp_ms)
        headers = dead_letter_headers(origin, failure, message.headers())
        record = OutputRecord(message.key(), message.value(), headers, timestamp_ms=max(0, timestamp_ms))
        size_bytes = _size_bytes(record)

        def on_delivery(error: KafkaError | None, _message: Message) -> None:
            self._unanswered -= 1
            if error is None:
                self._acknowledged.append(failure.reason)
            else:
                self._refused.append(_Refused(origin, size_bytes, error))

        self._unanswered += 1
        self._attempts.inc()
        refusal = self._outbound.try_to_produce(self._topic, record, on_delivery)
        if refusal is not None:
            on_delivery(refusal, message)
        self._log.note(now_s, origin, failure)

    def settle(self, deadline: Deadline, now_s: float) -> bool:
        """Wait for the answers; whether all are there."""
        if self._unanswered:
            self._outbound.flush(deadline)
        acknowledged, self._acknowledged = self._acknowledged, []
        for reason in acknowledged:
            self._published.labels(reason.value).inc()
        self._log.look(now_s)
        return self._unanswered == 0

    def take_refused(self) -> list[Refusal]:
        """What was refused since the last call; ``WorkerStopped``, again and again, if the producer cannot go on."""
        for refused in self._refused:
            if is_fatal(refused.error):
                raise WorkerStopped(
                    f"a dead letter could not be published to topic {self._topic}: {refused.error.str()}"
                )
        refusals, self._refused = self._refused, []
        self._failures.inc(len(refusals))
        return [self._explained(*refused) for refused in refusals]

    def _explained(self, origin: Origin, size_bytes: int, error: KafkaError) -> Refusal:
        remedy = f"Fix topic {self._topic}"
        limit = ""
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            limit_bytes = self._limit_bytes()
            limit = f", whose limit is {'unknown' if limit_bytes is None else f'{limit_bytes} bytes'}"
            remedy = f"Raise max.message.bytes of topic {self._topic} (and LEADSCORE_KAFKA__MESSAGE_MAX_BYTES, if set)"
        return Refusal(
            (origin.topic, origin.partition),
            origin.offset,
            f"{origin.topic}/{origin.partition}: the dead letter of offset {origin.offset}, {size_bytes} bytes, cannot "
            f"be published to topic {self._topic}{limit}: {error.str()}. Nothing of the partition is matched or "
            f"committed from that offset on. {remedy}, then restart this worker.",
        )


def _size_bytes(record: OutputRecord) -> int:
    headers = sum(len(name.encode()) + len(text or b"") for name, text in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers
