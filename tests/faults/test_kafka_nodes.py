"""Experiments 15 and 16: nodes of a Kafka of three are killed under load, leaders and coordinators of everything move.

Every topic has three replicas and needs two of them in sync. That a partition has only one left is shown on topics with
two replicas: with three, the second dead node would take the quorum of the controllers along.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import pytest
from confluent_kafka import KafkaException

from leadscore.ops.config import load_config
from leadscore.pipeline.build_outputs import transactional_id
from tests.deployment import (
    FEW_RECENT,
    FEW_RECENT_EVENTS,
    LOG_PARTITIONS,
    WANDERING_MODEL,
    Deployment,
    assert_exact,
    wandering_events,
)
from tests.faults.kafka_cluster import KafkaCluster, kafka_cluster
from tests.faults.load import Load
from tests.faults.lost_records import place_of
from tests.faults.report import Figures
from tests.faults.seen import copies, metric, readiness
from tests.faults.sizes import kills
from tests.servers import RedisServer, wait_until

pytestmark = [pytest.mark.lasting_leads, pytest.mark.timeout(600)]

NODES, IN_SYNC, KILLED = 3, 2, kills(1)
TRANSACTIONAL = {"LEADSCORE_DELIVERY": "transactional"}
INSTANCE = "worker-0"
STATIC = {"LEADSCORE_KAFKA__GROUP_INSTANCE_ID": "worker-0"}


class Kill(NamedTuple):
    """A node, and how many partitions of the log it led."""

    node: int
    leaders: int


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with kafka_cluster(NODES, f"min.insync.replicas={IN_SYNC}") as running:
        yield running


@pytest.fixture
def deploy_with(
    cluster: KafkaCluster,
    redis_server: RedisServer,
    redis_prefix: str,
    fresh_name: Callable[[str], str],
    tmp_path: Path,
) -> Iterator[Callable[[int], Deployment]]:
    """``deploy_with(3)`` is a deployment whose topics have three replicas."""
    with ExitStack() as ending:

        def make(replicas: int) -> Deployment:
            made = Deployment(cluster.server, redis_server, (fresh_name("d"), redis_prefix), tmp_path, WANDERING_MODEL)
            made.environ |= FEW_RECENT
            cluster.start_all()
            made.create_topics(replicas=replicas)
            ending.callback(made.stop)
            return made

        yield make
        cluster.start_all()


def leaders_of_log(deployment: Deployment, cluster: KafkaCluster) -> dict[int, int]:
    return cluster.partitions(deployment.topic("log"))


def kill(deployment: Deployment, cluster: KafkaCluster, dead: int) -> Kill:
    """And wait until others do its work."""
    leaders = leaders_of_log(deployment, cluster)
    cluster.nodes[dead].kill()
    wait_until(lambda: cluster.controller() != dead, 60, "another controller")
    wait_until(lambda: dead not in leaders_of_log(deployment, cluster).values(), 60, "other leaders")
    return Kill(dead, sum(leader == dead for leader in leaders.values()))


def coordinator(cluster: KafkaCluster, topic: str, name: str) -> int:
    """The node that keeps the state under this name: by Java's hash of it, as brokers find it."""
    hashed = 0
    for character in name:
        hashed = (31 * hashed + ord(character)) & 0xFFFFFFFF
    partitions = cluster.partitions(topic)
    return partitions[(hashed & 0x7FFFFFFF) % len(partitions)]


def wait_for_progress(deployment: Deployment) -> None:
    def committed() -> int:
        try:
            return sum(place_of(deployment, "score", "log", number).committed for number in range(LOG_PARTITIONS))
        except KafkaException:
            return 0  # a new leader does not know at once what its followers have

    before = wait_until(committed, 60, "the committed offsets")
    wait_until(lambda: committed() > before, 60, "the worker to go on with two nodes")


