"""Random people with several ids: what comes under each, which ids are merged, and what is right of them in the end.

Everything is drawn from one ``Random``. The scores that are expected are the oracle's, of the union of the events.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import NamedTuple

import msgspec

from leadscore.model.compile import compile_model
from leadscore.model.compiled import CompiledModel
from leadscore.model.definition import ModelDefinition
from leadscore.model.matching import Matcher
from leadscore.scoring.context import FoldContext, FoldSettings
from tests.oracle import DAY_MS, Entry, Plain, run

START_MS = 20_454 * DAY_MS
END_MS = START_MS + 20 * DAY_MS
MODEL: Plain = {
    "model": "people",
    "version": 1,
    "decay": {"half_life": "30d"},
    "groups": {"web": {"max": 45}},
    "rules": {
        "visit": {"event": "website.page_view", "points": 10, "group": "web"},
        "paper": {"event": "website.form_submitted", "points": 15, "once_per": "asset"},
        "click": {"event": "email.click", "points": 3, "limit": {"times": 2, "per": "week"}},
        "webinar": {"event": "webinar.attended", "points": 12, "decay": {"steps": {"5d": 1.0, "15d": 0.5}}},
    },
    "conditions": {
        "researching": {"when": {"count": {"rules": ["visit"], "at_least": 3, "within": "9d"}}, "points": 7},
        "went_quiet": {"when": {"quiet": {"rules": ["click"], "within": "12d"}}, "points": -4},
    },
    "fit": {"attributes": {"role": [{"in": ["ceo"], "points": 9}, {"exists": True, "points": 2}]}},
    "thresholds": {"mql": {"enter": 40, "exit": 25}, "warm": {"enter": 12, "exit": 6}},
}
OF_SUMS: Plain = {
    **MODEL,
    "rules": {"visit": MODEL["rules"]["visit"], "webinar": MODEL["rules"]["webinar"]},
    "conditions": {},
}
"""Without what looks at single events: its scores are exact however few events a lead still knows one by one."""


class Scoring(NamedTuple):
    """A model in all the forms that it is needed in, and how many events a lead knows one by one."""

    model: Plain
    matcher: Matcher
    compiled: CompiledModel
    settings: FoldSettings

    def context(self, at_ms: int = END_MS) -> FoldContext:
        """At the end of everything."""
        return FoldContext(self.compiled, None, lambda _: self.compiled, at_ms, self.settings)


def _scoring(model: Plain, recent_events: int) -> Scoring:
    definition = msgspec.convert(model, ModelDefinition)
    return Scoring(model, Matcher(definition), compile_model(definition), FoldSettings(recent_events=recent_events))


ALL_RECENT = _scoring(MODEL, 64)
FEW_RECENT = _scoring(OF_SUMS, 2)
"""What comes twice is no longer known by its id: nothing but the fences keeps it from counting twice."""


@cache
def next_version(version: int, *, knows_all: bool) -> Scoring:
    """Another version of a model: other points for what there is points for."""
    before = ALL_RECENT if knows_all else FEW_RECENT
    rules = {name: rule | {"points": rule["points"] + version} for name, rule in before.model["rules"].items()}
    return _scoring(before.model | {"version": version, "rules": rules}, before.settings.recent_events)


@dataclass(frozen=True, slots=True)
class People:
    """The records of some people, in the order in which they come; ``persons`` are the ids that belong together."""

    scoring: Scoring
    records: list[Plain]
    persons: list[frozenset[str]]


def people(random: Random) -> People:
    """A few ids with events, commands and merges: chains, circles, several ways to one, none."""
    ids = [f"id{random.randrange(100):02}-{number}" for number in range(random.choice((2, 3, 3, 4, 5, 7)))]
    merges = [_merge(random, ids, number) for number in range(random.choice((1, 2, 2, 3, 4, 6)))]
    if random.random() < 0.5:
        circle = random.sample(ids, random.randrange(2, len(ids) + 1))
        pairs = zip(circle, [*circle[1:], circle[0]], strict=True)
        merges += [_merge_of(random, one, other, f"c{number}") for number, (one, other) in enumerate(pairs)]
    scoring = random.choice((ALL_RECENT, FEW_RECENT))
    events = [_event(random, scoring, ids, number) for number in range(random.randrange(4, 16))]
    records = [*events, *merges]
    if scoring is ALL_RECENT:
        records += [event | {"lead_id": random.choice(ids)} for event in random.choices(events, k=2)]
        records += [_command(random, ids, events, number) for number in range(random.randrange(3))]
    random.shuffle(records)
    return People(scoring, records, _persons(ids, merges))


def _merge(random: Random, ids: Sequence[str], number: int) -> Plain:
    return _merge_of(random, random.choice(ids), random.choice(ids), f"m{number}")


def _merge_of(random: Random, lead_id: str, into: str, event_id: str) -> Plain:
    return record_of_lead(random, lead_id, "command.merge", event_id) | {"into": into}


def _event(random: Random, scoring: Scoring, ids: Sequence[str], number: int) -> Plain:
    types = [rule["event"] for rule in scoring.model["rules"].values()]
    event = record_of_lead(random, random.choice(ids), random.choice(types), f"e{number}")
    if event["type"] == "website.form_submitted":
        event["asset"] = random.choice(("a", "b"))
    if random.random() < 0.2:
        event["attributes"] = {"role": random.choice(("ceo", "cto", None))}
    return event


def _command(random: Random, ids: Sequence[str], events: Sequence[Plain], number: int) -> Plain:
    kind = random.choice(("adjust", "retract", "retract", "reset"))
    command = record_of_lead(random, random.choice(ids), f"command.{kind}", f"x{number}")
    if kind == "adjust":
        return command | {"points": random.choice((5, -8)), "reason": "met at the fair"}
    if kind == "reset":
        return command | {"occurred_at": START_MS + random.randrange(4 * DAY_MS)}
    target = random.choice(events)
    by_type = {"target_type": target["type"]} if random.random() < 0.5 else {}
    return command | {"target": target["event_id"]} | by_type


def record_of_lead(random: Random, lead_id: str, event_type: str, event_id: str) -> Plain:
    """At any time of the twenty days."""
    occurred_ms = START_MS + random.randrange(20 * DAY_MS)
    return {"type": event_type, "event_id": event_id, "lead_id": lead_id, "occurred_at": occurred_ms}


def _persons(ids: Sequence[str], merges: Sequence[Plain]) -> list[frozenset[str]]:
    """The ids that any way of merges connects."""
    persons = [frozenset({one}) for one in ids]
    for merge in merges:
        both = frozenset[str]().union(*(one for one in persons if {merge["lead_id"], merge["into"]} & one))
        persons = [one for one in persons if not one & both] + [both]
    return persons


def expected_score(person: frozenset[str], records: Sequence[Plain], model: Plain) -> float | None:
    """The oracle's: all records of the person's ids as if they had come under one; without any, nothing."""
    own = [one for one in records if one["lead_id"] in person and one["type"] != "command.merge"]
    lines = run(model | {"thresholds": {}}, [Entry(one | {"lead_id": "one"}, END_MS) for one in own], END_MS).scores
    return float(lines[0]["score"]) if lines else None
