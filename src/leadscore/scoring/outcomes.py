"""What sales says of a lead: accepted, rejected, won, lost, by the rules that have an ``outcome`` (design 1.3). Pure.

Theory of operation. An outcome is about an enter: sales was told of the lead, and this is what became of it. So it is
counted once per enter and outcome, and the counts of a threshold's outcomes can be held against the count of its
enters.

    the rule recycles        about the thresholds that it takes the lead out of
    the rule does not        about every threshold that the lead has entered
    the lead never entered   about no threshold; counted once: sales found it by itself

Whether an outcome was there before is read from the lead's events, which know it anyhow; the state has nothing more.
"""

from dataclasses import dataclass
from math import inf
from typing import Final

from leadscore.log.records import Award
from leadscore.model.compiled import CompiledModel, CompiledRule
from leadscore.model.matching import event_hash
from leadscore.scoring.recent import at_of, time_of
from leadscore.scoring.selection import counted_rows, latest_counted, live_rows, settled_counted_ms
from leadscore.scoring.state import LeadState

NO_THRESHOLD: Final = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What sales said last of a lead, by which rule, and when the event occurred."""

    name: str
    rule: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class CountedOutcome:
    """One more outcome of a threshold; of none where the lead had entered none.

    ``after_ms`` is how long after the enter it occurred.
    """

    threshold: str
    name: str
    rule: str
    model_version: int
    after_ms: int | None


def latest_outcome(state: LeadState, model: CompiledModel) -> Outcome | None:
    """The outcome of the lead's latest event that is one and counts; of several, the first in the model file."""
    latest_at, latest = b"", None
    for rule in model.rules.values():
        if rule.outcome is None or rule.rule_id not in state.rules:
            continue
        at = latest_counted(state, rule, state.rules.index(rule.rule_id))
        if at > latest_at:
            latest_at, latest = at, Outcome(rule.outcome, rule.name, time_of(at))
    return latest


def outcomes_of(state: LeadState, award: Award, model: CompiledModel) -> list[CountedOutcome]:
    """What the event, which has just been added, says of the lead's enters so far, and no event said before.

    Of several rules with one outcome the first in the model file says it: the narrower one comes first, as with bands.
    """
    at = at_of(award.occurred_at_ms, event_hash(award.type, award.event_id))
    said: dict[str, CompiledRule] = {}
    for rule_award in award.rules:
        rule = model.rules.get(rule_award.rule_id)
        if rule is not None and rule.outcome is not None and _counts(state, rule, at):
            said.setdefault(rule.outcome, rule)
    return [
        CountedOutcome(
            threshold,
            name,
            rule.name,
            model.version,
            None if threshold == NO_THRESHOLD else int(award.occurred_at_ms - entered_ms),
        )
        for name, rule in said.items()
        for threshold, entered_ms in _enters(state, rule, model).items()
        if award.occurred_at_ms >= entered_ms and not _was_said(state, model, name, at, entered_ms)
    ]


def _counts(state: LeadState, rule: CompiledRule, at: bytes) -> bool:
    return any(row.startswith(at) for row in counted_rows(state, rule, _rows(state, rule)))


def _enters(state: LeadState, rule: CompiledRule, model: CompiledModel) -> dict[str, float]:
    """The thresholds that the rule's outcome is about, and when (UTC ms) the lead last entered each."""
    entered_ms = {entry.threshold_id: entry.entered_ms for entry in state.thresholds}
    if not entered_ms:
        return {NO_THRESHOLD: -inf}
    recycles = rule.recycles
    return {
        threshold.name: entered_ms[threshold.threshold_id]
        for threshold in model.thresholds
        if threshold.threshold_id in entered_ms
        and (recycles is None or threshold.threshold_id in recycles.threshold_ids)
    }


def _was_said(state: LeadState, model: CompiledModel, name: str, at: bytes, since_ms: float) -> bool:
    """Whether another event than the one at ``at`` is this outcome, and no earlier than the instant."""
    for rule in model.rules.values():
        if rule.outcome != name or rule.rule_id not in state.rules:
            continue
        others = [row for row in counted_rows(state, rule, _rows(state, rule)) if not row.startswith(at)]
        settled_ms = settled_counted_ms(state, rule)
        if (others and time_of(others[-1]) >= since_ms) or (settled_ms is not None and settled_ms >= since_ms):
            return True
    return False


def _rows(state: LeadState, rule: CompiledRule) -> list[bytes]:
    return live_rows(state, state.rules.index(rule.rule_id))
