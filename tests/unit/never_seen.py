"""What random examples lack: a comparison on random examples says nothing about what is in none of them."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")

THOROUGH = settings(
    max_examples=3_000, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=[*HealthCheck]
)


def never_seen(expected: set[str], examples: SearchStrategy[T], words: Callable[[T], Iterator[str]]) -> set[str]:
    """What of the expected is in no example; looks until everything was seen."""
    missing = set(expected)

    def nothing_is_missing(example: T) -> bool:
        missing.difference_update(words(example))
        return not missing

    with suppress(NoSuchExample):
        find(examples, nothing_is_missing, settings=THOROUGH)
    return missing
