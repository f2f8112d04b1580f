"""The worker: both stages, or one, in one loop, from start to a clean end (design 2.2, 2.8).

One thread changes everything. A turn of the loop is a turn of the match stage and a turn of the score stage; waiting is
left to the poll of whichever stage there is nothing else to do for.
"""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from time import monotonic, time
from typing import TypeVar

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from leadscore.errors import ConfigError, StoppedEarly, Unavailable
from leadscore.events.decoder import Decoder, SchemaLookup
from leadscore.events.local_schemas import schema_texts
from leadscore.events.mapping import load_mappings
from leadscore.events.registry import RegistryClient
from leadscore.model.definition import ModelDefinition
from leadscore.model.matching import Matcher
from leadscore.ops.config import Config, CrossingFormat, Role
from leadscore.ops.health import Health
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.gauges import StageGauges
from leadscore.pipeline.kafka.clients import (
    PRODUCER,
    largest_record_bytes,
    log_bounds,
    make_admin,
    make_consumer,
    make_dead_letter_producer,
    make_producer,
    partition_count,
    topic_ids,
)
from leadscore.pipeline.kafka.commits import Commits
from leadscore.pipeline.kafka.deadline import DrainBudget
from leadscore.pipeline.match.dead_letters import DeadLetters
from leadscore.pipeline.match.stage import MatchParts, MatchStage
from leadscore.pipeline.models import ModelsTopic
from leadscore.pipeline.score.publishing import CrossingEncoding, avro_encoding, json_encoding
from leadscore.pipeline.score.stage import ScoreParts, ScoreStage
from leadscore.pipeline.steps import Steps
from leadscore.pipeline.stopping import Stopping
from leadscore.store.shard import Store

_log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

IDLE_WAIT_S = 0.02
BATCH_WAIT_S = 0.05
SCORE_WAITS_S = 0.1
"""While there is more to match, scoring waits this long, so that a batch is worth its round trips to Redis."""
GAUGES_EVERY_S = 2.0
START_PATIENCE_S = 60.0
START_RETRY_S = 1.0


