"""Everything ``explain`` says about a lead, as values: parts, their decay, its thresholds. No text in here."""

import math
from collections.abc import Sequence

import msgspec

from leadscore.cli.stored_leads import LeadAt
from leadscore.model.compiled import EPSILON, GRADES, CompiledModel, CompiledRule, CompiledScore, CompiledThreshold
from leadscore.scoring.conditions import Leave, Outlook
from leadscore.scoring.disqualification import is_suspended
from leadscore.scoring.explanation import Explanation
from leadscore.scoring.fold import FORGOTTEN_BELOW_POINTS
from leadscore.scoring.outcomes import Outcome, latest_outcome
from leadscore.scoring.recycling import recycled_until_ms
from leadscore.scoring.score import rule_points
from leadscore.scoring.simulation import LeadScore, score_line
from leadscore.scoring.standing import Standing, threshold_state
from leadscore.scoring.state import LeadState, Total
from leadscore.scoring.timeline import next_leave
from leadscore.time_units import DAY_MS


class DecayTimes(msgspec.Struct, frozen=True):
    """When a rule's points of now are half gone, and all but gone; ``None`` where they never are."""

    half_gone_ms: int | None
    gone_ms: int | None


class Hold(msgspec.Struct, frozen=True):
    """Why a lead at or below the exit level is still in: an event of one of the rules let it in at once.

    Which of them is not stored. Until then no score takes it out; a record that finds it above the exit level ends the
    hold earlier.
    """

    rules: list[str]
    until_ms: int


class Gate(msgspec.Struct, frozen=True):
    """Something besides the score that keeps the lead out of a threshold now: ``current`` is not ``expected``."""

    what: str
    current: str
    expected: str


class ThresholdView(msgspec.Struct, frozen=True, kw_only=True):
    """How the lead stands with one threshold; instants are UTC ms."""

    threshold: str
    score_name: str | None
    """The score that the threshold is of; ``None``: the main one."""
    points_missing: float
    """How far that score is below the enter level; not more than 0 where it is not."""
    is_in: bool
    enter_level: float
    exit_level: float
    entered_ms: int | None
    sequence: int | None
    """The number of the lead's latest crossing of the threshold."""
    projected_exit: Leave | None
    hold: Hold | None
    gates: list[Gate]
    cooldown_until_ms: int | None
    recycled_until_ms: int | None


class Disqualifier(msgspec.Struct, frozen=True):
    """The rule or condition that disqualifies the lead. What a rule said lasts until a ``requalify`` command."""

    name: str
    is_rule: bool


class LeadView(msgspec.Struct, frozen=True, kw_only=True):
    """A lead at an instant; ``decay_times`` is by rule, ``scored`` whether anything is stored of the lead.

    ``asked_for`` are the aliases that lead from the id asked for to the lead, none where that is the lead itself;
    ``aliases`` the other ids of the person, as far as the lead has been told.
    """

    model: str
    model_version: int
    scored: bool
    suspended: bool
    outcome: Outcome | None
    latest_record_ms: int | None
    line: LeadScore
    disqualified_by: Disqualifier | None
    ceiling: float
    decay_times: dict[str, DecayTimes]
    standings: list[ThresholdView]
    asked_for: list[str] = []
    aliases: list[str] = []

    @property
    def explanation(self) -> Explanation:
        """The parts and adjustments that add up to the score."""
        return self.line.explanation

    @property
    def next_leave(self) -> ThresholdView | None:
        """The threshold the lead leaves first if nothing else happens."""
        leaving = [(one.projected_exit, one) for one in self.standings if one.projected_exit is not None]
        return min(leaving, key=lambda pair: pair[0].at_ms)[1] if leaving else None


def view_of(lead: LeadAt, asked_for: Sequence[str] = ()) -> LeadView:
    """The lead with its projections; ``asked_for``: the aliases by which it was come to."""
    state, model = lead.state, lead.context.model
    line = score_line(lead.lead_id, state, lead.context, lead.at_ms)
    return LeadView(
        model=model.name,
        model_version=model.version,
        scored=state is not None,
        suspended=state is not None and is_suspended(state),
        outcome=None if state is None else latest_outcome(state, model),
        latest_record_ms=None if state is None else state.latest_record_ms,
        line=line,
        disqualified_by=None if state is None else _disqualifier(state, model, line.disqualified),
        ceiling=model.main.ceiling,
        decay_times={} if state is None else _decay_times(state, model, lead.at_ms),
        standings=[_standing(threshold, line, state, model) for threshold in model.thresholds],
        asked_for=list(asked_for),
        aliases=[] if state is None or state.flags is None else sorted(state.flags.aliases),
    )


def _disqualifier(state: LeadState, model: CompiledModel, reason: str | None) -> Disqualifier | None:
    """Who gives the reason; ``None`` where that cannot be told, because a rule and a condition give the same."""
    if reason is None:
        return None
    rules = (model.rules[rule_id] for rule_id in state.rules if rule_id in model.rules)
    candidates = [Disqualifier(rule.name, is_rule=True) for rule in rules if rule.disqualifies == reason]
    conditions = [condition for condition in model.conditions if condition.disqualifies == reason]
    candidates += [Disqualifier(condition.name, is_rule=False) for condition in conditions]
    return candidates[0] if len({one.is_rule for one in candidates}) == 1 else None


