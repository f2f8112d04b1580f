"""A record of the award log as it comes from Kafka."""

from typing import NamedTuple

from confluent_kafka import Message

from leadscore.errors import PartitionStopped, StopCause
from leadscore.log.records import LogFormatError, LogRecord, decode


class LogMessage(NamedTuple):
    """A record of the log and where it stood; ``time_ms`` is the log's time."""

    offset: int
    time_ms: int
    record: LogRecord
    leader_epoch: int | None = None


def decoded(message: Message) -> LogMessage:
    """The record in a message; ``PartitionStopped`` where it is not one of ours, or newer than this program."""
    value, offset = message.value() or b"", message.offset() or 0
    try:
        return LogMessage(offset, message.timestamp()[1], decode(value), message.leader_epoch())
    except LogFormatError as error:
        raise PartitionStopped(
            f"log partition {message.partition()}, offset {offset}: {error}. Nothing is applied until it can be "
            "read. Run the version that wrote it; nothing but leadscore may write to the log",
            StopCause.UNREADABLE,
        ) from error
