"""Builds a worker as configured: reads the model and the mappings, waits for services, makes the clients and stages."""

import gc
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka import Consumer

from leadscore.errors import Unavailable
from leadscore.events.decoder import Decoder
from leadscore.events.registered import SchemaKey, SchemaLookup
from leadscore.events.registry import RegistryClient
from leadscore.mapping.decoding import MappedTopics
from leadscore.mapping.load import load_mappings
from leadscore.mapping.topics import compile_mappings
from leadscore.model.load import LoadedModel
from leadscore.model.matching import Matcher
from leadscore.ops.choices import Role
from leadscore.ops.config import Config
from leadscore.ops.health import Health
from leadscore.ops.logs import RepeatLimit, kafka_client_logger
from leadscore.ops.metrics import Metrics
from leadscore.ops.services import KAFKA, addresses_of
from leadscore.ops.tracing import NO_SPANS, BatchSpans
from leadscore.pipeline.build_outputs import OutputsPlan, build_outputs
from leadscore.pipeline.checks import MATCH, SCORE, StageChecks
from leadscore.pipeline.files import check_mappings, read_model
from leadscore.pipeline.gauges import StageGauges
from leadscore.pipeline.kafka.clients import (
    LOG_CONSUMER,
    PRODUCER,
    READER,
    SOURCE_CONSUMER,
    RenewedAdmin,
    make_admin,
    make_consumer,
    make_dead_letter_producer,
    make_producer,
)
from leadscore.pipeline.kafka.commit_policy import CommitPolicy
from leadscore.pipeline.kafka.commits import Commits
from leadscore.pipeline.kafka.deadline import DrainBudget
from leadscore.pipeline.kafka.outbound import Outbound
from leadscore.pipeline.kafka.questions import (
    ask_for_rights,
    largest_record_bytes,
    leader_epochs_at,
    log_bounds,
    topic_ids,
)
from leadscore.pipeline.kafka.refusals import Refusals
from leadscore.pipeline.kafka.refused_properties import refused_properties
from leadscore.pipeline.kafka.renewal import ConsumerRenewal
from leadscore.pipeline.kafka.watch import CommittedSoFar, KafkaWatch, LagWatch
from leadscore.pipeline.match.dead_letters import DeadLetters
from leadscore.pipeline.match.stage import MatchParts, MatchStage
from leadscore.pipeline.models import ModelsTopic
from leadscore.pipeline.other_deployments import claim_prefix, cluster_id, groups_on, refuse_other_scorers
from leadscore.pipeline.schema_registry import make_registry
from leadscore.pipeline.score.publisher import Outputs
from leadscore.pipeline.score.stage import ScoreParts, ScoreStage
from leadscore.pipeline.starting import Patience, check_clock, check_store, check_topics
from leadscore.pipeline.steps import Steps
from leadscore.pipeline.stopping import Stopping
from leadscore.pipeline.stores import make_store
from leadscore.pipeline.worker import Worker, WorkerParts
from leadscore.store.failures import FailureKind
from leadscore.store.shard import Store

CLIENT_LINES_EVERY_S = 60.0
"""How often the same words of librdkafka are logged: ``kafka_away`` and ``kafka_back`` say what matters."""


