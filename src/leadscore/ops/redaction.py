"""What may be shown of a setting or of an error: secrets are replaced, also inside URLs and librdkafka properties."""

import re

REDACTED = "***"

_URL_USER = re.compile(r"://.*@", re.DOTALL)
_LOGIN = re.compile(r".*:.*@", re.DOTALL)
_URL_OPTIONS = re.compile(r"(://[^?]*\?).*", re.DOTALL)
_SHOWN_PROPERTY = re.compile(
    r"bootstrap\.servers|security\.protocol|sasl\.(mechanisms?|username)|sasl\.oauthbearer\.(method|token\.endpoint\.url)"
    r"|client\.(id|rack|dns\.lookup)|group\.instance\.id|broker\.address\.(family|ttl)|compression\.(codec|type|level)"
    r"|ssl\.(ca|certificate|key|crl|keystore)\.location|ssl\.endpoint\.identification\.algorithm|debug|log\.queue"
    r"|enable\.[a-z.]+|[a-z.]+\.(ms|bytes|kbytes|messages|backoff|interval|max|enable)"
)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'" r'|"(?:[^"\\]|\\.)*"', re.DOTALL)
_ABOUT_VALUES = (ValueError, LookupError, ArithmeticError)
"""Errors of Python whose messages quote what was wrong: ``invalid literal for int(): 'jane@shop.example'``."""
_LOCATION = re.compile(r"[^\s=]{1,200}")


def redact_url(shown: str) -> str:
    """The text without the login of any address in it, and without the options of a URL.

    Greedy up to the last ``@``: a password may hold one, and rather too much is hidden than too little.
    """
    if "://" not in shown:
        return _LOGIN.sub(f"{REDACTED}@", shown)
    return _URL_OPTIONS.sub(rf"\1{REDACTED}", _URL_USER.sub(f"://{REDACTED}@", shown))


def may_hold_login(text: str) -> bool:
    """Whether a login may be in the text: in an address, or set as ``name=value``."""
    return any(sign in text for sign in ("@", "://", "="))


def redact_kafka_property(name: str, shown: str) -> str:
    """The value of a librdkafka property, or stars unless it is one that never holds a secret.

    A property that librdkafka does not know is hidden: it may be the misspelt name of a password.
    """
    if _SHOWN_PROPERTY.fullmatch(name) is None or (name.endswith(".location") and not _LOCATION.fullmatch(shown)):
        return REDACTED
    return redact_url(shown)


def redact_error(error: BaseException) -> str:
    """The message of an error that nobody expected, without the values that it quotes: they may be a person's."""
    return _QUOTED.sub(f"'{REDACTED}'", str(error)) if isinstance(error, _ABOUT_VALUES) else str(error)
