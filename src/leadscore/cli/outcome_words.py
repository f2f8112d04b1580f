"""What sales said of a lead, for people and as JSON. Values in, text out."""

from leadscore.cli.columns import length_of_time
from leadscore.scoring.crossing import iso_instant
from leadscore.scoring.outcomes import Outcome


def outcome_text(outcome: Outcome, at_ms: int) -> str:
    """``rejected 12 d ago (rejected_no_budget)``; the rule only where its name says more."""
    by = "" if outcome.rule == outcome.name else f" ({outcome.rule})"
    return f"{outcome.name} {length_of_time(at_ms - outcome.at_ms)} ago{by}"


def outcome_object(outcome: Outcome | None) -> dict[str, object] | None:
    """The outcome as plain JSON values."""
    if outcome is None:
        return None
    return {"name": outcome.name, "rule": outcome.rule, "at": iso_instant(outcome.at_ms)}
