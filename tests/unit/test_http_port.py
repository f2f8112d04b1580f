"""The HTTP port under clients that are slow, wrong, greedy or many: probes and scrapes are answered all the while."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http import HTTPStatus

import pytest

from leadscore.ops import http_port
from leadscore.ops.http_port import MAX_CONNECTIONS, MAX_HEAD_BYTES, Answer, HttpPort, text_answer
from tests.servers import wait_until

LARGE = b"x" * 32_000_000
"""More than the buffers of a connection hold."""


def resources(path: str, accept: str) -> Answer:
    if path == "/large":
        return Answer(HTTPStatus.OK, "text/plain", LARGE)
    return text_answer(HTTPStatus.OK, f"{path} {accept}")


@pytest.fixture
def port() -> Iterator[HttpPort]:
    with closing(HttpPort("127.0.0.1", 0, resources)) as port:
        yield port


@pytest.fixture
def hurried_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpPort]:
    """A request has a fifth of a second."""
    monkeypatch.setattr(http_port, "REQUEST_TIMEOUT_S", 0.2)
    with closing(HttpPort("127.0.0.1", 0, resources)) as port:
        yield port


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connect(port: HttpPort, clients: ExitStack) -> socket.socket:
    return clients.enter_context(closing(socket.create_connection(("127.0.0.1", port.port), timeout=10)))


def answers(port: HttpPort) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port.port, timeout=10)) as connection:
        connection.request("GET", "/livez", headers={"Accept": "text/x"})
        return connection.getresponse().read() == b"/livez text/x\n"


def raw(port: HttpPort, request: bytes) -> bytes:
    """What comes back, up to the end of the connection; an answer must reach also a client that sends too much."""
    with closing(socket.create_connection(("127.0.0.1", port.port), timeout=10)) as client:
        client.sendall(request)
        return client.makefile("rb").read()


def trickle(client: socket.socket) -> None:
    """Each byte comes in time for a limit on the wait for the next, but not for one on the whole."""
    for _ in range(500):
        client.sendall(b"x")
        time.sleep(0.02)


@pytest.mark.parametrize("beginning", [b"", b"G", b"GET /livez HTTP/1.1\r\nHost: w\r\n"], ids=["", "G", "half"])
def test_clients_that_hold_more_connections_than_there_may_be_keep_no_probe_out(
    port: HttpPort, clients: ExitStack, beginning: bytes
) -> None:
    threads = threading.active_count()
    for _ in range(3 * MAX_CONNECTIONS):
        connect(port, clients).sendall(beginning)
        assert len(port._open) <= MAX_CONNECTIONS
    assert answers(port)
    assert answers(port)
    assert threading.active_count() == threads


def test_a_request_has_its_time_however_slowly_its_bytes_come(hurried_port: HttpPort, clients: ExitStack) -> None:
    slow = connect(hurried_port, clients)
    with pytest.raises(ConnectionError):
        trickle(slow)
    assert answers(hurried_port)


def test_an_answer_that_is_not_fetched_is_given_up(hurried_port: HttpPort, clients: ExitStack) -> None:
    greedy = connect(hurried_port, clients)
    greedy.sendall(b"GET /large HTTP/1.1\r\n\r\n")
    assert greedy.recv(1)
    assert answers(hurried_port)
    wait_until(lambda: not hurried_port._open, 10, "the connection to be dropped")


def test_a_large_answer_reaches_a_client_that_fetches_it(port: HttpPort) -> None:
    assert raw(port, b"GET /large HTTP/1.1\r\n\r\n").partition(b"\r\n\r\n")[2] == LARGE


@pytest.mark.parametrize(
    "head",
    [b"A" * 1_000_000, b"GET /" + b"a" * 1_000_000, b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 100_000],
    ids=["no line", "a long path", "many headers"],
)
def test_a_huge_head_is_refused_and_not_kept(port: HttpPort, clients: ExitStack, head: bytes) -> None:
    client = connect(port, clients)
    client.sendall(head)
    assert client.recv(12) == b"HTTP/1.1 431"
    assert all(len(connection.head) <= MAX_HEAD_BYTES for connection in port._open.values())
    assert answers(port)


@pytest.mark.parametrize(
    "request_head",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"GET /livez HTTP/2\r\n\r\n",
        b"GET  /livez HTTP/1.1\r\n\r\n",
        b"GET /l\xc3\xa4 HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_request_is_told_so(port: HttpPort, request_head: bytes) -> None:
    assert raw(port, request_head).startswith(b"HTTP/1.1 400 ")
    assert answers(port)


def test_the_body_of_a_refused_request_is_not_read_but_the_refusal_arrives(port: HttpPort) -> None:
    head = b"POST /livez HTTP/1.1\r\nContent-Length: 100000\r\n\r\n"
    assert raw(port, head + b"z" * 100_000).startswith(b"HTTP/1.1 405 ")


def test_one_request_a_connection(port: HttpPort) -> None:
    answer = raw(port, b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
    assert b"Connection: close" in answer
    assert answer.endswith(b"/a \n")


def test_lines_may_end_without_a_carriage_return(port: HttpPort) -> None:
    assert raw(port, b"GET /a?b=c HTTP/1.0\nACCEPT: q\n\n").endswith(b"/a q\n")


def test_clients_that_go_away_leave_nothing(port: HttpPort) -> None:
    for request in (b"", b"GET /livez", b"GET /large HTTP/1.1\r\n\r\n"):
        with closing(socket.create_connection(("127.0.0.1", port.port), timeout=10)) as client:
            client.sendall(request)
    assert answers(port)
    wait_until(lambda: not port._open, 10, "all connections to be closed")


def test_a_port_closes_with_clients_still_on_it(clients: ExitStack) -> None:
    with closing(HttpPort("127.0.0.1", 0, resources)) as port:
        waiting = connect(port, clients)
        waiting.sendall(b"GET /livez")
        assert answers(port)
    assert waiting.recv(1) == b""
