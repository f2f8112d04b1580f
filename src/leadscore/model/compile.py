"""The model as the fold reads it: numbers instead of words, stable ids instead of names. Pure.

``CompiledModel`` is everything scoring needs of a model version; ``matching`` compiles the other half, what an event
must look like. Both come from the same ``ModelDefinition`` and never change after they are built.
"""

import json
from dataclasses import dataclass
from math import inf

import msgspec

from leadscore.log.records import ADJUST, ADJUST_RULE_ID, stable_id
from leadscore.model.definition import (
    AttributeTest,
    Decay,
    DecayChoice,
    ModelDefinition,
    Rule,
    Test,
    Threshold,
    When,
)
from leadscore.model.durations import days, milliseconds

NO_GROUP = -1
GRADES = ("A", "B", "C", "D", "E", "F")


@dataclass(frozen=True, slots=True)
class Fading:
    """How points fade: by half-life (ms), by whole UTC days of age (``weights[age]``, 0 beyond), or not at all."""

    half_life_ms: float | None = None
    weights: tuple[float, ...] | None = None
    never_rises: bool = True
    """Whether a weight is never larger than that of an earlier age; only unusual ``steps`` are not so."""

    def weight(self, age_ms: int, age_days: int) -> float:
        """What is left of one point at this age; ``age_days`` counts UTC calendar days."""
        if self.half_life_ms is not None:
            return float(2.0 ** (-age_ms / self.half_life_ms))
        if self.weights is not None:
            return self.weights[age_days] if age_days < len(self.weights) else 0.0
        return 1.0


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events of a rule count: applied in the order burst, once per value, limit."""

    burst_at_least: int = 0
    burst_within_ms: int = 0
    once_per: bool = False
    limit_times: int = 0
    limit_days: int = 0
    """Length of the limit's bucket in days: 1, 7, or 0 for ever."""


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """One rule as the fold reads it."""

    name: str
    rule_id: int
    group: int
    fading: Fading
    cap: float
    selection: Selection | None
    qualifies: int | None
    disqualifies: str | None
    only_raises: bool
    """Whether an event that comes last can only raise the score, now and later: no selection, watched by no condition."""


@dataclass(frozen=True, slots=True)
class CompiledGroup:
    """A sum with limits."""

    name: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CountTest:
    """At least ``at_least`` events of the rules within the last ``within_ms``."""

    rule_ids: frozenset[int]
    at_least: int
    within_ms: int


@dataclass(frozen=True, slots=True)
class QuietTest:
    """The rules' latest event and the lead's first are more than ``within_ms`` ago."""

    rule_ids: frozenset[int]
    within_ms: int


@dataclass(frozen=True, slots=True)
class AttributeFlag:
    """The latest value of the attribute passes the test known by ``test_id``; ``when_missing`` is its answer without one."""

    attribute_id: int
    test_id: int
    when_missing: bool


@dataclass(frozen=True, slots=True)
class Combined:
    """``all``, ``any`` or ``not`` of other tests."""

    how: str
    parts: "tuple[ConditionTest, ...]"


ConditionTest = CountTest | QuietTest | AttributeFlag | Combined


@dataclass(frozen=True, slots=True)
class CompiledCondition:
    """Points or disqualification while ``test`` holds."""

    name: str
    test: ConditionTest
    points: float
    group: int
    disqualifies: str | None


@dataclass(frozen=True, slots=True)
class CompiledAttribute:
    """A fit attribute; ``when_missing`` are its points for a lead that has no value."""

    name: str
    when_missing: float


@dataclass(frozen=True, slots=True)
class CompiledThreshold:
    """A pair of levels with its gates."""

    name: str
    threshold_id: int
    enter: float
    exit: float
    cooldown_ms: int
    hold_ms: int
    require_grade: str | None
    require_engagement: float
    require_fit: float


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """One model version. ``thresholds`` stand lowest ``enter`` first; dictionaries are keyed by stable id."""

    name: str
    version: int
    floor: float
    ceiling: float
    bands: tuple[tuple[float, str], ...]
    forget_after_ms: int
    rules: dict[int, CompiledRule]
    groups: tuple[CompiledGroup, ...]
    conditions: tuple[CompiledCondition, ...]
    attributes: dict[int, CompiledAttribute]
    fit_low: float
    fit_high: float
    grades: tuple[tuple[float, str], ...]
    thresholds: tuple[CompiledThreshold, ...]
    disqualifying: frozenset[int]
    """Rules whose events disqualify."""
    fit_without_values: float
    """The fit of a lead of which no attribute is known."""
    most_besides_rules: float
    """An upper bound of what conditions and fit can add to a score."""
    lowest_enter: float
    half_lives_ms: dict[int, float]
    """Of the rules that fade by half-life."""
    lasting: frozenset[int]
    """Rules whose points never fade."""
    fades_within_ms: float
    """After so long any award that fades at all is worth less than 0.01 of ten thousand points: bounds the TTL of leads."""

    @property
    def leaving_order(self) -> list[CompiledThreshold]:
        """The thresholds in the order in which a lead leaves them: highest ``exit`` first."""
        return sorted(self.thresholds, key=lambda threshold: (-threshold.exit, threshold.name))

    def grade_of(self, fit: float) -> str:
        """The letter of a fit; empty where the model has no grades."""
        for smallest, letter in self.grades:
            if fit >= smallest:
                return letter
        return "F" if self.grades else ""

    def band_of(self, score: float) -> str:
        """``hot``, ``warm`` or ``cold``; below all of them the lowest."""
        for smallest, name in self.bands:
            if score >= smallest:
                return name
        return self.bands[-1][1]


