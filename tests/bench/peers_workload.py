"""The peers' workload: 12 half-life rules in three capped groups, and events at random times within 30 days.

The same events and the same model that other systems are measured with (``make bench-peers``), so that a figure of one
benchmark can be compared with the other's. About five of 100 events cross the threshold, and most of them come late.
"""

from collections.abc import Iterator
from random import Random
from typing import Any
from uuid import UUID

import msgspec

from leadscore.events.event import Event, FieldValue
from leadscore.model.definition import ModelDefinition
from leadscore.time_units import DAY_MS
from tests.bench.workload import Span

DAYS = 30
SOURCES = ("website", "email", "webinar")

_TYPES = {
    "website": ("page_view", "pricing_view", "form_submitted", "demo_requested"),
    "email": ("open", "click", "reply", "unsubscribe"),
    "webinar": ("registered", "attended", "left"),
}
_WEIGHTS = (6, 3, 1)

MODEL: dict[str, Any] = {
    "model": "peers",
    "version": 1,
    "decay": {"half_life": "30d"},
    "groups": {"website": {"max": 40}, "email": {"max": 30}, "webinar": {"max": 50}},
    "rules": {
        "page_view": {"event": "website.page_view", "points": 1, "group": "website"},
        "blog": {
            "event": "website.page_view",
            "where": {"path": {"matches": "^/blog/1"}},
            "points": 3,
            "group": "website",
        },
        "pricing_view": {
            "event": "website.pricing_view",
            "points": 10,
            "group": "website",
            "decay": {"half_life": "14d"},
        },
        "form_submitted": {"event": "website.form_submitted", "points": 20, "group": "website"},
        "demo_requested": {"event": "website.demo_requested", "points": 40, "group": "website"},
        "open": {"event": "email.open", "points": 1, "group": "email"},
        "click": {"event": "email.click", "points": 5, "group": "email"},
        "reply": {"event": "email.reply", "points": 15, "group": "email"},
        "unsubscribe": {
            "event": "email.unsubscribe",
            "points": -30,
            "group": "email",
            "decay": {"half_life": "60d"},
        },
        "registered": {"event": "webinar.registered", "points": 10, "group": "webinar"},
        "attended": {"event": "webinar.attended", "points": 20, "group": "webinar"},
        "left": {"event": "webinar.left", "points": -2, "group": "webinar"},
    },
    "thresholds": {"mql": {"enter": 50, "exit": 35}},
}

SCHEMA = """{"type": "record", "name": "Ev", "fields": [
  {"name": "event_id", "type": "string"},
  {"name": "lead_id", "type": "string"},
  {"name": "occurred_at", "type": "long"},
  {"name": "type", "type": "string"},
  {"name": "path", "type": ["null", "string"]},
  {"name": "campaign", "type": ["null", "string"]},
  {"name": "asset", "type": ["null", "string"]},
  {"name": "duration_s", "type": ["null", "double"]},
  {"name": "user_agent", "type": ["null", "string"]},
  {"name": "referrer", "type": ["null", "string"]}
]}"""
"""What the events are written with: a foreign schema, as far as leadscore is concerned."""


def model_definition() -> ModelDefinition:
    """``MODEL`` as the worker reads it."""
    return msgspec.convert(MODEL, ModelDefinition)


def events(random: Random, number: int, leads: int, span: Span, *, in_order: bool = False) -> Iterator[Event]:
    """``number`` events of leads drawn at random; at random times of the span, or evenly spread in order."""
    for index in range(number):
        source = random.choices(SOURCES, _WEIGHTS)[0]
        lead_id = f"lead-{random.randrange(leads):07d}"
        event_id = str(UUID(int=random.getrandbits(128)))
        offset_ms = random.randrange(DAYS * DAY_MS)
        if in_order:
            offset_ms = DAYS * DAY_MS * index // number
        fields: dict[str, FieldValue] = {
            "path": f"/blog/{random.randrange(500)}",
            "campaign": f"spring-{random.randrange(9)}",
            "asset": None,
            "duration_s": random.random() * 100,
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
            "referrer": "https://www.google.com/",
        }
        event_type = f"{source}.{random.choice(_TYPES[source])}"
        yield Event(event_type, event_id, lead_id, span.end_ms - DAYS * DAY_MS + offset_ms, fields)


def record_of(event: Event) -> dict[str, object]:
    """The event as a record of ``SCHEMA``."""
    envelope = {"event_id": event.event_id, "lead_id": event.lead_id, "type": event.type}
    return {**event.fields, **envelope, "occurred_at": event.occurred_at_ms}
