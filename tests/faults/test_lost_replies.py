"""Experiment 2: Redis does what it was told, and the reply never comes. And the naive worker, also on experiment 3."""

from collections.abc import Callable, Iterator

import pytest
import redis

from tests.deployment import FEW_RECENT, WANDERING_MODEL, Deployment, wandering_events
from tests.faults.judge import assert_holds
from tests.faults.load import Load
from tests.faults.naive_scores import UNDECAYED_MODEL, assert_caught, naive_lag, wrong_of_naive
from tests.faults.naive_worker import KEY, MODULE
from tests.faults.report import Figures
from tests.faults.sizes import SEED, events
from tests.faults.way import Way
from tests.servers import RedisServer, wait_until

pytestmark = pytest.mark.lasting_leads

SHARE = 0.05
CLAUSE = "a lost reply of Redis counts nothing twice"
WRITES = ("EVALSHA", "EVAL", "INCRBYFLOAT")
SMALL_BATCHES = {"LEADSCORE_BATCH_SIZE": "20", "LEADSCORE_SCORE_BATCH_FRAMES": "1"}


@pytest.mark.experiment("2", CLAUSE)
def test_a_lost_reply_of_redis_counts_nothing_twice(
    deploy: Callable[..., Deployment], redis_way: Way, figures: Figures
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= FEW_RECENT | SMALL_BATCHES | {"LEADSCORE_REDIS_URL": redis_way.redis_url}
    redis_way.lose_replies(WRITES, SHARE)
    worker = deployment.start_worker()
    with Load(deployment, wandering_events(f"lost-{SEED}", events(3_000), leads=64), poison=True):
        wait_until(deployment.published, 30, "a crossing")
    deployment.wait_until_settled()
    figures.lost(redis_way.lost.total())
    assert figures.losses, redis_way.carried
    assert_holds(deployment, figures)
    assert worker.terminate() == 0


@pytest.mark.experiment("2", CLAUSE)
def test_a_naive_worker_counts_twice_what_got_no_reply(
    deploy: Callable[..., Deployment], redis_way: Way, figures: Figures
) -> None:
    figures.control = "a naive worker that adds up in Redis"
    deployment = deploy(UNDECAYED_MODEL)
    sent = wandering_events(f"lost-{SEED}", 2_000, leads=64)
    deployment.start_other(MODULE, LEADSCORE_REDIS_URL=redis_way.redis_url)
    deployment.send_now(sent[:500])
    wait_until(lambda: naive_lag(deployment) == 0, 60, "the naive worker to be done")
    assert wrong_of_naive(deployment)[1] == []  # it is right as long as nothing is lost
    redis_way.lose_replies(WRITES, SHARE)
    deployment.send_now(sent[500:])
    wait_until(lambda: naive_lag(deployment) == 0, 60, "the naive worker to be done")
    figures.lost(redis_way.lost["INCRBYFLOAT"])
    assert_caught(deployment, figures)


@pytest.mark.experiment("3", "acknowledged writes that Redis loses are replayed from the log")
def test_a_naive_worker_never_sees_that_its_writes_are_lost(
    deploy: Callable[..., Deployment], figures: Figures
) -> None:
    figures.control = "a naive worker that adds up in Redis"
    deployment = deploy(UNDECAYED_MODEL)
    sent = wandering_events(f"lost-writes-{SEED}", 1_700, leads=64)
    deployment.start_other(MODULE)
    deployment.send_now(sent[:500])
    wait_until(lambda: naive_lag(deployment) == 0, 60, "the naive worker to be done")
    with deployment._redis() as client:
        old = {key: client.get(key) or b"0" for key in client.keys(f"{KEY}*")}
        deployment.send_now(sent[500:1_500])
        wait_until(lambda: naive_lag(deployment) == 0, 60, "writes to lose")
        client.mset(old)
    figures.lost(1_000)
    deployment.send_now(sent[1_500:])
    wait_until(lambda: naive_lag(deployment) == 0, 60, "the naive worker to be done")
    assert_caught(deployment, figures)


@pytest.fixture(autouse=True)
def _no_naive_keys(redis_server: RedisServer) -> Iterator[None]:
    yield
    with redis.Redis.from_url(redis_server.url) as client:
        client.delete(KEY, *client.keys(f"{KEY}*"))
