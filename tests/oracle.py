"""A second implementation of design 1.1-1.11, from the definitions alone: a list of records per lead, no accumulators.

Everything is computed anew from the list at the instant asked for. It shares no code with ``leadscore`` on purpose:
where the two disagree, one of them (or the design) is wrong. The model is the plain dict that the YAML file gives,
events are the JSON form of 1.11. Instants are UTC milliseconds. It is slow and does not validate.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from math import inf
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

Plain = dict[str, Any]  # what YAML and JSON give

Identity = tuple[str, str]  # type and event id: what tells one event of a lead from another

DAY_MS = 86_400_000
TOLERANCE = 1e-9
NEGLIGIBLE_POINTS = 0.01
SMALLEST_REASON_POINTS = 0.005
TOP_REASONS = 5
NEGLIGIBLE_HALF_LIVES = 60  # 2^-60: no points are left of anything

ADJUST, RETRACT, RESET, ERASE = "command.adjust", "command.retract", "command.reset", "command.erase"
SUSPEND, RESUME, REQUALIFY = "command.suspend", "command.resume", "command.requalify"
MERGE = "command.merge"
PROFILE = "profile.updated"
ENVELOPE = frozenset({"type", "event_id", "lead_id", "occurred_at", "received_at", "attributes"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log: an event in its JSON form, and the log's time when it came."""

    event: Plain
    log_time_ms: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What the worker's configuration says, not the model."""

    recent_events: int = 64
    stale_after_ms: int = DAY_MS


@dataclass(frozen=True, slots=True)
class Outcome:
    """Crossings in the order decided (names of 1.7), and one score line per lead (names of 1.11), by lead id.

    ``outcomes``: what sales said of enters (1.3), as threshold, outcome and rule.
    """

    crossings: list[Plain]
    scores: list[Plain]
    outcomes: list[tuple[str, str, str]]


def run(model: Plain, entries: Iterable[Entry], scores_at_ms: int | None, limits: Limits = Limits()) -> Outcome:
    """The crossings and final scores of a log (1.11): time goes on to each entry's log time before it is applied."""
    return run_versions(((model, entry) for entry in entries), model, scores_at_ms, limits)


def run_versions(
    steps: Iterable[tuple[Plain, Entry]], first: Plain, scores_at_ms: int | None, limits: Limits = Limits()
) -> Outcome:
    """The crossings and scores of a log whose entries several versions of the model have matched.

    The highest version so far is in force (2.6), at the start ``first``.

    Scores only: of a version with other thresholds than before the design does not say enough.
    """
    world = _World(first, limits)
    for model, entry in steps:
        world.time_goes_on_to(entry.log_time_ms)
        world.follow(model)
        world.apply(record_of(model, entry.event), entry.event["lead_id"])
    if scores_at_ms is None:
        return Outcome(world.crossings, [], world.outcomes)
    world.time_goes_on_to(scores_at_ms)
    return Outcome(world.crossings, world.score_lines(scores_at_ms), world.outcomes)


# --- values -------------------------------------------------------------------------------------------------------


def instant_ms(instant: str | int) -> int:
    """ISO 8601 or integer milliseconds, as milliseconds."""
    if isinstance(instant, int):
        return instant
    return round(datetime.fromisoformat(instant).astimezone(UTC).timestamp() * 1000)


def duration_ms(duration: str) -> int:
    """``90s``, ``5m``, ``12h``, ``14d`` as milliseconds."""
    return int(duration[:-1]) * {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS}[duration[-1]]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(one: object, other: object) -> bool:
    if _is_number(one) and _is_number(other):
        return one == other
    return type(one) is type(other) and one == other


def passes(test: object, value: Any) -> bool:
    """Whether the value of a field or attribute (``None``: missing) passes a test of 1.10."""
    if not isinstance(test, dict):
        return value is not None and _same(value, test)
    if value is None:
        return test.get("exists") is False and not {"in", "not_in", "at_least", "below", "contains", "matches"} & set(
            test
        )
    checks: dict[str, Callable[[Any], bool]] = {
        "in": lambda expected: any(_same(value, one) for one in expected),
        "not_in": lambda expected: not any(_same(value, one) for one in expected),
        "at_least": lambda least: _is_number(value) and bool(value >= least),
        "below": lambda bound: _is_number(value) and bool(value < bound),
        "contains": lambda part: (
            (isinstance(part, str) and part in value)
            if isinstance(value, str)
            else isinstance(value, list) and any(_same(one, part) for one in value)
        ),
        "matches": lambda pattern: isinstance(value, str) and re.search(pattern, value[:4096]) is not None,
        "exists": lambda expected: expected is True,
    }
    return all(check(test[name]) for name, check in checks.items() if name in test)


def clamp(value: float, low: float | None, high: float | None) -> float:
    """``value``, not below ``low`` and not above ``high``, as far as there are such."""
    if low is not None:
        value = max(value, low)
    return value if high is None else min(value, high)


def weight(decay: Plain | str, occurred_at_ms: int, at_ms: int) -> float:
    """How much of its points an event is worth at an instant (1.3)."""
    if decay == "none":
        return 1.0
    assert isinstance(decay, dict)
    if "half_life" in decay:
        return float(2.0 ** (-(at_ms - occurred_at_ms) / duration_ms(decay["half_life"])))
    age_days = at_ms // DAY_MS - occurred_at_ms // DAY_MS
    if "linear" in decay:
        return float(max(0.0, 1 - age_days / int(decay["linear"][:-1])))
    steps = decay["steps"] if "steps" in decay else {decay["expire"]: 1.0}
    for last_day, step_weight in sorted((int(days[:-1]), step_weight) for days, step_weight in steps.items()):
        if age_days <= last_day:
            return float(step_weight)
    return 0.0


# --- records ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One event or command, the version that matched it, and the rules it matched. Equal only to itself."""

    matched_by: Plain
    event_id: str
    type: str
    at_ms: int
    digest: bytes
    fields: Plain
    attributes: Plain
    rules: tuple[str, ...]

    @property
    def order(self) -> tuple[int, bytes]:
        """What is earlier: by time, then by the hash of type and id."""
        return self.at_ms, self.digest

    @property
    def identity(self) -> Identity:
        """What a second event has to have to be the same one."""
        return self.type, self.event_id

    @property
    def is_act(self) -> bool:
        """Events and adjustments: what earns points and is among the recent events."""
        return self.type == ADJUST or not self.is_command

    @property
    def is_command(self) -> bool:
        """Whether this is an order about the lead."""
        return self.type.startswith("command.")


def record_of(model: Plain, event: Plain) -> Record:
    """The event as the model sees it: only attributes the model names."""
    fields = {name: value for name, value in event.items() if name not in ENVELOPE}
    named = attributes_of(model)
    return Record(
        matched_by=model,
        event_id=event["event_id"],
        type=event["type"],
        at_ms=instant_ms(event["occurred_at"]),
        digest=digest_of((event["type"], event["event_id"])),
        fields=fields,
        attributes={name: value for name, value in (event.get("attributes") or {}).items() if name in named},
        rules=tuple(name for name, rule in rules_of(model).items() if _matches(rule, event, fields)),
    )


