"""A model run over a list of events, without a server (design 1.11). Pure: the worker's own matching and fold."""

from collections import deque
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

import msgspec

from leadscore.events.event import Event
from leadscore.log.records import Forward
from leadscore.model.compile import compile_model
from leadscore.model.compiled import CompiledModel
from leadscore.model.definition import ModelDefinition
from leadscore.model.matching import Matcher
from leadscore.scoring.conditions import Outlook
from leadscore.scoring.context import FoldContext, FoldSettings
from leadscore.scoring.crossing import Crossing
from leadscore.scoring.disqualification import disqualified
from leadscore.scoring.erasures import Erasure
from leadscore.scoring.explanation import Explanation, explain
from leadscore.scoring.flags import latest_ms
from leadscore.scoring.fold import fold_tick, remembered
from leadscore.scoring.leads import apply_award
from leadscore.scoring.merging import apply_forward, is_forgotten_alias
from leadscore.scoring.outcomes import CountedOutcome
from leadscore.scoring.outputs import Output
from leadscore.scoring.standing import standings_in
from leadscore.scoring.state import LeadState


class LeadScore(msgspec.Struct, frozen=True, kw_only=True):
    """A lead as of an instant (UTC ms)."""

    lead_id: str
    score: float
    """The main score."""
    engagement: float
    fit: float
    grade: str
    band: str
    disqualified: str | None
    thresholds: dict[str, str]
    """``in`` or ``out`` for every threshold of the model."""
    as_of_ms: int
    explanation: Explanation
    others: dict[str, Explanation]
    """By name, the scores beside the main one."""


class Simulation(msgspec.Struct, frozen=True):
    """Crossings and outcomes in the order decided; scores by lead id, if there is an instant to score at."""

    crossings: list[Crossing]
    scores: list[LeadScore]
    outcomes: list[CountedOutcome] = []


def simulate(
    definition: ModelDefinition,
    entries: Iterable[tuple[Event, int]],
    scores_at_ms: int | None,
    settings: FoldSettings = FoldSettings(),  # noqa: B008  # a frozen value
) -> Simulation:
    """Fold the entries, events with log times (ms), in their order; time goes on before each and at the end."""
    run = _Run(definition, settings)
    for event, log_time_ms in entries:
        run.go_on_to(log_time_ms)
        run.apply(event)
    if scores_at_ms is None:
        return Simulation(run.crossings, [], run.outcomes)
    run.go_on_to(scores_at_ms)
    return Simulation(run.crossings, run.scores(scores_at_ms), run.outcomes)


class _Run:
    """The leads of a simulation and its log time."""

    def __init__(self, definition: ModelDefinition, settings: FoldSettings) -> None:
        self._matcher = Matcher(definition)
        model = compile_model(definition)
        self._context = FoldContext(model, None, lambda _: model, 0, settings)
        self._states: dict[str, LeadState | None] = {}
        self._erasures: dict[bytes, Erasure] = {}
        self._due: list[tuple[int, str]] = []
        self._seen: set[str] = set()
        self._started = False
        self.crossings: list[Crossing] = []
        self.outcomes = self._context.outcomes

    def go_on_to(self, time_ms: int) -> None:
        """The log's time is the latest so far; leads leave on the way."""
        self._context.log_time_ms = max(self._context.log_time_ms, time_ms) if self._started else time_ms
        self._started = True
        left: list[Crossing] = []
        while self._due and self._due[0][0] <= self._context.log_time_ms:
            lead_id = heappop(self._due)[1]
            state = self._states.get(lead_id)
            if state is None or state.due_ms is None or state.due_ms > self._context.log_time_ms:
                continue  # it was due once; it is no longer
            state, crossings = fold_tick(state, lead_id, self._context.log_time_ms, self._context)
            self._put(lead_id, state)
            left += crossings
        self.crossings += sorted(left, key=lambda crossing: (crossing.occurred_at_ms, crossing.lead_id))

    def apply(self, event: Event) -> None:
        """Fold one event or command."""
        self._seen.add(event.lead_id)
        award = self._matcher.award(event, 0, 0)
        if award is None:
            return
        self._begin_record()
        outputs = apply_award(self._states, self._erasures, award, None, self._context)
        self._look_again(award.lead_id)
        self._deliver(outputs)

    def _deliver(self, outputs: Sequence[Output]) -> None:
        """Keep the crossings, and fold what is sent on before the next record: here there is no way to wait for."""
        waiting = deque(outputs)
        while waiting:
            output = waiting.popleft()
            if isinstance(output, Crossing):
                self.crossings.append(output)
            elif isinstance(output, Forward):
                self._seen.add(output.award.lead_id)
                self._begin_record()
                waiting += apply_forward(self._states, self._erasures, output, self._context)
                self._look_again(output.award.lead_id)

    def _begin_record(self) -> None:
        """Every record has an offset of its own, by which the merges are told apart."""
        self._context.offset += 1
        self._context.forwarded = 0

    def scores(self, at_ms: int) -> list[LeadScore]:
        """One line per lead of the file that is neither erased nor another lead's alias."""
        lead_ids = self._seen - {one for one in self._states if self._is_no_lead(one)}
        return [self._score_line(lead_id, at_ms) for lead_id in sorted(lead_ids)]

    def _is_no_lead(self, lead_id: str) -> bool:
        """Erased, or another lead's alias."""
        state = self._states[lead_id]
        return state is None or (state.alias is not None and not self._is_forgotten_alias(state))

    def _is_forgotten_alias(self, state: LeadState) -> bool:
        return state.alias is not None and is_forgotten_alias(state.latest_record_ms, self._context)

    def _score_line(self, lead_id: str, at_ms: int) -> LeadScore:
        state = self._states.get(lead_id)
        is_new = state is not None and self._is_forgotten_alias(state)
        return score_line(lead_id, None if is_new else state, self._context, at_ms)

    def _look_again(self, lead_id: str) -> None:
        if lead_id in self._states:  # nothing is made of a lead by a merge into itself
            self._put(lead_id, self._states[lead_id])

    def _put(self, lead_id: str, state: LeadState | None) -> None:
        self._states[lead_id] = state
        if state is not None and state.due_ms is not None:
            heappush(self._due, (state.due_ms, lead_id))


def score_line(lead_id: str, state: LeadState | None, context: FoldContext, at_ms: int) -> LeadScore:
    """The lead as of ``at_ms``; a lead without any record has the score of a newcomer."""
    model: CompiledModel = context.model
    state = remembered(state, context) or LeadState(model.version, at_ms)
    outlook, instant_ms = Outlook(state, model), max(at_ms, latest_ms(state))
    explanation, *others = [explain(outlook, score, instant_ms) for score in model.scores]
    entered = {standing.threshold.name for standing in standings_in(state, model.thresholds)}
    return LeadScore(
        lead_id=lead_id,
        score=explanation.score,
        engagement=explanation.engagement,
        fit=explanation.fit,
        grade=model.grade_of(explanation.fit),
        band=model.band_of(explanation.score),
        disqualified=disqualified(outlook, instant_ms),
        thresholds={one.name: "in" if one.name in entered else "out" for one in model.thresholds},
        as_of_ms=at_ms,
        explanation=explanation,
        others={score.name: other for score, other in zip(model.scores[1:], others, strict=True)},
    )
