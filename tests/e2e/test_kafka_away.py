"""Brokers that do not answer, and come back: operators see both, and the worker goes on."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException

from tests.deployment import LASTING_MODEL, Deployment, wandering_events
from tests.e2e.metric_series import series
from tests.servers import KafkaServer, RedisServer, standing_still, wait_until

QUESTIONS_TIME_OUT_S = 12.0
STAGES = ("match", "score")
UP = 'leadscore_dependency_up{service="kafka"}'


@pytest.fixture
def deployment(
    own_kafka: KafkaServer,
    redis_server: RedisServer,
    redis_prefix: str,
    fresh_name: Callable[[str], str],
    tmp_path: Path,
) -> Iterator[Deployment]:
    made = Deployment(own_kafka, redis_server, (fresh_name("d"), redis_prefix), tmp_path, LASTING_MODEL)
    made.create_topics()
    yield made
    with suppress(KafkaException):  # of a broker that a test has killed, which has no topics to delete
        made.stop()


STORM_S = 15.0
MOST_CPU_SHARE = 0.25
"""Of one core, while there is no broker."""
MOST_LINES = 20
"""Of a quarter of a minute without a broker: the first of each sort, of eight clients."""


def checks_of(worker: Any) -> dict[str, Any]:
    return dict(json.loads(worker.get("/readyz")[1])["checks"])


def away_in_metrics(worker: Any) -> tuple[float, ...]:
    """Whether Kafka is up, and each stage paused."""
    metrics = series(worker.get("/metrics")[1])
    return tuple(metrics[name] for name in (UP, *(f'leadscore_paused{{stage="{stage}"}}' for stage in STAGES)))


def cpu_s(worker: Any) -> float:
    return series(worker.get("/metrics")[1])["process_cpu_seconds_total"]


def has_every_lag(worker: Any) -> bool:
    metrics = series(worker.get("/metrics")[1])
    owned = sum(metrics[f'leadscore_assigned_partitions{{stage="{stage}"}}'] for stage in STAGES)
    return owned > 0 and sum(name.startswith("leadscore_consumer_lag_records{") for name in metrics) == owned


@pytest.mark.lasting_leads
@pytest.mark.timeout(400)
def test_kafka_away_fails_readiness_by_name_and_is_over_when_it_is_back(deployment: Deployment) -> None:
    worker = deployment.start_worker()
    deployment.send(wandering_events("before", 50))
    deployment.wait_until_settled()
    worker.wait_until_ready(30)
    assert series(worker.get("/metrics")[1])[UP] == 1
    with standing_still(deployment.kafka):
        wait_until(lambda: not checks_of(worker).get("kafka", {"ok": True})["ok"], 60, "Kafka to be missed")
        assert worker.get("/readyz")[0] == 503
        assert deployment.kafka.bootstrap in checks_of(worker)["kafka"]["detail"]
        wait_until(lambda: away_in_metrics(worker) == (0, 1, 1), 10, "both stages paused")
        assert worker.get("/livez")[0] == 200
        # Longer than any question waits for its answer: librdkafka has aborted on answers that came after that.
        away_s = time.monotonic()
        wait_until(lambda: time.monotonic() > away_s + QUESTIONS_TIME_OUT_S, 60, "every question to time out")
    worker.wait_until_ready(180)
    assert (len(worker.said("kafka_away")), len(worker.said("kafka_back"))) == (1, 1)
    deployment.send(wandering_events("after", 50))
    deployment.wait_until_settled()
    wait_until(lambda: has_every_lag(worker), 30, "the lag of every owned partition")


@pytest.mark.lasting_leads
@pytest.mark.timeout(200)
def test_a_broker_that_is_down_is_no_storm_of_log_lines(deployment: Deployment) -> None:
    worker = deployment.start_worker()
    worker.wait_until_ready(60)
    before = len(worker.lines())
    pid = deployment.kafka.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    down_s = time.monotonic()
    worker.wait_for("kafka_away", 60)
    used_s, from_s = cpu_s(worker), time.monotonic()
    wait_until(lambda: time.monotonic() > down_s + STORM_S, 60, "some time without a broker")
    share = (cpu_s(worker) - used_s) / (time.monotonic() - from_s)
    assert share < MOST_CPU_SHARE
    lines = worker.lines()[before:]
    assert len(lines) <= MOST_LINES, [line["event"] for line in lines]
    assert {line["event"] for line in lines} >= {"kafka_away", "kafka_client"}
    assert series(worker.get("/metrics")[1])["leadscore_log_messages_suppressed_total"] > len(lines)
    worker.kill()
