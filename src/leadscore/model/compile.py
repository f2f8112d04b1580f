"""Builds the model as the fold reads it (``compiled``) out of the model file's definition. Pure.

``matching`` compiles the other half, what an event must look like, out of the same ``ModelDefinition``.
"""

import json
from collections.abc import Iterable, Iterator
from math import inf

import msgspec

from leadscore.events.event import PROFILE_UPDATED
from leadscore.log.records import ADJUST, ADJUST_RULE_ID, stable_id
from leadscore.model.addition import plain_sum
from leadscore.model.compiled import (
    NO_GROUP,
    Combined,
    CompiledAttribute,
    CompiledCondition,
    CompiledGroup,
    CompiledModel,
    CompiledRule,
    CompiledScore,
    CompiledThreshold,
    ConditionTest,
    CountTest,
    DecayCurve,
    EarnedPoints,
    QuietTest,
    Recycling,
    Selection,
    ValueTest,
)
from leadscore.model.definition import (
    MAIN_SCORE,
    AttributeTest,
    Decay,
    DecayChoice,
    ModelDefinition,
    OtherScore,
    Rule,
    Threshold,
    When,
)
from leadscore.model.field_tests import Test, passes_missing
from leadscore.time_units import DAY_MS
from leadscore.yaml_reading.durations import days, milliseconds


def test_id(test: Test, name: str) -> int:
    """The id of an attribute test: equal tests of an attribute share it, wherever they stand in whichever version."""
    checks = {key: value for key, value in msgspec.to_builtins(test).items() if key not in {"name", "points"}}
    return stable_id(json.dumps([name, checks], sort_keys=True))


def attribute_tests(definition: ModelDefinition) -> list[AttributeTest]:
    """Every attribute test of the conditions, in the order of the file."""
    tests: list[AttributeTest] = []

    def walk(when: When) -> None:
        for part in [*(when.all or []), *(when.any or []), *([when.not_] if when.not_ else [])]:
            walk(part)
        if when.attribute is not None:
            tests.append(when.attribute)

    for condition in definition.conditions.values():
        walk(condition.when)
    return tests


def compile_model(definition: ModelDefinition) -> CompiledModel:
    """The model as the fold reads it. The definition has passed ``load``."""
    gates, conditions = _gates(definition), _conditions(definition)
    rules = _rules(definition, conditions)
    named = {event_type for rule in definition.rules.values() for event_type in rule.event_types}
    attributes = _attributes(definition)
    groups = _groups(definition)
    scores = _scores(definition, groups)
    fit_minimum, fit_maximum = _minimum(definition.fit.min), _maximum(definition.fit.max)
    curves = {rule_id: rule.decay for rule_id, rule in rules.items()}
    return CompiledModel(
        name=definition.model,
        version=definition.version,
        scores=scores,
        crossed=tuple(score for score in scores if score.out_of_reach < inf),
        bands=_bands(definition),
        forget_after_ms=milliseconds(definition.forget_after),
        rules=rules,
        groups=groups,
        conditions=conditions,
        gates=tuple(gates.values()),
        attributes=attributes,
        fit_minimum=fit_minimum,
        fit_maximum=fit_maximum,
        grades=tuple(sorted(((float(least), str(g)) for g, least in definition.fit.grades.items()), reverse=True)),
        thresholds=_thresholds(definition, scores, gates),
        event_types=tuple(sorted({ADJUST, PROFILE_UPDATED, *named})),
        with_bursts=_ids_of(rule for rule in rules.values() if rule.selection and rule.selection.burst_at_least),
        disqualifying=_ids_of(rule for rule in rules.values() if rule.disqualifies is not None),
        recycling=_ids_of(rule for rule in rules.values() if rule.recycles is not None),
        outcomes=_ids_of(rule for rule in rules.values() if rule.outcome is not None),
        has_disqualifying_conditions=any(condition.disqualifies is not None for condition in conditions),
        fit_without_values=min(max(_fit_when_missing(attributes.values()), fit_minimum), fit_maximum) + 0.0,
        condition_upper_bounds=_condition_upper_bounds(conditions, len(definition.groups)),
        earned_points=tuple(_earned_points(conditions)),
        half_lives_ms=_half_lives_ms(curves),
        lasting=frozenset(rule_id for rule_id, decay in curves.items() if decay == DecayCurve()),
        decays_within_ms=max(_decays_within_ms(decay) for decay in curves.values()),
    )


