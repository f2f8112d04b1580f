"""Sets of field values, described well enough to say that one is empty or lies inside another. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from math import inf

Scalar = str | int | float | bool


class ValueKind(StrEnum):
    """The kinds of value a field may have; ``true`` is no number, and a missing value is a kind of its own."""

    MISSING = "a missing value"
    FLAG = "true or false"
    NUMBER = "a number"
    TEXT = "text"
    LIST = "a list"


PRESENT = frozenset(ValueKind) - {ValueKind.MISSING}

Listed = tuple[ValueKind, Scalar]
"""A value with its kind: ``true`` and 1 are equal in Python, and different here."""


@dataclass(frozen=True, slots=True)
class ValueSet:
    """All values of some kinds, numbers only from ``at_least`` to below ``below``, without the ``refused`` ones.

    With ``listed``, only those among them. A set that ``is_exact`` holds nothing else and nothing less; another one
    is an upper bound, as of what passes a regular expression.
    """

    kinds: frozenset[ValueKind]
    at_least: float = -inf
    below: float = inf
    listed: frozenset[Listed] | None = None
    refused: frozenset[Listed] = frozenset()
    is_exact: bool = True

    @property
    def is_empty(self) -> bool:
        """Whether no value at all is in it."""
        if self.listed is not None:
            return not any(map(self._may_hold, self.listed))
        return not self.kinds or (self.kinds == {ValueKind.NUMBER} and self.at_least >= self.below)

    def covers(self, other: "ValueSet") -> bool:
        """Whether every value of the other set is certainly in this one."""
        if not self.is_exact:
            return False
        if other.listed is not None:
            return all(self._may_hold(value) for value in other.listed if other._may_hold(value))  # noqa: SLF001
        if self.listed is not None or not other.kinds <= self.kinds or not self.refused <= other.refused:
            return False
        return self.at_least <= other.at_least and other.below <= self.below

    def _may_hold(self, value: Listed) -> bool:
        kind, scalar = value
        if kind not in self.kinds or value in self.refused or (self.listed is not None and value not in self.listed):
            return False
        return isinstance(scalar, str) or self.at_least <= scalar < self.below


EVERYTHING = ValueSet(frozenset(ValueKind))


def listed(values: Iterable[Scalar]) -> frozenset[Listed]:
    """The values, each with its kind."""
    return frozenset((_kind_of(value), value) for value in values)


def exactly(values: Iterable[Scalar]) -> ValueSet:
    """The set of these values alone."""
    choices = listed(values)
    return ValueSet(frozenset(kind for kind, _ in choices), listed=choices)


def intersection(sets: Iterable[ValueSet]) -> ValueSet:
    """The values that are in all of the sets."""
    return reduce(_both, sets, EVERYTHING)


def _both(one: ValueSet, other: ValueSet) -> ValueSet:
    return ValueSet(
        kinds=one.kinds & other.kinds,
        at_least=max(one.at_least, other.at_least),
        below=min(one.below, other.below),
        listed=other.listed
        if one.listed is None
        else one.listed & (one.listed if other.listed is None else other.listed),
        refused=one.refused | other.refused,
        is_exact=one.is_exact and other.is_exact,
    )


def _kind_of(value: Scalar) -> ValueKind:
    if isinstance(value, bool):
        return ValueKind.FLAG
    return ValueKind.TEXT if isinstance(value, str) else ValueKind.NUMBER
