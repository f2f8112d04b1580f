"""Asking Redis and Kafka where shards go on; ``reconcile`` decides, and ``clearing`` empties those that begin anew."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from confluent_kafka import TopicPartition
from msgspec.structs import replace

from leadscore.errors import PartitionStopped, without_traceback
from leadscore.ops.choices import OnStateLoss
from leadscore.ops.config import Config
from leadscore.ops.metrics import StateMetrics
from leadscore.pipeline.kafka.questions import Committed
from leadscore.pipeline.kafka.records import Bounds, Partition
from leadscore.pipeline.score.clearing import stored_at_start
from leadscore.pipeline.score.reconcile import Facts, ShardStart, decide
from leadscore.pipeline.score.replaced import LeaderEpochs, replaced_records
from leadscore.store.fence import Fence
from leadscore.store.fence import decode as decode_fence
from leadscore.store.shard import Store, StoredShard


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What became of the shards asked for.

    ``starts`` go on, ``stops`` wait for an operator, ``taken`` met the fence of another worker while they were cleared.
    """

    starts: dict[int, ShardStart]
    stops: dict[int, PartitionStopped]
    taken: list[int]


@dataclass(frozen=True, slots=True)
class _Answers:
    """What Redis and Kafka say of the shards."""

    topic: str
    topic_id: str
    committed: Mapping[Partition, Committed]
    stored: Mapping[int, StoredShard]
    bounds: Mapping[Partition, Bounds]
    replaced: Mapping[Partition, int]

    def facts(self, number: int) -> Facts:
        """All of it about one shard; ``PartitionStopped`` where its fence cannot be read."""
        stored, partition = self.stored[number].fence, (self.topic, number)
        fence = None if stored is None else decode_fence(stored)
        return Facts(
            number,
            fence,
            self.committed[partition].offset,
            *self.bounds[partition],
            self.topic_id,
            self.replaced.get(partition),
        )


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Compares what Redis, the committed offset and the log say of a shard."""

    config: Config
    store: Store
    committed: Callable[[list[TopicPartition]], dict[Partition, Committed]]
    log_topic_id: Callable[[], str]
    log_bounds: Callable[[Iterable[Partition]], dict[Partition, Bounds]]
    metrics: StateMetrics
    beat: Callable[[], None]
    leader_epochs: LeaderEpochs

    def reconcile(self, numbers: list[int]) -> Reconciled:
        """Where each shard goes on. After ``Unavailable`` ask again: a clearing that broke off begins anew."""
        stops = {number: self._is_no_shard(number) for number in numbers if number >= self.config.log_partitions}
        shards = [number for number in numbers if number not in stops]
        answers = self._ask(shards)
        rebuild = self.config.on_state_loss is OnStateLoss.REBUILD
        starts: dict[int, ShardStart] = {}
        for number in shards:
            try:
                facts = answers.facts(number)
                starts[number] = ShardStart(facts, decide(facts, rebuild=rebuild), answers.stored[number])
            except PartitionStopped as stopped:
                stops[number] = without_traceback(stopped)
        begins = stored_at_start(self.store, starts, self.beat)
        goes_on = {number: replace(starts[number], stored=stored) for number, stored in begins.items()}
        return Reconciled(goes_on, stops, [number for number in starts if number not in begins])

    def _is_no_shard(self, number: int) -> PartitionStopped:
        return PartitionStopped(
            f"log partition {number}: topic {self.config.log_topic} was given more partitions than the "
            f"{self.config.log_partitions} of LEADSCORE_LOG_PARTITIONS, which decide where each lead lives. Nothing is "
            "written to it and nothing read; the others go on. A worker does not start beside it: make a log with the "
            "right number, under a name of its own"
        )

    def _ask(self, numbers: list[int]) -> _Answers:
        topic = self.config.log_topic
        committed = self.committed([TopicPartition(topic, number) for number in numbers])
        topic_id = self.log_topic_id()
        with self.metrics.calls.under_way("read"):
            stored = self.store.read_shards(numbers)
        bounds = self.log_bounds([(topic, number) for number in numbers])
        replaced = replaced_records(_readable_fences(topic, stored), committed, bounds, self.leader_epochs)
        return _Answers(topic, topic_id, committed, stored, bounds, replaced)


def _readable_fences(topic: str, stored: Mapping[int, StoredShard]) -> dict[Partition, Fence | None]:
    """``None`` of a shard without one. Those that cannot be read stop their shards."""
    fences: dict[Partition, Fence | None] = {}
    for number, shard in stored.items():
        with suppress(PartitionStopped):
            fences[topic, number] = None if shard.fence is None else decode_fence(shard.fence)
    return fences
