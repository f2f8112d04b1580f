"""Whether a model of the right shape makes sense: names that exist, levels that can be reached, times that fit. Pure.

Every check yields findings, a path and a problem each; ``load`` gives them their lines.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from leadscore.events.event import COMMAND_PREFIX, is_type
from leadscore.log.records import ADJUST, stable_id
from leadscore.model.compile import attribute_tests
from leadscore.model.compiled import GRADES
from leadscore.model.definition import (
    MAIN_SCORE,
    Active,
    Condition,
    Decay,
    DecayChoice,
    FieldPoints,
    Fit,
    ModelDefinition,
    OtherScore,
    Require,
    Rule,
    ScoreRange,
    Threshold,
    When,
)
from leadscore.model.field_tests import TEST_KEYS, Test, applied_tests
from leadscore.model.never_true import contradiction, never_a_number, unreached
from leadscore.model.per_event import span_of
from leadscore.yaml_reading.document import Path, path_text
from leadscore.yaml_reading.durations import days, milliseconds
from leadscore.yaml_reading.instants import instant_ms
from leadscore.yaml_reading.shape import Finding, nearest, shown

_Level = tuple[str, float | None]


def findings(model: ModelDefinition) -> Iterator[Finding]:
    """Everything in the model that makes no sense."""
    yield from _levels(model)
    yield from _decay(model.decay, ("decay",))
    for name, group in model.groups.items():
        yield from _ordered(("groups", name), ("min", group.min), ("max", group.max))
        yield from _decay(group.decay, ("groups", name, "decay"))
    for name, rule in model.rules.items():
        yield from _rule(rule, model, ("rules", name))
    for name, condition in model.conditions.items():
        yield from _effects(condition, ("conditions", name), is_required=name in model.required_conditions)
        yield from _condition(condition, model, ("conditions", name))
    for name, bands in model.fit.attributes.items():
        for index, band in enumerate(bands):
            yield from _test(band, ("fit", "attributes", name, index))
        yield from unreached(bands, ("fit", "attributes", name))
    for name, score in model.scores.items():
        yield from _score(score, model, name)
    yield from _uncounted(model)
    for name, threshold in model.thresholds.items():
        yield from _threshold(threshold, model, ("thresholds", name))
    yield from _forgetting(model)
    yield from _confused_names(model)


def tested_attributes(model: ModelDefinition) -> list[str]:
    """The attributes that conditions test, in the order of the file."""
    return list(dict.fromkeys(test.name for test in attribute_tests(model)))


def counted_rules(model: ModelDefinition) -> set[str]:
    """The rules whose events conditions look at."""
    parts = [part for condition in model.conditions.values() for part, _ in _parts(condition.when, ())]
    tests = [test for part in parts for test in (part.count, part.quiet) if test is not None]
    return {rule for test in tests for rule in test.rules}


def events_looked_at(model: ModelDefinition) -> tuple[int, str]:
    """How many recent events of a lead the model wants to see at once, and where it says so; 0 if it wants none."""
    bursts = [
        (rule.exclude_burst.at_least, f"rules.{name}.exclude_burst.at_least")
        for name, rule in model.rules.items()
        if rule.exclude_burst is not None
    ]
    counts = [
        (part.count.at_least, path_text((*path, "count", "at_least")))
        for name, condition in model.conditions.items()
        for part, path in _parts(condition.when, ("conditions", name, "when"))
        if part.count is not None
    ]
    return max([*bursts, *counts], default=(0, ""))


def _levels(model: ModelDefinition) -> Iterator[Finding]:
    bands, fit = model.bands, model.fit
    yield from _limits(model.score, ("score",))
    if not bands.cold <= bands.warm <= bands.hot:
        levels = f"cold {bands.cold}, warm {bands.warm}, hot {bands.hot}"
        yield ("bands",), f"{levels}: expected cold <= warm <= hot"
    yield from _ordered(("fit",), ("min", fit.min), ("max", fit.max))
    for (better, smallest), (worse, smaller) in pairwise(sorted(fit.grades.items())):
        if smallest <= smaller:
            yield ("fit", "grades", worse), f"{worse} {smaller}: expected less than the {smallest} of {better}"


def _limits(score: ScoreRange, path: Path) -> Iterator[Finding]:
    if score.floor >= score.ceiling:
        yield path, f"floor {score.floor} and ceiling {score.ceiling}: expected floor below ceiling"


def _score(score: OtherScore, model: ModelDefinition, name: str) -> Iterator[Finding]:
    path: Path = ("scores", name)
    if name == MAIN_SCORE:
        yield path, f"{name}: the score that every model has, expected another name"
    yield from _limits(score, path)
    for place, group in enumerate(score.groups):
        yield from _known(group, "group", model.groups, (*path, "groups", place))
        if group in score.groups[:place]:
            yield (*path, "groups", place), f"{group}: given twice, expected it once"


def _uncounted(model: ModelDefinition) -> Iterator[Finding]:
    """Groups whose points would go nowhere."""
    counted = {group for score in model.every_score().values() for group in score.groups}
    for name in model.groups:
        if name not in counted:
            expected = "expected true, or the group in one of scores"
            yield ("groups", name, "in_main"), f"false: no score counts {name}, {expected}"


def _ordered(path: Path, low: _Level, high: _Level) -> Iterator[Finding]:
    if low[1] is not None and high[1] is not None and low[1] > high[1]:
        yield path, f"{low[0]} {low[1]} and {high[0]} {high[1]}: expected {low[0]} no larger than {high[0]}"


def _decay(decay: DecayChoice | None, path: Path) -> Iterator[Finding]:
    if not isinstance(decay, Decay):
        return
    choices = {"half_life": decay.half_life, "steps": decay.steps, "linear": decay.linear, "expire": decay.expire}
    chosen = [name for name, value in choices.items() if value is not None]
    if len(chosen) != 1:
        yield path, f"{_list(chosen)}: expected exactly one of {_list(choices)}, or the word none"
    yield from _duration(decay.half_life, (*path, "half_life"), longer_than_0=True)
    yield from _duration(decay.linear, (*path, "linear"), longer_than_0=True)
    yield from _duration(decay.expire, (*path, "expire"))
    if decay.steps is not None:
        yield from _steps(decay.steps, (*path, "steps"))


def _steps(steps: dict[str, float], path: Path) -> Iterator[Finding]:
    if not steps:
        yield path, "empty: expected at least one age and weight, such as 30d: 1.0"
    problems = [finding for age in steps for finding in _duration(age, (*path, age))]
    yield from problems
    for younger, older in pairwise(steps) if not problems else ():
        if days(younger) >= days(older):
            yield (*path, older), f"{older} after {younger}: expected the younger age first, each age once"


def _duration(text: str | None, path: Path, *, longer_than_0: bool = False) -> Iterator[Finding]:
    if text is None:
        return
    try:
        if milliseconds(text) == 0 and longer_than_0:
            yield path, f"{text}: expected more than 0"
    except ValueError as error:
        yield path, str(error)


def _rule(rule: Rule, model: ModelDefinition, path: Path) -> Iterator[Finding]:
    for place, event_type in enumerate(rule.event_types):
        yield from _event_type(event_type, (*path, "event") if isinstance(rule.event, str) else (*path, "event", place))
    for event_type in dict.fromkeys(one for one in rule.event_types if rule.event_types.count(one) > 1):
        yield (*path, "event"), f"{event_type}: given twice, expected it once"
    yield from _field_points(rule, (*path, "points"))
    yield from _active(rule.active, (*path, "active"))
    for field, test in rule.where.items():
        if isinstance(test, Test):
            yield from _test(test, (*path, "where", field))
    yield from _known(rule.group, "group", model.groups, (*path, "group"))
    yield from _known(rule.qualifies, "threshold", model.thresholds, (*path, "qualifies"))
    yield from _recycles(rule, model, (*path, "recycles"))
    yield from _decay(rule.decay, (*path, "decay"))
    if rule.exclude_burst is not None:
        yield from _duration(rule.exclude_burst.within, (*path, "exclude_burst", "within"))


def _recycles(rule: Rule, model: ModelDefinition, path: Path) -> Iterator[Finding]:
    recycles = rule.recycles
    if recycles is None:
        return
    for name in recycles.thresholds:
        yield from _known(name, "threshold", model.thresholds, (*path, "threshold"))
    for name in dict.fromkeys(one for one in recycles.thresholds if recycles.thresholds.count(one) > 1):
        yield (*path, "threshold"), f"{name}: given twice, expected it once"
    yield from _duration(recycles.for_, (*path, "for"), longer_than_0=True)
    if rule.qualifies in recycles.thresholds:
        yield path, f"{rule.qualifies}: the rule qualifies for it, too, expected only one of the two"


def _event_type(event_type: str, path: Path) -> Iterator[Finding]:
    if event_type.startswith(COMMAND_PREFIX):
        yield path, f"{event_type}: expected a type that does not begin with {COMMAND_PREFIX}"
    elif "*" in event_type or not is_type(event_type):
        expected = "expected one whole type such as email.click, not a pattern"
        yield path, f"{shown(event_type)}: no event has this type: {expected}"


def _field_points(rule: Rule, path: Path) -> Iterator[Finding]:
    points = rule.points
    if not isinstance(points, FieldPoints):
        return
    yield from _ordered(path, ("min", points.min), ("max", points.max))
    if points.times == 0:
        yield (*path, "times"), "0: always 0 points, expected another number"
    if points.field in rule.where and never_a_number(rule.where[points.field]):
        yield (*path, "field"), f"{points.field}: always 0 points, no number passes the rule's test of {points.field}"


def _active(active: Active | None, path: Path) -> Iterator[Finding]:
    if active is None:
        return
    bounds = {"from": active.from_, "until": active.until}
    problems = [finding for key, text in bounds.items() for finding in _instant(text, (*path, key))]
    yield from problems
    if active == Active():
        yield path, "nothing: expected from, until or both"
    elif not problems:
        first_ms, end_ms = span_of(active)
        if first_ms >= end_ms:
            yield path, f"from {active.from_} until {active.until}: never active, expected from before until"


def _instant(text: str | None, path: Path) -> Iterator[Finding]:
    try:
        if text is not None:
            instant_ms(text)
    except ValueError as error:
        yield path, str(error)


def _test(test: Test, path: Path) -> Iterator[Finding]:
    tests = applied_tests(test)
    if not tests:
        yield path, f"no test: expected one of {_list(TEST_KEYS)} (exists: true passes every value)"
    if (problem := contradiction(test)) is not None:
        yield path, problem
    for applied in tests:
        try:
            applied.kind.check(applied.argument)
        except ValueError as error:
            yield (*path, applied.key), f"{shown(applied.argument)}: {error}"


def _effects(condition: Condition, path: Path, *, is_required: bool) -> Iterator[Finding]:
    """A condition that a threshold requires has no other effect, every other one has points or disqualifies."""
    if condition.points is None and condition.disqualifies is None:
        if not is_required:
            problem = "neither points nor disqualifies, and no threshold requires it"
            yield path, f"{problem}: expected at least one of the three"
    elif is_required:
        effect = "disqualifies" if condition.points is None else "points"
        yield (*path, effect), "a threshold requires the condition: expected neither points nor disqualifies"


def _condition(condition: Condition, model: ModelDefinition, path: Path) -> Iterator[Finding]:
    yield from _known(condition.group, "group", model.groups, (*path, "group"))
    for part, part_path in _parts(condition.when, (*path, "when")):
        yield from _part(part, model, part_path)


def _parts(when: When, path: Path) -> Iterator[tuple[When, Path]]:
    """The combination and everything inside it."""
    yield when, path
    for name, inner in (("all", when.all), ("any", when.any)):
        for index, part in enumerate(inner or []):
            yield from _parts(part, (*path, name, index))
    if when.not_ is not None:
        yield from _parts(when.not_, (*path, "not"))


def _part(when: When, model: ModelDefinition, path: Path) -> Iterator[Finding]:
    choices = {
        "all": when.all,
        "any": when.any,
        "not": when.not_,
        "count": when.count,
        "quiet": when.quiet,
        "attribute": when.attribute,
    }
    chosen = [name for name, value in choices.items() if value is not None]
    if len(chosen) != 1:
        yield path, f"{_list(chosen)}: expected exactly one of {_list(choices)}"
    for kind, test in (("count", when.count), ("quiet", when.quiet)):
        if test is not None:
            yield from _duration(test.within, (*path, kind, "within"), longer_than_0=True)
            for index, rule in enumerate(test.rules):
                yield from _known(rule, "rule", model.rules, (*path, kind, "rules", index))
    if when.attribute is not None:
        yield from _test(when.attribute, (*path, "attribute"))


def _threshold(threshold: Threshold, model: ModelDefinition, path: Path) -> Iterator[Finding]:
    if threshold.exit >= threshold.enter:
        yield path, f"enter {threshold.enter} and exit {threshold.exit}: expected exit below enter"
    scores = model.every_score()
    yield from _known(threshold.of, "score", scores, (*path, "of"))
    ceiling = scores[threshold.of].ceiling if threshold.of in scores else threshold.enter
    if threshold.enter > ceiling:
        yield (*path, "enter"), f"{threshold.enter}: never reached, expected at most the score's ceiling of {ceiling}"
    gates = threshold.require or Require()
    yield from _gates(gates, model.fit, (*path, "require"))
    for index, name in enumerate(gates.conditions or []):
        yield from _known(name, "condition", model.conditions, (*path, "require", "conditions", index))
    yield from _duration(threshold.cooldown, (*path, "cooldown"))
    yield from _duration(threshold.hold, (*path, "hold"))


def _gates(gates: Require, fit: Fit, path: Path) -> Iterator[Finding]:
    if gates.fit is not None and fit.max is not None and gates.fit > fit.max:
        yield (*path, "fit"), f"{gates.fit}: never reached, expected at most the fit's max of {fit.max}"
    if gates.grade is not None and not fit.grades:
        yield (*path, "grade"), f"{gates.grade}: expected grades under fit, the model has none"
    elif gates.grade not in (None, GRADES[-1]):
        yield from _reachable(gates.grade, fit, (*path, "grade"))


def _reachable(grade: str, fit: Fit, path: Path) -> Iterator[Finding]:
    good_enough = [smallest for letter, smallest in fit.grades.items() if letter <= grade]
    if not good_enough:
        yield path, f"{grade}: never reached, expected one of the grades under fit"
    elif fit.max is not None and min(good_enough) > fit.max:
        expected = f"expected a grade from at most the fit's max of {fit.max}"
        yield path, f"{grade}: never reached, it needs a fit of {min(good_enough)}: {expected}"


def _known(name: str | None, kind: str, all_names: Iterable[str], path: Path) -> Iterator[Finding]:
    names = list(all_names)
    if name is not None and name not in names:
        expected = f", expected one of {_list(names)}" if names else f", the model has no {kind}s"
        yield path, f"{name}: no such {kind}{nearest(name, names) or expected}"


def _forgetting(model: ModelDefinition) -> Iterator[Finding]:
    """A lead must not be forgotten while something of the model still looks at its past (design 1.9)."""
    path: Path = ("forget_after",)
    problems = list(_duration(model.forget_after, path, longer_than_0=True))
    yield from problems
    if problems:
        return
    for words, text in _spans(model):
        try:
            longer = milliseconds(text) > milliseconds(model.forget_after)
        except ValueError:
            continue  # reported at its own path
        if longer:
            yield path, f"{model.forget_after}: expected at least the {text} of {words}"


def _spans(model: ModelDefinition) -> Iterator[tuple[str, str]]:
    """The windows, cooldowns, holds and times of recycling of the model, each with where it stands."""
    for name, rule in model.rules.items():
        if rule.exclude_burst is not None:
            yield f"rules.{name}.exclude_burst.within", rule.exclude_burst.within
        if rule.recycles is not None:
            yield f"rules.{name}.recycles.for", rule.recycles.for_
    for name, condition in model.conditions.items():
        for part, path in _parts(condition.when, ("conditions", name, "when")):
            for kind, test in (("count", part.count), ("quiet", part.quiet)):
                if test is not None:
                    yield path_text((*path, kind, "within")), test.within
    for name, threshold in model.thresholds.items():
        yield f"thresholds.{name}.cooldown", threshold.cooldown
        yield f"thresholds.{name}.hold", threshold.hold


def _confused_names(model: ModelDefinition) -> Iterator[Finding]:
    """The log and the state know names by a 32-bit number; two names with one number must not meet in a model."""
    spaces: dict[str, tuple[Path, list[str]]] = {
        "rule": (("rules",), [ADJUST, *model.rules]),
        "condition": (("conditions",), list(model.conditions)),
        "threshold": (("thresholds",), list(model.thresholds)),
        "attribute": (("fit", "attributes"), list(dict.fromkeys([*model.fit.attributes, *tested_attributes(model)]))),
    }
    for kind, (path, names) in spaces.items():
        first: dict[int, str] = {}
        for name in names:
            other = first.setdefault(stable_id(name), name)
            if other != name:
                yield (*path, name), f"{name}: has the same internal number as {other}, expected another {kind} name"
    if ADJUST in model.rules:
        yield ("rules", ADJUST), f"{ADJUST}: the name is reserved for the command, expected another rule name"


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"
