"""Steps 1, 3 and 4 of the fold: leaving and entering thresholds. ``fold`` has the theory of operation. Pure."""

from typing import Final

import msgspec

from leadscore.log.records import Award
from leadscore.model.compiled import EPSILON, GRADES, CompiledModel, CompiledRule, CompiledThreshold
from leadscore.model.matching import event_hash
from leadscore.scoring.conditions import Leave, Outlook
from leadscore.scoring.context import FoldContext
from leadscore.scoring.crossing import Cause, Crossing, Direction, Trigger
from leadscore.scoring.crossing_ids import enter_id, id_text, leave_id, old_enter_id
from leadscore.scoring.disqualification import disqualified, is_suspended
from leadscore.scoring.flags import flags_of, latest_ms
from leadscore.scoring.reasons import top_reasons
from leadscore.scoring.recent import at_of
from leadscore.scoring.recycling import is_recycled
from leadscore.scoring.score import ScoresAt
from leadscore.scoring.selection import counted_rows, live_rows
from leadscore.scoring.standing import Standing, put, standings_in, threshold_state
from leadscore.scoring.state import LeadState, ThresholdState
from leadscore.scoring.timeline import first_leave, next_leave, no_leave_before

NO_THRESHOLDS: Final[frozenset[int]] = frozenset()


class Decision:
    """What a crossing needs to know of the record behind it, and of the lead as the record left it."""

    __slots__ = ("after", "at_ms", "before", "cause", "outlook", "trigger")

    def __init__(self, cause: Cause, trigger: Trigger | None, before: ScoresAt, after: ScoresAt) -> None:
        self.at_ms = after.at_ms
        self.cause = cause
        self.trigger = trigger
        self.before = before
        self.after = after
        self.outlook = after.outlook

    def caused(self, cause: Cause) -> "Decision":
        """The same with another cause."""
        return Decision(cause, self.trigger, self.before, self.after)


class _Fact:
    """What is particular to one crossing of those that a decision brings about."""

    __slots__ = ("crossing_id", "direction", "entered_id", "projected_exit_at_ms", "sequence")

    def __init__(
        self,
        direction: Direction,
        crossing_id: str,
        entered_id: str | None,
        sequence: int,
        projected_exit_at_ms: int | None,
    ) -> None:
        self.direction = direction
        self.crossing_id = crossing_id
        self.entered_id = entered_id
        self.sequence = sequence
        self.projected_exit_at_ms = projected_exit_at_ms


class _DueLeave:
    """A leave by time that is to be made."""

    __slots__ = ("leave", "standing")

    def __init__(self, leave: Leave, standing: Standing) -> None:
        self.leave = leave
        self.standing = standing


def leave_by_time(state: LeadState, lead_id: str, until_ms: int, context: FoldContext) -> list[Crossing]:
    """Step 1: leave each threshold at the first instant after the last evaluation that time alone took it out."""
    outlook = Outlook(state, context.model)
    due_leaves = _due_leaves(state, outlook, until_ms)
    crossings = []
    for due in due_leaves:
        scores = ScoresAt(outlook, due.leave.at_ms)
        decision = Decision(due.leave.cause, None, scores, scores)
        crossings.append(_leave(state, lead_id, due.standing, decision, context))
    if due_leaves:
        flags_of(state).left_ms = due_leaves[-1].leave.at_ms
    return crossings


def _due_leaves(state: LeadState, outlook: Outlook, until_ms: int) -> list[_DueLeave]:
    """The leaves by time up to ``until_ms``, by their instants; at one instant, highest threshold first."""
    after_ms = latest_ms(state)
    since_ms = state.flags.under_model_since_ms if state.flags is not None else None
    if since_ms is not None:  # the model in force takes no lead out before it came in force
        if since_ms > until_ms:
            return []
        after_ms = max(after_ms, since_ms - 1)
    due_leaves = []
    for standing in standings_in(state, outlook.model.leaving_order):
        leave = first_leave(outlook, standing, after_ms, until_ms)
        if leave is not None:
            due_leaves.append(_DueLeave(leave, standing))
    return sorted(due_leaves, key=lambda due: due.leave.at_ms)


