"""What a real worker says of latency and lag: from Kafka's timestamps, with an exposition that promtool accepts."""

import subprocess
from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from leadscore.events.event import Event
from leadscore.events.event_bytes import json_bytes
from tests.debian_prometheus import promtool_binary
from tests.deployment import Deployment, WorkerProcess, now_ms
from tests.e2e.metric_series import Series, of_name, series
from tests.servers import wait_until

MODEL = {
    "model": "latency",
    "version": 7,
    "rules": {"pricing": {"event": "website.page_view", "points": 30}},
    "thresholds": {"mql": {"enter": 50, "exit": 40}},
}
LATE_S = 20
LEADS = 40
LEAST_PER_S = 1_000
MANY_TYPES = 1_000


def metrics_of(worker: WorkerProcess) -> Series:
    return series(worker.get("/metrics")[1])


def observed(worker: WorkerProcess, name: str) -> tuple[float, float]:
    """Count and sum of a histogram."""
    metrics = metrics_of(worker)
    return metrics[f"leadscore_{name}_seconds_count"], metrics[f"leadscore_{name}_seconds_sum"]


def views(prefix: str, received_ms: int) -> list[Event]:
    return [
        Event("website.page_view", f"{prefix}{number}-{view}", f"{prefix}{number}", received_ms - 5_000, {})
        for number in range(LEADS)
        for view in range(2)
    ]


def wait_until_nothing_lags(worker: WorkerProcess) -> None:
    def is_done() -> bool:
        metrics = metrics_of(worker)
        lags = of_name(metrics, "leadscore_consumer_lag_seconds")
        oldest = of_name(metrics, "leadscore_oldest_unprocessed_record_timestamp_seconds")
        return bool(lags) and max(lags) == 0 and oldest == [0, 0]

    wait_until(is_done, 20, "no lag in seconds")


@pytest.mark.lasting_leads
def test_latency_begins_with_the_timestamp_that_kafka_has_of_the_source_record(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(MODEL, 1)
    received_ms = now_ms() - LATE_S * 1000
    deployment.send(views("L", received_ms), received_ms=received_ms)
    worker = deployment.start_worker()
    deployment.wait_until_done()
    wait_until(lambda: observed(worker, "record_to_crossing")[0] == LEADS, 20, "every crossing to be observed")
    for name, number, least_s in (
        ("record_to_crossing", LEADS, LATE_S),
        ("record_to_decision", 2 * LEADS, LATE_S),
        ("event_to_decision", 2 * LEADS, LATE_S + 5),
    ):
        count, sum_s = observed(worker, name)
        assert count == number, name
        assert sum_s >= number * least_s, name
    metrics = metrics_of(worker)
    published = {name: number for name, number in metrics.items() if "crossings_published_total" in name and number}
    assert [(number, 'version="7"' in name) for name, number in published.items()] == [(LEADS, True)]
    for call in ("read", "write"):
        calls = metrics[f'leadscore_store_calls_total{{call="{call}"}}']
        assert metrics[f'leadscore_store_call_duration_seconds_count{{call="{call}"}}'] == calls > 0
    assert metrics["leadscore_store_script_calls_total"] >= 0
    wait_until_nothing_lags(worker)
    wait_until(lambda: of_name(metrics_of(worker), "leadscore_leads") != [], 20, "the leads to be counted")
    assert 0 < sum(of_name(metrics_of(worker), "leadscore_leads")) <= LEADS


@pytest.mark.lasting_leads
def test_the_end_of_a_transaction_of_a_producer_is_no_lag_in_seconds(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(MODEL, 1)
    worker = deployment.start_worker()
    worker.wait_until_ready(30)
    producer = Producer({**deployment.kafka.properties, "transactional.id": deployment.topic("sender")})
    producer.init_transactions(30)
    producer.begin_transaction()
    for event in views("T", now_ms()):
        producer.produce(deployment.topic("website"), json_bytes(event), timestamp=now_ms())
    producer.commit_transaction(30)
    website = f'{{partition="0",topic="{deployment.topic("website")}"}}'
    wait_until(
        lambda: metrics_of(worker).get(f"leadscore_consumer_lag_records{website}") == 1, 20, "the end to be left"
    )
    wait_until_nothing_lags(worker)
    assert metrics_of(worker)[f"leadscore_consumer_lag_records{website}"] == 1


@pytest.mark.lasting_leads
@pytest.mark.parametrize(
    "leads", [4_000, pytest.param(1_000_000, marks=[pytest.mark.full, pytest.mark.timeout(1_800)])]
)
def test_many_leads_and_types_make_no_more_series_and_promtool_has_nothing_to_say(
    deploy: Callable[..., Deployment], leads: int
) -> None:
    deployment = deploy(MODEL, 1)
    worker = deployment.start_worker()
    deployment.send_now(views("L", now_ms()))
    deployment.wait_until_done()
    wait_until_nothing_lags(worker)
    wait_until(lambda: of_name(metrics_of(worker), "leadscore_leads") != [], 20, "the leads to be counted")
    few = metrics_of(worker).keys()
    at_ms = now_ms()
    deployment.send_now(
        Event(
            "website.page_view" if number % 2 else f"website.of_ours_{number % (2 * MANY_TYPES)}",
            f"e{number}",
            f"M{number}",
            at_ms,
            {},
        )
        for number in range(leads)
    )
    deployment.wait_until_done(60 + leads / LEAST_PER_S)
    assert metrics_of(worker).keys() == few
    command = [str(promtool_binary()), "check", "metrics"]
    checked = subprocess.run(command, check=False, input=worker.get("/metrics")[1], capture_output=True, text=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
