"""A real score stage on a fake log, a fake store and a fake producer."""

from collections.abc import Callable, Mapping, Sequence

from leadscore.log.records import LogRecord, encode
from leadscore.model.compiled import CompiledModel
from leadscore.ops.choices import Delivery
from leadscore.ops.config import Config, load_config
from leadscore.ops.metrics import Metrics
from leadscore.ops.services import OutageLog
from leadscore.pipeline.kafka.commit_policy import CommitPolicy
from leadscore.pipeline.kafka.commits import Commits
from leadscore.pipeline.kafka.deadline import DrainBudget
from leadscore.pipeline.kafka.deliveries import Deliveries
from leadscore.pipeline.kafka.outbound import Outbound
from leadscore.pipeline.kafka.refusals import Refusals
from leadscore.pipeline.kafka.transactions import Transactions
from leadscore.pipeline.pace import AT_ONCE
from leadscore.pipeline.score.counts import CrossingCounts, ScoreNewsCounts
from leadscore.pipeline.score.outgoing import OutputTopics
from leadscore.pipeline.score.publisher import AcknowledgedPublisher, Outputs, TransactionalPublisher
from leadscore.pipeline.score.publishing import json_encoding
from leadscore.pipeline.score.score_records import json_score_encoding
from leadscore.pipeline.score.stage import ScoreParts, ScoreStage
from leadscore.pipeline.score.uncommitted import NewsTopic, Uncommitted, UncommittedCounts
from leadscore.pipeline.steps import NoSteps
from tests.unit.fake_kafka import FakeConsumer, FakeProducer, records_of
from tests.unit.fake_store import FakeStore
from tests.unit.fake_transactions import FakeTransactions

LOG_TOPIC, LOG_ID = "leadscore.awards", "log-1"


class StageOfScore:
    """``log`` has the records of each partition; time passes only with each ``turn``."""

    def __init__(
        self,
        store: FakeStore,
        log: Mapping[int, Sequence[LogRecord]],
        model: CompiledModel,
        time_of: Callable[[int], int],
        **settings: str,
    ) -> None:
        values = {number: [encode(record) for record in records] for number, records in log.items()}
        self.consumer = FakeConsumer(
            {
                (LOG_TOPIC, number): records_of((LOG_TOPIC, number), partition_values, time_of)
                for number, partition_values in values.items()
            }
        )
        self.producer, self.metrics, self.model = FakeProducer(), Metrics("1.0", []), model
        self.store = store
        self.transactions = FakeTransactions(self.consumer)
        self.beats = 0
        environ = {"LEADSCORE_LOG_TOPIC": LOG_TOPIC, "LEADSCORE_LOG_PARTITIONS": str(len(log)), **settings}
        config = load_config(environ)
        self.budget = DrainBudget(config.drain_timeout_ms / 1000)
        parts = ScoreParts(
            config=config,
            store=store,
            outbound=Outbound(self.producer.as_producer),
            outputs=self._outputs(config),
            model_of_version=lambda _: self.model,
            model_at_hand=lambda _: self.model,
            log_topic_id=lambda: LOG_ID,
            log_bounds=self.consumer.bounds,
            metrics=self.metrics,
            budget=self.budget,
            steps=NoSteps(),
            beat=self._count_beat,
            refusals=Refusals("group", lambda _: {}, self.metrics.kafka),
        )
        self.stage = ScoreStage(parts, self.consumer.as_consumer, Commits(CommitPolicy(0.0)))
        self.now_s = 0.0

    def _outputs(self, config: Config) -> Outputs:
        topics = OutputTopics(json_encoding(), config.crossing_topic, config.log_topic, config.log_partitions)
        uncommitted = self._uncommitted(config)
        if uncommitted is not None and uncommitted.has_outputs:
            return Outputs(TransactionalPublisher(topics, uncommitted), uncommitted)
        outbound = Outbound(self.producer.as_producer)
        deliveries = Deliveries(outbound, config.crossing_topic, CrossingCounts(self.metrics))
        return Outputs(AcknowledgedPublisher(topics, deliveries), uncommitted)

    def _uncommitted(self, config: Config) -> Uncommitted | None:
        has_outputs = config.delivery is Delivery.TRANSACTIONAL
        if config.scores_topic is None and not has_outputs:
            return None
        transactions = Transactions(
            "leadscore-scores-0",
            self.transactions.new_producer,
            NoSteps(),
            self.metrics.transactions.reinitialisations.inc,
        )
        news_topic = None if config.scores_topic is None else NewsTopic(config.scores_topic, json_score_encoding())
        counts = UncommittedCounts(
            CrossingCounts(self.metrics),
            ScoreNewsCounts(self.metrics),
            self.metrics.count_outage,
            self.metrics.transactions.count_ended,
        )
        outages = OutageLog("scores_not_published", "scores_published_again", {})
        return Uncommitted(transactions, news_topic, counts, outages, has_outputs=has_outputs)

    def turn(self, passes_s: float = 0.5) -> None:
        """One turn of the loop, that much later."""
        self.now_s += passes_s
        self.stage.step(self.now_s, AT_ONCE, None)

    def _count_beat(self) -> None:
        self.beats += 1

    def turns(self, number: int) -> None:
        """This many turns of the loop."""
        for _ in range(number):
            self.turn()

    @property
    def is_paused(self) -> bool:
        return self.stage.is_paused

    @property
    def crossing_ids(self) -> list[str]:
        """Of everything handed to the producer but ticks."""
        return [dict(sent.options["headers"])["ce_id"] for sent in self.producer.sent if sent.topic != LOG_TOPIC]

    def committed_offset(self, number: int) -> int | None:
        return self.consumer.committed_offsets.get((LOG_TOPIC, number))

    def failures(self, kind: str) -> float:
        return self.metrics.registry.get_sample_value("leadscore_store_errors_total", {"kind": kind}) or 0.0
