"""Every error of Redis, the client and the network has a kind; a wrong address is found before it is used."""

import ssl

import pytest
from redis import exceptions
from redis._parsers.base import BaseParser

from leadscore.errors import ConfigError, Unavailable
from leadscore.store.failures import FailureKind, NoMasterError, kind_of, unavailable
from leadscore.store.redis_store import RedisStore
from leadscore.store.shard import LeadWrite, ShardWrite

SCRIPT_6 = (
    "ERR Error running script (call to f_6b1bf486c81ceb7edf3c093f4c48582e38c0e791): @user_script:30: @user_script: 30: "
)

REPLIES = [
    ("ERR The user executing the script can't run this command or subcommand script: 51, on @f:1.", FailureKind.AUTH),
    ("ERR ACL failure in script: User w has no permissions to run the 'hlen' command", FailureKind.AUTH),
    ("OOM command not allowed when used memory > 'maxmemory'.", FailureKind.OOM),
    ("OOM command not allowed when used memory > 'maxmemory'. script: 6b1b, on @user_script:30.", FailureKind.OOM),
    (SCRIPT_6 + "-OOM command not allowed when used memory > 'maxmemory'. ", FailureKind.OOM),
    ("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", FailureKind.BUSY),
    ("READONLY You can't write against a read only replica.", FailureKind.READONLY),
    ("READONLY You can't write against a read only replica. script: 6b1b, on @user_script:30.", FailureKind.READONLY),
    (SCRIPT_6 + "-READONLY You can't write against a read only replica. ", FailureKind.READONLY),
    ("LOADING Redis is loading the dataset in memory", FailureKind.LOADING),
    ("CLUSTERDOWN The cluster is down", FailureKind.CLUSTERDOWN),
    ("CLUSTERDOWN Hash slot not served", FailureKind.CLUSTERDOWN),
    ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", FailureKind.MASTERDOWN),
    ("NOREPLICAS Not enough good replicas to write.", FailureKind.NOREPLICAS),
    ("NOREPLICAS Not enough good replicas to write. script: 6b1b, on @user_script:30.", FailureKind.NOREPLICAS),
    (SCRIPT_6 + "-NOREPLICAS Not enough good replicas to write. ", FailureKind.NOREPLICAS),
    ("NOSCRIPT No matching script. Please use EVAL.", FailureKind.NOSCRIPT),
    ("MOVED 3999 127.0.0.1:6381", FailureKind.MOVED),
    ("ASK 3999 127.0.0.1:6381", FailureKind.ASK),
    ("TRYAGAIN Multiple keys request during rehashing of slot", FailureKind.TRYAGAIN),
    ("NOAUTH Authentication required.", FailureKind.AUTH),
    ("WRONGPASS invalid username-password pair or user is disabled.", FailureKind.AUTH),
    ("NOPERM this user has no permissions to run the 'evalsha' command", FailureKind.AUTH),
    ("ERR max number of clients reached", FailureKind.CONNECTION),
    ("MISCONF Redis is configured to save RDB snapshots", FailureKind.MISCONF),
    ("MISCONF Errors writing to the AOF file. script: 6b1b, on @user_script:30.", FailureKind.MISCONF),
    (SCRIPT_6 + "-MISCONF Redis is configured to save RDB snapshots", FailureKind.MISCONF),
    ("WRONGTYPE Operation against a key holding the wrong kind of value", FailureKind.OTHER),
    ("ERR unknown command 'EVALSHA'", FailureKind.OTHER),
    ("", FailureKind.OTHER),
]


