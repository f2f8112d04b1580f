"""Experiments 4 and 6: Redis comes back empty while offsets are committed, and Redis evicts keys.

Here the processes and the memory are real; tests/e2e/test_state_loss.py deletes keys and switches the policy.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import redis

from tests.deployment import (
    FEW_RECENT,
    FEW_RECENT_EVENTS,
    LOG_PARTITIONS,
    WANDERING_MODEL,
    Deployment,
    WorkerProcess,
    assert_exact,
    wandering_events,
)
from tests.faults.judge import assert_holds
from tests.faults.report import Figures
from tests.faults.seen import copies, metric, readiness
from tests.redis_groups import port_of
from tests.servers import RedisServer, redis_binaries, start_redis, wait_until

pytestmark = pytest.mark.lasting_leads
KIND = next(iter(redis_binaries()), None)
LEADS = 64
LARGE = b"x" * 100_000


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def own_redis(servers: ExitStack, *options: str, port: int | None = None) -> RedisServer:
    assert KIND is not None
    return servers.enter_context(start_redis(KIND, *options, port=port))


def all_stopped(worker: WorkerProcess) -> bool:
    return len(worker.partitions_of("log_partitions_stopped")) == LOG_PARTITIONS


@pytest.mark.experiment("4", "an empty Redis is noticed, nothing is published, a rebuild is exact")
def test_a_redis_that_is_restarted_empty_stops_the_worker_and_a_rebuild_is_exact(
    deploy: Callable[..., Deployment], servers: ExitStack, figures: Figures
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= FEW_RECENT
    deployment.redis = own_redis(servers)
    events = wandering_events("empty", 900, LEADS)
    worker = deployment.start_worker()
    deployment.send_now(events[:600])
    deployment.wait_until_settled()
    published = copies(deployment)

    figures.killed()
    deployment.redis.stop()
    deployment.redis = own_redis(servers, port=port_of(deployment.redis))
    wait_until(lambda: all_stopped(worker), 60, "every partition to stop")
    deployment.send_now(events[600:])
    wait_until(lambda: "LEADSCORE_ON_STATE_LOSS=rebuild" in readiness(worker), 30, "what to do in the readiness")
    assert (copies(deployment), deployment.keys()) == (published, [])
    figures.note = f"stopped {LOG_PARTITIONS} partitions, published 0 of {len(published)} crossings again; then rebuilt"
    assert worker.terminate() == 0

    deployment.start_worker(LEADSCORE_ON_STATE_LOSS="rebuild")
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    assert_holds(deployment, figures)
    again = copies(deployment)
    assert {crossing_id: again[crossing_id] for crossing_id in published} == published


@pytest.mark.experiment("6", "a Redis that may evict is refused")
def test_a_redis_that_may_evict_is_refused_at_the_start(
    deploy: Callable[..., Deployment], servers: ExitStack, figures: Figures
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= FEW_RECENT
    deployment.redis = own_redis(servers, "--maxmemory-policy", "allkeys-lru")
    worker = deployment.start_worker()
    figures.note = "allkeys-lru at the start: exit code 2"
    worker.wait_for_death()
    assert worker.process.returncode == 2
    assert "maxmemory-policy: allkeys-lru: expected noeviction" in worker.tail()
    assert deployment.keys() == []


@pytest.mark.experiment("6", "evicted keys are noticed, a rebuild is exact")
def test_evicted_keys_pause_and_alert_and_a_rebuild_is_exact(
    deploy: Callable[..., Deployment], servers: ExitStack, figures: Figures
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= FEW_RECENT
    deployment.redis = own_redis(servers)
    events = wandering_events("evicted", 900, LEADS)
    worker = deployment.start_worker()
    deployment.send_now(events[:600])
    deployment.wait_until_settled()
    with deployment._redis() as client:
        evict(client)
        assert worker.wait_for("score_paused", 60)["kind"] == "eviction"
        deployment.send_now(events[600:])
        client.config_set("maxmemory-policy", "noeviction")
    told = worker.wait_for("redis_evicts_keys", 60)
    assert (told["level"], told["evicted_keys"] > 0) == ("error", True)
    assert metric([worker], "leadscore_store_evicted_keys") == told["evicted_keys"]
    assert worker.terminate() == 0

    figures.lost(int(told["evicted_keys"]))
    figures.note = "keys are evicted: paused and reported; then rebuilt"
    deployment.lose_fences()  # what that line says
    deployment.start_worker(LEADSCORE_ON_STATE_LOSS="rebuild")
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    assert_holds(deployment, figures)


def evict(client: "redis.Redis") -> None:
    """Fill the memory that is left with something else until Redis has evicted for it; then there is room again."""
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 2_000_000)
    for number in range(1_000):
        client.set(f"filler-{number}", LARGE)
        if client.info("stats")["evicted_keys"] > 50:
            break
    client.config_set("maxmemory", 0)
