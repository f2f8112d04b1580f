"""The fold: (state, log record, model) -> (state, crossings). The one place where a lead changes (design 1.7).

Theory of operation, per lead and record, at tau = max(lead's latest time, occurred_at):

    step  the lead is      and                                                    then             cause
    1     in               time took it below ``exit``, or disqualified it,       leave, dated     TIME, DISQUALIFIED
                           before tau                                             at that instant
    2     -                -                                                      apply the record -
    3     in               disqualified                                           leave at tau     DISQUALIFIED
          in               the record recycles it, whatever the score             leave at tau     RECYCLED
          in, not held     score < exit                                           leave at tau     EVENT, COMMAND
    4     out, free        the record qualifies, whatever the score               enter at tau     INSTANT
          out, free        the record raised the score, score >= enter,           enter at tau     EVENT, COMMAND
                           gates met, cooldown and recycling over

*Free* is neither disqualified nor suspended. *Held* is a lead that entered at once with a score of ``exit`` or less,
until a record finds it above ``exit`` or ``hold`` is over. Leaves come highest threshold first, enters lowest first;
leaves by time in the order of their instants. Time alone never enters. A tick is step 1 and nothing else, up to and
including its time. Most records change no more than the score: ``may_cross`` says which are spared steps 1, 3 and 4.

Nothing here reads a clock, an environment or a random number: a replay of the log gives the same states and crossings.
"""

from math import inf
from typing import Final

from leadscore.log.records import ADJUST, COMMANDS, REQUALIFY, RESET, RESUME, RETRACT, SUSPEND, Award
from leadscore.model.compiled import CompiledModel, CompiledRule, CompiledScore
from leadscore.model.matching import event_hash
from leadscore.scoring.before import before_anything, before_event
from leadscore.scoring.by_id import is_recent, is_retracted, retract_by_id
from leadscore.scoring.conditions import Outlook, first_event_ms, has_attributes
from leadscore.scoring.context import FoldContext
from leadscore.scoring.crossing import Cause, Crossing, trigger_of
from leadscore.scoring.disqualification import disqualified, is_suspended
from leadscore.scoring.flags import flags_of, latest_ms
from leadscore.scoring.outcomes import outcomes_of
from leadscore.scoring.recent import ROW, at_of, find
from leadscore.scoring.retraction import ANY_TYPE, remember_retraction
from leadscore.scoring.score import ScoresAt, UpperBounds, all_gains, points_of_values, rule_points
from leadscore.scoring.selection import points_awarded
from leadscore.scoring.state import AttributeState, Flags, LeadState, Suspension
from leadscore.scoring.thresholds import Decision, cross, due_ms, leave_by_time
from leadscore.scoring.totals import add_event, advance, migrate, reset, retract, settle_oldest

FORGOTTEN_BELOW_POINTS: Final = 0.01
NO_CROSSINGS: list[Crossing] = []


def fold_award(
    state: LeadState | None, award: Award, topic: str | None, context: FoldContext
) -> tuple[LeadState, list[Crossing]]:
    """Apply one award or command (all but ``erase``) to its lead; the state is changed in place.

    A duplicate, or an event retracted before it came, changes nothing.
    """
    model, occurred_ms = context.model, award.occurred_at_ms
    if state is not None and (
        state.model_version != model.version or context.log_time_ms - state.latest_record_ms > model.forget_after_ms
    ):
        state = remembered(state, context)
    if state is None:
        state = LeadState(model.version, occurred_ms)
    is_event = award.type not in COMMANDS
    hashed = event_hash(award.type, award.event_id)
    if (is_event or award.type == ADJUST) and not _is_acceptable(state, award, hashed, context):
        return state, NO_CROSSINGS
    at = at_of(occurred_ms, hashed)
    tau_ms = max(latest_ms(state), occurred_ms)
    if not model.thresholds or not may_cross(state, award, tau_ms, context):
        _apply(state, award, at, context)
        return state, NO_CROSSINGS
    crossings: list[Crossing] = []
    only_raises = _only_raises(state, award, tau_ms, context)
    # step 1
    if state.due_ms is not None and state.due_ms < tau_ms:
        crossings += leave_by_time(state, award.lead_id, tau_ms - 1, context)
    before = _before(state, award, tau_ms, context)
    # step 2
    _apply(state, award, at, context)
    if model.outcomes and award.rules:  # before step 4: about the enters so far
        context.outcomes += outcomes_of(state, award, model)
    outlook = Outlook(state, model)
    # steps 3 and 4
    trigger = trigger_of(topic, award)
    cause = Cause.EVENT if is_event else Cause.COMMAND
    decision = Decision(cause, trigger, before, ScoresAt(outlook, tau_ms))
    crossed = cross(state, award, decision, context)
    crossings += crossed
    if only_raises:  # the instant of before is early enough; only what was entered just now may be left before it
        exits_ms = [crossing.projected_exit_at_ms for crossing in crossed] + [state.due_ms]
        state.due_ms = min((at_ms for at_ms in exits_ms if at_ms is not None), default=None)
    else:
        state.due_ms = due_ms(outlook, tau_ms, exactly=False)
    return state, crossings