def test_id(test: Test, name: str) -> int:
    """The id of an attribute test: equal tests of an attribute share it, wherever they stand in whichever version."""
    checks = {key: value for key, value in msgspec.to_builtins(test).items() if key not in {"name", "points"}}
    return stable_id(json.dumps([name, checks], sort_keys=True))


def passes_missing(test: Test) -> bool:
    """Whether a missing value passes: ``exists: false`` alone does."""
    others = (test.in_, test.not_in, test.at_least, test.below, test.matches)
    return test.exists is False and all(other is None for other in others)


def attribute_tests(definition: ModelDefinition) -> list[AttributeTest]:
    """Every attribute test of the conditions, in the order of the file."""
    found: list[AttributeTest] = []

    def walk(when: When) -> None:
        for part in [*(when.all or []), *(when.any or []), *([when.not_] if when.not_ else [])]:
            walk(part)
        if when.attribute is not None:
            found.append(when.attribute)

    for condition in definition.conditions.values():
        walk(condition.when)
    return found


def compile_model(definition: ModelDefinition) -> CompiledModel:
    """The model as the fold reads it. The definition has passed ``load``."""
    group_index = {name: index for index, name in enumerate(definition.groups)}
    conditions = tuple(
        CompiledCondition(
            name,
            _condition_test(condition.when),
            float(condition.points or 0),
            group_index[condition.group] if condition.group else NO_GROUP,
            condition.disqualifies,
        )
        for name, condition in definition.conditions.items()
    )
    watched = frozenset[int]().union(*(_watched(condition.test) for condition in conditions))
    rules = {stable_id(name): _rule(name, rule, definition, watched) for name, rule in definition.rules.items()}
    attributes = _attributes(definition)
    rules[ADJUST_RULE_ID] = _rule(ADJUST, Rule(event=ADJUST, points=0), definition, watched)
    return CompiledModel(
        name=definition.model,
        version=definition.version,
        floor=float(definition.score.floor),
        ceiling=float(definition.score.ceiling),
        bands=tuple(
            (float(smallest), name)
            for name, smallest in (
                ("hot", definition.bands.hot),
                ("warm", definition.bands.warm),
                ("cold", definition.bands.cold),
            )
        ),
        forget_after_ms=milliseconds(definition.forget_after),
        rules=rules,
        groups=tuple(
            CompiledGroup(name, _low(group.min), _high(group.max)) for name, group in definition.groups.items()
        ),
        conditions=conditions,
        attributes=attributes,
        fit_low=_low(definition.fit.min),
        fit_high=_high(definition.fit.max),
        grades=tuple(sorted(((float(least), str(g)) for g, least in definition.fit.grades.items()), reverse=True)),
        thresholds=tuple(
            sorted(
                (_threshold(name, threshold) for name, threshold in definition.thresholds.items()),
                key=lambda threshold: (threshold.enter, threshold.name),
            )
        ),
        disqualifying=frozenset(rule.rule_id for rule in rules.values() if rule.disqualifies is not None),
        fit_without_values=min(
            max(sum(attribute.when_missing for attribute in attributes.values()), _low(definition.fit.min)),
            _high(definition.fit.max),
        ),
        most_besides_rules=_most_besides_rules(definition),
        lowest_enter=_lowest_enter(definition),
        half_lives_ms={
            rule.rule_id: rule.fading.half_life_ms for rule in rules.values() if rule.fading.half_life_ms is not None
        },
        lasting=frozenset(rule.rule_id for rule in rules.values() if rule.fading == Fading()),
        fades_within_ms=max(_fades_within_ms(rule.fading) for rule in rules.values()),
    )


