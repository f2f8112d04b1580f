"""The metrics of the two stages: what they read, decide and publish, and how long that takes."""

import itertools
from collections.abc import Mapping, Sequence

from prometheus_client import Counter

from leadscore.errors import DeadLetterReason
from leadscore.model.definition import MAIN_SCORE, ModelDefinition
from leadscore.ops.catalogue import Catalogue
from leadscore.ops.metric_labels import (
    AWARD_OUTCOMES,
    CROSSINGS,
    FORWARD_KINDS,
    LATENCY_BUCKETS_S,
    PUBLISHED_KINDS,
    RECORD_OUTCOMES,
    SCORE_BUCKETS,
    VersionLabels,
)
from leadscore.scoring.crossing import Crossing
from leadscore.scoring.outcomes import NO_THRESHOLD, CountedOutcome


class AlignmentMetrics:
    """What merging the source partitions by time holds back."""

    def __init__(self, declare: Catalogue) -> None:
        self.held_bytes = declare.gauge(
            "leadscore_alignment_held_bytes",
            "Memory of the source records that wait for earlier ones of others; LEADSCORE_ALIGNMENT_BYTES bounds it.",
        )
        self.pauses = declare.counter(
            "leadscore_alignment_pauses_total",
            "Times that a source partition was paused because it was far ahead of others; what Kafka's client had "
            "fetched of it and not delivered is fetched again.",
        )


def _fields_left_out(declare: Catalogue) -> Counter:
    return declare.counter(
        "leadscore_fields_left_out_total",
        "Fields that events lost because they could not be understood; the events count.",
        kind=["attributes", "boolean", "campaign", "data", "json", "lift", "number", "text"],
    )


PARTITION_COUNTERS = {
    "leadscore_partitions_from_beginning_total": "Source partitions with records that were begun at the oldest one, "
    "because the group had no offset.",
    "leadscore_source_gaps_total": "Source partitions that stopped because records at their committed offset, or "
    "before it, are gone.",
}


class MatchMetrics:
    """What the match stage counts."""

    def __init__(self, declare: Catalogue, topics: Sequence[str]) -> None:
        self.records_consumed = declare.counter(
            "leadscore_records_consumed_total", "Records read from the source and command topics.", topic=topics
        )
        self.records_processed = declare.counter(
            "leadscore_records_processed_total",
            "Source records by what became of them; with those in hand and those read again they add up to the records "
            "consumed.",
            topic=topics,
            outcome=RECORD_OUTCOMES,
        )
        self.records_in_hand = declare.gauge(
            "leadscore_records_in_hand", "Source records read and not processed yet.", topic=topics
        )
        self.alignment = AlignmentMetrics(declare)
        self.records_reread = declare.counter(
            "leadscore_records_reread_total",
            "Source records that Kafka's client delivered although they were read already or lie below the committed "
            "offset; they are dropped.",
            topic=topics,
        )
        self.partitions_from_beginning, self.source_gaps = (
            declare.counter(name, text, topic=topics) for name, text in PARTITION_COUNTERS.items()
        )
        self.dead_letters = declare.counter(
            "leadscore_dead_letters_total",
            "Dead letters that the dead-letter topic acknowledged.",
            reason=[reason.value for reason in DeadLetterReason],
        )
        self.fields_left_out = _fields_left_out(declare)
        self.frames_published = declare.counter(
            "leadscore_frames_published_total", "Frames that the award log acknowledged."
        )
        self.schema_registry_requests = declare.counter(
            "leadscore_schema_registry_requests_total", "Requests to the schema registry."
        )
        self.schema_registry_errors = declare.counter(
            "leadscore_schema_registry_errors_total", "Requests to the schema registry that got no usable answer."
        )


class PublishMetrics:
    """Records on their way to Kafka. ``kind`` is what they are."""

    def __init__(self, declare: Catalogue) -> None:
        self.attempts = declare.counter(
            "leadscore_publish_attempts_total", "Records handed to the Kafka client.", kind=PUBLISHED_KINDS
        )
        self.failures = declare.counter(
            "leadscore_publish_failures_total",
            "Records that the Kafka client or Kafka refused, and that were not stored.",
            kind=PUBLISHED_KINDS,
        )


