"""Whether a mapping of the right shape makes sense: paths that are paths, types that events can have. Pure."""

import re
from collections.abc import Iterable, Iterator

import msgspec

from leadscore.events.event import COMMAND_PREFIX
from leadscore.mapping.attributes import members_paths
from leadscore.mapping.language import Attributes, FieldTests, Form, Merge, TopicMapping
from leadscore.mapping.paths import BESIDE, Steps, steps_from_top, steps_of
from leadscore.mapping.spelling import compared, normalised, snake_case
from leadscore.mapping.values import ValueOf, all_paths, parts_of, paths_of
from leadscore.model.field_tests import Test, applied_tests, predicate_of
from leadscore.yaml_reading.document import Path
from leadscore.yaml_reading.shape import Finding, shown

IN_TESTS = frozenset({"$lead_id", "$type"})
_TYPE = re.compile(r"\w[\w.:/-]{0,127}")
_OF_THE_EVENT = ("lead_id", "event_id", "type_field")
_WHEN = "when"
_TYPE_KEYS = ("type_field", "types", "type_prefix")
_FORMS = ("path", "join", "constant", "keyed_hash", "opaque", "url_path")
_EXPECTED_TYPE = "a type of at most 128 letters, digits, '_', '.', ':', '/' and '-', such as email.click"


def findings(topic: str, mapping: TopicMapping, written: Iterable[str]) -> Iterator[Finding]:
    """Everything in the mapping of a topic that makes no sense; ``written`` are the keys that the file has there."""
    for name, paths in _paths(mapping):
        yield from _path_findings((topic, *name), paths)
    for name, value in _values(mapping):
        yield from _form_findings((topic, *name), value)
    yield from _type_findings(topic, mapping, written)
    yield from _attribute_findings(topic, mapping.attributes)
    for key, tests in _tests(mapping):
        for field, test in tests.items():
            yield from _test_findings((topic, *key, field), test)
    if mapping.deleted and mapping.on_delete == "ignore" and "on_delete" not in written:
        yield (topic, "deleted"), "expected on_delete beside it: ignore, erase or remove_attributes"


def needs_key(mapping: TopicMapping) -> bool:
    """Whether the mapping makes lead ids with a secret key."""
    return any(
        isinstance(part, Form) and part.keyed_hash is not None
        for _, value in _values(mapping)
        for part in parts_of(value)
    )


def may_give(mapping: TopicMapping, event_type: str) -> bool:
    """Whether records of the topic may become events of the type."""
    if any(_skips_type(tests, event_type) for tests in mapping.skip):
        return False
    if mapping.type is not None:
        return event_type == mapping.type
    if event_type in mapping.types.values():
        return True
    words = event_type.removeprefix(mapping.type_prefix)
    return event_type.startswith(mapping.type_prefix) and words in (snake_case(words), normalised(words))


def _skips_type(tests: FieldTests, event_type: str) -> bool:
    return list(tests) == ["$type"] and predicate_of(tests["$type"])(event_type)


def paths_in(mapping: TopicMapping) -> list[str]:
    """Every path that a mapping names."""
    tested = [path for _, tests in _tests(mapping) for path in tests]
    return [*tested, *(path for _, paths in _paths(mapping) for path in paths)]


def data_paths(mapping: TopicMapping) -> frozenset[str]:
    """Paths of text that is JSON in which nothing is that an event needs: nothing but fields and attributes."""
    needed = [*paths_of(mapping.occurred_at), *paths_of(mapping.elements_of)]
    needed += [path for name in _OF_THE_EVENT for path in all_paths(getattr(mapping, name))]
    needed += [path for _, value in _merge_values(mapping) for path in all_paths(value)]
    needed += [path for _, tests in _tests(mapping) for path in tests if path not in IN_TESTS]
    places = [steps_from_top(path) for path in needed if not path.startswith((*BESIDE, "$schema"))]
    return frozenset(path for path in mapping.json if not any(_is_within(place, steps_of(path)) for place in places))


def _is_within(place: Steps, outer: Steps) -> bool:
    return place[: len(outer)] == outer[: len(place)]


def _values(mapping: TopicMapping) -> Iterator[tuple[Path, ValueOf]]:
    for name in ("lead_id", "event_id", "type_field", "campaign"):
        yield (name,), getattr(mapping, name)
    yield from _merge_values(mapping)
    for name, value in mapping.fields.items():
        yield ("fields", name), value
    if isinstance(mapping.attributes, Attributes):
        for name, value in mapping.attributes.named.items():
            yield ("attributes", "named", name), value