def _half_lives_ms(curves: dict[int, DecayCurve]) -> dict[int, float]:
    return {rule_id: decay.half_life_ms for rule_id, decay in curves.items() if decay.half_life_ms is not None}


def _fit_when_missing(attributes: Iterable[CompiledAttribute]) -> float:
    return plain_sum(attribute.when_missing for attribute in attributes)


def _rules(definition: ModelDefinition, conditions: tuple[CompiledCondition, ...]) -> dict[int, CompiledRule]:
    """By id; ``adjust`` is a rule of its own with the model's default decay."""
    lowering = frozenset[int]().union(*(_lowering(condition) for condition in conditions))
    rules = {stable_id(name): _rule(name, rule, definition, lowering) for name, rule in definition.rules.items()}
    rules[ADJUST_RULE_ID] = _rule(ADJUST, Rule(event=ADJUST, points=0), definition, lowering)
    return rules


def _ids_of(rules: Iterable[CompiledRule]) -> frozenset[int]:
    return frozenset(rule.rule_id for rule in rules)


def _conditions(definition: ModelDefinition) -> tuple[CompiledCondition, ...]:
    group_index = {name: index for index, name in enumerate(definition.groups)}
    required = definition.required_conditions
    return tuple(
        CompiledCondition(
            name,
            _condition_test(condition.when),
            float(condition.points or 0),
            group_index[condition.group] if condition.group else NO_GROUP,
            condition.disqualifies,
        )
        for name, condition in definition.conditions.items()
        if name not in required
    )


def _gates(definition: ModelDefinition) -> dict[str, CompiledCondition]:
    """The conditions that thresholds require, by name."""
    required = definition.required_conditions
    return {
        name: CompiledCondition(name, _condition_test(condition.when), 0.0, NO_GROUP, None)
        for name, condition in definition.conditions.items()
        if name in required
    }


def _bands(definition: ModelDefinition) -> tuple[tuple[float, str], ...]:
    bands = definition.bands
    return ((float(bands.hot), "hot"), (float(bands.warm), "warm"), (float(bands.cold), "cold"))


def _groups(definition: ModelDefinition) -> tuple[CompiledGroup, ...]:
    return tuple(
        CompiledGroup(name, index, _minimum(group.min), _maximum(group.max))
        for index, (name, group) in enumerate(definition.groups.items())
    )


def _scores(definition: ModelDefinition, groups: tuple[CompiledGroup, ...]) -> tuple[CompiledScore, ...]:
    """The main score, then the others."""
    return tuple(
        _score(name, index, score, definition, groups)
        for index, (name, score) in enumerate(definition.every_score().items())
    )


def _score(
    name: str, index: int, score: OtherScore, definition: ModelDefinition, groups: tuple[CompiledGroup, ...]
) -> CompiledScore:
    own = tuple(group for group in groups if group.name in score.groups)
    thresholds = [threshold for threshold in definition.thresholds.values() if threshold.of == name]
    return CompiledScore(
        name=name,
        index=index,
        groups=own,
        counts=(*(group in own for group in groups), name == MAIN_SCORE),
        counts_fit=score.fit,
        floor=float(score.floor),
        ceiling=float(score.ceiling),
        upper_bound_besides_rules=_upper_bound_besides_rules(definition, name, score),
        out_of_reach=min((_out_of_reach(threshold, score.floor) for threshold in thresholds), default=inf),
    )