def digest_of(identity: Identity) -> bytes:
    """The fixed 64-bit hash of 1.3."""
    return hashlib.blake2b("\x1f".join(identity).encode(), digest_size=8).digest()


def event_types_of(model: Plain) -> set[str]:
    """The types that the model names, and those that every model knows."""
    return {PROFILE} | {event_type for rule in rules_of(model).values() for event_type in types_of(rule)}


def as_list(value: Any) -> list[Any]:
    """Where one value or a list of them may be written."""
    return value if isinstance(value, list) else [value]


def rules_of(model: Plain) -> Plain:
    """The model's rules, and the one that adjustments belong to."""
    return {**model.get("rules", {}), ADJUST: {"event": ADJUST}}


def scores_of(model: Plain) -> Plain:
    """The main score, of all groups that are not taken out of it; and the others."""
    in_main = [name for name, group in model.get("groups", {}).items() if group.get("in_main", True)]
    return {"main": {"groups": in_main, "fit": True, **model.get("score", {})}, **model.get("scores", {})}


def attributes_of(model: Plain) -> set[str]:
    """The attributes that fit or some condition names."""
    named = set(model.get("fit", {}).get("attributes", {}))
    for condition in model.get("conditions", {}).values():
        named |= {leaf["name"] for kind, leaf in _leaves(condition["when"]) if kind == "attribute"}
    return named


def _matches(rule: Plain, event: Plain, fields: Plain) -> bool:
    tests = rule.get("where", {}).items()
    is_one = event["type"] in types_of(rule) and _is_active(rule.get("active", {}), instant_ms(event["occurred_at"]))
    return is_one and all(passes(test, fields.get(name)) for name, test in tests)


def types_of(rule: Plain) -> list[str]:
    """The types that a rule names."""
    return as_list(rule["event"])


def _is_active(active: Plain, at_ms: int) -> bool:
    """Whether the instant is in the span; a day stands for its midnight."""
    bounds = {key: instant_ms(day if "T" in day else f"{day}T00:00:00Z") for key, day in active.items()}
    return bounds.get("from", at_ms) <= at_ms < bounds.get("until", at_ms + 1)


def _leaves(when: Plain) -> Iterator[tuple[str, Plain]]:
    """The ``count``, ``quiet`` and ``attribute`` tests inside a ``when``."""
    ((kind, inner),) = when.items()
    if kind in ("all", "any"):
        for part in inner:
            yield from _leaves(part)
    elif kind == "not":
        yield from _leaves(inner)
    else:
        yield kind, inner


# --- which events count (1.3) -------------------------------------------------------------------------------------


def without_bursts(rule: Plain, records: list[Record]) -> list[Record]:
    """Without machine clicks: ``at_least`` events in some closed interval of length ``within``."""
    if "exclude_burst" not in rule:
        return records
    within_ms = duration_ms(rule["exclude_burst"]["within"])
    at_least = rule["exclude_burst"]["at_least"]
    intervals = [(first.at_ms, first.at_ms + within_ms) for first in records]
    bursts = [(a, b) for a, b in intervals if sum(a <= record.at_ms <= b for record in records) >= at_least]
    return [record for record in records if not any(a <= record.at_ms <= b for a, b in bursts)]


def counted(name: str, rule: Plain, records: list[Record]) -> list[Record]:
    """Those of the rule's events that count: ``exclude_burst``, then ``once_per``, then ``limit``."""
    counting = sorted(without_bursts(rule, records), key=lambda record: record.order)
    if "once_per" in rule:
        counting = _first_of_each(counting, [_once_value(name, record) for record in counting], 1)
    if "limit" in rule:
        buckets = [_bucket(rule["limit"]["per"], record.at_ms) for record in counting]
        counting = _first_of_each(counting, buckets, rule["limit"]["times"])
    return counting


def _first_of_each(records: list[Record], keys: list[object], times: int) -> list[Record]:
    return [record for place, record in enumerate(records) if keys[:place].count(keys[place]) < times]


def _once_value(rule: str, record: Record) -> object:
    """The value of ``once_per`` as it was when the event was matched."""
    field_name = rules_of(record.matched_by)[rule].get("once_per")
    return _value_key(None if field_name is None else record.fields.get(field_name))


def _value_key(value: Any) -> object:
    return (float(value), "number") if _is_number(value) else (value, type(value).__name__)