@pytest.mark.parametrize(("reply", "kind"), REPLIES)
def test_an_error_reply_has_its_kind(reply: str, kind: FailureKind) -> None:
    assert kind_of(BaseParser.parse_error(reply)) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (exceptions.TimeoutError("Timeout reading from socket"), FailureKind.TIMEOUT),
        (TimeoutError("timed out"), FailureKind.TIMEOUT),
        (exceptions.ConnectionError("Connection closed by server."), FailureKind.CONNECTION),
        (ConnectionRefusedError(111, "Connection refused"), FailureKind.CONNECTION),
        (exceptions.AuthenticationError("Invalid Username or Password"), FailureKind.AUTH),
        (exceptions.InvalidResponse("Protocol Error"), FailureKind.OTHER),
    ],
)
def test_an_error_of_client_or_network_has_its_kind(error: Exception, kind: FailureKind) -> None:
    assert kind_of(error) is kind


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("CERTIFICATE_VERIFY_FAILED", FailureKind.AUTH),
        ("TLSV1_ALERT_UNKNOWN_CA", FailureKind.AUTH),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", FailureKind.AUTH),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", FailureKind.AUTH),
        ("UNEXPECTED_EOF_WHILE_READING", FailureKind.CONNECTION),
        ("WRONG_VERSION_NUMBER", FailureKind.CONNECTION),
        (None, FailureKind.CONNECTION),
    ],
)
def test_a_certificate_that_is_refused_is_no_broken_connection(reason: str | None, kind: FailureKind) -> None:
    said = ssl.SSLError(1, "said by TLS")
    said.reason = reason  # type: ignore[assignment]  # None where OpenSSL has no name for it
    error = exceptions.ConnectionError("Error 1 connecting to redis:6380")
    error.__context__ = said  # as the client raises it
    assert kind_of(error) is kind


def test_every_kind_is_reached() -> None:
    tested = {kind for _, kind in REPLIES} | {FailureKind.TIMEOUT, FailureKind.CONNECTION}
    tested |= {FailureKind.EVICTION}  # no reply to a command, but what the server says of itself
    tested |= {kind_of(NoMasterError("none"))}
    assert tested == set(FailureKind)


def test_unavailable_names_service_kind_and_detail() -> None:
    error = unavailable(exceptions.OutOfMemoryError("command not allowed"))
    assert (error.service, error.kind, error.detail) == ("redis", "oom", "command not allowed")


@pytest.mark.parametrize(
    ("urls", "message"),
    [
        ([], "missing: expected redis://"),
        (["http://somewhere"], "it cannot be read: expected redis://"),
        (["somewhere:6379"], "it cannot be read: expected redis://"),
        (["redis://h:port"], "it cannot be read: expected redis://"),
        (["unix:///run/redis"], "it cannot be read: expected redis://"),
        (["redis://h:6379/0?hunter2=1"], "it has an option that the Redis client does not know: expected redis://"),
        (["redis://h:6379/first"], "it cannot be read: expected redis://"),
    ],
)
def test_an_address_that_cannot_be_read_is_not_shown(urls: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^LEADSCORE_REDIS_URL: {message}"):
        RedisStore(urls, "ls", 4)


@pytest.mark.parametrize("url", ["redis://worker:hunter2@h:port/0?password=hunter3", "redis://worker:hunter/2@h:1/0"])
def test_a_wrong_address_does_not_tell_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RedisStore([url], "ls", 4)
    assert "hunter" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_redis_that_does_not_answer_is_unavailable_not_an_error_of_the_client() -> None:
    store = RedisStore(["redis://127.0.0.1:1/0"], "ls", 4)
    with pytest.raises(Unavailable) as caught:
        store.read_shards([0])
    assert (caught.value.service, caught.value.kind) == ("redis", "connection")


@pytest.mark.parametrize("ttl_ms", [0, -1])
def test_a_time_to_live_below_one_is_refused_before_anything_is_sent(ttl_ms: int) -> None:
    write = ShardWrite(shard=0, expected=None, fence=b"f1", leads={"L1": LeadWrite(b"state", ttl_ms)})
    with pytest.raises(ValueError, match=f"time to live of lead 'L1': {ttl_ms} ms: expected 1 or more"):
        RedisStore(["redis://127.0.0.1:1/0"], "ls", 4).write([write])
