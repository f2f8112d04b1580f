"""A producer for tests that does not lose a record in silence: what Kafka did not take fails the test that sent it."""

from typing import Any

from confluent_kafka import KafkaError, Message, Producer


class NotDelivered(AssertionError):
    """Records that a test sent are not in Kafka, or may not be."""


class CheckedProducer(Producer):
    """``flush`` raises ``NotDelivered`` where a record was refused or is still on its way when the time is over."""

    def __init__(self, properties: dict[str, Any]) -> None:
        super().__init__(properties)
        self._under_way = 0
        self._refused: list[str] = []

    def produce(self, topic: str, *content: Any, **record: Any) -> None:
        """As the client does it; what becomes of the record is said by ``flush``."""
        super().produce(topic, *content, **record | {"on_delivery": self._note})
        self._under_way += 1

    def flush(self, timeout: float = 60) -> int:
        """Until every record is acknowledged, which is checked."""
        super().flush(timeout)  # its count has what the client has to say of connections besides
        refused, self._refused = self._refused, []
        if self._under_way or refused:
            raise NotDelivered(f"{self._under_way} records not acknowledged within {timeout:g} s; refused: {refused}")
        return self._under_way

    def _note(self, error: KafkaError | None, message: Message) -> None:
        self._under_way -= 1
        if error is not None:
            self._refused.append(f"{message.topic()} [{message.partition()}] {message.key()!r}: {error}")
