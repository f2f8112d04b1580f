"""A worker under slow, greedy, wrong and many clients of its HTTP port scores on, is scraped, and grows no larger."""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from threading import Event as Flag
from threading import Thread

import pytest

from leadscore.ops.http_port import MAX_CONNECTIONS
from tests.deployment import WANDERING_MODEL, Deployment, WorkerProcess, assert_exact, wandering_events

CONNECTIONS = 4 * MAX_CONNECTIONS
HUGE_HEAD = b"GET /metrics HTTP/1.1\r\n" + b"X-Filler: " + b"x" * 2_000_000
SCRAPES = 40
MOST_GROWTH_KIB = 64 * 1024


def slow_clients(port: int, end: Flag) -> None:
    """Hold far more connections than there may be, and send of each request a byte now and then."""
    with ExitStack() as stack:
        clients: list[socket.socket] = []
        while not end.wait(0.01):
            with suppress(OSError):
                if len(clients) < CONNECTIONS:
                    client = socket.create_connection(("127.0.0.1", port), timeout=5)
                    clients.append(stack.enter_context(closing(client)))
            for client in clients[-MAX_CONNECTIONS:]:
                with suppress(OSError):
                    client.send(b"G")


def wrong_clients(port: int, end: Flag) -> None:
    """Heads without end, halves of requests, other protocols, answers that nobody fetches."""
    while not end.wait(0.01):
        for request in (HUGE_HEAD, b"GET /met", b"\x16\x03\x01\x02\x00", b"GET /metrics HTTP/1.1\r\n\r\n", b"\r\n\r\n"):
            with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as client:
                client.sendall(request)


@pytest.fixture
def attack() -> Iterator[Callable[[int], None]]:
    end, threads = Flag(), list[Thread]()

    def begin(port: int) -> None:
        for clients in (slow_clients, wrong_clients):
            threads.append(Thread(target=clients, args=(port, end), daemon=True))
            threads[-1].start()

    yield begin
    end.set()
    for thread in threads:
        thread.join(10)


def in_the_kernel(worker: WorkerProcess) -> dict[str, int]:
    """Threads and resident KiB of the process, and its open files."""
    process = Path("/proc") / str(worker.process.pid)
    counts = dict(re.findall(r"^(Threads|VmRSS):\s+(\d+)", (process / "status").read_text(), re.MULTILINE))
    return {**{name: int(number) for name, number in counts.items()}, "files": len(list((process / "fd").iterdir()))}


@pytest.mark.lasting_leads
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux about the process")
def test_no_client_of_the_http_port_disturbs_a_worker(
    deploy: Callable[..., Deployment], attack: Callable[[int], None]
) -> None:
    deployment = deploy(dict(WANDERING_MODEL))
    worker = deployment.start_worker()
    events = wandering_events(deployment.name, 400)
    deployment.send(events)
    deployment.wait_until_done()
    worker.wait_until_ready(30)
    before = in_the_kernel(worker)
    attack(worker.wait_for("listening")["port"])
    more = wandering_events(f"{deployment.name}-attacked", 400)
    deployment.send(more)
    for number in range(SCRAPES):
        status, body = worker.get(("/metrics", "/livez", "/readyz")[number % 3])
        assert status == 200, body
        assert body
    deployment.wait_until_settled()
    after = in_the_kernel(worker)
    assert after["Threads"] <= before["Threads"] + 1  # a client of Kafka may have begun another
    assert after["files"] <= before["files"] + MAX_CONNECTIONS + 10
    assert after["VmRSS"] <= before["VmRSS"] + MOST_GROWTH_KIB
    assert_exact(deployment, [*events, *more])
    assert worker.terminate() == 0
