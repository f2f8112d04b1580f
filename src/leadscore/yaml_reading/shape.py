"""Whether plain values have the shape of a type: every unknown, missing or wrong key, not only the first.

msgspec stops at the first error and names no dictionary key; this walks the same types and says all. No rule about the
model is here; those are in ``sense``.
"""

import json
import re
from collections.abc import Iterator
from difflib import get_close_matches

from msgspec import inspect

from leadscore.yaml_reading.document import Path
from leadscore.yaml_reading.scalars import PATTERN_WORDS, WORDS

Finding = tuple[Path, str]

_SHOWN_CHARACTERS = 60


def findings(value: object, expected: inspect.Type, path: Path = ()) -> Iterator[Finding]:
    """What keeps the value from being of the type: (path, problem) each."""
    fitting = _fitting(value, expected)
    if isinstance(fitting, inspect.StructType) and isinstance(value, dict):
        yield from _in_struct(value, fitting, path)
    elif isinstance(fitting, inspect.DictType) and isinstance(value, dict):
        for key, item in value.items():
            yield from findings(key, fitting.key_type, (*path, key))
            yield from findings(item, fitting.value_type, (*path, key))
    elif isinstance(fitting, inspect.ListType) and isinstance(value, list):
        if len(value) < (fitting.min_length or 0):
            yield path, "empty: expected at least one"
        for index, item in enumerate(value):
            yield from findings(item, fitting.item_type, (*path, index))
    elif not _is_scalar_of(value, fitting):
        yield path, f"{shown(value)}: expected {in_words(expected)}"


def shown(value: object) -> str:
    """The value as one could write it, text in quotes, cut to a readable length."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def nearest(name: str, names: list[str]) -> str:
    """`` (did you mean x?)``, or nothing."""
    close = get_close_matches(name, names, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def in_words(expected: inspect.Type) -> str:
    """What a type expects, for a person."""
    words = "a mapping"
    match expected:
        case inspect.Metadata():
            words = (expected.extra or {}).get(WORDS) or in_words(expected.type)
        case inspect.UnionType():
            words = " or ".join(dict.fromkeys(in_words(member) for member in _members(expected)))
        case inspect.IntType():
            words = "a whole number" + _bounds_in_words(expected)
        case inspect.FloatType():
            words = "a number" + _bounds_in_words(expected)
        case inspect.StrType():
            words = PATTERN_WORDS.get(expected.pattern or "", "text" + _length_in_words(expected))
        case inspect.BoolType():
            words = "true or false"
        case inspect.LiteralType():
            words = " or ".join(str(value) for value in expected.values)
        case inspect.ListType():
            words = "a list"
        case inspect.StructType():
            words = f"a mapping with keys out of {', '.join(field.encode_name for field in expected.fields)}"
    return words


def _in_struct(value: dict[str, object], expected: inspect.StructType, path: Path) -> Iterator[Finding]:
    fields = {field.encode_name: field for field in expected.fields}
    names = list(fields)
    one_of = f": expected one of {', '.join(names)}"
    for key, item in value.items():
        if key in fields:
            yield from findings(item, fields[key].type, (*path, key))
        else:
            yield (*path, key), f"unknown key{nearest(key, names) or one_of}"
    for name, field in fields.items():
        if field.required and name not in value:
            yield path, f"{name} is missing: expected {in_words(field.type)}"


def _members(union: inspect.UnionType) -> list[inspect.Type]:
    """The members a person may write: no null, and "a number" covers "a whole number"."""
    has_float = any(isinstance(member, inspect.FloatType) for member in union.types)
    hidden = (inspect.NoneType, inspect.IntType) if has_float else (inspect.NoneType,)
    return [member for member in union.types if not isinstance(member, hidden)]


def _fitting(value: object, expected: inspect.Type) -> inspect.Type:
    """The type without its wrapping; of a union the member that says most about the value, if there is one."""
    if isinstance(expected, inspect.Metadata):
        return _fitting(value, expected.type)
    if not isinstance(expected, inspect.UnionType):
        return expected
    members = [_fitting(value, member) for member in _members(expected)]
    container: tuple[type, ...] = ()
    if isinstance(value, dict):
        container = (inspect.StructType, inspect.DictType)
    elif isinstance(value, list):
        container = (inspect.ListType,)
    fitting = (member for member in members if isinstance(member, container) or _is_scalar_of(value, member))
    return next(fitting, members[0] if len(members) == 1 else expected)


def _is_scalar_of(value: object, expected: inspect.Type) -> bool:
    match expected:
        case inspect.IntType():
            return isinstance(value, int) and not isinstance(value, bool) and _in_bounds(value, expected)
        case inspect.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool) and _in_bounds(value, expected)
        case inspect.StrType():
            return isinstance(value, str) and _is_text_of(value, expected)
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.LiteralType():
            return isinstance(value, str) and value in expected.values
    return False


def _in_bounds(value: float, expected: inspect.IntType | inspect.FloatType) -> bool:
    low_enough = expected.le is None or value <= expected.le
    return low_enough and (expected.ge is None or value >= expected.ge) and (expected.gt is None or value > expected.gt)


def _is_text_of(value: str, expected: inspect.StrType) -> bool:
    if not (expected.min_length or 0) <= len(value) <= (expected.max_length or len(value)):
        return False
    return expected.pattern is None or re.fullmatch(expected.pattern, value) is not None


def _bounds_in_words(expected: inspect.IntType | inspect.FloatType) -> str:
    bounds = {"above": expected.gt, "of at least": expected.ge, "of at most": expected.le}
    phrase = " and ".join(f"{words} {bound}" for words, bound in bounds.items() if bound is not None)
    return f" {phrase}" if phrase else ""


def _length_in_words(expected: inspect.StrType) -> str:
    return f" of {expected.min_length or 0} to {expected.max_length} characters" if expected.max_length else ""
