"""A way to a server that can fail as networks do: slow, cut, broken off, or with a reply that never comes.

One request is carried at a time, and its reply before the next one, as both servers work on the requests of one
connection anyway. So a reply that is lost is that of a request that was executed.
"""

import socket
import socketserver
import time
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from enum import IntEnum
from io import BufferedReader
from random import Random
from threading import Event, Lock, Thread
from typing import Protocol, Self

from tests.refusing_way import next_value
from tests.servers import LOOPBACK


class Wire(Protocol):
    """How a protocol frames what is sent."""

    def read(self, stream: BufferedReader) -> bytes:
        """The next request or reply as it is sent; empty at the end."""

    def name(self, request: bytes) -> str:
        """What the request asks for."""


class RedisWire:
    """RESP 2; the name of a request is its command in capitals: ``EVALSHA``."""

    def read(self, stream: BufferedReader) -> bytes:
        return next_value(stream)

    def name(self, request: bytes) -> str:
        return request.split(b"\r\n", 3)[2].upper().decode(errors="replace")


class KafkaApi(IntEnum):
    """The requests of Kafka's protocol that experiments name."""

    PRODUCE = 0
    FETCH = 1
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    LEAVE_GROUP = 13
    SYNC_GROUP = 14
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28
    CONSUMER_GROUP_HEARTBEAT = 68


class KafkaWire:
    """Requests and replies with their length in front; the name is that of ``KafkaApi``, or the number of the API."""

    def read(self, stream: BufferedReader) -> bytes:
        length = stream.read(4)
        return length + stream.read(int.from_bytes(length)) if len(length) == 4 else b""

    def name(self, request: bytes) -> str:
        api = int.from_bytes(request[4:6])
        return KafkaApi(api).name if api in set(KafkaApi) else str(api)


class Way(socketserver.ThreadingTCPServer):
    """Carries connections from ``port`` to the server at ``target_port``, which may be set later.

    ``latency_s`` delays each request. ``carried`` and ``lost`` count requests, and replies that were thrown away, by
    name. The same seed loses the same share of them.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, target_port: int, wire: Wire, seed: int = 0) -> None:
        super().__init__((LOOPBACK, 0), _Traveller)
        self.port: int = self.server_address[1]
        self.target_port = target_port
        self.wire = wire
        self.latency_s = 0.0
        self.carried: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.is_open = Event()
        self.is_open.set()
        self._lock = Lock()
        self._random = Random(seed)
        self._losing: frozenset[str] = frozenset()
        self._share = 0.0
        self.closes = True
        self._travellers: set[_Traveller] = set()

    def __enter__(self) -> Self:
        Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.heal()
        self.shutdown()
        self.break_off()
        self.server_close()

    @property
    def redis_url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def kafka_address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def lose_replies(self, names: Collection[str], share: float = 1.0, *, closes: bool = True) -> None:
        """Of requests of these names this share gets no reply: it is executed, then the connection is closed.

        Not ``closes``: the connection goes on, and whoever waits for the reply waits until it gives up.
        """
        with self._lock:
            self._losing, self._share, self.closes = frozenset(names), share, closes

    def cut(self) -> None:
        """Nothing is carried any more, in either direction; connections stay as they are."""
        self.is_open.clear()

    def heal(self) -> None:
        """What was cut off goes on where it was, and no reply is lost any more."""
        self.lose_replies(())
        self.is_open.set()

    def break_off(self) -> None:
        """Close all connections, whatever is under way on them."""
        with self._lock:
            travellers = list(self._travellers)
        for traveller in travellers:
            traveller.end()

    def begins(self, traveller: "_Traveller") -> None:
        with self._lock:
            self._travellers.add(traveller)

    def ends(self, traveller: "_Traveller") -> None:
        with self._lock:
            self._travellers.discard(traveller)

    def loses_reply_of(self, name: str) -> bool:
        """Whether the reply to this request is to be thrown away; asked once for each request."""
        with self._lock:
            self.carried[name] += 1
            is_lost = name in self._losing and self._random.random() < self._share
            self.lost[name] += is_lost
            return is_lost


class _Traveller(socketserver.BaseRequestHandler):
    server: Way

    def setup(self) -> None:
        self._ends: list[socket.socket] = [self.request]
        self.server.begins(self)

    def finish(self) -> None:
        self.server.ends(self)

    def end(self) -> None:
        for one in self._ends:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def handle(self) -> None:
        with suppress(OSError, ValueError), socket.create_connection((LOOPBACK, self.server.target_port)) as server:
            self._ends.append(server)
            for one in self._ends:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.request.makefile("rb") as requests, server.makefile("rb") as replies:
                self._carry(server, requests, replies)
        self.end()

    def _carry(self, server: socket.socket, requests: BufferedReader, replies: BufferedReader) -> None:
        way = self.server
        while request := way.wire.read(requests):
            way.is_open.wait()
            if way.latency_s:
                time.sleep(way.latency_s)
            server.sendall(request)
            reply = way.wire.read(replies)
            if not reply:
                return
            if way.loses_reply_of(way.wire.name(request)):
                if way.closes:
                    return
                continue
            way.is_open.wait()
            self.request.sendall(reply)