def _decay_times(state: LeadState, model: CompiledModel, at_ms: int) -> dict[str, DecayTimes]:
    by_rule = {}
    for rule_id, total in zip(state.rules, state.totals, strict=True):
        rule = model.rules.get(rule_id)
        if rule is not None:
            by_rule[rule.name] = _decay_times_of(rule, total, state, at_ms)
    return by_rule


def _decay_times_of(rule: CompiledRule, total: Total, state: LeadState, at_ms: int) -> DecayTimes:
    points = _size(rule, total, state, at_ms)
    if points < FORGOTTEN_BELOW_POINTS:
        return DecayTimes(None, None)
    half_life_ms = rule.decay.half_life_ms
    if half_life_ms is not None:
        gone_ms = at_ms + half_life_ms * math.log2(points / FORGOTTEN_BELOW_POINTS)
        return DecayTimes(at_ms + round(half_life_ms), round(gone_ms))
    return _decay_times_by_day(rule, total, state, at_ms)


def _decay_times_by_day(rule: CompiledRule, total: Total, state: LeadState, at_ms: int) -> DecayTimes:
    """Points that age in whole days change at midnight only; those without decay never do."""
    points = _size(rule, total, state, at_ms)
    today = at_ms // DAY_MS
    half_gone_ms: int | None = None
    for day in range(today + 1, today + 2 + len(rule.decay.weights or ())):
        left = _size(rule, total, state, day * DAY_MS)
        if half_gone_ms is None and left <= points / 2:
            half_gone_ms = day * DAY_MS
        if left < FORGOTTEN_BELOW_POINTS:
            return DecayTimes(half_gone_ms, day * DAY_MS)
    return DecayTimes(half_gone_ms, None)


def _size(rule: CompiledRule, total: Total, state: LeadState, at_ms: int) -> float:
    return abs(rule_points(rule, total, at_ms - state.latest_record_ms, at_ms))


def _standing(
    threshold: CompiledThreshold, line: LeadScore, state: LeadState | None, model: CompiledModel
) -> ThresholdView:
    entry = None if state is None else threshold_state(state, threshold)
    is_in = entry is not None and entry.is_in
    explanation = line.explanation if threshold.score.is_main else line.others[threshold.score.name]
    at_ms = explanation.at_ms
    over_ms = 0 if entry is None else entry.entered_ms + threshold.cooldown_ms
    return ThresholdView(
        threshold=threshold.name,
        score_name=None if threshold.score.is_main else threshold.score.name,
        points_missing=threshold.enter - _reached(explanation, threshold.score),
        is_in=is_in,
        enter_level=threshold.enter,
        exit_level=threshold.exit,
        entered_ms=None if entry is None else entry.entered_ms,
        sequence=None if entry is None else entry.sequence,
        projected_exit=None if entry is None else _projected(state, model, Standing(threshold, entry), at_ms),
        hold=None if state is None or entry is None else _hold(state, model, Standing(threshold, entry), at_ms),
        gates=[]
        if is_in
        else _closed_gates(threshold, explanation, line.grade) + _closed_conditions(threshold, state, model, at_ms),
        cooldown_until_ms=over_ms if not is_in and at_ms < over_ms else None,
        recycled_until_ms=None if state is None or is_in else _recycled_until_ms(state, model, threshold, at_ms),
    )


def _reached(explanation: Explanation, score: CompiledScore) -> float:
    """What counts for an enter: the score, or what is below its floor."""
    return min(explanation.score, explanation.engagement + (explanation.fit if score.counts_fit else 0.0))


def _recycled_until_ms(state: LeadState, model: CompiledModel, threshold: CompiledThreshold, at_ms: int) -> int | None:
    until_ms = recycled_until_ms(state, model, threshold)
    return until_ms if until_ms is not None and at_ms < until_ms else None


def _projected(state: LeadState | None, model: CompiledModel, standing: Standing, at_ms: int) -> Leave | None:
    if state is None or not standing.state.is_in:
        return None
    return next_leave(Outlook(state, model), standing, at_ms)


def _hold(state: LeadState, model: CompiledModel, standing: Standing, at_ms: int) -> Hold | None:
    until_ms = standing.state.entered_ms + standing.threshold.hold_ms
    if not standing.state.is_in or not standing.state.held or at_ms >= until_ms:
        return None
    qualifying = [rule for rule in model.rules.values() if rule.qualifies == standing.threshold.threshold_id]
    return Hold(sorted(rule.name for rule in qualifying if rule.rule_id in state.rules), until_ms)


def _closed_gates(threshold: CompiledThreshold, explanation: Explanation, current_grade: str) -> list[Gate]:
    """Gates of the lead's fit and grade, and of the engagement of the threshold's score."""
    gates = []
    grade = threshold.require_grade
    if grade is not None and GRADES.index(current_grade) > GRADES.index(grade):
        gates.append(Gate("grade", current_grade, grade))
    for what, points, least in (
        ("engagement", explanation.engagement, threshold.require_engagement),
        ("fit", explanation.fit, threshold.require_fit),
    ):
        if points < least - EPSILON:
            gates.append(Gate(what, f"{points:.2f}", f"{least:g}"))
    return gates


def _closed_conditions(
    threshold: CompiledThreshold, state: LeadState | None, model: CompiledModel, at_ms: int
) -> list[Gate]:
    outlook = Outlook(LeadState(model.version, at_ms) if state is None else state, model)
    unmet = [one for one in threshold.require_conditions if not outlook.holds(one.test, at_ms)]
    return [Gate(f"condition {condition.name}", "false", "true") for condition in unmet]
