"""What the match stage says of its partitions: those that begin, those that stopped, and what it has of them."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping

from leadscore.ops.stage_metrics import MatchMetrics
from leadscore.pipeline.kafka.records import Partition

_log = logging.getLogger(__name__)


def tell_without_offset(records: Mapping[Partition, int], group: str, metrics: MatchMetrics) -> None:
    """These begin at their oldest record: those of a new group, or of one whose offsets were deleted."""
    for topic, _ in records:
        metrics.partitions_from_beginning.labels(topic).inc()
    if records:
        _log.info(
            "reading_from_the_beginning",
            extra={
                "group": group,
                "partitions": ", ".join(sorted(f"{topic}/{number}" for topic, number in records)),
                "records": sum(records.values()),
                "detail": "the group has no committed offset for them: it is new, or its offsets were deleted",
            },
        )


def stopped_words(stopped: Mapping[Partition, str]) -> str:
    """Why some partitions wait for an operator; empty if none does."""
    if not stopped:
        return ""
    (topic, number), why = min(stopped.items())
    return why if len(stopped) == 1 else f"{len(stopped)} partitions are stopped; {topic}/{number}: {why}"


def tell_in_hand(in_hand: Iterable[Mapping[Partition, int]], topics: Iterable[str], metrics: MatchMetrics) -> None:
    """How many records of each topic were read and are not logged."""
    counts: Counter[str] = Counter()
    for records in in_hand:
        for (topic, _), number in records.items():
            counts[topic] += number
    for topic in topics:
        metrics.records_in_hand.labels(topic).set(counts[topic])
