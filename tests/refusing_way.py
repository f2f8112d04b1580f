"""A way to Redis on which a command gets an error for its answer, as a server says it, or the connection is lost."""

import socket
import socketserver
from collections.abc import Callable
from contextlib import suppress
from io import BufferedReader
from threading import Lock, Thread
from typing import Self
from urllib.parse import urlsplit

from leadscore.store.failures import FailureKind
from tests.servers import LOOPBACK, RedisServer

CLOSE, SILENCE = b"close", b"silence"
"""Instead of an error: the connection is closed, or the answer never comes."""
REFUSALS: dict[FailureKind, bytes] = {
    FailureKind.TIMEOUT: SILENCE,
    FailureKind.CONNECTION: CLOSE,
    FailureKind.OOM: b"OOM command not allowed when used memory > 'maxmemory'.",
    FailureKind.BUSY: b"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    FailureKind.READONLY: b"READONLY You can't write against a read only replica.",
    FailureKind.LOADING: b"LOADING Redis is loading the dataset in memory",
    FailureKind.CLUSTERDOWN: b"CLUSTERDOWN Hash slot not served",
    FailureKind.MASTERDOWN: b"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    FailureKind.NOREPLICAS: b"NOREPLICAS Not enough good replicas to write.",
    FailureKind.MISCONF: b"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist.",
    FailureKind.NOSCRIPT: b"NOSCRIPT No matching script. Please use EVAL.",
    FailureKind.MOVED: b"MOVED 3999 127.0.0.1:6381",
    FailureKind.ASK: b"ASK 3999 127.0.0.1:6381",
    FailureKind.TRYAGAIN: b"TRYAGAIN Multiple keys request during rehashing of slot",
    FailureKind.AUTH: b"NOPERM this user has no permissions to run the 'evalsha' command",
    FailureKind.OTHER: b"ERR something that no release of Redis says",
}
"""What Redis says, by the kind that it is counted under."""
WRITING = (b"EVALSHA", b"EVAL")


class RefusingWay(socketserver.ThreadingTCPServer):
    """A way to a server; ``refuse`` is for the next command of those names, whoever sends it."""

    daemon_threads = True

    def __init__(self, redis: RedisServer) -> None:
        parts = urlsplit(redis.url)
        self.target = (parts.hostname or "", parts.port or 0)
        self._lock = Lock()
        self._refusal: tuple[bytes, tuple[bytes, ...]] | None = None
        super().__init__((LOOPBACK, 0), _Traveller)

    def __enter__(self) -> Self:
        Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.server_address[1]}/0"

    @property
    def has_refused(self) -> bool:
        """Whether no refusal waits for its command."""
        with self._lock:
            return self._refusal is None

    def refuse(self, refusal: bytes, commands: tuple[bytes, ...] = WRITING) -> None:
        """The next command of one of these names gets this answer, and does not reach the server."""
        with self._lock:
            self._refusal = refusal, commands

    def take_refusal(self, command: bytes) -> bytes | None:
        """What the command is refused with, once."""
        with self._lock:
            if self._refusal is None or command not in self._refusal[1]:
                return None
            refusal, self._refusal = self._refusal[0], None
            return refusal


class _Traveller(socketserver.BaseRequestHandler):
    server: RefusingWay

    def handle(self) -> None:
        with suppress(OSError, ValueError), socket.create_connection(self.server.target) as redis:
            for end in (redis, self.request):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            requests, replies = self.request.makefile("rb"), redis.makefile("rb")
            self._carry(redis, lambda: next_value(requests), lambda: next_value(replies))

    def _carry(self, redis: socket.socket, next_request: Callable[[], bytes], next_reply: Callable[[], bytes]) -> None:
        while request := next_request():
            refusal = self.server.take_refusal(request.split(b"\r\n", 3)[2].upper())
            if refusal == CLOSE:
                return
            if refusal is None:
                redis.sendall(request)
                self.request.sendall(next_reply())
            elif refusal != SILENCE:
                self.request.sendall(b"-" + refusal + b"\r\n")


def next_value(stream: BufferedReader) -> bytes:
    """The next request or reply as it is sent (RESP 2); empty at the end."""
    line = stream.readline()
    sign, length = line[:1], line[1:-2]
    if sign == b"$":
        return line + (stream.read(int(length) + 2) if int(length) >= 0 else b"")
    if sign == b"*":
        return line + b"".join(next_value(stream) for _ in range(int(length)))
    return line
