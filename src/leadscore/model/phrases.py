"""Words as a sentence has them. Pure."""

from collections.abc import Iterable


def all_of(words: Iterable[str]) -> str:
    """``a, b and c``."""
    return _joined(list(words), "and")


def any_of(words: Iterable[str]) -> str:
    """``a, b or c``."""
    return _joined(list(words), "or")


def counted(number: int, noun: str) -> str:
    """``1 rule``, ``2 rules``."""
    return f"{number} {noun_for(number, noun)}"


def noun_for(count: float, noun: str) -> str:
    """``point`` for one, ``points`` for any other count."""
    return noun if count == 1 else f"{noun}s"


def _joined(words: list[str], last: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
