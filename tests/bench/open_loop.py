"""Events sent at their planned times, whatever the worker does, and how long after them their crossings came.

Latency counts from the planned time: a sender that is held up, by whatever holds up the worker, must not make the
figures better (coordinated omission). Each event says in its id when it was planned, so that sender and subscriber need
to know nothing of each other.
"""

from collections.abc import Iterator, Sequence
from math import ceil
from typing import NamedTuple

from leadscore.events.event import Event, FieldValue

LEADS = 20_000
CROSSES_EVERY = 20
AHEAD_S = 1.0


class Schedule(NamedTuple):
    """``number`` events from ``start_us`` (UTC) on, evenly spread at ``rate`` a second."""

    start_us: int
    rate: float
    number: int

    def planned_us(self, index: int) -> int:
        """When an event is to be sent."""
        return self.start_us + round(index * 1e6 / self.rate)

    def due(self, now_us: int) -> int:
        """How many events are to be sent by now."""
        if now_us < self.start_us:
            return 0
        due = min(self.number, int((now_us - self.start_us) * self.rate / 1e6) + 1)
        # Planned times are rounded to microseconds: the count goes by them.
        while due < self.number and self.planned_us(due) <= now_us:
            due += 1
        while due and self.planned_us(due - 1) > now_us:
            due -= 1
        return due


class Latencies(NamedTuple):
    """Milliseconds, of ``number`` crossings."""

    number: int
    p50: float
    p99: float
    p999: float
    most: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least value that at least this share of all values does not exceed."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def latencies(values_ms: Sequence[float]) -> Latencies:
    """Of at least one crossing."""
    ordered = sorted(values_ms)
    p50, p99, p999 = (percentile(ordered, share) for share in (0.5, 0.99, 0.999))
    return Latencies(len(ordered), p50, p99, p999, ordered[-1])


def event_id(planned_us: int, index: int) -> str:
    """An id that says when its event was planned."""
    return f"{planned_us}-{index}"


class Planned(NamedTuple):
    """When an event was to be sent, and which one it was."""

    at_us: int
    place: int


def planned_of(name: str) -> Planned:
    """What the id of an event says."""
    at_us, _, place = name.partition("-")
    return Planned(int(at_us), int(place))


def crossings_of_few(rate: float, number: int) -> int:
    """How many of this number of events cross."""
    places = len(range(CROSSES_EVERY // 2, number, CROSSES_EVERY))
    return places - ceil(rate * AHEAD_S / CROSSES_EVERY)


def least_events(rate: float) -> int:
    """How many events it takes until enough of them cross to measure by: the first second's do not."""
    return ceil(2 * rate * AHEAD_S)


def few_cross(schedule: Schedule, name: str) -> Iterator[Event]:
    """One event in twenty crosses: of a lead that another event brought near the threshold a second before."""
    ahead = ceil(schedule.rate * AHEAD_S / CROSSES_EVERY)
    for index in range(schedule.number):
        hot, place = divmod(index, CROSSES_EVERY)
        if place == 0:
            event_type, lead_id = "website.demo_requested", f"{name}-{hot}"
        elif place == CROSSES_EVERY // 2 and hot >= ahead:
            event_type, lead_id = "webinar.attended", f"{name}-{hot - ahead}"
        elif index % 3:
            event_type, lead_id = "website.page_view", f"visitor-{index * 7919 % LEADS}"
        else:
            event_type, lead_id = "email.open", f"reader-{index * 7919 % LEADS}"
        yield _event(event_type, lead_id, schedule.planned_us(index), index)


def every_second_crosses(schedule: Schedule, name: str) -> Iterator[Event]:
    """Two events of a new lead at the same time, the second of which crosses: what the peers were measured with."""
    for index in range(schedule.number):
        event_type = "webinar.attended" if index % 2 else "website.demo_requested"
        yield _event(event_type, f"{name}-{index // 2}", schedule.planned_us(index), index)


def _event(event_type: str, lead_id: str, planned_us: int, index: int) -> Event:
    fields: dict[str, FieldValue] = {}
    if event_type == "website.page_view":
        fields = {"path": f"/blog/{index % 500}", "campaign": "spring"}
    return Event(event_type, event_id(planned_us, index), lead_id, planned_us // 1000, fields)
