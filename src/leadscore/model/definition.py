"""The model file as typed values, key for key (design 1.10). What may be written; ``sense`` says what makes sense.

The JSON Schema for editors is made out of these types, and so are the messages about wrong keys and values. Durations
stay text here; ``durations`` turns them into milliseconds.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

from leadscore.model.field_tests import Number, Test
from leadscore.model.value_sets import Scalar
from leadscore.yaml_reading.scalars import Days, Duration, Instant, Name

Text = Annotated[str, Meta(min_length=1, max_length=200)]
Positive = Annotated[float, Meta(gt=0)]
Grade = Literal["A", "B", "C", "D", "E", "F"]

MAIN_SCORE = "main"
"""What a threshold's ``of`` calls the score that every model has."""


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Decay(_Part, frozen=True):
    """How points decay with age: exactly one of the four, or the word `none` in its place."""

    half_life: Annotated[
        Duration | None, Meta(description="Points lose half their worth in every such time, continuously.")
    ] = None
    steps: Annotated[
        dict[Days, Annotated[float, Meta(ge=0, le=1)]] | None,
        Meta(
            description="What is left of a point up to an age in whole UTC days, youngest age first; nothing after"
            " the last. `0d` is the event's own day."
        ),
    ] = None
    linear: Annotated[Days | None, Meta(description="Points decay evenly to nothing over this number of UTC days.")] = (
        None
    )
    expire: Annotated[
        Days | None, Meta(description="Points count in full up to this age in UTC days, then not at all.")
    ] = None


DecayChoice = Decay | Literal["none"]


class ScoreRange(_Part, frozen=True):
    """The limits of a score, applied on read."""

    floor: Annotated[Number, Meta(description="The score is never below this.")] = 0
    ceiling: Annotated[Number, Meta(description="The score is never above this.")] = 100


class Bands(_Part, frozen=True):
    """The smallest score of each band."""

    cold: Annotated[Number, Meta(description="A score below `warm` is cold.")] = 0
    warm: Annotated[Number, Meta(description="The smallest score that is warm.")] = 30
    hot: Annotated[Number, Meta(description="The smallest score that is hot.")] = 70


class Group(_Part, frozen=True):
    """A sum of rules and conditions with limits of its own."""

    min: Annotated[Number | None, Meta(description="The group's sum counts as no less than this.")] = None
    max: Annotated[Number | None, Meta(description="The group's sum counts as no more than this.")] = None
    decay: Annotated[
        DecayChoice | None, Meta(description="How points decay in rules of the group that have no decay of their own.")
    ] = None
    in_main: Annotated[
        bool, Meta(description="Whether the group counts for the main score; if not, one of `scores` counts it.")
    ] = True


class OtherScore(ScoreRange, frozen=True, kw_only=True):
    """A score beside the main one, of some of the groups."""

    groups: Annotated[list[Name], Meta(min_length=1, description="The groups whose sum the score is.")]
    fit: Annotated[bool, Meta(description="Whether the fit is added, as it is to the main score.")] = False


class Limit(_Part, frozen=True):
    """How many events of the rule count, the earliest first."""

    times: Annotated[int, Meta(ge=1, description="At most this many events count.")]
    per: Annotated[
        Literal["day", "week", "month", "forever"],
        Meta(description="In each UTC day, in each ISO week, in each UTC calendar month, or in all."),
    ]


class ExcludeBurst(_Part, frozen=True):
    """Machine clicks: this many events of the rule within a short time all count zero."""

    at_least: Annotated[int, Meta(ge=2, le=64, description="This many events or more are a burst.")]
    within: Annotated[Duration, Meta(description="The length of the span of time they lie in.")]


class FieldPoints(_Part, frozen=True):
    """Points out of a number that the event carries; a missing value, or one that is no number, gives 0."""

    field: Annotated[Text, Meta(description="The field that holds the number.")]
    times: Annotated[Number, Meta(description="The number times this are the points; may be negative.")] = 1
    max: Annotated[Number | None, Meta(description="An event gives no more points than this.")] = None
    min: Annotated[Number | None, Meta(description="An event with such a number gives no fewer points than this.")] = (
        None
    )


class Active(_Part, frozen=True):
    """The span of time of a rule; one of the two may be missing."""

    from_: Annotated[
        Instant | None, Meta(description="The first instant (UTC), such as `2026-03-01`, which is its midnight.")
    ] = field(name="from", default=None)
    until: Annotated[Instant | None, Meta(description="The first instant (UTC) that is too late.")] = None


