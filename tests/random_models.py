"""Random models for hypothesis, over small name spaces so that features meet each other: the plain dict YAML gives.

``core`` keeps to what issue 3 asks for: rules, ``where``, half-lives, groups, floor and ceiling, thresholds with enter,
exit and cooldown, deduplication.
"""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.oracle import Plain

TYPES = ("website.page_view", "email.click", "webinar.attended")
RULES = ("visit", "second", "click", "form", "minus")
GROUPS = ("website", "email")
HALF_LIVES = ("6h", "1d", "7d", "30d")


@dataclass(frozen=True, slots=True)
class Features:
    """What a random model or history may use.

    ``forgets``: also what makes the order of arrival matter for scores. ``corrects``: also commands that take back what
    came before. ``bursts``: also machine clicks. ``thresholds``: also what enters and leaves them.
    ``retracts_any_type``: also retractions that name no type. ``merges``: also leads that are one person.
    """

    core: bool = False
    forgets: bool = True
    corrects: bool = True
    bursts: bool = True
    thresholds: bool = True
    retracts_any_type: bool = True
    merges: bool = False


CORE = Features(core=True)
ALL = Features()
ORDERLESS = Features(forgets=False)
PEOPLE = Features(merges=True)
ORDERLESS_PEOPLE = Features(forgets=False, merges=True)
SETTLED = Features(corrects=False, bursts=False)
"""What stays exact for events beyond the recent ones, as long as none is late."""
VERSIONS = Features(forgets=False, thresholds=False, retracts_any_type=False)
"""Which types a model names is a matter of its version, and of when an event came."""


def models(features: Features = ALL) -> SearchStrategy[Plain]:
    """A model that would pass the checks at load."""
    return _core_models() if features.core else _models(features)


@st.composite
def _core_models(draw: DrawFn) -> Plain:
    thresholds = {name: draw(_thresholds(None)) for name in draw(_names(("mql", "hot", "now"), least=1))}
    return {
        "model": "random",
        "version": draw(st.integers(1, 3)),
        "score": draw(st.sampled_from([{}, {"floor": 0, "ceiling": 100}, {"floor": -20, "ceiling": 80}])),
        "decay": draw(_half_lives()),
        "groups": {name: draw(_groups(_half_lives())) for name in draw(_names(GROUPS))},
        "rules": draw(st.dictionaries(st.sampled_from(RULES), _core_rules(_half_lives()), min_size=1)),
        "thresholds": _with_distinct_levels(thresholds),
    }


@st.composite
def _models(draw: DrawFn, features: Features) -> Plain:
    model = draw(_core_models())
    model["groups"] = {name: draw(_groups(_decays())) for name in draw(_names(GROUPS))}
    model["decay"] = draw(_decays())
    names = list(model["thresholds"])
    if not features.thresholds:
        names = []
    rules = st.dictionaries(st.sampled_from(RULES), _rules(names, features), min_size=1, max_size=4)
    model["rules"] = _in_known_groups(draw(rules), model["groups"])
    conditions = st.dictionaries(st.sampled_from(("quiet", "busy", "kind")), _conditions(tuple(model["rules"])))
    model["conditions"] = _in_known_groups(draw(conditions), model["groups"])
    model["fit"] = draw(_fits())
    grades = model["fit"].get("grades", {})
    model["thresholds"] = _with_distinct_levels({name: draw(_thresholds(grades)) for name in names})
    has_gate = draw(st.booleans())
    if names and has_gate:
        model["conditions"]["reachable"] = {"when": draw(_whens(tuple(model["rules"])))}
        gated = model["thresholds"][draw(st.sampled_from(names))]
        gated["require"] = gated.get("require", {}) | {"conditions": ["reachable"]}
    if model["groups"] and draw(st.booleans()):
        _add_scores(model, draw(_scores(list(model["groups"]))), draw)
    model["bands"] = draw(st.sampled_from([{}, {"cold": 0, "warm": 10, "hot": 35}]))
    model["forget_after"] = draw(st.sampled_from(["31d", "60d", "365d"])) if features.forgets else "3650d"
    return model


