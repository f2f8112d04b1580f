"""The model in words that a person from marketing understands. Pure: a definition in, text out."""

from collections.abc import Iterator
from textwrap import fill

from leadscore.model.definition import (
    AttributeTest,
    Band,
    Condition,
    Count,
    Decay,
    DecayChoice,
    FieldPoints,
    Group,
    ModelDefinition,
    Quiet,
    Rule,
    ScoreRange,
    Threshold,
    When,
)
from leadscore.model.field_tests import applied_tests
from leadscore.model.phrases import all_of, any_of, noun_for
from leadscore.model.sense import counted_rules, tested_attributes
from leadscore.yaml_reading.durations import in_words

WIDTH = 110


def describe(model: ModelDefinition) -> str:
    """The whole model: how its scores are made, then rules and conditions by group, fit, and thresholds."""
    parts = [_heading(f"Model {model.model}, version {model.version}", "="), *_score(model)]
    if model.scores:
        parts += [_heading("Other scores"), *_other_scores(model)]
    for name, group in model.groups.items():
        parts += [_heading(f"Group {name}"), _paragraph(_group(group) + _counted_by(model, name))]
        parts += _members(model, name)
    if ungrouped := _members(model, None):
        parts += [_heading("In no group" if model.groups else "Rules and conditions"), *ungrouped]
    parts += [_heading("Fit: who the lead is"), *_fit(model)]
    parts += [_heading("Thresholds"), *_thresholds(model)]
    return "\n".join(parts) + "\n"


def _heading(text: str, underline: str = "-") -> str:
    return f"{'' if underline == '=' else chr(10)}{text}\n{underline * len(text)}"


