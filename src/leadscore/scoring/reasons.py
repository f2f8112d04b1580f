"""Why a lead crossed a threshold: the parts of its score with the most points (design 1.7). Pure."""

from typing import Final

from leadscore.model.compiled import EPSILON
from leadscore.scoring.conditions import Outlook
from leadscore.scoring.crossing import Reason
from leadscore.scoring.ranking import ranked
from leadscore.scoring.score import attribute_points, rule_points

MOST_REASONS: Final = 5
WORTH_A_REASON: Final = 0.005
"""Points below this would be shown as 0.00."""


def top_reasons(outlook: Outlook, at_ms: int) -> list[Reason]:
    """The parts of the lead's score with the most points either way, each within its own ``max``; ``ranked``."""
    state, model = outlook.state, outlook.model
    age_ms = at_ms - state.latest_record_ms
    reasons = []
    for rule_id, total in zip(state.rules, state.totals, strict=True):
        rule = model.rules.get(rule_id)
        if rule is not None:
            points = rule_points(rule, total, age_ms, at_ms)
            reasons.append(Reason(rule.name, min(max(points, -rule.maximum), rule.maximum)))
    conditions = (condition for condition in model.conditions if outlook.holds(condition.test, at_ms))
    reasons += [Reason(condition.name, condition.points) for condition in conditions]
    attributes = model.attributes
    reasons += [
        Reason(attributes[attribute_id].name, points) for attribute_id, points in attribute_points(state, model)
    ]
    worth_it = (reason for reason in reasons if abs(reason.points) >= WORTH_A_REASON - EPSILON)
    return ranked(worth_it, lambda reason: abs(reason.points), lambda reason: reason.name)[:MOST_REASONS]