class ScoreMetrics:
    """What the score stage counts."""

    def __init__(self, declare: Catalogue) -> None:
        self.awards = declare.counter(
            "leadscore_awards_total", "Awards read from the log, by what became of them.", outcome=AWARD_OUTCOMES
        )
        self.crossings_published = declare.counter(
            "leadscore_crossings_published_total",
            "Crossings that the crossing topic acknowledged, repeats among them.",
            threshold=(),
            score=(),
            direction=(),
            cause=(),
            version=(),
        )
        self._versions = VersionLabels()
        self.outcomes = declare.counter(
            "leadscore_outcomes_total",
            "What sales said of enters, once per enter and outcome; without a threshold, of leads that had entered "
            "none. Log records that are replayed after a loss are left out.",
            threshold=(),
            outcome=(),
            rule=(),
            version=(),
        )
        self.scores_published = declare.counter(
            "leadscore_scores_published_total",
            "Records of the scores topic that are committed, repeats among them.",
            record=("latest", "tombstone"),
        )
        self.ticks = declare.counter("leadscore_ticks_total", "Ticks that the award log acknowledged.")
        self.leads_left_by_time = declare.counter(
            "leadscore_leads_left_by_time_total", "Thresholds that leads left by time alone."
        )

    def expect(self, model: ModelDefinition) -> None:
        """Let the crossings and the outcomes of the model start at 0."""
        for (name, threshold), (direction, cause) in itertools.product(model.thresholds.items(), CROSSINGS):
            version = self._versions.of(model.version)
            self.crossings_published.labels(name, threshold.of, direction.value, cause.value, version)
        for name, rule in model.rules.items():
            if rule.outcome is not None:
                about = model.thresholds if rule.recycles is None else rule.recycles.thresholds
                for threshold in (*about, NO_THRESHOLD):
                    self.outcomes.labels(threshold, rule.outcome, name, self._versions.of(model.version))

    def count_published(self, crossing: Crossing) -> None:
        """The crossing topic has it."""
        of, version = crossing.score_name or MAIN_SCORE, self._versions.of(crossing.model_version)
        direction, cause = crossing.direction.value, crossing.cause.value
        self.crossings_published.labels(crossing.threshold, of, direction, cause, version).inc()

    def count_said(self, said: CountedOutcome) -> None:
        """Sales said something of a lead."""
        version = self._versions.of(said.model_version)
        self.outcomes.labels(said.threshold, said.name, said.rule, version).inc()


