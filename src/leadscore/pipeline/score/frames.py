"""Many frames of one log partition, folded lead by lead. Pure.

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

MANY_FRAMES = 3
"""Of fewer, hardly a lead is in two."""

_index_of = itemgetter(0)


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


def are_plain(frames: Sequence[PlacedFrame], states: Mapping[str, LeadState | None]) -> bool:
    """Whether there are many, and every award and command is applied to the lead that it names and to no other."""
    return len(frames) >= MANY_FRAMES and all(_is_plain(placed.frame.awards, states) for placed in frames)


def _is_plain(awards: Iterable[Award], states: Mapping[str, LeadState | None]) -> bool:
    for award in awards:
        state = states.get(award.lead_id)
        if award.type in OF_THE_PERSON or (state is not None and state.alias is not None):
            return False
    return True


def fold_by_lead(
    opened: Sequence[OpenFrame], states: States, erasures: Erasures, touched: dict[str, bool]
) -> list[list[Output]]:
    """Fold frames that are plain; what each of them puts out."""
    by_lead: dict[str, list[tuple[int, int, Award]]] = {}
    for number, frame in enumerate(opened):
        for index, award in enumerate(frame.fresh):
            by_lead.setdefault(award.lead_id, []).append((number, index, award))
    decided: list[list[tuple[int, Sequence[Output]]]] = [[] for _ in opened]
    for lead_id, awards in by_lead.items():
        touched.setdefault(lead_id, False)
        for number, index, award in awards:
            frame = opened[number]
            if outputs := apply_award(states, erasures, award, frame.topics[award.source], frame.context):
                decided[number].append((index, outputs))
    return [[output for _, outputs in sorted(of_frame, key=_index_of) for output in outputs] for of_frame in decided]
