"""The scores that a record finds, evaluated only if something comes of the record. Pure.

Of the records that might cross, most do not, and to see that the scores after them are enough. A score before them is
asked for when the lead crosses, and then the record is in the lead's state already: so what the scores are made of is
kept from before. The fold replaces or appends, so that is a copy of three lists. ``Flags`` alone change in place: where
a record changes what counts in them, the scores before must be evaluated before.
"""

from leadscore.model.compiled import CompiledModel
from leadscore.scoring.conditions import Outlook
from leadscore.scoring.score import ScoresAt
from leadscore.scoring.state import LeadState


def copied(state: LeadState) -> LeadState:
    """The lead as it is now, for one that an event is added to."""
    return LeadState(
        state.model_version,
        state.latest_record_ms,
        state.due_ms,
        state.rows,
        state.rules.copy(),
        state.totals.copy(),
        state.awarded.copy(),
        state.thresholds,
        state.flags,
    )


def before_event(state: LeadState, model: CompiledModel, at_ms: int) -> ScoresAt:
    """The scores before an event, neither settling another nor bringing attributes, is added to the state."""
    return ScoresAt(Outlook(copied(state), model), at_ms)


def before_anything(outlook: Outlook, at_ms: int) -> ScoresAt:
    """The scores before whatever comes: those that have thresholds."""
    before = ScoresAt(outlook, at_ms)
    for score in outlook.model.crossed:
        before.of(score)
    return before
