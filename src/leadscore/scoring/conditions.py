"""Whether something is true of a lead at an instant, and when that changes by itself (design 1.4). Pure.

As long as no record comes, time changes the answer of a single test at most once: a count can only run out, a silence
can only become long enough. ``Outlook`` works out these instants once per lead and state, when they are first asked
for; after that any instant from the lead's latest record on costs a comparison.
"""

from typing import Final, NamedTuple

from leadscore.log.records import ADJUST_RULE_ID
from leadscore.model.compiled import Combined, CompiledModel, ConditionTest, CountTest, QuietTest, ValueTest
from leadscore.scoring.crossing import Cause
from leadscore.scoring.flags import keep_later
from leadscore.scoring.recent import AT, ROW, at_of, every_row, time_of
from leadscore.scoring.selection import is_adjust, live_rows, without_bursts
from leadscore.scoring.state import AttributeState, Flags, LeadState, ThresholdState

NEVER: Final = 1 << 60
"""Later than any instant."""


class Leave(NamedTuple):
    """When and why time takes a lead out of a threshold."""

    at_ms: int
    cause: Cause


class Outlook:
    """What is ahead of one lead from its latest record on, if nothing else happens: above all, what conditions say.

    It keeps what it has worked out: make a new one when the lead's events or attributes have changed.
    """

    __slots__ = (
        "_attributes",
        "_flips",
        "_in_bursts",
        "_matched",
        "_since_ms",
        "_turns",
        "fit",
        "leaves",
        "model",
        "state",
    )

    def __init__(self, state: LeadState, model: CompiledModel) -> None:
        self.state = state
        self.model = model
        self.leaves: dict[tuple[ThresholdState, int], Leave | None] = {}
        """What ``timeline.next_leave`` answered, by where the lead stands and after when."""
        self.fit: float | None = None
        """What ``score.fit_at`` answered."""
        self._turns: dict[CountTest | QuietTest, int] = {}
        self._flips: list[int] | None = None
        self._attributes: dict[int, AttributeState] | None = None
        self._since_ms: int | None = None
        self._matched: dict[int, frozenset[int]] = {}
        self._in_bursts: dict[int, set[bytes]] = {}

    def attributes(self) -> dict[int, AttributeState]:
        """The latest value of each attribute; to be read only."""
        attributes = self._attributes
        if attributes is None:
            attributes = self._attributes = current_attributes(self.state.flags)
        return attributes

    def holds(self, test: ConditionTest, at_ms: int) -> bool:
        """Whether the test is true at ``at_ms``."""
        if isinstance(test, CountTest):
            return at_ms < self._turn(test)
        if isinstance(test, QuietTest):
            return at_ms >= self._turn(test)
        if isinstance(test, ValueTest):
            return self._attribute_passes(test)
        if test.how == "not":
            return not self.holds(test.parts[0], at_ms)
        expected = test.how == "any"
        for part in test.parts:
            if self.holds(part, at_ms) is expected:
                return expected
        return not expected

    def flips(self) -> list[int]:
        """Every instant at which time alone may change what a condition says, in order; to be read only."""
        flips = self._flips
        if flips is None:
            turns: set[int] = set()
            for condition in self.model.conditions:
                self._add_turns(turns, condition.test)
            flips = self._flips = sorted(turns)
        return flips

    def _add_turns(self, turns: set[int], test: ConditionTest) -> None:
        if isinstance(test, Combined):
            for part in test.parts:
                self._add_turns(turns, part)
        elif not isinstance(test, ValueTest):
            turns.add(self._turn(test))

    def _turn(self, test: CountTest | QuietTest) -> int:
        """The instant from which a count is too small, or a silence long enough."""
        turn = self._turns.get(test)
        if turn is None:
            turn = self._runs_out_ms(test) if isinstance(test, CountTest) else self._long_enough_ms(test)
            self._turns[test] = turn
        return turn

    def _runs_out_ms(self, test: CountTest) -> int:
        """When the last event that makes the count large enough leaves the window."""
        latest = self._latest_seen(test.rule_ids, test.within_ms, test.at_least)
        return time_of(latest[-1]) + test.within_ms if len(latest) == test.at_least else -NEVER

    def _long_enough_ms(self, test: QuietTest) -> int:
        if self._since_ms is None:
            self._since_ms = _silence_from_ms(self.state)
        if self._since_ms == NEVER:
            return NEVER
        since = [self._since_ms, *(time_of(at) for at in self._latest_seen(test.rule_ids, test.within_ms, 1))]
        flags = self.state.flags
        if flags is not None and flags.settled:
            settled = (flags.settled.get(rule_id) for rule_id in test.rule_ids)
            since += [entry.latest_ms for entry in settled if entry is not None and entry.latest_ms is not None]
        return max(since) + test.within_ms + 1

    def _latest_seen(self, rule_ids: frozenset[int], within_ms: int, at_most: int) -> list[bytes]:
        """The latest events of the rules that conditions see, latest first: after the reset, in no burst.

        An event of two of the rules is one. Those that were more than ``within_ms`` ago at the lead's latest record may
        be left out: a count sees them no longer, and they are no reason against a silence.
        """
        state = self.state
        if rule_ids.isdisjoint(state.rules):
            return []
        reset_ms = state.flags.reset_ms if state.flags is not None else None
        first_ms = state.latest_record_ms - within_ms
        first_live = at_of(first_ms if reset_ms is None else max(first_ms, reset_ms + 1), b"")
        bursts: dict[int, set[bytes]] = {}
        for rule_id in self.model.with_bursts:
            if rule_id in rule_ids and (hidden := self._in_burst(rule_id)):
                bursts[rule_id] = hidden
        rows = state.rows
        seen: list[bytes] = []
        for end in range(len(rows) - 1, -1, -ROW):
            at = rows[end - AT : end]
            if at < first_live:
                break
            matched = self._rules_of(rows[end])
            if matched.isdisjoint(rule_ids):
                continue
            if not bursts or any(at not in bursts.get(rule, ()) for rule in matched & rule_ids):
                seen.append(at)
                if len(seen) == at_most:
                    break
        return seen

    def _rules_of(self, number: int) -> frozenset[int]:
        """The rules that matched the events with this number of ``awarded``."""
        matched = self._matched.get(number)
        if matched is None:
            rules, awards = self.state.rules, self.state.awarded[number]
            matched = frozenset([rules[int(awards[place])] for place in range(0, len(awards), 2)])
            self._matched[number] = matched
        return matched

    def _in_burst(self, rule_id: int) -> set[bytes]:
        """The rule's events that a burst hides."""
        hidden = self._in_bursts.get(rule_id)
        if hidden is None:
            hidden = self._in_bursts[rule_id] = set()
            if rule_id in self.state.rules:
                rows = live_rows(self.state, self.state.rules.index(rule_id))
                kept = without_bursts(self.state, self.model.rules[rule_id], rows)
                if len(kept) < len(rows):
                    hidden |= {row[:AT] for row in rows} - {row[:AT] for row in kept}
        return hidden

    def _attribute_passes(self, test: ValueTest) -> bool:
        value = self.attributes().get(test.attribute_id)
        if value is None or value.points is None:
            return test.when_missing
        return test.test_id in value.passed


