"""Facts about the lead in foreign records: an object's members, named values, pairs of a name and a value. Pure."""

import re
from collections.abc import Callable, Iterator

from leadscore.events.validation import LeaveOut, Record, unnoticed
from leadscore.mapping.language import Attributes, Pairs
from leadscore.mapping.paths import Incoming, finder, has_nothing_at, is_rooted, steps_of
from leadscore.mapping.values import HashKey, ValueOf, all_paths, parts_of, paths_finder, paths_of, value_finder

NONE = "none"
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?")
"""A number as JSON writes it: 0123 is a code, 1e5 is one as well."""
_BOOLEANS = {"true": True, "false": False}

AttributesOf = Callable[[Record, Incoming], object]
"""The attributes an event sets, by name, ``None`` for one it removes; or whatever else stands where they should."""

_MemberSpec = str | list[str] | Attributes


def attributes_finder(spec: _MemberSpec, hash_key: HashKey, leave_out: LeaveOut = unnoticed) -> AttributesOf:
    """The function that finds the attributes of an event."""
    if spec == NONE:
        return lambda _record, _incoming: None
    if not isinstance(spec, Attributes):
        return paths_finder(spec)
    foreign = _foreign_finder(spec)
    parts = [] if foreign is None else [foreign]
    if spec.named:
        parts.append(_named_finder(spec.named, hash_key, leave_out))
    find = parts[0] if len(parts) == 1 else _all_of(parts)
    return _with_plain_values(find, spec) if spec.numbers or spec.booleans or spec.absent else find


def _foreign_finder(spec: Attributes) -> AttributesOf | None:
    """The attributes that have names of the record's, under the model's."""
    parts: list[AttributesOf] = []
    if spec.members is not None:
        parts.append(paths_finder(spec.members))
    if spec.pairs is not None:
        parts.append(_pairs_finder(spec.pairs))
    if not parts:
        return None
    find = parts[0] if len(parts) == 1 else _all_of(parts)
    return _under_names(find, spec.names) if spec.names else find


def _under_names(find_attributes: AttributesOf, names: dict[str, str]) -> AttributesOf:
    def find(record: Record, incoming: Incoming) -> object:
        attributes = find_attributes(record, incoming)
        if not isinstance(attributes, dict):
            return attributes
        return {names.get(name, name): value for name, value in attributes.items()}

    return find


def _with_plain_values(find_attributes: AttributesOf, spec: Attributes) -> AttributesOf:
    absent = frozenset(spec.absent)
    readers = [read for read, is_set in ((_as_number, spec.numbers), (_as_boolean, spec.booleans)) if is_set]

    def find(record: Record, incoming: Incoming) -> object:
        attributes = find_attributes(record, incoming)
        if not isinstance(attributes, dict):
            return attributes
        sent = {name: value for name, value in attributes.items() if not isinstance(value, str) or value not in absent}
        for read in readers:
            sent = {name: read(value) for name, value in sent.items()}
        return sent

    return find


def _as_number(value: object) -> object:
    if not isinstance(value, str) or _NUMBER.fullmatch(value) is None:
        return value
    return float(value) if "." in value else int(value)


def _as_boolean(value: object) -> object:
    return _BOOLEANS.get(value.lower(), value) if isinstance(value, str) else value


def members_paths(spec: _MemberSpec) -> list[str]:
    """The paths of objects whose members are attributes."""
    if isinstance(spec, Attributes):
        return paths_of(spec.members)
    return [] if spec == NONE else paths_of(spec)


def _all_of(parts: list[AttributesOf]) -> AttributesOf:
    def find(record: Record, incoming: Incoming) -> object:
        attributes: Record = {}
        for find_part in parts:
            part = find_part(record, incoming)
            attributes.update(part if isinstance(part, dict) else {})
        return attributes or None

    return find


def _named_finder(named: dict[str, ValueOf], hash_key: HashKey, leave_out: LeaveOut) -> AttributesOf:
    """A path that is there with a null removes the attribute; one that is not there says nothing."""
    finders = [
        (
            name,
            value_finder(value, hash_key, leave_out),
            [steps_of(path) for path in _removing_paths(value) if not is_rooted(path)],
        )
        for name, value in named.items()
    ]

    def find(record: Record, incoming: Incoming) -> object:
        attributes: Record = {}
        for name, find_value, places in finders:
            value = find_value(record, incoming)
            if value is not None or any(has_nothing_at(record, steps) for steps in places):
                attributes[name] = value
        return attributes or None

    return find


def _removing_paths(value: ValueOf) -> list[str]:
    """The paths whose null removes the attribute: not of a part that is a value of some records alone."""
    always = [part for part in parts_of(value) if isinstance(part, str) or part.when is None]
    return all_paths(always)


def _pairs_finder(pairs: Pairs) -> AttributesOf:
    find_name, find_value = finder(pairs.name), finder(pairs.value)
    find_list = None if pairs.of is None else paths_finder(pairs.of)

    def objects(record: Record, incoming: Incoming) -> Iterator[Record]:
        listed = [record] if find_list is None else find_list(record, incoming)
        yield from (part for part in (listed if isinstance(listed, list) else []) if isinstance(part, dict))

    def find(record: Record, incoming: Incoming) -> object:
        attributes: Record = {}
        for part in objects(record, incoming):
            name = find_name(part, incoming)
            if isinstance(name, str) and name:
                attributes[name] = find_value(part, incoming)
        return attributes or None

    return find
