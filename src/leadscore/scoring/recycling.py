"""Until when sales has given a lead back: the thresholds that it does not enter again yet (design 1.3). Pure.

A function of the lead's events, like disqualification: a retraction, a reset, a burst or a limit may take it back.
"""

from leadscore.model.compiled import CompiledModel, CompiledThreshold
from leadscore.scoring.recent import time_of
from leadscore.scoring.selection import latest_counted
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
        if rule is None or rule.recycles is None or threshold.threshold_id not in rule.recycles.threshold_ids:
            continue
        at = latest_counted(state, rule, index)
        if at and (at, rule.recycles.for_ms) > (latest_at, longest_ms):
            latest_at, longest_ms = at, rule.recycles.for_ms
    return time_of(latest_at) + longest_ms if latest_at else None


def is_recycled(state: LeadState, model: CompiledModel, threshold: CompiledThreshold, at_ms: int) -> bool:
    """Whether an event keeps the lead out of the threshold at the instant."""
    until_ms = recycled_until_ms(state, model, threshold)
    return until_ms is not None and at_ms < until_ms
