"""Two leads that are one person: the state of the records of both (design 1.12). Pure.

What each was by itself is undone first where the other's records say otherwise: a reset, a retraction, an event that
came under both. Then totals and what is settled add up, recent events lie in one order, and rules with a selection
count them anew. Within the recent events this is the state that all records would have made under one id.
"""

from collections.abc import Callable
from typing import Final

from leadscore.model.compiled import CompiledModel, CompiledRule
from leadscore.model.matching import event_hash
from leadscore.scoring.by_id import id_hash, of_both
from leadscore.scoring.flags import flags_of, keep_later
from leadscore.scoring.recent import AT, HASH_START, ROW, every_row, find, inserted, time_of
from leadscore.scoring.retraction import keep_latest_retractions
from leadscore.scoring.selection import once_key, rules_of
from leadscore.scoring.state import Flags, LeadState, Member, Settled, ThresholdState, Total
from leadscore.scoring.totals import (
    MAX_ONCE_VALUES,
    add_totals,
    advance,
    award_number,
    recount,
    reset,
    retract,
    settle_oldest,
    settled_total,
)

_NO_FLAGS: Final = Flags()
MOST_MERGES: Final = 64


def unite(state: LeadState, other: LeadState, model: CompiledModel, recent_events: int) -> None:
    """Add to a lead all that another was; both follow the model, and ``other`` is used up."""
    latest_ms = max(state.latest_record_ms, other.latest_record_ms)
    for one in (state, other):
        advance(one, model, latest_ms)
    _correct(state, other.flags, model)
    _correct(other, state.flags, model)
    for row in every_row(other.rows):
        if find(state.rows, row[HASH_START:AT]) >= 0:
            retract(other, model, row[HASH_START:AT])
    _add_rules(state, other, model)
    if other.flags is not None:
        flags = flags_of(state)
        _add_flags(flags, other.flags, recent_events)
        for rule_id, settled in other.flags.settled.items():
            present = flags.settled.get(rule_id)
            of_rule = settled if present is None else _added(present, settled, model.rules.get(rule_id))
            flags.settled[rule_id] = of_rule
    for entry in other.thresholds:
        _add_threshold(state, entry)
    for index, rule_id in enumerate(state.rules):
        rule = model.rules.get(rule_id)
        if rule is not None and rule.selection is not None:
            recount(state, model, index, settled_total(state, index))
    while len(state.rows) > ROW * recent_events:
        settle_oldest(state, model)


def _correct(state: LeadState, flags: Flags | None, model: CompiledModel) -> None:
    """Apply to a lead the resets and retractions that came under the other id."""
    if flags is None:
        return
    if flags.reset_ms is not None:
        reset(state, model, flags.reset_ms)
    for hashed in flags.retracted:
        retract(state, model, hashed)
    for target in flags.targets.values():
        for event_type in model.event_types:
            retract(state, model, event_hash(event_type, target))
        if state.flags is not None and state.flags.by_id is not None:
            retract(state, model, id_hash(target))
    for hashed in flags.by_id.retracted if flags.by_id is not None else ():
        retract(state, model, hashed)


def _add_rules(state: LeadState, other: LeadState, model: CompiledModel) -> None:
    """The totals, and the recent events with what they were awarded."""
    places: list[int] = []
    for index, rule_id in enumerate(other.rules):
        if rule_id not in state.rules:
            state.rules.append(rule_id)
            state.totals.append(0.0)
        places.append(state.rules.index(rule_id))
        rule = model.rules.get(rule_id)
        if rule is not None and rule.selection is None:
            total = add_totals(state.totals[places[-1]], other.totals[index], rule.decay, state.latest_record_ms)
            state.totals[places[-1]] = total
    once_values = (other.flags or _NO_FLAGS).once_values
    for row in every_row(other.rows):
        awarded = other.awarded[row[-1]]
        points = tuple(places[int(part)] if place % 2 == 0 else part for place, part in enumerate(awarded))
        number = award_number(state, points)  # first, for it may number the rows anew
        state.rows = inserted(state.rows, row[:AT], number)
        for index in rules_of(other, row):
            value = once_values.get(once_key(row[:AT], index))
            if value is not None:
                flags_of(state).once_values[once_key(row[:AT], places[index])] = value