class LatencyMetrics:
    """How long things take. All have the same boundaries, so that they can be held against each other."""

    def __init__(self, declare: Catalogue) -> None:
        self.event_to_decision = declare.batch_histogram(
            "leadscore_event_to_decision_seconds",
            "Time from when an event occurred until its award was applied; 0 for one dated ahead. Log records that are "
            "replayed after a loss are left out.",
            LATENCY_BUCKETS_S,
        )
        self.record_to_decision = declare.batch_histogram(
            "leadscore_record_to_decision_seconds",
            "Time from the Kafka timestamp of a source record until its award was applied. Log records that are "
            "replayed after a loss are left out.",
            LATENCY_BUCKETS_S,
        )
        self.decision_to_publish = declare.histogram(
            "leadscore_decision_to_publish_seconds",
            "Time from the log's time at which a crossing was decided until the crossing was acknowledged.",
            LATENCY_BUCKETS_S,
        )
        self.record_to_crossing = declare.histogram(
            "leadscore_record_to_crossing_seconds",
            "Time from the Kafka timestamp of the source record that caused a crossing until the crossing was "
            "acknowledged; leaves by time have no such record.",
            LATENCY_BUCKETS_S,
        )
        self.leave_lateness = declare.histogram(
            "leadscore_leave_lateness_seconds",
            "Time from the instant at which a lead was due to leave a threshold by time alone until that leave was "
            "acknowledged; stale ones, which a backfill brings, are left out.",
            LATENCY_BUCKETS_S,
        )
        self.enter_to_outcome = declare.histogram(
            "leadscore_enter_to_outcome_seconds",
            "Time from when a lead entered a threshold until sales said the outcome first. Log records that are "
            "replayed after a loss are left out.",
            LATENCY_BUCKETS_S,
            "threshold",
            "outcome",
        )

    def expect(self, model: ModelDefinition) -> None:
        """Let the outcomes of the model start at 0."""
        for rule in model.rules.values():
            if rule.outcome is not None:
                for threshold in model.thresholds if rule.recycles is None else rule.recycles.thresholds:
                    self.enter_to_outcome.labels(threshold, rule.outcome)

    def published(self, crossing: Crossing, now_s: float) -> None:
        """A crossing was acknowledged just now."""
        self.decision_to_publish.observe(max(0.0, now_s - crossing.decided_at_ms / 1000))
        if crossing.trigger is None:
            if not crossing.stale:
                self.leave_lateness.observe(max(0.0, now_s - crossing.occurred_at_ms / 1000))
        elif crossing.trigger.received_at_ms is not None:
            self.record_to_crossing.observe(max(0.0, now_s - crossing.trigger.received_at_ms / 1000))

    def said(self, outcome: CountedOutcome) -> None:
        """Sales said something of a lead for the first time since it entered."""
        if outcome.after_ms is not None:
            self.enter_to_outcome.labels(outcome.threshold, outcome.name).observe(outcome.after_ms / 1000)


class LeadMetrics:
    """How many leads there are, and their scores; told by the worker that owns log partition 0, for all."""

    def __init__(self, declare: Catalogue) -> None:
        self._leads = declare.gauge(
            "leadscore_leads", "Leads by the band of their main score, as of the last complete count.", band=()
        )
        self._in_threshold = declare.gauge(
            "leadscore_leads_in_threshold",
            "Leads that are in a threshold, as of the last complete count.",
            threshold=(),
        )
        self._counted_timestamp = declare.gauge(
            "leadscore_leads_counted_timestamp_seconds",
            "When the last complete count of leads ended, in Unix time; 0 before the first, and in workers that do not "
            "count.",
        )
        self._scores = declare.histogram(
            "leadscore_sampled_score_points",
            "Scores of the leads that are counted, one after the other, by the version of the model in force.",
            SCORE_BUCKETS,
            "score",
            "version",
        )
        self._versions = VersionLabels()
        self._has_told = False

    def observe(self, score: str, version: int, points: float) -> None:
        """One score of a lead that is counted."""
        self._scores.labels(score, self._versions.of(version)).observe(points)

    def tell(self, bands: Mapping[str, int], thresholds: Mapping[str, int], now_s: float) -> None:
        """All leads are counted."""
        for gauge, counts in ((self._leads, bands), (self._in_threshold, thresholds)):
            gauge.clear()
            for name, number in counts.items():
                gauge.labels(name).set(number)
        self._counted_timestamp.set(now_s)
        self._has_told = True

    def forget(self) -> None:
        """Another worker counts: its series must not stand beside ours."""
        if self._has_told:
            self.tell({}, {}, 0.0)
            self._has_told = False


class PersonMetrics:
    """Leads that are one person: merges, and what goes on from one id to another."""

    def __init__(self, declare: Catalogue) -> None:
        self.merges = declare.counter("leadscore_merges_total", "Leads that became aliases of another lead.")
        self.circles = declare.counter(
            "leadscore_merge_circles_total", "Aliases that became leads again, because merges went round in a circle."
        )
        self.forwards_published = declare.counter(
            "leadscore_forwards_published_total",
            "Awards, commands and whole leads that went on to another id of the person, as the award log acknowledged "
            "them, repeats among them.",
            kind=FORWARD_KINDS,
        )
