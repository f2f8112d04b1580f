"""Text for people: columns, bars, lengths of time."""

import pytest

from leadscore.cli.columns import aligned, bar, chosen, fitting, length_of_time, width_of


def test_columns_stand_below_each_other_with_numbers_to_the_right() -> None:
    assert aligned([("a", "1.00", "x"), ("long", "12.00", "")], right=[1]) == ["a      1.00  x", "long  12.00"]


@pytest.mark.parametrize(("share", "cells"), [(0.0, 0), (0.001, 1), (0.5, 5), (1.0, 10), (1.7, 10)])
def test_a_bar_shows_the_share_and_anything_at_all_is_seen(share: float, cells: int) -> None:
    assert bar(share, 10, unicode=False) == "#" * cells
    assert len(bar(share, 10, unicode=True)) == cells


def test_a_bar_of_negative_points_looks_different() -> None:
    assert bar(-0.5, 10, unicode=False) == "-----"
    assert bar(-0.5, 10, unicode=True) == "░░░░░"


def test_columns_that_a_narrow_terminal_has_no_room_for_go_in_their_order() -> None:
    rows = [("name", "12", "long text"), ("n", "3", "")]
    assert width_of(rows) == 4 + 2 + 2 + 2 + 9
    assert fitting(rows, 19, [2, 1]) == [0, 1, 2]
    assert fitting(rows, 18, [2, 1]) == [0, 1]
    assert fitting(rows, 18, [1, 2]) == [0, 2]
    assert fitting(rows, 1, [1, 2]) == [0]
    assert chosen(rows, [0, 2]) == [("name", "long text"), ("n", "")]


@pytest.mark.parametrize(
    ("length_ms", "words"),
    [
        (0, "0 s"),
        (119_999, "119 s"),
        (120_000, "2 min"),
        (7_199_999, "119 min"),
        (47 * 3_600_000, "47 h"),
        (10**9, "11 d"),
    ],
)
def test_a_length_of_time_is_written_in_the_largest_unit_of_which_there_are_two(length_ms: int, words: str) -> None:
    assert length_of_time(length_ms) == words