def build_worker(  # noqa: PLR0913  # what a process is made of
    config: Config,
    metrics: Metrics,
    health: Health,
    steps: Steps,
    *,
    stopping: Stopping | None = None,
    spans: BatchSpans = NO_SPANS,
    has_topic_ids: bool = True,
) -> Worker:
    """A worker as configured. ``InputError`` where something is wrong with the configuration or the model.

    Services that do not answer yet are waited for; ``StoppedEarly`` if it is to end before it has begun.
    """
    check_mappings(config)
    model = read_model(config) if config.role is not Role.SCORE else None
    count_lost_script = metrics.state.store_errors.labels(FailureKind.NOSCRIPT).inc
    store = make_store(config, count_lost_script) if config.role is not Role.MATCH else None
    plan = BuildPlan(config, metrics, health, steps, stopping or Stopping(), spans, has_topic_ids=has_topic_ids)
    with refused_properties(config.kafka):
        return WorkerBuilder(plan, model).build(store)


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What a worker is built from; ``has_topic_ids`` says whether the broker gives topics ids."""

    config: Config
    metrics: Metrics
    health: Health
    steps: Steps
    stopping: Stopping
    spans: BatchSpans
    has_topic_ids: bool


class WorkerBuilder:
    """Makes the clients of one worker, then its stages. ``model`` is needed to match, a store to score."""

    def __init__(self, plan: BuildPlan, model: LoadedModel | None) -> None:
        config = plan.config
        self._plan = plan
        self._config = config
        self._model = model
        self._logger: logging.Logger = kafka_client_logger(
            RepeatLimit(CLIENT_LINES_EVERY_S, count=plan.metrics.process.suppressed_client_lines.inc)
        )
        self._addresses = addresses_of(config)
        timeout_s = config.start_timeout_ms / 1000
        self._patience = Patience(plan.stopping, plan.health, plan.metrics, self._addresses, timeout_s)
        self._budget = DrainBudget(config.drain_timeout_ms / 1000)
        self._outbound = Outbound(make_producer(config.kafka, f"{config.group}-producer", self._logger))
        self._admin = RenewedAdmin(lambda: make_admin(config.kafka, self._logger))
        name = model.definition.model if model is not None else None
        self._renewals: list[ConsumerRenewal] = []
        self._models = ModelsTopic(config.kafka, config.models_topic, name, self._logger)

    def build(self, store: Store | None) -> Worker:
        """Wait for the services, check what they hold, and join the groups."""
        if store is not None:
            check_store(store, self._config, self._patience)
        check_topics(self._admin.client, self._config, self._patience)
        if self._plan.has_topic_ids:  # an embedded broker is on this machine
            check_clock(self._admin.client, self._config, self._patience)
        if store is not None:
            self._refuse_other_deployments(store)
        # Whatever may have to be waited for comes before a consumer joins its group, which is not polled meanwhile.
        outputs = self._outputs() if store is not None else None
        match = self._match_stage(self._model) if self._model is not None else None
        score = self._score_stage(store, outputs) if store is not None and outputs is not None else None
        return Worker(
            WorkerParts(
                match=match,
                score=score,
                budget=self._budget,
                health=self._plan.health,
                stopping=self._plan.stopping,
                gauges={
                    name: StageGauges(
                        name, self._plan.metrics.kafka, stage.subscription, stage.commits, self._lag_watch(stage)
                    )
                    for name, stage in ((MATCH, match), (SCORE, score))
                    if stage is not None
                },
                checks={name: self._checks(name) for name in (MATCH, SCORE)},
                renewals=self._renewals,
                kafka=self._kafka_watch() if self._plan.has_topic_ids else None,
            )
        )

    def _kafka_watch(self) -> KafkaWatch:
        config = self._config
        return KafkaWatch(self._admin, config.log_topic, addresses_of(config)[KAFKA], self._plan.metrics.kafka)

    def _refuse_other_deployments(self, store: Store) -> None:
        config, until_answered = self._config, self._patience.until_answered
        cluster = ""
        if self._plan.has_topic_ids:  # an embedded broker says as little of clusters and groups
            refuse_other_scorers(config, partial(groups_on, self._admin.client, config.log_topic))
            cluster = until_answered(partial(cluster_id, self._admin.client))
        until_answered(partial(claim_prefix, store, config, cluster))

    # --- the match stage ---

    def _lag_watch(self, stage: MatchStage | ScoreStage) -> LagWatch:
        return LagWatch(self._admin, CommittedSoFar(stage.subscription, stage.commits), stage.read_times)

    def _match_stage(self, model: LoadedModel) -> MatchStage:
        config, metrics, definition = self._config, self._plan.metrics, model.definition
        self._patience.until_answered(lambda: self._models.publish(definition, model.text, self._outbound))
        metrics.process.set_model(definition.model, definition.version)
        metrics.expect(definition)
        lookup = self._lookup()
        parts = MatchParts(
            config=config,
            matcher=Matcher(definition),
            decoder=self._decoder(lookup),
            mapped=self._mapped(lookup),
            outbound=self._outbound,
            dead_letters=self._dead_letters(),
            metrics=metrics,
            budget=self._budget,
            topic_ids=lambda: self._topic_ids(list(config.input_topics)),
            log_bounds=lambda partitions: log_bounds(self._admin.client, partitions),
            steps=self._plan.steps,
            refusals=self._refusals(config.match_group),
            spans=self._plan.spans,
        )
        commits = self._commits()
        make = partial(self._consumer, config.match_group, "range", commits, SOURCE_CONSUMER)
        stage = MatchStage(parts, make(), commits)
        self._renewals.append(ConsumerRenewal(stage.subscription, config.match_group, make))
        return stage

    def _decoder(self, lookup: SchemaLookup | None) -> Decoder:
        return Decoder(lookup, self._config.max_record_bytes, self._count_left_out)

    def _mapped(self, lookup: SchemaLookup | None) -> MappedTopics | None:
        config = self._config
        if config.mappings is None:
            return None
        mappings = load_mappings(config.mappings)
        compiled = compile_mappings(mappings, config.lead_id_key, config.command_topic, self._count_left_out)
        return MappedTopics(compiled, lookup, config.max_record_bytes)

    def _count_left_out(self, kind: str) -> None:
        self._plan.metrics.match.fields_left_out.labels(kind).inc()

    def _lookup(self) -> SchemaLookup | None:
        registry = make_registry(self._config)
        return self._counted_lookup(registry) if registry is not None else None

    def _counted_lookup(self, registry: RegistryClient) -> SchemaLookup:
        match = self._plan.metrics.match

        def lookup(key: SchemaKey) -> dict[str, object]:
            match.schema_registry_requests.inc()
            try:
                return registry.lookup(key)
            except Unavailable:
                match.schema_registry_errors.inc()
                raise

        return lookup

    def _dead_letters(self) -> DeadLetters:
        config = self._config
        client = make_dead_letter_producer(config.kafka, f"{config.group}-dead-letters", self._logger)
        own_limit = int(config.kafka.get("message.max.bytes", PRODUCER["message.max.bytes"]))

        def limit_bytes() -> int | None:
            limit = largest_record_bytes(self._admin.client, config.dead_letter_topic)
            return None if limit is None else min(limit, own_limit)

        return DeadLetters(
            Outbound(client), config.dead_letter_topic, config.match_group, self._plan.metrics, limit_bytes
        )

    # --- the score stage ---

    def _score_stage(self, store: Store, outputs: Outputs) -> ScoreStage:
        config = self._config
        if config.role is Role.SCORE:  # else they are read by now; not in the middle of the first batch
            self._patience.until_answered(self._models.read)
            for version in self._models.versions()[-1:]:
                self._plan.metrics.expect(self._models.definition(version))
        parts = ScoreParts(
            config=config,
            store=store,
            outbound=self._outbound,
            outputs=outputs,
            model_of_version=self._models.model_of_version,
            model_at_hand=self._models.model_at_hand,
            log_topic_id=lambda: self._topic_ids([config.log_topic])[config.log_topic],
            leader_epochs=partial(leader_epochs_at, self._reader),
            log_bounds=lambda partitions: log_bounds(self._admin.client, partitions),
            metrics=self._plan.metrics,
            budget=self._budget,
            steps=self._plan.steps,
            beat=self._plan.health.beat,
            refusals=self._refusals(config.score_group),
            spans=self._plan.spans,
        )
        commits = self._commits()
        make = partial(self._consumer, config.score_group, "cooperative-sticky", commits, LOG_CONSUMER)
        stage = ScoreStage(parts, make(), commits)
        self._renewals.append(ConsumerRenewal(stage.subscription, config.score_group, make))
        return stage

    def _outputs(self) -> Outputs:
        steps = self._plan.steps
        plan = OutputsPlan(self._config, self._plan.metrics, self._outbound, self._patience, steps, self._logger)
        return build_outputs(plan)

    # --- what both have ---

    def _checks(self, name: str) -> StageChecks:
        group = self._config.match_group if name == MATCH else self._config.score_group
        return StageChecks(name, group, self._addresses, self._plan.health)

    def _commits(self) -> Commits:
        return Commits(CommitPolicy(self._config.commit_interval_ms / 1000))

    def _consumer(self, group: str, assignor: str, commits: Commits, fetching: Mapping[str, Any]) -> Consumer:
        return make_consumer(self._config.kafka, group, assignor, self._logger, commits.on_commit, fetching=fetching)

    def _reader(self) -> Consumer:
        """One that joins no group."""
        return make_consumer(self._config.kafka, self._config.score_group, "range", self._logger, fetching=READER)

    def _refusals(self, group: str) -> Refusals:
        return Refusals(group, lambda topics: ask_for_rights(self._admin.client, topics), self._plan.metrics.kafka)

    def _topic_ids(self, topics: list[str]) -> dict[str, str]:
        return topic_ids(self._admin.client, topics, has_topic_ids=self._plan.has_topic_ids)


def look_for_garbage_seldom() -> None:
    """To be called when everything is built.

    What exists then lives as long as the process, and nothing on the hot path makes cycles: looking for garbage among
    hundreds of thousands of lead states would only cost time. The records and awards of a full batch are fewer than a
    million objects: they are gone before it is looked for among them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(1_000_000, 5, 1_000)
