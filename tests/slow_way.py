"""A way to Redis on which a call can be held up, and arrive late."""

import socket
import socketserver
from contextlib import suppress
from threading import Event, Thread

from tests.servers import RedisServer

CHUNK_BYTES = 65_536
WRITE, READ = b"EVAL", b"MGET"


class SlowWay(socketserver.ThreadingTCPServer):
    """A way to Redis on which a command's calls are held up, each until its event in ``held`` is set, or ``let_go``.

    With ``naming``, only calls that name it: a key, for example.
    """

    daemon_threads = True

    def __init__(self, redis: RedisServer) -> None:
        host, _, port = redis.url.removeprefix("redis://").partition("/")[0].rpartition(":")
        self.target = (host, int(port))
        self.command = b""
        self.naming = b""
        self.is_holding = Event()
        self.held: list[Event] = []
        self.let_go = Event()
        super().__init__(("127.0.0.1", 0), _Traveller)

    def hold(self) -> None:
        """Wait, in the thread of one connection."""
        mine = Event()
        self.held.append(mine)
        self.is_holding.set()
        while not mine.wait(0.02) and not self.let_go.is_set():
            pass

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.server_address[1]}/0"


class _Traveller(socketserver.BaseRequestHandler):
    server: SlowWay

    def handle(self) -> None:
        with suppress(OSError), socket.create_connection(self.server.target) as redis:
            Thread(target=_carry, args=(redis, self.request), daemon=True).start()
            while chunk := self.request.recv(CHUNK_BYTES):
                if self.server.command and self.server.command in chunk and self.server.naming in chunk:
                    self.server.hold()
                redis.sendall(chunk)


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # one end is gone
        while chunk := source.recv(CHUNK_BYTES):
            target.sendall(chunk)


def patient_on(way: SlowWay) -> dict[str, str]:
    """For a worker that waits for its answers."""
    return {"LEADSCORE_REDIS_URL": way.url, "LEADSCORE_REDIS_TIMEOUT": "60s"}
