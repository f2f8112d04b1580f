"""When polls wait, and for what, and when the score stage sits out."""

import pytest

from leadscore.pipeline.pace import (
    AT_ONCE,
    BACK_S,
    BEHIND_RECORDS,
    BUSY_RECORDS,
    IDLE_WAIT_S,
    LIVE_S,
    LIVELY_RECORDS,
    SCORE_RECORDS,
    SCORE_WAITS_S,
    TURN_S,
    WAIT_S,
    Pace,
    Waits,
)

NOW_S = 1_000.0
FIRST = Waits(WAIT_S, 0.0)
FIRST_AFTER_LONG = Waits(IDLE_WAIT_S, 0.0)
COLLECTING = Waits(0.0, WAIT_S)


LATE_S = 60.0


def after(matched: int, scored: int = 0) -> Pace:
    """Of both stages, after a turn with these numbers of records, which had just come."""
    pace = Pace(has_match=True)
    pace.matched(matched, 0.0, NOW_S)
    pace.scored(scored, NOW_S, has_more=False)
    return pace


def behind(matched: int = BEHIND_RECORDS, late_s: float = LATE_S) -> Pace:
    """Of both stages, within a turn that has matched so much."""
    pace = Pace(has_match=True)
    pace.matched(matched, late_s, NOW_S)
    return pace


def both_wait(pace: Pace, now_s: float) -> tuple[Waits, Waits]:
    return pace.match_waits(now_s, has_batch=False), pace.score_waits(now_s)


def test_with_nothing_to_do_the_match_stage_waits_for_a_record_and_the_score_stage_not_at_all() -> None:
    assert both_wait(Pace(has_match=True), NOW_S) == (FIRST_AFTER_LONG, AT_ONCE)
    assert both_wait(after(0), NOW_S) == (FIRST_AFTER_LONG, AT_ONCE)


@pytest.mark.parametrize(("matched", "scored"), [(1, 0), (0, 1), (LIVELY_RECORDS - 1, 3)])
def test_after_few_records_the_score_stage_waits_for_one_that_comes_back_and_the_match_stage_not_at_all(
    matched: int, scored: int
) -> None:
    assert both_wait(after(matched, scored), NOW_S) == (AT_ONCE, FIRST)


def test_for_a_while_after_a_record_waits_are_short() -> None:
    pace = after(1, 1)
    pace.matched(0, 0.0, NOW_S + 0.1)
    pace.scored(0, NOW_S + 0.1, has_more=False)
    assert both_wait(pace, NOW_S + 0.1) == (FIRST, AT_ONCE)
    assert both_wait(pace, NOW_S + LIVE_S) == (FIRST_AFTER_LONG, AT_ONCE)


@pytest.mark.parametrize("matched", [LIVELY_RECORDS, BUSY_RECORDS - 1])
def test_after_more_records_the_match_stage_collects_for_a_moment(matched: int) -> None:
    pace = after(matched)
    assert pace.match_waits(NOW_S, has_batch=False) == pytest.approx(Waits(0.0, TURN_S))
    assert pace.score_waits(NOW_S) == FIRST
    assert pace.is_time_to_score(NOW_S)


@pytest.mark.parametrize("matched", [1, LIVELY_RECORDS])
def test_the_score_stage_waits_for_all_that_the_turn_has_logged(matched: int) -> None:
    pace = Pace(has_match=True)
    pace.matched(matched, 0.0, NOW_S, logged=3)
    assert pace.score_waits(NOW_S) == Waits(BACK_S, 0.0, first=3)
    pace.matched(matched, 0.0, NOW_S)
    assert pace.score_waits(NOW_S) == FIRST


@pytest.mark.parametrize("matched", [BUSY_RECORDS, BEHIND_RECORDS])
def test_after_many_records_the_score_stage_takes_what_is_back_and_waits_for_nothing(matched: int) -> None:
    pace = Pace(has_match=True)
    pace.matched(matched, 0.0, NOW_S, logged=3)
    assert pace.match_waits(NOW_S, has_batch=False) == pytest.approx(Waits(0.0, TURN_S))
    assert pace.score_waits(NOW_S) == AT_ONCE
    assert pace.is_time_to_score(NOW_S)


