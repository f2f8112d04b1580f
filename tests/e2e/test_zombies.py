"""A worker that was away for so long that another took over, and then goes on as if nothing had happened."""

import socket
import socketserver
from collections.abc import Callable, Iterator
from threading import Event as Flag
from threading import Thread

import pytest

from tests.deployment import (
    FEW_RECENT,
    FEW_RECENT_EVENTS,
    LOG_PARTITIONS,
    WANDERING_MODEL,
    Deployment,
    WorkerProcess,
    assert_exact,
    wandering_events,
)
from tests.servers import RedisServer, wait_until

pytestmark = pytest.mark.lasting_leads

SHORT_SESSION = {"LEADSCORE_KAFKA__SESSION_TIMEOUT_MS": "6000", "LEADSCORE_KAFKA__HEARTBEAT_INTERVAL_MS": "500"}
SMALL_BATCHES = {"LEADSCORE_BATCH_SIZE": "20", "LEADSCORE_SCORE_BATCH_FRAMES": "2", "LEADSCORE_COMMIT_INTERVAL": "0s"}
CHUNK_BYTES = 65_536


class SlowWay(socketserver.ThreadingTCPServer):
    """A way to Redis on which writes can be held up and arrive late."""

    daemon_threads = True

    def __init__(self, redis: RedisServer) -> None:
        host, _, port = redis.url.removeprefix("redis://").partition("/")[0].rpartition(":")
        self.target = (host, int(port))
        self.hold = Flag()
        self.is_holding = Flag()
        self.let_go = Flag()
        super().__init__(("127.0.0.1", 0), _Traveller)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.server_address[1]}/0"


class _Traveller(socketserver.BaseRequestHandler):
    server: SlowWay

    def handle(self) -> None:
        with socket.create_connection(self.server.target) as redis:
            Thread(target=_carry, args=(redis, self.request), daemon=True).start()
            while chunk := self.request.recv(CHUNK_BYTES):
                if b"EVAL" in chunk and self.server.hold.is_set():
                    self.server.is_holding.set()
                    self.server.let_go.wait()
                redis.sendall(chunk)


def _carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while chunk := source.recv(CHUNK_BYTES):
            target.sendall(chunk)
    except OSError:
        return  # one end is gone


@pytest.fixture
def slow_way(redis_server: RedisServer) -> Iterator[SlowWay]:
    with SlowWay(redis_server) as way:
        Thread(target=way.serve_forever, args=(0.05,), daemon=True).start()
        yield way
        way.let_go.set()
        way.shutdown()


def has_every_shard(worker: WorkerProcess) -> bool:
    return {line["partition"] for line in worker.said("shard_started")} == set(range(LOG_PARTITIONS))


def test_a_write_that_arrives_after_another_worker_took_over_changes_nothing(
    deploy: Callable[..., Deployment], slow_way: SlowWay
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= SHORT_SESSION | FEW_RECENT
    events = wandering_events("load", 400)
    zombie = deployment.start_worker(LEADSCORE_REDIS_URL=slow_way.url, LEADSCORE_REDIS_TIMEOUT="60s")
    deployment.send_now(events[:100])
    deployment.wait_until_settled()
    slow_way.hold.set()
    deployment.send_now(events[100:103])  # few leads: were it written, it would not fit the others
    assert slow_way.is_holding.wait(20)
    zombie.freeze()

    successor = deployment.start_worker()
    deployment.send_now(events[103:300])
    wait_until(lambda: has_every_shard(successor), 30, "the successor to take over")
    deployment.wait_until_settled()
    slow_way.let_go.set()
    assert_exact(deployment, events[:300], FEW_RECENT_EVENTS)

    zombie.thaw()
    zombie.wait_for("fence_changed")
    deployment.send_now(events[300:])
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    assert successor.said("state_regression") == []
    assert [worker.terminate() for worker in (zombie, successor)] == [0, 0]


def test_a_worker_frozen_under_load_and_thawed_after_another_took_over_changes_nothing(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= SHORT_SESSION | SMALL_BATCHES | FEW_RECENT
    events = wandering_events("load", 500)
    zombie = deployment.start_worker()
    deployment.send_now(events[:300])
    wait_until(deployment.published, 30, "a crossing")
    zombie.freeze()

    successor = deployment.start_worker()
    deployment.send_now(events[300:400])
    wait_until(lambda: has_every_shard(successor), 30, "the successor to take over")
    deployment.send_now(events[400:])
    zombie.thaw()
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    assert successor.said("state_regression") == []
    assert [worker.terminate() for worker in (zombie, successor)] == [0, 0]
