"""What the demo reads beside the running worker: crossings from their topic, leads from the store, counts from metrics.

A subscriber and an operator could read all of it the same way; nothing here looks inside the worker.
"""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple, cast

import msgspec
from confluent_kafka import OFFSET_BEGINNING, TopicPartition
from fastavro import schemaless_reader
from prometheus_client import Counter

from leadscore.demo.view import HotLead
from leadscore.events.local_schemas import parsed_schema, single_object_header
from leadscore.log.records import partition_of
from leadscore.model.compiled import CompiledModel
from leadscore.ops.config import Config
from leadscore.ops.logs import RepeatLimit, kafka_client_logger
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.kafka.clients import make_consumer
from leadscore.pipeline.kafka.questions import partition_count
from leadscore.scoring.conditions import Outlook
from leadscore.scoring.crossing import Crossing
from leadscore.scoring.flags import latest_ms
from leadscore.scoring.ranking import ranked
from leadscore.scoring.score import ScoresAt
from leadscore.scoring.standing import standings_in
from leadscore.scoring.state import LeadState, decode_state
from leadscore.store.shard import Store

MOST_CROSSINGS_PER_READ = 1_000


class CrossingReader:
    """A subscriber of the crossing topic, from its beginning; repeats are dropped by id, as subscribers should."""

    def __init__(self, config: Config) -> None:
        logger = kafka_client_logger(RepeatLimit(10.0))
        self._consumer = make_consumer(config.kafka, f"{config.group}-demo", "range", logger)
        partitions = range(partition_count(self._consumer, config.crossing_topic))
        self._consumer.assign(
            [TopicPartition(config.crossing_topic, number, OFFSET_BEGINNING) for number in partitions]
        )
        self._seen: set[str] = set()

    def read(self, wait_s: float) -> list[Crossing]:
        """Crossings that are new, in the order read; waits up to ``wait_s`` for the first."""
        messages = self._consumer.consume(MOST_CROSSINGS_PER_READ, wait_s)
        values = (message.value() for message in messages if message.error() is None)
        read = [decode_crossing(value) for value in values if value is not None]
        new = [crossing for crossing in read if crossing.id not in self._seen]
        self._seen |= {crossing.id for crossing in new}
        return new

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()


def decode_crossing(value: bytes) -> Crossing:
    """A crossing from its Avro single-object encoding."""
    source = io.BytesIO(value.removeprefix(single_object_header("crossing")))
    record = cast("dict[str, object]", schemaless_reader(source, parsed_schema("crossing"), None))
    for name in ("occurred_at", "decided_at", "projected_exit_at"):
        instant = record.pop(name)
        record[f"{name}_ms"] = None if instant is None else _milliseconds(instant)
    return msgspec.convert(record, Crossing)


class Counts(NamedTuple):
    """What the worker's metrics say became of the records so far."""

    matched: int
    applied: int
    duplicates: int
    rejected: int
    ignored: int
    dead_letters: int
    crossings: int

    @property
    def taken(self) -> int:
        """Source records that the match stage has worked."""
        return self.matched + self.ignored + self.dead_letters

    @property
    def accounted(self) -> int:
        """Source records of which it is counted what became of them."""
        return self.applied + self.duplicates + self.rejected + self.ignored + self.dead_letters


def counts(metrics: Metrics) -> Counts:
    """The counts now."""
    records = _totals(metrics.match.records_processed, "outcome")
    awards = _totals(metrics.score.awards, "outcome")
    return Counts(
        matched=records["matched"],
        applied=awards["applied"],
        duplicates=awards["duplicate"],
        rejected=awards["rejected"],
        ignored=records["ignored"],
        dead_letters=records["dead_lettered"],
        crossings=sum(_totals(metrics.score.crossings_published, "direction").values()),
    )


def became_known(metrics: Metrics) -> int:
    """How many ids were merged into another."""
    return sum(_totals(metrics.person.merges).values())


def first_threshold(model: CompiledModel) -> str | None:
    """The threshold of the main score that a lead enters first; ``None`` where the model has none."""
    return next((threshold.name for threshold in model.thresholds if threshold.score.is_main), None)


def said_by_sales(metrics: Metrics, threshold: str | None) -> dict[str, int]:
    """How often sales said what of the threshold's enters."""
    return {} if threshold is None else _totals(metrics.score.outcomes, "outcome", threshold=threshold)


def hottest(store: Store, model: CompiledModel, shards: int, at_ms: int) -> list[HotLead]:
    """The leads that are in a threshold, scored at the instant, best first."""
    expected = {shard: _leads_in_thresholds(store, shard) for shard in range(shards)}
    scored = [
        (ScoresAt(Outlook(state, model), max(at_ms, latest_ms(state))), lead_id)
        for lead_id, state in _states(store, expected)
    ]
    best_first = ranked(scored, lambda lead: lead[0].of(model.main).unclamped, lambda lead: lead[1])  # not at a ceiling
    return [_hot_lead(lead_id, scores) for scores, lead_id in best_first]


def leads_with_state(store: Store, lead_ids: Iterable[str], shards: int) -> int:
    """Of how many of these leads the store has a state; ids that stand for another lead are none."""
    by_shard = sorted((partition_of(lead_id, shards), lead_id) for lead_id in set(lead_ids))
    expected = {
        shard: [lead_id for _, lead_id in leads] for shard, leads in groupby(by_shard, key=lambda lead: lead[0])
    }
    return sum(1 for _, state in _states(store, expected) if state.alias is None)


def is_anything_due(store: Store, shards: int, until_ms: int) -> bool:
    """Whether time has something to do that the worker has not done yet."""
    return any(look.lead_ids for look in store.look_at_due(range(shards), until_ms, 1).values())


def _leads_in_thresholds(store: Store, shard: int) -> list[str]:
    lead_ids: dict[str, None] = {}
    cursor: int | None = 0
    while cursor is not None:
        page = store.due_all(shard, cursor)
        lead_ids |= dict.fromkeys(page.lead_ids)
        cursor = page.next_cursor
    return list(lead_ids)


def _states(store: Store, expected: Mapping[int, Sequence[str]]) -> Iterator[tuple[str, LeadState]]:
    for shard, stored in store.read_leads(expected).items():
        for lead_id, state in zip(expected[shard], stored, strict=True):
            if state is not None:
                yield lead_id, decode_state(state)


def _hot_lead(lead_id: str, scores: ScoresAt) -> HotLead:
    state, model = scores.outlook.state, scores.outlook.model
    thresholds = tuple(standing.threshold.name for standing in standings_in(state, model.thresholds))
    main, *others = [scores.of(score).value for score in model.scores]
    others_by_name = {score.name: value for score, value in zip(model.scores[1:], others, strict=True)}
    return HotLead(lead_id, main, model.band_of(main), thresholds, others_by_name)


def _totals(counter: Counter, label: str = "", **only: str) -> dict[str, int]:
    """A counter's total by one of its labels, of the series with the values given."""
    totals: dict[str, int] = {}
    for sample in (sample for metric in counter.collect() for sample in metric.samples):
        if sample.name.endswith("_total") and only.items() <= sample.labels.items():
            value = sample.labels.get(label, "")
            totals[value] = totals.get(value, 0) + int(sample.value)
    return totals


def _milliseconds(instant: object) -> int:
    return round(cast("datetime", instant).timestamp() * 1_000)
