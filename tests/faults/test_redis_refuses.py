"""Experiments 5, 7 and 8: Redis is full, is busy with another client's script, forgets the worker's script.

The control of each is a naive worker that takes an error of Redis for a fault of the record.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from threading import Thread

import pytest
import redis
from confluent_kafka import Consumer, TopicPartition

from tests.deployment import (
    FEW_RECENT,
    LOG_PARTITIONS,
    OUT_OF_GROUP,
    WANDERING_MODEL,
    Deployment,
    WorkerProcess,
    wandering_events,
)
from tests.e2e.metric_series import of_name, series
from tests.faults.judge import assert_holds
from tests.faults.load import Load
from tests.faults.naive_scores import UNDECAYED_MODEL, assert_caught, naive_lag, wrong_of_naive
from tests.faults.naive_worker import GIVES_UP, KEY, MODULE
from tests.faults.report import Figures
from tests.faults.seen import store_errors
from tests.faults.sizes import SEED, events
from tests.offsets import committed_of, end_of
from tests.repeating import repeated
from tests.servers import RedisServer, redis_binaries, start_redis, wait_until

pytestmark = [pytest.mark.lasting_leads, pytest.mark.timeout(7_200)]

FULL = "a Redis that is full is waited for; nothing is committed meanwhile"
BUSY = "a Redis that is busy for 20 s is waited for, without a rebalance"
FORGETS = "scripts that Redis forgets are sent again, and only those that failed"
BUSY_S = 20.0
BEGINNINGS = 2
"""The rebalances that give both stages of a worker their partitions."""
ENDLESS = "while true do end"


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that may be full or busy."""
    with start_redis(next(iter(redis_binaries()))) as server:
        yield server


@pytest.fixture
def deployed(deploy: Callable[..., Deployment], own_redis: RedisServer) -> Deployment:
    deployment = deploy(WANDERING_MODEL)
    deployment.redis = own_redis
    deployment.environ |= FEW_RECENT | {"LEADSCORE_BATCH_SIZE": "20", "LEADSCORE_SCORE_BATCH_FRAMES": "2"}
    return deployment


def load(deployment: Deployment, short: int) -> Load:
    return Load(deployment, wandering_events(f"refuses-{SEED}", events(short), leads=64), 0.15, poison=True)


def rebalances(worker: WorkerProcess) -> float:
    return sum(of_name(series(worker.get("/metrics")[1]), "leadscore_rebalances_total"))


def log_offsets(deployment: Deployment) -> tuple[list[int], int]:
    """What is committed of the log, and how much is in it."""
    places = [TopicPartition(deployment.topic("log"), number) for number in range(LOG_PARTITIONS)]
    own = {"group.id": f"{deployment.name}-score", **OUT_OF_GROUP}
    with closing(Consumer({**deployment.kafka.properties, **own})) as consumer:
        committed = [place.offset for place in committed_of(consumer, places)]
        return committed, sum(end_of(consumer, place) for place in places)


def conclude(deployment: Deployment, figures: Figures) -> None:
    deployment.wait_until_settled()
    assert_holds(deployment, figures)


@pytest.mark.experiment("5", FULL)
def test_a_full_redis_is_waited_for_and_nothing_is_committed_meanwhile(deployed: Deployment, figures: Figures) -> None:
    worker = deployed.start_worker()
    with load(deployed, 2_000), deployed._redis() as client:
        wait_until(deployed.published, 30, "a crossing")
        wait_until(lambda: rebalances(worker) == BEGINNINGS, 30, "the first assignments in the metrics")
        client.config_set("maxmemory", 1)
        worker.wait_for("score_paused")
        wait_until(lambda: store_errors([worker], "oom") >= 2, 30, "a second refusal")
        committed, end = log_offsets(deployed)
        wait_until(lambda: log_offsets(deployed)[1] > end + 20, 30, "more in the log")
        assert log_offsets(deployed)[0] == committed
        figures.lost(int(store_errors([worker], "oom")))
        client.config_set("maxmemory", 0)
        worker.wait_for("score_resumed")
    conclude(deployed, figures)
    assert rebalances(worker) == BEGINNINGS
    assert worker.terminate() == 0