def _before(state: LeadState, award: Award, tau_ms: int, context: FoldContext) -> ScoresAt:
    """The scores that the record finds, put off where the record leaves alone what they need of the lead's flags."""
    model = context.model
    settles = len(state.rows) >= ROW * context.settings.recent_events
    if award.attributes or award.type in COMMANDS or (settles and (model.conditions or model.attributes)):
        return before_anything(Outlook(state, model), tau_ms)
    return before_event(state, model, tau_ms)


def _only_raises(state: LeadState, award: Award, tau_ms: int, context: FoldContext) -> bool:
    """Whether the record can neither take the lead out of a threshold nor bring forward when time will."""
    model = context.model
    if award.attributes or award.target is not None:
        return False
    is_late = award.occurred_at_ms <= state.latest_record_ms
    if is_late and model.conditions:
        return False  # it may be the lead's first event, or one more that a ``count`` sees no longer
    if (state.due_ms is not None and state.due_ms <= tau_ms) or any(entry.held for entry in state.thresholds):
        return False
    if model.conditions and (len(state.rows) >= ROW * context.settings.recent_events or first_event_ms(state) is None):
        return False  # it pushes out an event that a ``count`` sees, or it starts the time of ``quiet``
    for rule_award in award.rules:
        rule = model.rules.get(rule_award.rule_id)
        if rule is None:
            continue
        if not rule.only_raises or rule_award.points < 0 or (is_late and rule.selection is not None):
            return False
    return bool(award.rules)