@pytest.mark.experiment("16", "a dead node, its leaders and the controller cost nothing")
@pytest.mark.parametrize("delivery", [{}, TRANSACTIONAL], ids=["at_least_once", "transactional"])
def test_the_controller_and_leaders_are_killed_one_after_the_other_and_nothing_is_lost(
    deploy_with: Callable[[int], Deployment],
    cluster: KafkaCluster,
    delivery: dict[str, str],
    figures: Figures,
) -> None:
    deployment = deploy_with(NODES)
    events = wandering_events("nodes", 1_500)
    worker = deployment.start_worker(**delivery, **STATIC)
    worker.wait_for("shards_started")
    moved = 0
    with Load(deployment, events, pause_s=0.3):
        for _ in range(KILLED):
            killed = kill(deployment, cluster, cluster.controller())
            moved += killed.leaders
            wait_for_progress(deployment)
            cluster.nodes[killed.node].start()
            cluster.wait_until_in_sync(deployment.name, NODES)
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    assert len(deployment.read("dead-letters")) == 0
    assert deployment.open_transactions() == []
    assert worker.said("kafka_away") == []  # two of three nodes have answered all the time
    assert worker.terminate() == 0
    figures.killed(KILLED)
    figures.events, figures.violations = len(events), 0
    published = copies(deployment)
    figures.note = f"{moved} leaders of the log moved; {len(published)} crossings, {published.total()} records"


@pytest.mark.experiment("15", "a dead coordinator of transactions repeats nothing, and leaves none open")
@pytest.mark.parametrize("of_group", [False, True], ids=["of_transactions", "of_the_group"])
def test_the_node_that_coordinates_the_transactions_is_killed_within_one_and_nothing_is_repeated(
    deploy_with: Callable[[int], Deployment],
    cluster: KafkaCluster,
    figures: Figures,
    of_group: bool,
) -> None:
    deployment = deploy_with(NODES)
    events = wandering_events("coordinator", 1_500)
    worker = deployment.start_worker(**TRANSACTIONAL, LEADSCORE_INSTANCE=INSTANCE)
    worker.wait_for("shards_started")
    name = transactional_id(load_config(deployment.config(**TRANSACTIONAL, LEADSCORE_INSTANCE=INSTANCE)))
    state = ("__consumer_offsets", f"{deployment.name}-score") if of_group else ("__transaction_state", name)
    with Load(deployment, events, pause_s=0.3):
        for _ in range(KILLED):
            wait_until(deployment.open_transactions, 60, "an open transaction")
            killed = kill(deployment, cluster, coordinator(cluster, *state))
            assert coordinator(cluster, *state) != killed.node
            wait_for_progress(deployment)
            cluster.nodes[killed.node].start()
            cluster.wait_until_in_sync(deployment.name, NODES)
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    published = copies(deployment)
    assert published.total() == len(published)
    assert deployment.open_transactions() == []
    assert worker.terminate() == 0
    figures.killed(KILLED)
    figures.events, figures.violations = len(events), 0
    figures.note = f"{len(published)} crossings, each once"


@pytest.mark.experiment("16", "with one replica in sync nothing is stored, and the worker says so")
def test_with_one_replica_in_sync_nothing_is_stored_and_the_worker_says_so(
    deploy_with: Callable[[int], Deployment], cluster: KafkaCluster, figures: Figures
) -> None:
    deployment = deploy_with(IN_SYNC)
    events = wandering_events("in-sync", 600)
    worker = deployment.start_worker()
    deployment.send_now(events[:300])
    deployment.wait_until_settled()
    wait_until(lambda: not readiness(worker), 30, "readiness")
    dead = leaders_of_log(deployment, cluster)[0]
    cluster.nodes[dead].kill()
    wait_until(lambda: dead not in leaders_of_log(deployment, cluster).values(), 60, "other leaders")
    refused = Thread(target=deployment.send_now, args=(events[300:],))
    refused.start()  # what the topics refuse waits in the producer of the test
    wait_until(lambda: "not acknowledged" in readiness(worker), 60, "unreadiness because nothing is acknowledged")
    assert metric([worker], 'leadscore_paused{stage="match"}') == 1
    cluster.nodes[dead].start()
    wait_until(lambda: not readiness(worker), 120, "readiness again")
    refused.join()
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    assert worker.terminate() == 0
    figures.killed()
    figures.events, figures.violations = len(events), 0
    figures.note = "unready until the second replica was back"
