"""Merges of leads: what becomes of points, thresholds and commands of a person with several ids (design 1.12)."""

import pytest

from tests.oracle import DAY_MS, Entry, Plain
from tests.simulated import simulated

START_MS = 20_454 * DAY_MS
MODEL: Plain = {
    "model": "m",
    "version": 1,
    "decay": {"half_life": "30d"},
    "rules": {
        "visit": {"event": "website.page_view", "points": 20},
        "call": {"event": "website.contact_requested", "points": 0, "qualifies": "mql"},
        "stop": {"event": "email.complaint", "points": 0, "disqualifies": "complained"},
    },
    "thresholds": {"mql": {"enter": 50, "exit": 30}, "hot": {"enter": 90, "exit": 70}},
}


def record(event_id: str, lead_id: str, at: int, event_type: str = "website.page_view", **more: object) -> Entry:
    occurred_ms = START_MS + at
    return Entry(
        {"type": event_type, "event_id": event_id, "lead_id": lead_id, "occurred_at": occurred_ms, **more}, occurred_ms
    )


def merge(event_id: str, lead_id: str, into: str, at: int) -> Entry:
    return record(event_id, lead_id, at, "command.merge", into=into)


def crossings(*log: Entry) -> list[tuple[str, str, str, str, str | None, int | None]]:
    decided = simulated(MODEL, log, None).crossings
    return [(c.lead_id, c.threshold, c.direction.value, c.cause.value, c.merged_with, c.sequence) for c in decided]


def scores(*log: Entry) -> dict[str, float]:
    return {line.lead_id: round(line.score, 3) for line in simulated(MODEL, log, START_MS + 100).scores}


def visits(lead_id: str, *at: int) -> list[Entry]:
    return [record(f"{lead_id}-{instant}", lead_id, instant) for instant in at]


def test_what_came_under_the_alias_before_and_after_the_merge_counts_for_the_lead() -> None:
    before, after, own = visits("B", 1, 2), visits("B", 8), visits("A", 3)
    assert scores(*before, *own, merge("m", "B", "A", 5), *after) == {"A": 80.0}


def test_the_lead_takes_over_what_the_alias_was_in_and_the_two_crossings_name_each_other() -> None:
    assert crossings(*visits("B", 1, 2, 3), *visits("A", 4), merge("m", "B", "A", 5), *visits("B", 6)) == [
        ("B", "mql", "ENTER", "EVENT", None, 1),
        ("B", "mql", "LEAVE", "MERGED", "A", 2),
        ("A", "mql", "ENTER", "MERGED", "B", 1),
        ("A", "hot", "ENTER", "EVENT", None, 1),
    ]


def test_a_visitor_who_becomes_known_may_qualify_in_that_instant() -> None:
    log = [*visits("B", 1, 2), *visits("A", 3), merge("m", "B", "A", 5)]
    assert crossings(*log) == [("A", "mql", "ENTER", "MERGED", None, 1)]
    [crossing] = simulated(MODEL, log, None).crossings
    assert (round(crossing.previous_score, 3), round(crossing.score, 3)) == (20.0, 60.0)
    assert crossing.occurred_at_ms == START_MS + 5
    assert crossing.trigger is not None
    assert (crossing.trigger.type, crossing.trigger.event_id) == ("command.merge", "m")


def test_a_lead_that_is_in_already_crosses_nothing_when_another_is_merged_into_it() -> None:
    assert crossings(*visits("A", 1, 2, 3), *visits("B", 1, 2, 3), merge("m", "B", "A", 5))[2:] == [
        ("B", "mql", "LEAVE", "MERGED", "A", 2),
        ("A", "hot", "ENTER", "MERGED", None, 1),
    ]


@pytest.mark.parametrize("command", ["email.complaint", "command.suspend"])
def test_a_lead_that_may_not_enter_does_not_take_over_either(command: str) -> None:
    log = [*visits("B", 1, 2, 3), record("x", "A", 4, command), merge("m", "B", "A", 5)]
    assert [crossing[:4] for crossing in crossings(*log)[1:]] == [("B", "mql", "LEAVE", "MERGED")]


def test_what_the_alias_brings_may_take_the_lead_out() -> None:
    log = [*visits("A", 1, 2, 3), record("x", "B", 4, "email.complaint"), merge("m", "B", "A", 5)]
    assert crossings(*log)[1:] == [("A", "mql", "LEAVE", "DISQUALIFIED", None, 2)]


def test_an_event_that_came_under_both_ids_counts_once() -> None:
    log = [record("e1", "B", 1), record("e1", "A", 1), merge("m", "B", "A", 5), record("e1", "B", 1)]
    assert scores(*log) == {"A": 20.0}


