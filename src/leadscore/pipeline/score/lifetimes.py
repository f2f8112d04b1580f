"""How long the store keeps a lead, and when it is to be looked at again. Pure."""

from leadscore.model.compiled import CompiledModel
from leadscore.scoring.conditions import Outlook
from leadscore.scoring.flags import latest_ms
from leadscore.scoring.state import LATE_WORKER_MS, LeadState
from leadscore.scoring.sure_stay import FAR_MS
from leadscore.scoring.timeline import disqualifying_condition


def due_entry_ms(state: LeadState) -> int | None:
    """When to look at the lead again: every lead that is in a threshold has an entry, were it for the end of time."""
    if not any(standing.is_in for standing in state.thresholds):
        return None
    return FAR_MS if state.due_ms is None else state.due_ms


def earlier_of(one_ms: int | None, other_ms: int | None) -> int | None:
    """The earlier of two instants, of which ``None`` is never."""
    return min((at_ms for at_ms in (one_ms, other_ms) if at_ms is not None), default=None)


def ttl_ms(state: LeadState, model: CompiledModel) -> int | None:
    """How long Redis keeps the lead from now: well beyond when the fold forgets it; ``None``: for good."""
    if state.alias is not None:  # whatever a condition says of a lead without events
        return int(model.forget_after_ms) + LATE_WORKER_MS
    return _ttl_ms_of_lead(state, model)


def _ttl_ms_of_lead(state: LeadState, model: CompiledModel) -> int | None:
    if state.thresholds and any(standing.is_in for standing in state.thresholds):
        return None
    if model.disqualifying and not model.disqualifying.isdisjoint(state.rules):
        return None
    flags = state.flags
    if flags is not None and (flags.suspension is not None or flags.recent_attributes or flags.settled_attributes):
        return None
    if model.lasting and any(
        total and rule_id in model.lasting for rule_id, total in zip(state.rules, state.totals, strict=True)
    ):
        return None
    kept_ms = int(model.forget_after_ms + model.decays_within_ms) + LATE_WORKER_MS
    if model.has_disqualifying_conditions:
        outlook, then_ms = Outlook(state, model), latest_ms(state) + kept_ms
        return None if disqualifying_condition(outlook, then_ms) is not None else kept_ms
    return kept_ms
