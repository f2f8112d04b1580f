"""Tests that no value passes, and bands that no value reaches because an earlier one takes it. Pure.

Only what is certain is found; regular expressions are not compared.
"""

from collections.abc import Iterator
from math import inf

from leadscore.model.definition import Band, Scalar, Test
from leadscore.yaml_reading.document import Path
from leadscore.yaml_reading.shape import Finding


def tests_given(test: Test) -> list[str]:
    """The names of the tests, as the file has them."""
    checks = {
        "in": test.in_,
        "not_in": test.not_in,
        "at_least": test.at_least,
        "below": test.below,
        "matches": test.matches,
        "exists": test.exists,
    }
    return [name for name, value in checks.items() if value is not None]


def contradiction(test: Test) -> str | None:
    """Why no value passes all the tests together, if none does."""
    given = ", ".join(tests_given(test))
    if test.exists is False and given != "exists":
        return f"{given}: never true, a missing value passes no other test than exists: false"
    if test.at_least is not None and test.below is not None and test.at_least >= test.below:
        return f"at_least {test.at_least} and below {test.below}: never true, expected at_least smaller than below"
    if test.matches is not None and _has_bounds(test):
        return f"{given}: never true, matches is for text and text is no number: expected one or the other"
    if test.in_ and test.not_in and _distinct(test.in_) <= _distinct(test.not_in):
        return f"{given}: never true, all values of in are in not_in: expected one or the other"
    return None


def unreached(bands: list[Band], path: Path) -> Iterator[Finding]:
    """The bands all of whose values an earlier band takes."""
    for place, band in enumerate(bands):
        earlier = next((index for index in range(place) if _takes_all(bands[index], band)), None)
        if earlier is not None:
            yield (
                (*path, place),
                f"never reached, its values pass band [{earlier}] before: expected the narrower band first",
            )


def _takes_all(earlier: Test, later: Test) -> bool:
    """Whether every value that passes the later tests passes the earlier ones."""
    given = tests_given(earlier)
    if given == ["exists"]:
        return earlier.exists is (later.exists is not False)
    if given == ["in"]:
        return bool(later.in_) and _distinct(later.in_ or []) <= _distinct(earlier.in_ or [])
    if not set(given) <= {"at_least", "below"} or not _has_bounds(later):
        return False
    return _low(earlier) <= _low(later) and _high(later) <= _high(earlier)


def _has_bounds(test: Test) -> bool:
    return test.at_least is not None or test.below is not None


def _low(test: Test) -> float:
    return -inf if test.at_least is None else test.at_least


def _high(test: Test) -> float:
    return inf if test.below is None else test.below


def _distinct(values: list[Scalar]) -> set[tuple[bool, Scalar]]:
    """The values as tests see them: ``true`` is not 1."""
    return {(isinstance(value, bool), value) for value in values}
