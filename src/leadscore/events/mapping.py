"""Foreign schemas by configuration: which field is the lead id, the event id, the time, the type. Reads one file.

A mappings file is YAML, one entry per topic; ``TopicMapping`` is what an entry may say. ``preset: segment`` reads the
format of Segment and RudderStack (module ``segment``).
"""

import re
from collections.abc import Callable, Hashable
from collections.abc import Set as AbstractSet
from math import isfinite
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from leadscore.errors import ConfigError
from leadscore.events import segment
from leadscore.events.foreign import FieldPath, finder, paths_of, refuse_missing, snake_case
from leadscore.events.validation import FieldProblem, Record

RecordMapper = Callable[[Record], tuple[Record, Record]]
"""A foreign record to what ``validation.event_of`` takes: envelope and fields."""

_UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_PRESET_KEYS = frozenset({"preset", "types"})
_TYPE_KEYS = frozenset({"type_field", "types", "type_prefix"})
_CHOICES = {"preset": "expected segment", "occurred_at_unit": "expected one of s, ms, us, ns"}
_PATH_NAME = re.compile(r"\.(\w+)")


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


def load_mappings(path: str | Path) -> dict[str, TopicMapping]:
    """The mappings of a file, by topic; ``ConfigError`` naming file, path, value and what was expected."""
    try:
        raw = yaml.load(Path(path).read_text("utf-8"), _UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}): expected a mappings file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: {raw!r}: expected one entry per topic, as in `my-topic: {{preset: segment}}`")
    return {str(topic): _topic_mapping(entry, f"{path}:{topic}") for topic, entry in raw.items()}


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


def _topic_mapping(entry: object, where: str) -> TopicMapping:
    try:
        mapping = msgspec.convert(entry, TopicMapping)
    except msgspec.ValidationError as error:
        raise _entry_problem(str(error), entry, where) from error
    given = dict(entry) if isinstance(entry, dict) else {}
    if mapping.preset is not None:
        _forbid(given, given.keys() - _PRESET_KEYS, where, "nothing beside a preset but types")
    if mapping.type is not None:
        _forbid(given, given.keys() & _TYPE_KEYS, where, "either type, for all records, or this")
    if not all(_all_paths(mapping)):
        raise ConfigError(f"{where}: an empty path: expected dotted names such as user.id")
    return mapping


def _forbid(given: dict[str, object], names: AbstractSet[str], where: str, expected: str) -> None:
    for name in sorted(names):
        raise ConfigError(f"{where}.{name}: {given[name]!r}: expected {expected}")


def _all_paths(mapping: TopicMapping) -> list[str]:
    """Every path there is; an empty text stands for a list without any."""
    fields = [mapping.lead_id, mapping.event_id, mapping.occurred_at, mapping.type_field]
    return [path for one in [*fields, mapping.attributes, mapping.campaign] for path in paths_of(one) or [""]]


def _entry_problem(message: str, entry: object, where: str) -> ConfigError:
    """What was expected and where is in msgspec's message; the value is looked up for the person who wrote it."""
    expected, _, path = message.partition(" - at `$")
    value = entry
    for name in _PATH_NAME.findall(path):
        value = value[name] if isinstance(value, dict) else value
        expected = _CHOICES.get(name, expected)
    if "unknown field" in expected:
        expected += ", expected only " + ", ".join(TopicMapping.__struct_fields__)
    return ConfigError(f"{where}{path.removesuffix('`')}: {value!r}: {expected}")


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML, in which the same key twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(problem=f"the key {key!r} twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)
