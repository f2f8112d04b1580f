"""What a rule's events add up to, and which of them count (design 1.3, 1.9). Pure.

Theory of operation. ``state.totals`` holds one running total per rule: for half-lives the value at the lead's latest
record, for points that age in days the points per UTC day, else the plain sum. An event of a rule without a
selection is added to it, wherever in time it belongs; that is the hot path. Where a selection (burst, once_per,
limit) decides which events count, the total is counted again out of the recent events and what is settled, because
one late event may displace another. Retract, reset and a new model version change what has been added already: take
the *residue* (what no recent event explains), change what there is to change, and count the rows on top of it again.

Events that fall out of the recent ones are *settled*: their points stay in the total, and ``Settled`` remembers what
limits, ``once_per``, bursts, ``quiet`` and the explanation still need of them.
"""

from typing import Final, cast

from leadscore.log.records import Award
from leadscore.model.addition import plain_sum
from leadscore.model.compiled import CompiledModel, CompiledRule, DecayCurve, Selection
from leadscore.scoring.flags import flags_of, keep_later
from leadscore.scoring.recent import (
    AT,
    HASH_START,
    MAX_AWARDED,
    ROW,
    every_row,
    find,
    inserted,
    removed,
    time_of,
)
from leadscore.scoring.selection import (
    bucket_of,
    counted_rows,
    counts_last,
    is_adjust,
    live_rows,
    once_key,
    once_value,
    points_awarded,
    points_of,
    rule_rows,
    rules_of,
    without_bursts,
)
from leadscore.scoring.state import AwardedPoints, Flags, LeadState, Points, Settled, Total
from leadscore.time_units import DAY_MS

MAX_ONCE_VALUES: Final = 256
"""How many values of a rule's ``once_per`` are remembered for settled events."""


def advance(state: LeadState, model: CompiledModel, to_ms: int) -> None:
    """Bring the totals to a later latest record: half-lives decay, days need nothing."""
    age_ms = to_ms - state.latest_record_ms
    if age_ms <= 0:
        return
    state.latest_record_ms = to_ms
    # Ids as objects: of an ``int`` mypyc would take out the number, and make another object for each look-up.
    half_lives_ms, totals = cast("dict[object, float]", model.half_lives_ms), state.totals
    weight = weighed_ms = 0.0
    for index, rule_id in enumerate(cast("list[object]", state.rules)):
        half_life_ms = half_lives_ms.get(rule_id)
        if half_life_ms is not None:
            if half_life_ms != weighed_ms:
                weight, weighed_ms = 2.0 ** (-age_ms / half_life_ms), half_life_ms
            totals[index] *= weight  # type: ignore[operator]  # a float, by its rule
    if state.flags is not None and state.flags.settled:
        _advance_settled(state.flags.settled, model, age_ms)


def _advance_settled(settled: dict[int, Settled], model: CompiledModel, age_ms: int) -> None:
    for rule_id, entry in settled.items():
        rule = model.rules.get(rule_id)
        if entry.total and rule is not None and rule.decay.half_life_ms is not None and isinstance(entry.total, float):
            entry.total *= 2.0 ** (-age_ms / rule.decay.half_life_ms)


