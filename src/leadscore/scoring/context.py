"""What the fold is told besides the lead and the record. Values; pure."""

from collections.abc import Callable
from dataclasses import dataclass, field

from leadscore.log.records import position_of
from leadscore.model.compiled import CompiledModel
from leadscore.scoring.outcomes import CountedOutcome
from leadscore.time_units import DAY_MS


@dataclass(frozen=True, slots=True)
class FoldSettings:
    """What the fold is told besides the model; the same for all workers of a deployment."""

    recent_events: int = 64
    stale_after_ms: int = DAY_MS
    erasure_memory_ms: int = 400 * DAY_MS
    """How long an erasure is remembered, by the log's time; at least the retention of the inputs and the log."""


@dataclass(slots=True)
class FoldContext:
    """What holds for the log record at hand."""

    model: CompiledModel
    model_since_ms: int | None
    """The log's time at which the version came in force, if another was before it."""
    model_of_version: Callable[[int], CompiledModel]
    log_time_ms: int
    settings: FoldSettings
    duplicates: int = 0
    """Events that changed nothing because the lead knows them; counted here because hardly any event is one."""
    rejected: int = 0
    """Events that changed nothing because they are retracted."""
    is_old: bool = False
    """The record is of log format 1: ids of enters are made without the type of their event."""
    outcomes: list[CountedOutcome] = field(default_factory=list)
    """What sales said of enters."""
    offset: int = 0
    """The log record's offset: what it forwards is numbered from there."""
    forwarded: int = 0
    """How much the log record has put out for other log partitions."""
    gone_on: int = 0
    """Records that have reached an alias and were put out again."""
    merged: int = 0
    """Leads that became aliases."""
    circles: int = 0
    """Aliases that became leads again, because their forwards went round."""

    def next_position(self) -> int:
        """The position of what is forwarded next."""
        index = self.forwarded
        self.forwarded = index + 1
        return position_of(self.offset, index)
