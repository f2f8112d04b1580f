"""Why a lead crossed a threshold: the parts of its score with the most points (design 1.7). Pure."""

from typing import Final

from leadscore.model.compiled import EPSILON, CompiledScore
from leadscore.scoring.conditions import Outlook
from leadscore.scoring.crossing import Reason
from leadscore.scoring.ranking import ranked
from leadscore.scoring.score import attribute_points, rule_points

MOST_REASONS: Final = 5
WORTH_A_REASON: Final = 0.005
"""Points below this would be shown as 0.00."""


def top_reasons(outlook: Outlook, score: CompiledScore, at_ms: int) -> list[Reason]:
    """The parts of one of the scores with the most points either way, each within its own ``max``; ``ranked``."""
    state, model = outlook.state, outlook.model
    age_ms = at_ms - state.latest_record_ms
    reasons: list[Reason] = []
    for index, rule_id in enumerate(state.rules):
        rule = model.rules.get(rule_id)
        if rule is not None and score.counts[rule.group]:
            points = rule_points(rule, state.totals[index], age_ms, at_ms)
            _add(reasons, rule.name, min(max(points, -rule.maximum), rule.maximum))
    for condition in model.conditions:
        if score.counts[condition.group] and outlook.holds(condition.test, at_ms):
            _add(reasons, condition.name, condition.points)
    for attribute_id, points in attribute_points(state, model) if score.counts_fit else ():
        _add(reasons, model.attributes[attribute_id].name, points)
    return ranked(reasons, lambda reason: abs(reason.points), lambda reason: reason.name)[:MOST_REASONS]


def _add(reasons: list[Reason], name: str, points: float) -> None:
    if abs(points) >= WORTH_A_REASON - EPSILON:
        reasons.append(Reason(name, points))
