"""Builds the way from the score stage to Kafka, as configured: encodings, their schemas in a registry, transactions."""

import logging
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from leadscore.errors import Unavailable
from leadscore.events.contracts import CROSSING_SCHEMA, LEAD_SCORE_SCHEMA
from leadscore.events.local_schemas import schema_texts
from leadscore.events.old_crossings import OLD_SCHEMA
from leadscore.ops.choices import CrossingFormat, Delivery
from leadscore.ops.config import Config
from leadscore.ops.metrics import Metrics
from leadscore.ops.services import OutageLog, addresses_of
from leadscore.pipeline.kafka.clients import make_transactions_producer
from leadscore.pipeline.kafka.deliveries import Deliveries
from leadscore.pipeline.kafka.outbound import Outbound
from leadscore.pipeline.kafka.questions import REQUEST_TIMEOUT_S
from leadscore.pipeline.kafka.transactions import Transactions
from leadscore.pipeline.schema_registry import make_registry
from leadscore.pipeline.score.counts import CrossingCounts, ScoreNewsCounts
from leadscore.pipeline.score.outgoing import OutputTopics
from leadscore.pipeline.score.publisher import AcknowledgedPublisher, Outputs, TransactionalPublisher
from leadscore.pipeline.score.publishing import CrossingEncoding, RegisteredSchema, avro_encoding, json_encoding
from leadscore.pipeline.score.score_records import ScoreEncoding, avro_score_encoding, json_score_encoding
from leadscore.pipeline.score.uncommitted import NewsTopic, Uncommitted, UncommittedCounts
from leadscore.pipeline.starting import Patience
from leadscore.pipeline.steps import Steps


@dataclass(frozen=True, slots=True)
class OutputsPlan:
    """What the way out is built from."""

    config: Config
    metrics: Metrics
    outbound: Outbound
    patience: Patience
    steps: Steps
    logger: logging.Logger


def build_outputs(plan: OutputsPlan) -> Outputs:
    """The publisher, and what is committed in transactions. A schema registry that does not answer is waited for."""
    config = plan.config
    topics = OutputTopics(_crossing_encoding(plan), config.crossing_topic, config.log_topic, config.log_partitions)
    uncommitted = _uncommitted(plan)
    if uncommitted is not None and uncommitted.has_outputs:
        # Before it joins its group, which may wait for its predecessor to be out of it: readers wait no longer.
        plan.patience.until_answered(lambda: uncommitted.settle(REQUEST_TIMEOUT_S))
        return Outputs(TransactionalPublisher(topics, uncommitted), uncommitted)
    deliveries = Deliveries(plan.outbound, config.crossing_topic, CrossingCounts(plan.metrics))
    return Outputs(AcknowledgedPublisher(topics, deliveries), uncommitted)


def _uncommitted(plan: OutputsPlan) -> Uncommitted | None:
    config, metrics = plan.config, plan.metrics
    has_outputs = config.delivery is Delivery.TRANSACTIONAL
    if not config.has_transactions:
        return None
    name = transactional_id(config)
    new_producer = partial(make_transactions_producer, config.kafka, f"{config.group}-scores", name, plan.logger)
    counts = UncommittedCounts(
        CrossingCounts(metrics), ScoreNewsCounts(metrics), metrics.count_outage, metrics.transactions.count_ended
    )
    addresses = addresses_of(config)
    if has_outputs:
        outages = OutageLog("outputs_not_published", "outputs_published_again", addresses)
    else:
        outages = OutageLog("scores_not_published", "scores_published_again", addresses)
    transactions = Transactions(name, new_producer, plan.steps, metrics.transactions.reinitialisations.inc)
    return Uncommitted(transactions, _news_topic(plan), counts, outages, has_outputs=has_outputs)


def transactional_id(config: Config) -> str:
    """The name of this process's transactions: its own, that of its member of the group, or a random one."""
    name = config.instance or config.kafka.get("group.instance.id") or uuid4().hex
    return config.transactional_id_prefix + name


def _crossing_encoding(plan: OutputsPlan) -> CrossingEncoding:
    topic = plan.config.crossing_topic
    if plan.config.crossing_format is CrossingFormat.JSON:
        return json_encoding()
    return avro_encoding(_registered(plan, topic, CROSSING_SCHEMA), _registered_before(plan, topic, OLD_SCHEMA))


def _news_topic(plan: OutputsPlan) -> NewsTopic | None:
    topic = plan.config.scores_topic
    return None if topic is None else NewsTopic(topic, _score_encoding(plan, topic))


def _score_encoding(plan: OutputsPlan, topic: str) -> ScoreEncoding:
    if plan.config.crossing_format is CrossingFormat.JSON:
        return json_score_encoding()
    return avro_score_encoding(_registered(plan, topic, LEAD_SCORE_SCHEMA))


def _registered(plan: OutputsPlan, topic: str, schema: str) -> RegisteredSchema | None:
    """Our schema in the registry, if there is one; registering a schema again changes nothing."""
    registry = make_registry(plan.config)
    if registry is None:
        return None
    subject, text, register = f"{topic}-value", schema_texts()[schema], plan.config.schema_registry_register
    schema_id = plan.patience.until_answered(lambda: registry.schema_id(subject, text, register=register))
    return RegisteredSchema(schema_id, registry.schema_uri(schema_id))


def _registered_before(plan: OutputsPlan, topic: str, schema: str) -> RegisteredSchema | None:
    """An older schema of ours in the registry, if it was ever there and may be read: it is not needed for long."""
    registry = make_registry(plan.config)
    if registry is None:
        return None

    def find() -> int | None:
        try:
            return registry.find(f"{topic}-value", schema_texts()[schema])
        except Unavailable as outage:
            if outage.kind == "unauthorized":
                return None
            raise

    schema_id = plan.patience.until_answered(find)
    return None if schema_id is None else RegisteredSchema(schema_id, registry.schema_uri(schema_id))
