"""The dead-letter topic as ``leadscore dlq`` reads it: dead letters, and the marks of those that were redriven."""

from collections.abc import Iterator
from typing import NamedTuple, cast

from confluent_kafka import Consumer, Message, TopicPartition

from leadscore.cli.kafka_session import KafkaSession, records_between
from leadscore.errors import ConfigError
from leadscore.pipeline.kafka.questions import log_bounds, partition_count
from leadscore.pipeline.kafka.records import Headers
from leadscore.pipeline.match.dead_letter_headers import Account, Position, account_of, marked_position


class StoredLetter(NamedTuple):
    """A dead letter and its place in the topic; ``timestamp_ms`` is when the record came into its own topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    account: Account

    @property
    def position(self) -> Position:
        """Where the record was read that is the dead letter."""
        return self.account.position


class Selection(NamedTuple):
    """Which dead letters are asked for: of these reasons and topics (empty: any), of this time (``until`` excluded)."""

    reasons: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None

    def takes(self, letter: StoredLetter) -> bool:
        """Whether the dead letter is one of them."""
        return (
            (not self.reasons or letter.account.reason in self.reasons)
            and (not self.topics or letter.position.topic in self.topics)
            and (self.since_ms is None or letter.timestamp_ms >= self.since_ms)
            and (self.until_ms is None or letter.timestamp_ms < self.until_ms)
        )


class Positions:
    """A set of positions that is small in memory: there may be millions."""

    def __init__(self) -> None:
        self._offsets: dict[tuple[str, str, int], set[int]] = {}

    def add(self, position: Position) -> None:
        """Put it into the set."""
        self._offsets.setdefault(position[:3], set()).add(position.offset)

    def __contains__(self, position: Position) -> bool:
        return position.offset in self._offsets.get(position[:3], ())


class DeadLetterTopic:
    """The topic from its beginning to the end that it had when this was made."""

    def __init__(self, session: KafkaSession, consumer: Consumer, name: str) -> None:
        self._consumer = consumer
        self._name = name
        partitions = [(name, number) for number in range(partition_count(consumer, name))]
        self._bounds = {number: bounds for (_, number), bounds in log_bounds(session.admin(), partitions).items()}

    def redriven(self) -> Positions:
        """The positions of the records that were redriven."""
        positions = Positions()
        for message in self._records():
            mark = marked_position(_headers(message))
            if mark is not None:
                positions.add(mark)
        return positions

    def letters(self, selection: Selection) -> Iterator[StoredLetter]:
        """The dead letters of the selection; records that are none of ours are left out."""
        for message in self._records():
            letter = stored_letter(message)
            if letter is not None and selection.takes(letter):
                yield letter

    def letter(self, partition: int, offset: int) -> StoredLetter:
        """The dead letter at this place; ``ConfigError`` if there is no such one."""
        place = f"{partition}/{offset}"
        if partition not in self._bounds:
            raise ConfigError(f"{place}: expected a partition of topic {self._name}, 0 to {len(self._bounds) - 1}")
        low, high = self._bounds[partition]
        if not low <= offset < high:
            holds = f"holds offsets {low} to {high - 1}" if high > low else "is empty"
            raise ConfigError(f"{place}: partition {partition} of topic {self._name} {holds}")
        for message in self._between(partition, offset, offset + 1):
            letter = stored_letter(message)
            if letter is not None:
                return letter
        raise ConfigError(f"{place}: this record of topic {self._name} is not a dead letter of leadscore")

    def _records(self) -> Iterator[Message]:
        for partition, (low, high) in sorted(self._bounds.items()):
            yield from self._between(partition, low, high)

    def _between(self, partition: int, start: int, end: int) -> Iterator[Message]:
        return records_between(self._consumer, TopicPartition(self._name, partition, start), end)


def stored_letter(message: Message) -> StoredLetter | None:
    """The dead letter that the record is; ``None`` for a mark, or what another program wrote there."""
    account = account_of(_headers(message))
    if account is None:
        return None
    timestamp_ms = message.timestamp()[1] if account.timestamp_ms is None else account.timestamp_ms
    place = (message.partition() or 0, message.offset() or 0)
    return StoredLetter(*place, message.key(), message.value(), timestamp_ms, account)


def _headers(message: Message) -> Headers:
    return cast("Headers", message.headers() or [])
