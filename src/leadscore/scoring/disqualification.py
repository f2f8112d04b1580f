"""Whether a lead may enter thresholds at all: disqualified or suspended (design 1.3, 1.4, 1.8). Pure."""

from leadscore.model.compiled import CompiledModel
from leadscore.scoring.conditions import Outlook
from leadscore.scoring.recent import time_of
from leadscore.scoring.state import LeadState
from leadscore.scoring.timeline import disqualifying_condition
from leadscore.scoring.totals import counted_rows, rule_rows


def is_suspended(state: LeadState) -> bool:
    """Whether the latest of ``suspend`` and ``resume`` suspends."""
    return state.flags is not None and state.flags.suspension is not None and state.flags.suspension[1]


def disqualified(outlook: Outlook, at_ms: int) -> str | None:
    """Why the lead is disqualified: what a rule said and no later ``requalify`` lifted, else a condition."""
    state, model = outlook.state, outlook.model
    if model.disqualifying and not model.disqualifying.isdisjoint(state.rules):
        reason = _disqualified_by_rule(state, model)
        if reason is not None:
            return reason
    return disqualifying_condition(outlook, at_ms) if model.has_disqualifying_conditions else None


def _disqualified_by_rule(state: LeadState, model: CompiledModel) -> str | None:
    """The reason of the latest event that counts; a reset does not lift it."""
    flags = state.flags
    latest: tuple[int, str] | None = None
    for index, rule_id in enumerate(state.rules):
        rule = model.rules.get(rule_id)
        if rule is None or rule.disqualifies is None:
            continue
        settled = flags.settled.get(rule_id) if flags is not None else None
        times = [time_of(row) for row in counted_rows(state, rule, rule_rows(state, index))[-1:]]
        times += [settled.disqualified_ms] if settled is not None and settled.disqualified_ms is not None else []
        if times and (latest is None or max(times) > latest[0]):
            latest = (max(times), rule.disqualifies)
    requalified_ms = flags.requalified_ms if flags is not None else None
    if latest is None or (requalified_ms is not None and requalified_ms > latest[0]):
        return None
    return latest[1]
