"""Which of a rule's events count: what a burst, ``once_per`` and a limit leave of them (design 1.3). Pure."""

from datetime import date
from typing import Final

from leadscore.log.records import ADJUST_RULE_ID
from leadscore.model.compiled import CompiledRule, Selection
from leadscore.scoring.recent import AT, ROW, at_of, rows_of, time_of
from leadscore.scoring.state import LeadState, Points, Settled
from leadscore.time_units import DAY_MS

_FIRST_DAY: Final = date(1970, 1, 1).toordinal()
"""Day 0 of the times here, as Python numbers days."""
_LONGEST_BUCKET_MS: Final = {"day": DAY_MS, "week": 7 * DAY_MS, "month": 31 * DAY_MS}
"""How long a period of a limit is at most; the one of ever is longer than anything."""


def points_awarded(state: LeadState, index: int) -> dict[int, Points]:
    """What the rule awarded, by the number of each entry of ``state.awarded`` that it is part of."""
    return {
        number: awarded[place + 1]
        for number, awarded in enumerate(state.awarded)
        for place in range(0, len(awarded), 2)
        if awarded[place] == index
    }


def rules_of(state: LeadState, row: bytes) -> list[int]:
    """The rules that the event matched: indexes into the lead's ``rules``."""
    return [int(index) for index in state.awarded[row[-1]][::2]]


def is_adjust(state: LeadState, row: bytes) -> bool:
    """Whether the recent event is a command: ``adjust`` is one that has a rule of its own."""
    awarded = state.awarded[row[-1]]
    return bool(awarded) and state.rules[int(awarded[0])] == ADJUST_RULE_ID


def points_of(state: LeadState, row: bytes, index: int) -> Points:
    """What the rule awarded for the event; it matched."""
    awarded = state.awarded[row[-1]]
    place = 0
    while awarded[place] != index:
        place += 2
    return awarded[place + 1]


def rule_rows(state: LeadState, index: int) -> list[bytes]:
    """The rule's recent events, in order."""
    return rows_of(state.rows, points_awarded(state, index))


def live_rows(state: LeadState, index: int) -> list[bytes]:
    """The rule's recent events after the latest reset, in order."""
    rows = rule_rows(state, index)
    reset_ms = state.flags.reset_ms if state.flags is not None else None
    if reset_ms is None:
        return rows
    first_live = at_of(reset_ms + 1, b"")
    return [row for row in rows if row >= first_live]


def counted_rows(state: LeadState, rule: CompiledRule, rows: list[bytes]) -> list[bytes]:
    """Those of the rule's rows that count: burst, then once per value, then limit."""
    selection = rule.selection
    if selection is None or not rows:
        return rows
    settled = settled_of(state, rule.rule_id)
    if selection.burst_at_least:
        rows = without_bursts(state, rule, rows)
    if selection.once_per:
        rows = _first_per_value(state, rule, rows, set(settled.values or ()))
    if selection.limit_times:
        rows = _within_limit(rows, selection, dict(settled.buckets or {}))
    return rows


def latest_counted(state: LeadState, rule: CompiledRule, index: int) -> bytes:
    """The ``at`` of the rule's latest event that counts, recent or not; empty where none has come since a reset."""
    recent = max([row[:AT] for row in counted_rows(state, rule, live_rows(state, index))[-1:]], default=b"")
    settled_ms = settled_counted_ms(state, rule)
    return recent if settled_ms is None else max(recent, at_of(settled_ms, b""))


def settled_counted_ms(state: LeadState, rule: CompiledRule) -> int | None:
    """When the latest event that counts occurred of those that are no longer recent; ``None`` if before a reset.

    Remembered of a rule that recycles or is an outcome.
    """
    flags, settled_ms = state.flags, settled_of(state, rule.rule_id).counted_ms
    if flags is None or settled_ms is None or (flags.reset_ms is not None and settled_ms <= flags.reset_ms):
        return None
    return settled_ms


def counts_last(state: LeadState, rule: CompiledRule, index: int) -> bool | None:
    """Whether the lead's latest event counts for the rule and takes no other out; ``None`` where a recount must say."""
    selection = rule.selection or Selection()
    if selection.burst_at_least or (selection.once_per and selection.limit_times):
        return None
    if selection.once_per:
        return _says_something_new(state, rule, index)
    return _is_within_limit(state, rule, index)