def test_an_event_that_was_retracted_under_the_other_id_does_not_count() -> None:
    for target in ({"target_type": "website.page_view"}, {}):
        retract = record("r", "B", 2, "command.retract", target="e1", **target)
        assert scores(record("e1", "A", 1), record("e2", "A", 1), retract, merge("m", "B", "A", 5)) == {"A": 20.0}
        assert scores(retract, record("e1", "A", 1), merge("m", "A", "B", 5)) == {"B": 0.0}


def test_a_reset_under_either_id_is_one_of_the_person() -> None:
    reset = record("r", "B", 3, "command.reset")
    assert scores(*visits("A", 1, 2, 4), reset, *visits("B", 2, 4), merge("m", "B", "A", 5)) == {"A": 40.0}


def test_commands_under_an_alias_are_those_of_the_lead() -> None:
    suspend = record("s", "B", 6, "command.suspend")
    log = [*visits("A", 1), merge("m", "B", "A", 5), suspend, *visits("A", 7, 8)]
    assert crossings(*log) == []
    assert scores(*log) == {"A": 60.0}


def test_merging_twice_or_into_itself_changes_nothing() -> None:
    log = [*visits("B", 1, 2, 3), merge("m", "B", "A", 5)]
    again = [merge("m", "B", "A", 5), merge("m2", "B", "A", 6), merge("m3", "B", "B", 7), merge("m4", "A", "A", 8)]
    assert crossings(*log, *again) == crossings(*log)
    assert scores(*log, *again) == {"A": 60.0}


def test_a_merge_that_comes_again_changes_nothing_although_its_ids_were_merged_on() -> None:
    """Its first copy found one person already. Without a memory the second one would let A enter, as by the first."""
    again = merge("m3", "X", "B", 5)
    log = [*visits("A", 1, 2, 3), merge("m1", "B", "A", 4), merge("m2", "X", "A", 4), again, merge("m4", "A", "Z", 6)]
    assert crossings(*log, again) == crossings(*log)
    assert crossings(*log, merge("m5", "X", "B", 7)) != crossings(*log)


def test_chains_are_followed() -> None:
    merges = [merge("m1", "C", "B", 3), merge("m2", "B", "A", 4)]
    for log in ([*visits("C", 1, 2), *merges, *visits("C", 6)], [*merges[::-1], *visits("C", 6, 7, 8)]):
        assert scores(*log) == {"A": 60.0}


def test_a_merge_of_an_alias_is_one_of_its_lead() -> None:
    log = [*visits("X", 1, 2, 3), merge("m1", "B", "X", 4), merge("m2", "B", "A", 5)]
    assert crossings(*log)[1:] == [("X", "mql", "LEAVE", "MERGED", "A", 2), ("A", "mql", "ENTER", "MERGED", "X", 1)]
    assert scores(*log, *visits("X", 6)) == {"A": 80.0}


@pytest.mark.parametrize("order", [("A", "B", "C"), ("B", "C", "A"), ("C", "B", "A"), ("A", "C", "B")])
def test_of_a_circle_the_smallest_id_is_the_lead(order: tuple[str, str, str]) -> None:
    one, two, three = order
    circle = [merge("m1", one, two, 3), merge("m2", two, three, 4), merge("m3", three, one, 5)]
    log = [*visits("A", 1), *visits("B", 1), *visits("C", 1), *circle, *visits("A", 6), *visits("C", 7)]
    assert scores(*log) == {"A": 100.0}


def test_a_circle_that_is_one_person_already_under_its_smallest_id_changes_nothing() -> None:
    log = [*visits("A", 1, 2, 3), merge("m1", "B", "A", 4)]
    assert crossings(*log, merge("m2", "A", "B", 5)) == crossings(*log)
    assert scores(*log, merge("m2", "A", "B", 5), *visits("B", 6)) == {"A": 80.0}


def test_a_lead_that_comes_out_of_a_circle_goes_on_counting_its_crossings() -> None:
    log = [*visits("A", 1, 2, 3), merge("m1", "A", "B", 4), merge("m2", "B", "A", 5)]
    assert crossings(*log) == [
        ("A", "mql", "ENTER", "EVENT", None, 1),
        ("A", "mql", "LEAVE", "MERGED", "B", 2),
        ("B", "mql", "ENTER", "MERGED", "A", 1),
        ("B", "mql", "LEAVE", "MERGED", "A", 2),
        ("A", "mql", "ENTER", "MERGED", "B", 3),
    ]


@pytest.mark.parametrize("lead_id", ["A", "B", "C"])
def test_an_erasure_under_any_id_erases_all_of_them_and_what_comes_late_does_not_bring_them_back(lead_id: str) -> None:
    merges = [merge("m1", "C", "B", 3), merge("m2", "B", "A", 4)]
    log = [*visits("A", 1), *visits("B", 2), *merges, record("x", lead_id, 5, "command.erase")]
    assert scores(*log) == {}
    late = [record(f"late-{one}", one, 4) for one in ("A", "B", "C")]
    assert scores(*log, *late, *merges) == {}
    assert scores(*log, *visits("B", 6), *visits("C", 7)) == {"B": 20.0, "C": 20.0}


