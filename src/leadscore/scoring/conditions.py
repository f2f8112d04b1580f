"""Whether something is true of a lead at an instant, and when that may change by itself (design 1.4). Pure."""

from collections.abc import Iterator

from leadscore.model.compile import (
    AttributeFlag,
    Combined,
    CompiledModel,
    ConditionTest,
    CountTest,
    QuietTest,
)
from leadscore.scoring.recent import AT, at_of, time_of
from leadscore.scoring.state import AttributeState, Flags, LeadState
from leadscore.scoring.totals import keep_later, live_rows, without_bursts


def holds(test: ConditionTest, state: LeadState, model: CompiledModel, at_ms: int) -> bool:
    """Whether the test is true of the lead at ``at_ms``, an instant not before the lead's latest record."""
    if isinstance(test, CountTest):
        return len(_ats_within(test, state, model, at_ms)) >= test.at_least
    if isinstance(test, QuietTest):
        since_ms = _quiet_since(test, state, model)
        return since_ms is not None and at_ms - since_ms > test.within_ms
    if isinstance(test, AttributeFlag):
        return _attribute_passes(test, state)
    if test.how == "not":
        return not holds(test.parts[0], state, model, at_ms)
    return (all if test.how == "all" else any)(holds(part, state, model, at_ms) for part in test.parts)


def flips(test: ConditionTest, state: LeadState, model: CompiledModel) -> Iterator[int]:
    """Every instant at which time alone may change the test's answer."""
    if isinstance(test, CountTest):
        for at in _seen(test.rule_ids, state, model):
            yield time_of(at) + test.within_ms
    elif isinstance(test, QuietTest):
        since_ms = _quiet_since(test, state, model)
        if since_ms is not None:
            yield since_ms + test.within_ms + 1
    elif isinstance(test, Combined):
        for part in test.parts:
            yield from flips(part, state, model)


def current_attributes(flags: Flags) -> dict[int, AttributeState]:
    """The latest value of each attribute."""
    current = dict(flags.settled_attributes)
    for set_by_event in flags.recent_attributes.values():
        for attribute_id, value in set_by_event.items():
            keep_later(current, attribute_id, value)
    return current


def first_event_ms(state: LeadState) -> int | None:
    """When the lead's first event of any kind occurred."""
    settled_ms = state.flags.settled_first_ms if state.flags is not None else None
    recent_ms = time_of(state.rows) if state.rows else None
    known = [time_ms for time_ms in (settled_ms, recent_ms) if time_ms is not None]
    return min(known, default=None)


def _seen(rule_ids: frozenset[int], state: LeadState, model: CompiledModel) -> set[bytes]:
    """The events of the rules that conditions see: after the reset, not in a burst; an event of two rules is one."""
    seen: set[bytes] = set()
    for index, rule_id in enumerate(state.rules):
        rule = model.rules.get(rule_id) if rule_id in rule_ids else None
        if rule is not None:
            seen.update(row[:AT] for row in without_bursts(state, rule, live_rows(state, index)))
    return seen


def _ats_within(test: CountTest, state: LeadState, model: CompiledModel, at_ms: int) -> list[bytes]:
    after, until = at_of(at_ms - test.within_ms + 1, b""), at_of(at_ms + 1, b"")
    return [at for at in _seen(test.rule_ids, state, model) if after <= at < until]


def _quiet_since(test: QuietTest, state: LeadState, model: CompiledModel) -> int | None:
    """The instant from which the silence counts; ``None`` while there is nothing to count from."""
    flags = state.flags
    reset_ms = flags.reset_ms if flags is not None else None
    guards = [time_ms for time_ms in (first_event_ms(state), reset_ms) if time_ms is not None]
    if not guards:
        return None
    since = [*guards, *(time_of(at) for at in _seen(test.rule_ids, state, model))]
    if flags is not None:
        settled = (flags.settled.get(rule_id) for rule_id in test.rule_ids)
        since += [known.latest_ms for known in settled if known is not None and known.latest_ms is not None]
    return max(since)


def _attribute_passes(flag: AttributeFlag, state: LeadState) -> bool:
    value = current_attributes(state.flags).get(flag.attribute_id) if state.flags is not None else None
    if value is None or value.points is None:
        return flag.when_missing
    return flag.test_id in value.passed