def _is_within_limit(state: LeadState, rule: CompiledRule, index: int) -> bool:
    """Whether earlier events of the rule leave something of its limit to the lead's latest event."""
    selection, rows = rule.selection or Selection(), state.rows
    time_ms, limit = time_of(rows[-ROW:]), selection.limit_times
    bucket = bucket_of(selection, time_ms)
    used = (settled_of(state, rule.rule_id).buckets or {}).get(bucket, 0)
    longest_ms = _LONGEST_BUCKET_MS.get(selection.limit_per)
    first = b"" if longest_ms is None else at_of(time_ms - longest_ms, b"")
    for end in range(len(rows) - ROW - 1, -1, -ROW):
        at = rows[end - AT : end]
        if used >= limit or at < first:
            break
        if index in state.awarded[rows[end]][::2]:
            if bucket_of(selection, time_of(at)) != bucket:
                break
            used += 1
    return used < limit


def _says_something_new(state: LeadState, rule: CompiledRule, index: int) -> bool:
    """Whether the lead's latest event has a value of ``once_per`` that no earlier one of the rule had."""
    rows = state.rows
    value = once_value(state, index, rows[-ROW:])
    if value in (settled_of(state, rule.rule_id).values or ()):
        return False
    for end in range(len(rows) - ROW - 1, -1, -ROW):
        if index in state.awarded[rows[end]][::2] and once_value(state, index, rows[end - AT : end]) == value:
            return False
    return True


def without_bursts(state: LeadState, rule: CompiledRule, rows: list[bytes]) -> list[bytes]:
    """The rows that no burst holds; an event in one is seen by nothing."""
    selection = rule.selection
    if selection is None or not selection.burst_at_least or not rows:
        return rows
    before = settled_of(state, rule.rule_id).burst_ms or []
    if len(before) + len(rows) < selection.burst_at_least:
        return rows
    times = sorted([*before, *[time_of(row) for row in rows]])
    in_burst: set[int] = set()  # of events at the same time all are in one, or none is
    last, within_ms = selection.burst_at_least - 1, selection.burst_within_ms
    for first in range(len(times) - last):
        if times[first + last] - times[first] <= within_ms:
            in_burst.update(times[first : first + last + 1])
    return [row for row in rows if time_of(row) not in in_burst] if in_burst else rows


def _first_per_value(state: LeadState, rule: CompiledRule, rows: list[bytes], seen: set[bytes]) -> list[bytes]:
    index = state.rules.index(rule.rule_id)
    kept = []
    for row in rows:
        value = once_value(state, index, row)
        if value not in seen:
            seen.add(value)
            kept.append(row)
    return kept


def once_value(state: LeadState, index: int, row: bytes) -> bytes:
    """The hash of what the event said in the field of the rule's ``once_per``; a missing field is one value."""
    return b"" if state.flags is None else state.flags.once_values.get(once_key(row[:AT], index), b"")


def once_key(at: bytes, index: int) -> bytes:
    """Under which name ``Flags.once_values`` keeps what an event said to the rule with this index."""
    return at + index.to_bytes(2, "big")


def _within_limit(rows: list[bytes], selection: Selection, used: dict[int, int]) -> list[bytes]:
    kept = []
    for row in rows:
        bucket = bucket_of(selection, time_of(row))
        if used.get(bucket, 0) < selection.limit_times:
            used[bucket] = used.get(bucket, 0) + 1
            kept.append(row)
    return kept


def bucket_of(selection: Selection, time_ms: int) -> int:
    """UTC day, ISO week (1970-01-01 was a Thursday), UTC calendar month, or the one bucket of ever."""
    day = time_ms // DAY_MS
    if selection.limit_per == "day":
        return day
    if selection.limit_per == "week":
        return (day + 3) // 7
    if selection.limit_per == "month":
        month = date.fromordinal(_FIRST_DAY + day)
        return month.year * 12 + month.month
    return 0


def settled_of(state: LeadState, rule_id: int) -> Settled:
    """What is remembered of the rule's events that are no longer among the recent ones."""
    settled = state.flags.settled.get(rule_id) if state.flags is not None else None
    return Settled() if settled is None else settled
