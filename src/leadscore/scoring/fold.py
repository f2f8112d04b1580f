"""The fold: (state, log record, model) -> (state, crossings). The one place where a lead changes (design 1.7).

Theory of operation, per lead and record, at tau = max(lead's latest time, occurred_at):

    step  the lead is      and                                                    then             cause
    1     in               time took it below ``exit``, or disqualified it,       leave, dated     TIME, DISQUALIFIED
                           before tau                                             at that instant
    2     -                -                                                      apply the record -
    3     in               disqualified                                           leave at tau     DISQUALIFIED
          in, not held     score < exit                                           leave at tau     EVENT, COMMAND
    4     out, free        the record qualifies, whatever the score               enter at tau     INSTANT
          out, free        the record raised the score, score >= enter,           enter at tau     EVENT, COMMAND
                           gates met, cooldown over

*Free* is neither disqualified nor suspended. *Held* is a lead that entered at once with a score of ``exit`` or less, until
a record finds it above ``exit`` or ``hold`` is over. Leaves come highest threshold first, enters lowest first; leaves by
time in the order of their instants. Time alone never enters. A tick is steps 1 and nothing else, up to and including
its time.

Nothing here reads a clock, an environment or a random number: a replay of the log gives the same states and crossings.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from uuid import UUID

import msgspec

from leadscore.log.records import (
    ADJUST,
    REQUALIFY,
    RESET,
    RESUME,
    RETRACT,
    SUSPEND,
    Award,
)
from leadscore.model.compile import GRADES, CompiledModel, CompiledThreshold
from leadscore.model.matching import event_hash
from leadscore.scoring.conditions import Outlook
from leadscore.scoring.crossing import Cause, Crossing, Direction, Trigger, enter_id, leave_id
from leadscore.scoring.explanation import top_reasons
from leadscore.scoring.recent import at_of, find, time_of
from leadscore.scoring.score import EPSILON, Score, known_attribute_points, rule_points, score_at
from leadscore.scoring.state import (
    AttributeState,
    LeadState,
    ThresholdState,
    flags_of,
    latest_ms,
    new_state,
)
from leadscore.scoring.timeline import disqualifying_condition, first_exit, next_exit
from leadscore.scoring.totals import (
    add_event,
    advance,
    counted_rows,
    live_rows,
    migrate,
    reset,
    retract,
    rule_rows,
    settle_oldest,
)

FORGOTTEN_BELOW_POINTS = 0.01


class FoldSettings(msgspec.Struct, frozen=True):
    """What the fold is told besides the model; the same for all workers of a deployment."""

    recent_events: int = 64
    stale_after_ms: int = 24 * 3_600_000
    erasure_memory_ms: int = 400 * 86_400_000
    """How long an erasure is remembered, by the log's time; at least the retention of the inputs and the log."""


@dataclass(slots=True)
class FoldContext:
    """What holds for the log record at hand."""

    model: CompiledModel
    model_since_ms: int | None
    """The log's time at which the version came in force, if another was before it."""
    model_of_version: Callable[[int], CompiledModel]
    log_time_ms: int
    settings: FoldSettings
    duplicates: int = 0
    """Events that changed nothing because the lead knows them; counted here because hardly any event is one."""
    rejected: int = 0
    """Events that changed nothing because they are retracted."""


@dataclass(frozen=True, slots=True)
class _Decision:
    """What a crossing needs to know of the record behind it."""

    at_ms: int
    cause: Cause
    trigger: Trigger | None
    previous: float | None


NO_CROSSINGS: list[Crossing] = []


