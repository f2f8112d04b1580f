"""Every metric of the worker, in one place; docs/metrics.md is held against it by a test.

A ``Metrics`` has a registry of its own. Whatever label values are known beforehand start at 0. No label ever holds a
lead, an event id, an offset or words off the wire. The pipeline counts in plain numbers and adds them once per batch.
"""

import itertools
from collections.abc import Sequence

from prometheus_client import Counter, ProcessCollector, disable_created_metrics
from prometheus_client.context_managers import Timer
from prometheus_client.exposition import choose_encoder

from leadscore.build_kind import build_kind
from leadscore.errors import DeadLetterReason, KafkaErrorKind, Unavailable
from leadscore.model.definition import ModelDefinition
from leadscore.ops.catalogue import Catalogue
from leadscore.scoring.crossing import Cause, Direction
from leadscore.scoring.outcomes import NO_THRESHOLD

LATENCY_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 21_600, 86_400)
"""A boundary at every latency that may be promised, and on to a day, so that an outage is not all in +Inf."""
STEP_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

STAGES = ("match", "score")
STEPS = {
    "match": ("poll", "match", "log", "commit"),
    "score": ("poll", "read", "fold", "write", "publish", "commit"),
}
PUBLISHED_KINDS = ("frame", "tick", "crossing", "erasure", "forwards", "dead_letter", "score")
RECORD_OUTCOMES = ("matched", "ignored", "dead_lettered", "given_up")
AWARD_OUTCOMES = ("applied", "duplicate", "skipped_replay", "rejected", "forwarded")
FORWARD_KINDS = ("award", "command", "absorb", "erasure")
REBALANCES = ("assigned", "revoked", "lost")
RECONCILIATIONS = ("current", "behind", "empty", "rebuild", "stopped")
STORE_CALLS = ("read", "write", "due", "check")
STORE_ERRORS = (
    "timeout",
    "connection",
    "oom",
    "busy",
    "readonly",
    "loading",
    "clusterdown",
    "masterdown",
    "noreplicas",
    "misconf",
    "noscript",
    "moved",
    "ask",
    "tryagain",
    "no_master",
    "auth",
    "eviction",
    "other",
)
KAFKA_ERRORS = tuple(kind.value for kind in KafkaErrorKind)
LEVELS = ("debug", "info", "warning", "error", "critical")
_CROSSINGS = tuple(
    (direction, cause)
    for direction, causes in (
        (Direction.ENTER, (Cause.EVENT, Cause.COMMAND, Cause.INSTANT, Cause.MERGED)),
        (
            Direction.LEAVE,
            (Cause.EVENT, Cause.COMMAND, Cause.TIME, Cause.DISQUALIFIED, Cause.RECYCLED, Cause.MERGED),
        ),
    )
    for cause in causes
)


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
        )
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
        self.event_to_decision = declare.batch_histogram(
            "leadscore_event_to_decision_seconds",
            "Time from when an event occurred until its award was applied; 0 for one dated ahead. Log records that are "
            "replayed after a loss are left out.",
            LATENCY_BUCKETS_S,
        )
        self.decision_to_publish = declare.histogram(
            "leadscore_decision_to_publish_seconds",
            "Time from the log's time at which a crossing was decided until the crossing was acknowledged.",
            LATENCY_BUCKETS_S,
        )
        self.ticks = declare.counter("leadscore_ticks_total", "Ticks that the award log acknowledged.")
        self.leads_left_by_time = declare.counter(
            "leadscore_leads_left_by_time_total", "Thresholds that leads left by time alone."
        )

    def expect(self, model: ModelDefinition) -> None:
        """Let the crossings and the outcomes of the model start at 0."""
        for (name, threshold), (direction, cause) in itertools.product(model.thresholds.items(), _CROSSINGS):
            self.crossings_published.labels(name, threshold.of, direction.value, cause.value)
        for name, rule in model.rules.items():
            if rule.outcome is not None:
                about = model.thresholds if rule.recycles is None else rule.recycles.thresholds
                for threshold in (*about, NO_THRESHOLD):
                    self.outcomes.labels(threshold, rule.outcome, name, str(model.version))


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


class StateMetrics:
    """What happens to the state in Redis."""

    def __init__(self, declare: Catalogue) -> None:
        self.store_calls = declare.counter(
            "leadscore_store_calls_total", "Calls to Redis, one per round trip.", call=STORE_CALLS
        )
        self.store_errors = declare.counter(
            "leadscore_store_errors_total",
            "Calls to Redis that failed, writes that had to bring their script along, and looks that found it may "
            "evict keys.",
            kind=STORE_ERRORS,
        )
        self.store_evicted_keys = declare.gauge(
            "leadscore_store_evicted_keys",
            "Keys that Redis has evicted since it was started, of all its databases; every worker reports the same.",
        )
        self.reconciliations = declare.counter(
            "leadscore_reconciliations_total",
            "Comparisons of a shard's state with the committed offset and the log.",
            result=RECONCILIATIONS,
        )
        self.state_regressions = declare.counter(
            "leadscore_state_regressions_total", "Shards found behind the committed offset: Redis lost writes."
        )
        self.state_losses = declare.counter(
            "leadscore_state_losses_total",
            "Shards whose state was found to be gone altogether, whether they stopped for it or were rebuilt; once per "
            "loss.",
        )
        self.outbox_entries = declare.gauge(
            "leadscore_outbox_entries",
            "Log records whose crossings are stored in Redis, to be published again after a crash; those that are "
            "committed go with the next write of their shard.",
        )