def _add_flags(flags: Flags, other: Flags, recent_events: int) -> None:
    """What commands said and what is settled; recent attributes are of events that are there by now."""
    flags.left_ms = _either(max, flags.left_ms, other.left_ms)
    flags.reset_ms = _either(max, flags.reset_ms, other.reset_ms)
    flags.requalified_ms = _either(max, flags.requalified_ms, other.requalified_ms)
    flags.under_model_since_ms = _either(max, flags.under_model_since_ms, other.under_model_since_ms)
    flags.settled_first_ms = _either(min, flags.settled_first_ms, other.settled_first_ms)
    flags.settled_last_ms = _either(max, flags.settled_last_ms, other.settled_last_ms)
    if other.suspension is not None and (flags.suspension is None or flags.suspension.at < other.suspension.at):
        flags.suspension = other.suspension
    for hashed, retracted_ms in other.retracted.items():
        flags.retracted[hashed] = max(retracted_ms, flags.retracted.get(hashed, retracted_ms))
    flags.targets |= other.targets
    flags.by_id = of_both(flags.by_id, other.by_id)
    keep_latest_retractions(flags, recent_events)
    flags.recent_attributes |= other.recent_attributes
    for attribute_id, value in other.settled_attributes.items():
        keep_later(flags.settled_attributes, attribute_id, value)
    for lead_id, member in other.aliases.items():
        add_member(flags.aliases, lead_id, member)
    remember_merges(flags, other.merges)


def _added(one: Settled, other: Settled, rule: CompiledRule | None) -> Settled:
    """What both have settled of a rule."""
    burst_at_least = 0 if rule is None or rule.selection is None else rule.selection.burst_at_least
    buckets = dict(one.buckets or {})
    for bucket, used in (other.buckets or {}).items():
        buckets[bucket] = buckets.get(bucket, 0) + used
    values = dict.fromkeys([*(one.values or ()), *(other.values or ())])
    burst_ms = sorted([*(one.burst_ms or ()), *(other.burst_ms or ())]) if burst_at_least else []
    return Settled(
        points=one.points + other.points,
        count=one.count + other.count,
        latest_ms=_either(max, one.latest_ms, other.latest_ms),
        counted_ms=_either(max, one.counted_ms, other.counted_ms),
        total=_plain_sum(one.total, other.total),
        values=list(values)[-MAX_ONCE_VALUES:] or None,
        buckets=buckets or None,
        burst_ms=burst_ms[1 - burst_at_least :] or None,
    )


def _plain_sum(one: Total, other: Total) -> Total:
    """Settled totals of one rule: both values at the same instant, or both by day; a rule without any has 0."""
    if not isinstance(one, dict):
        return one + other if not isinstance(other, dict) else other
    if not isinstance(other, dict):
        return one
    return {day: one.get(day, 0) + other.get(day, 0) for day in sorted({*one, *other})}


def _either(choose: Callable[[int, int], int], one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return choose(one, other)


def remember_merges(flags: Flags, hashes: tuple[bytes, ...]) -> None:
    """Note merges that the person has seen; of many the latest are remembered."""
    flags.merges = tuple(dict.fromkeys((*flags.merges, *hashes)))[-MOST_MERGES:]


def add_member(aliases: dict[str, Member], lead_id: str, member: Member) -> None:
    """Remember an alias of the person; of two merges of one id the later is the one that holds."""
    present = aliases.get(lead_id)
    if present is None or present.edge < member.edge:
        aliases[lead_id] = member


def _add_threshold(state: LeadState, other: ThresholdState) -> None:
    """Cooldown counts from the later of both enters; everything else is a matter of the lead's own crossings."""
    for place, entry in enumerate(state.thresholds):
        if entry.threshold_id == other.threshold_id:
            entered_ms = max(entry.entered_ms, other.entered_ms)
            state.thresholds[place] = ThresholdState(
                entry.threshold_id, entry.is_in, entry.entered_id, entered_ms, entry.held, entry.sequence
            )
            return
    state.thresholds.append(ThresholdState(other.threshold_id, False, other.entered_id, other.entered_ms, False, 0))


def forget_until(state: LeadState, model: CompiledModel, until_ms: int) -> None:
    """Take out what occurred up to an erasure of the lead that this one is merged into.

    Settled events go only if all of them are that old, as with a reset.
    """
    for row in every_row(state.rows):
        if time_of(row) <= until_ms:
            retract(state, model, row[HASH_START:AT])
    flags = state.flags
    if flags is None:
        return
    if flags.settled_last_ms is not None and flags.settled_last_ms <= until_ms:
        flags.settled, flags.settled_first_ms, flags.settled_last_ms = {}, None, None
        for index in range(len(state.rules)):
            recount(state, model, index, 0.0)
    flags.settled_attributes = {
        attribute_id: value for attribute_id, value in flags.settled_attributes.items() if time_of(value.at) > until_ms
    }
    if flags.suspension is not None and time_of(flags.suspension.at) <= until_ms:
        flags.suspension = None
    if flags.reset_ms is not None and flags.reset_ms <= until_ms:
        flags.reset_ms = None
    if flags.requalified_ms is not None and flags.requalified_ms <= until_ms:
        flags.requalified_ms = None
    flags.retracted = {hashed: at_ms for hashed, at_ms in flags.retracted.items() if at_ms > until_ms}
    flags.targets = {hashed: target for hashed, target in flags.targets.items() if hashed in flags.retracted}
    if flags.by_id is not None:
        by_id = flags.by_id.retracted
        flags.by_id.retracted = {hashed: at_ms for hashed, at_ms in by_id.items() if at_ms > until_ms}
