"""Random models and logs: every test of a field is made in every place, passes somewhere, and fails somewhere.

A test that always passes, or never does, would be compared with the oracle's without saying anything.
"""

from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import strategies as st

from leadscore.model.field_tests import TEST_KEYS
from tests import histories, random_models
from tests.oracle import Plain, passes
from tests.random_models import ALL
from tests.unit.never_seen import never_seen

pytestmark = pytest.mark.timeout(900)  # it looks until it has seen everything

ENDS = ("passes", "fails")


def test_in_random_rules_every_test_passes_and_fails() -> None:
    expected = {f"{key} {end}" for key, end in product(("plain value", *TEST_KEYS), ENDS)}

    assert never_seen(expected, st.tuples(random_models.wheres(), histories.acts()), ends_in_a_rule) == set()


def test_in_random_attributes_every_test_passes_and_fails() -> None:
    expected = {f"{key} {end}" for key, end in product(TEST_KEYS, ENDS)}

    assert (
        never_seen(expected, st.tuples(random_models.attribute_tests(), histories.acts()), ends_in_attributes) == set()
    )


def test_random_models_make_every_test_in_rules_bands_and_conditions() -> None:
    expected = {f"{place} {key}" for place, key in product(("rule", "band", "condition"), TEST_KEYS)}

    assert never_seen(expected, random_models.models(ALL), places) == set()


def ends_in_a_rule(example: tuple[Plain, Plain]) -> Iterator[str]:
    where, event = example
    for field, test in where.items():
        yield from ends(test, event.get(field))


def ends_in_attributes(example: tuple[Plain, Plain]) -> Iterator[str]:
    test, event = example
    return ends(test, event.get("attributes", {}).get(test["name"]))


def places(model: Plain) -> Iterator[str]:
    rules = [test for rule in model["rules"].values() for test in rule.get("where", {}).values()]
    bands = [band for bands in model["fit"].get("attributes", {}).values() for band in bands]
    conditions = [test for part in model["conditions"].values() for test in attribute_tests(part["when"])]
    for place, tests in (("rule", rules), ("band", bands), ("condition", conditions)):
        yield from (f"{place} {key}" for test in tests if isinstance(test, dict) for key in test)


def attribute_tests(when: Plain) -> Iterator[Plain]:
    ((kind, inner),) = when.items()
    if kind == "attribute":
        yield inner
    for part in inner if kind in ("all", "any") else [inner] if kind == "not" else []:
        yield from attribute_tests(part)


def ends(test: object, value: object) -> Iterator[str]:
    """How each test that is made ends on the value: ``in passes``."""
    tests = {key: test[key] for key in TEST_KEYS if key in test} if isinstance(test, dict) else {"plain value": test}
    for key, argument in tests.items():
        alone = {key: argument} if isinstance(test, dict) else argument
        yield f"{key} {'passes' if passes(alone, value) else 'fails'}"
