"""Fixed streams of events, folded: what the bytes of states, crossings and frames must be for ever.

Compiled or not, and on every version of Python: the digests in ``tests/unit/same_bytes.json`` are of all of them. They
change only with a change of the log's or the state's format, or of the arithmetic, which must be meant. Then
``python -m tests.same_bytes`` writes them anew; the change belongs in ``CHANGELOG.md``, for workers of both kinds must
not share a log.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec

from leadscore.events.event import Event, FieldValue
from leadscore.log.records import (
    ADJUST,
    ERASE,
    REQUALIFY,
    RESET,
    RESUME,
    RETRACT,
    SUSPEND,
    Award,
    Frame,
    LogRecord,
    Source,
    Tick,
    decode,
    encode,
)
from leadscore.model.compile import compile_model
from leadscore.model.definition import ModelDefinition
from leadscore.model.load import load_model, parse_model
from leadscore.model.matching import Matcher
from leadscore.pipeline.score.outbox import encode_outputs
from leadscore.pipeline.score.shard import Shard, leads_of
from leadscore.scoring.context import FoldSettings
from leadscore.scoring.crossing import Crossing
from leadscore.store.fence import Fence
from leadscore.time_units import DAY_MS, HOUR_MS
from tests.bench import peers_workload, workload
from tests.bench.features import NOW_MS, SPAN, STARTER, starter_events
from tests.unit.model_texts import EVERYTHING

DIGESTS = Path(__file__).parent / "unit" / "same_bytes.json"
FRAME_AWARDS = 100
FEW_RECENT_EVENTS = FoldSettings(recent_events=12)
"""So that most events are settled."""


class Workload(NamedTuple):
    """The versions of a model, each for its share of the events."""

    models: list[ModelDefinition]
    events: list[Event]


class Digests(NamedTuple):
    """Hashes of everything that was encoded, in its order, and how many crossings had which cause."""

    frames: str
    states: str
    outputs: str
    crossings: dict[str, int]


def peers() -> Workload:
    """Half-lives in capped groups, most events late."""
    return Workload([peers_workload.model_definition()], list(peers_workload.events(Random(1), 3_000, 150, SPAN)))


def base() -> Workload:
    """The events of ``make bench``, in order."""
    return Workload([workload.model_definition()], list(workload.events(Random(2), 3_000, 100, SPAN)))


def starter() -> Workload:
    """The starter model, with the events of ``leadscore produce``."""
    return Workload([load_model(STARTER).definition], starter_events(3, 3_000))


def everything() -> Workload:
    """Every feature of a model, every command, duplicates, late events; and a new version of the model on the way.

    But for the other scores: what they bring changes no byte of a model that has none.
    """
    versions = [_without_other_scores(definition) for definition in _versions_of_everything()]
    return Workload(versions, list(_eventful(Random(4), 4_000)))


def scores() -> Workload:
    """Everything, with a score beside the main one; what was a blog is the page of a plan here."""
    events = [
        msgspec.structs.replace(event, fields={**event.fields, "path": "/account/plan"})
        if event.fields.get("path") == "/blog"
        else event
        for event in _eventful(Random(5), 4_000)
    ]
    return Workload(_versions_of_everything(), events)


def _versions_of_everything() -> list[ModelDefinition]:
    changed = EVERYTHING.replace("version: 3", "version: 4").replace("half_life: 30d", "linear: 40d")
    return [parse_model(EVERYTHING, "everything"), parse_model(changed, "changed")]


def _without_other_scores(definition: ModelDefinition) -> ModelDefinition:
    parts = {
        "groups": {name: group for name, group in definition.groups.items() if name not in ("product", "direct")},
        "rules": {name: rule for name, rule in definition.rules.items() if rule.group != "product"},
        "thresholds": {name: one for name, one in definition.thresholds.items() if one.of not in definition.scores},
    }
    return msgspec.structs.replace(definition, scores={}, **parts)


WORKLOADS: Mapping[str, Callable[[], Workload]] = {
    made.__name__: made for made in (peers, base, starter, everything, scores)
}

_ATTRIBUTES: tuple[dict[str, FieldValue], ...] = (
    {"company_size": 5_000},
    {"company_size": 250, "role": "cto"},
    {"role": "Head of IT"},
    {"role": "student"},
    {"role": None},
    {"has_address": True},
)


def _eventful(random: Random, number: int) -> Iterator[Event]:
    """Events and commands for forty leads over 90 days, a third of them late; now and then one twice."""
    start_ms = NOW_MS - 90 * DAY_MS
    event: Event | None = None
    for index in range(number):
        if event is not None and random.random() < 0.02:
            yield event
        late_ms = random.randrange(20 * DAY_MS) if random.random() < 0.3 else 0
        event_type = random.choice(_TYPES)
        attributes = random.choice(_ATTRIBUTES) if event_type == "profile.updated" else None
        event = Event(
            type=event_type,
            event_id=f"e{index}",
            lead_id=f"L{random.randrange(40)}",
            occurred_at_ms=start_ms + index * 90 * DAY_MS // number - late_ms,
            fields=_fields(event_type, random, index),
            attributes=attributes,
        )
        yield event


_TYPES = [
    *["website.page_view", "website.form_submitted", "email.click", "profile.updated"] * 12,
    *["website.contact_requested", "email.unsubscribe"] * 2,
    *["webinar.attended", "webinar.watched_on_demand"] * 4,
    *["crm.rejected"] * 3,
    "email.complaint",
    *[ADJUST, RETRACT] * 3,
    *[RESET, SUSPEND, RESUME, REQUALIFY, ERASE],
]


def _fields(event_type: str, random: Random, index: int) -> dict[str, FieldValue]:
    if event_type == ADJUST:
        return {"points": random.choice([7, -12, 0.1, 3.75])}
    if event_type == RETRACT:
        target = f"e{max(0, index - random.randrange(1, 60))}"
        return {"target": target, "target_type": random.choice([None, random.choice(_TYPES)])}
    if event_type.startswith("webinar."):
        return {"minutes": random.choice([random.randrange(90), 7.5, None])}
    asset, country = random.choice(["one", "two", "three"]), random.choice(["DE", "FR", "US"])
    path, pages = random.choice(["/pricing", "/blog"]), random.randrange(5)
    return {"path": path, "form": "whitepaper", "country": country, "pages": pages, "asset": asset}


def digests_of(made: Workload, settings: FoldSettings = FEW_RECENT_EVENTS) -> Digests:
    """Match, frame, fold and encode everything; leads go through their bytes after every frame."""
    compiled = {definition.version: compile_model(definition) for definition in made.models}
    shard = Shard(0, None, Fence("log", -1, 0, 0, {}), compiled.__getitem__, settings)
    frames, states, outputs = sha256(), sha256(), sha256()
    crossings: Counter[str] = Counter()
    stored: dict[str, bytes | None] = {}
    for offset, (written, log_time_ms) in enumerate(log_of(made)):
        value = encode(written)
        frames.update(value)
        record = decode(value)
        expected = shard.unknown_leads(leads_of(record))
        shard.load(expected, [stored.get(lead_id) for lead_id in expected])
        decided = shard.fold(record, offset, log_time_ms)
        outputs.update(encode_outputs(decided))
        crossings.update(output.cause for output in decided if isinstance(output, Crossing))
        write = shard.pending(0)
        for lead_id, lead in write.leads.items():
            stored[lead_id] = lead.state
            states.update(lead_id.encode() + (lead.state or b"") + str(lead.ttl_ms).encode())
        shard.written(write)
        shard.trim(0)
    return Digests(frames.hexdigest(), states.hexdigest(), outputs.hexdigest(), dict(sorted(crossings.items())))


def log_of(made: Workload) -> Iterator[tuple[LogRecord, int]]:
    """The records of the log with their times: frames, and after each a tick for every lead in it, five hours later."""
    share = -(-len(made.events) // len(made.models))
    offset = time_ms = 0
    for number, definition in enumerate(made.models):
        matcher = Matcher(definition)
        events = made.events[number * share : (number + 1) * share]
        for first in range(0, len(events), FRAME_AWARDS):
            batch = events[first : first + FRAME_AWARDS]
            awards = _awards(matcher, batch, offset)
            offset += len(batch)
            time_ms = max(time_ms, *(event.occurred_at_ms for event in batch))
            yield Frame(definition.version, [Source("events", "", 0)], awards), time_ms
            time_ms += 5 * HOUR_MS
            yield Tick(time_ms, sorted({award.lead_id for award in awards})), time_ms


def _awards(matcher: Matcher, events: Iterable[Event], offset: int) -> list[Award]:
    awards = (matcher.award(event, 0, offset + place) for place, event in enumerate(events))
    return [award for award in awards if award is not None]


def main() -> int:
    """Write the digests of this program."""
    digests = {name: digests_of(made())._asdict() for name, made in WORKLOADS.items()}
    DIGESTS.write_text(json.dumps(digests, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
