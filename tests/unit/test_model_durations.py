"""Durations of the model file."""

import pytest

from leadscore.yaml_reading.durations import days, in_words, milliseconds


@pytest.mark.parametrize(
    ("text", "length_ms"),
    [("0s", 0), ("90s", 90_000), ("5m", 300_000), ("12h", 43_200_000), ("14d", 1_209_600_000), ("007d", 604_800_000)],
)
def test_a_duration_is_its_milliseconds(text: str, length_ms: int) -> None:
    assert milliseconds(text) == length_ms


@pytest.mark.parametrize(
    "text", ["", "14", "d", "-1d", "1.5h", "14 d", "14D", "14w", "14d\n", "1d12h", "\u0661d", "9" * 11 + "s"]
)
def test_other_text_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="expected a whole number with s, m, h or d"):
        milliseconds(text)


def test_a_hundred_years_is_the_longest() -> None:
    assert days("36525d") == 36_525
    with pytest.raises(ValueError, match="99999d: expected at most 36525d"):
        milliseconds("99999d")


def test_days_want_days() -> None:
    assert days("14d") == 14
    with pytest.raises(ValueError, match="24h: expected a whole number of days"):
        days("24h")


@pytest.mark.parametrize(("text", "words"), [("1d", "1 day"), ("14d", "14 days"), ("90s", "90 seconds")])
def test_a_duration_in_words(text: str, words: str) -> None:
    assert in_words(text) == words
