"""What a store and its server answer, as the tests of several kinds of Redis ask it."""

from collections.abc import Callable

import pytest
import redis

from leadscore.errors import Unavailable
from leadscore.store.keys import ShardKeys
from leadscore.store.redis_store import RedisStore
from tests.store_contract import SHARDS


def ttl_ms_with(client: redis.Redis | redis.RedisCluster, prefix: str) -> Callable[[int, str], int | None]:
    """How to ask for the time that a lead's key has left; ``None``: for ever."""

    def ttl_ms_of(shard: int, lead_id: str) -> int | None:
        left_ms = client.pttl(ShardKeys(prefix, shard, SHARDS).lead(lead_id))
        return None if left_ms == -1 else int(left_ms)

    return ttl_ms_of


def calls_of(client: redis.Redis, command: str) -> int:
    """How often the server has run the command since its statistics were reset."""
    return int(client.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))


def kind_of_failure(call: Callable[[], object]) -> str:
    """The kind of failure of a call that Redis does not answer."""
    with pytest.raises(Unavailable) as caught:
        call()
    assert caught.value.service == "redis"
    return caught.value.kind


def fence_or_kind(store: RedisStore, shard: int = 0) -> bytes | str | None:
    """What a look at the shard gives: its fence, or the kind of failure."""
    try:
        return store.read_shards([shard])[shard].fence
    except Unavailable as failure:
        return failure.kind
