"""Every metric of the worker, in one place; docs/metrics.md is held against it by a test.

A ``Metrics`` has a registry of its own. Whatever label values are known beforehand start at 0. No label ever holds a
lead, an event id, an offset or words off the wire. The pipeline counts in plain numbers and adds them once per batch.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import ProcessCollector, disable_created_metrics
from prometheus_client.context_managers import Timer
from prometheus_client.exposition import choose_encoder

from leadscore.build_kind import build_kind
from leadscore.errors import Unavailable
from leadscore.model.definition import ModelDefinition
from leadscore.ops.catalogue import Catalogue
from leadscore.ops.metric_labels import (
    KAFKA_ERRORS,
    LEVELS,
    REBALANCES,
    RECONCILIATIONS,
    STAGES,
    STEP_BUCKETS_S,
    STEPS,
    STORE_BUCKETS_S,
    STORE_CALLS,
    STORE_ERRORS,
    TRANSACTION_RESULTS,
)
from leadscore.ops.stage_metrics import (
    LatencyMetrics,
    LeadMetrics,
    MatchMetrics,
    PersonMetrics,
    PublishMetrics,
    ScoreMetrics,
)


class StoreCallMetrics:
    """Calls to Redis."""

    def __init__(self, declare: Catalogue) -> None:
        self._number = declare.counter(
            "leadscore_store_calls_total", "Calls to Redis, one per round trip.", call=STORE_CALLS
        )
        self._duration = declare.histogram(
            "leadscore_store_call_duration_seconds",
            "Time from the request to the last reply of a call to Redis, also of one that failed.",
            STORE_BUCKETS_S,
            "call",
        )
        for call in STORE_CALLS:
            self._duration.labels(call)
        self.script_calls = declare.sampled_counter(
            "leadscore_store_script_calls_total",
            "Scripts that Redis has run since it was started, of all its clients, asked for every half minute; every "
            "worker reports the same.",
        )
        self.script_seconds = declare.sampled_counter(
            "leadscore_store_script_seconds_total",
            "Time that Redis has spent in these scripts; every worker reports the same.",
        )

    @contextmanager
    def under_way(self, call: str) -> Iterator[None]:
        """Counts and times the call to Redis that is made in the body."""
        self._number.labels(call).inc()
        with self._duration.labels(call).time():
            yield


class StateMetrics:
    """What happens to the state in Redis."""

    def __init__(self, declare: Catalogue) -> None:
        self.calls = StoreCallMetrics(declare)
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
        # Nothing is known of a service before it was asked: a worker that starts must not tell of an outage.
        self.dependency_up = declare.gauge(
            "leadscore_dependency_up",
            "1 while the service answers when it is asked; not there before the first question.",
            service=(),
        )
        self.lag = LagMetrics(declare)


class LagMetrics:
    """How far the consumer groups are behind, in the partitions that this process owns."""

    def __init__(self, declare: Catalogue) -> None:
        self._records = declare.gauge(
            "leadscore_consumer_lag_records",
            "Newest offset minus committed offset of a partition this process owns, asked for every 2 seconds.",
            topic=(),
            partition=(),
        )
        self._ages_s = declare.gauge(
            "leadscore_consumer_lag_seconds",
            "How long ago Kafka got the oldest record of a partition this process owns that is not committed; 0 where "
            "all are. Worked out every 2 seconds.",
            topic=(),
            partition=(),
        )
        self.oldest_unprocessed = declare.gauge(
            "leadscore_oldest_unprocessed_record_timestamp_seconds",
            "When Kafka got the oldest record of the stage's partitions that is not committed, in Unix time; 0 where "
            "all are. Partitions that are stopped are left out.",
            stage=STAGES,
        )

    def set(self, topic: str, partition: int, records: int, age_s: float) -> None:
        """Publish the lag of an owned partition."""
        self._records.labels(topic, str(partition)).set(records)
        self._ages_s.labels(topic, str(partition)).set(age_s)

    def forget(self, topic: str, partition: int) -> None:
        """Stop publishing it: the partition belongs to another process now, or to none."""
        for gauge in (self._records, self._ages_s):
            gauge.remove(topic, str(partition))


class TransactionMetrics:
    """Kafka transactions, where there are any."""

    def __init__(self, declare: Catalogue) -> None:
        self._ended = declare.counter(
            "leadscore_transactions_total", "Kafka transactions by how they ended.", result=TRANSACTION_RESULTS
        )
        self.reinitialisations = declare.counter(
            "leadscore_producer_reinitialisations_total",
            "Producers of transactions that took the place of one that was thrown away.",
        )

    def count_ended(self, result: str) -> None:
        """A transaction has ended, or it is not known how."""
        self._ended.labels(result).inc()


class ProcessMetrics:
    """What the process is and how it fares."""

    def __init__(self, declare: Catalogue, version: str) -> None:
        duration = declare.histogram(
            "leadscore_stage_duration_seconds",
            "Time one batch took in a step of a stage.",
            STEP_BUCKETS_S,
            "stage",
            "step",
        )
        self._steps = {(stage, step): duration.labels(stage, step) for stage, steps in STEPS.items() for step in steps}
        self.last_record_processed_timestamp = declare.gauge(
            "leadscore_last_record_processed_timestamp_seconds",
            "When the stage last finished a record, in Unix time; 0 before the first.",
            stage=STAGES,
        )
        self.log_messages = declare.counter("leadscore_log_messages_total", "Lines logged.", level=LEVELS)
        self.suppressed_client_lines = declare.counter(
            "leadscore_log_messages_suppressed_total", "Lines of librdkafka that were held back, because they repeat."
        )
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
        return self._steps[stage, step].time()

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
        self.latency = LatencyMetrics(declare)
        self.leads = LeadMetrics(declare)
        self.person = PersonMetrics(declare)
        self.state = StateMetrics(declare)
        self.kafka = KafkaMetrics(declare)
        self.transactions = TransactionMetrics(declare)
        self.process = ProcessMetrics(declare, version)
        self.registry = declare.registry
        self.described = tuple(declare.described)
        ProcessCollector(registry=self.registry)

    def expect(self, model: ModelDefinition) -> None:
        """Let what the model may bring about start at 0."""
        self.score.expect(model)
        self.latency.expect(model)

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
