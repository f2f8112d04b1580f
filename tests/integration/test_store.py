"""The store on real servers: the contract on every kind of Redis, and what it does when the server fails."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial

import pytest
import redis

from leadscore.errors import ConfigError
from leadscore.store import routing
from leadscore.store.keys import ShardKeys
from leadscore.store.redis_store import RedisStore
from leadscore.store.shard import LeadWrite, ShardWrite
from tests.integration.store_answers import calls_of, fence_or_kind, kind_of_failure, ttl_ms_with
from tests.servers import RedisKind, RedisServer, redis_binaries, start_redis, wait_until
from tests.store_contract import CONTRACT, EMPTY, SHARDS, Subject, everything, whole_shard

pytestmark = pytest.mark.lasting_leads
PREFIX = "own"
FOR_EVER = "while true do end"


@pytest.fixture
def store(redis_server: RedisServer, redis_prefix: str) -> Iterator[RedisStore]:
    with closing(RedisStore([redis_server.url], redis_prefix, SHARDS)) as opened:
        yield opened


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with closing(redis.Redis.from_url(redis_server.url)) as opened:
        yield opened


@pytest.fixture(params=list(redis_binaries()), scope="module")
def own_server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server whose settings a test may change, one of each kind this machine has a program of."""
    with start_redis(request.param, "--enable-debug-command", "yes") as server:
        yield server


@pytest.fixture
def own_client(own_server: RedisServer) -> Iterator[redis.Redis]:
    with closing(redis.Redis.from_url(own_server.url)) as opened:
        opened.flushall()
        opened.config_resetstat()
        yield opened


@pytest.fixture
def own_store(own_server: RedisServer, own_client: redis.Redis) -> Iterator[RedisStore]:
    """An empty store on the own server, with a fence of ``f1`` in shard 0."""
    assert own_client.dbsize() == 0
    with closing(RedisStore([own_server.url], PREFIX, SHARDS, timeout_s=0.3)) as opened:
        opened.write([everything(0, None, b"f1")])
        yield opened


@contextmanager
def sent_without_waiting(server: RedisServer, *command: str | float) -> Iterator[None]:
    """The server is at work on this command meanwhile."""
    with closing(redis.Redis.from_url(server.url)) as client:
        connection = client.connection_pool.get_connection()
        connection.send_command(*command)
        yield
        connection.disconnect()


@pytest.mark.every_redis
@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_the_real_store_keeps_the_contract(
    promise: Callable[[Subject], None], store: RedisStore, client: redis.Redis, redis_prefix: str
) -> None:
    promise(Subject(store, ttl_ms_with(client, redis_prefix)))


@pytest.mark.every_redis
def test_two_prefixes_in_one_redis_do_not_meet(store: RedisStore, redis_server: RedisServer, redis_prefix: str) -> None:
    store.write([everything(shard, None, b"f1") for shard in range(SHARDS)])
    with closing(RedisStore([redis_server.url], f"{redis_prefix}a", SHARDS)) as other:
        assert set(map(repr, other.read_shards(range(SHARDS)).values())) == {repr(EMPTY)}


@pytest.mark.every_redis
def test_a_write_leaves_no_key_that_the_key_space_does_not_name(
    store: RedisStore, client: redis.Redis, redis_prefix: str
) -> None:
    store.write([everything(3, None, b"f1")])
    keys = ShardKeys(redis_prefix, 3, SHARDS)
    named = {keys.fence, keys.outbox, keys.due, keys.erased, keys.lead("L1"), keys.lead("L2")}
    assert {key.decode() for key in client.scan_iter(f"*{redis_prefix}*")} == named


def test_a_lost_script_is_sent_again_with_the_writes_that_missed_it(
    own_store: RedisStore, own_client: redis.Redis
) -> None:
    own_client.script_flush()
    own_client.config_resetstat()
    writes = [everything(shard, None, b"f1") for shard in (1, 2, 3)]
    assert own_store.write(writes) == {1: b"f1", 2: b"f1", 3: b"f1"}
    assert calls_of(own_client, "eval") == 3
    assert own_store.write([everything(1, b"f1", b"f2")]) == {1: b"f2"}
    assert calls_of(own_client, "eval") == 3


