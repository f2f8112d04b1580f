"""Finding things in foreign records: values behind dotted paths, names turned to snake case. Pure."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated

from msgspec import Meta

from leadscore.events.validation import FieldProblem, Record
from leadscore.yaml_reading.scalars import WORDS

FieldPath = Annotated[str | list[str], Meta(extra={WORDS: "a path of dotted names such as user.id, or a list of such"})]
"""A dotted path (``user.id``), or several: the first that has a value counts."""

_CAMEL_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BETWEEN_WORDS = re.compile(r"[\W_]+")


def finder(path: FieldPath) -> Callable[[Record], object]:
    """The function that finds the value of a path in a record; ``None`` where it is missing or an empty text."""
    alternatives = [single.split(".") for single in paths_of(path)]

    def find(record: Record) -> object:
        for names in alternatives:
            value: object = record
            for name in names:
                value = value.get(name) if isinstance(value, dict) else None
            if value is not None and value != "":
                return value
        return None

    return find


def paths_of(path: FieldPath) -> list[str]:
    """The alternatives of a path."""
    return [path] if isinstance(path, str) else path


ENVELOPE = {"lead_id": "an opaque id of the lead", "event_id": "an id of the event", "occurred_at": "a time"}
"""What every event has, and what is expected where a record has none."""


def refuse_missing(envelope: Record, paths: Mapping[str, FieldPath]) -> None:
    """``FieldProblem`` with the record's own names for what it lacks: its sender knows no others."""
    for name, expected in ENVELOPE.items():
        if envelope[name] is None:
            raise FieldProblem(" or ".join(paths_of(paths[name])), None, expected)


def snake_case(name: str) -> str:
    """``Page Viewed`` and ``pageViewed`` to ``page_viewed``."""
    return _BETWEEN_WORDS.sub("_", _CAMEL_HUMP.sub("_", name)).strip("_").lower()