def fading_of(decay: DecayChoice) -> Fading:
    """The numbers behind a decay of the model file."""
    if not isinstance(decay, Decay):
        return Fading()
    if decay.half_life is not None:
        return Fading(half_life_ms=float(milliseconds(decay.half_life)))
    if decay.linear is not None:
        length = days(decay.linear)
        return Fading(weights=tuple(max(0.0, 1.0 - age / length) for age in range(length)))
    steps = {decay.expire: 1.0} if decay.expire is not None else decay.steps or {}
    by_age = sorted((days(step), float(weight)) for step, weight in steps.items())
    weights = tuple(next(weight for step, weight in by_age if age <= step) for age in range(by_age[-1][0] + 1))
    return Fading(weights=weights, never_rises=list(weights) == sorted(weights, reverse=True))


def _rule(name: str, rule: Rule, definition: ModelDefinition, watched: frozenset[int]) -> CompiledRule:
    group = list(definition.groups).index(rule.group) if rule.group else NO_GROUP
    group_decay = definition.groups[rule.group].decay if rule.group else None
    selection = _selection(rule)
    return CompiledRule(
        name=name,
        rule_id=stable_id(name),
        group=group,
        fading=fading_of(rule.decay or group_decay or definition.decay),
        cap=inf if rule.max is None else float(rule.max),
        selection=selection,
        qualifies=stable_id(rule.qualifies) if rule.qualifies else None,
        disqualifies=rule.disqualifies,
        only_raises=selection is None and stable_id(name) not in watched and rule.disqualifies is None,
    )


def _selection(rule: Rule) -> Selection | None:
    if rule.exclude_burst is None and rule.once_per is None and rule.limit is None:
        return None
    burst, limit = rule.exclude_burst, rule.limit
    return Selection(
        burst_at_least=burst.at_least if burst else 0,
        burst_within_ms=milliseconds(burst.within) if burst else 0,
        once_per=rule.once_per is not None,
        limit_times=limit.times if limit else 0,
        limit_days={"day": 1, "week": 7, "forever": 0}[limit.per] if limit else 0,
    )


def _condition_test(when: When) -> ConditionTest:
    if when.count is not None:
        return CountTest(_ids(when.count.rules), when.count.at_least, milliseconds(when.count.within))
    if when.quiet is not None:
        return QuietTest(_ids(when.quiet.rules), milliseconds(when.quiet.within))
    if when.attribute is not None:
        test = when.attribute
        return AttributeFlag(stable_id(test.name), test_id(test, test.name), passes_missing(test))
    if when.not_ is not None:
        return Combined("not", (_condition_test(when.not_),))
    if when.all is not None:
        return Combined("all", tuple(_condition_test(part) for part in when.all))
    return Combined("any", tuple(_condition_test(part) for part in when.any or []))


def _watched(test: ConditionTest) -> frozenset[int]:
    if isinstance(test, Combined):
        return frozenset[int]().union(*(_watched(part) for part in test.parts))
    return frozenset() if isinstance(test, AttributeFlag) else test.rule_ids


def _attributes(definition: ModelDefinition) -> dict[int, CompiledAttribute]:
    return {
        stable_id(name): CompiledAttribute(
            name, next((float(band.points) for band in bands if passes_missing(band)), 0.0)
        )
        for name, bands in definition.fit.attributes.items()
    }


def _threshold(name: str, threshold: Threshold) -> CompiledThreshold:
    gates = threshold.require
    return CompiledThreshold(
        name=name,
        threshold_id=stable_id(name),
        enter=float(threshold.enter),
        exit=float(threshold.exit),
        cooldown_ms=milliseconds(threshold.cooldown),
        hold_ms=milliseconds(threshold.hold),
        require_grade=gates.grade if gates else None,
        require_engagement=_low(gates.engagement if gates else None),
        require_fit=_low(gates.fit if gates else None),
    )


def _lowest_enter(definition: ModelDefinition) -> float:
    lowest = min((float(threshold.enter) for threshold in definition.thresholds.values()), default=inf)
    return lowest - 1e-6 if lowest > definition.score.floor else -inf  # the floor lifts everybody over such a threshold


def _most_besides_rules(definition: ModelDefinition) -> float:
    conditions = sum(max(0.0, float(condition.points or 0)) for condition in definition.conditions.values())
    groups = sum(max(0.0, float(group.min or 0)) for group in definition.groups.values())
    fit = sum(max(0.0, *(float(band.points) for band in bands)) for bands in definition.fit.attributes.values())
    return conditions + groups + max(float(definition.fit.min or 0), min(fit, _high(definition.fit.max)))


def _fades_within_ms(fading: Fading) -> float:
    if fading.half_life_ms is not None:
        return 20 * fading.half_life_ms
    return 0.0 if fading.weights is None else len(fading.weights) * 86_400_000.0


def _ids(names: list[str]) -> frozenset[int]:
    return frozenset(stable_id(name) for name in names)


def _low(value: float | None) -> float:
    return -inf if value is None else float(value)


def _high(value: float | None) -> float:
    return inf if value is None else float(value)
