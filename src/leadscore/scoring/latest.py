"""The latest score of a lead: what the scores topic says of it, and when that is written anew (design 2.10). Pure.

A *mark* is what was written last: kept with the lead's state, so that a replay of the log writes the same.

    written anew    when a record or a tick finds
    at once         a score that moved by a step; another fit, band, grade, threshold or disqualification
    after a day     a score that moved by ``LEAST_MOVE``

A lead without records is looked at a day after it was written, and after that when its score may have moved by
``LEAST_MOVE``: never again, where it has nothing left to lose. A lead that is due to leave a threshold is not written:
the tick that lets it leave is on its way, and writes it.
"""

import zlib
from collections.abc import Iterator
from math import inf, log2
from typing import Final

from leadscore.log.records import stable_id
from leadscore.model.compiled import EPSILON, CompiledModel, DecayCurve
from leadscore.scoring.conditions import Outlook
from leadscore.scoring.disqualification import disqualified
from leadscore.scoring.flags import latest_ms
from leadscore.scoring.latest_score import LatestScore, NamedScore, ThresholdPlace
from leadscore.scoring.score import Score, day_aged, rule_points, score_at
from leadscore.scoring.standing import threshold_state
from leadscore.scoring.state import LeadState, Mark, Total
from leadscore.scoring.sure_stay import FAR_MS
from leadscore.time_units import DAY_MS, SECOND_MS

LEAST_MOVE: Final = 0.1
"""Points: a score that moved less is not written anew, however long ago it was written."""
HUNDREDTHS: Final = 100


class Revision:
    """The log record that was just folded: its offset and time; ``at_ms`` is the time of its tick, if that is later."""

    __slots__ = ("at_ms", "offset", "time_ms")

    def __init__(self, offset: int, time_ms: int, at_ms: int) -> None:
        self.offset = offset
        self.time_ms = time_ms
        self.at_ms = at_ms


class Evaluated:
    """A lead at an instant, and its mark if that were written."""

    __slots__ = ("at_ms", "disqualified", "mark", "model", "others", "outlook", "score")

    def __init__(self, state: LeadState, model: CompiledModel, at_ms: int) -> None:
        self.at_ms = at_ms
        self.model = model
        self.outlook = Outlook(state, model)
        self.score: Score = score_at(self.outlook, model.main, at_ms)
        self.others = {score.name: score_at(self.outlook, score, at_ms) for score in model.scores[1:]}
        self.disqualified = disqualified(self.outlook, at_ms)
        others = {stable_id(name): round(score.unclamped * HUNDREDTHS) for name, score in self.others.items()}
        self.mark = Mark(at_ms // SECOND_MS, round(self.score.unclamped * HUNDREDTHS), self._standing(), others)

    def _standing(self) -> int:
        """A hash of all that is written at once when it changes."""
        model = self.model
        places = [str(int(place.is_in)) for place in places_of(self.outlook.state, model)]
        band, grade, fit = model.band_of(self.score.value), model.grade_of(self.score.fit), f"{self.score.fit:.2f}"
        names = (band, grade, fit, self.disqualified or "", *places)
        return zlib.crc32("\x1f".join(names).encode())


def evaluated(state: LeadState, model: CompiledModel, at_ms: int) -> Evaluated | None:
    """The lead at ``at_ms``, or at its latest time if that is later; ``None`` where a tick must come first."""
    at_ms = max(at_ms, latest_ms(state))
    if state.model_version != model.version or (state.due_ms is not None and state.due_ms <= at_ms):
        return None
    return Evaluated(state, model, at_ms)


def is_news(lead: Evaluated, mark: Mark | None, step: float) -> bool:
    """Whether the lead is to be written anew."""
    if mark is None or mark.standing != lead.mark.standing or mark.others.keys() != lead.mark.others.keys():
        return True
    moved = _moved(lead, mark)
    has_day_passed = lead.at_ms >= mark.at_s * SECOND_MS + DAY_MS
    return moved >= min(step, LEAST_MOVE if has_day_passed else step) - EPSILON


def latest_score(lead_id: str, lead: Evaluated, revision: Revision) -> LatestScore:
    """What is written."""
    model, score = lead.model, lead.score
    return LatestScore(
        model=model.name,
        lead_id=lead_id,
        revision=revision.offset,
        decided_at_ms=revision.time_ms,
        model_version=model.version,
        as_of_ms=lead.at_ms,
        score=score.value,
        engagement=score.engagement,
        fit=score.fit,
        grade=model.grade_of(score.fit),
        band=model.band_of(score.value),
        disqualified=lead.disqualified,
        thresholds=places_of(lead.outlook.state, model),
        scores={name: NamedScore(score.value, score.engagement) for name, score in lead.others.items()},
    )


def _moved(lead: Evaluated, mark: Mark) -> float:
    """By how many points that score moved that moved most, floor and ceiling aside: with it engagement is news."""
    moved = abs(lead.score.unclamped - mark.hundredths / HUNDREDTHS)
    for name, score in lead.others.items():
        moved = max(moved, abs(score.unclamped - mark.others.get(stable_id(name), 0) / HUNDREDTHS))
    return moved


def places_of(state: LeadState, model: CompiledModel) -> list[ThresholdPlace]:
    """Where the lead stands with every threshold of the model, lowest first."""
    places = []
    for threshold in model.thresholds:
        entry = threshold_state(state, threshold)
        if entry is None:
            places.append(ThresholdPlace(threshold.name, False, None))
        else:
            places.append(ThresholdPlace(threshold.name, entry.is_in, entry.entered_ms))
    return places


def next_look_ms(lead: Evaluated, mark: Mark) -> int | None:
    """When the score may next be news by time alone, a day from the lead's instant or later; ``None``: never.

    Leaves by time are not asked here: a lead has its due time for them.
    """
    soonest_ms = min(_moves_ms(lead, LEAST_MOVE - _moved(lead, mark)), default=None)
    return None if soonest_ms is None else max(soonest_ms, lead.at_ms + DAY_MS)


def _moves_ms(lead: Evaluated, least: float) -> Iterator[int]:
    """Instants before which the score surely moves by less than ``least``, one for each of what can move it."""
    outlook, at_ms = lead.outlook, lead.at_ms
    state, model = outlook.state, outlook.model
    least = max(least, 0.0)
    size, half_life_ms = 0.0, inf
    for rule_id, total in zip(state.rules, state.totals, strict=True):
        rule = model.rules.get(rule_id)
        if rule is None or not total:
            continue
        if rule.decay.half_life_ms is not None:
            size += min(abs(rule_points(rule, total, at_ms - state.latest_record_ms, at_ms)), rule.maximum)
            half_life_ms = min(half_life_ms, rule.decay.half_life_ms)
        elif rule.decay.weights is not None:
            yield from _next_change_of_days(rule.decay, total, at_ms)
    if size > least:
        yield at_ms + int(half_life_ms * log2(size / (size - least)))
    yield from (flip_ms for flip_ms in outlook.flips() if at_ms < flip_ms < FAR_MS)


def _next_change_of_days(decay: DecayCurve, total: Total, at_ms: int) -> Iterator[int]:
    """The first midnight at which points that age in days change, if there is one."""
    now, today = day_aged(total, decay, at_ms), at_ms // DAY_MS
    for day in range(today + 1, today + len(decay.weights or ()) + 2):
        if abs(day_aged(total, decay, day * DAY_MS) - now) > EPSILON:
            yield day * DAY_MS
            return