def test_what_is_absorbed_after_an_erasure_does_not_bring_back_what_occurred_before() -> None:
    log = [record("x", "A", 5, "command.erase"), *visits("B", 1, 4, 6), merge("m", "B", "A", 7)]
    assert scores(*log) == {"A": 20.0}


def test_a_reset_from_before_an_erasure_is_not_absorbed_either() -> None:
    """A silence begins with the latest reset: of this one nothing is left, and a lead without an event is not quiet."""
    quiet = {"when": {"quiet": {"rules": ["visit"], "within": "2s"}}, "points": 10}
    log = [record("r", "B", 4, "command.reset"), record("x", "A", 5, "command.erase"), merge("m", "B", "A", 7)]
    (line,) = simulated(MODEL | {"conditions": {"quiet": quiet}}, log, START_MS + DAY_MS).scores
    assert (line.lead_id, line.score) == ("A", 0.0)


def test_an_alias_is_forgotten_after_its_latest_record_and_its_id_is_a_new_leads() -> None:
    model = MODEL | {"forget_after": "40d"}
    days = [Entry({**record("e", "A", 0).event, "event_id": f"e{n}"}, START_MS + n * DAY_MS) for n in (30, 60)]
    days = [Entry({**entry.event, "occurred_at": entry.log_time_ms}, entry.log_time_ms) for entry in days]
    at_ms = START_MS + 60 * DAY_MS
    late = Entry({**record("b", "B", 0).event, "occurred_at": at_ms}, at_ms)
    lines = simulated(model, [merge("m", "B", "A", 0), *days, late], at_ms).scores
    assert {line.lead_id: round(line.score, 3) for line in lines} == {"A": 30.0, "B": 20.0}


def test_an_erasure_leaves_alone_what_is_another_lead_by_now_because_its_alias_was_forgotten() -> None:
    forget_after_ms = 40 * DAY_MS
    erase = record("x", "A", forget_after_ms + 3, "command.erase")
    log = [merge("m", "B", "A", 0), erase, *visits("B", forget_after_ms + 2, forget_after_ms + 4)]
    lines = simulated(MODEL | {"forget_after": "40d"}, log, forget_after_ms + START_MS).scores
    assert {line.lead_id: round(line.score, 3) for line in lines} == {"B": 40.0}


def test_a_merge_into_itself_under_a_forgotten_alias_leaves_a_lead_without_points() -> None:
    log = [merge("m", "B", "A", 0), merge("m2", "B", "B", 41 * DAY_MS)]
    lines = simulated(MODEL | {"forget_after": "40d"}, log, START_MS + 41 * DAY_MS).scores
    assert {line.lead_id: line.score for line in lines} == {"A": 0.0, "B": 0.0}


def test_of_suspensions_under_both_ids_the_latest_holds() -> None:
    suspend, resume = record("s", "A", 2, "command.suspend"), record("r", "B", 3, "command.resume")
    log = [suspend, resume, *visits("A", 1), *visits("B", 1), merge("m", "B", "A", 5)]
    assert crossings(*log, *visits("A", 6)) == [("A", "mql", "ENTER", "EVENT", None, 1)]
    late_suspend = record("s2", "B", 4, "command.suspend")
    assert crossings(late_suspend, *log, *visits("A", 6)) == []


def test_cooldown_counts_from_the_later_enter_of_both_ids() -> None:
    model = MODEL | {"decay": "none", "thresholds": {"mql": {"enter": 50, "exit": 30, "cooldown": "10d"}}}

    def on(day: int, *entries: Entry) -> list[Entry]:
        moved_ms = day * DAY_MS
        return [
            Entry(entry.event | {"occurred_at": entry.log_time_ms + moved_ms}, entry.log_time_ms + moved_ms)
            for entry in entries
        ]

    def in_and_out(lead_id: str) -> list[Entry]:
        return [*visits(lead_id, 1, 2, 3), record(f"{lead_id}-less", lead_id, 4, "command.adjust", points=-40)]

    until_then = [*on(0, *in_and_out("A")), *on(5, *in_and_out("B"), merge("m", "B", "A", 5))]
    assert len(simulated(model, until_then, None).crossings) == 4
    assert len(simulated(model, [*until_then, *on(11, *visits("A", 9))], None).crossings) == 4
    assert len(simulated(model, [*until_then, *on(15, *visits("A", 9))], None).crossings) == 5


def test_a_merge_that_comes_late_is_evaluated_at_the_latest_time_of_either_lead() -> None:
    early = merge("m", "B", "A", 5)
    log = [*visits("A", 1), *visits("B", 2, 90), Entry(early.event, START_MS + 95)]
    [crossing] = simulated(MODEL, log, None).crossings
    assert (crossing.lead_id, crossing.cause.value, crossing.occurred_at_ms) == ("A", "MERGED", START_MS + 90)