def may_cross(state: LeadState, award: Award, tau_ms: int, context: FoldContext) -> bool:
    """Whether the record could take the lead across a threshold, or bring forward the instant at which time will.

    Most records cannot, and need no more than step 2. This may say yes in vain; it must never say no in vain.

    Terms

    *Upper bound*: a number that a score does not exceed at tau, floor and ceiling aside. Gains as if none had decayed,
    penalties only where tau is the instant of the lead's latest record, every condition that gives points as if it
    held, the best that the fit can be.
    *Out of reach*: what a threshold is with an upper bound of its score less than ``enter`` - 1e-6. Never, where the
    floor of the score is at ``enter`` already.
    *Only raises* (``_only_raises``): the record is the lead's latest and gives points, takes none, and hides no other
    event; no attribute, no command, no hold, nothing due up to tau.
    *May free* (``_may_free``): the record may raise the score by more than its points, by keeping another event from
    counting.

    Rules, the first that applies

    1. The record awards nothing (a command but ``adjust``): yes. It changes what counts, or who may enter.
    2. It matches a rule with ``qualifies`` or ``outcome``: yes. The score does not matter then.
    3. It may free points: yes. Its own points say nothing then.
    4. The lead is in a threshold and the record does more than only raise: yes. It may end the stay, now or earlier.
    5. Else it can do nothing but enter: yes, unless all thresholds that the lead is out of are out of reach, score by
       score. First by the quick upper bound, one sum of all the lead's gains, whichever score they are of; then by
       the exact one, with every rule's ``max`` and the clamps of the score's groups; last by the same without the
       conditions that count events which the lead never had.

    Example: ``mql`` with enter 65; conditions and fit add 20 at most; a group with max 40. The lead is out, with 30
    points in that group and a penalty of -12; the record is its latest.

        3 points in the group     30 + 3 + 20 = 53: out of reach, no
        40 points in the group    30 + 40 + 20 = 90 by the quick bound; by the exact one 40 + 20 = 60: no
        40 points elsewhere       90 by either: yes; the penalty is in neither. Of a record that comes late: 78, yes
        -5 points                 50: no. Were the lead in ``mql``: yes, by rule 4

    Kept in step

    - ``score.UpperBounds``, ``score.all_gains`` and ``CompiledScore.upper_bound_besides_rules`` with ``score_at``:
      whatever can add points must be in the bounds.
    - Rules 1 to 4 with steps 3 and 4: what can enter without points, or leave, must be named here.
    - ``due_ms`` of a lead that is spared: it may stay, for a record that only raises moves the leave back at most.
    - ``test_spared_work`` folds random histories with and without this, and expects the same crossings.
    """
    model, awards, has_values = context.model, award.rules, bool(award.attributes)
    if award.target is not None or not (awards or has_values):
        return True
    rules, gains = model.rules, 0.0
    for rule_award in awards:
        rule = rules.get(rule_award.rule_id)
        if rule is None:
            continue
        if rule.never_spared or (rule.selection is not None and _may_free(rule, state, award)):
            return True
        points = rule_award.points
        if points > 0:
            gains += points
    entered, thresholds = None, state.thresholds
    if thresholds:
        entered = {entry.threshold_id for entry in thresholds if entry.is_in}
        if entered and not _only_raises(state, award, tau_ms, context):
            return True
        if len(entered) == len(model.thresholds):
            return False
    if has_values or has_attributes(state.flags):
        gains = inf  # they may have earned more under an older version
    else:
        gains += all_gains(state.totals)
    return _is_in_reach(state, award, gains, entered, tau_ms, model)


def _is_in_reach(
    state: LeadState, award: Award, gains: float, entered: set[int] | None, tau_ms: int, model: CompiledModel
) -> bool:
    """Whether an upper bound lets the lead into a threshold that it is out of; ``gains`` are for the quick one."""
    bounds: UpperBounds | None = None
    for score in model.crossed:
        out_of_reach = _out_of_reach(model, score, entered) if entered else score.out_of_reach
        if gains + score.upper_bound_besides_rules < out_of_reach:
            continue
        if bounds is None:
            bounds = UpperBounds(state, model, award, tau_ms)
        if bounds.of(score) >= out_of_reach and bounds.lower_of(score) >= out_of_reach:
            return True
    return False


def _out_of_reach(model: CompiledModel, score: CompiledScore, entered: set[int]) -> float:
    """What the score must not be below for the lead to enter one of its thresholds that it is out of."""
    outside = [one.out_of_reach for one in model.thresholds if one.score is score and one.threshold_id not in entered]
    return min(outside, default=inf)


def _may_free(rule: CompiledRule, state: LeadState, award: Award) -> bool:
    """Whether the event may raise the score by more than its points, because of others that it takes out.

    A late one may take out what kept yet others from counting; one that makes a burst may take out penalties.
    """
    if state.rows and award.occurred_at_ms <= state.latest_record_ms:
        return True
    has_bursts = rule.selection is not None and rule.selection.burst_at_least > 0
    if not has_bursts or rule.rule_id not in state.rules:
        return False
    return any(points < 0 for points in points_awarded(state, state.rules.index(rule.rule_id)).values())


def fold_tick(
    state: LeadState | None, lead_id: str, time_ms: int, context: FoldContext
) -> tuple[LeadState | None, list[Crossing]]:
    """Let a lead leave what time alone took it out of up to ``time_ms``; look again when it next may."""
    state = remembered(state, context)
    if state is None:
        return None, NO_CROSSINGS
    crossings = leave_by_time(state, lead_id, time_ms, context)
    after_ms = max(latest_ms(state), time_ms)
    if state.flags is not None and state.flags.under_model_since_ms is not None:
        # Before the model came in force it takes no lead out: an earlier tick would be repeated until then.
        after_ms = max(after_ms, state.flags.under_model_since_ms - 1)
    state.due_ms = due_ms(Outlook(state, context.model), after_ms, exactly=True)
    return state, crossings