def _merge_values(mapping: TopicMapping) -> Iterator[tuple[Path, ValueOf]]:
    if isinstance(mapping.merge, Merge):
        yield ("merge", "lead_id"), mapping.merge.lead_id
        if mapping.merge.into is not None:
            yield ("merge", "into"), mapping.merge.into


def _paths(mapping: TopicMapping) -> Iterator[tuple[Path, list[str]]]:
    yield ("occurred_at",), paths_of(mapping.occurred_at)
    for key in ("json", "lift"):
        for index, path in enumerate(getattr(mapping, key)):
            yield (key, index), [path]
    if mapping.elements_of is not None:
        yield ("each",), paths_of(mapping.elements_of)
    for name, value in _values(mapping):
        paths = all_paths(value)
        if paths or not any(isinstance(part, Form) and part.constant is not None for part in parts_of(value)):
            yield name, paths
    if mapping.attributes != "none" and (members := members_paths(mapping.attributes)):
        yield ("attributes",), members
    if isinstance(mapping.attributes, Attributes) and mapping.attributes.pairs is not None:
        pairs = mapping.attributes.pairs
        yield ("attributes", "pairs"), [pairs.name, pairs.value, *paths_of(pairs.of)]


def _tests(mapping: TopicMapping) -> Iterator[tuple[Path, dict[str, object]]]:
    yield ("deleted",), dict(mapping.deleted)
    for index, tests in enumerate(mapping.skip):
        yield ("skip", index), dict(tests)
    for name, value in _values(mapping):
        for part in parts_of(value):
            if isinstance(part, Form) and part.when is not None:
                yield (*name, _WHEN), dict(part.when)


def _path_findings(place: Path, paths: list[str]) -> Iterator[Finding]:
    if not all(paths or [""]):
        yield place, "an empty path: expected dotted names such as user.id"
        return
    for path in paths:
        try:
            steps_of(path)
        except ValueError as error:
            yield place, f"{shown(path)}: {error}"


def _form_findings(place: Path, value: ValueOf) -> Iterator[Finding]:
    for part in parts_of(value):
        if isinstance(part, Form) and sum(getattr(part, key) is not None for key in _FORMS) != 1:
            yield place, f"expected exactly one of {', '.join(_FORMS)}"


def _test_findings(place: Path, test: object) -> Iterator[Finding]:
    path = str(place[-1])
    if path not in IN_TESTS or _WHEN in place:
        yield from _path_findings(place, [path])
    if not isinstance(test, Test):
        return
    tests = applied_tests(test)
    if not tests:
        yield place, "no test: expected one of the tests of a rule's where, such as exists: false"
    for applied in tests:
        try:
            applied.kind.check(applied.argument)
        except ValueError as error:
            yield (*place, applied.key), f"{shown(applied.argument)}: {error}"


def _type_findings(topic: str, mapping: TopicMapping, written: Iterable[str]) -> Iterator[Finding]:
    if mapping.type is not None:
        yield from _one_type((topic, "type"), mapping.type)
        for key in written:
            if key in _TYPE_KEYS:
                there = shown(msgspec.to_builtins(getattr(mapping, key)))
                yield (topic, key), f"{there}: expected either type, for all records, or this"
    if mapping.type_prefix:
        yield from _one_type((topic, "type_prefix"), mapping.type_prefix)
    spellings: dict[str, str] = {}
    for name, event_type in mapping.types.items():
        yield from _one_type((topic, "types", name), event_type)
        other = spellings.setdefault(compared(name), name)
        if mapping.types[other] != event_type:
            yield (topic, "types", name), f"{shown(other)} is the same name in another spelling: expected it once"


def _attribute_findings(topic: str, attributes: object) -> Iterator[Finding]:
    if isinstance(attributes, Attributes) and attributes.names and not (attributes.members or attributes.pairs):
        yield (topic, "attributes", "names"), "expected members or pairs beside it, whose names these are"


def _one_type(place: Path, event_type: str) -> Iterator[Finding]:
    if not _TYPE.fullmatch(event_type):
        yield place, f"{shown(event_type)}: no event has this type: expected {_EXPECTED_TYPE}"
    elif event_type.startswith(COMMAND_PREFIX):
        yield place, f"{event_type}: expected no command: they come from LEADSCORE_COMMAND_TOPIC; see on_delete"