@pytest.mark.experiment("7", BUSY)
def test_a_busy_redis_is_waited_for_without_a_rebalance(deployed: Deployment, figures: Figures) -> None:
    deployed.environ |= {"LEADSCORE_REDIS_TIMEOUT": "1s"}
    worker = deployed.start_worker()
    with load(deployed, 2_000), deployed._redis() as client:
        wait_until(deployed.published, 30, "a crossing")
        wait_until(lambda: rebalances(worker) == BEGINNINGS, 30, "the first assignments in the metrics")
        client.config_set("busy-reply-threshold", 500)
        with busy(deployed.redis.url):
            until_s = time.monotonic() + BUSY_S
            wait_until(lambda: time.monotonic() > until_s, BUSY_S + 10, "the time to pass")
            figures.lost(int(store_errors([worker], "busy") + store_errors([worker], "timeout")))
            assert worker.get("/livez")[0] == 200
        worker.wait_for("score_resumed")
    conclude(deployed, figures)
    assert store_errors([worker], "busy") > 0
    assert rebalances(worker) == BEGINNINGS
    assert worker.terminate() == 0


@contextmanager
def busy(url: str) -> Iterator[None]:
    """Another client runs a script that reads for ever; at the end it is killed, as an operator would."""

    def run() -> None:
        with redis.Redis.from_url(url, socket_timeout=None) as client, suppress(redis.RedisError):
            client.eval(ENDLESS, 0)

    script = Thread(target=run, daemon=True)
    script.start()
    try:
        yield
    finally:
        with redis.Redis.from_url(url) as client:
            client.script_kill()
        script.join(10)


@pytest.mark.experiment("8", FORGETS)
def test_a_redis_that_forgets_scripts_costs_nothing(deployed: Deployment, figures: Figures) -> None:
    worker = deployed.start_worker()
    with forgetting(deployed.redis.url), load(deployed, 2_000):
        wait_until(deployed.published, 30, "a crossing")
    conclude(deployed, figures)
    figures.lost(int(store_errors([worker], "noscript")))
    assert figures.losses
    assert worker.said("score_paused") == []
    assert worker.terminate() == 0


@contextmanager
def forgetting(url: str) -> Iterator[None]:
    """SCRIPT FLUSH at once, and every 100 ms from then on."""
    with redis.Redis.from_url(url) as client:
        client.script_flush()  # what is sent next may be done before the next one
        with repeated(client.script_flush, 0.1):
            yield


@contextmanager
def full(url: str) -> Iterator[None]:
    """Nothing may be written."""
    with redis.Redis.from_url(url) as client:
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", 0)


@contextmanager
def busy_soon(url: str) -> Iterator[None]:
    """Others are refused after a tenth of a second."""
    with redis.Redis.from_url(url) as client:
        client.config_set("busy-reply-threshold", 100)
    with busy(url):
        yield


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(full, marks=pytest.mark.experiment("5", FULL), id="full"),
        pytest.param(busy_soon, marks=pytest.mark.experiment("7", BUSY), id="busy"),
        pytest.param(forgetting, marks=pytest.mark.experiment("8", FORGETS), id="forgetting"),
    ],
)
def test_a_naive_worker_that_gives_up_what_redis_refuses_is_caught(
    deploy: Callable[..., Deployment],
    own_redis: RedisServer,
    figures: Figures,
    fault: Callable[[str], AbstractContextManager[None]],
) -> None:
    figures.control = "a naive worker that gives up what Redis refuses"
    deployment = deploy(UNDECAYED_MODEL)
    deployment.redis = own_redis
    sent = wandering_events(f"gives-up-{SEED}", 600, leads=64)
    naive = deployment.start_other(MODULE, **GIVES_UP)
    deployment.send_now(sent[:500])
    wait_until(lambda: naive_lag(deployment) == 0, 60, "the naive worker to be done")
    assert wrong_of_naive(deployment)[1] == []  # it is right as long as nothing is refused
    with fault(own_redis.url):
        deployment.send_now(sent[500:550])
        wait_until(lambda: KEY in naive.tail(), 30, "a refusal")
    deployment.send_now(sent[550:])
    wait_until(lambda: naive_lag(deployment) == 0, 60, "the naive worker to be done")
    figures.lost(naive.log_path.read_text().count(KEY))
    assert_caught(deployment, figures)
