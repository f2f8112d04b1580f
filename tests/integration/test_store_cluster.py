"""The store on a real Redis Cluster of three masters: the contract, the spread of shards, and moved slots."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from leadscore.errors import ConfigError, Unavailable
from leadscore.events.event import Event
from leadscore.store.keys import ShardKeys
from leadscore.store.redis_store import RedisStore
from tests import permissions_page
from tests.deployment import LASTING_MODEL, Deployment, now_ms
from tests.integration.store_answers import calls_of, fence_or_kind, kind_of_failure, ttl_ms_with
from tests.redis_groups import MASTERS, Cluster, SlotMove, move_of, port_of, start_cluster
from tests.servers import LOOPBACK, KafkaServer, free_ports, redis_binaries, wait_until
from tests.store_contract import CONTRACT, EMPTY, SHARDS, Subject, everything, whole_shard

pytestmark = pytest.mark.lasting_leads


@pytest.fixture(params=list(redis_binaries()), scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield start_cluster(request.param, stack)


@pytest.fixture
def short_lived_cluster() -> Iterator[Cluster]:
    """A cluster for one test, which may break it."""
    with ExitStack() as stack:
        yield start_cluster(next(iter(redis_binaries())), stack)


@pytest.fixture
def prefix() -> str:
    return f"t{uuid4().hex[:12]}"


@pytest.fixture
def store(cluster: Cluster, prefix: str) -> Iterator[RedisStore]:
    with closing(RedisStore(cluster.urls[:1], prefix, SHARDS)) as opened:
        yield opened


def take_back(move: SlotMove, keys: ShardKeys) -> None:
    """As it was, for the next test."""
    back = SlotMove(move.slot, move.target, move.source)
    back.begin()
    back.take_all(keys)
    back.end()


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_the_store_on_a_cluster_keeps_the_contract(
    promise: Callable[[Subject], None], store: RedisStore, cluster: Cluster, prefix: str
) -> None:
    with closing(redis.RedisCluster.from_url(cluster.urls[0])) as client:
        promise(Subject(store, ttl_ms_with(client, prefix)))


def test_shards_are_spread_evenly_over_the_masters(store: RedisStore, cluster: Cluster, prefix: str) -> None:
    writes = [everything(shard, None, b"f1") for shard in range(SHARDS)]
    assert store.write(writes) == dict.fromkeys(range(SHARDS), b"f1")
    fences = [len(list(client.scan_iter(f"*{prefix}*:fence"))) for client in cluster.clients]
    assert sorted(fences) == [2, 3, 3]


def test_each_master_gets_its_calls_of_a_batch_once(store: RedisStore, cluster: Cluster) -> None:
    store.write([everything(shard, None, b"f1") for shard in range(SHARDS)])
    for client in cluster.clients:
        client.config_resetstat()
    store.write([everything(shard, b"f1", b"f2") for shard in range(SHARDS)])
    assert sum(calls_of(client, "evalsha") for client in cluster.clients) == SHARDS
    assert sum(calls_of(client, "command|getkeys") + calls_of(client, "eval") for client in cluster.clients) == 0


def test_only_the_node_that_lost_the_script_gets_it_again(store: RedisStore, cluster: Cluster) -> None:
    store.write([everything(shard, None, b"f1") for shard in range(SHARDS)])
    cluster.clients[1].script_flush()
    for client in cluster.clients:
        client.config_resetstat()
    written = store.write([everything(shard, b"f1", b"f2") for shard in range(SHARDS)])
    assert written == dict.fromkeys(range(SHARDS), b"f2")
    assert [calls_of(client, "eval") > 0 for client in cluster.clients] == [False, True, False]


def test_a_moved_slot_is_reported_once_and_then_found(store: RedisStore, cluster: Cluster, prefix: str) -> None:
    store.write([everything(shard, None, b"f1") for shard in range(SHARDS)])
    before = whole_shard(store, 0)
    keys = ShardKeys(prefix, 0, SHARDS)
    move = move_of(cluster, keys)
    move.begin()
    move.take_all(keys)
    move.end()
    assert kind_of_failure(lambda: store.write([everything(0, b"f1", b"f2")])) == "moved"
    assert whole_shard(store, 0) == before
    assert store.write([everything(shard, b"f1", b"f2") for shard in range(SHARDS)]) == dict.fromkeys(
        range(SHARDS), b"f2"
    )
    take_back(move, keys)


def test_a_shard_on_the_move_is_unavailable_until_it_has_arrived(
    store: RedisStore, cluster: Cluster, prefix: str
) -> None:
    store.write([everything(3, None, b"f1")])
    keys = ShardKeys(prefix, 3, SHARDS)
    move = move_of(cluster, keys)
    move.begin()
    try:
        move.take(keys.fence)
        assert kind_of_failure(lambda: store.write([everything(3, b"f1", b"f2")])) == "tryagain"
        assert kind_of_failure(lambda: store.read_shards([3])) == "ask"
        assert store.read_shards([4]) == {4: EMPTY}
        move.take(keys.outbox, keys.due, keys.erased, keys.lead("L1"), keys.lead("L2"))
    finally:
        move.end()
    wait_until(lambda: fence_or_kind(store, 3) == b"f1", message="the moved shard")
    assert store.write([everything(3, b"f1", b"f2")]) == {3: b"f2"}
    take_back(move, keys)


def test_one_master_that_may_evict_is_refused(store: RedisStore, cluster: Cluster) -> None:
    cluster.clients[2].config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(ConfigError, match=f":{port_of(cluster.servers[2])}: maxmemory-policy: allkeys-lru"):
            store.check_server(allow_eviction=False)
        assert len(store.check_server(allow_eviction=True).warnings) == 1
    finally:
        cluster.clients[2].config_set("maxmemory-policy", "noeviction")
    assert store.check_server(allow_eviction=False).masters == MASTERS


def test_a_lost_master_is_a_lost_connection_then_a_cluster_that_is_down(short_lived_cluster: Cluster) -> None:
    with closing(RedisStore(short_lived_cluster.urls[:1], "ls", SHARDS)) as store:
        store.write([everything(shard, None, b"f1") for shard in range(SHARDS)])
        short_lived_cluster.servers[0].stop()  # the only configured address: the others are known from before
        assert kind_of_failure(lambda: store.read_shards(range(SHARDS))) == "connection"
        last_shard = SHARDS - 1
        wait_until(lambda: fence_or_kind(store, last_shard) == "clusterdown", message="the cluster to notice")


def test_a_worker_starts_by_the_second_node_where_the_first_does_not_answer(
    cluster: Cluster, kafka: KafkaServer, prefix: str, fresh_name: Callable[[str], str], tmp_path: Path
) -> None:
    """It finds all masters by the one that answers, and scores on each of them."""
    deployment = Deployment(kafka, cluster.servers[1], (fresh_name("d"), prefix), tmp_path, LASTING_MODEL)
    deployment.create_topics(source_partitions=1)
    away = f"redis://{LOOPBACK}:{free_ports(1)[0]}/0"
    try:
        worker = deployment.start_worker(LEADSCORE_REDIS_URL=f"{away}, {cluster.urls[1]}")
        events = [Event("email.click", f"e-{number}", f"lead-{number}", now_ms(), {}) for number in range(20)]
        deployment.send_now(events)
        deployment.wait_until_done()
        assert all(deployment.stored([event.lead_id for event in events]).values())
        assert worker.said("starting")[0]["config"]["redis_url"] == f"{away},{cluster.urls[1]}"
        assert worker.terminate() == 0
    finally:
        deployment.stop()
    fences = [len(list(client.scan_iter(f"*{prefix}*:fence"))) for client in cluster.clients]
    assert all(fences)


def test_a_store_goes_by_any_of_its_addresses(cluster: Cluster, prefix: str) -> None:
    away = f"redis://{LOOPBACK}:{free_ports(1)[0]}/0"
    for urls in ([away, cluster.urls[2]], [cluster.urls[2], away], [away, away, *cluster.urls]):
        with closing(RedisStore(urls, prefix, SHARDS)) as store:
            assert store.read_shards(range(SHARDS)) == dict.fromkeys(range(SHARDS), EMPTY)
    with closing(RedisStore([away, away], prefix, SHARDS)) as store:
        assert kind_of_failure(lambda: store.read_shards([0])) == "connection"


def test_the_rights_of_the_page_and_cluster_slots_are_enough(cluster: Cluster, prefix: str) -> None:
    rules = permissions_page.redis_rules(prefix, "secret")
    urls = [url.replace("://", f"://{prefix}:secret@") for url in cluster.urls]
    for client in cluster.clients:
        client.execute_command("ACL", "SETUSER", prefix, *rules)
    with closing(RedisStore(urls, prefix, SHARDS)) as store, pytest.raises(Unavailable, match=r"'cluster\|slots'"):
        store.check_server(allow_eviction=False)
    for client in cluster.clients:
        client.execute_command("ACL", "SETUSER", prefix, "+cluster|slots")
    with closing(RedisStore(urls, prefix, SHARDS)) as store:
        assert store.check_server(allow_eviction=False).masters == MASTERS
        assert store.write([everything(shard, None, b"f1") for shard in range(SHARDS)]) == dict.fromkeys(
            range(SHARDS), b"f1"
        )
