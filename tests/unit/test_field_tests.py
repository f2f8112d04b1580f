"""The table of tests: what a row says about comparing values agrees with what it lets pass."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from leadscore.events.event import FieldValue
from leadscore.model.definition import Band
from leadscore.model.field_tests import TEST_KEYS, Test, applied_tests, passes_missing, predicate_of
from leadscore.model.never_true import contradiction, unreached
from tests import histories, random_models
from tests.unit.model_texts import PAGE

Arguments = dict[str, object]

VALUES: SearchStrategy[FieldValue] = st.one_of(
    st.sampled_from([*histories.PATHS, *histories.ROLES, "2", "many", None, True, False]),
    st.integers(-1, 6_000),
    st.sampled_from([0.0, 1.5, 2.0, 1e9]),
)


def combined_tests() -> SearchStrategy[Arguments]:
    """One or several of the tests that random models make, put together as they come."""
    wheres = random_models.wheres().flatmap(lambda where: st.sampled_from([*where.values(), {}]))
    single = st.one_of(wheres, random_models.attribute_tests())
    made = single.filter(lambda test: isinstance(test, dict)).map(
        lambda test: {k: test[k] for k in TEST_KEYS if k in test}
    )
    return st.lists(made, min_size=1, max_size=3).map(lambda parts: {k: v for part in parts for k, v in part.items()})


def typed(arguments: Arguments) -> Test:
    return msgspec.convert(arguments, Test)


@given(combined_tests(), VALUES)
def test_what_contradicts_itself_lets_no_value_pass(arguments: Arguments, value: FieldValue) -> None:
    test = typed(arguments)

    assert contradiction(test) is None or not predicate_of(test)(value)


@given(combined_tests(), combined_tests(), VALUES)
def test_a_band_is_unreached_only_if_all_its_values_pass_the_one_before(
    first: Arguments, second: Arguments, value: FieldValue
) -> None:
    bands = [msgspec.convert({**arguments, "points": 1}, Band) for arguments in (first, second)]
    earlier, later = (predicate_of(band)(value) for band in bands)

    assert not list(unreached(bands, ())) or earlier or not later


@given(combined_tests(), VALUES)
def test_all_tests_together_pass_what_each_passes(arguments: Arguments, value: FieldValue) -> None:
    tests = applied_tests(typed(arguments))

    assert [test.key for test in tests] == [key for key in TEST_KEYS if key in arguments]
    assert predicate_of(typed(arguments))(value) == (bool(tests) and all(test.predicate(value) for test in tests))


@pytest.mark.parametrize(
    ("arguments", "passes"),
    [({"exists": False}, True), ({"exists": True}, False), ({"not_in": ["a"]}, False), ({}, False)],
)
def test_a_missing_value_passes_exists_false_alone(arguments: Arguments, passes: bool) -> None:
    assert passes_missing(typed(arguments)) is passes


def test_the_page_explains_every_test() -> None:
    section = PAGE.partition("**Tests**")[2].partition("**Decay**")[0]
    explained = {
        key for column in re.findall(r"^\|([^|]*)\|", section, re.MULTILINE) for key in re.findall(r"`(\w+)`", column)
    }

    assert explained == set(TEST_KEYS)
