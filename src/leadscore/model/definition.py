"""The model file as typed values, key for key (design 1.10). What may be written; ``load`` says what makes sense.

The JSON Schema for editors is made out of these types. Durations stay text here; ``durations`` turns them into milliseconds.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

Duration = Annotated[str, Meta(pattern=r"^[0-9]+(s|m|h|d)$", description="a whole number of s, m, h or d: 90s, 14d")]
Days = Annotated[str, Meta(pattern=r"^[0-9]+d$", description="a whole number of days: 14d")]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Number = int | float
Scalar = str | int | float | bool
Grade = Literal["A", "B", "C", "D", "E", "F"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Test(_Part):
    """What a field must be; all given tests must pass. A missing or null field fails all but ``exists: false``."""

    in_: list[Scalar] | None = field(name="in", default=None)
    not_in: list[Scalar] | None = None
    at_least: Number | None = None
    below: Number | None = None
    matches: str | None = None
    exists: bool | None = None


class Decay(_Part):
    """How points fade: exactly one of the four, or the word ``none`` in its place."""

    half_life: Duration | None = None
    steps: dict[Days, Annotated[float, Meta(ge=0, le=1)]] | None = None
    linear: Days | None = None
    expire: Days | None = None


DecayChoice = Decay | Literal["none"]


class ScoreRange(_Part):
    """The limits of the score, applied on read."""

    floor: Number = 0
    ceiling: Number = 100


class Bands(_Part):
    """The smallest score of each band."""

    cold: Number = 0
    warm: Number = 30
    hot: Number = 70


class Group(_Part):
    """A sum of rules and conditions with limits of its own."""

    min: Number | None = None
    max: Number | None = None
    decay: DecayChoice | None = None


class Limit(_Part):
    """At most ``times`` events of the rule count per UTC day, ISO week, or ever."""

    times: Annotated[int, Meta(ge=1)]
    per: Literal["day", "week", "forever"]


class ExcludeBurst(_Part):
    """Machine clicks: ``at_least`` events of the rule within ``within`` of each other count zero."""

    at_least: Annotated[int, Meta(ge=2)]
    within: Duration


class Rule(_Part):
    """A condition on an event, and the points it awards."""

    event: str
    points: Number
    where: dict[str, Scalar | Test] = {}
    group: Name | None = None
    decay: DecayChoice | None = None
    limit: Limit | None = None
    once_per: str | None = None
    max: Annotated[float, Meta(gt=0)] | None = None
    exclude_burst: ExcludeBurst | None = None
    qualifies: Name | None = None
    disqualifies: str | None = None


class Count(_Part):
    """True while at least ``at_least`` events of the rules lie within the last ``within``."""

    rules: Annotated[list[Name], Meta(min_length=1)]
    at_least: Annotated[int, Meta(ge=1)]
    within: Duration


class Quiet(_Part):
    """True while the rules' latest event, and the lead's first event of any kind, are more than ``within`` ago."""

    rules: Annotated[list[Name], Meta(min_length=1)]
    within: Duration


class AttributeTest(Test, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A test of the latest value of one attribute."""

    name: Name


class When(_Part):
    """A combination of tests: exactly one of the six."""

    all: Annotated[list["When"], Meta(min_length=1)] | None = None
    any: Annotated[list["When"], Meta(min_length=1)] | None = None
    not_: "When | None" = field(name="not", default=None)
    count: Count | None = None
    quiet: Quiet | None = None
    attribute: AttributeTest | None = None


class Condition(_Part):
    """Points or disqualification while something is true."""

    when: When
    points: Number | None = None
    group: Name | None = None
    disqualifies: str | None = None


class Band(Test, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Points for an attribute's value; the first matching band of the list counts."""

    points: Number


class Fit(_Part):
    """Points for who the lead is, and the letters they map to."""

    min: Number | None = None
    max: Number | None = None
    attributes: dict[Name, Annotated[list[Band], Meta(min_length=1)]] = {}
    grades: dict[Grade, Number] = {}


class Require(_Part):
    """Gates of a threshold, besides the score."""

    grade: Grade | None = None
    engagement: Number | None = None
    fit: Number | None = None


class Threshold(_Part):
    """A named pair of levels: a lead enters at ``enter`` and leaves below ``exit``."""

    enter: Number
    exit: Number
    require: Require | None = None
    cooldown: Duration = "0s"
    hold: Duration = "14d"


class ModelDefinition(_Part):
    """A whole model file."""

    model: Name
    version: Annotated[int, Meta(ge=1)]
    rules: dict[Name, Rule] = {}
    thresholds: dict[Name, Threshold] = {}
    score: ScoreRange = ScoreRange()
    bands: Bands = Bands()
    decay: DecayChoice = Decay(half_life="30d")
    forget_after: Duration = "365d"
    groups: dict[Name, Group] = {}
    conditions: dict[Name, Condition] = {}
    fit: Fit = Fit()
