"""Where a lead stands with the thresholds of its model. Pure."""

from collections.abc import Iterable

from leadscore.model.compiled import CompiledThreshold
from leadscore.scoring.state import LeadState, ThresholdState


class Standing:
    """A threshold that the lead is or was in, and where the lead stands with it."""

    __slots__ = ("state", "threshold")

    def __init__(self, threshold: CompiledThreshold, state: ThresholdState) -> None:
        self.threshold = threshold
        self.state = state


def threshold_state(state: LeadState, threshold: CompiledThreshold) -> ThresholdState | None:
    """Where the lead stands with the threshold; ``None`` if it was never in."""
    for entry in state.thresholds:
        if entry.threshold_id == threshold.threshold_id:
            return entry
    return None


def standings_in(state: LeadState, thresholds: Iterable[CompiledThreshold]) -> list[Standing]:
    """Those of the thresholds that the lead is in, in their order."""
    standings: list[Standing] = []
    if not state.thresholds:
        return standings
    for threshold in thresholds:
        entry = threshold_state(state, threshold)
        if entry is not None and entry.is_in:
            standings.append(Standing(threshold, entry))
    return standings


def put(state: LeadState, entry: ThresholdState) -> None:
    """Replace, or add, where the lead stands with a threshold."""
    state.thresholds = [
        *(other for other in state.thresholds if other.threshold_id != entry.threshold_id),
        entry,
    ]