def _silence_from_ms(state: LeadState) -> int:
    """The later of the lead's first event and its latest reset; ``NEVER`` where there is neither."""
    first_ms = first_event_ms(state)
    reset_ms = state.flags.reset_ms if state.flags is not None else None
    if first_ms is None or reset_ms is None:
        since_ms = reset_ms if first_ms is None else first_ms
        return NEVER if since_ms is None else since_ms
    return max(first_ms, reset_ms)


def has_attributes(flags: Flags | None) -> bool:
    """Whether the lead has values of attributes, or had some."""
    return flags is not None and bool(flags.settled_attributes or flags.recent_attributes)


def current_attributes(flags: Flags | None) -> dict[int, AttributeState]:
    """The latest value of each attribute; to be read only."""
    if flags is None:
        return {}
    settled, recent = flags.settled_attributes, flags.recent_attributes
    if not recent:
        return settled
    if not settled and len(recent) == 1:
        return next(iter(recent.values()))
    current = dict(settled)
    for set_by_event in recent.values():
        for attribute_id, value in set_by_event.items():
            keep_later(current, attribute_id, value)
    return current


def first_event_ms(state: LeadState) -> int | None:
    """When the lead's first event of any kind occurred; an ``adjust`` is a command, not an event."""
    settled_ms = state.flags.settled_first_ms if state.flags is not None else None
    rows = state.rows
    if ADJUST_RULE_ID in state.rules:
        rows = next((row for row in every_row(rows) if not is_adjust(state, row)), b"")
    recent_ms = time_of(rows) if rows else None
    if settled_ms is None or recent_ms is None:
        return recent_ms if settled_ms is None else settled_ms
    return min(settled_ms, recent_ms)