def _thresholds(
    definition: ModelDefinition, scores: tuple[CompiledScore, ...], gates: dict[str, CompiledCondition]
) -> tuple[CompiledThreshold, ...]:
    by_name = {score.name: score for score in scores}
    thresholds = [
        _threshold(name, threshold, by_name[threshold.of], gates) for name, threshold in definition.thresholds.items()
    ]
    return tuple(sorted(thresholds, key=lambda threshold: (threshold.enter, threshold.name)))


def decay_curve(decay: DecayChoice) -> DecayCurve:
    """The numbers behind a decay of the model file."""
    if not isinstance(decay, Decay):
        return DecayCurve()
    if decay.half_life is not None:
        return DecayCurve(half_life_ms=float(milliseconds(decay.half_life)))
    if decay.linear is not None:
        length = days(decay.linear)
        return DecayCurve(weights=tuple(max(0.0, 1.0 - age / length) for age in range(length)))
    steps = {decay.expire: 1.0} if decay.expire is not None else decay.steps or {}
    by_age = sorted((days(step), float(weight)) for step, weight in steps.items())
    weights = tuple(next(weight for step, weight in by_age if age <= step) for age in range(by_age[-1][0] + 1))
    return DecayCurve(weights=weights, never_rises=list(weights) == sorted(weights, reverse=True))


def _rule(name: str, rule: Rule, definition: ModelDefinition, lowering: frozenset[int]) -> CompiledRule:
    group = list(definition.groups).index(rule.group) if rule.group else NO_GROUP
    group_decay = definition.groups[rule.group].decay if rule.group else None
    selection = _selection(rule)
    return CompiledRule(
        name=name,
        rule_id=stable_id(name),
        event_types=tuple(rule.event_types),
        group=group,
        decay=decay_curve(rule.decay or group_decay or definition.decay),
        maximum=inf if rule.max is None else float(rule.max),
        selection=selection,
        qualifies=stable_id(rule.qualifies) if rule.qualifies else None,
        disqualifies=rule.disqualifies,
        recycles=_recycling(rule),
        outcome=rule.outcome,
        never_spared=rule.qualifies is not None or rule.outcome is not None,
        only_raises=_only_raises(rule) and stable_id(name) not in lowering,
    )


def _only_raises(rule: Rule) -> bool:
    return rule.exclude_burst is None and rule.disqualifies is None and rule.recycles is None


def _recycling(rule: Rule) -> Recycling | None:
    recycles = rule.recycles
    return None if recycles is None else Recycling(_ids(recycles.thresholds), milliseconds(recycles.for_))


def _selection(rule: Rule) -> Selection | None:
    if rule.exclude_burst is None and rule.once_per is None and rule.limit is None:
        return None
    burst, limit = rule.exclude_burst, rule.limit
    return Selection(
        burst_at_least=burst.at_least if burst else 0,
        burst_within_ms=milliseconds(burst.within) if burst else 0,
        once_per=rule.once_per is not None,
        limit_times=limit.times if limit else 0,
        limit_per=limit.per if limit else "forever",
    )


def _condition_test(when: When) -> ConditionTest:
    if when.count is not None:
        return CountTest(_ids(when.count.rules), when.count.at_least, milliseconds(when.count.within))
    if when.quiet is not None:
        return QuietTest(_ids(when.quiet.rules), milliseconds(when.quiet.within))
    if when.attribute is not None:
        test = when.attribute
        return ValueTest(stable_id(test.name), test_id(test, test.name), passes_missing(test))
    if when.not_ is not None:
        return Combined("not", (_condition_test(when.not_),))
    if when.all is not None:
        return Combined("all", tuple(_condition_test(part) for part in when.all))
    return Combined("any", tuple(_condition_test(part) for part in when.any or []))


def _lowering(condition: CompiledCondition) -> frozenset[int]:
    """Rules of which one more event, the latest, may lower the score or disqualify through this condition."""
    rules = frozenset[int]()
    if condition.points > 0:
        rules |= _moved(condition.test, towards_true=False)
    if condition.points < 0 or condition.disqualifies is not None:
        rules |= _moved(condition.test, towards_true=True)
    return rules


