"""Text with a form of its own, as fields of a file's structs may be annotated, and how a person is told that form."""

from typing import Annotated

from msgspec import Meta

DURATION_PATTERN = r"^[0-9]{1,10}(s|m|h|d)$"
DAYS_PATTERN = r"^[0-9]{1,10}d$"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
INSTANT_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]{5,15}(Z|[-+][0-9]{2}:[0-9]{2}))?$"

Duration = Annotated[str, Meta(pattern=DURATION_PATTERN)]
Days = Annotated[str, Meta(pattern=DAYS_PATTERN)]
Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
Instant = Annotated[str, Meta(pattern=INSTANT_PATTERN)]

WORDS = "words"
"""The key in ``Meta.extra`` of a type under which its own words stand, for a person who wrote something else."""

PATTERN_WORDS = {
    DURATION_PATTERN: "a duration: a whole number with s, m, h or d, such as 90s or 14d",
    DAYS_PATTERN: "a whole number of days, such as 14d",
    NAME_PATTERN: "a name: at most 64 of the characters A-Z a-z 0-9 _ . -, the first a letter or digit",
    INSTANT_PATTERN: "a day such as 2026-03-01 (its midnight, UTC), or an instant such as 2026-03-01T08:00:00Z",
}
