"""Tests that no value passes, and bands that no value reaches because an earlier one takes it. Pure.

Only what is certain is told; regular expressions are not compared.
"""

from collections.abc import Iterator
from itertools import combinations

from leadscore.model.definition import Band
from leadscore.model.field_tests import AppliedTest, Test, applied_tests
from leadscore.model.phrases import any_of
from leadscore.model.value_sets import Scalar, ValueKind, ValueSet, intersection
from leadscore.yaml_reading.document import Path
from leadscore.yaml_reading.shape import Finding


def contradiction(test: Test) -> str | None:
    """Why no value passes all the tests together; ``None`` if one may."""
    tests = applied_tests(test)
    passing = intersection(applied.values for applied in tests)
    if not passing.is_empty:
        return None
    if apart := _of_different_kinds(tests):
        why = apart
    elif passing.listed is not None:
        why = "all values of in fail the other tests: expected one or the other"
    else:
        return (
            f"at_least {passing.at_least} and below {passing.below}: never true, expected at_least smaller than below"
        )
    return f"{', '.join(applied.key for applied in tests)}: never true, {why}"


def never_a_number(test: Scalar | Test) -> bool:
    """Whether no number passes all the tests together."""
    passing = intersection(applied.values for applied in applied_tests(test))
    return ValueKind.NUMBER not in passing.kinds


def unreached(bands: list[Band], path: Path) -> Iterator[Finding]:
    """The bands all of whose values an earlier band takes."""
    passing = [_passing(band) for band in bands]
    for place, values in enumerate(passing):
        earlier = next((index for index in range(place) if _takes_all(passing[index], values)), None)
        if earlier is not None:
            yield (
                (*path, place),
                f"never reached, its values pass band [{earlier}] before: expected the narrower band first",
            )


def _passing(band: Band) -> ValueSet | None:
    """The values that pass; ``None`` for a band without tests, which is a problem of its own."""
    tests = applied_tests(band)
    return intersection(applied.values for applied in tests) if tests else None


def _takes_all(earlier: ValueSet | None, later: ValueSet | None) -> bool:
    return earlier is not None and later is not None and earlier.covers(later)


def _of_different_kinds(tests: list[AppliedTest]) -> str | None:
    """The first two tests that no kind of value can pass both, in words."""
    for one, other in combinations(tests, 2):
        kinds = (one.values.kinds, other.values.kinds)
        if {ValueKind.MISSING} in kinds and not kinds[0] & kinds[1]:
            return "a missing value passes no other test than exists: false"
        if not kinds[0] & kinds[1]:
            only = [any_of(kind for kind in ValueKind if kind in passing) for passing in kinds]
            return f"{one.key} passes only {only[0]} and {other.key} only {only[1]}: expected one or the other"
    return None
