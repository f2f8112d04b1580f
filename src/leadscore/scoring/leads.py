"""The leads of a shard, or of a simulation: which state a record is folded into, and what that puts out. Pure."""

from collections.abc import Sequence
from typing import Final

from leadscore.log.records import ERASE, MERGE, Award, Forward
from leadscore.scoring.context import FoldContext
from leadscore.scoring.erasures import Erasures, is_erased
from leadscore.scoring.fold import fold_award
from leadscore.scoring.merging import apply_forward
from leadscore.scoring.outputs import NO_OUTPUTS, Output
from leadscore.scoring.state import States

OF_THE_PERSON: Final = frozenset({ERASE, MERGE})
"""Commands that are about ids, not about what a lead has done."""


def apply_award(
    states: States, erasures: Erasures, award: Award, topic: str | None, context: FoldContext
) -> Sequence[Output]:
    """Fold one award or command into the state of its lead; what is to be published or sent on, in this order."""
    lead_id = award.lead_id
    state = states.get(lead_id)
    if award.type in OF_THE_PERSON or (state is not None and state.alias is not None):
        return apply_forward(states, erasures, Forward(0, [], topic, award), context)
    if erasures and is_erased(erasures, award, context.log_time_ms):
        context.rejected += 1
        return NO_OUTPUTS
    states[lead_id], crossings = fold_award(state, award, topic, context)
    return crossings