class Recycles(_Part, frozen=True):
    """Sales gives the lead back: out of the threshold, and not into it again for a time."""

    threshold: Annotated[
        Name | Annotated[list[Name], Meta(min_length=1)],
        Meta(description="The threshold that the event takes the lead out of, or a list of thresholds."),
    ]
    for_: Annotated[
        Duration,
        Meta(description="Until so long after the event, only a rule that `qualifies` lets the lead in again."),
    ] = field(name="for")

    @property
    def thresholds(self) -> list[str]:
        """The thresholds that the lead leaves."""
        return [self.threshold] if isinstance(self.threshold, str) else self.threshold


class Rule(_Part, frozen=True):
    """An event, tests of its fields, and the points it awards."""

    event: Annotated[
        Text | Annotated[list[Text], Meta(min_length=1)],
        Meta(description="The type of the event, such as `website.page_view`, or a list of types."),
    ]
    points: Annotated[
        Number | FieldPoints,
        Meta(description="Points for each event that counts; may be negative or 0, or come out of a field."),
    ]
    active: Annotated[Active | None, Meta(description="Only events that occurred in this span of time match.")] = None
    where: Annotated[
        dict[str, Scalar | Test],
        Meta(description="Tests of the event's fields, by name of the field; a plain value means equal to it."),
    ] = {}
    group: Annotated[Name | None, Meta(description="The group the rule belongs to.")] = None
    decay: Annotated[
        DecayChoice | None, Meta(description="How the points decay; else as the group says, else as the model says.")
    ] = None
    limit: Annotated[Limit | None, Meta(description="How many events count per day, per week, per month, or ever.")] = (
        None
    )
    once_per: Annotated[
        Text | None, Meta(description="A field: for each of its values only the earliest event counts.")
    ] = None
    max: Annotated[
        Positive | None, Meta(description="The rule's sum counts as no more than this, and no less than minus this.")
    ] = None
    exclude_burst: Annotated[ExcludeBurst | None, Meta(description="Machine clicks: bursts of events count zero.")] = (
        None
    )
    qualifies: Annotated[
        Name | None, Meta(description="A threshold that the lead enters at once, whatever its score.")
    ] = None
    disqualifies: Annotated[
        Text | None, Meta(description="The event disqualifies the lead, for this reason, until a requalify command.")
    ] = None
    recycles: Annotated[
        Recycles | None,
        Meta(description="Sales gives the lead back: it leaves the threshold and does not enter it again for a time."),
    ] = None
    outcome: Annotated[
        Name | None,
        Meta(description="What sales says of the lead by this event, such as `rejected`; it is counted and listed."),
    ] = None

    @property
    def event_types(self) -> list[str]:
        """The types of the events that the rule is about."""
        return [self.event] if isinstance(self.event, str) else self.event


class Count(_Part, frozen=True):
    """True while at least this many events of the rules lie within the time up to now."""

    rules: Annotated[list[Name], Meta(min_length=1, description="The rules whose events are counted.")]
    at_least: Annotated[int, Meta(ge=1, le=64, description="This many events or more.")]
    within: Annotated[Duration, Meta(description="How far back events are counted.")]


class Quiet(_Part, frozen=True):
    """True while the rules' latest event, and the lead's first event of any kind, are longer ago than ``within``."""

    rules: Annotated[list[Name], Meta(min_length=1, description="The rules none of whose events came.")]
    within: Annotated[Duration, Meta(description="For longer than this.")]


class AttributeTest(Test, frozen=True, kw_only=True):
    """Tests of the latest value of one attribute."""

    name: Annotated[Name, Meta(description="The attribute.")]


class When(_Part, frozen=True):
    """What must be true: exactly one of the six."""

    all: Annotated[Annotated[list["When"], Meta(min_length=1)] | None, Meta(description="All of these are true.")] = (
        None
    )
    any: Annotated[
        Annotated[list["When"], Meta(min_length=1)] | None, Meta(description="At least one of these is true.")
    ] = None
    not_: Annotated["When | None", Meta(description="This is not true.")] = field(name="not", default=None)
    count: Annotated[Count | None, Meta(description="Enough events came lately.")] = None
    quiet: Annotated[Quiet | None, Meta(description="No event came for long; a newcomer is not punished.")] = None
    attribute: Annotated[AttributeTest | None, Meta(description="An attribute of the lead passes tests.")] = None


class Condition(_Part, frozen=True):
    """Points or disqualification while something is true, or what a threshold requires."""

    when: Annotated[When, Meta(description="What must be true.")]
    points: Annotated[Number | None, Meta(description="Points as long as it is true; they do not decay.")] = None
    group: Annotated[Name | None, Meta(description="The group the points belong to.")] = None
    disqualifies: Annotated[
        Text | None, Meta(description="The lead is disqualified, for this reason, as long as it is true.")
    ] = None


