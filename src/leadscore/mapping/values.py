"""Values of a mapping, compiled: paths, alternatives, joins, constants, hashes of addresses. Pure."""

import hmac
import re
import unicodedata
from collections.abc import Callable, Mapping
from hashlib import sha256
from types import MappingProxyType

from leadscore.events.event import FieldValue
from leadscore.events.validation import LeaveOut, Record, unnoticed
from leadscore.mapping.forms import READERS, FormName, as_text
from leadscore.mapping.language import Form
from leadscore.mapping.paths import Finder, Incoming, finder, is_nothing, is_rooted, steps_of
from leadscore.model.field_tests import Predicate, Test, predicate_of
from leadscore.model.value_sets import Scalar

ValueOf = str | Form | list[str | Form]
HashKey = bytes | None

LONGEST_ADDRESS = 1_000
"""Characters; mail knows none of more than 320. The time of Unicode's normal form grows with the square of marks."""

_MAILTO = "mailto:"
_ADDRESS = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?(?://[^/?#]*)?([^?#]*)")
"""As RFC 3986 takes an address apart: scheme, host, path."""


def paths_of(paths: str | list[str] | None) -> list[str]:
    """The alternatives."""
    return [] if paths is None else [paths] if isinstance(paths, str) else paths


def parts_of(value: ValueOf) -> list[str | Form]:
    """The alternatives of a value."""
    return value if isinstance(value, list) else [value]


def form_paths(form: Form) -> list[str]:
    """Every path that a form names."""
    joined = [path for part in form.join or [] for path in paths_of(part)]
    return [*paths_of(form.path), *joined, *paths_of(form.keyed_hash), *paths_of(form.opaque), *paths_of(form.url_path)]


def all_paths(value: ValueOf) -> list[str]:
    """Every path that a value names."""
    return [path for part in parts_of(value) for path in ([part] if isinstance(part, str) else form_paths(part))]


def tested_paths(value: ValueOf) -> list[str]:
    """Every path that is tested for whether there is a value."""
    return [path for part in parts_of(value) if isinstance(part, Form) for path in part.when or {}]


def words_of(value: ValueOf) -> str:
    """The value as a message names it: by the paths of the file."""
    words = dict.fromkeys(part if isinstance(part, str) else _form_words(part) for part in parts_of(value))
    return " or ".join([word for word in words if word != _CONSTANT] or words)


def value_finder(value: ValueOf, hash_key: HashKey = None, leave_out: LeaveOut = unnoticed) -> Finder:
    """The function that finds the value; ``None`` where a record has none, or a blank text.

    ``leave_out`` is told of one that is there and cannot be read in the form that the mapping asks for.
    """
    if isinstance(value, str) and len(steps_of(value)) == 1 and not is_rooted(value):
        return finder(value)  # it takes blank text for nothing by itself
    return first_of([_part_finder(part, hash_key, leave_out) for part in parts_of(value)])


Checks = list[tuple[Finder, Predicate]]


def checks_of(tests: Mapping[str, Scalar | Test], special: Mapping[str, Finder] = MappingProxyType({})) -> Checks:
    """What finds the values that are tested, and the tests; ``special`` are finders of what is at no path."""
    finders = [(special.get(path) or paths_finder(path), test) for path, test in tests.items()]
    return [(find, predicate_of(test)) for find, test in finders]


def passes(checks: Checks, record: Record, incoming: Incoming) -> bool:
    """Whether all tests pass."""
    return all(is_passed(_testable(find_value(record, incoming))) for find_value, is_passed in checks)


def _testable(value: object) -> FieldValue:
    """The value as a test sees it: lists as tuples; an object is just something that is there."""
    if isinstance(value, list):
        return tuple(part for part in value if isinstance(part, str | int | float | bool))
    return () if isinstance(value, dict) else value  # type: ignore[return-value]  # scalars, as JSON and Avro have them


def paths_finder(paths: str | list[str]) -> Finder:
    """The function that finds the first of the paths with a value."""
    return first_of([finder(path) for path in paths_of(paths)])


def first_of(finders: list[Finder]) -> Finder:
    """The first of several that finds a value: ``is_nothing`` stands in their places, for speed."""
    if len(finders) == 1:
        find_only = finders[0]

        def find_one(record: Record, incoming: Incoming) -> object:
            value = find_only(record, incoming)
            return None if value == "" or (type(value) is str and value.isspace()) else value

        return find_one

    def find(record: Record, incoming: Incoming) -> object:
        for find_one in finders:
            value = find_one(record, incoming)
            if value is not None and value != "" and not (type(value) is str and value.isspace()):
                return value
        return None

    return find


def keyed_hash(address: str, key: bytes) -> str:
    """HMAC-SHA-256 of a bare address in lower case, in Unicode's NFC: 64 hexadecimal digits."""
    plain = unicodedata.normalize("NFC", address.lower())
    return hmac.new(key, plain.encode("utf-8", "surrogatepass"), sha256).hexdigest()


def bare_address(text: str) -> str:
    """The address in `Jane <jane@shop.example>`, in `mailto:jane@shop.example`, or the trimmed text itself."""
    address = text.strip()
    if address.endswith(">"):
        address = address[address.rfind("<") + 1 : -1].strip()
    if address[: len(_MAILTO)].lower() == _MAILTO:
        address = address[len(_MAILTO) :].partition("?")[0].strip()
    return address


def url_path(address: str) -> str:
    """The path in a web address, ``/`` where it has none."""
    parts = _ADDRESS.match(address.strip())
    return (parts and parts[1]) or "/"


def has_form(value: ValueOf) -> bool:
    """Whether the mapping says which form the value has."""
    return any(isinstance(part, Form) and part.read_as is not None for part in parts_of(value))


def _part_finder(part: str | Form, hash_key: HashKey, leave_out: LeaveOut) -> Finder:
    if isinstance(part, str):
        return finder(part)
    find = _form_finder(part, hash_key)
    if part.read_as is not None:
        find = _read_as(part.read_as, find, leave_out)
    return find if part.when is None else _only_when(checks_of(part.when), find)


def _only_when(checks: Checks, find_value: Finder) -> Finder:
    def find(record: Record, incoming: Incoming) -> object:
        return find_value(record, incoming) if passes(checks, record, incoming) else None

    return find


def _read_as(form: FormName, find_value: Finder, leave_out: LeaveOut) -> Finder:
    read = READERS[form]

    def find(record: Record, incoming: Incoming) -> object:
        value = find_value(record, incoming)
        if is_nothing(value):
            return None
        as_form = read(value)
        if as_form is None:
            leave_out(form)
        return as_form

    return find


def _form_finder(part: Form, hash_key: HashKey) -> Finder:
    if part.path is not None:
        return paths_finder(part.path)
    if part.constant is not None:
        constant = part.constant
        return lambda _record, _incoming: constant
    if part.join is not None:
        return _join_finder([paths_finder(paths) for paths in part.join], part.separator)
    if part.keyed_hash is not None:
        return first_of([_hash_finder(finder(path), hash_key or b"") for path in paths_of(part.keyed_hash)])
    if part.url_path is not None:
        return _url_path_finder(paths_finder(part.url_path))
    return first_of([_without_addresses(finder(path)) for path in paths_of(part.opaque)])


def _join_finder(finders: list[Finder], separator: str) -> Finder:
    def find(record: Record, incoming: Incoming) -> object:
        texts = [as_text(find_part(record, incoming)) for find_part in finders]
        there = [text for text in texts if text]
        return separator.join(there) if len(there) == len(texts) else None

    return find


def _hash_finder(find_address: Finder, key: bytes) -> Finder:
    """Text without an @ is no address: of all who have `n/a` or `unknown` there it would make one lead."""

    def find(record: Record, incoming: Incoming) -> object:
        text = find_address(record, incoming)
        if type(text) is not str or len(text) > LONGEST_ADDRESS:
            return None
        address = bare_address(text)
        return keyed_hash(address, key) if "@" in address else None

    return find


def _url_path_finder(find_address: Finder) -> Finder:
    def find(record: Record, incoming: Incoming) -> object:
        address = find_address(record, incoming)
        return url_path(address) if type(address) is str and address.strip() else None

    return find


def _without_addresses(find_value: Finder) -> Finder:
    def find(record: Record, incoming: Incoming) -> object:
        value = find_value(record, incoming)
        return None if type(value) is str and "@" in value else value

    return find


_CONSTANT = "a constant"
_FORM_WORDS: dict[str, Callable[[Form], str]] = {
    "path": lambda form: " or ".join(paths_of(form.path)),
    "join": lambda form: " with ".join(" or ".join(paths_of(paths)) for paths in form.join or []),
    "keyed_hash": lambda form: " or ".join(paths_of(form.keyed_hash)),
    "opaque": lambda form: " or ".join(paths_of(form.opaque)),
    "url_path": lambda form: " or ".join(paths_of(form.url_path)),
}


def _form_words(form: Form) -> str:
    return next((words(form) for key, words in _FORM_WORDS.items() if getattr(form, key) is not None), _CONSTANT)