def _names(names: tuple[str, ...], least: int = 0) -> SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), unique=True, min_size=least)


def _half_lives() -> SearchStrategy[Plain]:
    return st.fixed_dictionaries({"half_life": st.sampled_from(HALF_LIVES)})


def _decays() -> SearchStrategy[Plain | str]:
    steps = st.sampled_from(
        [{"7d": 1.0, "14d": 0.75, "30d": 0.5}, {"0d": 1.0, "1d": 0.5}, {"2d": 0.25, "5d": 1.0}, {"3d": 0.0, "9d": 0.1}]
    )
    day_aged = [{"linear": "5d"}, {"linear": "60d"}, {"expire": "3d"}, {"expire": "0d"}, "none"]
    return st.one_of(_half_lives(), st.fixed_dictionaries({"steps": steps}), st.sampled_from(day_aged))


def _groups(decays: SearchStrategy[Plain] | SearchStrategy[Plain | str]) -> SearchStrategy[Plain]:
    optional = {"max": st.sampled_from([5, 20, 40]), "min": st.sampled_from([-20, -5, 0]), "decay": decays}
    return st.fixed_dictionaries({}, optional=optional)


@st.composite
def _scores(draw: DrawFn, groups: list[str]) -> Plain:
    """One or two scores beside the main one, of some of the groups."""
    limits = st.sampled_from([{}, {"floor": 0, "ceiling": 60}, {"floor": -30}, {"floor": 12, "ceiling": 90}])
    scores: Plain = {}
    for name in draw(_names(("expansion", "service"), least=1)):
        scores[name] = {"groups": draw(_names(tuple(groups), least=1))} | draw(limits)
        scores[name] |= draw(st.sampled_from([{}, {"fit": False}, {"fit": True}]))
    return scores


def _add_scores(model: Plain, scores: Plain, draw: DrawFn) -> None:
    """The scores; some groups that they count are no longer part of the main score, and some thresholds are of them."""
    model["scores"] = scores
    for name in sorted({group for score in scores.values() for group in score["groups"]}):
        model["groups"][name] |= draw(st.sampled_from([{}, {"in_main": False}, {"in_main": True}]))
    for name in model["thresholds"]:
        model["thresholds"][name] |= draw(st.sampled_from([{}, {"of": "main"}, *({"of": one} for one in scores)]))


def wheres() -> SearchStrategy[Plain]:
    """Tests of the fields of events, by field."""
    numbers = st.sampled_from(
        [{"at_least": 2}, {"below": 2}, {"at_least": 1, "below": 3}, {"exists": False}, {"exists": True}, 2, "2"]
    )
    paths = st.sampled_from(
        [
            "/blog",
            {"matches": "^/pricing"},
            {"in": ["/blog", "/careers"]},
            {"not_in": ["/careers"]},
            {"contains": "pricing"},
        ]
    )
    both = st.fixed_dictionaries({"path": paths, "pages": numbers})
    return st.one_of(both, st.fixed_dictionaries({"path": paths}), st.fixed_dictionaries({"pages": numbers}))


def _points() -> SearchStrategy[float]:
    return st.sampled_from([10, 5, 15, 20, 40, 80, 3, 0.5, 0, -5, -15, -30])


def _core_rules(decays: SearchStrategy[Plain]) -> SearchStrategy[Plain]:
    required = {"event": st.sampled_from(TYPES), "points": _points()}
    return st.fixed_dictionaries(required, optional={"where": wheres(), "decay": decays})


def _event_types() -> SearchStrategy[str | list[str]]:
    return st.one_of(st.sampled_from(TYPES), st.lists(st.sampled_from(TYPES), unique=True, min_size=1))


