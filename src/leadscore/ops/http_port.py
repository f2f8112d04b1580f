"""A port for probes and scrapes that no client can hold up: one thread, and a bound for everything that it keeps.

A connection is for one request. It has ``REQUEST_TIMEOUT_S`` in all, however slowly its bytes come or go, and a head of
at most ``MAX_HEAD_BYTES``; a request's body is never read. While ``MAX_CONNECTIONS`` are open the oldest gives way to
the next, so that clients which open connections and say nothing keep nobody out: a request that has arrived is
answered as soon as its connection is accepted.
"""

import logging
import re
import selectors
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Thread

MAX_CONNECTIONS = 64
MAX_HEAD_BYTES = 8_192
REQUEST_TIMEOUT_S = 5.0
NO_DESCRIPTORS_PAUSE_S = 0.1

_BACKLOG = 128
_READ_BYTES = 4_096
_TEXT = "text/plain; charset=utf-8"
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_REQUEST_LINE = re.compile(rb"([A-Za-z]{1,32}) ([!-~]{1,2048}) HTTP/1\.[0-9]")
_ACCEPT = re.compile(rb"\naccept:([^\r\n]*)", re.IGNORECASE)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    status: HTTPStatus
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def text_answer(status: HTTPStatus, words: str, **headers: str) -> Answer:
    """A line of text, for people."""
    return Answer(status, _TEXT, f"{words}\n".encode(), headers)


Resources = Callable[[str, str], Answer]
"""The answer to a GET: by the path, and the formats that the client accepts."""

_MALFORMED = text_answer(HTTPStatus.BAD_REQUEST, "no HTTP/1 request")
_TOO_LARGE = text_answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the head is too large")
_ONLY_READING = text_answer(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD", Allow="GET, HEAD")
_BROKEN = text_answer(HTTPStatus.INTERNAL_SERVER_ERROR, "the answer failed, see the log")


class _Connection:
    """One client: what it sent of its request, then what it has not yet got of the answer, then nothing but its end."""

    __slots__ = ("deadline_s", "head", "is_answered", "socket", "unsent")

    def __init__(self, client: socket.socket, deadline_s: float) -> None:
        self.socket = client
        self.deadline_s = deadline_s
        self.head = bytearray()
        self.unsent = memoryview(b"")
        self.is_answered = False


class HttpPort:
    """The running server; ``port`` is the one it really listens on. ``OSError`` where the address cannot be had."""

    def __init__(self, host: str, port: int, resources: Resources) -> None:
        self._resources = resources
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        self.port = int(self._listener.getsockname()[1])
        self._listener.setblocking(False)
        self._open: dict[socket.socket, _Connection] = {}
        self._is_told, self._tell = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._is_told, selectors.EVENT_READ)
        self._thread = Thread(target=self._serve, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering and free the port."""
        self._tell.send(b"\0")
        self._thread.join()
        for client in list(self._open):
            self._drop(client)
        for one in (self._listener, self._is_told, self._tell, self._selector):
            one.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select(self._longest_wait_s()):
                if key.fileobj is self._is_told:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._open:  # else it gave way to another a moment ago
                    self._go_on(self._open[key.fileobj])
            self._drop_those_out_of_time()

    def _longest_wait_s(self) -> float | None:
        """Until the oldest connection, which is the first, is out of time."""
        oldest = next(iter(self._open.values()), None)
        return None if oldest is None else max(oldest.deadline_s - time.monotonic(), 0)

    def _drop_those_out_of_time(self) -> None:
        now_s = time.monotonic()
        for client in [one.socket for one in self._open.values() if one.deadline_s <= now_s]:
            self._drop(client)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:  # the process has no descriptor left: without a pause this would be tried at once, and for ever
            time.sleep(NO_DESCRIPTORS_PAUSE_S)
            return
        if len(self._open) >= MAX_CONNECTIONS:
            self._drop(next(iter(self._open)))
        client.setblocking(False)
        connection = _Connection(client, time.monotonic() + REQUEST_TIMEOUT_S)
        self._open[client] = connection
        self._selector.register(client, selectors.EVENT_READ)
        self._go_on(connection)

    def _drop(self, client: socket.socket) -> None:
        del self._open[client]
        self._selector.unregister(client)
        client.close()

    def _go_on(self, connection: _Connection) -> None:
        """Read or write what can be at once."""
        try:
            if connection.unsent:
                self._send(connection)
            else:
                self._read(connection)
        except BlockingIOError:
            pass
        except OSError:  # a client that went away does not matter
            self._drop(connection.socket)

    def _read(self, connection: _Connection) -> None:
        received = connection.socket.recv(_READ_BYTES)
        if not received:
            self._drop(connection.socket)
        elif not connection.is_answered:
            connection.head += received
            answer = self._answer(connection.head)
            if answer is not None:
                connection.head.clear()
                connection.is_answered = True
                connection.unsent = memoryview(answer)
                self._send(connection)

    def _send(self, connection: _Connection) -> None:
        with suppress(BlockingIOError):
            connection.unsent = connection.unsent[connection.socket.send(connection.unsent) :]
        if connection.unsent:
            self._selector.modify(connection.socket, selectors.EVENT_WRITE)
            return
        # What the client still sends is read and forgotten: an end with unread bytes would take the answer from it.
        connection.socket.shutdown(socket.SHUT_WR)
        self._selector.modify(connection.socket, selectors.EVENT_READ)

    def _answer(self, received: bytearray) -> bytes | None:
        """The bytes to send; ``None`` while the head of the request is not complete."""
        end = _END_OF_HEAD.search(received)
        if end is None and len(received) <= MAX_HEAD_BYTES:
            return None
        if end is None or end.start() > MAX_HEAD_BYTES:
            return _bytes_of(_TOO_LARGE, with_body=True)
        head = bytes(received[: end.start()])
        line = _REQUEST_LINE.fullmatch(head.splitlines()[0] if head else b"")
        if line is None:
            return _bytes_of(_MALFORMED, with_body=True)
        method = line[1]
        if method not in {b"GET", b"HEAD"}:
            return _bytes_of(_ONLY_READING, with_body=True)
        return _bytes_of(self._resource(line[2], head), with_body=method == b"GET")

    def _resource(self, target: bytes, head: bytes) -> Answer:
        path = target.partition(b"?")[0].decode("ascii")
        accept = _ACCEPT.search(head)
        try:
            return self._resources(path, accept[1].strip().decode("latin-1") if accept else "")
        except Exception:  # noqa: BLE001  # a bug in one answer must not end all others
            _log.exception("http_request_failed")
            return _BROKEN


def _bytes_of(answer: Answer, *, with_body: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Connection: close",
        *(f"{name}: {text}" for name, text in answer.headers.items()),
    ]
    head = "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n"
    return head + answer.body if with_body else head
