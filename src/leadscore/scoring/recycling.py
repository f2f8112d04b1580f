"""Until when sales has given a lead back: the thresholds that it does not enter again yet (design 1.3). Pure.

A function of the lead's events, like disqualification: a retraction, a reset, a burst or a limit may take it back.
"""

from leadscore.model.compiled import CompiledModel, CompiledThreshold
from leadscore.scoring.recent import AT, at_of, time_of
from leadscore.scoring.selection import counted_rows, live_rows
from leadscore.scoring.state import LeadState


def recycled_until_ms(state: LeadState, model: CompiledModel, threshold: CompiledThreshold) -> int | None:
    """The first instant at which the lead may enter again; ``None`` where nothing ever recycled it.

    The latest event that counts decides; of several rules of one event, the longest time.
    """
    if model.recycling.isdisjoint(state.rules):
        return None
    latest_at, longest_ms = b"", 0
    for index, rule_id in enumerate(state.rules):
        rule = model.rules.get(rule_id)
        if rule is None or rule.recycles is None or rule.recycles.threshold_id != threshold.threshold_id:
            continue
        at = max([row[:AT] for row in counted_rows(state, rule, live_rows(state, index))[-1:]], default=b"")
        at = max(at, _settled_at(state, rule_id))
        if at and (at, rule.recycles.for_ms) > (latest_at, longest_ms):
            latest_at, longest_ms = at, rule.recycles.for_ms
    return time_of(latest_at) + longest_ms if latest_at else None


def is_recycled(state: LeadState, model: CompiledModel, threshold: CompiledThreshold, at_ms: int) -> bool:
    """Whether an event keeps the lead out of the threshold at the instant."""
    until_ms = recycled_until_ms(state, model, threshold)
    return until_ms is not None and at_ms < until_ms


def _settled_at(state: LeadState, rule_id: int) -> bytes:
    """The latest event that is no longer among the recent ones; empty where there was none since the latest reset."""
    flags = state.flags
    settled = flags.settled.get(rule_id) if flags is not None else None
    if flags is None or settled is None or settled.counted_ms is None:
        return b""
    if flags.reset_ms is not None and settled.counted_ms <= flags.reset_ms:
        return b""
    return at_of(settled.counted_ms, b"")
