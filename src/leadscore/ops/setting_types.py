"""What the value of a setting may be: how its text is read, and how that is said to people.

A reader raises ``ValueError`` where the text is not what was expected; ``WrongAddress`` says in which way.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from leadscore import readers
from leadscore.ops.addresses import WrongAddress, check_database, check_one_cluster, check_url, split_urls
from leadscore.ops.redaction import redact_url

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_SWITCH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_REDIS_SCHEMES = ("redis", "rediss", "redis+sentinel", "rediss+sentinel")
_TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")


@dataclass(frozen=True, slots=True)
class SettingType(Generic[T]):
    """``what`` completes the sentence "expected ..."; ``read`` turns the text into the value.

    Of a type that ``may_hold_secret`` no text is shown that was refused; ``advice`` is for one with a login in it.
    """

    what: str
    read: Callable[[str], T]
    advice: str = ""
    may_hold_secret: bool = False


def _refuse_unless(accepted: bool) -> None:
    if not accepted:
        raise ValueError


def text() -> SettingType[str]:
    """Any text that fits on a line."""

    def read(value: str) -> str:
        _refuse_unless(value.isprintable())
        return value

    return SettingType("text without control characters", read)


def path() -> SettingType[str]:
    """The path of a file; an address is taken for a mistake, because it may have a password in it."""

    def read(value: str) -> str:
        _refuse_unless(value.isprintable() and "://" not in value and redact_url(value) == value)
        return value

    return SettingType("the path of a file", read)


def pattern(regex: str, what: str) -> SettingType[str]:
    """Text that the regular expression matches as a whole."""

    def read(value: str) -> str:
        _refuse_unless(re.fullmatch(regex, value) is not None)
        return value

    return SettingType(what, read)


def switch() -> SettingType[bool]:
    """True or false."""

    def read(value: str) -> bool:
        _refuse_unless(value.lower() in _SWITCH)
        return _SWITCH[value.lower()]

    return SettingType("true or false", read)


def choice(names: type[E]) -> SettingType[E]:
    """One of a few names, in upper or lower case."""

    def read(value: str) -> E:
        return names(value.lower())

    return SettingType("one of " + ", ".join(names), read)


def whole_number(at_least: int, at_most: int) -> SettingType[int]:
    """A whole number between two limits."""

    def read(value: str) -> int:
        entered = readers.whole_number(value)
        _refuse_unless(at_least <= entered <= at_most)
        return entered

    return SettingType(f"a whole number from {at_least} to {at_most}", read)


def number(at_least: float, at_most: float) -> SettingType[float]:
    """A decimal number between two limits."""

    def read(value: str) -> float:
        _refuse_unless(re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value) is not None)
        _refuse_unless(at_least <= float(value) <= at_most)
        return float(value)

    return SettingType(f"a number from {at_least:g} to {at_most:g}", read)


def duration_ms(at_least: str, at_most: str) -> SettingType[int]:
    """A duration between two limits, kept in milliseconds."""
    least_ms, most_ms = readers.duration_ms(at_least), readers.duration_ms(at_most)

    def read(value: str) -> int:
        value_ms = readers.duration_ms(value)
        _refuse_unless(least_ms <= value_ms <= most_ms)
        return value_ms

    return SettingType(f"a duration from {at_least} to {at_most}", read)


def registry_url() -> SettingType[str]:
    """The address of a schema registry."""

    def read(value: str) -> str:
        check_url(value, ("http", "https"))
        if "?" in value:
            raise WrongAddress("it has options after a ?")
        return value

    advice = _login_advice("LEADSCORE_SCHEMA_REGISTRY_USER and LEADSCORE_SCHEMA_REGISTRY_PASSWORD")
    return SettingType("a URL that starts with http:// or https://", read, advice, may_hold_secret=True)


def redis_urls() -> SettingType[str]:
    """The address of one Redis, those of nodes of one Redis Cluster, or those of Sentinels, as one text."""

    def read(value: str) -> str:
        urls = split_urls(value)
        for url in urls:
            check_url(url, _REDIS_SCHEMES)
            check_database(url)
        check_one_cluster(urls)
        return value

    what = (
        "a URL that starts with redis:// or rediss://, or redis+sentinel:// or rediss+sentinel://, or several with "
        "commas between them"
    )
    return SettingType(what, read, _login_advice("LEADSCORE_REDIS_PASSWORD"), may_hold_secret=True)


def _login_advice(variables: str) -> str:
    return (
        "in a user or password write %2F for /, %3F for ?, %23 for #, %40 for @ and %25 for %, or set it as it is in "
        f"{variables}"
    )


def _read_topic_name(value: str) -> str:
    _refuse_unless(_TOPIC_NAME.fullmatch(value) is not None and value not in {".", ".."})
    return value


def topic_name() -> SettingType[str]:
    """The name of one topic, as Kafka allows it."""
    return SettingType("a topic name: up to 249 letters, digits, '.', '_' and '-'", _read_topic_name)


def topic_names() -> SettingType[tuple[str, ...]]:
    """One or more names of topics."""

    def read(value: str) -> tuple[str, ...]:
        return tuple(_read_topic_name(name.strip()) for name in value.split(","))

    return SettingType("topic names with commas between them", read)


def instant_ms() -> SettingType[int]:
    """An instant, as milliseconds since 1970."""
    return SettingType("an instant with an offset, such as 2000-01-01T00:00:00Z", readers.instant_ms)
