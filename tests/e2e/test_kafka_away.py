"""Brokers that do not answer, and come back: operators see both, and the worker goes on."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deployment import LASTING_MODEL, Deployment, wandering_events
from tests.e2e.metric_series import series
from tests.servers import KAFKA_VARIABLE, KafkaServer, RedisServer, ServerNotAvailable, start_kafka, wait_until

UP = 'leadscore_dependency_up{service="kafka"}'


@pytest.fixture
def own_kafka(monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaServer]:
    """One that may stand still without disturbing others."""
    monkeypatch.delenv(KAFKA_VARIABLE, raising=False)
    try:
        server = start_kafka()
    except ServerNotAvailable as reason:
        pytest.skip(f"needs a real Kafka: {reason}")
    with server:
        if server.pid is None:
            pytest.skip("this Kafka is no process that can be stopped")
        yield server


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
    made.stop()


def checks_of(worker: Any) -> dict[str, Any]:
    return dict(json.loads(worker.get("/readyz")[1])["checks"])


@pytest.mark.lasting_leads
@pytest.mark.timeout(300)
def test_kafka_away_fails_readiness_by_name_and_is_over_when_it_is_back(deployment: Deployment) -> None:
    worker = deployment.start_worker()
    deployment.send(wandering_events("before", 50))
    deployment.wait_until_settled()
    wait_until(lambda: worker.get("/readyz")[0] == 200, 30, "readiness")
    assert series(worker.get("/metrics")[1])[UP] == 1
    pid = deployment.kafka.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: not checks_of(worker).get("kafka", {"ok": True})["ok"], 60, "Kafka to be missed")
        assert worker.get("/readyz")[0] == 503
        assert deployment.kafka.bootstrap in checks_of(worker)["kafka"]["detail"]
        paused = 'leadscore_paused{stage="%s"}'
        metrics = series(worker.get("/metrics")[1])
        assert (metrics[UP], metrics[paused % "match"], metrics[paused % "score"]) == (0, 1, 1)
        assert worker.get("/livez")[0] == 200
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: worker.get("/readyz")[0] == 200, 90, "readiness again")
    assert (len(worker.said("kafka_away")), len(worker.said("kafka_back"))) == (1, 1)
    deployment.send(wandering_events("after", 50))
    deployment.wait_until_settled()
    lags = {
        name: value
        for name, value in series(worker.get("/metrics")[1]).items()
        if name.startswith("leadscore_consumer_lag_records{")
    }
    metrics = series(worker.get("/metrics")[1])
    owned = sum(metrics[f'leadscore_assigned_partitions{{stage="{stage}"}}'] for stage in ("match", "score"))
    assert len(lags) == owned
