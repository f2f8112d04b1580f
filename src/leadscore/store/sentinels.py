"""Redis Sentinel: which server is the master of a service now.

Every Sentinel is asked, over a connection of its own that is closed again, because the question comes up at the start
and after failures only. The address that most of those that answer name is believed: one that was away during a
failover names the old master for a while, and that one may be back, without what was written since.
"""

from collections import Counter
from collections.abc import Sequence
from typing import cast

from redis.exceptions import RedisError

from leadscore.errors import without_traceback
from leadscore.store.endpoints import Address, Connection, Endpoint, Login, Reply
from leadscore.store.failures import NoMasterError


class Sentinels:
    """The Sentinels of one service."""

    def __init__(self, endpoints: Sequence[Endpoint], login: Login | None) -> None:
        self._addresses = [endpoint.address for endpoint in endpoints]
        self._how = endpoints[0].to_sentinel(login)

    def master(self) -> Address:
        """Where the master is. ``NoMasterError`` where none is named, else the error of the last one asked."""
        votes: Counter[Address] = Counter()
        last_error: RedisError | OSError | None = None
        for address in self._addresses:
            try:
                named = self._ask(address)
            except (RedisError, OSError) as error:
                last_error = without_traceback(error)
            else:
                votes.update([named] if named is not None else [])
        if votes:
            return votes.most_common(1)[0][0]
        raise last_error or NoMasterError(f"no Sentinel of {self._words} knows the service {self._how.service!r}")

    @property
    def _words(self) -> str:
        return ", ".join(map(str, self._addresses))

    def _ask(self, address: Address) -> Address | None:
        connection = self._how.connection_to(address)
        try:
            reply = _reply_to(connection, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._how.service))
        finally:
            connection.disconnect()
        if reply is None:
            return None
        host, port = cast("list[bytes]", reply)
        return Address(host.decode(), int(port))


def _reply_to(connection: Connection, command: Sequence[str]) -> Reply:
    connection.send_packed_command(connection.pack_commands([command]))
    return connection.read_response()
