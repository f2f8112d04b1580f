"""Ids that are merged in a circle, each in a log partition of its own, with what is on its way between them (2.9)."""

from collections import deque
from itertools import count

from leadscore.log.records import Award, Forward
from leadscore.scoring.crossing import Crossing, Direction
from leadscore.scoring.leads import apply_award
from leadscore.scoring.merging import apply_forward
from leadscore.scoring.state import LeadState
from tests.oracle import Plain
from tests.random_people import ALL_RECENT, START_MS
from tests.simulated import event_of


class Partitions:
    """One id in each; what one sends to another comes in the order sent, when ``deliver`` is called."""

    def __init__(self) -> None:
        self.states: dict[str, LeadState | None] = {}
        self.crossings: list[Crossing] = []
        self._waiting: dict[str, deque[Forward]] = {}
        self._offsets = count(1)

    def take(self, record: Plain) -> None:
        """A record comes under its id."""
        award = ALL_RECENT.matcher.award(event_of(record), 0, next(self._offsets))
        assert award is not None
        self._apply(award.lead_id, award)

    def deliver(self, lead_id: str) -> Forward:
        """The oldest of what waits for the id."""
        forward = self._waiting[lead_id].popleft()
        self._apply(lead_id, forward)
        return forward

    def deliver_all(self) -> int:
        """Until nothing is on its way; how much that was."""
        delivered = 0
        while waiting := [lead_id for lead_id, queue in self._waiting.items() if queue]:
            for lead_id in waiting:
                self.deliver(lead_id)
                delivered += 1
        return delivered

    def _apply(self, lead_id: str, record: Award | Forward) -> None:
        self.states.setdefault(lead_id, None)
        offset = next(self._offsets)
        context = ALL_RECENT.context(START_MS + 60_000 + offset)
        context.offset = offset
        if isinstance(record, Forward):
            outputs = apply_forward(self.states, {}, record, context)
        else:
            outputs = apply_award(self.states, {}, record, "website", context)
        for output in outputs:
            if isinstance(output, Forward):
                self._waiting.setdefault(output.award.lead_id, deque()).append(output)
            elif isinstance(output, Crossing):
                self.crossings.append(output)


def record_under(lead_id: str, event_type: str, event_id: str, **more: object) -> Plain:
    return {"type": event_type, "event_id": event_id, "lead_id": lead_id, "occurred_at": START_MS, **more}


FORM = record_under("a", "website.form_submitted", "e", asset="x")
"""Enough to enter a threshold."""


def merged_in_a_circle() -> Partitions:
    """The lead is on its way from ``b`` to ``a``, and both are aliases."""
    partitions = Partitions()
    partitions.take(FORM)
    partitions.take(record_under("a", "command.merge", "m1", into="b"))
    assert partitions.deliver("b").absorbed is not None
    partitions.take(record_under("b", "command.merge", "m2", into="a"))
    return partitions


def test_what_goes_round_a_circle_ahead_of_the_lead_does_not_make_a_lead_that_knows_nothing() -> None:
    """The event comes again: a lead that does not know it would enter once more, under the id of the first enter."""
    partitions = merged_in_a_circle()
    partitions.take(FORM)
    assert partitions.deliver_all() < 20
    enters = [crossing.id for crossing in partitions.crossings if crossing.direction is Direction.ENTER]
    assert len(enters) == len(set(enters))
    state = partitions.states["a"]
    assert state is not None
    assert state.alias is None
    last = partitions.crossings[-1]
    assert (last.lead_id, last.threshold, last.direction) == ("a", "warm", Direction.ENTER)


def test_a_suspended_person_does_not_enter_while_it_goes_round_a_circle() -> None:
    partitions = Partitions()
    partitions.take(record_under("a", "command.suspend", "s"))
    partitions.take(record_under("a", "command.merge", "m1", into="b"))
    partitions.deliver("b")
    partitions.take(record_under("b", "command.merge", "m2", into="a"))
    partitions.take(FORM)
    partitions.deliver_all()
    assert partitions.crossings == []
