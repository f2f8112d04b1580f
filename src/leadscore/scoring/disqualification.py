"""Whether a lead may enter thresholds at all: disqualified or suspended (design 1.3, 1.4, 1.8). Pure."""

from leadscore.model.compiled import CompiledModel, CompiledRule
from leadscore.scoring.conditions import Outlook
from leadscore.scoring.recent import AT, at_of, time_of
from leadscore.scoring.selection import counted_rows, rule_rows
from leadscore.scoring.state import LeadState
from leadscore.scoring.timeline import disqualifying_condition


def is_suspended(state: LeadState) -> bool:
    """Whether the latest of ``suspend`` and ``resume`` suspends."""
    suspension = state.flags.suspension if state.flags is not None else None
    return suspension is not None and suspension.suspends


def disqualified(outlook: Outlook, at_ms: int) -> str | None:
    """Why the lead is disqualified: what a rule said and no later ``requalify`` lifted, else a condition."""
    state, model = outlook.state, outlook.model
    if model.disqualifying and not model.disqualifying.isdisjoint(state.rules):
        reason = _disqualified_by_rule(state, model)
        if reason is not None:
            return reason
    return disqualifying_condition(outlook, at_ms) if model.has_disqualifying_conditions else None


def _disqualified_by_rule(state: LeadState, model: CompiledModel) -> str | None:
    """The reason of the latest event that counts; of several rules of one event, of the first by name.

    A reset does not lift it.
    """
    flags = state.flags
    latest: CompiledRule | None = None
    latest_at = b""
    for index, rule_id in enumerate(state.rules):
        rule = model.rules.get(rule_id)
        if rule is None or rule.disqualifies is None:
            continue
        settled = flags.settled.get(rule_id) if flags is not None else None
        said = [row[:AT] for row in counted_rows(state, rule, rule_rows(state, index))[-1:]]
        if settled is not None and settled.counted_ms is not None:
            said.append(at_of(settled.counted_ms, b""))
        at = max(said, default=b"")
        if at and (latest is None or (at, latest.name) > (latest_at, rule.name)):
            latest, latest_at = rule, at
    requalified_ms = flags.requalified_ms if flags is not None else None
    if latest is None or (requalified_ms is not None and requalified_ms > time_of(latest_at)):
        return None
    return latest.disqualifies