def fold_award(state: LeadState | None, award: Award, topic: str | None, context: FoldContext) -> tuple[LeadState, list[Crossing]]:
    """Apply one award or command (all but ``erase``) to its lead; the state is changed in place.

    A duplicate, or an event retracted before it came, changes nothing.
    """
    state = remembered(state, context)
    model, occurred_ms = context.model, award.occurred_at_ms
    if state is None:
        state = new_state(model.version, occurred_ms)
    is_event = not award.type.startswith("command.")
    hashed = event_hash(award.event_id)
    if (is_event or award.type == ADJUST) and not _is_acceptable(state, hashed, context):
        return state, NO_CROSSINGS
    tau_ms = max(latest_ms(state), occurred_ms)
    crossings: list[Crossing] = []
    thresholds = state.thresholds
    is_due = state.due_ms is not None and state.due_ms < tau_ms
    if is_due:
        crossings += _leave_by_time(state, award.lead_id, tau_ms - 1, context)
    before = score_at(state, model, tau_ms)
    keeps_due = _apply(state, award, at_of(occurred_ms, hashed), context)
    after = score_at(state, model, tau_ms)
    if model.thresholds:
        trigger = Trigger(topic, award.event_id, award.type, award.campaign)
        cause = Cause.EVENT if is_event else Cause.COMMAND
        decision = _Decision(tau_ms, cause, trigger, before.value)
        crossings += _cross(state, award, (before, after), decision, context)
        if is_due or not keeps_due or state.thresholds is not thresholds:
            state.due_ms = _due_ms(state, model, tau_ms)
    return state, crossings


def fold_tick(state: LeadState | None, lead_id: str, time_ms: int, context: FoldContext) -> tuple[LeadState | None, list[Crossing]]:
    """Let a lead leave what time alone took it out of up to ``time_ms``; look again when it next may."""
    state = remembered(state, context)
    if state is None:
        return None, NO_CROSSINGS
    crossings = _leave_by_time(state, lead_id, time_ms, context)
    state.due_ms = _due_ms(state, context.model, max(latest_ms(state), time_ms))
    return state, crossings


def under_model_in_force(state: LeadState, context: FoldContext) -> LeadState:
    """The state, its totals following the model version in force."""
    model = context.model
    if state.model_version != model.version:
        migrate(state, context.model_of_version(state.model_version), model)
        if any(known.is_in for known in state.thresholds):
            flags_of(state).under_model_since_ms = context.model_since_ms
            state.due_ms = latest_ms(state)
    return state


def remembered(state: LeadState | None, context: FoldContext) -> LeadState | None:
    """The state under the model in force, or nothing if the lead is forgotten by the log's time (design 1.9)."""
    if state is None:
        return None
    model = context.model
    state = under_model_in_force(state, context)
    if context.log_time_ms - state.latest_record_ms > model.forget_after_ms and _is_worthless(state, context):
        return None
    return state


def _is_worthless(state: LeadState, context: FoldContext) -> bool:
    """Out of every threshold, no lasting flag, and nothing it did or is worth a hundredth of a point any more.

    Points of conditions, and of attributes without a value, are no part of it: they would keep every lead for ever.
    """
    model, at_ms = context.model, context.log_time_ms
    if any(known.is_in for known in state.thresholds) or is_suspended(state):
        return False
    rules = ((model.rules.get(rule_id), total) for rule_id, total in zip(state.rules, state.totals, strict=True))
    age_ms = at_ms - state.latest_record_ms
    points = [rule_points(rule, total, age_ms, at_ms) for rule, total in rules if rule is not None]
    points += known_attribute_points(state, model).values()
    return all(abs(worth) < FORGOTTEN_BELOW_POINTS for worth in points) and disqualified(state, model, at_ms) is None


def is_suspended(state: LeadState) -> bool:
    """Whether the latest of ``suspend`` and ``resume`` suspends."""
    return state.flags is not None and state.flags.suspension is not None and state.flags.suspension[1]


def disqualified(state: LeadState, model: CompiledModel, at_ms: int) -> str | None:
    """Why the lead is disqualified at the instant: what a rule said and no later ``requalify`` lifted, else a condition."""
    if model.disqualifying and not model.disqualifying.isdisjoint(state.rules):
        reason = _disqualified_by_rule(state, model)
        if reason is not None:
            return reason
    return disqualifying_condition(Outlook(state, model), model, at_ms) if model.conditions else None


