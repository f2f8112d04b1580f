"""Whether this machine's clock agrees with the brokers', which stamp the records of the log (design 2.5).

A worker whose clock is ahead would let leads leave their thresholds too early, one whose clock is behind would take
events of now for events of the future. Kafka does not say what time it is, but the acknowledgement of a record says
when a broker stored it, where the topic has the brokers' time. That was between the instants at which this process
produced the record and was told, or one of the two clocks is wrong.
"""

from datetime import UTC, datetime
from typing import Final

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

from leadscore.errors import WorkerStopped
from leadscore.events.times import EARLIEST_MS

MOST_APART_S: Final = 60.0
"""How far two clocks that are set may be apart, and more."""


class BrokersClock:
    """What acknowledgements have shown so far. A clock that is wrong is told with the next ``check``."""

    def __init__(self) -> None:
        self.is_confirmed = False
        """Whether the clocks agree, or the log has no time of the brokers."""
        self._wrong: str | None = None

    def note(self, timestamp: tuple[int, int], produced_s: float, acknowledged_s: float) -> None:
        """A record of the log was stored, with this timestamp of Kafka's."""
        kind, stored_ms = timestamp
        if kind == TIMESTAMP_LOG_APPEND_TIME and stored_ms >= EARLIEST_MS:  # an embedded broker has no time
            self._wrong = why_wrong(stored_ms / 1000, produced_s, acknowledged_s)
        self.is_confirmed = self._wrong is None

    def check(self) -> None:
        """``WorkerStopped`` where this machine's clock is wrong."""
        if self._wrong is not None:
            raise WorkerStopped(self._wrong)


def why_wrong(stored_s: float, earliest_s: float, latest_s: float) -> str | None:
    """What to tell an operator where a broker's time is not between two instants of this machine's."""
    if earliest_s - stored_s > MOST_APART_S:
        apart = f"{earliest_s - stored_s:.0f} s ahead of"
    elif stored_s - latest_s > MOST_APART_S:
        apart = f"{stored_s - latest_s:.0f} s behind"
    else:
        return None
    return (
        f"the clock of this machine is {apart} that of the Kafka brokers: here it was {_instant(latest_s)} when they "
        f"stored a record of the log at {_instant(stored_s)}. Set the clock that is wrong (NTP), then start the worker "
        "again; until then others may score its partitions"
    )


def why_went_back(now_s: float, latest_s: float) -> str | None:
    """What to tell an operator where this machine's clock is behind what it said before, by more than a correction."""
    if latest_s - now_s <= MOST_APART_S:
        return None
    return (
        f"the clock of this machine went back by {latest_s - now_s:.0f} s while the worker ran: it was "
        f"{_instant(latest_s)} and is {_instant(now_s)}. Set the clock if it is wrong (NTP), then start the worker "
        "again"
    )


def _instant(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="seconds")
