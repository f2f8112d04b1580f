"""Frames of one log partition that follow each other, folded lead by lead. Pure.

Leads know nothing of each other, so that each can be folded through all frames while it is in the processor's cache. In
the log's order most of the fold's time goes into fetching leads from memory. What each frame puts out is in the order
of its awards all the same. Only where awards are sent on or leads deleted does the order of leads matter.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from leadscore.log.records import Award, Frame
from leadscore.scoring.context import FoldContext
from leadscore.scoring.erasures import Erasures
from leadscore.scoring.leads import OF_THE_PERSON, apply_award
from leadscore.scoring.outputs import Output
from leadscore.scoring.state import LeadState, States

_index_of = itemgetter(0)

# A plain tuple, because there is one for each award.
_Placed = tuple[int, int, Award]
"""The number of the frame in its run, the award's index in the frame, the award."""


class PlacedFrame(NamedTuple):
    """A frame, where it stands in the log partition, and the log's time there."""

    offset: int
    log_time_ms: int
    frame: Frame


class OpenFrame(NamedTuple):
    """What the awards of a frame are folded with; ``fresh`` are those that are not applied yet."""

    context: FoldContext
    topics: list[str]
    fresh: list[Award]


class FrameRun:
    """Frames that follow each other, and their awards by lead.

    Add a frame as soon as it is decoded, while its awards are in the processor's cache: what needs a look at every
    award is found out in that one pass.
    """

    __slots__ = ("_by_lead", "_is_of_persons", "frames")

    def __init__(self) -> None:
        self.frames: list[PlacedFrame] = []
        self._by_lead: dict[str, list[_Placed]] = {}
        self._is_of_persons = False

    def add(self, placed: PlacedFrame) -> None:
        """The next frame."""
        if _group(placed.frame.awards, len(self.frames), self._by_lead):
            self._is_of_persons = True
        self.frames.append(placed)

    @property
    def lead_ids(self) -> Iterable[str]:
        """The leads that the awards name."""
        return self._by_lead.keys()

    def is_plain(self, states: Mapping[str, LeadState | None]) -> bool:
        """Whether each award is applied to the lead that it names and to no other."""
        if self._is_of_persons:
            return False
        for lead_id in self._by_lead:
            state = states.get(lead_id)
            if state is not None and state.alias is not None:
                return False
        return True

    def fold(
        self, opened: Sequence[OpenFrame], states: States, erasures: Erasures, touched: dict[str, bool]
    ) -> list[list[Output]]:
        """Fold the awards of a run that is plain, each frame with what it was opened with; what each puts out."""
        by_lead = self._by_lead
        for placed, one in zip(self.frames, opened, strict=True):
            if len(one.fresh) < len(placed.frame.awards):
                by_lead = _fresh_by_lead(opened)
                break
        decided: list[list[tuple[int, Sequence[Output]]]] = [[] for _ in opened]
        for lead_id, awards in by_lead.items():
            touched.setdefault(lead_id, False)
            for number, index, award in awards:
                frame = opened[number]
                if outputs := apply_award(states, erasures, award, frame.topics[award.source], frame.context):
                    decided[number].append((index, outputs))
        return [
            [output for _, outputs in sorted(of_frame, key=_index_of) for output in outputs] for of_frame in decided
        ]


def _group(awards: list[Award], number: int, by_lead: dict[str, list[_Placed]]) -> bool:
    """Add the awards of the frame of this number; whether one of them is about ids, not about what a lead has done."""
    is_of_persons = False
    for index, award in enumerate(awards):
        lead_id = award.lead_id
        of_lead = by_lead.get(lead_id)
        if of_lead is None:
            by_lead[lead_id] = [(number, index, award)]
        else:
            of_lead.append((number, index, award))
        if award.type in OF_THE_PERSON:
            is_of_persons = True
    return is_of_persons


def _fresh_by_lead(opened: Sequence[OpenFrame]) -> dict[str, list[_Placed]]:
    by_lead: dict[str, list[_Placed]] = {}
    for number, frame in enumerate(opened):
        _group(frame.fresh, number, by_lead)
    return by_lead
