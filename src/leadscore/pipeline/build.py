"""A worker and its store as configured: the model and the mappings are read and checked, nothing is started."""

import gc
from pathlib import Path
from urllib.parse import quote, urlsplit

from leadscore.errors import ConfigError
from leadscore.events.mapping import load_mappings
from leadscore.model.definition import ModelDefinition
from leadscore.model.load import load_model
from leadscore.model.sense import events_looked_at
from leadscore.ops.config import Config, Role
from leadscore.ops.health import Health
from leadscore.ops.logs import RepeatLimit, kafka_client_logger
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.kafka.refused_properties import refused_properties
from leadscore.pipeline.steps import Steps
from leadscore.pipeline.stopping import Stopping
from leadscore.pipeline.worker import Worker
from leadscore.store.redis_store import RedisStore


def build_worker(  # what a process is made of
    config: Config,
    metrics: Metrics,
    health: Health,
    steps: Steps,
    *,
    stopping: Stopping | None = None,
    has_topic_ids: bool = True,
) -> Worker:
    """A worker as configured. ``InputError`` where something is wrong with the configuration or the model.

    ``StoppedEarly`` if it is to end before it has begun.
    """
    _check_mappings(config)
    model = _model(config) if config.role is not Role.SCORE else None
    store = make_store(config) if config.role is not Role.MATCH else None
    logger = kafka_client_logger(RepeatLimit(10.0))
    asked = stopping or Stopping()
    with refused_properties(config.kafka):
        return Worker(config, model, store, metrics, health, steps, logger, asked, has_topic_ids=has_topic_ids)


def make_store(config: Config) -> RedisStore:
    """The store as configured; nothing is connected yet."""
    url = config.redis_url
    if config.redis_password is not None:
        parts = urlsplit(url)
        address = parts.netloc.rpartition("@")[2]
        url = parts._replace(
            netloc=f"{parts.username or ''}:{quote(config.redis_password, safe='')}@{address}"
        ).geturl()
    return RedisStore([url], config.redis_prefix, config.log_partitions, config.redis_timeout_ms / 1000)


def look_for_garbage_seldom() -> None:
    """To be called when everything is built.

    What exists then lives as long as the process, and nothing on the hot path makes cycles: looking for garbage among
    hundreds of thousands of lead states would only cost time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)


def _model(config: Config) -> tuple[ModelDefinition, str]:
    if config.model is None:
        raise ConfigError("LEADSCORE_MODEL: not set: a worker that matches needs the path of the model file")
    loaded = load_model(Path(config.model))
    expected, where = events_looked_at(loaded.definition)
    if expected > config.recent_events:
        raise ConfigError(
            f"LEADSCORE_RECENT_EVENTS: {config.recent_events}: expected at least {expected}, the number of"
            f" events that {where} of {config.model} looks at"
        )
    return loaded.definition, loaded.text


def _check_mappings(config: Config) -> None:
    """``ConfigError`` for the mapping of a topic that is no source: most often a misspelt name."""
    if config.mappings is None:
        return
    topics = [*config.source_topics, config.command_topic]
    for topic in load_mappings(config.mappings):
        if topic not in topics:
            raise ConfigError(
                f"{config.mappings}:{topic}: expected one of the topics that are read: {', '.join(topics)}"
                " (LEADSCORE_SOURCE_TOPICS)"
            )