def _paragraph(text: str) -> str:
    return fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _item(name: str, text: str) -> str:
    return fill(
        f"{name}: {text}",
        WIDTH,
        initial_indent="- ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _score(model: ModelDefinition) -> Iterator[str]:
    bands, limits = model.bands, _score_limits(model.score)
    main = "main score" if model.scores else "score"
    yield _paragraph(f"A lead's {main} is its engagement (what it does) plus its fit (who it is), {limits}.")
    yield _paragraph(f"A {main} of {bands.hot} or more is hot, of {bands.warm} or more warm, below that cold.")
    yield _paragraph(f"Points {_decay(model.decay)}, unless a rule or its group says otherwise.")
    if model.conditions:
        yield _paragraph("What is worth points while it lasts counts in full until it ends, and then no longer.")
    yield _paragraph(f"A lead without any record for {in_words(model.forget_after)}, and worth nothing, is forgotten.")


def _score_limits(score: ScoreRange) -> str:
    return f"never below {score.floor} and never above {score.ceiling}"


def _other_scores(model: ModelDefinition) -> Iterator[str]:
    for name, score in model.scores.items():
        counted = [*(f"group {group}" for group in score.groups), *(["the fit"] if score.fit else [])]
        yield _item(name, f"{' plus '.join(counted)}, {_score_limits(score)}.")


def _counted_by(model: ModelDefinition, group: str) -> str:
    """Which scores the group is part of, where that is not the main one alone."""
    counting = [name for name, score in model.scores.items() if group in score.groups]
    if not counting:
        return ""
    if model.groups[group].in_main:
        return f" It counts for the main score and for {all_of(counting)}."
    return f" It counts for {all_of(counting)}, not for the main score."


def _group(group: Group) -> str:
    limits = _limits(group.min, group.max)
    text = f"Everything in this group together counts as {limits}." if limits else "A sum without limits."
    return f"{text} Points {_decay(group.decay)}, unless a rule says otherwise." if group.decay else text


def _limits(low: float | None, high: float | None) -> str:
    lower = [f"no less than {low}"] if low is not None else []
    upper = [f"no more than {high}"] if high is not None else []
    return " and ".join(lower + upper)


def _members(model: ModelDefinition, group: str | None) -> list[str]:
    looked_at = counted_rules(model)
    rules = [
        _item(name, _rule(rule, looked_at=name in looked_at))
        for name, rule in model.rules.items()
        if rule.group == group
    ]
    conditions = [_item(name, _condition(held)) for name, held in model.conditions.items() if held.group == group]
    return rules + conditions


def _rule(rule: Rule, *, looked_at: bool) -> str:
    tests = [f"{field} {applied.words}" for field, test in rule.where.items() for applied in applied_tests(test)]
    where = f" where {all_of(tests)}" if tests else ""
    only = ", but conditions look at it" if looked_at and not rule.points else ""
    points, types = _rule_points(rule.points), any_of(rule.event_types)
    return " ".join([f"{points} for each {types}{where}{only}.", *_rule_details(rule)])


def _rule_points(points: float | FieldPoints) -> str:
    if not isinstance(points, FieldPoints):
        return _points(points)
    times = "" if points.times == 1 else f" times {points.times:.15g}"
    limits = _limits(points.min, points.max)
    return f"as many points as the number in {points.field}{times}{f' ({limits})' if limits else ''}"


_LIMIT_SPANS = {
    "day": "of one day (UTC)",
    "week": "of one week (UTC, from Monday)",
    "month": "of one month (UTC)",
    "forever": "ever",
}


def _rule_details(rule: Rule) -> Iterator[str]:
    if active := rule.active:
        start = [] if active.from_ is None else [f"from {active.from_} on"]
        end = [] if active.until is None else [f"before {active.until}"]
        yield f"Only what occurs {all_of(start + end)} (UTC) counts."
    if burst := rule.exclude_burst:
        span = in_words(burst.within)
        yield f"Machine clicks are left out: of {burst.at_least} or more within {span} none counts."
    if rule.once_per is not None:
        yield f"For each {rule.once_per} only the earliest counts."
    if limit := rule.limit:
        span = _LIMIT_SPANS[limit.per]
        yield (
            f"Only the earliest {span} counts."
            if limit.times == 1
            else f"Only the earliest {limit.times} {span} count."
        )
    if rule.max is not None:
        verb = "give or take" if isinstance(rule.points, FieldPoints) else "take" if rule.points < 0 else "give"
        yield f"All of them together {verb} at most {rule.max:.15g} points."
    if rule.decay is not None:
        yield f"Its points {_decay(rule.decay)}."
    yield from _rule_effects(rule)


def _rule_effects(rule: Rule) -> Iterator[str]:
    """What an event does besides its points."""
    if rule.qualifies is not None:
        yield f"It lets the lead into {rule.qualifies} at once, whatever the score."
    if recycles := rule.recycles:
        yield f"It takes the lead out of {all_of(recycles.thresholds)}, whatever the score."
        yield f"For {in_words(recycles.for_)} after it, only a rule that lets it in at once lets it in again."
    if rule.outcome is not None:
        yield f"It is counted as what sales said: {rule.outcome}."
    if rule.disqualifies is not None:
        yield f'It disqualifies the lead ("{rule.disqualifies}") until a requalify command comes.'


def _condition(condition: Condition) -> str:
    gives = [] if condition.points is None else [_points(condition.points)]
    if condition.disqualifies is not None:
        gives.append(f'disqualified ("{condition.disqualifies}")')
    if not gives:
        return f"no points, but a threshold needs it. It holds while {_when(condition.when)}."
    return f"{all_of(gives)} while {_when(condition.when)}."


def _when(when: When) -> str:
    if when.count is not None:
        return _count(when.count)
    if when.quiet is not None:
        return _quiet(when.quiet)
    if when.attribute is not None:
        return _attribute(when.attribute)
    if when.not_ is not None:
        return _not(when.not_)
    parts = when.all if when.all is not None else when.any or []
    return (" and " if when.all is not None else " or ").join(_inner(part) for part in parts)


def _not(when: When) -> str:
    if when.count is not None and when.count.at_least == 1:
        return f"no event of {any_of(when.count.rules)} came within {_last(when.count.within)}"
    return f"it is not so that {_inner(when)}"


def _inner(when: When) -> str:
    """In brackets where ``and`` and ``or`` could be read in two ways."""
    several = len(when.all or when.any or []) > 1
    return f"({_when(when)})" if several else _when(when)


def _count(count: Count) -> str:
    return f"{count.at_least} or more events of {any_of(count.rules)} came within {_last(count.within)}"


def _last(span: str) -> str:
    return f"the last {in_words(span).removeprefix('1 ')}"


def _quiet(quiet: Quiet) -> str:
    return (
        f"for more than {in_words(quiet.within)} no event of {any_of(quiet.rules)} came (and the lead is known"
        " for longer than that)"
    )


def _attribute(test: AttributeTest) -> str:
    return f"the lead's {test.name} {all_of(applied.words for applied in applied_tests(test))}"


def _fit(model: ModelDefinition) -> Iterator[str]:
    fit = model.fit
    if not fit.attributes:
        yield "No points for who the lead is."
    if limits := _limits(fit.min, fit.max):
        yield _paragraph(f"Everything below together counts as {limits}.")
    for name, bands in fit.attributes.items():
        yield _item(name, "; else ".join(map(_band, bands)) + ".")
    for name in tested_attributes(model):
        if name not in fit.attributes:
            yield _item(name, "no points, but conditions look at it.")
    if fit.grades:
        letters = [f"{letter} from {smallest}" for letter, smallest in sorted(fit.grades.items())]
        yield _paragraph(f"The grade by points of fit: {', '.join(letters)}; F below.")


def _band(band: Band) -> str:
    return f"{_points(band.points)} if it {all_of(applied.words for applied in applied_tests(band))}"


def _thresholds(model: ModelDefinition) -> Iterator[str]:
    if not model.thresholds:
        yield "None: nothing will be published."
    else:
        yield _paragraph("Time alone only lets leads out, never in. A disqualified lead enters nothing.")
    at_once = {rule.qualifies for rule in model.rules.values()}
    for name, threshold in model.thresholds.items():
        yield _item(name, " ".join(_threshold(threshold, model, at_once=name in at_once)))


def _threshold(threshold: Threshold, model: ModelDefinition, *, at_once: bool) -> Iterator[str]:
    score = f"{threshold.of} score" if model.scores else "score"
    yield f"a lead enters when a record raises its {score} to {threshold.enter} or more, and leaves"
    if threshold.exit > model.every_score()[threshold.of].floor:
        yield f"when the {score} is below {threshold.exit} or when it is disqualified."
    else:
        yield f"only when it is disqualified: the {score} is never below {threshold.exit}."
    if gates := threshold.require:
        needs = [] if gates.grade is None else [f"a grade of {gates.grade} or better"]
        for words, level in (("engagement", gates.engagement), ("fit", gates.fit)):
            needs += [] if level is None else [f"at least {level} points of {words}"]
        needs += [f"that {condition} holds" for condition in gates.conditions or []]
        if needs:
            yield f"To enter it needs {all_of(needs)}."
    if int(threshold.cooldown[:-1]):
        yield f"It does not enter again within {in_words(threshold.cooldown)} after it last entered."
    if at_once:
        yield f"A lead that a rule let in at once, with too low a score, may stay for {in_words(threshold.hold)}."


def _decay(decay: DecayChoice) -> str:
    if not isinstance(decay, Decay):
        return "do not decay"
    if decay.half_life is not None:
        return f"lose half their worth every {in_words(decay.half_life)}"
    if decay.linear is not None:
        return f"decay evenly to nothing over {in_words(decay.linear)}"
    if decay.expire is not None:
        return f"count in full for {in_words(decay.expire)}, then not at all"
    steps = [f"{weight * 100:.4g} % up to {in_words(age)}" for age, weight in (decay.steps or {}).items()]
    return f"count by age: {', '.join(steps)}, then nothing"


def _points(points: float) -> str:
    if points == 0:
        return "no points"
    return f"{points:+.15g} {noun_for(abs(points), 'point')}"