class KafkaMetrics:
    """What the consumer groups do. ``stage`` is match or score."""

    def __init__(self, declare: Catalogue) -> None:
        self.assigned_partitions = declare.gauge(
            "leadscore_assigned_partitions", "Partitions this process owns.", stage=STAGES
        )
        self.stopped_partitions = declare.gauge(
            "leadscore_stopped_partitions", "Owned partitions that wait for an operator's decision.", stage=STAGES
        )
        self.paused = declare.gauge(
            "leadscore_paused", "1 while the stage waits for a service that does not answer.", stage=STAGES
        )
        self.rebalances = declare.counter(
            "leadscore_rebalances_total",
            "Rebalances that gave this process partitions or took some from it.",
            stage=STAGES,
            kind=REBALANCES,
        )
        self.commits = declare.counter("leadscore_commits_total", "Offset commits tried.", stage=STAGES)
        self.commit_failures = declare.counter(
            "leadscore_commit_failures_total", "Offset commits that failed.", stage=STAGES
        )
        self.errors = declare.counter(
            "leadscore_kafka_errors_total",
            "Errors that the Kafka clients reported, and calls to Kafka that failed.",
            kind=KAFKA_ERRORS,
        )
        self.dependency_up = declare.gauge(
            "leadscore_dependency_up", "1 while the service answers when it is asked.", service=("kafka",)
        )
        self._consumer_lag = declare.gauge(
            "leadscore_consumer_lag_records",
            "Newest offset minus committed offset of a partition this process owns, asked for every 2 seconds.",
            topic=(),
            partition=(),
        )

    def set_lag(self, topic: str, partition: int, records: int) -> None:
        """Publish the lag of an owned partition."""
        self._consumer_lag.labels(topic, str(partition)).set(records)

    def forget_lag(self, topic: str, partition: int) -> None:
        """Stop publishing it: the partition belongs to another process now, or to none."""
        self._consumer_lag.remove(topic, str(partition))


class ProcessMetrics:
    """What the process is and how it fares."""

    def __init__(self, declare: Catalogue, version: str) -> None:
        self.stage_duration = declare.histogram(
            "leadscore_stage_duration_seconds",
            "Time one batch took in a step of a stage.",
            STEP_BUCKETS_S,
            "stage",
            "step",
        )
        for stage, steps in STEPS.items():
            for step in steps:
                self.stage_duration.labels(stage, step)
        self.last_record_processed_timestamp = declare.gauge(
            "leadscore_last_record_processed_timestamp_seconds",
            "When the stage last finished a record, in Unix time; 0 before the first.",
            stage=STAGES,
        )
        self.log_messages = declare.counter("leadscore_log_messages_total", "Lines logged.", level=LEVELS)
        declare.gauge(
            "leadscore_build_info",
            "1; the labels are the program's version, and whether its hot modules are compiled or pure Python.",
            version=(version,),
            build=(build_kind(),),
        ).labels(version, build_kind()).set(1)
        self._config_info = declare.gauge(
            "leadscore_config_info", "1; the label is the fingerprint of the configuration without secrets.", sha256=()
        )
        self._model_info = declare.gauge(
            "leadscore_model_info", "1; the labels are the model this process matches with.", model=(), version=()
        )

    def timed(self, stage: str, step: str) -> Timer:
        """Times the body of a ``with`` as one batch's time in the step."""
        return self.stage_duration.labels(stage, step).time()

    def count_log_line(self, level: str) -> None:
        """The counter hook of ``configure_logging``."""
        self.log_messages.labels(level).inc()

    def set_config(self, sha256: str) -> None:
        """Say which configuration is in effect."""
        self._config_info.clear()
        self._config_info.labels(sha256).set(1)

    def set_model(self, model: str, version: int) -> None:
        """Say which model version is in use."""
        self._model_info.clear()
        self._model_info.labels(model, str(version)).set(1)


class Metrics:
    """All metrics of one worker. ``topics`` are the source and command topics it reads."""

    def __init__(self, version: str, topics: Sequence[str]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they would nearly double the series
        declare = Catalogue()
        self.match = MatchMetrics(declare, topics)
        self.publish = PublishMetrics(declare)
        self.score = ScoreMetrics(declare)
        self.person = PersonMetrics(declare)
        self.state = StateMetrics(declare)
        self.kafka = KafkaMetrics(declare)
        self.process = ProcessMetrics(declare, version)
        self.registry = declare.registry
        self.described = tuple(declare.described)
        ProcessCollector(registry=self.registry)

    def count_outage(self, outage: Unavailable) -> None:
        """A call to Redis or Kafka has failed; those to the schema registry are counted where they are made."""
        if outage.service == "redis":
            self.state.store_errors.labels(outage.kind).inc()
        elif outage.service == "kafka":
            self.kafka.errors.labels(outage.kind if outage.kind in KAFKA_ERRORS else "other").inc()

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The exposition and its content type, for the formats that the scraper accepts."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
