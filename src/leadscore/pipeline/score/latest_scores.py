"""What of a shard goes to the scores topic: the marks of its leads, and what each record of the log is news of. Pure.

Marks are part of what the fold makes of the log, so a replay decides on the same news. ``latest`` has the rules.
"""

from collections.abc import Collection, Iterable, Mapping

from leadscore.model.compiled import CompiledModel
from leadscore.scoring.latest import Revision, evaluated, is_news, latest_score, next_look_ms
from leadscore.scoring.latest_score import LatestScore, LeadGone, ScoreNews
from leadscore.scoring.state import LeadState, Mark
from leadscore.time_units import DAY_MS, SECOND_MS


class LatestScores:
    """The marks in memory of one shard; ``step`` is how many points are news at once."""

    def __init__(self, step: float) -> None:
        self._step = step
        self._marks: dict[str, Mark] = {}
        self._at_ms = 0

    def load(self, lead_id: str, mark: Mark | None) -> None:
        """The mark that is stored with the lead."""
        if mark is None:
            self._marks.pop(lead_id, None)
        else:
            self._marks[lead_id] = mark

    def forget(self, lead_id: str) -> None:
        """The lead is no longer in memory."""
        self._marks.pop(lead_id, None)

    def mark(self, lead_id: str) -> Mark | None:
        """What was written last of the lead."""
        return self._marks.get(lead_id)

    def of_record(
        self,
        states: Mapping[str, LeadState | None],
        lead_ids: Iterable[str],
        erased: Collection[str],
        model: CompiledModel,
        revision: Revision,
    ) -> list[ScoreNews]:
        """What the record that was just folded is news of: at most one of each lead. The marks follow."""
        self._at_ms = revision.at_ms
        news: list[ScoreNews] = []
        for lead_id in dict.fromkeys(lead_ids):
            state = states.get(lead_id)
            if state is None or state.alias is not None:
                if self._marks.pop(lead_id, None) is not None or lead_id in erased:
                    news.append(LeadGone(model.name, lead_id, revision.offset, revision.time_ms))
                continue
            written = self._written(lead_id, state, model, revision, is_new=lead_id in erased)
            if written is not None:
                news.append(written)
        return news

    def look_ms(self, lead_id: str, state: LeadState, model: CompiledModel, *, has_ticked: bool) -> int | None:
        """When to look at the lead again for the topic's sake; ``None``: its next record is early enough.

        After a record it is a day, which costs nothing to work out. A tick is the time to find out whether ever.
        """
        mark = self._marks.get(lead_id)
        if mark is None:
            return None
        written_ms = mark.at_s * SECOND_MS
        if not has_ticked:
            return max(written_ms, self._at_ms - DAY_MS) + DAY_MS
        lead = evaluated(state, model, self._at_ms)
        return None if lead is None else next_look_ms(lead, mark)

    def _written(
        self, lead_id: str, state: LeadState, model: CompiledModel, revision: Revision, *, is_new: bool
    ) -> LatestScore | None:
        lead = evaluated(state, model, revision.at_ms)
        if lead is None:
            return None
        if not is_news(lead, None if is_new else self._marks.get(lead_id), self._step):
            return None
        self._marks[lead_id] = lead.mark
        return latest_score(lead_id, lead, revision)