def _any_points() -> SearchStrategy[float | Plain]:
    limits = st.sampled_from([{}, {"max": 3}, {"min": -2}, {"min": 4, "max": 12.5}])
    times = st.sampled_from([{}, {"times": 7}, {"times": 0.5}, {"times": -6}])
    field = st.sampled_from([{"field": "pages"}, {"field": "asset"}])
    of_field = st.builds(
        lambda *parts: {key: value for part in parts for key, value in part.items()}, field, times, limits
    )
    return st.one_of(_points(), _points(), of_field)


def _active() -> SearchStrategy[Plain]:
    """Around the days on which things happen in random logs, which begin on 2026-01-01."""
    return st.sampled_from(
        [
            {"from": "2026-01-20"},
            {"until": "2026-03-01T10:00:00.001Z"},
            {"from": "2026-01-10T18:00:01+01:00", "until": "2026-04-01"},
        ]
    )


def _rules(thresholds: list[str], features: Features) -> SearchStrategy[Plain]:
    limit = st.fixed_dictionaries(
        {"times": st.integers(1, 3), "per": st.sampled_from(["day", "week", "month", "forever"])},
    )
    burst = st.fixed_dictionaries({"at_least": st.integers(2, 4), "within": st.sampled_from(["1s", "2s", "1h"])})
    often: dict[str, SearchStrategy[object]] = {
        "where": wheres(),
        "active": _active(),
        "decay": _decays(),
        "group": st.sampled_from(GROUPS),
        "limit": limit,
        "once_per": st.sampled_from(["asset", "path"]),
        "max": st.sampled_from([4, 12, 25.5]),
    }
    if features.bursts:
        often["exclude_burst"] = burst
    seldom: dict[str, SearchStrategy[object]] = {"disqualifies": st.sampled_from(["complained", "asked to"])}
    if thresholds:
        seldom["qualifies"] = st.sampled_from(thresholds)
        seldom["recycles"] = st.fixed_dictionaries(
            {
                "threshold": st.sampled_from(thresholds) | st.just(thresholds),
                "for": st.sampled_from(["1h", "5d", "20d", "31d"]),
            }
        )
        seldom["outcome"] = st.sampled_from(["rejected", "won"])
    return _with_some(often, seldom)


@st.composite
def _with_some(
    draw: DrawFn, often: dict[str, SearchStrategy[object]], seldom: dict[str, SearchStrategy[object]]
) -> Plain:
    rule: Plain = {"event": draw(_event_types()), "points": draw(_any_points())}
    rule |= {key: draw(values) for key, values in often.items() if draw(st.integers(0, 2)) == 0}
    return rule | {key: draw(values) for key, values in seldom.items() if draw(st.integers(0, 7)) == 7}


def _in_known_groups(parts: Plain, groups: Plain) -> Plain:
    """The parts, without the names of groups that the model lacks."""
    return {
        name: {key: value for key, value in part.items() if key != "group" or value in groups}
        for name, part in parts.items()
    }


def attribute_tests() -> SearchStrategy[Plain]:
    """Tests of an attribute, with its name."""
    roles: SearchStrategy[Plain] = st.sampled_from(
        [
            {"in": ["ceo", "cto"]},
            {"matches": "(?i)^HEAD of"},
            {"exists": False},
            {"contains": "ce"},
            {"not_in": ["ceo"]},
        ]
    )
    sizes: SearchStrategy[Plain] = st.sampled_from(
        [{"at_least": 1000}, {"at_least": 200, "below": 5000}, {"below": 10}, {"exists": False}, {"exists": True}]
    )
    return st.one_of(
        roles.map(lambda test: {"name": "role", **test}), sizes.map(lambda test: {"name": "company_size", **test})
    )


