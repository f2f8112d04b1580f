"""The leads of a shard, or of a simulation: which state a record is folded into, and what erasing leaves. Pure."""

from collections.abc import MutableMapping
from typing import Final

from leadscore.log.records import ERASE, Award
from leadscore.model.matching import event_hash
from leadscore.scoring.context import FoldContext
from leadscore.scoring.crossing import Crossing
from leadscore.scoring.erasures import Erasure, Erasures, lead_hash
from leadscore.scoring.fold import NO_CROSSINGS, fold_award
from leadscore.scoring.state import LeadState

States = MutableMapping[str, LeadState | None]
"""Leads by id; ``None`` is a lead without any record."""


MOST_ERASE_COMMANDS: Final = 16


def apply_award(
    states: States, erasures: Erasures, award: Award, topic: str | None, context: FoldContext
) -> list[Crossing]:
    """Fold one award or command into the state of its lead."""
    if erasures and _is_erased(erasures, award, context.log_time_ms):
        context.rejected += 1
        return NO_CROSSINGS
    if award.type == ERASE:
        _erase(states, erasures, award, context)
        return NO_CROSSINGS
    lead_id = award.lead_id
    states[lead_id], crossings = fold_award(states.get(lead_id), award, topic, context)
    return crossings


def _erase(states: States, erasures: Erasures, award: Award, context: FoldContext) -> None:
    hashed, expires_ms = lead_hash(award.lead_id), context.log_time_ms + context.settings.erasure_memory_ms
    erasure = erasures.get(hashed, Erasure(award.occurred_at_ms, expires_ms))
    commands = (*erasure.commands, event_hash(ERASE, award.event_id))[-MOST_ERASE_COMMANDS:]
    erasures[hashed] = Erasure(max(erasure.erased_ms, award.occurred_at_ms), expires_ms, commands)
    states[award.lead_id] = None


def _is_erased(erasures: Erasures, award: Award, log_time_ms: int) -> bool:
    """Whether an erasure keeps the record out; of erase commands, only the same once more: what came since is new."""
    erasure = erasures.get(lead_hash(award.lead_id))
    if erasure is None or log_time_ms > erasure.expires_ms:
        return False
    if award.type == ERASE:
        return event_hash(ERASE, award.event_id) in erasure.commands
    return award.occurred_at_ms <= erasure.erased_ms
