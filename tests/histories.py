"""Random models and random logs for hypothesis, over small name spaces so that features meet each other.

A model is the plain dict that YAML gives, a log is a list of the oracle's entries. ``core`` keeps to what issue 3 asks
for: rules, ``where``, half-lives, groups, floor and ceiling, thresholds with enter, exit and cooldown, deduplication.
"""

from dataclasses import dataclass, replace
from hashlib import blake2b

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.oracle import ADJUST, DAY_MS, ERASE, REQUALIFY, RESET, RESUME, RETRACT, SUSPEND, Entry, Plain

START_MS = 1_767_225_600_000  # 2026-01-01, a Thursday, at midnight
DAYS = 120
END_MS = START_MS + (DAYS + 60) * DAY_MS  # all delays end before it
HOUR_MS = 3_600_000
MOST_EVENTS = 40

TYPES = ("website.page_view", "email.click", "webinar.attended")
PROFILE = "profile.updated"
RULES = ("visit", "second", "click", "form", "minus")
GROUPS = ("website", "email")
PATHS = ("/pricing", "/pricing/eu", "/blog", "/careers")
ROLES = ("ceo", "cto", "student", "head of IT")
HALF_LIVES = ("6h", "1d", "7d", "30d")


@dataclass(frozen=True, slots=True)
class Features:
    """What a random model or history may use.

    ``forgets``: also what makes the order of arrival matter for scores. ``corrects``: also commands that take back what
    came before. ``bursts``: also machine clicks. ``thresholds``: also what enters and leaves them.
    """

    core: bool = False
    forgets: bool = True
    corrects: bool = True
    bursts: bool = True
    thresholds: bool = True


CORE = Features(core=True)
ALL = Features()
ORDERLESS = Features(forgets=False)
SETTLED = Features(corrects=False, bursts=False)
"""What stays exact for events beyond the recent ones, as long as none is late."""
VERSIONS = Features(forgets=False, thresholds=False)


# --- models -------------------------------------------------------------------------------------------------------


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


