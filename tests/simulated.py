"""The product behind the interface of the oracle: plain models and entries go to ``leadscore.scoring.simulation``."""

from collections.abc import Iterable, Iterator, MutableMapping

import msgspec

from leadscore.events.event import Event
from leadscore.model.compile import compile_model
from leadscore.model.definition import ModelDefinition
from leadscore.model.matching import Matcher
from leadscore.scoring.context import FoldContext, FoldSettings
from leadscore.scoring.erasures import Erasure
from leadscore.scoring.fold import remembered
from leadscore.scoring.leads import apply_award
from leadscore.scoring.recent import every_row
from leadscore.scoring.simulation import LeadScore, Simulation, _Run, score_line, simulate
from leadscore.scoring.state import LeadState, decode_state, encode_state
from tests.oracle import ENVELOPE, Entry, Plain, instant_ms


def simulated(model: Plain, entries: Iterable[Entry], scores_at_ms: int | None) -> Simulation:
    """What the product makes of the log."""
    log = [(event_of(entry.event), entry.log_time_ms) for entry in entries]
    return simulate(msgspec.convert(model, ModelDefinition), log, scores_at_ms)


class Stored(MutableMapping[str, LeadState | None]):
    """Leads as bytes: each is read before a record and written after it, as in Redis."""

    def __init__(self) -> None:
        self._bytes: dict[str, bytes | None] = {}

    def __getitem__(self, lead_id: str) -> LeadState | None:
        data = self._bytes[lead_id]
        return None if data is None else decode_state(data)

    def __setitem__(self, lead_id: str, state: LeadState | None) -> None:
        self._bytes[lead_id] = None if state is None else encode_state(state)

    def __delitem__(self, lead_id: str) -> None:
        del self._bytes[lead_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._bytes)

    def __len__(self) -> int:
        return len(self._bytes)


def simulated_from_bytes(
    model: Plain, entries: Iterable[Entry], scores_at_ms: int, settings: FoldSettings
) -> tuple[Simulation, dict[str, list[bytes]]]:
    """What the product makes of the log when leads are kept as bytes; and the hashes of their recent events."""
    run, stored = _Run(msgspec.convert(model, ModelDefinition), settings), Stored()
    run._states = stored  # type: ignore[assignment]  # any mapping does
    for entry in entries:
        run.go_on_to(entry.log_time_ms)
        run.apply(event_of(entry.event))
    run.go_on_to(scores_at_ms)
    leads = {lead_id: remembered(state, run._context) for lead_id, state in stored.items()}
    recent = {lead_id: recent_hashes(state) for lead_id, state in leads.items() if state is not None}
    return Simulation(run.crossings, run.scores(scores_at_ms), run.outcomes), recent


def recent_hashes(state: LeadState) -> list[bytes]:
    """Of the ids of the recent events, earliest first."""
    return list(dict.fromkeys(row[6:14] for row in every_row(state.rows)))


def scores_over_versions(steps: Iterable[tuple[Plain, Entry]], first: Plain, scores_at_ms: int) -> list[LeadScore]:
    """What the product makes of events that different versions of a model have matched."""
    steps = list(steps)
    definitions = {
        model["version"]: msgspec.convert(model, ModelDefinition) for model in (first, *(model for model, _ in steps))
    }
    models = {version: compile_model(definition) for version, definition in definitions.items()}
    matchers = {version: Matcher(definition) for version, definition in definitions.items()}
    context = FoldContext(models[first["version"]], None, models.__getitem__, 0, FoldSettings())
    states, erasures = Stored(), dict[bytes, Erasure]()
    lead_ids = {entry.event["lead_id"] for _, entry in steps}
    for model, entry in steps:
        context.log_time_ms = max(context.log_time_ms, entry.log_time_ms)
        if model["version"] > context.model.version:
            context.model, context.model_since_ms = models[model["version"]], context.log_time_ms
        award = matchers[model["version"]].award(event_of(entry.event), 0, 0)
        if award is not None:
            apply_award(states, erasures, award, None, context)
    context.log_time_ms = scores_at_ms
    return [score_line(lead_id, states.get(lead_id), context, scores_at_ms) for lead_id in sorted(lead_ids)]


def event_of(event: Plain) -> Event:
    """The product's event behind its JSON form."""
    return Event(
        type=event["type"],
        event_id=event["event_id"],
        lead_id=event["lead_id"],
        occurred_at_ms=instant_ms(event["occurred_at"]),
        fields={name: value for name, value in event.items() if name not in ENVELOPE},
        attributes=event.get("attributes"),
    )
