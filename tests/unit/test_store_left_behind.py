"""An error of Redis that is got over keeps nothing of the call, even where it refers to itself, as redis-py's may."""

from typing import Any

import pytest
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import OutOfMemoryError

from leadscore.store import routing
from leadscore.store.endpoints import Address, endpoint_of
from leadscore.store.routing import Router
from leadscore.store.sentinels import Sentinels
from tests.garbage import batches_left_by

FIRST, SECOND = Address("first", 1), Address("second", 2)


def ask(_: object, address: Address) -> Any:
    """The first is away."""
    if address == FIRST:
        error = LostConnection("away")  # this frame keeps it, and is in its traceback
        raise error
    return address


def test_a_sentinel_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sentinels, "_ask", ask)
    endpoints = [endpoint_of(f"redis+sentinel://{host}:{port}/service", 1.0) for host, port in (FIRST, SECOND)]
    sentinels = Sentinels(endpoints, None)
    assert batches_left_by(sentinels.master) == []
    assert sentinels.master() == SECOND


def test_a_node_of_a_cluster_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Router, "_ask_topology", ask)
    router = Router([f"redis://{host}:{port}" for host, port in (FIRST, SECOND)], 1.0)
    assert batches_left_by(router._discover) == []
    topology: Any = router._discover()
    assert topology == SECOND


def test_a_connection_that_is_lost_after_an_answer_was_an_error() -> None:
    class Connection:
        def __init__(self) -> None:
            self.errors = [OutOfMemoryError("OOM"), LostConnection("lost")]

        def read_response(self) -> None:
            raise self.errors.pop(0)

    def read() -> None:
        connection: Any = Connection()
        with pytest.raises(LostConnection):
            routing._read(connection, 2)

    assert batches_left_by(read) == []
