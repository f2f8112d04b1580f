"""Events of a lead that are hashed by their ids alone, as leads of format 2 have them (``old_states``). Pure.

Only leads that have such events come here. An event of another type with the same id is another event: the rules that
a row was awarded points by tell which types it may be of.
"""

from hashlib import blake2b

from leadscore.log.records import Award
from leadscore.model.compiled import CompiledModel
from leadscore.scoring.old_states import ById
from leadscore.scoring.recent import AT, ROW, find, time_of
from leadscore.scoring.selection import rules_of
from leadscore.scoring.state import Flags, LeadState
from leadscore.scoring.totals import retract


def id_hash(event_id: str) -> bytes:
    """The hash of the id alone (BLAKE2b, 8 bytes)."""
    return blake2b(event_id.encode(), digest_size=8).digest()


def is_recent(state: LeadState, award: Award, model: CompiledModel) -> bool:
    """Whether the award's event is among the recent ones that are hashed by id; those that are gone are forgotten."""
    _drop_if_gone(state)
    start = find(state.rows, id_hash(award.event_id))
    return start >= 0 and _may_be_of(state, state.rows[start : start + ROW], award.type, model)


def is_retracted(by_id: ById, award: Award, model: CompiledModel) -> bool:
    """Whether the event was retracted, of whatever type it is; as ever, of those that the model names."""
    return award.type in model.event_types and id_hash(award.event_id) in by_id.retracted


def retract_by_id(state: LeadState, award: Award, model: CompiledModel) -> None:
    """Take back what a ``retract`` names, if it is among the recent events that are hashed by id."""
    hashed = id_hash(award.target or "")
    start = find(state.rows, hashed)
    if start < 0:
        return
    row = state.rows[start : start + ROW]
    if award.target_type is None or _may_be_of(state, row, award.target_type, model):
        retract(state, model, hashed)


def of_both(one: ById | None, other: ById | None) -> ById | None:
    """What is hashed by id of a lead that is made of two."""
    if one is None or other is None:
        return other if one is None else one
    times_ms = [until_ms for until_ms in (one.until_ms, other.until_ms) if until_ms is not None]
    return ById(max(times_ms, default=None), other.retracted | one.retracted)


def _drop_if_gone(state: LeadState) -> None:
    """Forget that there were such events once all the recent ones are later; of most leads nothing is left then."""
    flags = state.flags
    by_id = None if flags is None else flags.by_id
    if flags is None or by_id is None or by_id.until_ms is None:
        return
    if state.rows and time_of(state.rows[:AT]) <= by_id.until_ms:
        return
    by_id.until_ms = None
    if not by_id.retracted:
        flags.by_id = None
    if flags == Flags():
        state.flags = None


def _may_be_of(state: LeadState, row: bytes, event_type: str, model: CompiledModel) -> bool:
    """Whether the event may be of this type: no rule of the model that it matched says otherwise."""
    rules = [model.rules.get(state.rules[index]) for index in rules_of(state, row)]
    types = [rule.event_types for rule in rules if rule is not None]
    return not types or any(event_type in of_rule for of_rule in types)
