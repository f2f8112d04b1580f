"""Loading what a rule says about its events: types, points out of a field, a span of time; how mistakes are told."""

import pytest

from leadscore.model.definition import Active, FieldPoints
from leadscore.model.load import parse_model
from tests.unit.model_texts import minimal_with, problems_of

SEVERAL = "rules: {r: {event: [%s], points: 1}}"
RECYCLES = "rules: {r: {event: e, points: 1, recycles: %s}}"
ACTIVE = "rules: {r: {event: e, points: 1, active: %s}}"
OF_FIELD = "rules: {r: {event: e, points: {field: n, %s}}}"
OF_TESTED_FIELD = "rules: {r: {event: e, points: {field: n}, where: {n: %s}}}"
NEVER_A_NUMBER = "rules.r.points.field: n: always 0 points, no number passes the rule's test of n"


def test_everything_is_read_as_it_is_written() -> None:
    text = """
        model: m
        version: 1
        rules:
          r:
            event: [webinar.attended, webinar.watched_on_demand]
            points: {field: minutes, times: 0.5, max: 20, min: 0}
            active: {from: 2026-03-01, until: 2026-06-01}
          s: {event: e, points: -1}
    """
    rules = parse_model(text, "model.yaml").rules

    assert rules["r"].event_types == ["webinar.attended", "webinar.watched_on_demand"]
    assert rules["r"].points == FieldPoints(field="minutes", times=0.5, max=20, min=0)
    assert rules["r"].active == Active(from_="2026-03-01", until="2026-06-01")
    assert (rules["s"].event_types, rules["s"].points, rules["s"].active) == (["e"], -1, None)


@pytest.mark.parametrize(
    ("fragment", "problem"),
    [
        (SEVERAL % "", "rules.r.event: empty: expected at least one"),
        (SEVERAL % "e, 7", "rules.r.event[1]: 7: expected text"),
        (
            RECYCLES % "{threshold: won, for: 9d}",
            "rules.r.recycles.threshold: won: no such threshold, expected one of mql",
        ),
        (
            RECYCLES % "{threshold: [mql, mql], for: 90d}",
            "rules.r.recycles.threshold: mql: given twice, expected it once",
        ),
        (RECYCLES % "{threshold: mql, for: 0d}", "rules.r.recycles.for: 0d: expected more than 0"),
        (RECYCLES % "{threshold: mql}", "rules.r.recycles: for is missing"),
        (
            RECYCLES % "{threshold: mql, for: 9d}, qualifies: mql",
            "rules.r.recycles: mql: the rule qualifies for it, too, expected only one of the two",
        ),
        (
            RECYCLES % "{threshold: mql, for: 366d}",
            "forget_after: 365d: expected at least the 366d of rules.r.recycles.for",
        ),
        ("rules: {r: {event: 7, points: 1}}", "rules.r.event: 7: expected text of 1 to 200 characters or a list"),
        (SEVERAL % "e, 'email.*'", 'rules.r.event[1]: "email.*": no event has this type: expected one whole type'),
        (SEVERAL % "command.adjust", "rules.r.event[0]: command.adjust: expected a type that does not begin with"),
        (SEVERAL % "e, f, e", "rules.r.event: e: given twice, expected it once"),
        ("rules: {r: {event: e, points: {times: 2}}}", "rules.r.points: field is missing: expected text"),
        (OF_FIELD % "time: 2", "rules.r.points.time: unknown key (did you mean times?)"),
        (OF_FIELD % "max: a", 'rules.r.points.max: "a": expected a number'),
        (OF_FIELD % "min: 2, max: 1", "rules.r.points: min 2 and max 1: expected min no larger than max"),
        (OF_FIELD % "times: 0", "rules.r.points.times: 0: always 0 points"),
        (OF_TESTED_FIELD % "{exists: false}", NEVER_A_NUMBER),
        (OF_TESTED_FIELD % "{matches: a}", NEVER_A_NUMBER),
        (OF_TESTED_FIELD % "{in: [a, true]}", NEVER_A_NUMBER),
        (OF_TESTED_FIELD % "many", NEVER_A_NUMBER),
        (ACTIVE % "2026-03-01", 'rules.r.active: "2026-03-01": expected a mapping with keys out of from, until'),
        (ACTIVE % "{from: spring}", 'rules.r.active.from: "spring": expected a day such as 2026-03-01'),
        (ACTIVE % "{from: 2026-03-01T08:00}", 'rules.r.active.from: "2026-03-01T08:00": expected a day such as'),
        (ACTIVE % "{}", "rules.r.active: nothing: expected from, until or both"),
        (ACTIVE % "{from: 2026-02-30}", "rules.r.active.from: 2026-02-30: no such day or time"),
        (ACTIVE % "{until: 2026-03-01T25:00:00Z}", "rules.r.active.until: 2026-03-01T25:00:00Z: no such day or time"),
        (
            ACTIVE % "{from: 2026-03-01T01:00:00+01:00, until: 2026-03-01}",
            "rules.r.active: from 2026-03-01T01:00:00+01:00 until 2026-03-01: never active, expected from before until",
        ),
    ],
)
def test_what_is_wrong_or_makes_no_sense_is_refused(fragment: str, problem: str) -> None:
    (told,) = problems_of(minimal_with(fragment))

    assert told.startswith(problem)


@pytest.mark.parametrize(
    "fragment",
    [
        SEVERAL % "e",
        ACTIVE % "{from: 2026-03-01T00:59:59.999+01:00, until: 2026-03-01}",
        OF_FIELD % "min: 1, max: 1, times: -0.5",
        OF_TESTED_FIELD % "{in: [a, 1], not_in: [2], exists: true}",
        OF_TESTED_FIELD % "5",
        OF_TESTED_FIELD % "{at_least: 5}",
    ],
)
def test_what_is_unusual_but_makes_sense_is_accepted(fragment: str) -> None:
    assert problems_of(minimal_with(fragment)) == []
