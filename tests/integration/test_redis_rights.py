"""A Redis user with exactly the rights of docs/permissions.md: enough for all the store does, and none too many."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest
import redis

from leadscore.errors import Unavailable
from leadscore.ops.config import load_config
from leadscore.pipeline.stores import make_store
from leadscore.store.redis_store import RedisStore
from leadscore.store.shard import LeadWrite, ShardWrite
from tests import permissions_page
from tests.integration.store_answers import ttl_ms_with
from tests.servers import RedisServer, redis_binaries, start_redis
from tests.store_contract import CONTRACT, SHARDS, Subject, everything, whole_shard

USER, PASSWORD, PREFIX = "worker", "p/w#x@:%", "rights"


@pytest.fixture(params=list(redis_binaries()), scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with start_redis(request.param) as started:
        yield started


@pytest.fixture
def administrator(server: RedisServer) -> Iterator[redis.Redis]:
    with closing(redis.Redis.from_url(server.url)) as client:
        client.flushall()
        client.script_flush()
        yield client


def allow(administrator: redis.Redis, rules: Sequence[str]) -> None:
    administrator.execute_command("ACL", "SETUSER", USER, "reset", *rules)


def store_of(server: RedisServer, database: int = 0) -> RedisStore:
    """The store of the worker, logged in as the user of the page."""
    address = server.url.replace("://", f"://{USER}@").removesuffix("/0")
    variables = {
        "REDIS_URL": f"{address}/{database}",
        "REDIS_PASSWORD": PASSWORD,
        "REDIS_PREFIX": PREFIX,
        "LOG_PARTITIONS": str(SHARDS),
    }
    return make_store(load_config({f"LEADSCORE_{name}": text for name, text in variables.items()}))


def removal_and_more() -> ShardWrite:
    """A write that runs every command of the script."""
    return ShardWrite(
        shard=0,
        expected=b"f1",
        fence=b"f2",
        leads={"L1": LeadWrite(None, None), "L2": LeadWrite(b"two", None)},
        outbox={42: b"crossings"},
        outbox_drop=[41],
        due={"L1": None, "L2": 1},
        erased={b"hash": None},
    )


def use_everything(store: RedisStore) -> None:
    """Each command that the store ever sends, and each that its script runs."""
    store.check_server(allow_eviction=False)
    store.claim(b"owner")
    store.write([everything(0, None, b"f1")])
    store.write([removal_and_more()])
    store.read_shards([0])
    store.read_leads({0: ["L1"]})
    store.look_at_due([0], 1, 1)
    store.due_all(0)
    store.scan_leads()


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_the_store_keeps_its_contract_with_the_rights_of_the_page(
    promise: Callable[[Subject], None], server: RedisServer, administrator: redis.Redis
) -> None:
    allow(administrator, permissions_page.redis_rules(PREFIX, PASSWORD))
    with closing(store_of(server)) as store:
        store.check_server(allow_eviction=False)
        promise(Subject(store, ttl_ms_with(administrator, PREFIX)))


@pytest.mark.parametrize("right", permissions_page.redis_rights())
def test_without_any_one_of_the_rights_something_fails_by_name(
    right: str, server: RedisServer, administrator: redis.Redis
) -> None:
    rules = permissions_page.redis_rules(PREFIX, PASSWORD)
    is_pattern = right.startswith("~")
    lacking = [rule for rule in rules if not (rule.startswith("~") if is_pattern else rule == right)]
    assert len(lacking) == len(rules) - 1
    allow(administrator, lacking)
    with closing(store_of(server)) as store, pytest.raises(Unavailable) as caught:
        use_everything(store)
    assert caught.value.kind == "auth"
    name = "key" if is_pattern else f"'{right.removeprefix('+')}'"
    # Redis 7.0 does not say which command of a script it is; of those that write, the script says it itself.
    is_unnamed = right in {"+hlen", "+zcard"} and "Redis 7.0" in server.version
    assert (name in caught.value.detail) != is_unnamed


@pytest.mark.parametrize("right", [right for right in permissions_page.redis_rights() if right.startswith("+")])
def test_redis_tells_which_right_is_missing_and_nothing_is_written(
    right: str, server: RedisServer, administrator: redis.Redis
) -> None:
    rules = permissions_page.redis_rules(PREFIX, PASSWORD)
    allow(administrator, rules)
    with closing(store_of(server)) as store:
        assert store.missing_rights() == []
        allow(administrator, [rule for rule in rules if rule != right])
        if right == "+eval":  # it is what asks
            with pytest.raises(Unavailable, match="'eval'"):
                store.missing_rights()
        else:
            assert store.missing_rights() == [right.removeprefix("+")]
    assert administrator.keys() == []


def test_another_prefix_lacks_every_right_on_keys(server: RedisServer, administrator: redis.Redis) -> None:
    allow(administrator, [*permissions_page.redis_rules("other", PASSWORD), "~{rights:0}:fence"])
    with closing(store_of(server)) as store, pytest.raises(Unavailable, match="auth"):
        store.missing_rights()


@pytest.mark.parametrize("right", ["+del", "+hset", "+hdel", "+zadd", "+zrem"])
def test_a_write_that_lacks_a_right_changes_nothing(
    right: str, server: RedisServer, administrator: redis.Redis
) -> None:
    """Redis undoes nothing of a script: the fence of a batch without its crossings would lose these for good."""
    rules = permissions_page.redis_rules(PREFIX, PASSWORD)
    allow(administrator, rules)
    with closing(store_of(server)) as store:
        store.write([everything(0, None, b"f1")])
        before = whole_shard(store, 0)
        allow(administrator, [rule for rule in rules if rule != right])
        with pytest.raises(Unavailable, match="auth"):
            store.write([removal_and_more()])
        assert whole_shard(store, 0) == before


def test_the_keys_of_another_prefix_are_out_of_reach(server: RedisServer, administrator: redis.Redis) -> None:
    allow(administrator, permissions_page.redis_rules("other", PASSWORD))
    with closing(store_of(server)) as store, pytest.raises(Unavailable, match="auth"):
        store.read_shards([0])


def test_another_database_needs_select(server: RedisServer, administrator: redis.Redis) -> None:
    rules = permissions_page.redis_rules(PREFIX, PASSWORD)
    allow(administrator, rules)
    with closing(store_of(server, database=1)) as store, pytest.raises(Unavailable, match="'select'"):
        store.check_server(allow_eviction=False)
    allow(administrator, [*rules, "+select"])
    with closing(store_of(server, database=1)) as store:
        use_everything(store)


def test_the_tables_of_the_page_give_a_reason_for_every_right() -> None:
    commands = [right for right in permissions_page.redis_rights() if right.startswith("+")]
    assert sorted(permissions_page.rights_in_tables()) == sorted([*commands, "+cluster|slots", "+select"])
