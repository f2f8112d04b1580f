"""The way from a simulated score stage to Kafka, in either mode of delivery: as ``build_outputs`` makes it."""

from collections.abc import Callable

from confluent_kafka import Producer

from leadscore.ops.choices import Delivery
from leadscore.ops.config import Config
from leadscore.ops.metrics import Metrics
from leadscore.ops.services import OutageLog
from leadscore.pipeline.kafka.deliveries import Deliveries
from leadscore.pipeline.kafka.outbound import Outbound
from leadscore.pipeline.kafka.transactions import Transactions
from leadscore.pipeline.score.counts import CrossingCounts, ScoreNewsCounts
from leadscore.pipeline.score.outgoing import OutputTopics
from leadscore.pipeline.score.publisher import AcknowledgedPublisher, Outputs, TransactionalPublisher
from leadscore.pipeline.score.publishing import json_encoding
from leadscore.pipeline.score.score_records import json_score_encoding
from leadscore.pipeline.score.uncommitted import NewsTopic, Uncommitted, UncommittedCounts
from leadscore.pipeline.steps import NoSteps


def outputs_of(
    config: Config, metrics: Metrics, outbound: Outbound, name: str, new_producer: Callable[[], Producer]
) -> Outputs:
    """``name`` is that of the process's transactions, for which ``new_producer`` makes a producer."""
    topics = OutputTopics(json_encoding(), config.crossing_topic, config.log_topic, config.log_partitions)
    uncommitted = _uncommitted(config, metrics, Transactions(name, new_producer, NoSteps()))
    if uncommitted is not None and uncommitted.has_outputs:
        return Outputs(TransactionalPublisher(topics, uncommitted), uncommitted)
    deliveries = Deliveries(outbound, config.crossing_topic, CrossingCounts(metrics))
    return Outputs(AcknowledgedPublisher(topics, deliveries), uncommitted)


def _uncommitted(config: Config, metrics: Metrics, transactions: Transactions) -> Uncommitted | None:
    has_outputs = config.delivery is Delivery.TRANSACTIONAL
    if config.scores_topic is None and not has_outputs:
        return None
    news_topic = None if config.scores_topic is None else NewsTopic(config.scores_topic, json_score_encoding())
    counts = UncommittedCounts(
        CrossingCounts(metrics), ScoreNewsCounts(metrics), metrics.count_outage, metrics.transactions.count_ended
    )
    outages = OutageLog("not_published", "published_again", {})
    return Uncommitted(transactions, news_topic, counts, outages, has_outputs=has_outputs)
