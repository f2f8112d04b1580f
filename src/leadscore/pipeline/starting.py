"""What must be in order before a worker begins: the services answer, the topics exist, Redis does not evict.

Services may come up later than the worker, so every question is asked again, for LEADSCORE_START_TIMEOUT in all: one
policy for Kafka, Redis and the schema registry. Nothing is in hand yet: a wish to end is followed at once.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from time import time
from typing import TypeVar

from confluent_kafka.admin import AdminClient

from leadscore.errors import ConfigError, StoppedEarly, Unavailable, WorkerStopped
from leadscore.ops.config import Config
from leadscore.ops.health import START, Health
from leadscore.ops.metrics import Metrics
from leadscore.ops.services import KAFKA, REDIS, OutageLog, outage_words
from leadscore.pipeline.backoff import jittered
from leadscore.pipeline.kafka.clocks import why_wrong
from leadscore.pipeline.kafka.deadline import Deadline
from leadscore.pipeline.kafka.questions import latest_timestamp, partition_count
from leadscore.pipeline.stopping import Stopping
from leadscore.store.shard import Store

_log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 5.0
LEAST_QUESTION_S = 0.5
LONGEST_QUESTION_S = 3.0
"""A service that comes up, or refuses a login, is not asked more often than this."""


class Patience:
    """Asks services that may not be there yet: whichever they are, all of them together for ``timeout_s``."""

    def __init__(
        self, stopping: Stopping, health: Health, metrics: Metrics, addresses: Mapping[str, str], timeout_s: float
    ) -> None:
        self._stopping = stopping
        self._deadline = Deadline(timeout_s)
        self._health = health
        self._metrics = metrics
        self._away: set[str] = set()
        self._addresses = addresses
        self._waiting = OutageLog("waiting_to_start", "service_answers", addresses)

    @property
    def question_s(self) -> float:
        """How long one question may take: the wish to end and the end of the patience are looked at in between."""
        return max(LEAST_QUESTION_S, min(LONGEST_QUESTION_S, self._deadline.left_s))

    def until_answered(self, ask: Callable[[], Answer]) -> Answer:
        """The answer. ``Unavailable`` if it does not come in time, ``StoppedEarly`` if told to end meanwhile."""
        pause_s = FIRST_RETRY_S
        while True:
            if self._stopping.is_asked_for:
                raise StoppedEarly("told to end while starting")
            self._health.beat()
            try:
                answer = ask()
            except Unavailable as outage:
                self._tell(outage)
                if not self._deadline.left_s:
                    raise
                self._stopping.wait(min(jittered(pause_s), self._deadline.left_s))
                pause_s = min(2 * pause_s, LONGEST_RETRY_S)
            else:
                self._waiting.end(time())
                self._tell_up(self._away, is_up=True)
                self._away.clear()
                return answer

    def _tell(self, outage: Unavailable) -> None:
        self._metrics.count_outage(outage)
        self._waiting.note(time(), outage)
        self._health.set_check(START, ok=False, detail=f"waiting: {outage_words(outage, self._addresses)}")
        self._away |= {outage.service} & {KAFKA, REDIS}
        self._tell_up(self._away, is_up=False)

    def _tell_up(self, services: Iterable[str], *, is_up: bool) -> None:
        for service in services:
            self._metrics.kafka.dependency_up.labels(service).set(int(is_up))


def check_store(store: Store, config: Config, patience: Patience) -> None:
    """Redis answers, and does not evict."""
    facts = patience.until_answered(lambda: store.check_server(allow_eviction=config.allow_eviction))
    _log.info("redis", extra={"product": facts.product, "version": facts.version, "masters": facts.masters})
    for warning in facts.warnings:
        _log.warning("redis_warning", extra={"detail": warning})


def check_topics(admin: AdminClient, config: Config, patience: Patience) -> None:
    """Every topic exists, and the log has as many partitions as leads are hashed to; all problems are told at once."""
    problems = []
    for topic in config.topics_of_role:
        try:
            partitions = patience.until_answered(lambda: partition_count(admin, topic, patience.question_s))  # noqa: B023
        except ConfigError as missing:
            problems.append(str(missing))
            continue
        if topic == config.log_topic and partitions != config.log_partitions:
            problems.append(
                f"LEADSCORE_LOG_PARTITIONS: {config.log_partitions}: topic {topic} has {partitions} partitions; "
                "the number is fixed when the log is created, because it decides where each lead lives"
            )
    if problems:
        raise ConfigError("\n".join(problems))


def wrong_log_partitions(config: Config, partitions: int) -> str:
    """What to tell an operator where the log has another number of partitions than is configured."""
    return (
        f"LEADSCORE_LOG_PARTITIONS: {config.log_partitions}: topic {config.log_topic} has {partitions} partitions; "
        "the number is fixed when the log is created, because it decides where each lead lives"
    )


def check_clock(admin: AdminClient, config: Config, patience: Patience) -> None:
    """``WorkerStopped`` where the log has records of a later time than this machine's clock says it is."""
    compare_clocks(patience.until_answered(lambda: latest_log_time_ms(admin, config)))


def latest_log_time_ms(admin: AdminClient, config: Config) -> int | None:
    """The brokers' time of the newest record of the log; ``None`` for an empty log, or where Kafka is too old."""
    return latest_timestamp(admin, [(config.log_topic, number) for number in range(config.log_partitions)])


def compare_clocks(latest_ms: int | None) -> None:
    """``WorkerStopped`` where the time of the log's newest record has not come yet, by this machine's clock."""
    wrong = None if latest_ms is None else why_wrong(latest_ms / 1000, 0.0, time())
    if wrong is not None:
        raise WorkerStopped(wrong)
