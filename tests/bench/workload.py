"""Model and events of the benchmarks: believable, cheap to make, for the same seed the same but for their time."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from leadscore.events.encoding import encode_single_object
from leadscore.events.event import Event, FieldValue
from leadscore.model.definition import ModelDefinition

SOURCES = ("website", "email", "webinar")
MODEL: Mapping[str, Any] = {
    "model": "bench",
    "version": 1,
    "decay": {"half_life": "30d"},
    "groups": {
        "website": {"max": 40, "decay": {"half_life": "14d"}},
        "email": {"min": -30, "max": 25},
        "webinar": {"max": 40},
    },
    "rules": {
        "page": {"event": "website.page_view", "points": 1, "group": "website"},
        "pricing": {
            "event": "website.page_view",
            "where": {"path": {"matches": "^/pricing"}},
            "points": 6,
            "group": "website",
        },
        "docs": {"event": "website.page_view", "where": {"path": {"matches": "^/docs"}}, "points": 2},
        "careers": {"event": "website.page_view", "where": {"path": {"matches": "^/(careers|jobs)"}}, "points": -5},
        "whitepaper": {
            "event": "website.form_submitted",
            "where": {"form": "whitepaper", "country": {"in": ["DE", "FR", "NL"]}, "pages": {"at_least": 2}},
            "points": 10,
            "group": "website",
        },
        "download": {"event": "website.download", "points": 4, "group": "website"},
        "open": {"event": "email.open", "points": 1, "group": "email"},
        "click": {"event": "email.click", "points": 3, "group": "email"},
        "onboarding": {"event": "email.click", "where": {"campaign": "onboarding"}, "points": 4, "group": "email"},
        "unsubscribed": {"event": "email.unsubscribe", "points": -15, "group": "email"},
        "registered": {"event": "webinar.registered", "points": 8, "group": "webinar"},
        "attended": {
            "event": "webinar.attended",
            "where": {"minutes": {"at_least": 20}},
            "points": 12,
            "group": "webinar",
        },
    },
    "thresholds": {"mql": {"enter": 50, "exit": 36, "cooldown": "14d"}, "hot": {"enter": 65, "exit": 50}},
}
"""Twelve rules with half-lives, three groups, two thresholds, ``where`` on half of the rules."""

_TYPES = {
    "website.page_view": 50,
    "website.form_submitted": 3,
    "website.download": 3,
    "email.open": 20,
    "email.click": 11,
    "email.unsubscribe": 1,
    "email.delivered": 5,  # no rule: ignored
    "webinar.registered": 4,
    "webinar.attended": 3,
}
_PATHS = (
    "/",
    "/blog/what-is-lead-scoring",
    "/blog/attribution-in-practice",
    "/product/integrations",
    "/product/api",
    "/docs/getting-started",
    "/pricing/enterprise",
    "/careers/engineering",
)
_CAMPAIGNS = ("spring-launch", "newsletter-november", "onboarding", None)
_COUNTRIES = ("DE", "FR", "NL", "US", "GB")

_UNORDERED_SHARE = 0.02
_UNORDERED_WITHIN_MS = 600_000

Fields = dict[str, FieldValue]


class Span(NamedTuple):
    """When events occur, evenly spread (UTC ms)."""

    start_ms: int
    end_ms: int


def model_definition() -> ModelDefinition:
    """``MODEL`` as the worker reads it."""
    return msgspec.convert(MODEL, ModelDefinition)


def lead_id_of(number: int) -> str:
    """An opaque id of 16 characters, always the same for a number."""
    return f"{number * 0x9E3779B97F4A7C15 % (1 << 64):016x}"


def events(
    random: Random, number: int, leads: int, span: Span, *, one_after_the_other: bool = False
) -> Iterator[Event]:
    """Events by Kafka timestamp, a few of them late; leads at random, or each in turn."""
    types = random.choices(tuple(_TYPES), tuple(_TYPES.values()), k=number)
    step_ms = (span.end_ms - span.start_ms) / max(1, number)
    for index, event_type in enumerate(types):
        at_ms = span.start_ms + int(index * step_ms)
        if random.random() < _UNORDERED_SHARE:
            at_ms -= random.randrange(_UNORDERED_WITHIN_MS)
        lead = index % leads if one_after_the_other else random.randrange(leads)
        event_id = str(UUID(int=random.getrandbits(128), version=4))
        yield Event(event_type, event_id, lead_id_of(lead), at_ms, _fields(random, event_type))


def event_bytes(event: Event) -> bytes:
    """The event in Avro single-object encoding; ``cli.event_bytes`` does it with checks, at twice the cost."""
    source, _, symbol = event.type.partition(".")
    record: dict[str, object] = {
        **event.fields,
        "event_id": event.event_id,
        "lead_id": event.lead_id,
        "occurred_at": event.occurred_at_ms,
        "type": symbol.upper(),
        "fields": {},
    }
    return encode_single_object(f"{source}_event", record)


def _fields(random: Random, event_type: str) -> Fields:
    campaign = random.choice(_CAMPAIGNS)
    if event_type == "website.page_view":
        return {"path": random.choice(_PATHS), "referrer": "https://www.search.example/results", "campaign": campaign}
    if event_type == "website.form_submitted":
        form: Fields = {"form": "whitepaper", "pages": random.randrange(1, 6), "country": random.choice(_COUNTRIES)}
        return {**form, "asset": f"whitepaper-{random.randrange(8)}", "campaign": campaign}
    if event_type == "website.download":
        return {"asset": f"datasheet-integrations-{random.randrange(8)}", "campaign": campaign}
    if event_type.startswith("email."):
        link = "https://www.example.com/offers/spring?utm_source=mail" if event_type == "email.click" else None
        return {"asset": f"product-update-mail-{random.randrange(50)}", "link": link, "campaign": campaign}
    minutes = random.randrange(5, 60) if event_type == "webinar.attended" else None
    return {"asset": f"webinar-scoring-in-practice-{random.randrange(12)}", "minutes": minutes, "campaign": campaign}