class Worker:
    """The stages of one process. ``run`` returns when it is told to stop and everything under way is committed."""

    def __init__(  # noqa: PLR0913, PLR0917  # what a process is made of, put together in one place
        self,
        config: Config,
        model: tuple[ModelDefinition, str] | None,
        store: Store | None,
        metrics: Metrics,
        health: Health,
        steps: Steps,
        kafka_logger: logging.Logger,
        stopping: Stopping,
        *,
        has_topic_ids: bool = True,
    ) -> None:
        """``model`` is the definition and its text, needed to match; ``store`` is needed to score.

        ``StoppedEarly`` if ``stopping`` is asked for meanwhile.
        """
        self._config = config
        self._metrics = metrics
        self._health = health
        self._steps = steps
        self._logger = kafka_logger
        self._has_topic_ids = has_topic_ids
        self._producer: Producer = make_producer(config.kafka, f"{config.group}-producer", kafka_logger)
        self._admin: AdminClient = make_admin(config.kafka, kafka_logger)
        self._models = ModelsTopic(config.kafka, config.models_topic, model[0].model if model else None, kafka_logger)
        self._stopping = stopping
        self._budget = DrainBudget(config.drain_timeout_ms / 1000)
        self._gauges_at_s = 0.0
        self._scored_at_s = 0.0
        self._matched = 0
        if store is not None:
            self._check_store(store)
        self._check_topics()
        # Whatever may have to be waited for comes before a consumer joins its group, which is not polled meanwhile.
        encoding = self._crossing_encoding() if config.role is not Role.MATCH else None
        self._match = self._match_stage(model) if config.role is not Role.SCORE else None
        self._score = self._score_stage(store, encoding) if encoding is not None else None
        self._gauges = {
            name: StageGauges(name, metrics.kafka, stage.subscription, stage.commits)
            for name, stage in (("match", self._match), ("score", self._score))
            if stage is not None
        }

    def stop(self) -> None:
        """Finish after this turn. Safe in a signal handler."""
        self._stopping.ask()

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_asked_for

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Turn until told to stop (or ``until`` says so), then drain, commit and leave the groups."""
        with ExitStack() as ending:
            ending.callback(self._close)
            while not self.is_stopping and not until():
                self._turn()
            self._drain()

    def _turn(self) -> None:
        now_s = time()
        matched = 0
        if self._match is not None:
            # With much to do a poll waits for a full batch: frames, Redis calls and commits cost by the batch.
            is_busy = self._matched * 10 >= self._config.batch_size and not self._match.has_batch
            matched = self._matched = self._match.step(now_s, BATCH_WAIT_S if is_busy else 0.0)
        wait_s = 0.0 if matched else IDLE_WAIT_S
        if self._score is not None and (not matched or now_s - self._scored_at_s >= SCORE_WAITS_S):
            self._scored_at_s = now_s
            reached_ms = self._match.reached_ms(now_s) if self._match is not None else None
            self._score.step(now_s, wait_s, reached_ms)
        elif not matched and self._match is not None:
            self._match.step(now_s, wait_s)
        self._health.beat()
        if now_s - self._gauges_at_s >= GAUGES_EVERY_S:
            self._gauges_at_s = now_s
            self._tell_gauges()

    def _drain(self) -> None:
        self._budget.begin_end()
        _log.info("draining", extra={"budget_s": self._budget.budget_s})
        for stage in (self._match, self._score):
            if stage is not None:
                stage.drain()

    def _close(self) -> None:
        self._budget.begin_end()
        for stage in (self._match, self._score):
            if stage is not None:
                stage.subscription.close()
        _log.info("stopped")

    # --- start ---

    def _check_store(self, store: Store) -> None:
        """Redis answers, and does not evict."""
        facts = self._patiently(lambda: store.check_server(allow_eviction=self._config.allow_eviction))
        _log.info("redis", extra={"product": facts.product, "version": facts.version, "masters": facts.masters})
        for warning in facts.warnings:
            _log.warning("redis_warning", extra={"detail": warning})

    def _check_topics(self) -> None:
        """Every topic exists, and the log has as many partitions as leads are hashed to."""
        config = self._config
        partitions = self._patiently(lambda: partition_count(self._producer, config.log_topic))
        if partitions != config.log_partitions:
            raise ConfigError(
                f"LEADSCORE_LOG_PARTITIONS: {config.log_partitions}: topic {config.log_topic} has {partitions} "
                "partitions; the number is fixed when the log is created, because it decides where each lead lives"
            )
        for topic in (config.models_topic, *self._role_topics()):
            self._patiently(lambda topic=topic: partition_count(self._producer, topic))  # type: ignore[misc]

    def _role_topics(self) -> list[str]:
        config = self._config
        inputs = [*config.source_topics, config.command_topic, config.dead_letter_topic]
        outputs = [config.crossing_topic]
        return [*(inputs if config.role is not Role.SCORE else []), *(outputs if config.role is not Role.MATCH else [])]

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        """Services may come up later than the worker; for a while that is no error."""
        deadline_s = monotonic() + START_PATIENCE_S
        while True:
            if self.is_stopping:
                raise StoppedEarly("told to end while starting")
            try:
                return ask()
            except Unavailable as outage:
                if monotonic() > deadline_s:
                    raise
                _log.warning("waiting_to_start", extra={"service": outage.service, "detail": outage.detail})
                self._producer.poll(START_RETRY_S)

    def _match_stage(self, model: tuple[ModelDefinition, str] | None) -> MatchStage:
        if model is None:
            raise ConfigError("LEADSCORE_MODEL: not set: a worker that matches needs the path of the model file")
        definition, text = model
        config = self._config
        self._patiently(lambda: self._models.offer(definition, text, self._producer))
        self._metrics.process.set_model(definition.model, definition.version)
        self._metrics.score.expect_thresholds(definition.thresholds)
        registry = self._registry()
        parts = MatchParts(
            config=config,
            matcher=Matcher(definition),
            decoder=Decoder(
                load_mappings(config.mappings) if config.mappings else None,
                self._counted_lookup(registry) if registry is not None else None,
                config.max_record_bytes,
            ),
            producer=self._producer,
            dead_letters=self._dead_letters(),
            metrics=self._metrics,
            budget=self._budget,
            topic_ids=lambda: self._topic_ids([*config.source_topics, config.command_topic]),
            log_bounds=partial(log_bounds, self._admin),
            steps=self._steps,
        )
        commits = Commits(config.commit_interval_ms / 1000)
        return MatchStage(parts, self._consumer(config.match_group, "range", commits), commits)

    def _dead_letters(self) -> DeadLetters:
        config = self._config
        producer = make_dead_letter_producer(config.kafka, f"{config.group}-dead-letters", self._logger)
        own_limit = int(config.kafka.get("message.max.bytes", PRODUCER["message.max.bytes"]))

        def limit_bytes() -> int | None:
            limit = largest_record_bytes(self._admin, config.dead_letter_topic)
            return None if limit is None else min(limit, own_limit)

        return DeadLetters(producer, config.dead_letter_topic, config.match_group, self._metrics.match, limit_bytes)

    def _score_stage(self, store: Store | None, encoding: CrossingEncoding) -> ScoreStage:
        if store is None:
            raise ConfigError("LEADSCORE_REDIS_URL: a worker that scores needs a store")
        config = self._config
        if config.role is Role.SCORE:  # else they are read by now; not in the middle of the first batch
            self._patiently(self._models.read)
        parts = ScoreParts(
            config=config,
            store=store,
            producer=self._producer,
            encoding=encoding,
            model_of_version=self._models.model_of_version,
            log_topic_id=lambda: self._topic_ids([config.log_topic])[config.log_topic],
            log_bounds=partial(log_bounds, self._admin),
            metrics=self._metrics,
            budget=self._budget,
            steps=self._steps,
        )
        commits = Commits(config.commit_interval_ms / 1000)
        return ScoreStage(parts, self._consumer(config.score_group, "cooperative-sticky", commits), commits)

    def _consumer(self, group: str, assignor: str, commits: Commits) -> Consumer:
        return make_consumer(self._config.kafka, group, assignor, self._logger, commits.on_commit)

    def _registry(self) -> RegistryClient | None:
        config = self._config
        if config.schema_registry_url is None:
            return None
        user, password = config.schema_registry_user, config.schema_registry_password
        credentials = (user, password) if user is not None and password is not None else None
        return RegistryClient(config.schema_registry_url, credentials, config.schema_registry_timeout_ms / 1000)

    def _counted_lookup(self, registry: RegistryClient) -> SchemaLookup:
        def lookup(schema_id: int) -> dict[str, object]:
            self._metrics.match.schema_registry_requests.inc()
            try:
                return registry.lookup(schema_id)
            except Unavailable:
                self._metrics.match.schema_registry_errors.inc()
                raise

        return lookup

    def _crossing_encoding(self) -> CrossingEncoding:
        """Avro under the registry's id where there is a registry; registering a schema it has changes nothing."""
        config = self._config
        if config.crossing_format is CrossingFormat.JSON:
            return json_encoding()
        registry = self._registry()
        if registry is None:
            return avro_encoding(None)
        subject = f"{config.crossing_topic}-value"
        return avro_encoding(self._patiently(lambda: registry.register(subject, schema_texts()["crossing"])))

    def _topic_ids(self, topics: list[str]) -> dict[str, str]:
        return topic_ids(self._admin, topics, has_topic_ids=self._has_topic_ids)

    # --- what operators see ---

    def _tell_gauges(self) -> None:
        for name, stage in (("match", self._match), ("score", self._score)):
            if stage is None:
                continue
            self._gauges[name].tell(len(stage.stopped), is_paused=stage.is_paused)
            # One without partitions, because there are more workers than partitions, is as ready as the others.
            self._health.set_check(f"{name}_assigned", stage.subscription.assignments > 0, "partitions assigned")
            reasons = list(stage.stopped.values())
            self._health.set_check(
                f"{name}_running", not reasons and not stage.is_paused, reasons[0] if reasons else ""
            )
