"""Which instants an event may have, apart from its form: not before there was a product, not from the future. Pure."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from leadscore.errors import DeadLetter, DeadLetterReason

NO_CLOCK_MS = 10**15
"""The clock of one that has none: later than any event."""
EARLIEST_MS = 946_684_800_000
"""2000-01-01, the default of LEADSCORE_EARLIEST."""
MAX_FUTURE_SKEW_MS = 300_000
"""The default of LEADSCORE_MAX_FUTURE_SKEW."""
_MOST_SECONDS = 4_102_444_800
"""2100-01-01 in seconds."""


def too_early(occurred_at_ms: int, earliest_ms: int) -> DeadLetter:
    """The error for an event from before the earliest time, with the likely reason."""
    day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=earliest_ms)).date()
    looks_like_seconds = EARLIEST_MS <= occurred_at_ms * 1_000 < _MOST_SECONDS * 1_000
    hint = ": is it in seconds? Expected milliseconds" if looks_like_seconds else ""
    return DeadLetter(
        DeadLetterReason.TOO_EARLY, f"occurred_at is before {day}, the earliest time (LEADSCORE_EARLIEST){hint}"
    )


class TimeLimits(NamedTuple):
    """From when and until when events may have occurred."""

    earliest_ms: int
    max_ahead_ms: int
    now_ms: int
    """The reader's clock."""

    def check(self, occurred_at_ms: int, kafka_time_ms: int) -> None:
        """``DeadLetter`` for what is too early, or ahead of Kafka's time (-1: none) or of the clock."""
        if occurred_at_ms < self.earliest_ms:
            raise too_early(occurred_at_ms, self.earliest_ms)
        latest_ms = kafka_time_ms if 0 <= kafka_time_ms < self.now_ms else self.now_ms
        ahead_ms = occurred_at_ms - latest_ms
        if ahead_ms > self.max_ahead_ms:
            of = "the Kafka timestamp" if latest_ms == kafka_time_ms else "the worker's clock"
            detail = f"occurred_at is {ahead_ms} ms ahead of {of}, expected at most {self.max_ahead_ms} ms"
            raise DeadLetter(DeadLetterReason.FUTURE, detail)