def test_a_lost_script_is_told_of_once_a_write(own_server: RedisServer, own_client: redis.Redis) -> None:
    told: list[str] = []
    with closing(RedisStore([own_server.url], PREFIX, SHARDS, on_lost_script=lambda: told.append("lost"))) as store:
        for fence in (b"f1", b"f2", b"f3"):
            own_client.script_flush()
            store.write([ShardWrite(shard=shard, expected=None, fence=fence) for shard in (1, 2, 3)])
    assert told == ["lost"] * 3


def test_an_unexpected_type_of_key_changes_nothing(own_store: RedisStore, own_client: redis.Redis) -> None:
    keys = ShardKeys(PREFIX, 1, SHARDS)
    for key in (keys.outbox, keys.due, keys.erased):
        own_client.set(key, "a string")
        assert kind_of_failure(lambda: own_store.write([everything(1, None, b"f1")])) == "other"
        own_client.delete(key)
        assert whole_shard(own_store, 1)[:2] == (EMPTY, [None, None])


def test_a_full_redis_changes_nothing_and_the_same_write_succeeds_later(
    own_store: RedisStore, own_client: redis.Redis
) -> None:
    before = whole_shard(own_store, 0)
    deletions = ShardWrite(
        shard=0, expected=b"f1", fence=b"f2", leads={"L1": LeadWrite(None, None)}, outbox_drop=[41], due={"L1": None}
    )
    own_client.config_set("maxmemory", 1)
    try:
        for write in (everything(0, b"f1", b"f2"), deletions):
            assert kind_of_failure(partial(own_store.write, [write])) == "oom"
            assert whole_shard(own_store, 0) == before
    finally:
        own_client.config_set("maxmemory", 0)
    assert own_store.write([deletions]) == {0: b"f2"}
    assert own_store.read_shards([0])[0].outbox == {}


def test_a_write_that_timed_out_but_happened_happens_once(
    own_store: RedisStore, own_server: RedisServer, own_client: redis.Redis
) -> None:
    own_client.config_resetstat()
    with sent_without_waiting(own_server, "DEBUG", "SLEEP", 0.7):
        assert kind_of_failure(lambda: own_store.write([everything(0, b"f1", b"f2")])) == "timeout"
        wait_until(lambda: calls_of(own_client, "evalsha"), message="the write that is not waited for")
    applied = whole_shard(own_store, 0)
    assert applied[0].fence == b"f2"
    assert own_store.write([everything(0, b"f1", b"f2")]) == {0: b"f2"}
    assert whole_shard(own_store, 0) == applied
    assert calls_of(own_client, "evalsha") == 2


def test_a_late_reply_never_answers_a_later_call(own_store: RedisStore, own_server: RedisServer) -> None:
    with sent_without_waiting(own_server, "DEBUG", "SLEEP", 0.5):
        assert kind_of_failure(lambda: own_store.read_leads({0: ["L1"]})) == "timeout"
        wait_until(lambda: fence_or_kind(own_store) != "timeout", message="the end of the sleep")
    assert fence_or_kind(own_store) == b"f1"


