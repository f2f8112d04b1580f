"""Workers under load while a Redis of several servers changes: a failover by Sentinel, a cluster that loses a master.

And one that moves slots. Nothing may be lost, counted twice or published under another id.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from leadscore.events.event import Event
from leadscore.store.keys import ShardKeys
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
from tests.faults.load import Load
from tests.faults.report import Figures
from tests.faults.seen import copies, metric, store_errors
from tests.redis_groups import MASTERS, Cluster, SlotMove, Watched, move_of, start_cluster, start_watched
from tests.servers import KafkaServer, RedisServer, redis_binaries, wait_until

PREFIX = "leads"
LEADS = 64
LOSS = "acknowledged writes that Redis lost in a failover are replayed"
SLOTS = "slots that move under load are followed"
ACKNOWLEDGED_AND_LOST = 1_000
"""Events whose writes the old master has acknowledged, and no other server has got."""


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def deploy_on(
    kafka: KafkaServer, fresh_name: Callable[[str], str], tmp_path: Path
) -> Iterator[Callable[[RedisServer, str], Deployment]]:
    """``deploy_on(server, urls)`` is a deployment whose workers reach Redis by these addresses."""
    made: list[Deployment] = []

    def make(server: RedisServer, urls: str) -> Deployment:
        deployment = Deployment(kafka, replace(server, url=urls), (fresh_name("d"), PREFIX), tmp_path, WANDERING_MODEL)
        made.append(deployment)
        deployment.create_topics()
        deployment.environ |= FEW_RECENT | {"LEADSCORE_SCORE_BATCH_FRAMES": "4", "LEADSCORE_REDIS_TIMEOUT": "500ms"}
        return deployment

    yield make
    for deployment in made:
        deployment.stop()


@pytest.mark.experiment("3", LOSS)
def test_a_failover_by_sentinel_that_loses_acknowledged_writes_is_repaired(
    deploy_on: Callable[[RedisServer, str], Deployment], servers: ExitStack, figures: Figures
) -> None:
    watched = start_watched(next(iter(redis_binaries())), servers)
    deployment = deploy_on(watched.master, watched.url)
    workers = [deployment.start_worker() for _ in range(2)]
    events = wandering_events("sentinel", 600 + ACKNOWLEDGED_AND_LOST, LEADS)
    deployment.send_now(events[:300])
    deployment.wait_until_done()
    lost = lose_by_failover(deployment, watched, events[300:-300])

    deployment.send_now(events[-300:])
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    assert_holds(deployment, figures)
    assert metric(workers, "leadscore_state_regressions_total") >= LOG_PARTITIONS
    replayed = sum(line["lost_records"] for worker in workers for line in worker.said("state_regression"))
    assert replayed > 0
    again = copies(deployment)
    assert {crossing_id: again[crossing_id] for crossing_id in lost} == lost
    figures.killed()
    figures.lost(replayed)
    figures.note = (
        f"Sentinel: the writes of {ACKNOWLEDGED_AND_LOST} acknowledged events, {replayed} log records, are lost"
    )
    assert [worker.terminate() for worker in workers] == [0, 0]


def lose_by_failover(deployment: Deployment, watched: Watched, events: list[Event]) -> Counter[str]:
    """What was published of events whose writes are all acknowledged, committed and then lost."""
    watched.cut_replica_off()
    deployment.send_now(events)
    deployment.wait_until_done()
    published = copies(deployment)
    watched.fail_over()
    return published


@pytest.mark.experiment("3", LOSS)
def test_a_failover_that_an_operator_asks_for_costs_nothing_either(
    deploy_on: Callable[[RedisServer, str], Deployment], servers: ExitStack, figures: Figures
) -> None:
    """The old master lives, and acknowledges writes for some seconds more, which nobody keeps."""
    watched = start_watched(next(iter(redis_binaries())), servers)
    deployment = deploy_on(watched.master, watched.url)
    workers = [deployment.start_worker() for _ in range(2)]
    events = wandering_events("planned", 3_000, LEADS)
    with Load(deployment, events[:-300]):
        wait_until(deployment.published, 30, "a crossing")
        watched.ask_for_failover()
        workers.append(deployment.start_worker())  # by the new master, while the others may still use the old one
        watched.wait_until_demoted()
    deployment.send_now(events[-300:])
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    assert_holds(deployment, figures)
    regressions = metric(workers, "leadscore_state_regressions_total")
    figures.note = f"Sentinel: the old master lives; {regressions:g} shards were repaired"
    assert [worker.terminate() for worker in workers] == [0, 0, 0]


def on_cluster(
    deploy_on: Callable[[RedisServer, str], Deployment], servers: ExitStack, replicas: int
) -> tuple[Cluster, Deployment]:
    cluster = start_cluster(next(iter(redis_binaries())), servers, replicas)
    return cluster, deploy_on(cluster.servers[0], ",".join(cluster.urls))


def fences(cluster: Cluster, number: int) -> list[bytes]:
    """The fences of all shards of a master."""
    client = cluster.clients[number]
    return [cast("bytes", client.get(key)) for key in sorted(client.keys("*:fence"))]


def has_written_more(cluster: Cluster, number: int, written: list[bytes]) -> bool:
    return fences(cluster, number) != written


@pytest.mark.experiment("3", LOSS)
def test_a_cluster_that_loses_its_masters_under_load_goes_on_with_their_replicas(
    deploy_on: Callable[[RedisServer, str], Deployment], servers: ExitStack, figures: Figures
) -> None:
    cluster, deployment = on_cluster(deploy_on, servers, replicas=1)
    workers = [deployment.start_worker() for _ in range(2)]
    events = wandering_events("promotion", 6_000, LEADS)
    with Load(deployment, events, pause_s=0.15):
        wait_until(deployment.published, 30, "a crossing")
        for number in range(MASTERS):
            written = fences(cluster, number)
            cluster.cut_replica_off(number)
            wait_until(partial(has_written_more, cluster, number, written), 30, "writes that no replica has")
            cluster.kill_master(number)
            cluster.wait_for_promotion(number)
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    assert_holds(deployment, figures)
    assert store_errors(workers, "connection") + store_errors(workers, "timeout") >= MASTERS
    regressions = metric(workers, "leadscore_state_regressions_total")
    assert regressions > 0
    figures.killed(MASTERS)
    figures.note = f"Redis Cluster: replicas are promoted that lack writes; {regressions:g} shards were repaired"
    assert [worker.terminate() for worker in workers] == [0, 0]


@pytest.mark.experiment("3", SLOTS)
def test_slots_that_move_under_load_are_followed(
    deploy_on: Callable[[RedisServer, str], Deployment], servers: ExitStack, figures: Figures
) -> None:
    cluster, deployment = on_cluster(deploy_on, servers, replicas=0)
    workers = [deployment.start_worker() for _ in range(2)]
    events = wandering_events("slots", 3_000, LEADS)
    with Load(deployment, events):
        wait_until(deployment.published, 30, "a crossing")
        for shard in range(LOG_PARTITIONS):
            move_away(cluster, ShardKeys(PREFIX, shard, LOG_PARTITIONS), workers)
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    assert_holds(deployment, figures)
    assert store_errors(workers, "moved") > 0
    answers = ", ".join(f"{store_errors(workers, kind):g} {kind}" for kind in ("moved", "ask", "tryagain"))
    figures.note = f"Redis Cluster: {LOG_PARTITIONS} slots moved; answers: {answers}"
    assert [worker.terminate() for worker in workers] == [0, 0]


def move_away(cluster: Cluster, keys: ShardKeys, workers: list[WorkerProcess]) -> None:
    """Move the shard's slot key by key, and not on before a worker has met it half on its way."""
    move: SlotMove = move_of(cluster, keys)
    met_before = met(workers)
    move.begin()
    move.take(keys.fence)
    wait_until(lambda: met(workers) > met_before, 30, f"a worker to meet slot {keys.slot} on its way")
    while move.take_some(5):
        pass
    move.end()


def met(workers: list[WorkerProcess]) -> float:
    return store_errors(workers, "ask") + store_errors(workers, "tryagain")
