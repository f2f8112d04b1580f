"""Random logs for hypothesis: what a few leads do, and how it arrives. A log is a list of the oracle's entries."""

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.oracle import (
    ADJUST,
    DAY_MS,
    ERASE,
    MERGE,
    PROFILE,
    REQUALIFY,
    RESET,
    RESUME,
    RETRACT,
    SUSPEND,
    Entry,
    Plain,
    digest_of,
)
from tests.random_models import ALL, TYPES, Features

START_MS = 1_767_225_600_000  # 2026-01-01, a Thursday, at midnight
DAYS = 120
END_MS = START_MS + (DAYS + 60) * DAY_MS  # all delays end before it
HOUR_MS = 3_600_000
MOST_EVENTS = 40
LEADS = ["L1", "L2", "L3"]

PATHS = ("/pricing", "/pricing/eu", "/blog", "/careers")
ROLES = ("ceo", "cto", "student", "head of IT")


@st.composite
def logs(draw: DrawFn, features: Features = ALL) -> list[Entry]:
    """Entries in log order, log times never going back: most in time, some late, some repeated, a few ahead of time."""
    events = draw(events_of_some_leads(features))
    if not features.corrects:
        return _in_time(events)
    repeated = draw(st.lists(st.sampled_from(events), max_size=5))
    if features.merges:  # what came under two ids
        again = [event for event in repeated if event["type"] == ADJUST or not event["type"].startswith("command.")]
        repeated += [event | {"lead_id": draw(st.sampled_from(LEADS))} for event in again]
    entries = [Entry(event, max(0, event["occurred_at"] + draw(_delays_ms()))) for event in events + repeated]
    return in_order_of_arrival(sorted(entries, key=lambda entry: entry.log_time_ms))


def _in_time(events: list[Plain]) -> list[Entry]:
    """Every event comes when it occurs, those of one instant in the order of their hashes."""
    in_time = sorted(events, key=lambda event: (event["occurred_at"], digest_of((event["type"], event["event_id"]))))
    return [Entry(event, event["occurred_at"]) for event in in_time]


def in_order_of_arrival(entries: list[Entry]) -> list[Entry]:
    """The entries in their order, with log times that never go back."""
    latest_ms = 0
    arrived = []
    for entry in entries:
        latest_ms = max(latest_ms, entry.log_time_ms)
        arrived.append(replace(entry, log_time_ms=latest_ms))
    return arrived


def _delays_ms() -> SearchStrategy[int]:
    return st.sampled_from([0, 0, 0, 0, 1, 40, 90_000, 5 * HOUR_MS, 3 * DAY_MS, 40 * DAY_MS, -60_000, -300_000])


@st.composite
def events_of_some_leads(draw: DrawFn, features: Features = ALL) -> list[Plain]:
    """Events and commands of one to three leads, ids ``e0``, ``e1``, ..., in the JSON form of 1.11.

    In half of the histories events of different types share ids, as those of two systems do.
    """
    lead_ids = LEADS[: draw(st.integers(1, 3))]
    moments_ms = draw(_moments_ms())
    size = draw(st.sampled_from([3, 1, 8, 15, 25, MOST_EVENTS]))
    event_ids = [f"e{number}" for number in range(size + 1)]  # the last one never comes
    drawn = [draw(_events(features, lead_ids, moments_ms, event_ids)) for _ in range(size)]
    if features.merges:  # an event that comes under two ids is one event
        return _with_ids(drawn, event_ids)
    return _with_shared_ids(drawn) if draw(st.booleans()) else _with_ids(drawn, event_ids)


def _with_ids(events: list[Plain], event_ids: list[str]) -> list[Plain]:
    return [event | {"event_id": event_id} for event, event_id in zip(events, event_ids, strict=False)]


def _with_shared_ids(events: list[Plain]) -> list[Plain]:
    """Two and two have one id, unless that would make them the same event."""
    event_ids: list[str] = []
    taken: set[tuple[str, ...]] = set()
    for number, event in enumerate(events):
        shared, own = f"e{number // 2}", f"e{number}"
        event_ids.append(own if (event["lead_id"], event["type"], shared) in taken else shared)
        taken.add((event["lead_id"], event["type"], event_ids[-1]))
    return _with_ids(events, event_ids)


def _moments_ms() -> SearchStrategy[list[int]]:
    """A few instants around which everything happens: some are midnights, some are a whole window apart."""
    days = st.integers(0, DAYS)
    offsets_ms = st.sampled_from([0, 0, DAY_MS - 1, 10 * HOUR_MS, 18 * HOUR_MS + 1234])
    moment = st.builds(lambda day, offset_ms: START_MS + day * DAY_MS + offset_ms, days, offsets_ms)
    return st.lists(moment, min_size=1, max_size=6)


@st.composite
def _events(
    draw: DrawFn, features: Features, lead_ids: list[str], moments_ms: list[int], event_ids: list[str]
) -> Plain:
    offset_ms = draw(st.sampled_from([0, 0, 1, 500, 999, 2_000, 2_001, HOUR_MS, DAY_MS, 7 * DAY_MS]))
    event: Plain = {
        "lead_id": draw(st.sampled_from(lead_ids)),
        "occurred_at": draw(st.sampled_from(moments_ms)) + offset_ms,
    }
    if not features.core and draw(st.integers(0, 3)) == 3:
        return event | draw(_commands(features, event_ids))
    if not features.core and draw(st.integers(0, 6)) == 6:
        return event | {"type": PROFILE, "attributes": draw(_attributes())}
    return event | draw(acts(features))


def acts(features: Features = ALL) -> SearchStrategy[Plain]:
    """What a lead does: type, fields and attributes, without the identity."""
    optional: dict[str, SearchStrategy[object]] = {
        "path": st.sampled_from(PATHS),
        "pages": st.sampled_from([0, 1, 2, 2.0, "2", True, None]),
        "asset": st.sampled_from(["wp-1", "wp-2", "1", 1, 1.0, True, None]),
        "campaign": st.just("spring"),
    }
    if not features.core:
        optional["attributes"] = _attributes()
    return st.fixed_dictionaries({"type": st.sampled_from((*TYPES, "website.other"))}, optional=optional)


def _attributes() -> SearchStrategy[Plain]:
    values: dict[str, SearchStrategy[object]] = {
        "role": st.sampled_from([*ROLES, None]),
        "company_size": st.sampled_from([5, 250, 1000, 20_000, "many", None]),
        "unknown": st.just("x"),
    }
    return st.fixed_dictionaries({}, optional=values)


@st.composite
def _commands(draw: DrawFn, features: Features, event_ids: list[str]) -> Plain:
    erase = [ERASE] if features.forgets else []
    corrections = [RETRACT, RETRACT, RESET] if features.corrects else []
    merges = [MERGE] * 6 if features.merges else []
    command = draw(st.sampled_from([ADJUST, ADJUST, ADJUST, *corrections, SUSPEND, RESUME, REQUALIFY, *erase, *merges]))
    if command == MERGE:
        return {"type": MERGE, "into": draw(st.sampled_from([*LEADS, "L0"]))}
    if command == ADJUST:
        return {"type": ADJUST, "points": draw(st.sampled_from([10, 30, -20, 0.25])), "reason": "met at the fair"}
    if command == RETRACT:
        retract = {"type": RETRACT, "target": draw(st.sampled_from(event_ids))}
        target_types = st.sampled_from([*TYPES, PROFILE, ADJUST, "website.other"])
        by_type = not features.retracts_any_type or draw(st.booleans())
        return retract | ({"target_type": draw(target_types)} if by_type else {})
    return {"type": command}