def _whens(rules: tuple[str, ...]) -> SearchStrategy[Plain]:
    some_rules = st.lists(st.sampled_from(rules), unique=True, min_size=1, max_size=2)
    window = st.sampled_from(["2s", "12h", "7d", "30d"])
    count = st.fixed_dictionaries({"rules": some_rules, "at_least": st.integers(1, 3), "within": window})
    quiet = st.fixed_dictionaries({"rules": some_rules, "within": window})
    leaves = st.one_of(
        count.map(lambda inner: {"count": inner}),
        quiet.map(lambda inner: {"quiet": inner}),
        attribute_tests().map(lambda inner: {"attribute": inner}),
    )
    return st.recursive(leaves, _combined, max_leaves=3)


def _combined(parts: SearchStrategy[Plain]) -> SearchStrategy[Plain]:
    lists = st.lists(parts, min_size=1, max_size=2)
    return st.one_of(
        lists.map(lambda inner: {"all": inner}),
        lists.map(lambda inner: {"any": inner}),
        parts.map(lambda inner: {"not": inner}),
    )


@st.composite
def _conditions(draw: DrawFn, rules: tuple[str, ...]) -> Plain:
    condition: Plain = {"when": draw(_whens(rules))}
    if draw(st.integers(0, 4)) == 4:
        condition["disqualifies"] = draw(st.sampled_from(["student", "silent"]))
    if "disqualifies" not in condition or draw(st.booleans()):
        condition["points"] = draw(st.sampled_from([10, 25, -10, -40, 2.5]))
        condition |= draw(st.fixed_dictionaries({}, optional={"group": st.sampled_from(GROUPS)}))
    return condition


@st.composite
def _fits(draw: DrawFn) -> Plain:
    if draw(st.sampled_from([True, False, False])):
        return {}
    named = draw(_names(("role", "company_size"), least=1))
    fit: Plain = {"attributes": {name: draw(st.lists(_bands(name), min_size=1, max_size=3)) for name in named}}
    fit |= draw(st.sampled_from([{}, {"min": -10, "max": 20}, {"max": 35}]))
    return fit | draw(st.sampled_from([{}, {"grades": {"A": 30, "B": 20, "C": 10, "D": 0}}, {"grades": {"A": 5}}]))


def _bands(attribute: str) -> SearchStrategy[Plain]:
    tests = attribute_tests().filter(lambda test: bool(test["name"] == attribute))
    points = st.sampled_from([5, 10, 20, 35, -10])
    return st.builds(
        lambda test, worth: {k: v for k, v in test.items() if k != "name"} | {"points": worth}, tests, points
    )


@st.composite
def _thresholds(draw: DrawFn, grades: Plain | None) -> Plain:
    """``grades``: those of the model's fit; ``None`` for a plain threshold."""
    enter = draw(st.sampled_from([10, 15, 20, 30, 50]))
    threshold: Plain = {"enter": enter, "exit": enter - draw(st.sampled_from([1, 5, 10, 15, 25]))}
    threshold |= draw(st.fixed_dictionaries({}, optional={"cooldown": st.sampled_from(["1h", "2d", "20d"])}))
    if grades is None:
        return threshold
    threshold |= draw(st.fixed_dictionaries({}, optional={"hold": st.sampled_from(["0s", "2d", "14d"])}))
    gates: dict[str, SearchStrategy[object]] = {"engagement": st.sampled_from([5, 20]), "fit": st.sampled_from([0, 10])}
    if grades:
        gates["grade"] = st.sampled_from(["A", "C", "F"])
    if draw(st.sampled_from([False, False, True])):
        threshold["require"] = draw(st.fixed_dictionaries({}, optional=gates))
    return threshold


def _with_distinct_levels(thresholds: Plain) -> Plain:
    """Highest and lowest are then never a tie."""
    apart: Plain = {}
    for place, (name, threshold) in enumerate(thresholds.items()):
        apart[name] = threshold | {key: threshold[key] + place * 0.25 for key in ("enter", "exit")}
    return apart