def _rules(thresholds: list[str], features: Features) -> SearchStrategy[Plain]:
    limit = st.fixed_dictionaries(
        {"times": st.integers(1, 3), "per": st.sampled_from(["day", "week", "forever"])},
    )
    burst = st.fixed_dictionaries({"at_least": st.integers(2, 4), "within": st.sampled_from(["1s", "2s", "1h"])})
    often: dict[str, SearchStrategy[object]] = {
        "where": wheres(),
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
    return _with_some(often, seldom)


@st.composite
def _with_some(
    draw: DrawFn, often: dict[str, SearchStrategy[object]], seldom: dict[str, SearchStrategy[object]]
) -> Plain:
    rule: Plain = {"event": draw(st.sampled_from(TYPES)), "points": draw(_points())}
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


# --- logs ---------------------------------------------------------------------------------------------------------


@st.composite
def logs(draw: DrawFn, features: Features = ALL) -> list[Entry]:
    """Entries in log order, log times never going back: most in time, some late, some repeated, a few ahead of time."""
    events = draw(events_of_some_leads(features))
    if not features.corrects:
        return _in_time(events)
    repeated = draw(st.lists(st.sampled_from(events), max_size=5))
    entries = [Entry(event, max(0, event["occurred_at"] + draw(_delays_ms()))) for event in events + repeated]
    return in_order_of_arrival(sorted(entries, key=lambda entry: entry.log_time_ms))


def _in_time(events: list[Plain]) -> list[Entry]:
    """Every event comes when it occurs, those of one instant in the order of the hashes of their ids."""
    order = {event["event_id"]: blake2b(event["event_id"].encode(), digest_size=8).digest() for event in events}
    in_time = sorted(events, key=lambda event: (event["occurred_at"], order[event["event_id"]]))
    return [Entry(event, event["occurred_at"]) for event in in_time]


def in_order_of_arrival(entries: list[Entry]) -> list[Entry]:
    """The entries in their order, with log times that never go back."""
    latest_ms = 0
    arrived = []
    for entry in entries:
        latest_ms = max(latest_ms, entry.log_time_ms)
        arrived.append(replace(entry, log_time_ms=latest_ms))
    return arrived


def _delays_ms() -> SearchStrategy[int]:
    return st.sampled_from([0, 0, 0, 0, 1, 40, 90_000, 5 * HOUR_MS, 3 * DAY_MS, 40 * DAY_MS, -60_000, -300_000])


@st.composite
def events_of_some_leads(draw: DrawFn, features: Features = ALL) -> list[Plain]:
    """Events and commands of one to three leads, ids ``e0``, ``e1``, ..., in the JSON form of 1.11."""
    lead_ids = ["L1", "L2", "L3"][: draw(st.integers(1, 3))]
    moments_ms = draw(_moments_ms())
    size = draw(st.sampled_from([3, 1, 8, 15, 25, MOST_EVENTS]))
    event_ids = [f"e{number}" for number in range(size + 1)]  # the last one never comes
    drawn = [draw(_events(features, lead_ids, moments_ms, event_ids)) for _ in range(size)]
    return [event | {"event_id": event_id} for event, event_id in zip(drawn, event_ids, strict=False)]


def _moments_ms() -> SearchStrategy[list[int]]:
    """A few instants around which everything happens: some are midnights, some are a whole window apart."""
    days = st.integers(0, DAYS)
    offsets_ms = st.sampled_from([0, 0, DAY_MS - 1, 10 * HOUR_MS, 18 * HOUR_MS + 1234])
    moment = st.builds(lambda day, offset_ms: START_MS + day * DAY_MS + offset_ms, days, offsets_ms)
    return st.lists(moment, min_size=1, max_size=6)


@st.composite
def _events(
    draw: DrawFn, features: Features, lead_ids: list[str], moments_ms: list[int], event_ids: list[str]
) -> Plain:
    offset_ms = draw(st.sampled_from([0, 0, 1, 500, 999, 2_000, 2_001, HOUR_MS, DAY_MS, 7 * DAY_MS]))
    event: Plain = {
        "lead_id": draw(st.sampled_from(lead_ids)),
        "occurred_at": draw(st.sampled_from(moments_ms)) + offset_ms,
    }
    if not features.core and draw(st.integers(0, 3)) == 3:
        return event | draw(_commands(features, event_ids))
    if not features.core and draw(st.integers(0, 6)) == 6:
        return event | {"type": PROFILE, "attributes": draw(_attributes())}
    return event | draw(acts(features))


def acts(features: Features = ALL) -> SearchStrategy[Plain]:
    """What a lead does: type, fields and attributes, without the identity."""
    optional: dict[str, SearchStrategy[object]] = {
        "path": st.sampled_from(PATHS),
        "pages": st.sampled_from([0, 1, 2, 2.0, "2", True, None]),
        "asset": st.sampled_from(["wp-1", "wp-2", "1", 1, 1.0, True, None]),
        "campaign": st.just("spring"),
    }
    if not features.core:
        optional["attributes"] = _attributes()
    return st.fixed_dictionaries({"type": st.sampled_from((*TYPES, "website.other"))}, optional=optional)


def _attributes() -> SearchStrategy[Plain]:
    values: dict[str, SearchStrategy[object]] = {
        "role": st.sampled_from([*ROLES, None]),
        "company_size": st.sampled_from([5, 250, 1000, 20_000, "many", None]),
        "unknown": st.just("x"),
    }
    return st.fixed_dictionaries({}, optional=values)


@st.composite
def _commands(draw: DrawFn, features: Features, event_ids: list[str]) -> Plain:
    erase = [ERASE] if features.forgets else []
    corrections = [RETRACT, RETRACT, RESET] if features.corrects else []
    command = draw(st.sampled_from([ADJUST, ADJUST, ADJUST, *corrections, SUSPEND, RESUME, REQUALIFY, *erase]))
    if command == ADJUST:
        return {"type": ADJUST, "points": draw(st.sampled_from([10, 30, -20, 0.25])), "reason": "met at the fair"}
    if command == RETRACT:
        return {"type": RETRACT, "target": draw(st.sampled_from(event_ids))}
    return {"type": command}
