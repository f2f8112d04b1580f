"""What comes in: the records of some people, poison among them, and what is right of it whatever happens on the way."""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from leadscore.events.event import Event
from leadscore.events.event_bytes import json_bytes
from leadscore.log.records import ERASE
from leadscore.pipeline.kafka.records import Partition
from leadscore.pipeline.match.dead_letter_headers import Position
from tests.memory_kafka.broker import Broker, Record
from tests.oracle import DAY_MS, Plain
from tests.random_people import END_MS
from tests.simulated import event_of
from tests.simulation.site import COMMANDS, SOURCES

POISON = (
    b"no event",
    b"",
    b'{"type": "website.page_view"',
    b'{"type": "website.page_view", "event_id": "p", "lead_id": "", "occurred_at": 0}',
)


class Place(NamedTuple):
    """Where a record stood, and under which leader: another one may stand there after a loss."""

    position: Position
    leader_epoch: int


class Came(NamedTuple):
    """A record that came in: what it says, or ``None`` for poison; and its bytes."""

    place: Place
    record: Plain | None
    value: bytes


class Inputs:
    """Produces records to the source topics and remembers them."""

    def __init__(self, random: Random, kafka: Broker) -> None:
        self._random = random
        self._kafka = kafka
        self.came: list[Came] = []
        self.lost: set[Place] = set()
        """Where records stood that an input has lost: one counts if it was matched before, and else does not."""

    def send(self, record: Plain) -> None:
        """A record of a lead: an event on one of the source topics, a command on its own."""
        topic = COMMANDS if record["type"].startswith("command.") else self._random.choice(SOURCES)
        self._append(topic, record, json_bytes(event_of(record)))

    def send_poison(self) -> None:
        """A record that can never be scored."""
        ahead = Event("website.page_view", "ahead", "L", END_MS + 3_650 * DAY_MS, {})
        misplaced = Event(ERASE, "misplaced", "L", END_MS, {})
        value = self._random.choice((*POISON, json_bytes(ahead), json_bytes(misplaced)))
        self._append(self._random.choice(SOURCES), None, value)

    def lose_end(self, partition: Partition, committed: int) -> int:
        """Let an input lose its latest events, of those that are not committed; how many."""
        log = self._kafka.log_of(partition)
        poison = [one.place.position.offset for one in self._standing(partition) if one.record is None]
        first = max(committed, log.low, *(offset + 1 for offset in poison))
        if first >= log.high:
            return 0
        first = self._random.randrange(first, log.high)
        lost = [one.place for one in self._standing(partition) if one.place.position.offset >= first]
        self.lost.update(lost)
        self._kafka.lose_end(partition, first)
        return len(lost)

    def _standing(self, partition: Partition) -> Iterator[Came]:
        """The records that are in the partition."""
        topic_id = self._kafka.topics[partition[0]].topic_id
        for one in self.came:
            position = one.place.position
            is_here = (position.topic, position.partition, position.topic_id) == (*partition, topic_id)
            if is_here and one.place not in self.lost:
                yield one

    def by_place(self) -> dict[Place, Plain]:
        """What each record says that is no poison."""
        return {came.place: came.record for came in self.came if came.record is not None}

    def poison(self) -> dict[Position, bytes]:
        """The bytes of each record that must become a dead letter."""
        return {came.place.position: came.value for came in self.came if came.record is None}

    def partitions(self) -> Iterator[Partition]:
        """Of all source topics."""
        for topic in (*SOURCES, COMMANDS):
            yield from self._kafka.partitions_of(topic)

    def _append(self, topic: str, record: Plain | None, value: bytes) -> None:
        number = self._random.randrange(len(self._kafka.topics[topic].partitions))
        offset = self._kafka.append((topic, number), Record(None, value, [], 0))
        position = Position(topic, self._kafka.topics[topic].topic_id, number, offset)
        place = Place(position, self._kafka.log_of((topic, number)).leader_epoch)
        self.came.append(Came(place, record, value))
