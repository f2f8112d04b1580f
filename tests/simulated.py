"""The product behind the interface of the oracle: plain models and entries go to ``leadscore.scoring.simulation``."""

from collections.abc import Iterable

import msgspec

from leadscore.events.event import Event
from leadscore.model.definition import ModelDefinition
from leadscore.scoring.simulation import Simulation, simulate
from tests.oracle import ENVELOPE, Entry, Plain, instant_ms


def simulated(model: Plain, entries: Iterable[Entry], scores_at_ms: int | None) -> Simulation:
    """What the product makes of the log."""
    log = [(event_of(entry.event), entry.log_time_ms) for entry in entries]
    return simulate(msgspec.convert(model, ModelDefinition), log, scores_at_ms)


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
