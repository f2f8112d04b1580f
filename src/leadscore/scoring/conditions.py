"""Whether something is true of a lead at an instant, and when that changes by itself (design 1.4). Pure.

As long as no record comes, time changes the answer of a single test at most once: a count can only run out, a silence
can only become long enough. ``Outlook`` works out these instants once per lead and state, when they are first asked
for; after that any instant from the lead's latest record on costs a comparison.
"""

from collections.abc import Iterator

from leadscore.log.records import ADJUST_RULE_ID
from leadscore.model.compiled import AttributeFlag, Combined, CompiledModel, ConditionTest, CountTest, QuietTest
from leadscore.scoring.recent import AT, ROW, each, time_of
from leadscore.scoring.state import AttributeState, Flags, LeadState
from leadscore.scoring.totals import is_adjust, keep_later, live_rows, without_bursts

NEVER = 1 << 60
"""Later than any instant."""


class Outlook:
    """What the conditions say of one lead from its latest record on, if nothing else happens."""

    __slots__ = ("_attributes", "_model", "_state", "_turns")

    def __init__(self, state: LeadState, model: CompiledModel) -> None:
        self._state = state
        self._model = model
        self._turns: dict[int, int] = {}
        self._attributes: dict[int, AttributeState] | None = None

    def holds(self, test: ConditionTest, at_ms: int) -> bool:
        """Whether the test is true at ``at_ms``."""
        if isinstance(test, CountTest):
            return at_ms < self._turn(test)
        if isinstance(test, QuietTest):
            return at_ms >= self._turn(test)
        if isinstance(test, AttributeFlag):
            return self._attribute_passes(test)
        if test.how == "not":
            return not self.holds(test.parts[0], at_ms)
        return (all if test.how == "all" else any)(self.holds(part, at_ms) for part in test.parts)

    def flips(self, test: ConditionTest) -> Iterator[int]:
        """Every instant at which time alone may change the test's answer."""
        if isinstance(test, Combined):
            for part in test.parts:
                yield from self.flips(part)
        elif not isinstance(test, AttributeFlag):
            yield self._turn(test)

    def _turn(self, test: CountTest | QuietTest) -> int:
        """The instant from which a count is too small, or a silence long enough."""
        turn = self._turns.get(id(test))
        if turn is None:
            turn = self._runs_out_ms(test) if isinstance(test, CountTest) else self._long_enough_ms(test)
            self._turns[id(test)] = turn
        return turn

    def _runs_out_ms(self, test: CountTest) -> int:
        """When the last event that makes the count large enough leaves the window."""
        latest = latest_seen(test.rule_ids, self._state, self._model, test.at_least)
        return time_of(latest[-1]) + test.within_ms if len(latest) == test.at_least else -NEVER

    def _long_enough_ms(self, test: QuietTest) -> int:
        flags = self._state.flags
        reset_ms = flags.reset_ms if flags is not None else None
        guards = [time_ms for time_ms in (first_event_ms(self._state), reset_ms) if time_ms is not None]
        if not guards:
            return NEVER
        since = [*guards, *(time_of(at) for at in latest_seen(test.rule_ids, self._state, self._model, 1))]
        if flags is not None:
            settled = (flags.settled.get(rule_id) for rule_id in test.rule_ids)
            since += [known.latest_ms for known in settled if known is not None and known.latest_ms is not None]
        return max(since) + test.within_ms + 1

    def _attribute_passes(self, flag: AttributeFlag) -> bool:
        if self._attributes is None:
            self._attributes = current_attributes(self._state.flags) if self._state.flags is not None else {}
        value = self._attributes.get(flag.attribute_id)
        if value is None or value.points is None:
            return flag.when_missing
        return flag.test_id in value.passed


def current_attributes(flags: Flags) -> dict[int, AttributeState]:
    """The latest value of each attribute."""
    current = dict(flags.settled_attributes)
    for set_by_event in flags.recent_attributes.values():
        for attribute_id, value in set_by_event.items():
            keep_later(current, attribute_id, value)
    return current


def first_event_ms(state: LeadState) -> int | None:
    """When the lead's first event of any kind occurred; an ``adjust`` is a command, not an event."""
    settled_ms = state.flags.settled_first_ms if state.flags is not None else None
    rows = state.rows
    if ADJUST_RULE_ID in state.rules:
        rows = next((row for row in each(rows) if not is_adjust(state, row)), b"")
    recent_ms = time_of(rows) if rows else None
    known = [time_ms for time_ms in (settled_ms, recent_ms) if time_ms is not None]
    return min(known, default=None)


def latest_seen(rule_ids: frozenset[int], state: LeadState, model: CompiledModel, most: int) -> list[bytes]:
    """The latest events of the rules that conditions see, latest first: after the reset, in no burst.

    An event of two of the rules is one; a rule that the model does not have counts for nothing.
    """
    if rule_ids.isdisjoint(state.rules):
        return []
    indexes = {index for index, rule_id in enumerate(state.rules) if rule_id in rule_ids and rule_id in model.rules}
    has_reset = state.flags is not None and state.flags.reset_ms is not None
    if has_reset or any(_has_bursts(model, state.rules[index]) for index in indexes):
        return sorted(_seen(indexes, state, model), reverse=True)[:most]
    rows = state.rows
    grants = {number for number, grant in enumerate(state.grants) if not indexes.isdisjoint(grant[::2])}
    found: list[bytes] = []
    for end in range(len(rows) - 1, -1, -ROW):
        if rows[end] in grants:
            found.append(rows[end - AT : end])
            if len(found) == most:
                break
    return found


def _has_bursts(model: CompiledModel, rule_id: int) -> bool:
    selection = model.rules[rule_id].selection
    return selection is not None and bool(selection.burst_at_least)


def _seen(indexes: set[int], state: LeadState, model: CompiledModel) -> set[bytes]:
    seen: set[bytes] = set()
    for index in indexes:
        rule = model.rules[state.rules[index]]
        seen.update(row[:AT] for row in without_bursts(state, rule, live_rows(state, index)))
    return seen
