"""Instants as foreign systems write them: numbers of any unit, numbers in text, many forms of ISO 8601, RFC 2822. Pure.

Of a number without a unit the size says which it is: seconds, milliseconds, microseconds and nanoseconds do not overlap
from March 1973 to the year 5138.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

from leadscore.events.validation import FieldProblem
from leadscore.mapping.forms import number_in
from leadscore.readers import instant_ms_of
from leadscore.time_units import DAY_MS

EXPECTED_TIME = "ISO 8601 with an offset, or a number since 1970"
_ONE_TYPE = "numbers of one logical type; by the schema they may be of several"
_WITHOUT_ZONE = "a time with an offset, or time_zone in the mapping: UTC, or an offset such as +01:00"

MOST_SECONDS = 10**11
MOST_MS = 10**14
_MOST_US = 10**17
_ABOVE_ALL = 1e30
"""Above any instant in any unit; infinity is, and nothing can be said of what is no number."""
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_ZONE_NAME = re.compile(r"\[[^\]]{1,64}\]$")
_DAY_OR_MONTH = re.compile(r"(?:mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*")
_WORD = re.compile(r"[a-z]+")
_MAX_TEXT = 64

InstantReader = Callable[[object, str], int]
"""UTC milliseconds of what is at a path; ``FieldProblem`` with the path for what is no instant."""


class LogicalType:
    """What an Avro schema says of a number: its unit, and whether it is the time on a clock whose zone is not said."""

    __slots__ = ("is_local", "per_day", "per_second")

    def __init__(self, per_second: int, *, is_local: bool = False, per_day: bool = False) -> None:
        self.per_second = per_second
        self.is_local = is_local
        self.per_day = per_day


LOGICAL_TYPES = {
    "timestamp-millis": LogicalType(1_000),
    "timestamp-micros": LogicalType(1_000),  # the reader gives milliseconds of both
    "timestamp-nanos": LogicalType(1_000),
    "local-timestamp-millis": LogicalType(1_000, is_local=True),
    "local-timestamp-micros": LogicalType(1_000_000, is_local=True),
    "local-timestamp-nanos": LogicalType(1_000_000_000, is_local=True),
    "date": LogicalType(0, is_local=True, per_day=True),
}
"""By name. What ``avro_reader`` has turned into milliseconds has that unit here."""
SEVERAL = LogicalType(0)
"""Of numbers that may be of several logical types: which, is not said by the number."""


class Times:
    """Reads the instants of one topic; ``unit`` and ``time_zone`` are as the mapping has them."""

    def __init__(self, unit: str | None, time_zone: str | None) -> None:
        self._per_second = None if unit is None else _PER_SECOND[unit]
        self._zone = None if time_zone is None else _zone(time_zone)

    def read(self, value: object, path: str, logical: LogicalType | None = None) -> int:
        """UTC milliseconds; what an Avro logical type says of a number counts more than the mapping's unit."""
        if type(value) is str:
            return self._of_text(value, path)
        if type(value) is int:
            return self._of_whole(value, logical, path)
        if type(value) is float and abs(value) < _ABOVE_ALL:
            return self._of_fraction(value)
        raise FieldProblem(path, value, EXPECTED_TIME)

    def _of_whole(self, number: int, logical: LogicalType | None, path: str) -> int:
        if logical is None:
            return number * 1_000 // (self._per_second or _per_second_by_size(abs(number)))
        if logical is SEVERAL:
            raise FieldProblem(path, number, _ONE_TYPE)
        if logical.is_local and self._zone is None:
            raise FieldProblem(path, number, _WITHOUT_ZONE)
        milliseconds = number * DAY_MS if logical.per_day else number * 1_000 // logical.per_second
        return milliseconds - self._offset_ms() if logical.is_local else milliseconds

    def _of_fraction(self, number: float) -> int:
        return int(number * 1_000 / (self._per_second or _per_second_by_size(int(abs(number)))))

    def _of_text(self, text: str, path: str) -> int:
        text = text.strip()
        number = number_in(text)
        if number is not None:
            return self.read(number, path)
        try:
            return instant_ms_of(self._with_zone(_parsed(text), path))
        except (ValueError, OverflowError) as error:
            raise FieldProblem(path, text, EXPECTED_TIME) from error

    def _with_zone(self, instant: datetime, path: str) -> datetime:
        if instant.tzinfo is not None:
            return instant
        if self._zone is None:
            raise FieldProblem(path, "", _WITHOUT_ZONE)
        return instant.replace(tzinfo=self._zone)

    def _offset_ms(self) -> int:
        offset = self._zone.utcoffset(None) if self._zone is not None else timedelta()
        return int(offset.total_seconds() * 1_000)


def _zone(time_zone: str) -> timezone:
    if time_zone == "UTC":
        return UTC
    sign = -1 if time_zone[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(time_zone[1:3]), minutes=int(time_zone[4:6])))


def _per_second_by_size(size: int) -> int:
    if size < MOST_SECONDS:
        return 1
    return 1_000 if size < MOST_MS else 1_000_000 if size < _MOST_US else 1_000_000_000


def _parsed(text: str) -> datetime:
    if len(text) > _MAX_TEXT:
        raise ValueError(text)
    if text[:1].isalpha():
        return _mail_date(text)
    upper = _ZONE_NAME.sub("", text.upper())
    if upper.endswith((" UTC", " GMT")):
        upper = f"{upper[:-4]}Z"
    return datetime.fromisoformat(upper)


def _mail_date(text: str) -> datetime:
    """A time as mails have it. A zone that is not understood, or PM, is not taken for a time without a zone."""
    instant = parsedate_to_datetime(text)
    if instant.tzinfo is None and text.endswith("-0000"):
        return instant.replace(tzinfo=UTC)  # RFC 2822: the instant is UTC, the sender's zone is not said
    words = _WORD.findall(text.lower())
    if instant.tzinfo is None and ("+" in text or "-" in text or not all(map(_DAY_OR_MONTH.fullmatch, words))):
        raise ValueError(text)
    return instant
