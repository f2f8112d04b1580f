"""Configured addresses of Redis and of its Sentinels, and how to connect to a node that is found by them.

``redis://user:password@host:port/database`` is a server; ``redis+sentinel://user:password@host:port/service/database``
is a Sentinel that knows the service, and user, password and database are those of the servers it names. With ``rediss``
all of them are reached over TLS.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, cast
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from leadscore.errors import ConfigError

SENTINEL_PORT = 26_379
_PATH = re.compile(r"/?[0-9]*")
_PATH_OF_SENTINEL = re.compile(r"/(?P<service>[^/]+)(?P<database>/?[0-9]*)")
_SENTINEL = "+sentinel"
_OF_SERVERS = ("username", "password", "db")
_EXPECTED = (
    "expected redis://[user:password@]host[:port][/db], redis+sentinel://[user:password@]host[:port]/service[/db], or "
    "rediss for redis, with %2F for / in a password"
)

Argument = str | bytes | int
Command = Sequence[Argument]
Reply = bytes | int | None | list["Reply"] | NoScriptError


class Address(NamedTuple):
    """Where a node listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Connection(Protocol):
    """What is used of the client's connection; it connects with the first command sent."""

    def pack_commands(self, commands: Sequence[Command]) -> list[bytes]:
        """What to send for them."""

    def send_packed_command(self, command: list[bytes]) -> None:
        """Send it."""

    def read_response(self) -> Reply:
        """The next reply; an error is raised."""

    def disconnect(self) -> None:
        """Close the connection."""


@dataclass(frozen=True, slots=True)
class Login:
    """A user, where there is one, and its password, which is not in the ``repr``."""

    user: str | None
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A configured address, and how to connect to it and to the other nodes; the password is not in its ``repr``.

    ``service`` is what a Sentinel is asked for; empty for the address of a server.
    """

    address: Address
    service: str
    connection_class: type[redis.Connection]
    options: dict[str, object] = field(repr=False)

    def connection_to(self, address: Address) -> Connection:
        """A connection to a server, not opened yet."""
        options = {**self.options, "host": address.host, "port": address.port}
        return cast("Connection", self.connection_class(**options))

    def to_sentinel(self, login: Login | None) -> "Endpoint":
        """How to connect to a Sentinel, which has users of its own, or none."""
        options = {name: value for name, value in self.options.items() if name not in _OF_SERVERS}
        if login is not None:
            options |= {"username": login.user, "password": login.password}
        return Endpoint(self.address, self.service, self.connection_class, options)


def endpoint_of(url: str, timeout_s: float) -> Endpoint:
    """The endpoint of a configured address; ``ConfigError`` where it cannot be read."""
    try:
        endpoint = _parsed(url, timeout_s)
        endpoint.connection_to(endpoint.address)  # finds options the client does not know
    except (ValueError, TypeError, RedisError) as error:
        # Nothing of the URL is shown, and not what its parser says: that may quote a part of the password.
        problem = (
            "it has an option that the Redis client does not know"
            if isinstance(error, TypeError)
            else "it cannot be read"
        )
        raise ConfigError(f"LEADSCORE_REDIS_URL: {problem}: {_EXPECTED}") from None
    return endpoint


def _parsed(url: str, timeout_s: float) -> Endpoint:
    url, service = _without_service(url)
    if not _PATH.fullmatch(urlsplit(url).path):
        raise ValueError("the path is no database number")  # the client would take database 0
    options = dict(cast("dict[str, object]", parse_url(url)))
    connection_class = cast("type[redis.Connection]", options.pop("connection_class", redis.Connection))
    default_port = SENTINEL_PORT if service else 6379
    address = Address(str(options.pop("host", "localhost")), int(str(options.pop("port", default_port))))
    options |= {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "socket_keepalive": True,
        "health_check_interval": 0,
        "decode_responses": False,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),  # of connecting; a plain connection never sends a command again
    }
    return Endpoint(address, service, connection_class, options)


def _without_service(url: str) -> tuple[str, str]:
    """The address as that of a server, and the service that the Sentinel there is asked for."""
    parts = urlsplit(url)
    if not parts.scheme.endswith(_SENTINEL):
        return url, ""
    path = _PATH_OF_SENTINEL.fullmatch(parts.path)
    if path is None:
        raise ValueError("a Sentinel is asked for a service")
    of_server = parts._replace(scheme=parts.scheme.removesuffix(_SENTINEL), path=path["database"])
    return of_server.geturl(), unquote(path["service"])
