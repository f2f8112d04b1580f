"""What lasts, in the log: one line when it begins, one when it is over, and in between only news and reminders.

A service that does not answer and partitions that are stopped are looked at again every few seconds. A line for each
look would bury all others, so a cause is told once. It is told again when its extent changes (more partitions, another
kind of failure), but not at once, and from time to time with the number of occurrences, so that a log cut off at the
front still says it.
"""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

CHANGE_AFTER_S = 5.0
"""A change of the extent waits this long after the last line: partitions that stop one by one are one line."""
REMIND_AFTER_S = 600.0


@dataclass(slots=True)
class _Occurrence:
    """A cause that lasts; ``extent`` is what the last line said."""

    begun_at_s: float
    said_at_s: float
    extent: object
    count: int = 0


class OngoingLog:
    """Tells of causes that last, under one event's name when they begin and another's when they are over.

    Causes come from a small set, such as a service or a reason; instants are seconds of Unix time.
    """

    def __init__(self, logger: logging.Logger, begun: str, over: str) -> None:
        self._logger = logger
        self._begun = begun
        self._over = over
        self._standing: dict[str, _Occurrence] = {}

    def note(self, now_s: float, cause: str, level: int, extent: object = None, **fields: object) -> None:
        """The cause is there, for the first time or again; ``extent`` is what makes it worth another line."""
        occurrence = self._standing.get(cause)
        if occurrence is None:
            occurrence = self._standing[cause] = _Occurrence(now_s, now_s, extent)
            again: dict[str, object] = {}
        else:
            if not _is_news(occurrence, now_s, extent):
                occurrence.count += 1
                return
            occurrence.said_at_s, occurrence.extent = now_s, extent
            again = {"count": occurrence.count + 1, "since": instant(occurrence.begun_at_s)}
        occurrence.count += 1
        self._logger.log(level, self._begun, extra={"cause": cause, **fields, **again})

    def end(self, now_s: float, cause: str, **fields: object) -> None:
        """The cause is gone; nothing is said of one that was not there."""
        occurrence = self._standing.pop(cause, None)
        if occurrence is not None:
            lasted_s = round(now_s - occurrence.begun_at_s, 3)
            said = {"cause": cause, "lasted_s": lasted_s, "count": occurrence.count}
            self._logger.info(self._over, extra=said | fields)

    def end_others(self, now_s: float, standing: Collection[str]) -> None:
        """Every cause but these is gone."""
        for cause in [cause for cause in self._standing if cause not in standing]:
            self.end(now_s, cause)


def _is_news(occurrence: _Occurrence, now_s: float, extent: object) -> bool:
    said_ago_s = now_s - occurrence.said_at_s
    return said_ago_s >= REMIND_AFTER_S or (extent != occurrence.extent and said_ago_s >= CHANGE_AFTER_S)


def instant(at_s: float) -> str:
    """Unix time as log lines and answers show it, ISO 8601 in UTC."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ranges(numbers: Iterable[int]) -> str:
    """Partition numbers as people write them: ``0-3, 7``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
