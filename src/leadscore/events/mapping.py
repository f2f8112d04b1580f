"""Foreign schemas by configuration: which field is the lead id, the event id, the time, the type. Reads one file.

A mappings file is YAML, one entry per topic; ``TopicMapping`` is what an entry may say. ``preset: segment`` reads the
format of Segment and RudderStack (module ``segment``).
"""

from collections.abc import Callable, Iterator
from math import isfinite
from pathlib import Path
from typing import Annotated, Literal, cast

import msgspec
from msgspec import Meta

from leadscore.errors import ConfigError
from leadscore.events import segment
from leadscore.events.foreign import FieldPath, finder, paths_of, refuse_missing, snake_case
from leadscore.events.validation import FieldProblem, Record
from leadscore.yaml_reading.document import Document
from leadscore.yaml_reading.scalars import WORDS
from leadscore.yaml_reading.shape import Finding, shown
from leadscore.yaml_reading.typed import parse, read_text

RecordMapper = Callable[[Record], tuple[Record, Record]]
"""A foreign record to what ``validation.event_of`` takes: envelope and fields."""

_UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_PRESET_KEYS = frozenset({"preset", "types"})
_TYPE_KEYS = frozenset({"type_field", "types", "type_prefix"})
_PATH_FIELDS = ("lead_id", "event_id", "occurred_at", "type_field", "attributes", "campaign")


class TopicMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the records of one topic say what an event says.

    The type is ``type`` for every record of the topic; or the value of ``type_field``, looked up in ``types``, else
    ``type_prefix`` and the value in snake case, else the value itself. ``lift`` names objects whose members become
    fields of the top level. A preset takes nothing but ``types`` beside it.
    """

    preset: Literal["segment"] | None = None
    lead_id: FieldPath = "lead_id"
    event_id: FieldPath = "event_id"
    occurred_at: FieldPath = "occurred_at"
    occurred_at_unit: Literal["s", "ms", "us", "ns"] = "ms"
    type: str | None = None
    type_field: FieldPath = "type"
    types: dict[str, str] = {}
    type_prefix: str = ""
    attributes: FieldPath = "attributes"
    campaign: FieldPath = "campaign"
    lift: list[str] = []


Mappings = Annotated[
    dict[str, TopicMapping], Meta(extra={WORDS: "one entry per topic, as in `my-topic: {preset: segment}`"})
]


def load_mappings(path: str | Path) -> dict[str, TopicMapping]:
    """The mappings of a file, by topic; ``ConfigError`` with every problem, one per line."""
    return parse(read_text(Path(path), ConfigError), str(path), Mappings, ConfigError, _findings)


def compile_mapping(mapping: TopicMapping) -> RecordMapper:
    """The function that maps the records of a topic. What it uses on the top level is no field any more."""
    if mapping.preset == "segment":
        return segment.record_mapper(mapping.types)
    find_type = _type_finder(mapping)
    paths = {"event_id": mapping.event_id, "lead_id": mapping.lead_id, "occurred_at": mapping.occurred_at}
    find = {name: finder(path) for name, path in paths.items()} | {"attributes": finder(mapping.attributes)}
    find_campaign = finder(mapping.campaign)
    lifted = [finder(path) for path in mapping.lift]
    used = _used_names(mapping)

    def map_record(record: Record) -> tuple[Record, Record]:
        envelope = {name: find_value(record) for name, find_value in find.items()}
        refuse_missing(envelope, paths)
        envelope["type"] = find_type(record)
        if mapping.occurred_at_unit != "ms":
            envelope["occurred_at"] = _in_ms(envelope["occurred_at"], mapping.occurred_at_unit)
        fields = {name: value for name, value in record.items() if name not in used}
        for find_object in lifted:
            members = find_object(record)
            fields.update(members if isinstance(members, dict) else {})
        fields["campaign"] = find_campaign(record)
        return envelope, fields

    return map_record


def _used_names(mapping: TopicMapping) -> frozenset[str]:
    paths = [mapping.lead_id, mapping.event_id, mapping.occurred_at, mapping.attributes, mapping.lift]
    if mapping.type is None:
        paths.append(mapping.type_field)
    return frozenset(single for path in paths for single in paths_of(path))


def _type_finder(mapping: TopicMapping) -> Callable[[Record], object]:
    find = finder(mapping.type_field)

    def find_type(record: Record) -> object:
        value = find(record)
        if not isinstance(value, str):
            return value
        if value in mapping.types:
            return mapping.types[value]
        return f"{mapping.type_prefix}{snake_case(value)}" if mapping.type_prefix else value

    return find_type if mapping.type is None else lambda _record: mapping.type


def _in_ms(value: object, unit: str) -> object:
    """Numbers in milliseconds; text is ISO 8601 in any unit."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, float) and not isfinite(value):
        raise FieldProblem("occurred_at", value, "a finite number")
    if isinstance(value, int):
        return value * 1_000 // _UNITS_PER_SECOND[unit]
    return int(value * 1_000 / _UNITS_PER_SECOND[unit])


def _findings(mappings: dict[str, TopicMapping], document: Document) -> Iterator[Finding]:
    """What makes no sense, although every key and value is of the right kind."""
    for topic, mapping in mappings.items():
        keys = [str(path[1]) for path in document.lines if len(path) == 2 and path[0] == topic]
        if mapping.preset is not None:
            beside = [key for key in keys if key not in _PRESET_KEYS]
            yield from _refused(beside, topic, document, "nothing beside a preset but types")
        if mapping.type is not None:
            others = [key for key in keys if key in _TYPE_KEYS]
            yield from _refused(others, topic, document, "either type, for all records, or this")
        for name in _PATH_FIELDS:
            if not all(paths_of(getattr(mapping, name)) or [""]):
                yield (topic, name), "an empty path: expected dotted names such as user.id"


def _refused(keys: list[str], topic: str, document: Document, expected: str) -> Iterator[Finding]:
    entries = cast("dict[str, dict[str, object]]", document.value)
    for key in keys:
        yield (topic, key), f"{shown(entries[topic][key])}: expected {expected}"
