"""A way to Kafka on which the broker's answers name no broker, as those of a broker do that is fenced.

A broker is fenced while the controller has not heard from it: after it stood still, or was cut off, until its next
heartbeat. A client that asks in that moment learns of a cluster without brokers.
"""

import socket
import socketserver
from contextlib import suppress
from threading import Thread

METADATA = 3
FLEXIBLE_FROM = 9
"""From this version of the metadata request on, lengths are varints and tagged fields follow."""
NO_BROKERS = b"\x01"
"""A compact array's length is written plus one."""


class KafkaWay(socketserver.ThreadingTCPServer):
    """Carries connections to the broker at ``target_port``, once there is one; clients come by ``port``.

    While ``hides_brokers`` is set, the answers to metadata requests have an empty list of brokers; ``told`` has the ids
    of the clients that got one.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.port: int = self.server_address[1]
        self.target_port = 0
        self.hides_brokers = False
        self.told: set[str] = set()
        self.connections: list[socket.socket] = []
        Thread(target=self.serve_forever, daemon=True).start()

    def cut(self) -> None:
        """End all connections; clients may come again."""
        connections, self.connections = self.connections, []
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Connection(socketserver.BaseRequestHandler):
    server: KafkaWay

    def handle(self) -> None:
        asked: dict[bytes, bytes] = {}
        self.server.connections.append(self.request)
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.server.target_port)) as broker:
            Thread(target=self._answer, args=(broker, asked), daemon=True).start()
            while frame := _read_frame(self.request):
                if int.from_bytes(frame[:2]) == METADATA:
                    asked[frame[4:8]] = frame
                _write_frame(broker, frame)

    def _answer(self, broker: socket.socket, asked: dict[bytes, bytes]) -> None:
        with suppress(OSError):
            while frame := _read_frame(broker):
                request = asked.pop(frame[:4], b"")
                if request and self.server.hides_brokers:
                    frame = without_brokers(frame, int.from_bytes(request[2:4]))
                    self.server.told.add(request[10 : 10 + int.from_bytes(request[8:10])].decode())
                _write_frame(self.request, frame)


def without_brokers(answer: bytes, version: int) -> bytes:
    """A metadata response, its correlation id in front, with no broker in it."""
    assert version >= FLEXIBLE_FROM, f"metadata version {version}, expected {FLEXIBLE_FROM} or newer"
    start = 4 + 1 + 4  # correlation id, no tagged fields, throttle time
    count, at = _varint(answer, start)
    for _ in range(count - 1):
        at = _after_broker(answer, at)
    return answer[:start] + NO_BROKERS + answer[at:]


def _after_broker(answer: bytes, at: int) -> int:
    """The place after one broker: node id, host, port, rack, tagged fields."""
    host_bytes, at = _varint(answer, at + 4)
    rack_bytes, at = _varint(answer, at + host_bytes - 1 + 4)
    tagged, at = _varint(answer, at + max(0, rack_bytes - 1))
    assert tagged == 0, f"{tagged} tagged fields of a broker, expected 0"
    return at


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """An unsigned varint, and the place after it."""
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _read_frame(source: socket.socket) -> bytes:
    """The next request or response without its length; empty at the end."""
    return _read(source, int.from_bytes(_read(source, 4)))


def _read(source: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        chunk = source.recv(size - len(content))
        if not chunk:
            return b""
        content += chunk
    return content


def _write_frame(target: socket.socket, frame: bytes) -> None:
    target.sendall(len(frame).to_bytes(4) + frame)
