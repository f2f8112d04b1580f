"""Which regular expressions are refused, and that accepted ones are quick on hostile subjects."""

import re
from re import _parser  # type: ignore[attr-defined]  # what model.regex reads
from time import thread_time

import pytest

from leadscore.model.regex import MAX_SUBJECT_CHARACTERS, check

OPERATIONS = {
    "LITERAL": "a",
    "NOT_LITERAL": "[^a]",
    "ANY": ".",
    "IN": r"[a-c\d]",
    "NEGATE": "[^ab]",
    "RANGE": "[a-c]",
    "CATEGORY": r"\W",
    "MAX_REPEAT": "a{2,3}",
    "MIN_REPEAT": "a*?",
    "POSSESSIVE_REPEAT": "a++",
    "BRANCH": "ab|cd",
    "SUBPATTERN": "(a)",
    "ATOMIC_GROUP": "(?>a)",
    "AT": "^a$",
    "ASSERT": "(?=a)",
    "ASSERT_NOT": "(?<!a)",
    "GROUPREF": r"(a)\1",
    "GROUPREF_EXISTS": "(a)?(?(1)b|c)",
}
"""What the parser of the standard library makes of patterns: operations, and a pattern with each."""

HARMLESS = [
    "",
    "^/pricing",
    "(?i)^head of",
    "^(a|b)+$",
    r"\d+-\d+",
    "^/blog/[^/]+/?$",
    ".*foo",
    ".*foo.*",
    "foo.*bar",
    "^.*foo.*bar",
    "^(?!/blog)",
    r"^https?://[^/]+/.*\.pdf$",
    r"(?i)\b(ceo|cto|cfo|coo|founder)\b",
    r"^([a-z]+-)+[a-z]+$",
    r"^[\w.+-]+@[\w-]+\.[a-z]{2,}$",
    r"utm_source=.*&utm_medium=\w+",
    r"^\d{4}-\d{2}-\d{2}$",
    r"(\d{1,3}\.){3}\d{1,3}",
    "^(/[^/]+)*/?$",
    r"(\w+\s+)*end$",
    r"(\w|\d)+$",
    "(foo|far)+x",
    "(?i)(vp|vice president|head|director).*(marketing|sales)",
    "whitepaper|ebook|case[- ]study",
    r"/product/\d+(/[a-z-]+)?$",
    "^([a-f0-9]{2}:){5}[a-f0-9]{2}$",
    "(?i)prix|größe|цена",
    "(?i)^([^/k]+/)+sales",
]

CATASTROPHIC = [
    "(a+)+",
    "(a+)+$",
    "(a*)*b",
    "(a|a)*",
    "(a|aa)+$",
    "(a|ab|b)*c",
    "(|a)*b",
    "(a?b?)*c",
    "(ba?|a)*c",
    "(a+|b+)+c",
    "(x+x+)+y",
    "(.*a){10,}",
    "(.*a){10}",
    "(a?){30}a{30}",
    "a?" * 30 + "a" * 30,
    r"(\w+\s*)+$",
    "([a-zA-Z]+)*$",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    "(ж|ж)*x",
    "(?i)(ka|\u212aa)*x",  # the Kelvin sign
    "(?i)(sa|\u017fa)*x",  # the long s
    "(?i)([^\u212a]a|sa)*x",
    "([^x]|ж)*y",
    "(?i)(A|ab?|b)+c",
    r"(?:(?:\b){0,50}a){0,50}b",
    ".*.*x",
    ".*.*.*x",
    r".*\d+-",
    ".{1,4000}.{1,4000}.{1,4000}x",
    r"\s*,?\s*;",
]


@pytest.mark.parametrize("pattern", HARMLESS)
def test_a_harmless_pattern_is_accepted(pattern: str) -> None:
    check(pattern)


@pytest.mark.parametrize("pattern", CATASTROPHIC)
def test_a_pattern_that_could_take_very_long_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="could take very long"):
        check(pattern)


@pytest.mark.parametrize("pattern", ["(", "[", "*", "a{3,1}", "(?P<n>", "(" * 200, "a{99999999999}"])
def test_a_pattern_that_does_not_compile_is_refused_with_the_reason(pattern: str) -> None:
    with pytest.raises(ValueError, match="not a regular expression: "):
        check(pattern)


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?P<n>a)(?P=n)", "(a)?(?(1)b|c)"])
def test_a_reference_to_a_group_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="references to groups are not supported"):
        check(pattern)


def test_a_look_ahead_of_no_fixed_length_is_refused() -> None:
    with pytest.raises(ValueError, match="look ahead or look behind of no fixed length"):
        check("(?=a+)b")


def test_an_endless_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match="501 characters: expected at most 500"):
        check("a" * 501)


@pytest.mark.parametrize("pattern", HARMLESS)
def test_an_accepted_pattern_is_quick_on_hostile_subjects(pattern: str) -> None:
    """Seconds of CPU, and generous: a refused pattern such as ``.*.*x`` would take minutes, ``(a+)+$`` for ever."""
    search = re.compile(pattern).search
    words = re.findall(r"[a-z]+", pattern) or ["a"]
    pieces = ["a", "1", "/a", "1-", "aa ", "foo", "".join(words), f"{words[-1]} "]
    before_s = thread_time()

    for piece in pieces:
        search((piece * MAX_SUBJECT_CHARACTERS)[: MAX_SUBJECT_CHARACTERS - 1] + "!")

    assert thread_time() - before_s < 20


def operations_in(tree: object) -> set[str]:
    """The names of all operations of a parse tree, wherever they stand in it."""
    if isinstance(tree, _parser.SubPattern | list | tuple):
        return set().union(*(operations_in(part) for part in tree))
    return {tree.name} if hasattr(tree, "name") else set()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_this_python_parses_patterns_as_the_check_reads_them(operation: str) -> None:
    """The parser is private: another version of Python may change it, and then this says where."""
    pattern = OPERATIONS[operation]

    assert operation in operations_in(_parser.parse(pattern))
    if operation.startswith("GROUPREF"):
        with pytest.raises(ValueError, match="references to groups are not supported"):
            check(pattern)
    else:
        check(pattern)


@pytest.mark.parametrize(("low", "high", "pattern"), [(2, 5, "a{2,5}"), (0, 1, "a?"), (3, _parser.MAXREPEAT, "a{3,}")])
def test_this_python_gives_repeats_their_limits_and_bodies(low: int, high: object, pattern: str) -> None:
    ((operation, (least, most, body)),) = _parser.parse(pattern)

    assert (operation.name, least, most, operations_in(body)) == ("MAX_REPEAT", low, high, {"LITERAL"})
    assert (most is _parser.MAXREPEAT) == (high is _parser.MAXREPEAT)
