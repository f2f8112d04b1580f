"""What the Redis store makes of a server's answers, without a server."""

from collections.abc import Sequence

import pytest

from leadscore.errors import ConfigError
from leadscore.store.endpoints import Address, Command, Reply
from leadscore.store.keys import ShardKeys
from leadscore.store.redis_store import RedisStore
from leadscore.store.routing import Call, Router
from leadscore.store.shard import ServerFacts

FIRST, SECOND = Address("first", 6379), Address("second", 6380)


def store_told(monkeypatch: pytest.MonkeyPatch, *infos: bytes) -> RedisStore:
    """A store whose masters answer INFO so."""
    answers = dict(zip((FIRST, SECOND), infos, strict=False))
    monkeypatch.setattr(Router, "call_masters", lambda _router, _command: answers)
    return RedisStore(["redis://first:6379/0"], "ls", 4)


def test_a_server_that_does_not_tell_its_policy_is_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = store_told(monkeypatch, b"# Server\r\nredis_version:9.0\r\n").check_server(allow_eviction=False)
    warning = "redis first:6379: maxmemory-policy cannot be read: expected noeviction"
    assert facts == ServerFacts("redis", "9.0", masters=1, eviction_policy=None, warnings=(warning,))


def test_every_master_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_told(monkeypatch, b"maxmemory_policy:noeviction\r\n", b"maxmemory_policy:volatile-ttl\r\n")
    with pytest.raises(ConfigError, match="redis second:6380: maxmemory-policy: volatile-ttl: expected noeviction"):
        store.check_server(allow_eviction=False)
    assert store.check_server(allow_eviction=True).eviction_policy == "volatile-ttl"


def test_a_look_at_a_server_is_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Command] = []
    info = b"maxmemory_policy:noeviction\r\ncmdstat_evalsha:calls=3,usec=500000\r\ncmdstat_eval:calls=1,usec=250000\r\n"

    def answer(_router: Router, command: Command) -> dict[Address, Reply]:
        asked.append(command)
        return {FIRST: info, SECOND: info}

    monkeypatch.setattr(Router, "call_masters", answer)
    facts = RedisStore(["redis://first:6379/0"], "ls", 4).check_server(allow_eviction=False)
    assert (facts.script_calls, facts.script_s, len(asked)) == (8, 1.5, 1)


def test_the_fence_is_read_before_what_must_not_be_older(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Command] = []

    def answer(_router: Router, calls: Sequence[Call]) -> list[Reply]:
        asked.extend(call.command for call in calls)
        return [b"f1", [], []]

    monkeypatch.setattr(Router, "call", answer)
    assert RedisStore(["redis://first:6379/0"], "ls", 4).read_shards([2])[2].fence == b"f1"
    keys = ShardKeys("ls", 2, 4)
    assert asked == [("GET", keys.fence), ("HGETALL", keys.outbox), ("HGETALL", keys.erased)]


def test_valkey_is_known_by_its_own_version(monkeypatch: pytest.MonkeyPatch) -> None:
    info = b"redis_version:7.2.4\r\nvalkey_version:9.1.2\r\nmaxmemory_policy:noeviction\r\n"
    facts = store_told(monkeypatch, info).check_server(allow_eviction=False)
    assert facts == ServerFacts("valkey", "9.1.2", masters=1, eviction_policy="noeviction", warnings=())
