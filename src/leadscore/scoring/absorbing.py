"""What a merge does to the thresholds of both leads, and what the one that remains becomes (design 1.12). Pure."""

from typing import NamedTuple

import msgspec

from leadscore.log.records import Absorbed, Award
from leadscore.scoring.before import before_anything
from leadscore.scoring.conditions import Outlook
from leadscore.scoring.context import FoldContext
from leadscore.scoring.crossing import Cause, Crossing, trigger_of
from leadscore.scoring.flags import flags_of, latest_ms
from leadscore.scoring.fold import remembered, under_model_in_force
from leadscore.scoring.score import ScoresAt
from leadscore.scoring.state import LeadState, Member, decode_state
from leadscore.scoring.thresholds import Decision, cross_merged, due_ms, leave_all, leave_by_time
from leadscore.scoring.totals import advance
from leadscore.scoring.union import add_member, forget_until, unite


class Folded(NamedTuple):
    """A lead after a record, and its crossings."""

    state: LeadState
    crossings: list[Crossing]


def leave_merged(
    state: LeadState, award: Award, topic: str | None, tau_ms: int, into: str, context: FoldContext
) -> list[Crossing]:
    """Let a lead that becomes an alias leave every threshold, highest first: its person goes on under another id."""
    if not state.thresholds:
        return []
    scores = before_anything(Outlook(state, context.model), tau_ms)
    trigger = trigger_of(topic, award)
    decision = Decision(Cause.MERGED, trigger, scores, scores)
    crossings = leave_all(state, award.lead_id, decision, context)
    return [msgspec.structs.replace(crossing, merged_with=into) for crossing in crossings]


def absorb(
    state: LeadState | None,
    award: Award,
    absorbed: Absorbed,
    topic: str | None,
    erased_ms: int | None,
    context: FoldContext,
) -> Folded:
    """Apply a merge at the lead that remains: steps 1 to 4, with all that the other lead was as the record."""
    model = context.model
    other = under_model_in_force(decode_state(absorbed.state), context)
    if erased_ms is not None:
        forget_until(other, model, erased_ms)
    state = remembered(state, context)
    if state is None:
        state = LeadState(model.version, award.occurred_at_ms)
    tau_ms = max(latest_ms(state), latest_ms(other), award.occurred_at_ms)
    # step 1
    crossings = leave_by_time(state, award.lead_id, tau_ms - 1, context)
    before = before_anything(Outlook(state, model), tau_ms)
    # step 2
    was_in = frozenset(entry.threshold_id for entry in other.thresholds if entry.is_in)
    unite(state, other, model, context.settings.recent_events)
    advance(state, model, award.occurred_at_ms)
    _remember_member(state, award, absorbed, other.latest_record_ms, context)
    outlook = Outlook(state, model)
    # steps 3 and 4
    trigger = trigger_of(topic, award)
    decision = Decision(Cause.MERGED, trigger, before, ScoresAt(outlook, tau_ms))
    crossings += cross_merged(state, award, decision, was_in, absorbed.lead_id, context)
    state.due_ms = due_ms(outlook, tau_ms, exactly=False)
    return Folded(state, crossings)


def _remember_member(
    state: LeadState, award: Award, absorbed: Absorbed, latest_record_ms: int, context: FoldContext
) -> None:
    """Remember the new alias, and no longer those that were forgotten long ago."""
    aliases = flags_of(state).aliases
    latest_ms = max(award.occurred_at_ms, latest_record_ms)
    add_member(aliases, absorbed.lead_id, Member(absorbed.into, absorbed.edge, latest_ms))
    aliases.pop(award.lead_id, None)
    oldest_ms = context.log_time_ms - 2 * context.model.forget_after_ms
    for lead_id in [lead_id for lead_id, member in aliases.items() if member.latest_ms < oldest_ms]:
        del aliases[lead_id]