def _disqualified_by_rule(state: LeadState, model: CompiledModel) -> str | None:
    """The reason of the latest event that counts; a reset does not lift it."""
    flags = state.flags
    latest: tuple[int, str] | None = None
    for index, rule_id in enumerate(state.rules):
        rule = model.rules.get(rule_id)
        if rule is None or rule.disqualifies is None:
            continue
        settled = flags.settled.get(rule_id) if flags is not None else None
        times = [time_of(row) for row in counted_rows(state, rule, rule_rows(state, index))[-1:]]
        times += [settled.disqualified_ms] if settled is not None and settled.disqualified_ms is not None else []
        if times and (latest is None or max(times) > latest[0]):
            latest = (max(times), rule.disqualifies)
    requalified_ms = flags.requalified_ms if flags is not None else None
    if latest is None or (requalified_ms is not None and requalified_ms > latest[0]):
        return None
    return latest[1]


def _is_acceptable(state: LeadState, hashed: bytes, context: FoldContext) -> bool:
    """Neither among the recent events nor retracted; the context counts those that are."""
    if find(state.rows, hashed) >= 0:
        context.duplicates += 1
        return False
    if state.flags is not None and hashed in state.flags.retracted:
        context.rejected += 1
        return False
    return True


# --- step 2: apply the record ------------------------------------------------------------------------------------------


def _apply(state: LeadState, award: Award, at: bytes, context: FoldContext) -> bool:
    """Change the state; whether its due instant is still early enough (it need not be exact)."""
    model = context.model
    comes_last = award.occurred_at_ms >= state.latest_record_ms
    advance(state, model, award.occurred_at_ms)
    if award.type != ADJUST and award.type.startswith("command."):
        _apply_command(state, award, at, context)
        return False
    add_event(state, model, at, award.rules)
    if award.attributes:
        flags_of(state).recent_attributes[at[6:]] = {
            given.attribute_id: AttributeState(at, given.points, given.passed) for given in award.attributes
        }
    while state.events > context.settings.recent_events:
        settle_oldest(state, model)
        comes_last = comes_last and state.flags is None
    return comes_last and not award.attributes and all(_only_raises(given.rule_id, given.points, model) for given in award.rules)


def _only_raises(rule_id: int, points: float, model: CompiledModel) -> bool:
    rule = model.rules.get(rule_id)
    return rule is None or (points >= 0 and rule.only_raises)


def _apply_command(state: LeadState, award: Award, at: bytes, context: FoldContext) -> None:
    flags, occurred_ms = flags_of(state), award.occurred_at_ms
    if award.type == RESET:
        reset(state, context.model, occurred_ms)
    elif award.type == REQUALIFY:
        flags.requalified_ms = max(occurred_ms, flags.requalified_ms or occurred_ms)
    elif award.type in (SUSPEND, RESUME):
        if flags.suspension is None or flags.suspension[0] < at:
            flags.suspension = (at, award.type == SUSPEND)
    elif award.type == RETRACT and award.target is not None:
        target = event_hash(award.target)
        retract(state, context.model, target)
        _remember_retraction(flags.retracted, target, occurred_ms, context.settings.recent_events)


def _remember_retraction(retracted: dict[bytes, int], target: bytes, occurred_ms: int, most: int) -> None:
    """The last ones only, as many as recent events: the state of a lead is bounded."""
    retracted[target] = max(occurred_ms, retracted.get(target, occurred_ms))
    if len(retracted) > most:
        del retracted[min(retracted, key=lambda hashed: (retracted[hashed], hashed))]


# --- steps 1, 3 and 4: cross -------------------------------------------------------------------------------------------


