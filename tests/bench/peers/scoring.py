"""The peers' model in plain Python, as a worker of one's own would have it, and the progress that a worker prints.

It needs nothing but fastavro, because it also runs in the environment of another system. A lead's state is a plain
dict, so that every system can keep it the way its documentation shows: ``{"t": latest time, "a": {rule: [points, as
of]}, "in": 0 or 1, "ids": the last event ids}``.
"""

import json
import math
import os
from io import BytesIO
from pathlib import Path
from typing import Any

from fastavro import parse_schema, schemaless_reader

Event = dict[str, Any]
Lead = dict[str, Any]

PREFIX_BYTES = 5
MARKS = 20
RULES = (
    ("website.page_view", "", 1, 30, 0),
    ("website.pricing_view", "", 10, 14, 0),
    ("website.form_submitted", "", 20, 30, 0),
    ("website.demo_requested", "", 40, 30, 0),
    ("email.open", "", 1, 30, 1),
    ("email.click", "", 5, 30, 1),
    ("email.reply", "", 15, 30, 1),
    ("email.unsubscribe", "", -30, 60, 1),
    ("webinar.registered", "", 10, 30, 2),
    ("webinar.attended", "", 20, 30, 2),
    ("webinar.left", "", -2, 30, 2),
    ("website.page_view", "/blog/1", 3, 30, 0),
)
"""Event type, what the path begins with, points, half-life in days, group."""
GROUP_MAX = (40.0, 30.0, 50.0)
ENTER, LEAVE, KEPT_IDS = 50.0, 35.0, 64

_PAGE_VIEW, _BLOG = "website.page_view", "11"
_HITS = {row[0]: (str(number), float(row[2])) for number, row in enumerate(RULES) if not row[1]}
_DECAY = {str(number): math.log(2) / (row[3] * 86_400_000.0) for number, row in enumerate(RULES)}
_GROUP = {str(number): row[4] for number, row in enumerate(RULES)}


def source_topics() -> list[str]:
    """Of this run."""
    return os.environ["TOPICS"].split(",")


def reader_of(file: str) -> Any:
    """The schema of the events, ready for ``decode``."""
    return parse_schema(json.loads(Path(file).read_text("utf-8")))


def decode(value: bytes, schema: Any) -> Event:
    """An event that stands behind the Confluent prefix."""
    stream = BytesIO(value)
    stream.seek(PREFIX_BYTES)
    event: Event = schemaless_reader(stream, schema)  # type: ignore[assignment]
    return event


def act_of(event: Event) -> Event:
    """What scoring needs of an event; this is what goes through a repartition topic."""
    hit = _HITS.get(event["type"])
    hits = [hit] if hit else []
    if event["type"] == _PAGE_VIEW and (event["path"] or "").startswith("/blog/1"):
        hits.append((_BLOG, 3.0))
    return {"lead_id": event["lead_id"], "id": event["event_id"], "at": event["occurred_at"], "hits": hits}


def new_lead() -> Lead:
    """No points yet."""
    return {"t": 0, "a": {}, "in": 0, "ids": []}


def fold(lead: Lead, act: Event) -> tuple[bool, Event | None]:
    """Add an act to its lead: whether the state changed, and the crossing."""
    event_id, ids, at = act["id"][:18], lead["ids"], act["at"]
    if event_id in ids:
        return False, None
    lead["t"] = max(at, lead["t"])
    before = _score(lead)
    crossing = _leave(lead, before) if before < LEAVE else None
    _add(lead["a"], act)
    ids.append(event_id)
    if len(ids) > KEPT_IDS:
        del ids[0]
    after = _score(lead)
    if not lead["in"] and after > before and after >= ENTER:
        lead["in"] = 1
        crossing = ("enter", after)
    elif after < LEAVE:
        crossing = _leave(lead, after) or crossing
    if crossing is None:
        return True, None
    identity = {"lead_id": act["lead_id"], "event_id": act["id"]}
    return True, {**identity, "direction": crossing[0], "score": crossing[1], "at": lead["t"]}


def _leave(lead: Lead, score: float) -> tuple[str, float] | None:
    if not lead["in"]:
        return None
    lead["in"] = 0
    return "leave", score


def _score(lead: Lead) -> float:
    groups, now = [0.0, 0.0, 0.0], lead["t"]
    exp = math.exp
    for rule, (points, as_of) in lead["a"].items():
        groups[_GROUP[rule]] += points * exp(_DECAY[rule] * (as_of - now))
    total = 0.0
    for points, most in zip(groups, GROUP_MAX, strict=True):
        total += min(points, most)
    return min(max(total, 0.0), 100.0)


def _add(awards: dict[str, list[float]], act: Event) -> None:
    at = act["at"]
    for rule, points in act["hits"]:
        award = awards.get(rule)
        if award is None:
            awards[rule] = [points, at]
        elif at >= award[1]:
            award[:] = award[0] * math.exp(_DECAY[rule] * (award[1] - at)) + points, at
        else:
            award[0] += points * math.exp(_DECAY[rule] * (at - award[1]))


class Marks:
    """Tells the benchmark how far the worker is: a line at the first event and at every twentieth part of all."""

    def __init__(self) -> None:
        self._step = max(1, int(os.environ["EVENTS"]) // MARKS)
        self._done = 0
        self._started = False

    def first(self) -> None:
        """An event was read."""
        if not self._started:
            self._started = True
            _print_mark(1)

    def done(self, events: int = 1) -> None:
        """Events were scored."""
        before, self._done = self._done, self._done + events
        if before // self._step != self._done // self._step:
            _print_mark(self._done // self._step * self._step)


def _print_mark(done: int) -> None:
    os.write(1, b"MARK %d\n" % done)
