"""The planted errors of ``make mutants`` can all be planted: their texts follow the code."""

import pytest

from tests.mutants.run import is_plantable
from tests.mutants.table import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.wrong)
def test_the_text_that_an_error_replaces_stands_exactly_once_in_its_file(mutant: Mutant) -> None:
    assert is_plantable(mutant)
