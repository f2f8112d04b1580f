"""The tests of a field's value that rules, fit and conditions may make: a closed table, one row for each. Pure.

The table is ``Test``: a row is a key of the model file with the type of its argument, its meaning for editors, and a
``TestKind`` that holds everything else the product knows of it. Matching, descriptions, checks at load and the JSON
Schema read the rows; none of them names a test. To add one, add a row, and a line to the table in docs/model.md.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, get_type_hints

import msgspec
from msgspec import Meta, field

from leadscore.events.event import FieldValue
from leadscore.model import regex
from leadscore.model.pattern_words import pattern_in_words
from leadscore.model.phrases import any_of
from leadscore.model.value_sets import PRESENT, Scalar, ValueKind, ValueSet, exactly, listed

Predicate = Callable[[FieldValue], bool]
"""Whether a value passes; ``None`` is a missing value. Called for every event, so it is built once and kept small."""

Number = int | float
Scalars = Annotated[list[Scalar], Meta(min_length=1)]


@dataclass(frozen=True, slots=True)
class TestKind:
    """One kind of test. Each function takes the argument, which is what the model file has behind the key."""

    predicate: Callable[[Any], Predicate]
    words: Callable[[Any], str]
    """What passes, to follow the name of the field: ``is at least 5``."""
    values: Callable[[Any], ValueSet]
    """What passes, to be compared: tests that contradict each other, bands that are never reached."""
    check: Callable[[Any], None] = lambda _: None
    """``ValueError`` for an argument that has the right type and still cannot be used."""


class AppliedTest(NamedTuple):
    """A test that a model makes: the key, its kind, the argument."""

    key: str
    kind: TestKind
    argument: Any

    @property
    def predicate(self) -> Predicate:
        """Whether a value passes this test."""
        return self.kind.predicate(self.argument)

    @property
    def words(self) -> str:
        """The test in words."""
        return self.kind.words(self.argument)

    @property
    def values(self) -> ValueSet:
        """What passes this test."""
        return self.kind.values(self.argument)


# --- what the rows are made of ---


def _one_of(values: list[Scalar]) -> Predicate:
    """Equality in which ``true`` is not 1."""
    flags = frozenset(value for value in values if isinstance(value, bool))
    others = frozenset(value for value in values if not isinstance(value, bool))
    return lambda value: value in (flags if value is True or value is False else others)


def _none_of(values: list[Scalar]) -> Predicate:
    is_refused = _one_of(values)
    return lambda value: value is not None and not is_refused(value)


def _is_number(value: FieldValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _at_least(level: float) -> Predicate:
    return lambda value: _is_number(value) and value >= level  # type: ignore[operator]  # _is_number narrows


def _below(level: float) -> Predicate:
    return lambda value: _is_number(value) and value < level  # type: ignore[operator]  # _is_number narrows


def _contains(element: Scalar) -> Predicate:
    is_element = _one_of([element])
    if not isinstance(element, str):
        return lambda value: isinstance(value, tuple) and any(map(is_element, value))
    return lambda value: (
        element in value if isinstance(value, str) else isinstance(value, tuple) and any(map(is_element, value))
    )


def _containing(element: Scalar) -> ValueSet:
    kinds = {ValueKind.LIST, ValueKind.TEXT} if isinstance(element, str) else {ValueKind.LIST}
    return ValueSet(frozenset(kinds), is_exact=False)


def _matches(pattern: str) -> Predicate:
    search = re.compile(pattern).search
    return lambda value: isinstance(value, str) and search(value, 0, regex.MAX_SUBJECT_CHARACTERS) is not None


def _exists(expected: bool) -> Predicate:
    return (lambda value: value is not None) if expected else (lambda value: value is None)


def _shown(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _row(meaning: str, kind: TestKind) -> Meta:
    return Meta(description=meaning, extra={"kind": kind})


# --- the table ---


class Test(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a field must be; all given tests must pass. A missing or null field fails all but ``exists: false``."""

    in_: Annotated[
        Scalars | None,
        _row(
            "The value is one of these; `true` is not 1.",
            TestKind(_one_of, lambda values: f"is {any_of(map(_shown, values))}", exactly),
        ),
    ] = field(name="in", default=None)
    not_in: Annotated[
        Scalars | None,
        _row(
            "There is a value, and it is not one of these.",
            TestKind(
                _none_of,
                lambda values: f"is known and not {any_of(map(_shown, values))}",
                lambda values: ValueSet(PRESENT, refused=listed(values)),
            ),
        ),
    ] = None
    at_least: Annotated[
        Number | None,
        _row(
            "The value is a number of this size or more.",
            TestKind(
                _at_least,
                lambda level: f"is at least {level}",
                lambda level: ValueSet(frozenset({ValueKind.NUMBER}), at_least=level),
            ),
        ),
    ] = None
    below: Annotated[
        Number | None,
        _row(
            "The value is a number smaller than this.",
            TestKind(
                _below,
                lambda level: f"is below {level}",
                lambda level: ValueSet(frozenset({ValueKind.NUMBER}), below=level),
            ),
        ),
    ] = None
    contains: Annotated[
        Scalar | None,
        _row(
            "The value is a list with this among its elements, or text with this in it.",
            TestKind(_contains, lambda element: f"contains {_shown(element)}", _containing),
        ),
    ] = None
    matches: Annotated[
        str | None,
        _row(
            "The value is text in which this regular expression is found, anywhere in it.",
            TestKind(
                _matches,
                pattern_in_words,
                lambda _: ValueSet(frozenset({ValueKind.TEXT}), is_exact=False),
                regex.check,
            ),
        ),
    ] = None
    exists: Annotated[
        bool | None,
        _row(
            "Whether there is a value at all.",
            TestKind(
                _exists,
                lambda expected: "is known" if expected else "is not known",
                lambda expected: ValueSet(PRESENT if expected else frozenset({ValueKind.MISSING})),
            ),
        ),
    ] = None


def _kinds() -> dict[str, tuple[str, TestKind]]:
    hints = get_type_hints(Test, include_extras=True)
    keys = dict(zip(Test.__struct_fields__, Test.__struct_encode_fields__, strict=True))
    return {name: (key, hints[name].__metadata__[0].extra["kind"]) for name, key in keys.items()}


_KINDS = _kinds()
"""Key and kind by the field of ``Test``, in the order of the table."""

TEST_KEYS = tuple(key for key, _ in _KINDS.values())
"""The keys of all tests, as the model file has them."""


def applied_tests(test: Scalar | Test) -> list[AppliedTest]:
    """The tests that are made, in the order of the table; a plain value means "is one of just this"."""
    if not isinstance(test, Test):
        test = Test(in_=[test])
    arguments = ((key, kind, getattr(test, name)) for name, (key, kind) in _KINDS.items())
    return [AppliedTest(key, kind, argument) for key, kind, argument in arguments if argument is not None]


def predicate_of(test: Scalar | Test) -> Predicate:
    """Whether a value passes all the tests; without any, none does."""
    predicates = [applied.predicate for applied in applied_tests(test)]
    if not predicates:
        return lambda _: False
    passes = predicates[0]
    for predicate in predicates[1:]:
        passes = _both(passes, predicate)
    return passes


def _both(first: Predicate, second: Predicate) -> Predicate:
    return lambda value: first(value) and second(value)


def passes_missing(test: Test) -> bool:
    """Whether a missing value passes: ``exists: false`` alone does."""
    return predicate_of(test)(None)
