"""What reaches a person under one of its ids: merges, what goes on from an alias to its lead, erasures. Pure.

Theory of operation (design 1.12, 2.9). A merge of B into A leaves of B's state an *alias*, and puts out an *absorb* for
A: the merge itself with B's state. Whatever reaches an alias is put out again as a *forward* to the id it was merged
into, and comes there by that id's log partition, until it reaches a lead. The alias is kept under its *edge*, the
position of the absorb, and every forward carries as *hops* the aliases it has passed with their edges.

    reaches      an alias                                          a lead
    merge        goes on as a merge of the next id, unless it      becomes an alias, unless it is merged into itself,
                 is merged into itself or where it is already      or into an alias of its own and is the smallest id,
                                                                   or the person has seen this very command
    absorb       goes on                                           is united with what comes
    erase        goes on                                           is erased, and each of its aliases by an erase that
                                                                   names the edge and goes no further
    any other    goes on                                           is folded

A forward that reaches an alias whose edge is among its hops has gone round a circle, and no lead is in it. The smallest
id of the circle becomes a lead again when an absorb has come round to it, and takes it; everything else goes on. One id
does so, because all forwards see the same edges; and no circle is broken twice, because a merge that came since has
another edge. An absorb does come: that of the merge that closed the circle is on its way as long as no lead is in it.
A lead made by anything else would know nothing of the person, and count once more what the person has seen.

A person remembers the merges it has seen. Where ids were merged on meanwhile, a repeat could close a circle that the
first copy did not, let another id enter anew, and publish under an id that the first copy's crossing has already.
"""

from collections.abc import Sequence

import msgspec

from leadscore.log.records import ERASE, MERGE, Absorbed, Award, Forward, Hop
from leadscore.model.matching import event_hash
from leadscore.scoring.absorbing import absorb, leave_merged
from leadscore.scoring.context import FoldContext
from leadscore.scoring.erasures import Erasures, is_erased, lead_hash, remember_erasure
from leadscore.scoring.flags import flags_of, latest_ms
from leadscore.scoring.fold import fold_award, remembered
from leadscore.scoring.outputs import NO_OUTPUTS, ErasedLead, Output
from leadscore.scoring.state import LATE_WORKER_MS, Alias, LeadState, Member, States, encode_state
from leadscore.scoring.thresholds import leave_by_time
from leadscore.scoring.union import remember_merges


def apply_forward(states: States, erasures: Erasures, forward: Forward, context: FoldContext) -> Sequence[Output]:
    """Apply what reaches a person under the id that the award names, or let it go on to the next id."""
    award, lead_id = forward.award, forward.award.lead_id
    if forward.erased_edge is not None:
        return _erase_alias(states, erasures, forward, forward.erased_edge, context)
    if forward.absorbed is None and is_erased(erasures, award, context.log_time_ms):
        context.rejected += 1
        return NO_OUTPUTS
    state = states.get(lead_id)
    alias = None if state is None else state.alias
    if state is not None and alias is not None:
        if is_forgotten_alias(state.latest_record_ms, context):
            del states[lead_id]
        elif forward.absorbed is None or not _closes_circle(lead_id, alias, forward.hops):
            outputs = _go_on(state, alias, forward, context)
            states[lead_id] = state
            return outputs
        else:
            context.circles += 1
            states[lead_id] = LeadState(context.model.version, award.occurred_at_ms, thresholds=state.thresholds)
    outputs = _apply_to_lead(states, erasures, forward, context)
    lead = states.get(lead_id)
    if forward.hops and lead is not None and lead.flags is not None:
        _hear_of(lead.flags.aliases, forward)
        states[lead_id] = lead
    return outputs


def _apply_to_lead(states: States, erasures: Erasures, forward: Forward, context: FoldContext) -> Sequence[Output]:
    award = forward.award
    if forward.absorbed is not None:
        erasure = erasures.get(lead_hash(award.lead_id))
        is_kept = erasure is not None and context.log_time_ms <= erasure.expires_ms
        erased_ms = erasure.erased_ms if erasure is not None and is_kept else None
        states[award.lead_id], crossings = absorb(
            states.get(award.lead_id), award, forward.absorbed, forward.topic, erased_ms, context
        )
        return crossings
    if award.type == MERGE:
        return _merge(states, forward, context)
    if award.type == ERASE:
        return _erase(states, erasures, forward, context)
    states[award.lead_id], crossings = fold_award(states.get(award.lead_id), award, forward.topic, context)
    return crossings


def _closes_circle(lead_id: str, alias: Alias, hops: list[Hop]) -> bool:
    """Whether the forward has gone round, and this is the id of the circle that becomes a lead again."""
    here = Hop(lead_id, alias.edge)
    if here not in hops:
        return False
    return min(hop.alias for hop in hops[hops.index(here) :]) == lead_id


def _go_on(state: LeadState, alias: Alias, forward: Forward, context: FoldContext) -> Sequence[Output]:
    """Put out again what has reached an alias."""
    award = forward.award
    is_merge = award.type == MERGE and forward.absorbed is None
    if is_merge and award.into in (award.lead_id, alias.into):
        context.duplicates += 1  # merged already
        return NO_OUTPUTS
    context.gone_on += 1
    state.latest_record_ms = max(state.latest_record_ms, award.occurred_at_ms)
    hops = [*forward.hops, Hop(award.lead_id, alias.edge)]
    goes_on = msgspec.structs.replace(award, lead_id=alias.into)
    return [Forward(context.next_position(), hops, forward.topic, goes_on, forward.absorbed)]