def cross(state: LeadState, award: Award, decision: Decision, context: FoldContext) -> list[Crossing]:
    """Steps 3 and 4."""
    model = context.model
    reason = disqualified(decision.outlook, decision.at_ms)
    crossings: list[Crossing] = []
    if state.thresholds:
        crossings += _leaves(state, award, decision, context, is_disqualified=reason is not None)
    if reason is not None or is_suspended(state):
        return crossings
    qualified = _qualified(state, award, model) if award.rules else NO_THRESHOLDS
    for threshold in model.thresholds:
        entry = threshold_state(state, threshold)
        if entry is not None and entry.is_in:
            continue
        if threshold.threshold_id in qualified:
            crossings.append(_enter(state, award, threshold, decision.caused(Cause.INSTANT), context))
        elif _enters(state, threshold, entry, decision, model):
            crossings.append(_enter(state, award, threshold, decision, context))
    return crossings


def _leaves(
    state: LeadState, award: Award, decision: Decision, context: FoldContext, *, is_disqualified: bool
) -> list[Crossing]:
    """Step 3, highest threshold first; a record that finds a held lead above ``exit`` ends the hold."""
    crossings = []
    lead_id = award.lead_id
    recycled = _recycled(state, award, context.model) if award.rules else NO_THRESHOLDS
    for standing in standings_in(state, context.model.leaving_order):
        threshold, entry = standing.threshold, standing.state
        if is_disqualified:
            crossings.append(_leave(state, lead_id, standing, decision.caused(Cause.DISQUALIFIED), context))
        elif threshold.threshold_id in recycled:
            crossings.append(_leave(state, lead_id, standing, decision.caused(Cause.RECYCLED), context))
        elif entry.held and decision.at_ms < entry.entered_ms + threshold.hold_ms:
            if decision.after.of(threshold.score).value > threshold.exit + EPSILON:
                put(state, msgspec.structs.replace(entry, held=False))
        elif decision.after.of(threshold.score).value < threshold.exit - EPSILON:
            crossings.append(_leave(state, lead_id, standing, decision, context))
    return crossings


def leave_all(state: LeadState, lead_id: str, decision: Decision, context: FoldContext) -> list[Crossing]:
    """Leave every threshold, highest first."""
    standings = standings_in(state, context.model.leaving_order)
    return [_leave(state, lead_id, standing, decision, context) for standing in standings]


def cross_merged(
    state: LeadState, award: Award, decision: Decision, was_in: frozenset[int], merged_with: str, context: FoldContext
) -> list[Crossing]:
    """Steps 3 and 4 where the record is a merge: what the other lead was in, this one enters whatever gates say."""
    model = context.model
    keeps_out = disqualified(decision.outlook, decision.at_ms) is not None
    crossings = _leaves(state, award, decision, context, is_disqualified=keeps_out)
    for threshold in () if keeps_out or is_suspended(state) else model.thresholds:
        entry = threshold_state(state, threshold)
        if entry is not None and entry.is_in:
            continue
        if threshold.threshold_id in was_in and decision.after.of(threshold.score).value >= threshold.exit - EPSILON:
            entered = _enter(state, award, threshold, decision, context)
            crossings.append(msgspec.structs.replace(entered, merged_with=merged_with))
        elif _enters(state, threshold, entry, decision, model):
            crossings.append(_enter(state, award, threshold, decision, context))
    return crossings


def _enters(
    state: LeadState,
    threshold: CompiledThreshold,
    entry: ThresholdState | None,
    decision: Decision,
    model: CompiledModel,
) -> bool:
    """Whether the record takes the lead in by its points."""
    return (
        _may_enter(threshold, entry, decision)
        and not is_recycled(state, model, threshold, decision.at_ms)
        and _has_raised(decision, threshold)
    )


def _has_raised(decision: Decision, threshold: CompiledThreshold) -> bool:
    """Whether the record raised the score that the threshold is of."""
    score = threshold.score
    return decision.after.of(score).unclamped > decision.before.of(score).unclamped + EPSILON


def _qualified(state: LeadState, award: Award, model: CompiledModel) -> frozenset[int]:
    """Thresholds this event enters at once: those of its rules that it counts for."""
    qualified: frozenset[int] = NO_THRESHOLDS
    for rule_award in award.rules:
        rule = model.rules.get(rule_award.rule_id)
        if rule is not None and rule.qualifies is not None and _counts(state, award, rule):
            qualified |= {rule.qualifies}
    return qualified


def _recycled(state: LeadState, award: Award, model: CompiledModel) -> frozenset[int]:
    """Thresholds this event takes the lead out of: those of its rules that it counts for."""
    recycled: frozenset[int] = NO_THRESHOLDS
    for rule_award in award.rules:
        rule = model.rules.get(rule_award.rule_id)
        if rule is not None and rule.recycles is not None and _counts(state, award, rule):
            recycled |= rule.recycles.threshold_ids
    return recycled


