"""The output: a lead entering or leaving a threshold (design 1.7). A value."""

from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from leadscore.log.records import Award, Trace


class Direction(StrEnum):
    """Which way the lead went."""

    ENTER = "ENTER"
    LEAVE = "LEAVE"


class Cause(StrEnum):
    """Why the crossing happened."""

    EVENT = "EVENT"
    COMMAND = "COMMAND"
    INSTANT = "INSTANT"
    TIME = "TIME"
    DISQUALIFIED = "DISQUALIFIED"
    RECYCLED = "RECYCLED"
    MERGED = "MERGED"


class Trigger(msgspec.Struct, frozen=True, omit_defaults=True):
    """The record that caused a crossing; ``topic`` is ``None`` outside Kafka.

    ``received_at_ms``, its Kafka timestamp, is for the worker's metrics, and ``trace`` becomes headers: neither is part
    of the value that is published.
    """

    topic: str | None
    event_id: str
    type: str
    campaign: str | None
    received_at_ms: int | None = None
    trace: Trace | None = None


def trigger_of(topic: str | None, award: Award) -> Trigger:
    """What the award's record is as the cause of crossings."""
    return Trigger(topic, award.event_id, award.type, award.campaign, award.received_at_ms, award.trace)


class Reason(msgspec.Struct, frozen=True):
    """A rule, condition or attribute and the points it gave at the crossing's ``occurred_at``."""

    name: str
    points: float


class Crossing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A lead enters or leaves a threshold. Instants are UTC milliseconds; points and levels are those of the model."""

    id: str
    model: str
    model_version: int
    lead_id: str
    threshold: str
    score_name: str | None = None
    """The score that the threshold is of; ``None`` is the main one. Here and below, scores are that one."""
    direction: Direction
    cause: Cause
    merged_with: str | None = None
    """Of a merge: the other id of the person, under which the same stay ends or goes on; ``None`` elsewhere."""
    entered_id: str | None
    sequence: int | None = None
    """1, 2, 3, ... over this lead's crossings of this threshold: enters are odd, leaves even.

    Begins again at 1 for a lead that was forgotten or erased, and for a threshold that was taken out of the model and
    came back. A subscriber then sees a lower number with a later ``decided_at_ms``; a late repeat has neither higher.
    ``None`` of a crossing that is still in the outbox of a version that did not number them.
    """
    score: float
    previous_score: float
    engagement: float
    fit: float
    grade: str
    enter_level: float
    exit_level: float
    occurred_at_ms: int
    decided_at_ms: int
    projected_exit_at_ms: int | None
    trigger: Trigger | None
    reasons: list[Reason]
    stale: bool


def iso_instant(instant_ms: int) -> str:
    """``2026-01-05T10:00:00.000Z``."""
    return datetime.fromtimestamp(instant_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_json_object(crossing: Crossing) -> dict[str, object]:
    """The names of design 1.7, in its order; instants as ISO 8601."""
    named: dict[str, object] = {}
    values = msgspec.to_builtins(crossing)  # without what has its default
    if crossing.trigger is not None:
        for name in ("received_at_ms", "trace"):
            values["trigger"].pop(name, None)
    for name in crossing.__struct_fields__:
        value = values.get(name)
        if name.endswith("_ms"):
            named[name.removesuffix("_ms")] = None if value is None else iso_instant(value)
        else:
            named[name] = value
    return named