def _merge(states: States, forward: Forward, context: FoldContext) -> Sequence[Output]:
    """Make a lead an alias, and put out all that it was for the lead that it is merged into."""
    award, lead_id, into = forward.award, forward.award.lead_id, forward.award.into
    state = remembered(states.get(lead_id), context)
    hashed = event_hash(award.type, award.event_id)
    if into is None or into == lead_id or _has_seen(state, hashed):
        context.duplicates += 1
        return NO_OUTPUTS
    if state is None:
        state = LeadState(context.model.version, award.occurred_at_ms)
    remember_merges(flags_of(state), (hashed,))
    if _is_smallest_of_circle(lead_id, into, state, context):
        context.duplicates += 1
        return NO_OUTPUTS
    tau_ms = max(latest_ms(state), award.occurred_at_ms)
    outputs: list[Output] = []
    if state.due_ms is not None and state.due_ms < tau_ms:
        outputs += leave_by_time(state, lead_id, tau_ms - 1, context)
    edge = context.next_position()
    absorbed = Absorbed(lead_id, into, edge, encode_state(state))
    outputs += leave_merged(state, award, forward.topic, tau_ms, into, context)
    to_lead = msgspec.structs.replace(award, lead_id=into)
    outputs.append(Forward(edge, [Hop(lead_id, edge)], forward.topic, to_lead, absorbed))
    latest_record_ms = max(state.latest_record_ms, award.occurred_at_ms)
    states[lead_id] = LeadState(
        context.model.version, latest_record_ms, thresholds=state.thresholds, alias=Alias(into, edge)
    )
    context.merged += 1
    context.gone_on += 1  # to the lead, where it is counted once more
    return outputs


def _has_seen(state: LeadState | None, merge: bytes) -> bool:
    """Whether the merge of that hash came to the person before, under whichever of its ids."""
    return state is not None and state.flags is not None and merge in state.flags.merges


def _is_smallest_of_circle(lead_id: str, into: str, state: LeadState, context: FoldContext) -> bool:
    """Whether ``into`` leads back to this lead, which would come out of the circle as the lead that it is."""
    aliases = state.flags.aliases if state.flags is not None else {}
    circle, place = [lead_id], into
    while place != lead_id:
        member = aliases.get(place)
        if member is None or place in circle or is_forgotten_alias(member.latest_ms, context):
            return False
        circle.append(place)
        place = member.into
    return min(circle) == lead_id


def _hear_of(aliases: dict[str, Member], forward: Forward) -> None:
    """What came by an alias says that the alias is remembered."""
    for hop in forward.hops:
        member = aliases.get(hop.alias)
        if member is not None and member.edge == hop.edge:
            latest_ms = max(member.latest_ms, forward.award.occurred_at_ms)
            aliases[hop.alias] = Member(member.into, member.edge, latest_ms)


def is_forgotten_alias(latest_record_ms: int, context: FoldContext) -> bool:
    """Whether an alias is so old that its id is a new lead's."""
    return context.log_time_ms - latest_record_ms > context.model.forget_after_ms


def _erase(states: States, erasures: Erasures, forward: Forward, context: FoldContext) -> Sequence[Output]:
    """Erase a lead, and send for each of its aliases."""
    award, lead_id = forward.award, forward.award.lead_id
    state = states.get(lead_id)
    edges = {hop.alias: hop.edge for hop in forward.hops}
    for alias, member in (state.flags.aliases if state is not None and state.flags is not None else {}).items():
        if context.log_time_ms - member.latest_ms <= context.model.forget_after_ms + LATE_WORKER_MS:
            edges[alias] = max(member.edge, edges.get(alias, member.edge))
    edges.pop(lead_id, None)
    remember_erasure(erasures, award, context)
    states[lead_id] = None
    outputs: list[Output] = [_erased(award, context)]
    for alias, edge in sorted(edges.items()):
        of_alias = msgspec.structs.replace(award, lead_id=alias)
        outputs.append(Forward(context.next_position(), [], forward.topic, of_alias, erased_edge=edge))
    return outputs


def _erase_alias(
    states: States, erasures: Erasures, forward: Forward, edge: int, context: FoldContext
) -> Sequence[Output]:
    """Delete the alias that this merge made, whose person is erased; the id may have become someone else's since."""
    award, state = forward.award, states.get(forward.award.lead_id)
    if state is not None and (state.alias is None or state.alias.edge != edge):
        return NO_OUTPUTS
    if state is not None and is_forgotten_alias(state.latest_record_ms, context):
        del states[award.lead_id]
        return NO_OUTPUTS
    remember_erasure(erasures, award, context)
    states[award.lead_id] = None
    return NO_OUTPUTS if state is None else [_erased(award, context)]


def _erased(award: Award, context: FoldContext) -> ErasedLead:
    return ErasedLead(context.model.name, award.lead_id, award.event_id, award.occurred_at_ms, context.log_time_ms)
