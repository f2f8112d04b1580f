"""The order of computed points: by size to 1e-9, then by name."""

import heapq
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from leadscore.scoring.ranking import ranked, whole_steps
from tests import oracle

Named = tuple[str, float]
NEAR = 0.8e-9


def names(points: list[Named]) -> list[str]:
    return [name for name, _ in ranked(points, lambda one: one[1], lambda one: one[0])]


def test_sizes_that_differ_by_rounding_only_are_equal() -> None:
    assert names([("b", 3.7500000000000004), ("a", 3.75), ("c", 4.0)]) == ["c", "a", "b"]


def test_sizes_that_differ_by_more_are_not() -> None:
    assert names([("a", 3.75), ("b", 3.75 + 2e-9)]) == ["b", "a"]


def test_a_chain_of_near_sizes_is_one_size_whatever_order_they_come_in() -> None:
    """Or a would be equal to b, b to c, and c larger than a."""
    chain = [("a", 5 - 2 * NEAR), ("b", 5 - NEAR), ("c", 5.0), ("d", 4.0), ("e", 6.0)]
    assert {tuple(names(list(order))) for order in permutations(chain)} == {("e", "a", "b", "c", "d")}


def test_of_two_of_one_name_and_size_the_first_comes_first() -> None:
    same = [("a", 1.0, "rule"), ("a", 1.0000000000000002, "condition")]
    assert [kind for *_, kind in ranked(same, lambda one: one[1], lambda one: one[0])] == ["rule", "condition"]


SOME_POINTS = st.dictionaries(
    st.sampled_from("abcdefgh"), st.tuples(st.integers(1, 3), st.integers(0, 4)).map(lambda two: two[0] + NEAR * two[1])
)


@given(SOME_POINTS)
def test_it_is_the_order_of_the_oracle(points: dict[str, float]) -> None:
    model: oracle.Plain = {"conditions": {name: {} for name in points}}
    reading = oracle.Reading(model, 0, rules={}, conditions=points, attributes={})
    assert names(list(points.items()))[: oracle.TOP_REASONS] == [reason["name"] for reason in reading.reasons]


def test_what_is_ranked_while_it_is_read_is_compared_in_whole_steps() -> None:
    scores = [("b", 60.00000000000001), ("a", 60.0), ("c", 60.000001)]
    best = heapq.nsmallest(2, scores, key=lambda one: (-whole_steps(one[1]), one[0]))
    assert [name for name, _ in best] == ["c", "a"]
