"""The fake store keeps the contract, and loses and fails as told."""

from collections.abc import Callable

import pytest

from leadscore.errors import Unavailable
from tests.store_contract import CONTRACT, EMPTY, Subject, everything
from tests.unit.fake_store import FakeStore


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_the_fake_keeps_the_contract(promise: Callable[[Subject], None]) -> None:
    store = FakeStore()
    promise(Subject(store, lambda shard, lead_id: store.shards[shard].ttls_ms.get(lead_id)))


def test_calls_are_noted_in_the_shared_journal_in_order() -> None:
    journal: list[tuple[str, object]] = [("log.poll", None)]
    store = FakeStore(journal)
    write = everything(0, None, b"f1")
    store.read_leads({0: ["L1"]})
    store.write([write])
    store.close()
    assert journal == [
        ("log.poll", None),
        ("store.read_leads", {0: ["L1"]}),
        ("store.write", [write]),
        ("store.close", None),
    ]


def test_a_planned_failure_comes_once_before_the_work() -> None:
    store = FakeStore()
    store.fail_next("write", "connection")
    with pytest.raises(Unavailable, match="connection"):
        store.write([everything(0, None, b"f1")])
    assert store.read_shards([0]) == {0: EMPTY}
    assert store.write([everything(0, None, b"f1")]) == {0: b"f1"}


def test_a_planned_failure_may_come_after_the_work() -> None:
    store = FakeStore()
    store.fail_next("write", "timeout", after=True)
    with pytest.raises(Unavailable, match="timeout"):
        store.write([everything(0, None, b"f1")])
    assert store.read_shards([0])[0].fence == b"f1"


def test_acknowledged_writes_can_be_lost() -> None:
    store = FakeStore()
    store.write([everything(0, None, b"f1")])
    survived = store.snapshot()
    store.write([everything(0, b"f1", b"f2")])
    store.go_back_to(survived)
    assert store.read_shards([0])[0].fence == b"f1"
    store.forget_everything()
    assert store.read_shards([0]) == {0: EMPTY}