def _counts(state: LeadState, award: Award, rule: CompiledRule) -> bool:
    """Whether the event, which has just been added, counts for the rule."""
    at = at_of(award.occurred_at_ms, event_hash(award.type, award.event_id))
    rows = counted_rows(state, rule, live_rows(state, state.rules.index(rule.rule_id)))
    return any(row.startswith(at) for row in rows)


def _may_enter(threshold: CompiledThreshold, entry: ThresholdState | None, decision: Decision) -> bool:
    """Score, gates and cooldown."""
    score, at_ms, outlook = decision.after.of(threshold.score), decision.at_ms, decision.outlook
    if score.value < threshold.enter - EPSILON:
        return False
    if entry is not None and at_ms < entry.entered_ms + threshold.cooldown_ms:
        return False
    if score.engagement < threshold.require_engagement - EPSILON or score.fit < threshold.require_fit - EPSILON:
        return False
    for condition in threshold.require_conditions:
        if not outlook.holds(condition.test, at_ms):
            return False
    grade = threshold.require_grade
    return grade is None or GRADES.index(outlook.model.grade_of(score.fit)) <= GRADES.index(grade)


def _enter_id(award: Award, threshold: CompiledThreshold, context: FoldContext) -> bytes:
    model, lead_id = context.model.name, award.lead_id
    if context.is_old:
        return old_enter_id(model, lead_id, threshold.name, award.event_id)
    return enter_id(model, lead_id, threshold.name, award.type, award.event_id)


def _enter(
    state: LeadState, award: Award, threshold: CompiledThreshold, decision: Decision, context: FoldContext
) -> Crossing:
    entered = _enter_id(award, threshold, context)
    score = decision.after.of(threshold.score)
    held = decision.cause is Cause.INSTANT and score.value <= threshold.exit + EPSILON
    before = threshold_state(state, threshold)
    sequence = 1 if before is None else before.sequence + 1
    entry = ThresholdState(threshold.threshold_id, True, entered, decision.at_ms, held, sequence)
    put(state, entry)
    projected = next_leave(decision.outlook, Standing(threshold, entry), decision.at_ms)
    fact = _Fact(Direction.ENTER, id_text(entered), None, sequence, projected.at_ms if projected else None)
    return _crossing(award.lead_id, threshold, fact, decision, context)


def _leave(state: LeadState, lead_id: str, standing: Standing, decision: Decision, context: FoldContext) -> Crossing:
    entry = standing.state
    sequence = entry.sequence + 1
    put(state, msgspec.structs.replace(entry, is_in=False, held=False, sequence=sequence))
    entered = entry.entered_id
    fact = _Fact(Direction.LEAVE, id_text(leave_id(entered)), id_text(entered), sequence, None)
    return _crossing(lead_id, standing.threshold, fact, decision, context)


def _crossing(
    lead_id: str, threshold: CompiledThreshold, fact: _Fact, decision: Decision, context: FoldContext
) -> Crossing:
    model, at_ms, score = context.model, decision.at_ms, decision.after.of(threshold.score)
    return Crossing(
        id=fact.crossing_id,
        model=model.name,
        model_version=model.version,
        lead_id=lead_id,
        threshold=threshold.name,
        score_name=None if threshold.score.is_main else threshold.score.name,
        direction=fact.direction,
        cause=decision.cause,
        entered_id=fact.entered_id,
        sequence=fact.sequence,
        score=score.value,
        previous_score=decision.before.of(threshold.score).value,
        engagement=score.engagement,
        fit=score.fit,
        grade=model.grade_of(score.fit),
        enter_level=threshold.enter,
        exit_level=threshold.exit,
        occurred_at_ms=at_ms,
        decided_at_ms=context.log_time_ms,
        projected_exit_at_ms=fact.projected_exit_at_ms,
        trigger=decision.trigger,
        reasons=top_reasons(decision.outlook, threshold.score, at_ms),
        stale=context.log_time_ms - at_ms > context.settings.stale_after_ms,
    )


def due_ms(outlook: Outlook, after_ms: int, *, exactly: bool) -> int | None:
    """When time alone next takes the lead out of a threshold; unless ``exactly``, an instant not later than that."""
    soonest_ms: int | None = None
    for standing in standings_in(outlook.state, outlook.model.thresholds):
        if exactly:
            next_leave(outlook, standing, after_ms)  # ``no_leave_before`` then has it
        at_ms = no_leave_before(outlook, standing, after_ms)
        if at_ms is not None and (soonest_ms is None or at_ms < soonest_ms):
            soonest_ms = at_ms
    return soonest_ms
