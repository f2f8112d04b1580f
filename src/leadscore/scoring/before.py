"""The score that a record finds, evaluated only if something comes of the record. Pure.

Of the records that might cross, most do not, and to see that the score after them is enough. The score before them is
asked for when the lead crosses, and then the record is in the lead's state already: so what the score is made of is
kept from before. The fold replaces or appends, so that is a copy of three lists. ``Flags`` alone change in place: where
a record changes what counts in them, the score before must be evaluated before.
"""

from leadscore.model.compiled import CompiledModel
from leadscore.scoring.conditions import Outlook
from leadscore.scoring.score import Score, score_at
from leadscore.scoring.state import LeadState


class Before:
    """The score at an instant of a lead that is not changed any more, evaluated when first asked for."""

    __slots__ = ("_at_ms", "_outlook", "_score")

    def __init__(self, outlook: Outlook, at_ms: int) -> None:
        self._outlook = outlook
        self._at_ms = at_ms
        self._score: Score | None = None

    def score(self) -> Score:
        """What the record finds."""
        score = self._score
        if score is None:
            outlook = self._outlook
            score = self._score = score_at(outlook.state, outlook.model, self._at_ms, outlook)
        return score


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


def before_event(state: LeadState, model: CompiledModel, at_ms: int) -> Before:
    """The score before an event, neither settling another nor bringing attributes, is added to the state."""
    return Before(Outlook(copied(state), model), at_ms)


def before_anything(outlook: Outlook, at_ms: int) -> Before:
    """The score before whatever comes."""
    before = Before(outlook, at_ms)
    before.score()
    return before
