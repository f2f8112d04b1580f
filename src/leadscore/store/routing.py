"""Commands to the Redis nodes that own their slots, in one round trip; a plain Redis is one node that owns all slots.

One connection per master; all nodes' commands are sent before the first reply is read, so the nodes work at the same
time. Nothing is retried here: the caller knows what may be repeated. After any failure every connection is closed and
the next call asks anew who owns which slot, so a reply can never answer a later call, and a failover, a moved slot or
a changed address is found in the same simple way. Not for use from several threads at once.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

from redis.exceptions import ClusterDownError, NoScriptError, RedisError, ResponseError

from leadscore.errors import ConfigError, without_traceback
from leadscore.store.endpoints import Address, Command, Connection, Login, Reply, endpoint_of
from leadscore.store.failures import NoMasterError, unavailable
from leadscore.store.keys import SLOTS
from leadscore.store.sentinels import Sentinels


class Call(NamedTuple):
    """A command, and the slot of its keys."""

    slot: int
    command: Command


class _Topology(NamedTuple):
    """Who owns which slot; ``None`` where no master does."""

    masters: tuple[Address, ...]
    owner_by_slot: list[Address | None]


class Router:
    """Sends commands to one Redis, to the masters of a Redis Cluster, or to the master that Sentinels name.

    ``urls`` name one Redis, some nodes of one cluster, or the Sentinels of one service; user, password and TLS options
    of the first hold for all. ``ConfigError`` where they cannot be read. ``timeout_s`` bounds connecting and each wait
    for the network. ``sentinel_login`` is for the Sentinels alone.
    """

    def __init__(self, urls: Sequence[str], timeout_s: float, sentinel_login: Login | None = None) -> None:
        if not urls:
            raise ConfigError("LEADSCORE_REDIS_URL: missing: expected redis://host:port/db or rediss://…")
        endpoints = [endpoint_of(url, timeout_s) for url in urls]
        self._seeds = tuple(endpoint.address for endpoint in endpoints)
        self._how = endpoints[0]
        self._sentinels = Sentinels(endpoints, sentinel_login) if self._how.service else None
        self._connections: dict[Address, Connection] = {}
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
        """Asks the configured addresses, then the masters known before, until one answers; or the Sentinels."""
        if self._sentinels is not None:
            return self._ask_master(self._sentinels.master())
        addresses = list(dict.fromkeys(self._seeds + self._known))
        while True:
            address = addresses.pop(0)
            try:
                return self._ask_topology(address)
            except (RedisError, OSError) as error:
                if not addresses:
                    raise
                without_traceback(error)

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

    def _ask_master(self, address: Address) -> _Topology:
        """A failover may be under way, and Sentinels may be behind it: the server itself says what it is."""
        [info] = self._exchange([(address, ("INFO", "replication"))])
        if b"role:master" not in cast("bytes", info):
            self.close()
            raise NoMasterError(f"{address}, which Sentinel names, is no master")
        return _Topology((address,), [address] * SLOTS)

    def _connection(self, address: Address) -> Connection:
        connection = self._connections.get(address)
        if connection is None:
            connection = self._how.connection_to(address)
            self._connections[address] = connection
        return connection


def _read(connection: Connection, expected: int) -> list[Reply]:
    """All replies of one node. The first error among them is raised, but for missing scripts, which are replies."""
    replies: list[Reply] = []
    first_error: ResponseError | None = None
    for _ in range(expected):
        try:
            replies.append(connection.read_response())
        except NoScriptError as missing:
            replies.append(without_traceback(missing))
        except ResponseError as error:
            first_error = first_error or without_traceback(error)
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