def _leave_by_time(state: LeadState, lead_id: str, until_ms: int, context: FoldContext) -> list[Crossing]:
    """Step 1: leave each threshold at the first instant after the last evaluation that time alone took it out."""
    model = context.model
    after_ms = latest_ms(state)
    since_ms = state.flags.under_model_since_ms if state.flags is not None else None
    if since_ms is not None and since_ms <= until_ms:
        after_ms = max(after_ms, since_ms - 1)
    found = []
    for threshold in model.leaving_order:
        known = standing(state, threshold)
        if known is not None and known.is_in:
            gone = first_exit(state, model, (threshold, known), after_ms, until_ms)
            if gone is not None:
                found.append((gone, threshold, known))
    crossings = []
    for gone, threshold, known in sorted(found, key=lambda leave: leave[0].at_ms):
        decision = _Decision(gone.at_ms, gone.cause, None, None)
        crossings.append(_leave(state, lead_id, (threshold, known), decision, context))
    if found:
        flags_of(state).left_ms = max(gone.at_ms for gone, _, _ in found)
    return crossings


def _cross(
    state: LeadState, award: Award, scores: tuple[Score, Score], decision: _Decision, context: FoldContext
) -> list[Crossing]:
    """Steps 3 and 4."""
    before, after = scores
    model = context.model
    reason = disqualified(state, model, decision.at_ms)
    crossings: list[Crossing] = []
    if state.thresholds:
        crossings += _leaves(state, award.lead_id, after, (decision, reason is not None), context)
    if reason is not None or is_suspended(state):
        return crossings
    raised = after.unclamped > before.unclamped + EPSILON
    qualified = _qualified(state, award, model) if award.rules else frozenset()
    if not raised and not qualified:
        return crossings
    for threshold in model.thresholds:
        known = standing(state, threshold)
        if known is not None and known.is_in:
            continue
        if threshold.threshold_id in qualified:
            crossings.append(_enter(state, award, threshold, _caused(decision, Cause.INSTANT), context))
        elif raised and _may_enter(threshold, known, after, decision.at_ms, model):
            crossings.append(_enter(state, award, threshold, decision, context))
    return crossings


def _leaves(
    state: LeadState, lead_id: str, after: Score, decided: tuple[_Decision, bool], context: FoldContext
) -> list[Crossing]:
    """Step 3, highest threshold first; a record that finds a held lead above ``exit`` ends the hold."""
    decision, is_disqualified = decided
    crossings = []
    for threshold in context.model.leaving_order:
        known = standing(state, threshold)
        if known is None or not known.is_in:
            continue
        if is_disqualified:
            decision_here = _caused(decision, Cause.DISQUALIFIED)
            crossings.append(_leave(state, lead_id, (threshold, known), decision_here, context))
        elif known.held and decision.at_ms < known.entered_ms + threshold.hold_ms:
            if after.value > threshold.exit + EPSILON:
                put(state, msgspec.structs.replace(known, held=False))
        elif after.value < threshold.exit - EPSILON:
            crossings.append(_leave(state, lead_id, (threshold, known), decision, context))
    return crossings


def _caused(decision: _Decision, cause: Cause) -> _Decision:
    return _Decision(decision.at_ms, cause, decision.trigger, decision.previous)


def _qualified(state: LeadState, award: Award, model: CompiledModel) -> frozenset[int]:
    """Thresholds this event enters at once: those of its rules that it counts for."""
    qualified = set()
    for given in award.rules:
        rule = model.rules.get(given.rule_id)
        if rule is None or rule.qualifies is None:
            continue
        at = at_of(award.occurred_at_ms, event_hash(award.event_id))
        rows = counted_rows(state, rule, live_rows(state, state.rules.index(given.rule_id)))
        if any(row.startswith(at) for row in rows):
            qualified.add(rule.qualifies)
    return frozenset(qualified)


