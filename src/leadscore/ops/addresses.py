"""Addresses of services as settings have them: what is wrong with one is said without quoting any of it.

Of a wrong address nobody can tell which part of it is the password.
"""

import re
from urllib.parse import SplitResult, quote, unquote, urlsplit

from leadscore.ops.redaction import redact_url

_NEXT_URL = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)")
_HOST = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_DATABASE = re.compile(r"/?[0-9]*")
_SERVICE = re.compile(r"/(?![0-9]+(/|$))[A-Za-z0-9._-]{1,200}(/[0-9]*)?")
_BROKER = re.compile(
    r"((?i:PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL)://)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
)


class WrongAddress(ValueError):
    """An address that cannot be used; the message says why, and shows nothing of it."""


def split_urls(text: str) -> tuple[str, ...]:
    """The addresses of a list with commas between them. No comma of a password begins an address: its ``/`` is %2F."""
    return tuple(_NEXT_URL.split(text.strip()))


def check_url(url: str, schemes: tuple[str, ...]) -> None:
    """``WrongAddress`` where this is no address with one of the schemes, a host, and a login that can be told apart."""
    scheme = url.partition("://")[0]
    if scheme not in schemes or not url.startswith(f"{scheme}://"):
        raise WrongAddress("it starts with something else")
    parts = _parts(url)
    host = parts.hostname or ""
    # What follows the host holds an "@" only where the login ends there: it has a "/", "?" or "#" in it.
    if "@" in f"{parts.path}{parts.query}" or parts.fragment:
        raise WrongAddress("it cannot be read")
    if ":" not in host and _HOST.fullmatch(host) is None:
        raise WrongAddress("it has no host" if not host else "its host cannot be one")


def _parts(url: str) -> SplitResult:
    if not url.isprintable():
        raise WrongAddress("it has control characters")
    if "," in url.partition("://")[2].partition("/")[0].rpartition("@")[2]:
        raise WrongAddress(f"several hosts: each needs {url.partition('://')[0]}:// before it")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # The error may quote the password, and so would a traceback that has it as its cause.
        raise WrongAddress("it cannot be read" if "@" in url else "its port is no number") from None
    return parts


def check_database(url: str) -> None:
    """``WrongAddress`` where the path is no number of a database: the client would take database 0.

    For a Sentinel the service comes before it.
    """
    if names_sentinel(url):
        if _SERVICE.fullmatch(urlsplit(url).path) is None:
            raise WrongAddress("what follows the host is no name of a service that Sentinels watch")
    elif _DATABASE.fullmatch(urlsplit(url).path) is None:
        raise WrongAddress("what follows the host is no database number")


def names_sentinel(text: str) -> bool:
    """Whether these are addresses of Sentinels."""
    return text.strip().partition("://")[0].endswith("+sentinel")


def check_one_cluster(urls: tuple[str, ...]) -> None:
    """``WrongAddress`` where the addresses differ in more than host and port: nodes of one cluster are meant."""
    logins = {urlsplit(url)._replace(netloc=urlsplit(url).netloc.rpartition("@")[0]) for url in urls}
    if len({login._replace(path=login.path.strip("/").lstrip("0")) for login in logins}) > 1:
        raise WrongAddress(
            "the addresses differ in more than host and port, but are to be nodes of one Redis Cluster, or Sentinels "
            "of one service"
        )


def check_brokers(text: str) -> None:
    """``WrongAddress`` where this is no list of Kafka brokers: librdkafka would log it as the name of a host."""
    brokers = [broker.strip() for broker in text.split(",")]
    if not all(_BROKER.fullmatch(broker) for broker in brokers if broker):
        raise WrongAddress("it has more than hosts and ports")


def has_password(text: str) -> bool:
    """Whether one of the addresses brings a password along."""
    return any(urlsplit(url).password is not None for url in split_urls(text))


def login_of(url: str) -> tuple[str, str] | None:
    """User and password of the address; ``None`` where it has neither."""
    parts = urlsplit(url)
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")


def with_password(url: str, password: str) -> str:
    """The address with a password, as it is, beside the user that is in it."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{parts.username or ''}:{quote(password, safe='')}@{host}").geturl()


def without_login(url: str) -> str:
    """The address without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def shown_urls(text: str) -> str:
    """Addresses that were accepted, without user, password and options."""
    return ",".join(map(redact_url, split_urls(text)))


def places(text: str) -> str:
    """Host, port and path of addresses that were accepted."""
    parts = map(urlsplit, split_urls(text))
    return ",".join(one.netloc.rpartition("@")[2] + one.path.rstrip("/") for one in parts)
