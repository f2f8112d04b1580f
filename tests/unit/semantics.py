"""Words for the tests of design section 1: what lead L1 does on which day, read through the product's public functions.

Points do not decay unless a test says so, so that numbers can be computed by hand. Day 0 is a Thursday, at midnight.
"""

from itertools import count
from typing import Any

import msgspec

from leadscore.events.event import Event
from leadscore.log.records import Award, Frame, LogRecord, Source, Tick
from leadscore.model.compile import compile_model
from leadscore.model.compiled import CompiledModel
from leadscore.model.definition import ModelDefinition
from leadscore.model.matching import Matcher, event_hash
from leadscore.pipeline.score.shard import FoldCounts, Shard
from leadscore.scoring.context import FoldContext, FoldSettings
from leadscore.scoring.crossing import Crossing
from leadscore.scoring.simulation import LeadScore, Simulation, score_line
from leadscore.scoring.state import LeadState, decode_state
from leadscore.store.fence import Fence
from leadscore.store.shard import LeadWrite
from tests.histories import START_MS, in_order_of_arrival
from tests.oracle import DAY_MS, Entry, Plain
from tests.simulated import event_of, simulated

SOURCE = Source("website", "", 0)
LEAD = "L1"


def at(day: float, plus_ms: int = 0) -> int:
    return START_MS + round(day * DAY_MS) + plus_ms


def model_of(rules: Plain, **parts: object) -> Plain:
    return {"model": "m", "version": 1, "decay": "none", "rules": rules, **parts}


def rule(points: float, event: str = "visit", **parts: Any) -> Plain:
    return {"event": event, "points": points, **parts}


def visit(event_id: str, day: float = 0, plus_ms: int = 0, **fields: object) -> Plain:
    return {"type": "visit", "event_id": event_id, "lead_id": LEAD, "occurred_at": at(day, plus_ms), **fields}


def act(event_type: str, event_id: str, day: float = 0, plus_ms: int = 0, **fields: object) -> Plain:
    return visit(event_id, day, plus_ms, **fields) | {"type": event_type}


def profile(event_id: str, day: float = 0, plus_ms: int = 0, **attributes: object) -> Plain:
    return act("profile.updated", event_id, day, plus_ms, attributes=attributes)


def command(order: str, command_id: str, day: float = 0, plus_ms: int = 0, **fields: object) -> Plain:
    return act(f"command.{order}", command_id, day, plus_ms, **fields)


def clicks(number: int, day: float) -> list[Plain]:
    """Events of another rule, a minute apart, that push what is earlier out of the recent events."""
    return [act("click", f"push{place}", day, place * 60_000) for place in range(number)]


def mql(rules: Plain | None = None, **parts: object) -> Plain:
    """60 points for a visit and -40 for a stop, unless other rules are given; ``parts`` are those of the threshold."""
    some = rules or {"visit": rule(60), "stop": rule(-40, "stop")}
    return model_of(some, thresholds={"mql": {"enter": 50, "exit": 30, **parts}})


def stop(event_id: str, day: float) -> Plain:
    return act("stop", event_id, day)


def ids_in_order(*event_ids: str, event_type: str = "visit") -> list[str]:
    """The ids as the hashes of events of this type decide where times are equal: the earlier first."""
    return sorted(event_ids, key=lambda event_id: event_hash(event_type, event_id))


def id_before(later: Plain, event_type: str) -> str:
    """An id that makes an event of the type the earlier one of two with equal times."""
    latest = event_hash(later["type"], later["event_id"])
    return next(one for one in (f"earlier{number}" for number in count()) if event_hash(event_type, one) < latest)


# --- through ``simulate`` -------------------------------------------------------------------------------------------


def run(model: Plain, day: float, *events: Plain) -> Simulation:
    """The events in the order given, each when it occurs or right after what came before; read on the day."""
    return simulated(model, in_order_of_arrival([Entry(one, one["occurred_at"]) for one in events]), at(day))


def line(model: Plain, day: float, *events: Plain) -> LeadScore:
    (only,) = run(model, day, *events).scores
    return only


def score(model: Plain, day: float, *events: Plain) -> float:
    return line(model, day, *events).score


def crossings(model: Plain, day: float, *events: Plain) -> list[tuple[str, str, float]]:
    """Direction, cause and day of each, in the order decided."""
    made = run(model, day, *events).crossings
    return [(one.direction.value, one.cause.value, (one.occurred_at_ms - START_MS) / DAY_MS) for one in made]


# --- through the fold of a shard ------------------------------------------------------------------------------------


class ShardOfOne:
    """A shard whose log is about one lead; each event is a frame, matched under the version it came with.

    ``stored`` is what Redis holds of the lead at the beginning.
    """

    def __init__(self, *versions: Plain, stored: bytes | None = None, recent_events: int = 64) -> None:
        definitions = [msgspec.convert(version, ModelDefinition) for version in versions]
        self.models: dict[int, CompiledModel] = {one.version: compile_model(one) for one in definitions}
        self._matchers = {one.version: Matcher(one) for one in definitions}
        settings = FoldSettings(recent_events=recent_events)
        self._shard = Shard(0, None, Fence("log", -1, 0, 0, {}), self.models.__getitem__, settings)
        self._shard.load([LEAD], [stored])
        self._offset = 0

    def apply(self, version: int, *events: Plain, log_day: float | None = None) -> list[Crossing]:
        """The log's time is that of each event, unless a day is given."""
        made: list[Crossing] = []
        for event in events:
            award = self.award(version, event)
            assert award is not None, event
            log_time_ms = award.occurred_at_ms if log_day is None else at(log_day)
            made += self._fold(Frame(version, [SOURCE], [award]), log_time_ms)
        return made

    def tick(self, day: float) -> list[Crossing]:
        """It is this time for the lead."""
        return self._fold(Tick(at(day), [LEAD]), at(day))

    def follow(self, version: int, day: float) -> None:
        """The version comes in force with a frame about other leads."""
        self._fold(Frame(version, [SOURCE], []), at(day))

    def _fold(self, record: LogRecord, log_time_ms: int) -> list[Crossing]:
        folded = self._shard.fold(record, self._offset, log_time_ms)
        self._offset += 1
        return [one for one in folded if isinstance(one, Crossing)]

    def award(self, version: int, event: Plain) -> Award | None:
        matched: Event = event_of(event)
        return self._matchers[version].award(matched, 0, self._offset)

    def counts(self) -> FoldCounts:
        """What became of the awards since the last call."""
        return self._shard.take_counts()

    def lead_write(self) -> LeadWrite:
        return self._shard.pending(0).leads[LEAD]

    def state(self) -> LeadState:
        """What Redis would give back."""
        written = self.lead_write().state
        assert written is not None
        return decode_state(written)

    def line(self, version: int, day: float) -> LeadScore:
        """The lead on the day, by the clock of the log, under a version."""
        context = FoldContext(self.models[version], None, self.models.__getitem__, at(day), FoldSettings())
        return score_line(LEAD, self.state(), context, at(day))
