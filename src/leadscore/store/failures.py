"""Redis errors by what they mean for the worker: all transient, each with a label of its own (design 2.7).

The client has classes for some of the server's error codes; the others are the first word of the message. A script on
Redis 6 wraps the error of a command inside it: ``Error running script …: -OOM command not allowed …``.
"""

import re
import ssl
from enum import StrEnum

from redis import exceptions

from leadscore.errors import Unavailable, without_traceback


class FailureKind(StrEnum):
    """The label of the metric; the set is closed.

    ``EVICTION``: Redis answers, but may evict keys. ``NO_MASTER``: no Sentinel names a server that is a master.
    """

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    OOM = "oom"
    BUSY = "busy"
    READONLY = "readonly"
    LOADING = "loading"
    CLUSTERDOWN = "clusterdown"
    MASTERDOWN = "masterdown"
    NOREPLICAS = "noreplicas"
    MISCONF = "misconf"
    NOSCRIPT = "noscript"
    MOVED = "moved"
    ASK = "ask"
    TRYAGAIN = "tryagain"
    NO_MASTER = "no_master"
    AUTH = "auth"
    EVICTION = "eviction"
    OTHER = "other"


class NoMasterError(exceptions.RedisError):
    """No Sentinel names a master, or what it names is none: a failover is under way."""


# The first class that fits decides: several of them are kinds of ConnectionError, which comes last.
_KIND_BY_CLASS: tuple[tuple[type[Exception], FailureKind], ...] = (
    (exceptions.OutOfMemoryError, FailureKind.OOM),
    (exceptions.ReadOnlyError, FailureKind.READONLY),
    (exceptions.BusyLoadingError, FailureKind.LOADING),
    (exceptions.MasterDownError, FailureKind.MASTERDOWN),
    (exceptions.ClusterDownError, FailureKind.CLUSTERDOWN),
    (exceptions.NoScriptError, FailureKind.NOSCRIPT),
    (exceptions.MovedError, FailureKind.MOVED),
    (exceptions.AskError, FailureKind.ASK),
    (exceptions.TryAgainError, FailureKind.TRYAGAIN),
    (NoMasterError, FailureKind.NO_MASTER),
    (exceptions.NoPermissionError, FailureKind.AUTH),
    (exceptions.AuthenticationWrongNumberOfArgsError, FailureKind.AUTH),
    (exceptions.AuthenticationError, FailureKind.AUTH),
    (exceptions.AuthorizationError, FailureKind.AUTH),
    (exceptions.TimeoutError, FailureKind.TIMEOUT),
    (TimeoutError, FailureKind.TIMEOUT),
    (exceptions.ConnectionError, FailureKind.CONNECTION),
    (OSError, FailureKind.CONNECTION),
)
_KIND_BY_CODE = {
    "ACL": FailureKind.AUTH,  # "ACL failure in script: …"
    "BUSY": FailureKind.BUSY,
    "MISCONF": FailureKind.MISCONF,
    "NOREPLICAS": FailureKind.NOREPLICAS,
    "OOM": FailureKind.OOM,
    "READONLY": FailureKind.READONLY,
}
_NOT_ALLOWED = "The user executing the script can't run this command"
"""Of a command in a script, as Redis 7.0 says it."""
_CERTIFICATE_ALERT = re.compile("CERTIFICATE|UNKNOWN_CA")
"""In OpenSSL's name of the alert by which Redis refuses the certificate that was shown to it, or misses one."""
_CODE = re.compile(r"(?:Error running script.* -)?([A-Z]+) ")


def unavailable(error: Exception) -> Unavailable:
    """What to raise for an error of the client or the network.

    The error's traceback is dropped: redis-py's errors may refer to themselves.
    """
    without_traceback(error)
    return Unavailable("redis", kind_of(error).value, str(error))


def kind_of(error: Exception) -> FailureKind:
    """The kind of an error of the client or the network."""
    for error_class, kind in _KIND_BY_CLASS:
        if isinstance(error, error_class):
            return FailureKind.AUTH if kind is FailureKind.CONNECTION and _is_of_a_certificate(error) else kind
    if str(error).startswith(_NOT_ALLOWED):
        return FailureKind.AUTH
    code = _CODE.match(str(error))
    return _KIND_BY_CODE.get(code[1], FailureKind.OTHER) if code else FailureKind.OTHER


def _is_of_a_certificate(error: Exception) -> bool:
    """Whether a certificate was refused, by this side or by Redis: the client wraps what TLS said."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError) and _CERTIFICATE_ALERT.search(getattr(cause, "reason", None) or ""):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
