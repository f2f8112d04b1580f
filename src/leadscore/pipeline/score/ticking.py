"""Time, put into the log: ticks for the leads that are due (design 2.5).

The owner of a shard looks at its due leads every few seconds, once it has caught up with the log, and appends a tick to
it. The fold of the tick decides; producing one twice is harmless. After a change of the model every lead in a threshold
is looked at once, because the instants stored were computed under the old one.

A clock that is ahead would make all of it too early. So before its first tick a worker appends one without leads, and
learns from the acknowledgement whether its clock agrees with the brokers'; from then on every tick shows it.
"""

from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from leadscore.log.records import Tick, encode
from leadscore.ops.config import Config
from leadscore.pipeline.kafka.clocks import BrokersClock
from leadscore.pipeline.kafka.deliveries import OutputCounts
from leadscore.pipeline.kafka.outbound import Outbound
from leadscore.pipeline.kafka.records import OutputRecord
from leadscore.pipeline.score.shards import OwnedShard
from leadscore.store.shard import Store

TICK_LEADS = 500
LONGEST_INTERVAL_S = 5.0
_UNKNOWN_OFFSET = -1
QUESTION = Tick(0, [])
"""What is appended before the first tick with leads: its acknowledgement says what time it is where the log is."""


class Ticker:
    """Appends the ticks of the shards one worker owns."""

    def __init__(self, config: Config, store: Store, outbound: Outbound, counts: OutputCounts[int]) -> None:
        self._log_topic = config.log_topic
        self._interval_s = min(LONGEST_INTERVAL_S, config.due_interval_ms / 4000)
        self._store = store
        self._outbound = outbound
        self._counts = counts
        self._acknowledged: list[int] = []
        self._failed: list[int] = []
        self._stored: list[tuple[tuple[int, int], float]] = []
        self._unanswered = 0
        self._looked_at_s = self._now_s = 0.0
        self._clock = BrokersClock()

    def is_time(self, now_s: float) -> bool:
        """Whether to look again; if so, this was the look. ``WorkerStopped`` where this machine's clock is wrong."""
        self._now_s = now_s
        if self._unanswered:
            self._outbound.poll()  # nobody else does where this process matches nothing and publishes in transactions
        self._count()
        stored, self._stored = self._stored, []
        for timestamp, produced_s in stored:
            self._clock.note(timestamp, produced_s, now_s)
        self._clock.check()
        if now_s - self._looked_at_s < self._interval_s:
            return False
        self._looked_at_s = now_s
        return True

    def is_ready(self, owned: OwnedShard, consumer: Consumer) -> bool:
        """Whether the shard has applied its ticks and everything else in its log."""
        return not owned.has_tick_under_way and self.has_caught_up(owned, consumer)

    def has_caught_up(self, owned: OwnedShard, consumer: Consumer) -> bool:
        """Whether the shard has applied everything in its log, as far as the consumer has been told its end."""
        partition = TopicPartition(self._log_topic, owned.shard.number)
        try:
            bounds = consumer.get_watermark_offsets(partition, cached=True)
            [position] = consumer.position([partition])
        except KafkaException:
            return False
        # The log may end with what is no record: the end of a transaction. The position is beyond it, once it was read.
        return 0 <= bounds[1] <= max(owned.shard.offset + 1, position.offset)

    def tick(self, ready: Mapping[int, OwnedShard], until_ms: int) -> set[int]:
        """Append a tick for the leads due at ``until_ms``; the shards that were found with a fence that is not ours."""
        doubtful = set()
        for number, look in self._store.look_at_due(list(ready), until_ms, TICK_LEADS).items():
            owned = ready[number]
            if look.fence != owned.shard.stored:
                doubtful.add(number)
            elif not self._clock.is_confirmed and (look.lead_ids or owned.review_cursor is not None):
                self._append(owned, QUESTION)
            elif look.lead_ids:
                self._append(owned, Tick(until_ms, look.lead_ids))
                if len(look.lead_ids) == TICK_LEADS:
                    self._looked_at_s = 0.0  # there are more: look again as soon as this tick is applied
            elif owned.review_cursor is not None:
                self._review(owned, until_ms)
        return doubtful

    def _review(self, owned: OwnedShard, until_ms: int) -> None:
        page = self._store.due_all(owned.shard.number, owned.review_cursor or 0)
        owned.review_cursor = page.next_cursor
        for first in range(0, len(page.lead_ids), TICK_LEADS):
            self._append(owned, Tick(until_ms, page.lead_ids[first : first + TICK_LEADS]))

    def _append(self, owned: OwnedShard, tick: Tick) -> None:
        owned.tick_offset = _UNKNOWN_OFFSET
        self._unanswered += 1
        number, produced_s = owned.shard.number, self._now_s

        def on_delivery(error: KafkaError | None, message: Message) -> None:
            self._unanswered -= 1
            if error is None:
                self._stored.append((message.timestamp(), produced_s))
                owned.tick_offset = message.offset()
                self._acknowledged.append(number)
            else:
                owned.tick_offset = None
                self._failed.append(number)

        self._counts.produced(number)
        self._outbound.produce(self._log_topic, OutputRecord(None, encode(tick), partition=number), on_delivery)

    def _count(self) -> None:
        acknowledged, self._acknowledged = self._acknowledged, []
        failed, self._failed = self._failed, []
        for number in acknowledged:
            self._counts.acknowledged(number)
        for number in failed:
            self._counts.failed(number)
