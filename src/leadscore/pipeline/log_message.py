"""A record of the award log as it comes from Kafka."""

from dataclasses import dataclass

from confluent_kafka import Message

from leadscore.log.records import LogRecord, decode


@dataclass(frozen=True, slots=True)
class LogMessage:
    """A record of the log and where it stood; ``time_ms`` is the log's time."""

    offset: int
    time_ms: int
    record: LogRecord


def decoded(message: Message) -> LogMessage:
    """The record in a message; ``LogFormatError`` where it is not one of ours."""
    value = message.value()
    return LogMessage(message.offset() or 0, message.timestamp()[1], decode(value if value is not None else b""))
