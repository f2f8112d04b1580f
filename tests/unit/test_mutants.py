"""The planted errors of ``make mutants`` and ``make worker-mutants`` can be planted: their texts follow the code."""

import pytest

from tests.mutants.of_the_worker import WORKER_MUTANTS
from tests.mutants.run import is_plantable
from tests.mutants.table import MUTANTS, Mutant

EVERY = (*MUTANTS, *(one.mutant for one in WORKER_MUTANTS))


@pytest.mark.parametrize("mutant", EVERY, ids=lambda mutant: mutant.wrong)
def test_the_text_that_an_error_replaces_stands_exactly_once_in_its_file(mutant: Mutant) -> None:
    assert is_plantable(mutant)