def _may_enter(threshold: CompiledThreshold, known: ThresholdState | None, score: Score, at_ms: int, model: CompiledModel) -> bool:
    """Score, gates and cooldown."""
    if score.value < threshold.enter - EPSILON:
        return False
    if known is not None and at_ms < known.entered_ms + threshold.cooldown_ms:
        return False
    if score.engagement < threshold.require_engagement - EPSILON or score.fit < threshold.require_fit - EPSILON:
        return False
    return threshold.require_grade is None or GRADES.index(model.grade_of(score.fit)) <= GRADES.index(
        threshold.require_grade
    )


def _enter(state: LeadState, award: Award, threshold: CompiledThreshold, decision: _Decision, context: FoldContext) -> Crossing:
    entered = enter_id(context.model.name, award.lead_id, threshold.name, award.event_id)
    score = score_at(state, context.model, decision.at_ms).value
    held = decision.cause is Cause.INSTANT and score <= threshold.exit + EPSILON
    known = ThresholdState(threshold.threshold_id, True, entered.bytes, decision.at_ms, held)
    put(state, known)
    projected = next_exit(state, context.model, (threshold, known), decision.at_ms)
    return _crossing(
        state,
        (award.lead_id, threshold),
        (Direction.ENTER, str(entered), None, projected.at_ms if projected else None),
        decision,
        context,
    )


def _leave(
    state: LeadState, lead_id: str, standing_in: tuple[CompiledThreshold, ThresholdState], decision: _Decision, context: FoldContext
) -> Crossing:
    threshold, known = standing_in
    put(state, msgspec.structs.replace(known, is_in=False, held=False))
    entered = UUID(bytes=known.entered_id)
    return _crossing(
        state,
        (lead_id, threshold),
        (Direction.LEAVE, str(leave_id(entered)), str(entered), None),
        decision,
        context,
    )


def _crossing(
    state: LeadState,
    who: tuple[str, CompiledThreshold],
    fact: tuple[Direction, str, str | None, int | None],
    decision: _Decision,
    context: FoldContext,
) -> Crossing:
    lead_id, threshold = who
    direction, crossing_id, entered_id, projected_ms = fact
    model, at_ms = context.model, decision.at_ms
    score = score_at(state, model, at_ms)
    return Crossing(
        id=crossing_id,
        model=model.name,
        model_version=model.version,
        lead_id=lead_id,
        threshold=threshold.name,
        direction=direction,
        cause=decision.cause,
        entered_id=entered_id,
        score=score.value,
        previous_score=score.value if decision.previous is None else decision.previous,
        engagement=score.engagement,
        fit=score.fit,
        grade=model.grade_of(score.fit),
        enter_level=threshold.enter,
        exit_level=threshold.exit,
        occurred_at_ms=at_ms,
        decided_at_ms=context.log_time_ms,
        projected_exit_at_ms=projected_ms,
        trigger=decision.trigger,
        reasons=top_reasons(state, model, at_ms),
        stale=context.log_time_ms - at_ms > context.settings.stale_after_ms,
    )


def standing(state: LeadState, threshold: CompiledThreshold) -> ThresholdState | None:
    """Where the lead stands with the threshold; ``None`` if it was never in."""
    for known in state.thresholds:
        if known.threshold_id == threshold.threshold_id:
            return known
    return None


def put(state: LeadState, known: ThresholdState) -> None:
    """Replace, or add, where the lead stands with a threshold."""
    state.thresholds = [
        *(other for other in state.thresholds if other.threshold_id != known.threshold_id),
        known,
    ]


def _due_ms(state: LeadState, model: CompiledModel, after_ms: int) -> int | None:
    """When time alone next takes the lead out of a threshold."""
    due_ms: float = inf
    for threshold in model.thresholds:
        known = standing(state, threshold)
        if known is not None and known.is_in:
            gone = next_exit(state, model, (threshold, known), after_ms)
            due_ms = min(due_ms, gone.at_ms if gone is not None else inf)
    return None if due_ms == inf else int(due_ms)
