"""People with several ids over several log partitions, with owners that die and stores that lose: design 1.12, 2.9."""

from hypothesis import given
from hypothesis import strategies as st

from tests.many_shards import Planned, Violation, erase_a_person, simulate_people


@given(st.integers(0, 2**32))
def test_every_person_is_one_lead_with_all_its_events_whatever_goes_wrong(seed: int) -> None:
    simulate_people(seed)


@given(st.integers(0, 2**32))
def test_an_erasure_under_any_id_leaves_nothing_of_the_person_and_nothing_brings_it_back(seed: int) -> None:
    erase_a_person(seed)


def test_a_commit_before_what_goes_on_is_published_is_seen_to_lose_it() -> None:
    lost = 0
    for seed in range(30):
        try:
            simulate_people(seed, Planned(commits_first=True))
        except Violation:
            lost += 1
    assert lost > 5