def test_an_interrupted_call_leaves_no_reply_behind(own_store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(routing, "_read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            own_store.read_leads({0: ["L1"]})
    assert own_store.read_shards([0])[0].fence == b"f1"


def test_a_redis_that_runs_a_long_script_is_busy(
    own_store: RedisStore, own_server: RedisServer, own_client: redis.Redis
) -> None:
    own_client.config_set("lua-time-limit", 20)
    with sent_without_waiting(own_server, "EVAL", FOR_EVER, 0):
        wait_until(lambda: fence_or_kind(own_store) == "busy", message="the server to call itself busy")
        assert kind_of_failure(lambda: own_store.write([everything(0, b"f1", b"f2")])) == "busy"
        own_client.script_kill()
    wait_until(lambda: fence_or_kind(own_store) == b"f1", message="the end of the script")
    own_client.config_set("lua-time-limit", 5_000)


def test_a_replica_is_readonly(own_store: RedisStore, own_client: redis.Redis) -> None:
    own_client.replicaof("127.0.0.1", 1)
    try:
        assert kind_of_failure(lambda: own_store.write([everything(0, b"f1", b"f2")])) == "readonly"
    finally:
        own_client.replicaof("NO", "ONE")
    assert own_store.read_shards([0])[0].fence == b"f1"
    assert own_store.write([everything(0, b"f1", b"f2")]) == {0: b"f2"}


def test_too_few_replicas_change_nothing(own_store: RedisStore, own_client: redis.Redis) -> None:
    own_client.config_set("min-replicas-to-write", 1)
    try:
        assert kind_of_failure(lambda: own_store.write([everything(0, b"f1", b"f2")])) == "noreplicas"
    finally:
        own_client.config_set("min-replicas-to-write", 0)
    assert own_store.read_shards([0])[0].fence == b"f1"


def test_a_lost_connection_is_reported_once_and_then_opened_again(
    own_store: RedisStore, own_client: redis.Redis
) -> None:
    own_client.client_kill_filter(_type="normal", skipme=True)
    assert kind_of_failure(lambda: own_store.read_shards([0])) == "connection"
    assert own_store.read_shards([0])[0].fence == b"f1"


@pytest.mark.parametrize("kind", list(redis_binaries()))
def test_a_killed_redis_is_a_lost_connection(kind: RedisKind) -> None:
    with start_redis(kind) as server, closing(RedisStore([server.url], PREFIX, SHARDS)) as store:
        store.write([everything(0, None, b"f1")])
        server.stop()
        assert kind_of_failure(lambda: store.write([everything(0, b"f1", b"f2")])) == "connection"
        assert kind_of_failure(lambda: store.read_shards([0])) == "connection"


@pytest.mark.parametrize("kind", list(redis_binaries()))
def test_a_wrong_password_is_reported_as_such(kind: RedisKind) -> None:
    with start_redis(kind) as server, closing(redis.Redis.from_url(server.url)) as client:
        client.config_set("requirepass", "right")
        for url in (server.url, server.url.replace("redis://", "redis://:wrong@")):
            with closing(RedisStore([url], PREFIX, SHARDS)) as store:
                assert kind_of_failure(partial(store.read_shards, [0])) == "auth"
        with closing(RedisStore([server.url.replace("redis://", "redis://:right@")], PREFIX, SHARDS)) as store:
            assert store.read_shards([0]) == {0: EMPTY}


def test_the_server_tells_its_facts(own_store: RedisStore, own_server: RedisServer) -> None:
    facts = own_store.check_server(allow_eviction=False)
    assert f"{facts.product} {facts.version}" == own_server.version.lower()
    assert (facts.masters, facts.eviction_policy, facts.warnings) == (1, "noeviction", ())


def test_a_redis_that_may_evict_is_refused_unless_allowed(own_store: RedisStore, own_client: redis.Redis) -> None:
    own_client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(ConfigError, match=r"127\.0\.0\.1:\d+: maxmemory-policy: allkeys-lru: expected noeviction"):
            own_store.check_server(allow_eviction=False)
        facts = own_store.check_server(allow_eviction=True)
    finally:
        own_client.config_set("maxmemory-policy", "noeviction")
    assert facts.eviction_policy == "allkeys-lru"
    assert len(facts.warnings) == 1


def test_several_addresses_that_are_no_cluster_are_refused(own_server: RedisServer) -> None:
    urls = [own_server.url, "redis://127.0.0.1:1/0"]
    with (
        closing(RedisStore(urls, PREFIX, SHARDS)) as store,
        pytest.raises(ConfigError, match="no cluster: expected one"),
    ):
        store.read_shards([0])


def test_another_database_of_the_server_is_another_store(own_store: RedisStore, own_server: RedisServer) -> None:
    with closing(RedisStore([own_server.url.removesuffix("0") + "1"], PREFIX, SHARDS)) as other:
        assert other.read_shards([0]) == {0: EMPTY}
    assert own_store.read_shards([0])[0].fence == b"f1"
