"""What is refused of the scores of a model, and of the thresholds and groups that go with them."""

import pytest

from tests.unit.model_texts import minimal_with, problems_of

SCORES = "scores: %s\n"
UNCOUNTED = "false: no score counts website, expected true, or the group in one of scores"


@pytest.mark.parametrize(
    ("fragment", "problem"),
    [
        (SCORES % "{other: {groups: []}}", "scores.other.groups: empty: expected at least one"),
        (SCORES % "{other: {fit: true}}", "scores.other: groups is missing: expected a list"),
        (SCORES % "{other: {groups: [web]}}", "scores.other.groups[0]: web: no such group (did you mean website?)"),
        (SCORES % "{other: {groups: [website, website]}}", "scores.other.groups[1]: website: given twice, expected it"),
        (
            SCORES % "{other: {groups: [website], floor: 100}}",
            "scores.other: floor 100 and ceiling 100: expected floor",
        ),
        (SCORES % "{main: {groups: [website]}}", "scores.main: main: the score that every model has, expected another"),
        ("groups: {website: {in_main: false}}", f"groups.website.in_main: {UNCOUNTED}"),
        ("thresholds: {mql: {of: other}}", "thresholds.mql.of: other: no such score, expected one of main"),
        (
            SCORES % "{service: {groups: [website]}}" + "thresholds: {mql: {of: servise}}",
            "thresholds.mql.of: servise: no such score (did you mean service?)",
        ),
        (
            SCORES % "{other: {groups: [website], ceiling: 60}}" + "thresholds: {mql: {of: other}}",
            "thresholds.mql.enter: 65: never reached, expected at most the score's ceiling of 60",
        ),
    ],
)
def test_a_score_that_cannot_be_is_refused(fragment: str, problem: str) -> None:
    (told,) = problems_of(minimal_with(fragment))

    assert told.startswith(problem)


@pytest.mark.parametrize(
    "fragment",
    [
        SCORES % "{other: {groups: [website]}}",
        SCORES % "{other: {groups: [website], fit: true}}" + "groups: {website: {in_main: false}}",
        SCORES % "{other: {groups: [website], ceiling: 60}}" + "thresholds: {mql: {of: main}}",
        SCORES % "{other: {groups: [website], ceiling: 60}}" + "thresholds: {low: {of: other, enter: 60, exit: 1}}",
        "score: {ceiling: 50}\nthresholds: {mql: {of: other}}\n" + SCORES % "{other: {groups: [website]}}",
    ],
)
def test_a_score_that_can_be_is_accepted(fragment: str) -> None:
    assert problems_of(minimal_with(fragment)) == []