def under_model_in_force(state: LeadState, context: FoldContext) -> LeadState:
    """The state, its totals following the model version in force."""
    model = context.model
    if state.model_version != model.version:
        migrate(state, context.model_of_version(state.model_version), model)
        if state.thresholds:  # no lead is in a threshold that the model no longer has
            names = {threshold.threshold_id for threshold in model.thresholds}
            state.thresholds = [entry for entry in state.thresholds if entry.threshold_id in names]
        if any(entry.is_in for entry in state.thresholds):
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
    if any(entry.is_in for entry in state.thresholds) or is_suspended(state):
        return False
    rules = ((model.rules.get(rule_id), total) for rule_id, total in zip(state.rules, state.totals, strict=True))
    age_ms = at_ms - state.latest_record_ms
    points = [rule_points(rule, total, age_ms, at_ms) for rule, total in rules if rule is not None]
    points += points_of_values(state, model).values()
    is_worthless = all(abs(worth) < FORGOTTEN_BELOW_POINTS for worth in points)
    return is_worthless and disqualified(Outlook(state, model), at_ms) is None


def _is_acceptable(state: LeadState, award: Award, hashed: bytes, context: FoldContext) -> bool:
    """Neither among the recent events nor retracted; the context counts those that are."""
    flags = state.flags
    if find(state.rows, hashed) >= 0 or (
        flags is not None and flags.by_id is not None and is_recent(state, award, context.model)
    ):
        context.duplicates += 1
        return False
    if (
        flags is not None
        and (flags.retracted or flags.by_id is not None)
        and _is_retracted(flags, award, hashed, context)
    ):
        context.rejected += 1
        return False
    return True


def _is_retracted(flags: Flags, award: Award, hashed: bytes, context: FoldContext) -> bool:
    retracted, model = flags.retracted, context.model
    if hashed in retracted:
        return True
    if award.type in model.event_types and event_hash(ANY_TYPE, award.event_id) in retracted:
        return True
    return flags.by_id is not None and is_retracted(flags.by_id, award, model)


def _apply(state: LeadState, award: Award, at: bytes, context: FoldContext) -> None:
    """Step 2: what the record changes, thresholds aside."""
    model = context.model
    if award.occurred_at_ms > state.latest_record_ms:
        advance(state, model, award.occurred_at_ms)
    if not award.rules and award.type in COMMANDS:  # of the commands, only ``adjust`` is an award of a rule
        _apply_command(state, award, at, context)
        return
    add_event(state, model, at, award)
    if award.attributes:
        flags_of(state).recent_attributes[at[6:]] = {
            value.attribute_id: AttributeState(at, value.points, value.passed) for value in award.attributes
        }
    while len(state.rows) > ROW * context.settings.recent_events:
        settle_oldest(state, model)


def _apply_command(state: LeadState, award: Award, at: bytes, context: FoldContext) -> None:
    flags, occurred_ms = flags_of(state), award.occurred_at_ms
    if award.type == RESET:
        reset(state, context.model, occurred_ms)
    elif award.type == REQUALIFY:
        flags.requalified_ms = max(occurred_ms, flags.requalified_ms or occurred_ms)
    elif award.type in (SUSPEND, RESUME):
        if flags.suspension is None or flags.suspension.at < at:
            flags.suspension = Suspension(at, award.type == SUSPEND)
    elif award.type == RETRACT and award.target is not None:
        for event_type in context.model.event_types if award.target_type is None else (award.target_type,):
            retract(state, context.model, event_hash(event_type, award.target))
        if flags.by_id is not None:
            retract_by_id(state, award, context.model)
        remember_retraction(flags, award.target, award.target_type, occurred_ms, context.settings.recent_events)