class Band(Test, frozen=True, kw_only=True):
    """Points for an attribute's value; the first band of the list whose tests pass counts."""

    points: Annotated[Number, Meta(description="Points for a value that passes the tests; may be negative.")]


class Fit(_Part, frozen=True):
    """Points for who the lead is, and the letters they map to."""

    min: Annotated[Number | None, Meta(description="Fit counts as no less than this.")] = None
    max: Annotated[Number | None, Meta(description="Fit counts as no more than this.")] = None
    attributes: Annotated[
        dict[Name, Annotated[list[Band], Meta(min_length=1)]],
        Meta(description="Per attribute the bands of its values; the first whose tests pass counts."),
    ] = {}
    grades: Annotated[
        dict[Grade, Number],
        Meta(description="The smallest fit of each letter, best letter first; below all of them: F."),
    ] = {}


class Require(_Part, frozen=True):
    """Gates of a threshold, besides the score."""

    grade: Annotated[Grade | None, Meta(description="This grade or a better one.")] = None
    engagement: Annotated[Number | None, Meta(description="This many points of engagement or more.")] = None
    fit: Annotated[Number | None, Meta(description="This many points of fit or more.")] = None
    conditions: Annotated[
        Annotated[list[Name], Meta(min_length=1)] | None,
        Meta(description="Conditions that must hold; they give no points and disqualify nobody."),
    ] = None


class Threshold(_Part, frozen=True):
    """A named pair of levels: a lead enters at ``enter`` and leaves below ``exit``."""

    enter: Annotated[Number, Meta(description="A record that raises the score to this or more lets the lead in.")]
    exit: Annotated[Number, Meta(description="Below this score the lead leaves; smaller than `enter`.")]
    of: Annotated[Name, Meta(description="The score the levels are of: one of `scores`, or `main`.")] = MAIN_SCORE
    require: Annotated[Require | None, Meta(description="What else must be so for a lead to enter.")] = None
    cooldown: Annotated[Duration, Meta(description="No new enter for this time after the last one.")] = "0s"
    hold: Annotated[
        Duration,
        Meta(description="For this time, a lead that a rule let in at once is not taken out by a low score."),
    ] = "14d"


class ModelDefinition(_Part, frozen=True):
    """How leads are scored: rules, conditions, fit and thresholds."""

    model: Annotated[Name, Meta(description="The model's name; part of every crossing's id, so never change it.")]
    version: Annotated[
        int,
        Meta(ge=1, le=2**31 - 1, description="Whole number; raise it with every change of a model that is in use."),
    ]
    rules: Annotated[dict[Name, Rule], Meta(description="Points for events.")] = {}
    thresholds: Annotated[
        dict[Name, Threshold], Meta(description="Levels whose crossing is published, such as `mql`.")
    ] = {}
    score: Annotated[ScoreRange, Meta(description="The limits of the main score.")] = ScoreRange()
    scores: Annotated[
        dict[Name, OtherScore],
        Meta(description="Scores beside the main one: for a product line, for customers, for service."),
    ] = {}
    bands: Annotated[Bands, Meta(description="Where cold, warm and hot begin.")] = Bands()
    decay: Annotated[DecayChoice, Meta(description="How points decay, unless the rule or its group has a decay.")] = (
        Decay(half_life="30d")
    )
    forget_after: Annotated[
        Duration,
        Meta(description="A lead without records for this time, and worth nothing, is new again."),
    ] = "365d"
    groups: Annotated[dict[Name, Group], Meta(description="Sums of rules and conditions with limits.")] = {}
    conditions: Annotated[dict[Name, Condition], Meta(description="Points while something is true.")] = {}
    fit: Annotated[Fit, Meta(description="Points for who the lead is.")] = Fit()

    def every_score(self) -> dict[str, OtherScore]:
        """The main score, as if `scores` named it, of all groups that count for it; then the others."""
        in_main = [name for name, group in self.groups.items() if group.in_main]
        main = OtherScore(groups=in_main, fit=True, floor=self.score.floor, ceiling=self.score.ceiling)
        return {MAIN_SCORE: main, **self.scores}

    @property
    def required_conditions(self) -> set[str]:
        """The conditions that thresholds require."""
        gates = [threshold.require for threshold in self.thresholds.values() if threshold.require is not None]
        return {name for gate in gates for name in gate.conditions or []}
