"""Commands to the Redis nodes that own their slots, in one round trip; a plain Redis is one node that owns all slots.

One connection per master; all nodes' commands are sent before the first reply is read, so the nodes work at the same
time. Nothing is retried here: the caller knows what may be repeated. After any failure every connection is closed and
the next call asks anew who owns which slot, so a reply can never answer a later call, and a failover, a moved slot or
a changed address is found by the same simple way. Not for use from several threads at once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, cast
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import ClusterDownError, NoScriptError, RedisError, ResponseError
from redis.retry import Retry

from leadscore.errors import ConfigError
from leadscore.store.failures import unavailable
from leadscore.store.keys import SLOTS

_DATABASE = re.compile(r"/?[0-9]*")

Argument = str | bytes | int
Command = Sequence[Argument]
Reply = bytes | int | None | list["Reply"] | NoScriptError


class Call(NamedTuple):
    """A command, and the slot of its keys."""

    slot: int
    command: Command


class Address(NamedTuple):
    """Where a node listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class _Connection(Protocol):
    """What is used of the client's connection; it connects with the first command sent."""

    def pack_commands(self, commands: Sequence[Command]) -> list[bytes]: ...
    def send_packed_command(self, command: list[bytes]) -> None: ...
    def read_response(self) -> Reply: ...
    def disconnect(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """A configured address, and how to connect to it and to the other nodes; the password is not in its ``repr``."""

    address: Address
    connection_class: type[redis.Connection]
    options: dict[str, object] = field(repr=False)


class _Topology(NamedTuple):
    """Who owns which slot; ``None`` where no master does."""

    masters: tuple[Address, ...]
    owner_by_slot: list[Address | None]


class Router:
    """Sends commands to one Redis or to the masters of a Redis Cluster.

    ``urls`` name one Redis, or some nodes of one cluster; user, password and TLS options of the first hold for all.
    ``ConfigError`` where they cannot be read. ``timeout_s`` bounds connecting and each wait for the network.
    """

    def __init__(self, urls: Sequence[str], timeout_s: float) -> None:
        if not urls:
            raise ConfigError("LEADSCORE_REDIS_URL: missing: expected redis://host:port/db or rediss://…")
        endpoints = [_endpoint(url, timeout_s) for url in urls]
        self._seeds = tuple(endpoint.address for endpoint in endpoints)
        self._how = endpoints[0]
        self._connections: dict[Address, _Connection] = {}
        self._topology: _Topology | None = None
        self._known: tuple[Address, ...] = ()

    def call(self, calls: Sequence[Call]) -> list[Reply]:
        """The replies, in the order of the calls; ``Unavailable`` if anything but a missing script goes wrong.

        Then the commands may have been executed, all or some or none.
        """
        try:
            owner_by_slot = self._current_topology().owner_by_slot
            return self._exchange([(owner_by_slot[call.slot], call.command) for call in calls])
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    def call_masters(self, command: Command) -> dict[Address, Reply]:
        """The reply of each master; ``Unavailable`` as for ``call``."""
        try:
            masters = self._current_topology().masters
            return dict(zip(masters, self._exchange([(master, command) for master in masters]), strict=True))
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    def call_master(self, number: int, command: Command) -> tuple[Reply, int]:
        """The reply of one master, counted from 0, and how many there are; ``Unavailable`` as for ``call``."""
        try:
            masters = self._current_topology().masters
            [reply] = self._exchange([(masters[number] if number < len(masters) else None, command)])
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return reply, len(masters)

    def close(self) -> None:
        """Close all connections; the next call opens new ones."""
        for connection in self._connections.values():
            connection.disconnect()
        self._connections.clear()
        self._topology = None

    def _exchange(self, commands: Sequence[tuple[Address | None, Command]]) -> list[Reply]:
        try:
            return self._send_and_read(commands)
        except BaseException:  # an interrupt, too, leaves replies unread
            self.close()
            raise

    def _send_and_read(self, commands: Sequence[tuple[Address | None, Command]]) -> list[Reply]:
        indexes_by_node: dict[Address, list[int]] = {}
        for index, (node, _) in enumerate(commands):
            if node is None:
                raise ClusterDownError("no node owns a slot that is needed")
            indexes_by_node.setdefault(node, []).append(index)
        for node, indexes in indexes_by_node.items():
            connection = self._connection(node)
            connection.send_packed_command(connection.pack_commands([commands[index][1] for index in indexes]))
        replies: list[Reply] = [None] * len(commands)
        for node, indexes in indexes_by_node.items():
            for index, reply in zip(indexes, _read(self._connection(node), len(indexes)), strict=True):
                replies[index] = reply
        return replies

    def _current_topology(self) -> _Topology:
        if self._topology is None:
            self._topology = self._discover()
            self._known = self._topology.masters
        return self._topology

    def _discover(self) -> _Topology:
        """Asks the configured addresses, then the masters known before, until one answers."""
        addresses = list(dict.fromkeys(self._seeds + self._known))
        while True:
            address = addresses.pop(0)
            try:
                return self._ask_topology(address)
            except (RedisError, OSError):
                if not addresses:
                    raise

    def _ask_topology(self, address: Address) -> _Topology:
        [info] = self._exchange([(address, ("INFO", "cluster"))])
        if b"cluster_enabled:1" in cast("bytes", info):
            [slots] = self._exchange([(address, ("CLUSTER", "SLOTS"))])
            return _cluster_topology(slots, asked=address)
        if len(self._seeds) > 1:
            raise ConfigError(
                f"LEADSCORE_REDIS_URL: {len(self._seeds)} addresses, but {address} is no cluster: expected one address"
            )
        return _Topology((address,), [address] * SLOTS)

    def _connection(self, address: Address) -> _Connection:
        connection = self._connections.get(address)
        if connection is None:
            connection = _connect_later(self._how, address)
            self._connections[address] = connection
        return connection


def _read(connection: _Connection, expected: int) -> list[Reply]:
    """All replies of one node. The first error among them is raised, but for missing scripts, which are replies."""
    replies: list[Reply] = []
    first_error: ResponseError | None = None
    for _ in range(expected):
        try:
            replies.append(connection.read_response())
        except NoScriptError as missing:
            replies.append(missing)
        except ResponseError as error:
            first_error = first_error or error
    if first_error:
        raise first_error
    return replies


def _cluster_topology(slots: Reply, asked: Address) -> _Topology:
    """Out of the reply to CLUSTER SLOTS: ``[[first, last, [host, port, …], replicas…], …]``."""
    owner_by_slot: list[Address | None] = [None] * SLOTS
    for first, last, master, *_ in cast("list[tuple[int, int, tuple[bytes | None, int]]]", slots):
        host, port = master[:2]
        # A node that does not know its own name leaves it empty: then it is the one that was asked.
        owner = Address(host.decode() if host else asked.host, port)
        owner_by_slot[first : last + 1] = [owner] * (last + 1 - first)
    masters = dict.fromkeys(owner for owner in owner_by_slot if owner is not None)
    return _Topology(tuple(masters), owner_by_slot)


def _endpoint(url: str, timeout_s: float) -> _Endpoint:
    try:
        endpoint = _parsed(url, timeout_s)
        _connect_later(endpoint, endpoint.address)  # finds options the client does not know
    except (ValueError, TypeError, RedisError) as error:
        # Nothing of the URL is shown, and not what its parser says: that may quote a part of the password.
        problem = (
            "it has an option that the Redis client does not know"
            if isinstance(error, TypeError)
            else "it cannot be read"
        )
        expected = "expected redis://[user:password@]host[:port][/db] or rediss://…, with %2F for / in a password"
        raise ConfigError(f"LEADSCORE_REDIS_URL: {problem}: {expected}") from None
    return endpoint


def _parsed(url: str, timeout_s: float) -> _Endpoint:
    if not _DATABASE.fullmatch(urlsplit(url).path):
        raise ValueError("the path is no database number")  # the client would take database 0
    options = dict(cast("dict[str, object]", parse_url(url)))
    connection_class = cast("type[redis.Connection]", options.pop("connection_class", redis.Connection))
    address = Address(str(options.pop("host", "localhost")), int(str(options.pop("port", 6379))))
    options |= {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "socket_keepalive": True,
        "health_check_interval": 0,
        "decode_responses": False,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),  # of connecting; a plain connection never sends a command again
    }
    return _Endpoint(address, connection_class, options)


def _connect_later(how: _Endpoint, address: Address) -> _Connection:
    options = {**how.options, "host": address.host, "port": address.port}
    return cast("_Connection", how.connection_class(**options))
