"""Which regular expressions are refused, and that accepted ones are quick on hostile subjects."""

import re
from time import thread_time

import pytest

from leadscore.model.regex import MAX_SUBJECT_CHARACTERS, check

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
