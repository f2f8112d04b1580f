"""The age of the oldest record that is not committed, from what is known: ends at times, and timestamps of records."""

import pytest

from leadscore.pipeline.kafka.lag_times import MOST_LOOKS, MOST_NOTES, LagTimes, ReadTimes

WEB = ("web", 0)
NOW_S = 1_900_000_000.0


@pytest.fixture
def read_times() -> ReadTimes:
    return ReadTimes()


@pytest.fixture
def times(read_times: ReadTimes) -> LagTimes:
    return LagTimes(read_times)


def test_a_record_came_after_the_last_look_that_did_not_see_it(times: LagTimes) -> None:
    times.oldest_s(WEB, NOW_S, 100, 100)
    times.oldest_s(WEB, NOW_S + 2, 100, 100)
    assert times.oldest_s(WEB, NOW_S + 4, 101, 100) == NOW_S + 2
    assert times.oldest_s(WEB, NOW_S + 60, 150, 100) == NOW_S + 2


def test_what_is_committed_meanwhile_is_no_longer_the_oldest(times: LagTimes) -> None:
    for second, end in enumerate((100, 110, 120, 130)):
        times.oldest_s(WEB, NOW_S + second, end, 100)
    assert times.oldest_s(WEB, NOW_S + 4, 140, 115) == NOW_S + 1
    assert times.oldest_s(WEB, NOW_S + 5, 150, 130) == NOW_S + 3


def test_of_a_quiet_topic_the_age_begins_with_the_record_and_not_with_the_one_before(
    times: LagTimes, read_times: ReadTimes
) -> None:
    read_times.note(WEB, 99, int((NOW_S - 3_600) * 1000))
    times.oldest_s(WEB, NOW_S, 100, 100)
    assert times.oldest_s(WEB, NOW_S + 2, 101, 100) == NOW_S


def test_a_worker_that_begins_with_a_backlog_goes_by_the_timestamps_of_what_it_reads(
    times: LagTimes, read_times: ReadTimes
) -> None:
    assert times.oldest_s(WEB, NOW_S, 1_000, 100) == NOW_S
    read_times.note(WEB, 299, int((NOW_S - 7_000) * 1000))
    assert times.oldest_s(WEB, NOW_S + 2, 1_000, 100) == NOW_S - 7_000
    read_times.note(WEB, 499, int((NOW_S - 5_000) * 1000))
    assert times.oldest_s(WEB, NOW_S + 4, 1_000, 300) == NOW_S - 7_000
    assert times.oldest_s(WEB, NOW_S + 6, 1_000, 500) == NOW_S - 5_000


def test_about_one_record_a_second_is_noted(read_times: ReadTimes) -> None:
    for offset in range(1_000):
        read_times.note(WEB, offset, 10 * offset)
    assert read_times.last_offset(WEB) == 999
    before_ms = read_times.before_ms(WEB, 500)
    assert before_ms is not None
    assert 3_900 <= before_ms <= 4_990
    from_ms = read_times.from_ms(WEB, 500)
    assert from_ms is not None
    assert 5_000 <= from_ms <= 6_010


def test_the_record_at_the_committed_offset_is_not_before_it(read_times: ReadTimes) -> None:
    read_times.note(WEB, 7, 7_000)
    assert read_times.before_ms(WEB, 7) is None
    assert read_times.from_ms(WEB, 7) == 7_000
    assert read_times.before_ms(WEB, 8) == 7_000


def test_what_is_read_again_is_not_noted_again(read_times: ReadTimes) -> None:
    read_times.note(WEB, 7, 7_000)
    read_times.note(WEB, 3, 3_000)
    assert read_times.last_offset(WEB) == 7


def test_a_partition_that_is_given_up_is_forgotten(times: LagTimes, read_times: ReadTimes) -> None:
    read_times.note(WEB, 7, 7_000)
    times.oldest_s(WEB, NOW_S, 5, 5)
    read_times.forget([WEB])
    times.forget_others([])
    assert read_times.last_offset(WEB) is None
    assert times.oldest_s(WEB, NOW_S + 60, 9, 7) == NOW_S + 60


def test_what_is_remembered_is_bounded_and_its_beginning_stays(times: LagTimes, read_times: ReadTimes) -> None:
    for number in range(10 * max(MOST_LOOKS, MOST_NOTES)):
        read_times.note(WEB, number, 1_000 * number)
        times.oldest_s(WEB, NOW_S + number, number + 1, 0)
    assert sum(map(len, read_times._offsets.values())) <= MOST_NOTES
    assert len(times._looks[WEB]._ends) <= MOST_LOOKS
    assert read_times.from_ms(WEB, 0) == 0
