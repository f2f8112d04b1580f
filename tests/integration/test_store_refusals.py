"""Each error that Redis may answer with: the store tells its kind, and the next call finds everything as it was."""

from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from leadscore.errors import Unavailable
from leadscore.store.failures import FailureKind
from leadscore.store.redis_store import RedisStore
from tests.garbage import batches_left_by
from tests.integration.store_answers import kind_of_failure
from tests.refusing_way import REFUSALS, RefusingWay
from tests.servers import RedisServer
from tests.store_contract import SHARDS, everything, whole_shard

WITHOUT_REPLY = {FailureKind.EVICTION, FailureKind.NO_MASTER}
"""What Redis says of itself, and what Sentinels say."""


@pytest.fixture
def way(redis_server: RedisServer) -> Iterator[RefusingWay]:
    with RefusingWay(redis_server) as opened:
        yield opened


@pytest.fixture
def store(way: RefusingWay, redis_prefix: str) -> Iterator[RedisStore]:
    with closing(RedisStore([way.url], redis_prefix, SHARDS, timeout_s=0.3)) as opened:
        yield opened


def test_there_is_an_answer_for_every_kind() -> None:
    assert REFUSALS.keys() | WITHOUT_REPLY == set(FailureKind)


@pytest.mark.lasting_leads
@pytest.mark.parametrize("kind", sorted(REFUSALS.keys() - {FailureKind.NOSCRIPT}))
def test_a_write_that_is_refused_is_told_of_by_its_kind_and_succeeds_later(
    kind: FailureKind, way: RefusingWay, store: RedisStore
) -> None:
    store.write([everything(shard, None, b"f1") for shard in (0, 1, 2)])
    way.refuse(REFUSALS[kind])
    writes = [everything(shard, b"f1", b"f2") for shard in (0, 1, 2)]
    assert kind_of_failure(lambda: store.write(writes)) == kind.value
    assert way.has_refused
    store.write(writes)
    assert [whole_shard(store, shard)[0].fence for shard in (0, 1, 2)] == [b"f2"] * 3
    assert whole_shard(store, 0)[0].outbox == {41: b"crossings by f2"}


@pytest.mark.lasting_leads
@pytest.mark.parametrize("kind", sorted(REFUSALS))
def test_a_refused_write_keeps_nothing_of_its_caller_in_memory(
    kind: FailureKind, way: RefusingWay, store: RedisStore
) -> None:
    store.write([everything(0, None, b"f1")])
    way.refuse(REFUSALS[kind])

    def write() -> None:
        with suppress(Unavailable):
            store.write([everything(0, b"f1", b"f2")])

    assert batches_left_by(write) == []
    assert way.has_refused


def look_everywhere(store: RedisStore) -> None:
    store.check_server(allow_eviction=False)
    whole_shard(store, 0)


@pytest.mark.lasting_leads
@pytest.mark.parametrize("command", [b"GET", b"MGET", b"INFO", b"ZRANGEBYSCORE"])
def test_a_read_that_is_refused_is_told_of_by_its_kind(command: bytes, way: RefusingWay, store: RedisStore) -> None:
    store.write([everything(0, None, b"f1")])
    before = whole_shard(store, 0)
    for kind, refusal in REFUSALS.items():
        if kind is FailureKind.NOSCRIPT:
            continue
        way.refuse(refusal, (command,))
        assert kind_of_failure(lambda: look_everywhere(store)) == kind.value
        assert whole_shard(store, 0) == before


@pytest.mark.lasting_leads
def test_only_the_write_whose_script_is_missing_is_sent_again(way: RefusingWay, store: RedisStore) -> None:
    store.write([everything(shard, None, b"f1") for shard in (0, 1, 2)])
    way.refuse(REFUSALS[FailureKind.NOSCRIPT])
    written = store.write([everything(shard, b"f1", b"f2") for shard in (0, 1, 2)])
    assert written == dict.fromkeys((0, 1, 2), b"f2")
    assert way.has_refused