def add_event(state: LeadState, model: CompiledModel, at: bytes, award: Award) -> None:
    """Add an event that is not there yet; the latest record has been advanced to it already."""
    time_ms = award.occurred_at_ms
    latest_ms, flags, rules, totals = state.latest_record_ms, state.flags, state.rules, state.totals
    is_live = flags is None or flags.reset_ms is None or time_ms > flags.reset_ms
    rule_of = model.rules.get
    awarded: list[Points] = []
    selective: list[int] = []
    for one in award.rules:
        rule_id, points = one.rule_id, one.points
        rule = rule_of(rule_id)
        if rule_id in rules:
            index = rules.index(rule_id)
        else:
            index = len(rules)
            rules.append(rule_id if rule is None else rule.rule_id)  # the model's number, one for all leads
            totals.append(0.0)
        awarded += (index, points)
        if rule is None:
            continue
        if rule.selection is not None:
            selective.append(index)
            if one.value_hash is not None:
                flags_of(state).once_values[once_key(at, index)] = one.value_hash
        elif is_live:
            decay = rule.decay
            if decay.weights is not None:
                totals[index] = _added_by_day(totals[index], decay, latest_ms, time_ms // DAY_MS, points)
            elif decay.half_life_ms is not None and time_ms != latest_ms:
                totals[index] += points * 2.0 ** ((time_ms - latest_ms) / decay.half_life_ms)
            else:
                totals[index] += points  # type: ignore[operator]  # a float, by its rule
    number = award_number(state, tuple(awarded))  # first, for it may number the rows anew
    state.rows = inserted(state.rows, at, number)
    for index in selective:
        _count_selected(state, model, index, at)


def _count_selected(state: LeadState, model: CompiledModel, index: int, at: bytes) -> None:
    """Let the event that was just added count for a rule with a selection; a late one may take others out."""
    rule = model.rules[state.rules[index]]
    is_last = state.rows[-ROW:-1] == at and (state.flags is None or state.flags.reset_ms is None)
    counts = counts_last(state, rule, index) if is_last else None
    if counts is None:
        recount(state, model, index, settled_total(state, index))
    elif counts:
        points = points_of(state, state.rows[-ROW:], index)
        state.totals[index] = _added(state.totals[index], rule.decay, state.latest_record_ms, time_of(at), points)


def add_totals(one: Total, other: Total, decay: DecayCurve, now_ms: int) -> Total:
    """What a rule's events under two ids add up to; both totals follow the rule and are of this instant."""
    if decay.weights is None:
        return one + other  # type: ignore[operator]  # floats, by their rule
    total = one
    for day, points in (other if isinstance(other, dict) else {}).items():
        total = _added_by_day(total, decay, now_ms, day, points)
    return total


def award_number(state: LeadState, points: AwardedPoints) -> int:
    """The index of what an event was awarded in the lead's table, added if it is new."""
    awarded = state.awarded
    try:
        return awarded.index(points)
    except ValueError:
        pass
    if len(awarded) == MAX_AWARDED:
        _drop_unused(state)
    state.awarded.append(points)
    return len(state.awarded) - 1


def _drop_unused(state: LeadState) -> None:
    """Number ``awarded`` anew without what no recent event points to; many different ``adjust`` may fill the table."""
    used = sorted({row[-1] for row in every_row(state.rows)})
    number = {old: new for new, old in enumerate(used)}
    state.rows = b"".join(row[:-1] + bytes((number[row[-1]],)) for row in every_row(state.rows))
    state.awarded = [state.awarded[old] for old in used]


def _added(total: Total, decay: DecayCurve, now_ms: int, time_ms: int, points: Points) -> Total:
    """The total with points of another instant."""
    if decay.weights is not None:
        return _added_by_day(total, decay, now_ms, time_ms // DAY_MS, points)
    weight = 1.0 if decay.half_life_ms is None else 2.0 ** ((time_ms - now_ms) / decay.half_life_ms)
    return total + points * weight  # type: ignore[operator]  # a float, by its rule


def _added_by_day(total: Total, decay: DecayCurve, now_ms: int, day: int, points: Points) -> Total:
    """The points per day with some more; days of which nothing is left are dropped."""
    by_day = dict(total) if isinstance(total, dict) else {}
    oldest = now_ms // DAY_MS - len(decay.weights or ())
    by_day[day] = by_day.get(day, 0) + points
    return {day: points for day, points in by_day.items() if day > oldest and points}


def recount(state: LeadState, model: CompiledModel, index: int, residue: Total) -> None:
    """Count the rule's recent events again on top of what they do not explain."""
    rule = model.rules.get(state.rules[index])
    if rule is None:
        state.totals[index] = 0.0
        return
    total: Total = residue
    if rule.decay.weights is not None and not isinstance(residue, dict):
        total = {state.latest_record_ms // DAY_MS: residue} if residue else {}
    points = points_awarded(state, index)
    for row in counted_rows(state, rule, live_rows(state, index)):
        total = _added(total, rule.decay, state.latest_record_ms, time_of(row), points[row[-1]])
    state.totals[index] = total


def residue_of(state: LeadState, model: CompiledModel, index: int) -> Total:
    """The part of a rule's total that its recent events do not explain, under the model the totals follow."""
    rule = model.rules.get(state.rules[index])
    settled = state.flags.settled.get(state.rules[index]) if state.flags is not None else None
    if rule is None or settled is None or not settled.count:
        return 0.0
    if rule.selection is not None:
        return settled.total
    total, points = state.totals[index], points_awarded(state, index)
    for row in live_rows(state, index):
        total = _added(total, rule.decay, state.latest_record_ms, time_of(row), -points[row[-1]])
    return total


def settled_total(state: LeadState, index: int) -> Total:
    """What the rule's events that are no longer among the recent ones add up to, of a rule with a selection."""
    settled = state.flags.settled.get(state.rules[index]) if state.flags is not None else None
    return 0.0 if settled is None else settled.total


def settle_oldest(state: LeadState, model: CompiledModel) -> None:
    """Let the earliest recent event go; what later decisions need of it stays."""
    flags, row = flags_of(state), state.rows[:ROW]
    time_ms = time_of(row)
    _settle_rules(state, flags, model, row, time_ms)
    if flags.once_values:
        for index in rules_of(state, row):
            flags.once_values.pop(once_key(row[:AT], index), None)
    if flags.recent_attributes:
        for attribute_id, value in flags.recent_attributes.pop(row[HASH_START:AT], {}).items():
            keep_later(flags.settled_attributes, attribute_id, value)
    first_ms = flags.settled_first_ms
    if (first_ms is None or time_ms < first_ms) and not is_adjust(state, row):
        flags.settled_first_ms = time_ms
    flags.settled_last_ms = _later(flags.settled_last_ms, time_ms)
    state.rows = state.rows[ROW:]


def _settle_rules(state: LeadState, flags: Flags, model: CompiledModel, row: bytes, time_ms: int) -> None:
    awarded, rules = state.awarded[row[-1]], state.rules
    is_live = flags.reset_ms is None or time_ms > flags.reset_ms
    for place in range(0, len(awarded), 2):
        index = int(awarded[place])
        rule = model.rules.get(rules[index])
        if rule is None:
            continue
        settled = flags.settled.get(rule.rule_id)
        if settled is None:
            settled = flags.settled[rule.rule_id] = Settled()
        if rule.selection is not None:
            _settle_selected(state, rule, index, row)
            continue
        if rule.disqualifies is not None:
            settled.counted_ms = _later(settled.counted_ms, time_ms)
        if is_live:
            _settle_counted(settled, rule, awarded[place + 1], time_ms)


def _later(one_ms: int | None, other_ms: int) -> int:
    return other_ms if one_ms is None or one_ms < other_ms else one_ms


def _settle_counted(settled: Settled, rule: CompiledRule, points: Points, time_ms: int) -> None:
    """Remember an event that counts for the rule."""
    settled.points += points
    settled.count += 1
    settled.latest_ms = _later(settled.latest_ms, time_ms)
    if rule.recycles is not None or rule.outcome is not None:
        settled.counted_ms = _later(settled.counted_ms, time_ms)


def _settle_selected(state: LeadState, rule: CompiledRule, index: int, row: bytes) -> None:
    """The same for a rule with a selection, which says whether the event counts."""
    flags, time_ms, selection = flags_of(state), time_of(row), rule.selection or Selection()
    settled = flags.settled[rule.rule_id]
    if rule.disqualifies is not None and row in counted_rows(state, rule, rule_rows(state, index)):
        settled.counted_ms = _later(settled.counted_ms, time_ms)
    if flags.reset_ms is not None and time_ms <= flags.reset_ms:
        return
    rows = live_rows(state, index)
    counts = row in counted_rows(state, rule, rows)
    if not counts and row in without_bursts(state, rule, rows):
        settled.latest_ms = _later(settled.latest_ms, time_ms)
    if selection.burst_at_least:
        settled.burst_ms = sorted([*(settled.burst_ms or ()), time_ms])[1 - selection.burst_at_least :]
    if not counts:
        return
    points = points_of(state, row, index)
    _settle_counted(settled, rule, points, time_ms)
    if selection.once_per:
        settled.values = [*(settled.values or ()), once_value(state, index, row)][-MAX_ONCE_VALUES:]
    if selection.limit_times:
        oldest = bucket_of(selection, time_ms)
        buckets = {bucket: used for bucket, used in (settled.buckets or {}).items() if bucket >= oldest}
        buckets[oldest] = buckets.get(oldest, 0) + 1
        settled.buckets = buckets
    settled.total = _added(settled.total, rule.decay, state.latest_record_ms, time_ms, points)


def retract(state: LeadState, model: CompiledModel, event_hash: bytes) -> None:
    """Take a recent event back as if it had never come."""
    start = find(state.rows, event_hash)
    if start < 0:
        return
    row = state.rows[start : start + ROW]
    residues = {index: residue_of(state, model, index) for index in rules_of(state, row)}
    state.rows = removed(state.rows, start)
    if state.flags is not None:
        state.flags.recent_attributes.pop(event_hash, None)
        for index in residues:
            state.flags.once_values.pop(once_key(row[:AT], index), None)
    for index, residue in residues.items():
        recount(state, model, index, residue)


def reset(state: LeadState, model: CompiledModel, reset_ms: int) -> None:
    """Let what occurred up to ``reset_ms`` count no longer. Settled events go only if all of them are that old."""
    flags = flags_of(state)
    if flags.reset_ms is not None and flags.reset_ms >= reset_ms:
        return
    residues = [residue_of(state, model, index) for index in range(len(state.rules))]
    flags.reset_ms = reset_ms
    if flags.settled_last_ms is None or flags.settled_last_ms <= reset_ms:
        flags.settled = {rule_id: Settled(counted_ms=entry.counted_ms) for rule_id, entry in flags.settled.items()}
        residues = [0.0] * len(residues)
    for index, residue in enumerate(residues):
        recount(state, model, index, residue)


def migrate(state: LeadState, old: CompiledModel, new: CompiledModel) -> None:
    """Let the totals follow another model version: exact for what the recent events explain."""
    for index, rule_id in enumerate(state.rules):
        before, after = old.rules.get(rule_id), new.rules.get(rule_id)
        if before is None or after is None:
            if state.flags is not None:
                state.flags.settled.pop(rule_id, None)
            recount(state, new, index, 0.0)
        elif before.decay != after.decay or before.selection != after.selection:
            residue = residue_of(state, old, index)
            if after.decay.weights is None:
                residue = _as_number(residue, before.decay, state.latest_record_ms)
            elif residue and not isinstance(residue, dict):
                residue = {state.latest_record_ms // DAY_MS: residue}
            if state.flags is not None and rule_id in state.flags.settled:
                state.flags.settled[rule_id].total = residue
            recount(state, new, index, residue)
    state.model_version = new.version


def _as_number(total: Total, decay: DecayCurve, now_ms: int) -> float:
    """A total as one value at ``now_ms``, where the new model does not count in the old one's days."""
    if not isinstance(total, dict):
        return total
    today = now_ms // DAY_MS
    return plain_sum(points * decay.weight(0, today - day) for day, points in total.items())