def _bucket(per: str, at_ms: int) -> object:
    day = datetime.fromtimestamp(at_ms // 1000, UTC).date()
    return {"day": day, "week": day.isocalendar()[:2], "month": (day.year, day.month), "forever": None}[per]


# --- what a set of records says -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class History:
    """A lead's accepted records under one model: everything that is no matter of crossings is a function of this."""

    model: Plain
    records: tuple[Record, ...]
    recent_events: int = 64

    def is_retracted(self, record: Record) -> bool:
        """Whether the event is as if it had never come: by its type, or by its id alone if the model names its type."""
        if record.identity in self.retracted:
            return True
        return (None, record.event_id) in self.retracted and record.type in event_types_of(self.model)

    @cached_property
    def retracted(self) -> set[tuple[str | None, str]]:
        """The types and ids that were retracted; ``None`` for every type that the model names."""
        return {(r.fields.get("target_type"), r.fields["target"]) for r in self.records if r.type == RETRACT}

    @cached_property
    def acts(self) -> list[Record]:
        """Events and adjustments that were not retracted, earliest first."""
        acts = [record for record in self.records if record.is_act and not self.is_retracted(record)]
        return sorted(acts, key=lambda record: record.order)

    def latest_command(self, *types: str) -> Record | None:
        """The latest of these commands."""
        return max((r for r in self.records if r.type in types), key=lambda r: r.order, default=None)

    @property
    def suspended(self) -> bool:
        """Whether a suspension is the latest word."""
        latest = self.latest_command(SUSPEND, RESUME)
        return latest is not None and latest.type == SUSPEND

    @cached_property
    def acts_since_reset(self) -> list[Record]:
        """What rules, limits and conditions see."""
        reset = self.latest_command(RESET)
        return [act for act in self.acts if reset is None or act.at_ms > reset.at_ms]

    @cached_property
    def counting(self) -> dict[str, list[Record]]:
        """Per rule the events that count."""
        rules = rules_of(self.model).items()
        return {name: counted(name, rule, _of(name, self.acts_since_reset)) for name, rule in rules}

    @cached_property
    def seen(self) -> dict[str, list[Record]]:
        """Per rule the events that conditions see: all but machine clicks."""
        rules = rules_of(self.model).items()
        return {name: without_bursts(rule, _of(name, self.acts_since_reset)) for name, rule in rules}

    @cached_property
    def rule_reasons(self) -> list[str]:
        """Why rules disqualify, latest event first, then by the rule's name.

        There is no reset here, only requalification at a later time.
        """
        requalify = self.latest_command(REQUALIFY)
        judging = [(name, rule) for name, rule in sorted(rules_of(self.model).items()) if "disqualifies" in rule]
        said = [
            (act, rule["disqualifies"]) for name, rule in judging for act in counted(name, rule, _of(name, self.acts))
        ]
        standing = [(act, reason) for act, reason in said if requalify is None or requalify.at_ms <= act.at_ms]
        return [reason for _, reason in sorted(standing, key=lambda pair: pair[0].order, reverse=True)]

    def recycled_until_ms(self, threshold: str) -> int | None:
        """The first instant at which the lead may enter again: the latest event that recycles it decides."""
        recycling = [(name, rule["recycles"]) for name, rule in rules_of(self.model).items() if "recycles" in rule]
        ends = [
            (act.order, duration_ms(recycles["for"]), act.at_ms)
            for name, recycles in recycling
            if threshold in as_list(recycles["threshold"])
            for act in self.counting[name]
        ]
        if not ends:
            return None
        _, longest_ms, at_ms = max(ends)
        return at_ms + longest_ms

    def condition_reasons(self, at_ms: int) -> list[str]:
        """Why conditions disqualify at an instant, in the model's order."""
        conditions = self.model.get("conditions", {}).values()
        return [c["disqualifies"] for c in conditions if "disqualifies" in c and self.holds(c["when"], at_ms)]

    def reasons_against(self, at_ms: int) -> list[str]:
        """Every reason why the lead is disqualified at an instant."""
        return self.rule_reasons + self.condition_reasons(at_ms)

    def holds(self, when: Plain, at_ms: int) -> bool:
        """Whether a condition is true at an instant (1.4)."""
        ((kind, inner),) = when.items()
        if kind in ("all", "any"):
            return (all if kind == "all" else any)(self.holds(part, at_ms) for part in inner)
        if kind == "not":
            return not self.holds(inner, at_ms)
        if kind == "attribute":
            latest = self.latest_with(inner["name"])
            return passes(inner, latest and latest.attributes[inner["name"]]) and _was_tested(inner, latest)
        within_ms = duration_ms(inner["within"])
        if kind == "count":
            recent = set(self.acts[-self.recent_events :])
            times_ms = [record.at_ms for record in self.seen_by(inner["rules"]) if record in recent]
            return sum(at_ms - within_ms < time_ms <= at_ms for time_ms in times_ms) >= int(inner["at_least"])
        quiet_since_ms = self.quiet_since_ms(inner["rules"])
        return quiet_since_ms is not None and at_ms - quiet_since_ms > within_ms

    def seen_by(self, rules: list[str]) -> list[Record]:
        """The events of any of the rules; an event of two of them is one."""
        return [act for act in self.acts_since_reset if any(act in self.seen[name] for name in rules)]

    def quiet_since_ms(self, rules: list[str]) -> int | None:
        """The latest of: the rules' latest event, the latest reset, the lead's first event. Without a guard: never."""
        first = [act.at_ms for act in self.acts if not act.is_command][:1]
        reset = self.latest_command(RESET)
        guards = first + ([reset.at_ms] if reset else [])
        return max(guards + [act.at_ms for act in self.seen_by(rules)]) if guards else None

    def latest_with(self, attribute: str) -> Record | None:
        """The event with the latest value of an attribute; ``None`` where it was never seen or was removed."""
        latest = [act for act in self.acts if attribute in act.attributes][-1:]
        return latest[0] if latest and latest[0].attributes[attribute] is not None else None

    def attribute_points(self, attribute: str) -> float:
        """The points of the first band that the attribute's value, or its absence, passes.

        A value keeps the points of the version that matched it; an absence has those of the version in force.
        """
        latest = self.latest_with(attribute)
        value, model = (None, self.model) if latest is None else (latest.attributes[attribute], latest.matched_by)
        bands = model.get("fit", {}).get("attributes", {}).get(attribute, [])
        return next((float(band["points"]) for band in bands if passes(band, value)), 0.0)

    def rule_points(self, name: str, at_ms: int) -> float:
        """What a rule is worth at an instant, before any clamp."""
        decay = decay_of(self.model, name)
        acts = self.counting[name]
        return sum((points_of(name, act) * weight(decay, act.at_ms, at_ms) for act in acts), 0.0)

    def reading(self, at_ms: int) -> "Reading":
        """Everything a score is made of, at an instant."""
        conditions = self.model.get("conditions", {}).items()
        return Reading(
            self.model,
            at_ms,
            {name: self.rule_points(name, at_ms) for name in rules_of(self.model)},
            {n: float(c["points"]) * self.holds(c["when"], at_ms) for n, c in conditions if "points" in c},
            {name: self.attribute_points(name) for name in self.model.get("fit", {}).get("attributes", {})},
        )


def _was_tested(test: Plain, latest: Record | None) -> bool:
    """Whether the version that saw the value had the test, too: of a value only the outcome of its tests is kept."""
    if latest is None:
        return True
    conditions = latest.matched_by.get("conditions", {}).values()
    return ("attribute", test) in [leaf for condition in conditions for leaf in _leaves(condition["when"])]


def _of(rule: str, records: list[Record]) -> list[Record]:
    return [record for record in records if rule in record.rules]


def decay_of(model: Plain, rule_name: str) -> Plain | str:
    """The rule's decay, else its group's, else the model's."""
    rule = rules_of(model)[rule_name]
    group = model.get("groups", {}).get(rule.get("group"), {})
    decay: Plain | str = rule.get("decay") or group.get("decay") or model.get("decay", {"half_life": "30d"})
    return decay


def points_of(rule_name: str, record: Record) -> float:
    """What the rule awarded for the record: the points of the version that matched it."""
    if rule_name == ADJUST:
        return float(record.fields["points"])
    points = rules_of(record.matched_by)[rule_name]["points"]
    if not isinstance(points, dict):
        return float(points)
    value = record.fields.get(points["field"])
    if not _is_number(value):
        return 0.0
    return clamp(clamp(value * points.get("times", 1), points.get("min"), points.get("max")), -1_000_000, 1_000_000)


# --- adding up (1.5, 1.6) -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """The points of a lead at an instant, by rule (before its ``max``), condition and attribute, and their sums.

    The sums are those of one of the model's scores; the points are all that the lead has.
    """

    model: Plain
    at_ms: int
    rules: dict[str, float]
    conditions: dict[str, float]
    attributes: dict[str, float]
    score_name: str = "main"

    def of(self, score_name: str) -> "Reading":
        """The same points, added up to another score."""
        return replace(self, score_name=score_name)

    @cached_property
    def definition(self) -> Plain:
        """What the model says of the score."""
        return dict(scores_of(self.model)[self.score_name])

    def counts(self, part: Plain) -> bool:
        """Whether a rule or condition is of the score: one without a group is of the main score only."""
        return part["group"] in self.definition["groups"] if "group" in part else self.score_name == "main"

    @property
    def own_rules(self) -> dict[str, float]:
        """Each of the score's rules."""
        rules = rules_of(self.model)
        return {name: points for name, points in self.rules.items() if self.counts(rules[name])}

    @property
    def own_conditions(self) -> dict[str, float]:
        """Each of the score's conditions."""
        conditions = self.model.get("conditions", {})
        return {name: points for name, points in self.conditions.items() if self.counts(conditions[name])}

    @property
    def own_attributes(self) -> dict[str, float]:
        """The attributes, if the score counts the fit."""
        return self.attributes if self.definition.get("fit") else {}

    @cached_property
    def clamped_rules(self) -> dict[str, float]:
        """Each rule's points, within its ``max``."""
        highest = {name: rule.get("max") for name, rule in rules_of(self.model).items()}
        return {name: clamp(points, _minus(highest[name]), highest[name]) for name, points in self.rules.items()}

    @cached_property
    def clamps(self) -> dict[str, float]:
        """What every clamp added or took, by where it is. With the points it adds up to the score."""
        made = {f"rule {name}": self.clamped_rules[name] - points for name, points in self.own_rules.items()}
        for name in self.definition["groups"]:
            made[f"group {name}"] = self.clamped_group(name) - self.group_points(name)
        made["fit"] = self.unclamped - self.engagement - sum(self.own_attributes.values())
        made["score"] = self.score - self.unclamped
        return made

    def group_points(self, group: str | None) -> float:
        """The rules and conditions of a group, before its clamp; ``None``: of what has no group."""
        rules, conditions = rules_of(self.model), self.model.get("conditions", {})
        own = [points for name, points in self.clamped_rules.items() if rules[name].get("group") == group]
        own += [points for name, points in self.conditions.items() if conditions[name].get("group") == group]
        return sum(own, 0.0)

    def clamped_group(self, name: str) -> float:
        """The group's points, within its min and max."""
        group = self.model["groups"][name]
        return clamp(self.group_points(name), group.get("min"), group.get("max"))

    @cached_property
    def engagement(self) -> float:
        """The sum of the score's groups, each within its min and max; of the main one, also of what has no group."""
        free = self.group_points(None) if self.score_name == "main" else 0.0
        return free + sum(self.clamped_group(name) for name in self.definition["groups"])

    @cached_property
    def fit(self) -> float:
        """The sum of the attributes' points, within its limits: the lead's, whichever the score."""
        fit = self.model.get("fit", {})
        return clamp(sum(self.attributes.values(), 0.0), fit.get("min"), fit.get("max"))

    @property
    def unclamped(self) -> float:
        """Engagement, and fit if the score counts it."""
        return self.engagement + (self.fit if self.definition.get("fit") else 0.0)

    @cached_property
    def score(self) -> float:
        """Engagement and fit, within floor and ceiling."""
        return clamp(self.unclamped, self.definition.get("floor", 0), self.definition.get("ceiling", 100))

    @property
    def grade(self) -> str:
        """The fit's letter; empty where the model has none."""
        grades = self.model.get("fit", {}).get("grades", {})
        reached = [letter for letter in sorted(grades) if self.fit >= grades[letter] - TOLERANCE]
        return (reached[0] if reached else "F") if grades else ""

    @property
    def band(self) -> str:
        """Cold, warm or hot."""
        bands = {"cold": 0, "warm": 30, "hot": 70, **self.model.get("bands", {})}
        return next((name for name in ("hot", "warm") if self.score >= bands[name] - TOLERANCE), "cold")

    @property
    def reasons(self) -> list[Plain]:
        """What mattered most: by size to the tolerance, then by name."""
        rules = [(name, self.clamped_rules[name]) for name in self.own_rules]
        parts = [*rules, *self.own_conditions.items(), *self.own_attributes.items()]
        worth = [(name, points) for name, points in parts if abs(points) >= SMALLEST_REASON_POINTS - TOLERANCE]
        size = _sizes([abs(points) for _, points in worth])
        ordered = sorted(worth, key=lambda reason: (-size[abs(reason[1])], reason[0]))
        return [{"name": name, "points": points} for name, points in ordered[:TOP_REASONS]]


def _sizes(points: list[float]) -> dict[float, float]:
    """Each number's size: the largest number to which steps up, each within the tolerance, lead from it."""
    sizes: dict[float, float] = {}
    above: float | None = None
    for worth in sorted(points, reverse=True):
        sizes[worth] = sizes[above] if above is not None and above - worth <= TOLERANCE else worth
        above = worth
    return sizes


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


# --- the first instant at which time alone takes a lead out (1.4, 1.7) --------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a lead stands with one threshold.

    ``held``: entered at once, and no record has found it above exit yet. ``crossed``: how often the lead has crossed
    the threshold, either way; the latest crossing has this number.
    """

    is_in: bool = False
    entered_id: str | None = None
    entered_at_ms: int | None = None
    held: bool = False
    crossed: int = 0


@dataclass(frozen=True, slots=True)
class Departure:
    """When time alone takes the lead out, and why."""

    at_ms: int
    cause: str


def first_departure(
    history: History, threshold: Plain, standing: Standing, after_ms: int, until_ms: float = inf
) -> Departure | None:
    """The first instant later than ``after_ms`` at which a lead that is in leaves, if nothing else happens.

    ``None`` where that is later than ``until_ms``: not to look further spares most of the time.
    """
    free_at_ms = after_ms + 1
    if standing.held:
        assert standing.entered_at_ms is not None
        free_at_ms = max(free_at_ms, standing.entered_at_ms + duration_ms(threshold.get("hold", "14d")))
    level = threshold["exit"] - TOLERANCE
    for first_ms, end_ms in _segments(history, after_ms, free_at_ms):
        if first_ms > until_ms:
            return None
        last_ms = int(min(end_ms, until_ms))
        if history.condition_reasons(first_ms):
            return Departure(first_ms, "DISQUALIFIED")
        if first_ms >= free_at_ms:
            segment = _Segment(history, threshold.get("of", "main"), first_ms)
            below_ms = _first_below(segment, level, first_ms, last_ms)
            if below_ms is not None:
                return Departure(below_ms, "TIME")
    return None


def _segments(history: History, after_ms: int, free_at_ms: int) -> Iterator[tuple[int, int]]:
    """The stretches of time (first and last ms) within which nothing but half-lives moves, until nothing moves."""
    decays = [decay_of(history.model, name) for name in rules_of(history.model)]
    half_lives_ms = [duration_ms(d["half_life"]) for d in decays if isinstance(d, dict) and "half_life" in d]
    starts_ms = {free_at_ms, *_weight_changes(history), *_condition_changes(history)}
    ordered_ms = sorted({after_ms + 1, *(start_ms for start_ms in starts_ms if start_ms > after_ms)})
    end_ms = ordered_ms[-1] + NEGLIGIBLE_HALF_LIVES * max(half_lives_ms, default=0) + 1
    for first_ms, next_ms in pairwise([*ordered_ms, end_ms]):
        yield first_ms, next_ms - 1


def _weight_changes(history: History) -> set[int]:
    """The midnights at which a day-aged weight may change."""
    changes_ms = set()
    for name, acts in history.counting.items():
        decay = decay_of(history.model, name)
        days: Iterable[int] = ()
        if isinstance(decay, dict) and "linear" in decay:
            days = range(1, int(decay["linear"][:-1]) + 1)
        elif isinstance(decay, dict) and "half_life" not in decay:
            days = [int(step[:-1]) + 1 for step in (decay["steps"] if "steps" in decay else [decay["expire"]])]
        changes_ms |= {(act.at_ms // DAY_MS + day) * DAY_MS for act in acts for day in days}
    return changes_ms


def _condition_changes(history: History) -> set[int]:
    """The instants at which an event falls out of a window, or a silence becomes too long."""
    changes_ms = set()
    for condition in history.model.get("conditions", {}).values():
        for kind, inner in _leaves(condition["when"]):
            if kind == "count":
                changes_ms |= {act.at_ms + duration_ms(inner["within"]) for act in history.seen_by(inner["rules"])}
            if kind == "quiet" and (since_ms := history.quiet_since_ms(inner["rules"])) is not None:
                changes_ms.add(since_ms + duration_ms(inner["within"]) + 1)
    return changes_ms


def _first_below(segment: "_Segment", level: float, first_ms: int, last_ms: int) -> int | None:
    """The first ms of the stretch with a score below the level: halve it, skip what is certainly not below."""
    if segment.lowest(first_ms, last_ms) >= level:
        return None
    if first_ms == last_ms:
        return first_ms
    middle_ms = (first_ms + last_ms) // 2
    below_ms = _first_below(segment, level, first_ms, middle_ms)
    return below_ms if below_ms is not None else _first_below(segment, level, middle_ms + 1, last_ms)


Spans = dict[object, tuple[float, float]]
"""Parts of a sum, each monotone in time or enclosed, with its value at the two ends of a stretch."""


class _Segment:
    """A lower bound of the score over stretches of time within which nothing but half-lives moves.

    Each rule has one decay, so its total is one exponential: monotone, hence enclosed by its values at the two ends.
    Rules of one half-life are added before they are bounded, as long as no clamp is between them, so that plus and
    minus of one half-life cancel instead of widening the bound.
    """

    def __init__(self, history: History, score_name: str, start_ms: int) -> None:
        self._model = history.model
        self._start_ms = start_ms
        self._reading = history.reading(start_ms).of(score_name)

    def lowest(self, first_ms: int, last_ms: int) -> float:
        """No score between these instants is lower; of one instant it is the score."""
        score = self._reading.definition
        spans = self._group(None, first_ms, last_ms) if self._reading.score_name == "main" else {}
        for name in score["groups"]:
            group = self._model["groups"][name]
            _add(spans, _enclosed(name, self._group(name, first_ms, last_ms), group.get("min"), group.get("max")))
        total = sum(min(span) for span in spans.values()) + (self._reading.fit if score.get("fit") else 0.0)
        return clamp(total, score.get("floor", 0), score.get("ceiling", 100))

    def _group(self, group: str | None, first_ms: int, last_ms: int) -> Spans:
        conditions = self._model.get("conditions", {})
        own = [p for name, p in self._reading.conditions.items() if conditions[name].get("group") == group]
        spans: Spans = {"constant": (sum(own, 0.0), sum(own, 0.0))}
        for name, rule in rules_of(self._model).items():
            if rule.get("group") == group:
                span = {self._half_life_ms(name): (self._worth(name, first_ms), self._worth(name, last_ms))}
                _add(spans, _enclosed(("rule", name), span, _minus(rule.get("max")), rule.get("max")))
        return spans

    def _half_life_ms(self, rule: str) -> object:
        decay = decay_of(self._model, rule)
        return duration_ms(decay["half_life"]) if isinstance(decay, dict) and "half_life" in decay else "constant"

    def _worth(self, rule: str, at_ms: int) -> float:
        decay = decay_of(self._model, rule)
        moves = isinstance(decay, dict) and "half_life" in decay
        return self._reading.rules[rule] * (weight(decay, self._start_ms, at_ms) if moves else 1.0)


def _enclosed(name: object, spans: Spans, low: float | None, high: float | None) -> Spans:
    """The sum within its clamp: the same parts where the clamp surely does nothing, else one enclosing part."""
    lowest = sum(min(span) for span in spans.values())
    highest = sum(max(span) for span in spans.values())
    if clamp(lowest, low, high) == lowest and clamp(highest, low, high) == highest:
        return spans
    return {(name,): (clamp(lowest, low, high), clamp(highest, low, high))}


def _add(spans: Spans, more: Spans) -> None:
    for key, (first, last) in more.items():
        before = spans.get(key, (0.0, 0.0))
        spans[key] = (before[0] + first, before[1] + last)


# --- thresholds and crossings (1.7), commands (1.8), forgetting (1.9) ---------------------------------------------


@dataclass(slots=True)
class _Lead:
    """One lead on its way through the log. ``departures`` remembers answers until the next record."""

    history: History
    standings: dict[str, Standing]
    latest_ms: int | None = None
    departures: dict[str, Departure | None] = field(default_factory=dict)
    merges: set[Identity] = field(default_factory=set)
    """The merges that this person has seen."""


@dataclass(slots=True)
class _Alias:
    """An id that is another's, until nothing has come under it for as long as a lead is remembered (1.12)."""

    into: str
    latest_ms: int


@dataclass(frozen=True, slots=True)
class _Fact:
    """What all crossings by one record, or by one instant of time, have in common."""

    lead_id: str
    lead: _Lead
    now: Reading
    previous: Reading
    record: Record | None


@dataclass(frozen=True, slots=True)
class _Taken:
    """The lead that a merge takes over, and the thresholds that it was in."""

    lead_id: str
    was_in: frozenset[str]


def _cause(record: Record) -> str:
    """Of a crossing by the score after the record."""
    return "MERGED" if record.type == MERGE else "COMMAND" if record.is_command else "EVENT"


class _World:
    """All leads of a log. Only this has history; what a score is does not depend on it."""

    def __init__(self, model: Plain, limits: Limits) -> None:
        self._model = model
        self._limits = limits
        self._thresholds: Plain = model.get("thresholds", {})
        self._leads: dict[str, _Lead] = {}
        self._lead_ids: set[str] = set()
        self._aliases: dict[str, _Alias] = {}
        self._merged_since: set[str] = set()
        self._erased_to_ms: dict[str, int] = {}
        self._erase_ids: set[tuple[str, str]] = set()
        self._time_ms = 0
        self.crossings: list[Plain] = []
        self.outcomes: list[tuple[str, str, str]] = []

    def time_goes_on_to(self, log_time_ms: int) -> None:
        """Leads leave on the way, by instant, then lead id, then highest exit first."""
        self._time_ms = max(self._time_ms, log_time_ms)
        before = len(self.crossings)
        for lead_id, lead in self._leads.items():
            self._leave_by_time(lead_id, lead, self._time_ms)
        self.crossings[before:] = sorted(self.crossings[before:], key=_order_by_time)

    def follow(self, model: Plain) -> None:
        """The highest version so far is in force: what all leads are read by."""
        if model["version"] > self._model["version"]:
            self._model = model
            for lead in self._leads.values():
                lead.history = replace(lead.history, model=model)

    def apply(self, record: Record, lead_id: str) -> None:
        """One record of the log, in the steps of 1.7: it is one of the lead that the id stands for."""
        self._lead_ids.add(lead_id)
        if record.is_act and not (record.rules or record.attributes):
            return  # it never comes into the log (2.3)
        while (alias := self._alias(lead_id)) is not None:
            if self._is_erased(lead_id, record):
                return
            if record.type == MERGE and record.fields["into"] in (lead_id, alias.into):
                return  # merged already
            alias.latest_ms = max(alias.latest_ms, record.at_ms)
            lead_id = alias.into
        lead = self._remembered(lead_id)
        if not self._accepts(lead_id, lead, record):
            return
        self._lead_ids.add(lead_id)
        self._leads[lead_id] = lead
        if record.type == ERASE:
            self._erase(record, lead_id)
            return
        if record.type == MERGE:
            self._merge(record, lead_id)
            return
        at_ms = record.at_ms if lead.latest_ms is None else max(lead.latest_ms, record.at_ms)
        self._leave_by_time(lead_id, lead, at_ms - 1)
        before = lead.history.reading(at_ms)
        lead.history = replace(lead.history, records=(*lead.history.records, record))
        lead.latest_ms = at_ms
        lead.departures.clear()
        now = _Fact(lead_id, lead, lead.history.reading(at_ms), before, record)
        self._say(now)
        self._leave_by_record(now)
        self._release(now)
        self._enter(now)

    def score_lines(self, at_ms: int) -> list[Plain]:
        """One line per lead of the log that is not erased, by lead id, as of an instant."""
        lead_ids = [lead_id for lead_id in sorted(self._lead_ids - self._gone()) if self._alias(lead_id) is None]
        leads = [(lead_id, self._remembered(lead_id)) for lead_id in lead_ids]
        return [_score_line(lead_id, lead, at_ms, self._limits) for lead_id, lead in leads]

    def _gone(self) -> set[str]:
        """The leads of which nothing came since they were erased, no merge either."""
        erased = self._erased_to_ms.keys() - self._merged_since
        return {lead_id for lead_id in erased if not self._leads[lead_id].history.records}

    # --- one person, several ids (1.12) ---

    def _alias(self, lead_id: str) -> _Alias | None:
        """What makes the id another's; an alias is remembered like a lead, and then it is a new lead's."""
        alias = self._aliases.get(lead_id)
        forget_after_ms = duration_ms(self._model.get("forget_after", "365d"))
        if alias is not None and self._time_ms - alias.latest_ms > forget_after_ms:
            del self._aliases[lead_id]
            self._leads[lead_id] = self._new_lead()
            return None
        return alias

    def _way(self, lead_id: str) -> list[str]:
        """The ids from this one to the lead that it stands for."""
        way = [lead_id]
        while (alias := self._alias(way[-1])) is not None:
            way.append(alias.into)
        return way

    def _erase(self, record: Record, lead_id: str) -> None:
        """The person is erased under all its ids."""
        for one in [lead_id, *(alias for alias in list(self._aliases) if self._way(alias)[-1] == lead_id)]:
            self._erased_to_ms[one] = max(record.at_ms, self._erased_to_ms.get(one, record.at_ms))
            self._erase_ids.add((one, record.event_id))
            self._leads[one] = self._new_lead()
            self._merged_since.discard(one)
        self._aliases = {one: alias for one, alias in self._aliases.items() if one not in self._erased_by(record)}

    def _erased_by(self, record: Record) -> set[str]:
        return {one for one, event_id in self._erase_ids if event_id == record.event_id}

    def _merge(self, record: Record, lead_id: str) -> None:
        """A lead becomes another id of ``into``, and leaves what it is in; the lead behind ``into`` takes all it was.

        If ``into`` leads back to it, that is a circle, of which the smallest id is the lead. Merging twice changes
        nothing, whatever the ids stand for by then.
        """
        into, other = record.fields["into"], self._leads[lead_id]
        way = self._way(into)
        circle = way if way[-1] == lead_id else []
        if into == lead_id or record.identity in other.merges:
            return
        other.merges.add(record.identity)
        if circle and min(circle) == lead_id:
            return
        at_ms = record.at_ms if other.latest_ms is None else max(other.latest_ms, record.at_ms)
        self._leave_by_time(lead_id, other, at_ms - 1)
        now = other.history.reading(at_ms)
        was_in = [name for name, standing in other.standings.items() if standing.is_in]
        for name in sorted(was_in, key=lambda name: -self._thresholds[name]["exit"]):
            self._leave(_Fact(lead_id, other, now, now, record), name, "MERGED", into)
        self._leads[lead_id] = replace(self._new_lead(), standings=other.standings)
        self._merged_since.add(lead_id)
        latest_ms = max([record.at_ms, *(one.at_ms for one in other.history.records)])
        self._aliases[lead_id] = _Alias(into, latest_ms)
        for passed in [one for one in way if one in self._aliases]:
            self._aliases[passed].latest_ms = max(self._aliases[passed].latest_ms, record.at_ms)
        target = min(circle, default=way[-1])
        self._aliases.pop(target, None)
        self._absorb(record, target, other, _Taken(lead_id, frozenset(was_in)))

    def _absorb(self, record: Record, lead_id: str, other: _Lead, taken: "_Taken") -> None:
        """The merge at the lead that remains: from now on it has the records of both."""
        self._lead_ids.add(lead_id)
        lead = self._leads[lead_id] = self._remembered(lead_id)
        at_ms = max(ms for ms in (record.at_ms, lead.latest_ms, other.latest_ms) if ms is not None)
        self._leave_by_time(lead_id, lead, at_ms - 1)
        before = lead.history.reading(at_ms)
        acts = {one.identity for one in lead.history.records if one.is_act}
        erased_to_ms = self._erased_to_ms.get(lead_id, -inf)
        more = [one for one in other.history.records if one.at_ms > erased_to_ms]
        more = [one for one in more if not (one.is_act and one.identity in acts)]
        lead.history = replace(lead.history, records=(*lead.history.records, *more, record))
        lead.latest_ms = at_ms
        lead.departures.clear()
        lead.merges |= other.merges
        for name, standing in other.standings.items():
            entered = [ms for ms in (standing.entered_at_ms, lead.standings[name].entered_at_ms) if ms is not None]
            lead.standings[name] = replace(lead.standings[name], entered_at_ms=max(entered, default=None))
        now = _Fact(lead_id, lead, lead.history.reading(at_ms), before, record)
        self._leave_by_record(now)
        self._release(now)
        self._enter(now, taken)

    def _new_lead(self) -> _Lead:
        return _Lead(
            History(self._model, (), self._limits.recent_events), {name: Standing() for name in self._thresholds}
        )

    def _remembered(self, lead_id: str) -> _Lead:
        lead = self._leads.get(lead_id)
        return self._new_lead() if lead is None or self._is_forgotten(lead) else lead

    def _is_forgotten(self, lead: _Lead) -> bool:
        history = lead.history
        if not history.records or any(standing.is_in for standing in lead.standings.values()):
            return False
        latest_ms = max(record.at_ms for record in history.records)
        if self._time_ms - latest_ms <= duration_ms(self._model.get("forget_after", "365d")):
            return False
        reading = history.reading(self._time_ms)
        of_values = [points for name, points in reading.attributes.items() if history.latest_with(name) is not None]
        worth = [*reading.clamped_rules.values(), *of_values]
        flagged = history.suspended or history.reasons_against(self._time_ms)
        return not flagged and all(abs(points) < NEGLIGIBLE_POINTS for points in worth)

    def _is_erased(self, lead_id: str, record: Record) -> bool:
        """Whether an erasure of this id keeps the record out."""
        if record.type == ERASE:
            return (lead_id, record.event_id) in self._erase_ids
        return lead_id in self._erased_to_ms and record.at_ms <= self._erased_to_ms[lead_id]

    def _accepts(self, lead_id: str, lead: _Lead, record: Record) -> bool:
        if self._is_erased(lead_id, record):
            return False
        if not record.is_act:
            return True
        if lead.history.is_retracted(record):
            return False
        return record.identity not in recent_identities(lead.history, self._limits)

    def _leave_by_time(self, lead_id: str, lead: _Lead, until_ms: int) -> None:
        """Step 1: leave at the first instant at which it was so, if that is not later than ``until_ms``."""
        while departures := [
            (self._departure(lead, name), name) for name, standing in lead.standings.items() if standing.is_in
        ]:
            due = [(d.at_ms, -self._thresholds[name]["exit"], name, d) for d, name in departures if d is not None]
            if not due or min(due)[0] > until_ms:
                return
            at_ms, _, name, departure = min(due, key=lambda one: one[:3])
            lead.latest_ms = at_ms
            now = lead.history.reading(at_ms)
            self._leave(_Fact(lead_id, lead, now, now, None), name, departure.cause)

    def _departure(self, lead: _Lead, name: str) -> Departure | None:
        if name not in lead.departures:
            assert lead.latest_ms is not None
            standing, threshold = lead.standings[name], self._thresholds[name]
            lead.departures[name] = first_departure(lead.history, threshold, standing, lead.latest_ms)
        return lead.departures[name]

    def _leave_by_record(self, fact: _Fact) -> None:
        """Step 3, highest exit first."""
        assert fact.record is not None
        disqualified = bool(fact.lead.history.reasons_against(fact.now.at_ms))
        for name in sorted(self._thresholds, key=lambda n: -self._thresholds[n]["exit"]):
            if not fact.lead.standings[name].is_in:
                continue
            if disqualified:
                self._leave(fact, name, "DISQUALIFIED")
            elif self._recycles(fact, name):
                self._leave(fact, name, "RECYCLED")
            elif self._is_below(name, fact):
                self._leave(fact, name, _cause(fact.record))

    def _is_below(self, name: str, fact: _Fact) -> bool:
        threshold, standing = self._thresholds[name], fact.lead.standings[name]
        if standing.held:
            assert standing.entered_at_ms is not None
            if fact.now.at_ms < standing.entered_at_ms + duration_ms(threshold.get("hold", "14d")):
                return False
        return bool(self._now(fact, name).score < threshold["exit"] - TOLERANCE)

    def _now(self, fact: _Fact, threshold: str) -> Reading:
        """The score that the threshold is of, after the record."""
        return fact.now.of(self._thresholds[threshold].get("of", "main"))

    def _before(self, fact: _Fact, threshold: str) -> Reading:
        """The score that the threshold is of, just before the record."""
        return fact.previous.of(self._thresholds[threshold].get("of", "main"))

    def _release(self, fact: _Fact) -> None:
        """A record that finds the lead above exit ends its hold."""
        for name, standing in fact.lead.standings.items():
            if standing.held and self._now(fact, name).score > self._thresholds[name]["exit"] + TOLERANCE:
                fact.lead.standings[name] = replace(standing, held=False)

    def _enter(self, fact: _Fact, taken: "_Taken | None" = None) -> None:
        """Step 4, lowest enter first; a merge takes the lead into what the other one was in, whatever gates say."""
        assert fact.record is not None
        history = fact.lead.history
        if history.suspended or history.reasons_against(fact.now.at_ms):
            return
        for name in sorted(self._thresholds, key=lambda n: self._thresholds[n]["enter"]):
            if fact.lead.standings[name].is_in:
                continue
            goes_on = taken is not None and name in taken.was_in
            if (
                taken is not None
                and goes_on
                and self._now(fact, name).score >= self._thresholds[name]["exit"] - TOLERANCE
            ):
                self._enter_one(fact, name, "MERGED", taken.lead_id)
            elif self._qualifies(fact, name):
                self._enter_one(fact, name, "INSTANT")
            elif self._may_enter(fact, name):
                self._enter_one(fact, name, _cause(fact.record))

    def _qualifies(self, fact: _Fact, threshold: str) -> bool:
        rules = rules_of(self._model).items()
        qualifying = [name for name, rule in rules if rule.get("qualifies") == threshold]
        return any(fact.record in fact.lead.history.counting[name] for name in qualifying)

    def _recycles(self, fact: _Fact, threshold: str) -> bool:
        rules = rules_of(self._model).items()
        recycling = [
            name for name, rule in rules if threshold in as_list(rule.get("recycles", {}).get("threshold", []))
        ]
        return any(fact.record in fact.lead.history.counting[name] for name in recycling)

    def _say(self, fact: _Fact) -> None:
        """An outcome is counted for each enter before it that it is about, unless it was said of that enter already."""
        rules, counting = rules_of(self._model), fact.lead.history.counting
        said = [name for name, rule in rules.items() if "outcome" in rule and fact.record in counting[name]]
        for outcome in dict.fromkeys(rules[name]["outcome"] for name in said):
            first = next(name for name in said if rules[name]["outcome"] == outcome)
            acts = [act for name, rule in rules.items() if rule.get("outcome") == outcome for act in counting[name]]
            for threshold, since_ms in self._enters(fact.lead, rules[first]).items():
                of_enter = [act for act in acts if act.at_ms >= since_ms]
                if of_enter and all(act is fact.record for act in of_enter):
                    self.outcomes.append((threshold, outcome, first))

    def _enters(self, lead: _Lead, rule: Plain) -> dict[str, float]:
        entered = {
            name: standing.entered_at_ms
            for name, standing in lead.standings.items()
            if standing.entered_at_ms is not None
        }
        if not entered:
            return {"": -inf}
        about = as_list(rule["recycles"]["threshold"]) if "recycles" in rule else entered
        return {name: entered[name] for name in self._thresholds if name in entered and name in about}

    def _may_enter(self, fact: _Fact, name: str) -> bool:
        threshold, standing, now = self._thresholds[name], fact.lead.standings[name], self._now(fact, name)
        require = threshold.get("require", {})
        gates = [
            now.unclamped > self._before(fact, name).unclamped + TOLERANCE,
            now.score >= threshold["enter"] - TOLERANCE,
            "grade" not in require or now.grade <= require["grade"],
            "engagement" not in require or now.engagement >= require["engagement"] - TOLERANCE,
            "fit" not in require or now.fit >= require["fit"] - TOLERANCE,
        ]
        whens = [self._model["conditions"][condition]["when"] for condition in require.get("conditions", [])]
        gates += [fact.lead.history.holds(when, now.at_ms) for when in whens]
        if standing.entered_at_ms is not None:
            gates.append(now.at_ms >= standing.entered_at_ms + duration_ms(threshold.get("cooldown", "0s")))
        recycled_until_ms = fact.lead.history.recycled_until_ms(name)
        if recycled_until_ms is not None:
            gates.append(now.at_ms >= recycled_until_ms)
        return all(gates)

    def _enter_one(self, fact: _Fact, name: str, cause: str, merged_with: str | None = None) -> None:
        assert fact.record is not None
        crossing_id = enter_id(self._model["model"], fact.lead_id, name, fact.record.identity)
        held = cause == "INSTANT" and self._now(fact, name).score <= self._thresholds[name]["exit"] + TOLERANCE
        crossed = fact.lead.standings[name].crossed + 1
        fact.lead.standings[name] = Standing(True, crossing_id, fact.now.at_ms, held, crossed)
        fact.lead.departures.pop(name, None)
        departure = self._departure(fact.lead, name)
        crossing = self._crossing(fact, name, cause) | {"merged_with": merged_with}
        crossing |= {"id": crossing_id, "direction": "ENTER", "entered_id": None}
        crossing |= {"projected_exit_at_ms": departure.at_ms if departure else None}
        self.crossings.append(crossing)

    def _leave(self, fact: _Fact, name: str, cause: str, merged_with: str | None = None) -> None:
        standing = fact.lead.standings[name]
        assert standing.entered_id is not None
        fact.lead.standings[name] = replace(standing, is_in=False, held=False, crossed=standing.crossed + 1)
        crossing = self._crossing(fact, name, cause) | {"merged_with": merged_with}
        crossing |= {"id": leave_id(standing.entered_id), "direction": "LEAVE", "entered_id": standing.entered_id}
        self.crossings.append(crossing | {"projected_exit_at_ms": None})

    def _crossing(self, fact: _Fact, name: str, cause: str) -> Plain:
        now = self._now(fact, name)
        return {
            "model": self._model["model"],
            "model_version": self._model["version"],
            "lead_id": fact.lead_id,
            "threshold": name,
            "score_name": None if now.score_name == "main" else now.score_name,
            "sequence": fact.lead.standings[name].crossed,
            "cause": cause,
            "score": now.score,
            "previous_score": self._before(fact, name).score,
            "engagement": now.engagement,
            "fit": now.fit,
            "grade": now.grade,
            "enter_level": self._thresholds[name]["enter"],
            "exit_level": self._thresholds[name]["exit"],
            "occurred_at_ms": now.at_ms,
            "decided_at_ms": self._time_ms,
            "trigger": _trigger(fact.record),
            "reasons": now.reasons,
            "stale": self._time_ms - now.at_ms > self._limits.stale_after_ms,
        }


def enter_id(model: str, lead_id: str, threshold: str, record: Identity) -> str:
    """The id of the enter that a record causes (1.7)."""
    namespace = uuid5(NAMESPACE_URL, "urn:leadscore:crossing")
    return str(uuid5(namespace, "\x1f".join([model, lead_id, threshold, *record])))


def leave_id(entered_id: str) -> str:
    """The id of the leave that ends an enter (1.7)."""
    return str(uuid5(UUID(entered_id), "leave"))


def recent_identities(history: History, limits: Limits) -> list[Identity]:
    """The latest events and adjustments, earliest first: what is one of them changes nothing a second time."""
    return [act.identity for act in history.acts[-limits.recent_events :]]


def _order_by_time(crossing: Plain) -> tuple[int, str, float]:
    return crossing["occurred_at_ms"], crossing["lead_id"], -crossing["exit_level"]


def _trigger(record: Record | None) -> Plain | None:
    if record is None:
        return None
    campaign = record.fields.get("campaign")
    return {"topic": None, "event_id": record.event_id, "type": record.type, "campaign": campaign}


def _score_line(lead_id: str, lead: _Lead, at_ms: int, limits: Limits) -> Plain:
    """The names of 1.11; and the explanation, all reasons against the lead, and its recent events.

    There is no looking back: an instant before the lead's latest time is read as that time.
    """
    reading = lead.history.reading(at_ms if lead.latest_ms is None else max(at_ms, lead.latest_ms))
    against = lead.history.reasons_against(reading.at_ms)
    return {
        "lead_id": lead_id,
        "score": reading.score,
        "engagement": reading.engagement,
        "fit": reading.fit,
        "grade": reading.grade,
        "band": reading.band,
        "disqualified": against[0] if against else None,
        "thresholds": {name: "in" if standing.is_in else "out" for name, standing in lead.standings.items()},
        "as_of_ms": at_ms,
        "reasons_against": against,
        "recent_events": recent_identities(lead.history, limits),
        "explanation": _explanation(reading),
        "scores": {name: _other_score(reading.of(name)) for name in lead.history.model.get("scores", {})},
    }


def _other_score(reading: Reading) -> Plain:
    """A score beside the main one."""
    numbers = {"score": reading.score, "engagement": reading.engagement, "fit": reading.fit}
    return {**numbers, "explanation": _explanation(reading)}


def _explanation(reading: Reading) -> Plain:
    """The points of each part of the score, and what the clamps did."""
    return {
        "rules": reading.own_rules,
        "conditions": reading.own_conditions,
        "attributes": reading.own_attributes,
        "clamps": reading.clamps,
    }
