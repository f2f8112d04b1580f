"""Why one of a lead's scores is what it is: parts that add up to it (design 1.6). Pure; the same sums as ``score``."""

import msgspec

from leadscore.log.records import stable_id
from leadscore.model.addition import plain_sum
from leadscore.model.compiled import NO_GROUP, CompiledModel, CompiledRule, CompiledScore
from leadscore.scoring.conditions import Outlook, current_attributes
from leadscore.scoring.recent import time_of
from leadscore.scoring.score import attribute_points, rule_points, score_at
from leadscore.scoring.selection import counted_rows, live_rows, points_awarded
from leadscore.scoring.state import LeadState


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule, condition or attribute gives at the instant; ``points`` are before any clamp."""

    part: str
    """``rule``, ``condition`` or ``attribute``."""
    name: str
    group: str | None
    points: float
    awarded: float
    count: int
    latest_event_ms: int | None


class Adjustment(msgspec.Struct, frozen=True):
    """What a clamp took (negative) or gave: ``name`` is the rule or group, or ``fit`` or ``score``."""

    clamp: str
    name: str
    points: float


class Explanation(msgspec.Struct, frozen=True):
    """Parts and adjustments; their points add up to ``score``.

    ``fit`` is the lead's, also where the score does not count it; the parts are those of the score.
    """

    at_ms: int
    score: float
    engagement: float
    fit: float
    parts: list[Part]
    adjustments: list[Adjustment]


def explain(outlook: Outlook, score: CompiledScore, at_ms: int) -> Explanation:
    """One of the scores at ``at_ms``, an instant not before the lead's latest record, taken apart."""
    state, model, value = outlook.state, outlook.model, score_at(outlook, score, at_ms)
    parts = _rule_parts(state, model, score, at_ms) + _condition_parts(outlook, score, at_ms)
    parts += _attribute_parts(state, model) if score.counts_fit else []
    adjustments = _adjustments(parts, model, score)
    return Explanation(at_ms, value.value, value.engagement, value.fit, parts, adjustments)


def _rule_parts(state: LeadState, model: CompiledModel, score: CompiledScore, at_ms: int) -> list[Part]:
    parts = []
    for index, rule_id in enumerate(state.rules):
        rule = model.rules.get(rule_id)
        if rule is None or not score.counts[rule.group]:
            continue
        settled = state.flags.settled.get(rule_id) if state.flags is not None else None
        rows, points = counted_rows(state, rule, live_rows(state, index)), points_awarded(state, index)
        times = [time_of(row) for row in rows[-1:]]
        times += [settled.latest_ms] if settled is not None and settled.latest_ms is not None else []
        parts.append(
            Part(
                part="rule",
                name=rule.name,
                group=_group_name(rule.group, model),
                points=rule_points(rule, state.totals[index], at_ms - state.latest_record_ms, at_ms),
                awarded=plain_sum(points[row[-1]] for row in rows) + (settled.points if settled else 0.0),
                count=len(rows) + (settled.count if settled else 0),
                latest_event_ms=max(times, default=None),
            )
        )
    return parts


def _condition_parts(outlook: Outlook, score: CompiledScore, at_ms: int) -> list[Part]:
    model = outlook.model
    return [
        Part(
            part="condition",
            name=condition.name,
            group=_group_name(condition.group, model),
            points=condition.points,
            awarded=condition.points,
            count=1,
            latest_event_ms=None,
        )
        for condition in (*model.conditions, *model.gates)
        if score.counts[condition.group] and outlook.holds(condition.test, at_ms)
    ]


def _attribute_parts(state: LeadState, model: CompiledModel) -> list[Part]:
    current = current_attributes(state.flags)
    return [
        Part(
            part="attribute",
            name=model.attributes[attribute_id].name,
            group=None,
            points=points,
            awarded=points,
            count=1,
            latest_event_ms=time_of(current[attribute_id].at) if attribute_id in current else None,
        )
        for attribute_id, points in attribute_points(state, model)
        if points
    ]


def _group_name(group: int, model: CompiledModel) -> str | None:
    return None if group == NO_GROUP else model.groups[group].name


def _rule_of(part: Part, model: CompiledModel) -> CompiledRule | None:
    return model.rules.get(stable_id(part.name)) if part.part == "rule" else None


def _clamped(part: Part, model: CompiledModel) -> float:
    rule = _rule_of(part, model)
    return part.points if rule is None else min(max(part.points, -rule.maximum), rule.maximum)


def _adjustments(parts: list[Part], model: CompiledModel, score: CompiledScore) -> list[Adjustment]:
    """The clamps that change something, in the order in which they apply: rules, groups, fit, score."""
    adjustments = [Adjustment("rule", part.name, _clamped(part, model) - part.points) for part in parts]
    engagement = plain_sum(_clamped(part, model) for part in parts if part.part != "attribute" and part.group is None)
    for group in score.groups:
        points = plain_sum(_clamped(part, model) for part in parts if part.group == group.name)
        clamped = min(max(points, group.minimum), group.maximum)
        adjustments.append(Adjustment("group", group.name, clamped - points))
        engagement += clamped
    fit = plain_sum(part.points for part in parts if part.part == "attribute")
    clamped_fit = min(max(fit, model.fit_minimum), model.fit_maximum) if score.counts_fit else 0.0
    adjustments.append(Adjustment("fit", "fit", clamped_fit - fit))
    total = engagement + clamped_fit
    adjustments.append(Adjustment("score", "score", min(max(total, score.floor), score.ceiling) - total))
    return [adjustment for adjustment in adjustments if adjustment.points]
