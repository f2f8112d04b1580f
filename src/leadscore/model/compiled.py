"""The model as the fold reads it: numbers instead of words, stable ids instead of names. Values; pure.

``CompiledModel`` is everything scoring needs of a model version. It never changes after ``compile`` has built it.
"""

from dataclasses import dataclass
from typing import Final

EPSILON: Final = 1e-9
"""Two sums of points closer than this are equal: the same events give the same to 1e-9, whatever their order (1.6)."""

NO_GROUP: Final = -1
GRADES: Final = ("A", "B", "C", "D", "E", "F")


@dataclass(frozen=True, slots=True)
class DecayCurve:
    """What age leaves of points: by half-life (ms), by whole UTC days (``weights[age]``, 0 beyond), or all of them."""

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
    limit_per: str = "forever"
    """``day``, ``week``, ``month`` or ``forever``."""


@dataclass(frozen=True, slots=True)
class Recycling:
    """The thresholds that an event of the rule takes a lead out of, and for how long it keeps it out."""

    threshold_ids: frozenset[int]
    for_ms: int


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """One rule as the fold reads it."""

    name: str
    rule_id: int
    event_types: tuple[str, ...]
    group: int
    decay: DecayCurve
    maximum: float
    selection: Selection | None
    qualifies: int | None
    disqualifies: str | None
    recycles: Recycling | None
    outcome: str | None
    never_spared: bool
    """Whether an event of the rule is looked at whatever the score: it qualifies, or it is an outcome."""
    only_raises: bool
    """Whether an event that comes last can only raise the score, now and later (if its points are not negative)."""


@dataclass(frozen=True, slots=True)
class CompiledGroup:
    """A sum with limits; ``index`` is its place among the groups of the model."""

    name: str
    index: int
    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True, eq=False)
class CountTest:
    """At least ``at_least`` events of the rules within the last ``within_ms``."""

    rule_ids: frozenset[int]
    at_least: int
    within_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class QuietTest:
    """The rules' latest event and the lead's first are more than ``within_ms`` ago."""

    rule_ids: frozenset[int]
    within_ms: int


@dataclass(frozen=True, slots=True)
class ValueTest:
    """The attribute's latest value passes the test known by ``test_id``; ``when_missing`` is the answer without one."""

    attribute_id: int
    test_id: int
    when_missing: bool


@dataclass(frozen=True, slots=True)
class Combined:
    """``all``, ``any`` or ``not`` of other tests."""

    how: str
    parts: "tuple[ConditionTest, ...]"


ConditionTest = CountTest | QuietTest | ValueTest | Combined


@dataclass(frozen=True, slots=True)
class CompiledCondition:
    """Points or disqualification while ``test`` holds; neither where a threshold requires it."""

    name: str
    test: ConditionTest
    points: float
    group: int
    disqualifies: str | None


@dataclass(frozen=True, slots=True)
class EarnedPoints:
    """Points of a condition that does not hold before the lead has had an event of each of these sets of rules."""

    points: float
    group: int
    needed: tuple[frozenset[int], ...]


@dataclass(frozen=True, slots=True)
class CompiledAttribute:
    """A fit attribute; ``when_missing`` are its points for a lead that has no value."""

    name: str
    when_missing: float


@dataclass(frozen=True, slots=True, eq=False)
class CompiledScore:
    """The main score, or another: what it is the sum of, and its limits."""

    name: str
    index: int
    """Its place among the scores of the model; 0 is the main one."""
    groups: tuple[CompiledGroup, ...]
    counts: tuple[bool, ...]
    """By index of the group: whether it is one of ``groups``; the last says it of what has no group."""
    counts_fit: bool
    floor: float
    ceiling: float
    upper_bound_besides_rules: float
    """What conditions and fit together can add to the score is not more."""
    out_of_reach: float
    """Scores below cannot enter any threshold of the score."""

    @property
    def is_main(self) -> bool:
        """Whether this is the score that every model has."""
        return self.index == 0


@dataclass(frozen=True, slots=True)
class CompiledThreshold:
    """A pair of levels with its gates."""

    name: str
    threshold_id: int
    score: CompiledScore
    """The score that the levels are of."""
    enter: float
    exit: float
    out_of_reach: float
    """Scores below cannot enter; ``-inf`` where the score's floor lifts every lead over it."""
    cooldown_ms: int
    hold_ms: int
    require_grade: str | None
    require_engagement: float
    require_fit: float
    require_conditions: tuple[CompiledCondition, ...]


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """One model version. ``thresholds`` stand lowest ``enter`` first; dictionaries are keyed by stable id."""

    name: str
    version: int
    scores: tuple[CompiledScore, ...]
    """The main score, then the others in the order of the file."""
    crossed: tuple[CompiledScore, ...]
    """Those of the scores that have thresholds."""
    bands: tuple[tuple[float, str], ...]
    forget_after_ms: int
    rules: dict[int, CompiledRule]
    groups: tuple[CompiledGroup, ...]
    conditions: tuple[CompiledCondition, ...]
    """Those that give points or disqualify."""
    gates: tuple[CompiledCondition, ...]
    """Those that thresholds require: time may change what they say, and no score with it."""
    attributes: dict[int, CompiledAttribute]
    fit_minimum: float
    fit_maximum: float
    grades: tuple[tuple[float, str], ...]
    thresholds: tuple[CompiledThreshold, ...]
    event_types: tuple[str, ...]
    """The types that rules name, and those that need no rule: of profiles and of ``adjust``."""
    with_bursts: frozenset[int]
    """Rules with ``exclude_burst``."""
    disqualifying: frozenset[int]
    """Rules whose events disqualify."""
    recycling: frozenset[int]
    """Rules whose events recycle."""
    outcomes: frozenset[int]
    """Rules whose events are outcomes."""
    has_disqualifying_conditions: bool
    fit_without_values: float
    """The fit of a lead of which no attribute is known."""
    condition_upper_bounds: tuple[float, ...]
    """What the conditions of each group can add is not more; the last is of those without a group."""
    earned_points: tuple[EarnedPoints, ...]
    """Of these conditions, those that need events."""
    half_lives_ms: dict[int, float]
    """Of the rules that decay by half-life."""
    lasting: frozenset[int]
    """Rules whose points never decay."""
    decays_within_ms: float
    """After so long ten thousand points are worth less than 0.01, if they decay at all: bounds the TTL of leads."""

    @property
    def main(self) -> CompiledScore:
        """The score that every model has."""
        return self.scores[0]

    @property
    def leaving_order(self) -> list[CompiledThreshold]:
        """The thresholds in the order in which a lead leaves them: highest ``exit`` first."""
        return sorted(self.thresholds, key=lambda threshold: (-threshold.exit, threshold.name))

    def grade_of(self, fit: float) -> str:
        """The letter of a fit; empty where the model has no grades."""
        for smallest, letter in self.grades:
            if fit >= smallest - EPSILON:
                return letter
        return "F" if self.grades else ""

    def band_of(self, score: float) -> str:
        """``hot``, ``warm`` or ``cold``; below all of them the lowest."""
        for smallest, name in self.bands:
            if score >= smallest - EPSILON:
                return name
        return self.bands[-1][1]