def test_what_came_during_a_long_turn_is_matched_at_once_after_it() -> None:
    pace = after(LIVELY_RECORDS)
    assert pace.match_waits(NOW_S + TURN_S / 3, has_batch=False) == pytest.approx(Waits(0.0, TURN_S * 2 / 3))
    assert pace.match_waits(NOW_S + 2 * TURN_S, has_batch=False) == AT_ONCE
    assert pace.match_waits(NOW_S - 100.0, has_batch=False) == Waits(0.0, TURN_S)  # the clock was set back


def test_behind_the_match_stage_collects_unless_a_full_batch_is_at_hand() -> None:
    assert behind().match_waits(NOW_S, has_batch=False) == COLLECTING
    assert behind().match_waits(NOW_S, has_batch=True) == AT_ONCE


def test_behind_the_match_stage_waits_for_a_record_while_nothing_at_hand_may_go() -> None:
    pace = behind()
    pace.matched(0, LATE_S, NOW_S)
    assert pace.match_waits(NOW_S, has_batch=True) == FIRST_AFTER_LONG


def test_behind_the_score_stage_waits_until_much_is_matched() -> None:
    pace = behind()
    pace.matched(SCORE_RECORDS - BEHIND_RECORDS - 1, LATE_S, NOW_S)
    assert not pace.is_time_to_score(NOW_S)
    pace.matched(1, LATE_S, NOW_S)
    assert pace.is_time_to_score(NOW_S)
    pace.scored(100, NOW_S, has_more=True)
    pace.matched(BEHIND_RECORDS, LATE_S, NOW_S)
    assert pace.is_time_to_score(NOW_S)
    pace.scored(100, NOW_S, has_more=False)
    pace.matched(BEHIND_RECORDS, LATE_S, NOW_S)
    assert not pace.is_time_to_score(NOW_S)


@pytest.mark.parametrize(("late_s", "longest_s"), [(LATE_S, SCORE_WAITS_S), (2.0, 2.0)])
def test_behind_scoring_waits_no_longer_than_the_worker_is_late(late_s: float, longest_s: float) -> None:
    pace = behind(late_s=late_s)
    pace.matched(BEHIND_RECORDS, late_s, NOW_S + longest_s / 2)
    assert not pace.is_time_to_score(NOW_S + longest_s / 2)
    assert pace.is_time_to_score(NOW_S + longest_s)


def test_a_poll_that_brings_little_does_not_end_a_large_batch() -> None:
    pace = behind()
    pace.matched(0, LATE_S, NOW_S)
    assert not pace.is_time_to_score(NOW_S)


def test_what_is_not_back_from_the_log_when_a_large_batch_is_scored_belongs_to_the_next() -> None:
    pace = behind()
    pace.scored(100, NOW_S, has_more=False)
    pace.matched(1, LATE_S, NOW_S)
    assert not pace.is_time_to_score(NOW_S)


def test_while_nothing_is_matched_the_score_stage_goes_on() -> None:
    """The match stage may have to wait for a service; frames of other workers come all the same."""
    pace = behind()
    pace.scored(100, NOW_S, has_more=False)
    pace.matched(0, LATE_S, NOW_S)
    assert pace.is_time_to_score(NOW_S)


def test_the_last_records_of_a_backlog_are_scored_at_once() -> None:
    pace = behind()
    pace.matched(0, 0.0, NOW_S)
    assert pace.is_time_to_score(NOW_S)


@pytest.mark.parametrize(("matched", "late_s"), [(BEHIND_RECORDS - 1, LATE_S), (SCORE_RECORDS, 0.5)])
def test_few_records_and_records_that_have_just_come_are_scored_at_once(matched: int, late_s: float) -> None:
    """Few that are late as well: those of producers whose timestamps are old always are."""
    assert behind(matched, late_s).is_time_to_score(NOW_S)


def test_without_a_match_stage_the_score_stage_waits_as_that_would() -> None:
    pace = Pace(has_match=False)
    assert pace.score_waits(NOW_S) == FIRST_AFTER_LONG
    pace.scored(1, NOW_S, has_more=False)
    assert pace.score_waits(NOW_S) == AT_ONCE
    pace.scored(LIVELY_RECORDS, NOW_S, has_more=False)
    assert pace.score_waits(NOW_S) == COLLECTING
    assert pace.is_time_to_score(NOW_S)
