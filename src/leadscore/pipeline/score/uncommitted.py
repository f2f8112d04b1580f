"""What is written to Redis and committed together with the log offsets it is of (design 2.7, 2.10).

With a scores topic these are its news; with ``LEADSCORE_DELIVERY=transactional`` crossings, erasures and forwards too.
They are held in memory by shard, and go to Kafka in one transaction with the next commit of offsets.

    committed   nothing is held any more
    aborted     what is held stays, and goes with a later commit
    unknown     nothing is held any more: the shards are reconciled, the committed offset says how the transaction
                ended, and what lies at or above it is in the outbox. Where only news are held they stay instead: the
                same once more is no harm on a compacted topic

The topic of scores is compacted: of each lead the record that comes last stays. A worker that was away while another
took its shards over may still hold news. A plain producer would send them when the worker wakes up, after the newer
ones of its successor, and there they would stay; in a transaction the group's coordinator refuses their offsets.

With outputs every commit is a transaction, were it one of offsets alone: a plain commit has no place in their order,
and one that is late would take the committed offset back below crossings that readers have.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from time import time
from typing import NamedTuple

from confluent_kafka import Consumer, TopicPartition

from leadscore.errors import Unavailable
from leadscore.ops.services import KAFKA, OutageLog
from leadscore.pipeline.kafka.commits import Together
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.transactions import Ended, OfMember, ToTopic, Transactions
from leadscore.pipeline.score.counts import CrossingCounts, ScoreNewsCounts
from leadscore.pipeline.score.outgoing import Outgoing
from leadscore.pipeline.score.score_records import ScoreEncoding, score_record
from leadscore.scoring.latest_score import ScoreNews

AGAIN_AFTER_S = 2.0
"""After a transaction that failed; every attempt may take as long as an answer of Kafka."""
OFFSETS_ALONE_AFTER_S = 1.0
"""How long offsets wait for something that goes with them."""
MOST_OUTPUTS = 100_000
"""That are held, as many as a producer's queue has room for; beyond it nothing more is applied."""


class NewsTopic(NamedTuple):
    """Where news go, and how they are written."""

    name: str
    encoding: ScoreEncoding


class UncommittedCounts(NamedTuple):
    """What is counted by the transaction."""

    outputs: CrossingCounts
    news: ScoreNewsCounts
    outage: Callable[[Unavailable], None]
    """Counts a transaction that failed, by the kind of its error."""
    ended: Callable[[str], None]
    """Counts a transaction by how it ended."""


@dataclass(slots=True)
class _OfShard:
    outputs: list[Outgoing] = field(default_factory=list)
    news: dict[str, ScoreNews] = field(default_factory=dict)


class Uncommitted:
    """What one worker holds. ``has_outputs`` says that crossings are among it, not only news."""

    def __init__(
        self,
        transactions: Transactions,
        news_topic: NewsTopic | None,
        counts: UncommittedCounts,
        outages: OutageLog,
        *,
        has_outputs: bool,
    ) -> None:
        self._transactions = transactions
        self._news_topic = news_topic
        self._counts = counts
        self._outages = outages
        self.has_outputs = has_outputs
        self._held: dict[int, _OfShard] = {}
        self._not_before_s = 0.0

    # --- what is held ---

    def hold(self, number: int, outputs: Iterable[Outgoing]) -> None:
        """Outputs of a shard, in the order decided, that are written to Redis."""
        self._of_shard(number).outputs.extend(outputs)

    def hold_news(self, number: int, news: Iterable[ScoreNews]) -> None:
        """News of a shard, in the order decided, that are written to Redis; of each lead the latest are published."""
        self._of_shard(number).news.update((one.lead_id, one) for one in news)

    def drop(self, numbers: Collection[int]) -> None:
        """These shards are another worker's now, or reconciled: what is not committed is in the outbox."""
        for number in numbers:
            self._held.pop(number, None)

    def check_room(self) -> None:
        """``Unavailable`` where so much is held that nothing more may be applied: Kafka takes no transactions."""
        if sum(len(of_shard.outputs) for of_shard in self._held.values()) >= MOST_OUTPUTS:
            failure = self._transactions.failure
            raise failure or Unavailable(KAFKA, "transactions", f"{MOST_OUTPUTS} outputs wait for a transaction")

    # --- how it is committed ---

    @property
    def is_settled(self) -> bool:
        """Whether it is known how every transaction ended; else the shards are to be reconciled."""
        return self._transactions.is_ready or not self.has_outputs

    def settle(self, timeout_s: float) -> None:
        """End whatever is open under this worker's name, before the committed offset is asked for."""
        self._transactions.begin(Deadline(timeout_s))

    @property
    def interval_s(self) -> float:
        """How long ago the last commit must be: offsets alone wait a little for something to go with them."""
        return OFFSETS_ALONE_AFTER_S if self.has_outputs and not self._has_any else 0.0

    def commit(self, consumer: Consumer, offsets: list[TopicPartition], timeout_s: float) -> Together:
        """Publish what is held together with the offsets. ``WorkerStopped`` where Kafka refuses it for good."""
        if not self._has_any and not self.has_outputs:
            return Together.NOTHING
        if time() < self._not_before_s:
            return Together.REFUSED
        ended = self._transactions.commit(self._records(), OfMember(consumer, offsets), Deadline(timeout_s))
        self._counts.ended(ended.name.lower())
        if ended is Ended.COMMITTED:
            self._count_committed()
            self._held.clear()
            self._outages.end(time())
            return Together.COMMITTED
        self._failed()
        if ended is Ended.UNKNOWN and self.has_outputs:
            self._held.clear()
            return Together.UNKNOWN
        return Together.REFUSED

    @property
    def _has_any(self) -> bool:
        return any(of_shard.outputs or of_shard.news for of_shard in self._held.values())

    def _of_shard(self, number: int) -> _OfShard:
        return self._held.setdefault(number, _OfShard())

    def _outputs(self) -> Iterator[Outgoing]:
        return (one for of_shard in self._held.values() for one in of_shard.outputs)

    def _news(self) -> list[ScoreNews]:
        return [one for of_shard in self._held.values() for one in of_shard.news.values()]

    def _records(self) -> Iterator[ToTopic]:
        for one in self._outputs():
            yield ToTopic(one.topic, one.record)
        if self._news_topic is not None:
            topic, encoding = self._news_topic
            for news in self._news():
                yield ToTopic(topic, score_record(news, encoding))

    def _count_committed(self) -> None:
        for one in self._outputs():
            self._counts.outputs.produced(one.output)
            self._counts.outputs.acknowledged(one.output)
        self._counts.news.committed(self._news())

    def _failed(self) -> None:
        self._not_before_s = time() + AGAIN_AFTER_S
        for one in self._outputs():
            self._counts.outputs.produced(one.output)
            self._counts.outputs.failed(one.output)
        self._counts.news.failed(len(self._news()))
        if self._transactions.failure is not None:
            self._counts.outage(self._transactions.failure)
            self._outages.note(time(), self._transactions.failure)
