"""A worker that is restarted in order reads nothing again: not one record, however busy the machine is."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Consumer

from tests.deployment import LASTING_MODEL, OUT_OF_GROUP, SOURCES, Deployment, now_ms, wandering_events
from tests.e2e.metric_series import of_name, series
from tests.offsets import committed_of, end_of, places_of

INPUTS = (*SOURCES, "commands")
SECOND_ANSWER_S = 1.5
"""librdkafka asks for a logical offset again half a second after an answer that it takes to be outdated."""
GARBAGE = b"no event"


@pytest.fixture
def _busy_machine() -> Iterator[None]:
    """Two processes that take what processor time they can get: answers come late."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    yield
    for process in spinning:
        process.kill()
        process.wait()


@pytest.mark.lasting_leads
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("_busy_machine")
@pytest.mark.parametrize("restarts", [10, pytest.param(50, marks=pytest.mark.full)])
def test_an_idle_worker_that_is_restarted_consumes_nothing(deploy: Callable[..., Deployment], restarts: int) -> None:
    deployment = deploy(LASTING_MODEL)
    deployment.send(wandering_events("load", 1_000))
    for _ in range(20):
        deployment.send_bytes("website", GARBAGE, now_ms())
    deployment.producer.flush(30)
    first = deployment.start_worker()
    deployment.wait_until_settled()
    assert first.terminate() == 0
    ends, committed = (_ends(deployment, word) for word in ("log", "dead-letters")), _committed(deployment)
    before = [*ends, committed]
    for restart in range(restarts):
        worker = deployment.start_worker()
        worker.wait_until_ready(60)
        time.sleep(SECOND_ANSWER_S)
        metrics = series(worker.get("/metrics")[1])
        assert of_name(metrics, "leadscore_records_consumed_total") == [0] * len(INPUTS), restart
        assert of_name(metrics, "leadscore_records_reread_total") == [0] * len(INPUTS), restart
        assert worker.terminate() == 0
        assert [_ends(deployment, "log"), _ends(deployment, "dead-letters"), _committed(deployment)] == before


def _ends(deployment: Deployment, word: str) -> dict[int, int]:
    consumer = Consumer({"bootstrap.servers": deployment.kafka.bootstrap, "group.id": "ends", **OUT_OF_GROUP})
    try:
        return {place.partition: end_of(consumer, place) for place in places_of(consumer, deployment.topic(word))}
    finally:
        consumer.close()


def _committed(deployment: Deployment) -> dict[tuple[str, int], int]:
    group = f"{deployment.name}-match"
    consumer = Consumer({"bootstrap.servers": deployment.kafka.bootstrap, "group.id": group, **OUT_OF_GROUP})
    try:
        places = [place for word in INPUTS for place in places_of(consumer, deployment.topic(word))]
        return {(place.topic, place.partition): place.offset for place in committed_of(consumer, places)}
    finally:
        consumer.close()
