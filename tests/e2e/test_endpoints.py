"""What the running worker says over HTTP: whether it lives, whether it is ready, and counts that add up."""

import json
from collections.abc import Callable

import pytest

from leadscore.events.event import Event
from tests.deployment import LOG_PARTITIONS, SOURCES, Deployment, WorkerProcess, now_ms
from tests.e2e.metric_series import Series, of_name, series
from tests.servers import wait_until
from tests.slow_way import WRITE, SlowWay

MODEL = {
    "model": "endpoints",
    "version": 1,
    "rules": {
        "pricing": {"event": "website.page_view", "where": {"path": "/pricing"}, "points": 30},
        "click": {"event": "email.click", "points": 10},
    },
    "thresholds": {"mql": {"enter": 50, "exit": 40}},
}
SOURCE_PARTITIONS = 3
COMMAND_PARTITIONS = 1


@pytest.mark.lasting_leads
def test_a_worker_is_ready_once_it_has_partitions_and_its_counts_add_up(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(MODEL, SOURCE_PARTITIONS)
    worker = deployment.start_worker()
    status, body = worker.get("/readyz")
    assert (status, json.loads(body)["ready"]) == (503, False)
    worker.wait_until_ready(30)
    assert json.loads(worker.get("/readyz")[1])["checks"]["score_assigned"]["ok"]
    assert worker.get("/livez")[0] == 200
    assert worker.get("/")[0] == 404

    send_everything(deployment)
    deployment.wait_until_done()
    metrics = series(worker.get("/metrics")[1])
    processed = {
        word: [
            of_topic(metrics, deployment.topic(word), outcome) for outcome in ("matched", "ignored", "dead_lettered")
        ]
        for word in ("website", "email", "webinar")
    }
    assert processed == {"website": [43, 20, 5], "email": [10, 7, 0], "webinar": [0, 4, 0]}
    for word, outcomes in processed.items():
        assert metrics[f'leadscore_records_consumed_total{{topic="{deployment.topic(word)}"}}'] == sum(outcomes)
    awards = {
        outcome: metrics[f'leadscore_awards_total{{outcome="{outcome}"}}'] for outcome in ("applied", "duplicate")
    }
    assert awards == {"applied": 50, "duplicate": 3}
    assert sum(of_name(metrics, "leadscore_dead_letters_total")) == len(deployment.read("dead-letters")) == 5
    assert sum(of_name(metrics, "leadscore_crossings_published_total")) == len(deployment.read("crossings")) == 20
    sources = SOURCE_PARTITIONS * len(SOURCES) + COMMAND_PARTITIONS
    assert metrics['leadscore_assigned_partitions{stage="match"}'] == sources
    assert metrics['leadscore_assigned_partitions{stage="score"}'] == LOG_PARTITIONS


def test_a_worker_that_gets_no_source_partition_is_ready_to_take_over(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(MODEL, 1)
    workers = [deployment.start_worker() for _ in range(2)]
    for worker in workers:
        worker.wait_until_ready(30)

    def owned() -> list[float]:
        return sorted(
            series(worker.get("/metrics")[1])['leadscore_assigned_partitions{stage="match"}'] for worker in workers
        )

    wait_until(lambda: owned() == [0, len(SOURCES) + COMMAND_PARTITIONS], 30, "one worker to have all of the sources")
    assert [worker.get("/readyz")[0] for worker in workers] == [200, 200]


@pytest.mark.lasting_leads
def test_after_each_rebalance_the_lag_of_every_partition_is_told_by_one_worker(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(MODEL, SOURCE_PARTITIONS)
    partitions = SOURCE_PARTITIONS * len(SOURCES) + COMMAND_PARTITIONS + LOG_PARTITIONS
    first = deployment.start_worker()
    wait_until(lambda: len(lags_told_by(first)) == 2 * partitions, 30, "every lag")
    everything = lags_told_by(first)
    second = deployment.start_worker()

    def are_shared() -> bool:
        of_first, of_second = lags_told_by(first), lags_told_by(second)
        return bool(of_second) and of_first.isdisjoint(of_second) and of_first | of_second == everything

    wait_until(are_shared, 30, "each lag at one of the two")
    assert second.terminate() == 0
    wait_until(lambda: lags_told_by(first) == everything, 30, "every lag at the one that is left")


def lags_told_by(worker: WorkerProcess) -> set[str]:
    return {name for name in series(worker.get("/metrics")[1]) if name.startswith("leadscore_consumer_lag_")}


def test_a_worker_that_waits_for_redis_says_for_which_and_since_when(deploy: Callable[..., Deployment]) -> None:
    worker = deploy(MODEL, 1).start_worker(LEADSCORE_REDIS_URL="redis://user:s3cret@127.0.0.1:9/0")
    worker.wait_for("waiting_to_start")
    status, body = worker.get("/readyz")
    checks = json.loads(body)["checks"]
    assert status == 503
    assert [name for name, check in checks.items() if not check["ok"]] == [*checks]
    assert checks["start"]["detail"].startswith("waiting: redis at 127.0.0.1:9/0 is unavailable (connection): ")
    assert checks["start"]["since_s"] >= 0
    group = f"{worker.said('starting')[0]['config']['group']}-score"
    assert checks["score_running"]["detail"] == f"the score stage begins once group {group} has given it partitions"
    assert "s3cret" not in body + worker.tail()
    assert [worker.get(path)[0] for path in ("/startupz", "/livez")] == [503, 200]


def test_a_loop_that_hangs_is_not_alive_and_the_log_says_where(
    deploy: Callable[..., Deployment], new_slow_way: Callable[[], SlowWay]
) -> None:
    deployment, way = deploy(MODEL, 1), new_slow_way()
    short = {"LEADSCORE_LIVENESS_TIMEOUT": "10s", "LEADSCORE_DRAIN_TIMEOUT": "4s"}
    worker = deployment.start_worker(LEADSCORE_REDIS_URL=way.url, LEADSCORE_REDIS_TIMEOUT="1m", **short)
    worker.wait_until_ready(30)
    assert [worker.get(path)[0] for path in ("/startupz", "/livez")] == [200, 200]
    way.command = WRITE
    deployment.send_now([Event("website.page_view", "v1", "L1", now_ms(), {"path": "/pricing"})])
    wait_until(lambda: worker.get("/livez")[0] == 503, 30, "the loop to hang")
    hangs = worker.wait_for("loop_hangs")
    assert "in _write" in hangs["stack"]
    assert "read_response" in hangs["stack"]
    assert worker.get("/startupz")[0] == 200
    way.command = b""
    way.let_go.set()
    wait_until(lambda: worker.get("/livez")[0] == 200, 30, "the loop to turn again")
    assert len(worker.said("loop_hangs")) == len(worker.said("loop_turns_again")) == 1


def send_everything(deployment: Deployment) -> None:
    """Twenty leads that enter by two visits each (three come twice); clicks; events that match no rule; garbage."""
    now = now_ms()
    visits = [
        Event("website.page_view", f"v{number}", f"L{number % 20}", now - number, {"path": "/pricing"})
        for number in range(40)
    ]
    other = [Event("website.page_view", f"o{number}", f"O{number}", now, {"path": "/blog"}) for number in range(20)]
    clicks = [Event("email.click", f"c{number}", f"C{number}", now, {}) for number in range(10)]
    opens = [Event("email.open", f"p{number}", f"C{number}", now, {}) for number in range(7)]
    webinars = [Event("webinar.attended", f"w{number}", f"C{number}", now, {}) for number in range(4)]
    deployment.send_now([*visits, *visits[:3], *other, *clicks, *opens, *webinars])
    for _ in range(5):
        deployment.send_bytes("website", b"{", now)
    deployment.producer.flush(30)


def of_topic(metrics: Series, topic: str, outcome: str) -> float:
    return metrics[f'leadscore_records_processed_total{{outcome="{outcome}",topic="{topic}"}}']