def _moved(test: ConditionTest, *, towards_true: bool) -> frozenset[int]:
    """Rules of which one more event, the latest, may move the test that way: counts grow, silences end."""
    if isinstance(test, Combined):
        towards_true = towards_true != (test.how == "not")
        return frozenset[int]().union(*(_moved(part, towards_true=towards_true) for part in test.parts))
    if isinstance(test, ValueTest) or towards_true != isinstance(test, CountTest):
        return frozenset()
    return test.rule_ids


def _attributes(definition: ModelDefinition) -> dict[int, CompiledAttribute]:
    return {
        stable_id(name): CompiledAttribute(
            name, next((float(band.points) for band in bands if passes_missing(band)), 0.0)
        )
        for name, bands in definition.fit.attributes.items()
    }


def _out_of_reach(threshold: Threshold, floor: float) -> float:
    return threshold.enter - 1e-6 if threshold.enter > floor else -inf


def _threshold(
    name: str, threshold: Threshold, score: CompiledScore, conditions: dict[str, CompiledCondition]
) -> CompiledThreshold:
    gates = threshold.require
    return CompiledThreshold(
        name=name,
        threshold_id=stable_id(name),
        score=score,
        enter=float(threshold.enter),
        exit=float(threshold.exit),
        out_of_reach=_out_of_reach(threshold, score.floor),
        cooldown_ms=milliseconds(threshold.cooldown),
        hold_ms=milliseconds(threshold.hold),
        require_grade=gates.grade if gates else None,
        require_engagement=_minimum(gates.engagement if gates else None),
        require_fit=_minimum(gates.fit if gates else None),
        require_conditions=tuple(conditions[one] for one in (gates.conditions or [] if gates else [])),
    )


def _upper_bound_besides_rules(definition: ModelDefinition, name: str, score: OtherScore) -> float:
    conditions = plain_sum(
        max(0.0, float(condition.points or 0))
        for condition in definition.conditions.values()
        if (name == MAIN_SCORE if condition.group is None else condition.group in score.groups)
    )
    groups = plain_sum(max(0.0, float(definition.groups[group].min or 0)) for group in score.groups)
    if not score.fit:
        return conditions + groups
    attributes = definition.fit.attributes.values()
    fit = plain_sum(max(0.0, *(float(band.points) for band in bands)) for bands in attributes)
    return conditions + groups + max(float(definition.fit.min or 0), min(fit, _maximum(definition.fit.max)))


def _condition_upper_bounds(conditions: tuple[CompiledCondition, ...], groups: int) -> tuple[float, ...]:
    most = [0.0] * (groups + 1)  # NO_GROUP is -1
    for condition in conditions:
        most[condition.group] += max(0.0, condition.points)
    return tuple(most)


def _earned_points(conditions: tuple[CompiledCondition, ...]) -> Iterator[EarnedPoints]:
    for condition in conditions:
        if condition.points > 0 and (needed := _needed(condition.test)):
            yield EarnedPoints(condition.points, condition.group, needed)


def _needed(test: ConditionTest) -> tuple[frozenset[int], ...]:
    """Sets of rules: while the lead has had no event of one of them, the test does not hold."""
    if isinstance(test, CountTest):
        return (test.rule_ids,)
    if not isinstance(test, Combined) or test.how == "not":
        return ()
    of_parts = [_needed(part) for part in test.parts]
    if test.how == "all":
        return tuple(rules for needed in of_parts for rules in needed)
    return (frozenset[int]().union(*(needed[0] for needed in of_parts)),) if all(of_parts) else ()


def _decays_within_ms(decay: DecayCurve) -> float:
    if decay.half_life_ms is not None:
        return 20 * decay.half_life_ms
    return 0.0 if decay.weights is None else len(decay.weights) * float(DAY_MS)


def _ids(names: list[str]) -> frozenset[int]:
    return frozenset(stable_id(name) for name in names)


def _minimum(value: float | None) -> float:
    return -inf if value is None else float(value)


def _maximum(value: float | None) -> float:
    return inf if value is None else float(value)
