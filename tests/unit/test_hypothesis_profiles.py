"""What the profiles of tests/conftest.py promise."""

from hypothesis import given, settings
from hypothesis import strategies as st


def examples_of(profile: str) -> list[int]:
    drawn: list[int] = []

    @settings(settings.get_profile(profile), max_examples=20, database=None)
    @given(st.integers())
    def draw(number: int) -> None:
        drawn.append(number)

    draw()
    return drawn


def test_a_usual_run_has_the_same_examples_every_time() -> None:
    assert examples_of("default") == examples_of("default")
    assert settings.get_profile("default").database is None


def test_a_nightly_run_has_new_ones() -> None:
    assert examples_of("nightly") != examples_of("nightly")
