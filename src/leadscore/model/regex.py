r"""Refuses regular expressions that a hostile subject can keep busy for minutes. Pure.

A backtracking matcher is slow where one text can be matched in many ways. The parse tree is walked and the ways are
counted, as powers of two ("bits") of a subject of 4,096 characters:

- a repeat may stop in many places: 12 bits if unbounded, fewer if bounded;
- a search without ``^`` starts anywhere: 12 bits;
- a repeat whose characters a repeat before it could also have taken multiplies, unless something between them cannot
  be taken by both: ``.*.*`` does, ``\d+-\d+`` does not;
- inside a repeat every choice must be decided by the next characters (``(a+)+`` and ``(a|a)*`` are not), for its ways
  are multiplied by each other in every round.

The count is an upper bound; a few harmless odd patterns are refused with the others.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, log2
from re import _parser  # type: ignore[attr-defined]  # private; test_model_regex holds it to what is read here
from typing import Any

MAX_SUBJECT_CHARACTERS = 4_096
"""Subjects are cut to this many characters before they are searched."""
MAX_PATTERN_CHARACTERS = 500
MAX_BITS = 26
"""Two overlapping repeats after ``^``, or one repeat without it, have 24: a hostile subject takes half a second."""

_SUBJECT_BITS = log2(MAX_SUBJECT_CHARACTERS)
_LATIN = (1 << 256) - 1  # a bit for each character of Latin-1; those beyond share four
_BEYOND = {"digit": 1 << 256, "word": 1 << 257, "space": 1 << 258, "other": 1 << 259}
_ANY_CHARACTER = (1 << 260) - 1
_CROSSING_CASE = sum(1 << ord(letter) for letter in "IKSiks\u00b5\u00c5\u00df\u00e5\u00ff")
"""Letters of Latin-1 that are one with a letter beyond it where case does not matter: the Kelvin sign is a ``k``."""
_CATEGORIES = {
    "CATEGORY_DIGIT": sum(1 << code for code in range(256) if chr(code).isdigit()) | _BEYOND["digit"],
    "CATEGORY_SPACE": sum(1 << code for code in range(256) if chr(code).isspace()) | _BEYOND["space"],
    "CATEGORY_WORD": sum(1 << code for code in range(256) if chr(code).isalnum() or chr(code) == "_")
    | _BEYOND["digit"]
    | _BEYOND["word"],
}


@dataclass(frozen=True, slots=True)
class _Characters:
    """One character out of a set; the set is a bit mask."""

    mask: int


@dataclass(frozen=True, slots=True)
class _Position:
    """Matches no character: ``^``, ``$``, a word boundary, a look around."""

    start: bool = False


@dataclass(frozen=True, slots=True)
class _Choice:
    options: "tuple[_Sequence, ...]"


@dataclass(frozen=True, slots=True)
class _Repeat:
    body: "_Sequence"
    low: int
    high: float


_Node = _Characters | _Position | _Choice | _Repeat
_Sequence = tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Element:
    """A node of the outermost sequence: what it can take, in how many ways, and whether it may be left out."""

    mask: int
    bits: float
    optional: bool


def check(pattern: str) -> None:
    """``ValueError`` with the reason if the pattern does not compile or could take very long on some subject."""
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise ValueError(f"{len(pattern)} characters: expected at most {MAX_PATTERN_CHARACTERS}")
    try:
        flags = re.compile(pattern).flags
        nodes = _sequence(_parser.parse(pattern), bool(flags & re.IGNORECASE or re.search(r"\(\?[a-z]*i", pattern)))
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from error
    bits = _search_bits(nodes, multiline=bool(flags & re.MULTILINE))
    if bits == inf:
        raise ValueError("could take very long: a repeat inside a repeat can match the same text in many ways")
    if bits > MAX_BITS:
        raise ValueError(
            "could take very long: repeats such as .* that follow each other can share the same text in many ways;"
            " expected fewer of them, ^ at the start, or no .* at the start (the text is searched anyway)"
        )


def _sequence(items: Iterable[tuple[Any, Any]], ignore_case: bool) -> _Sequence:
    """The standard library's parse tree as our nodes; groups are dissolved."""
    nodes: list[_Node] = []
    for operation, argument in items:
        match operation.name:
            case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN":
                nodes.append(_Characters(_mask(operation.name, argument, ignore_case)))
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                low, high, body = argument
                endless = high is _parser.MAXREPEAT
                nodes.append(_Repeat(_sequence(body, ignore_case), low, inf if endless else high))
            case "BRANCH":
                nodes.append(_Choice(tuple(_sequence(option, ignore_case) for option in argument[1])))
            case "SUBPATTERN" | "ATOMIC_GROUP":
                body = argument[3] if operation.name == "SUBPATTERN" else argument
                nodes.extend(_sequence(body, ignore_case))
            case "AT":
                nodes.append(_Position(start=argument.name in {"AT_BEGINNING", "AT_BEGINNING_STRING"}))
            case "ASSERT" | "ASSERT_NOT":
                low, high = _widths(_sequence(argument[1], ignore_case))
                if low != high:
                    raise ValueError("a look ahead or look behind of no fixed length is not supported")
                nodes.append(_Position())
            case name if name.startswith("GROUPREF"):
                raise ValueError("references to groups are not supported: they can take very long")
            case _:  # of a later Python; what is not understood is not judged harmless
                raise ValueError(f"{operation.name.lower()} is not supported")
    return tuple(nodes)


def _mask(operation: str, argument: Any, ignore_case: bool) -> int:
    """The characters one item of the parse tree takes; rather too many than too few."""
    match operation:
        case "LITERAL":
            return _range_mask(argument, argument, ignore_case)
        case "RANGE":
            return _range_mask(argument[0], argument[1], ignore_case)
        case "NOT_LITERAL":
            return _ANY_CHARACTER & ~(_range_mask(argument, argument, ignore_case) & _surely(ignore_case))
        case "CATEGORY":
            mask = _CATEGORIES[argument.name.replace("_NOT_", "_")]
            return _ANY_CHARACTER & ~mask if "_NOT_" in argument.name else mask
        case "IN":
            return _set_mask(argument, ignore_case)
    return _ANY_CHARACTER


def _range_mask(first: int, last: int, ignore_case: bool) -> int:
    mask = _ANY_CHARACTER & ~_LATIN if last > 255 else 0
    for code in range(first, min(last, 255) + 1):
        mask |= 1 << code
        if ignore_case:
            for case in (chr(code).lower(), chr(code).upper()):
                mask |= 1 << ord(case) if len(case) == 1 and ord(case) < 256 else 0
    if ignore_case and last > 255:
        mask |= _CROSSING_CASE
    if ignore_case and mask & _CROSSING_CASE:
        mask |= _ANY_CHARACTER & ~_LATIN
    return mask


def _set_mask(items: Any, ignore_case: bool) -> int:
    negated = items[0][0].name == "NEGATE"
    mask = 0
    for operation, argument in items[negated:]:
        part = _mask(operation.name, argument, ignore_case)
        whole = not negated or operation.name == "CATEGORY"
        mask |= part if whole else part & _surely(ignore_case)
    return _ANY_CHARACTER & ~mask if negated else mask


def _surely(ignore_case: bool) -> int:
    """The characters of a mask that a negation surely leaves out: ``[^ж]`` still takes others beyond Latin-1."""
    return _LATIN & ~_CROSSING_CASE if ignore_case else _LATIN


def _search_bits(nodes: _Sequence, multiline: bool) -> float:
    """The ways of a whole search."""
    if len(nodes) == 1 and isinstance(nodes[0], _Choice):
        return max(_search_bits(option, multiline) for option in nodes[0].options)
    nodes = _without_the_last_repeat(nodes)
    anchored = bool(nodes) and nodes[0] == _Position(start=True) and not multiline
    return (0 if anchored else _SUBJECT_BITS) + _sequence_bits([_element(node) for node in nodes])


def _without_the_last_repeat(nodes: _Sequence) -> _Sequence:
    """At the very end a repeat has won as soon as it has its least. Loops that double their ways stay suspect."""
    while nodes and isinstance(nodes[-1], _Repeat) and _element(nodes[-1]).bits < inf:
        last = nodes[-1]
        nodes = nodes[:-1]
        if last.low:
            return (*nodes, _Repeat(last.body, last.low, last.low))
    return nodes


def _sequence_bits(elements: list[_Element]) -> float:
    """The ways of elements one after the other."""
    shared = 0.0
    for after in range(1, len(elements)):
        shared += max(_shared_bits(elements, before, after) for before in range(after))
    return shared + max((element.bits for element in elements), default=0)


def _shared_bits(elements: list[_Element], before: int, after: int) -> float:
    """The ways in which two elements can share a text, given what must stand between them."""
    first, second = elements[before], elements[after]
    between = [element.mask for element in elements[before + 1 : after] if not element.optional]
    separated = any(not mask & first.mask or not mask & second.mask for mask in between)
    return 0 if separated or not first.mask & second.mask else min(first.bits, second.bits)


def _element(node: _Node) -> _Element:
    match node:
        case _Characters(mask):
            return _Element(mask, 0, optional=False)
        case _Position():
            return _Element(_ANY_CHARACTER, 0, optional=True)
        case _Choice(options):
            inside = max(_sequence_bits([_element(part) for part in option]) for option in options)
            bits = inside + _undecided_bits(options, 0)
            return _Element(_all_characters((node,)), bits, _widths((node,))[0] == 0)
        case _Repeat(body, low, high):
            shortest, longest = _widths((node,))
            if high > 1:
                first, empty = _first(body)
                inside = inf if empty else _looped_bits(body, first)
                bits = log2(min(longest - shortest, MAX_SUBJECT_CHARACTERS) + 1) + (inside * high if inside else 0)
            else:
                bits = high - low + _sequence_bits([_element(part) for part in body])
            return _Element(_all_characters(body), bits, shortest == 0)


def _looped_bits(nodes: _Sequence, follow: int) -> float:
    """The ways of one round of a loop; ``follow`` is what may come after: 0 if the next characters always decide."""
    bits = 0.0
    for node in reversed(nodes):
        match node:
            case _Choice(options):
                bits += max(_looped_bits(option, follow) for option in options) + _undecided_bits(options, follow)
            case _Repeat(body, low, high):
                first, empty = _first(body)
                inside = inf if high > 1 and empty else _looped_bits(body, follow | first if high > 1 else follow)
                bits += inside * high if inside else 0
                bits += log2(min(high - low, MAX_SUBJECT_CHARACTERS) + 1) if first & follow else 0
        first, nullable = _first((node,))
        follow = first | follow if nullable else first
    return bits


def _undecided_bits(options: tuple[_Sequence, ...], follow: int) -> float:
    """0 if the next characters tell which option it is, else the number of options."""
    pairs = ((one, other) for index, one in enumerate(options) for other in options[:index])
    return log2(len(options)) if any(_confusable(one, other, follow) for one, other in pairs) else 0


def _confusable(one: _Sequence, other: _Sequence, follow: int) -> bool:
    while one and other and isinstance(one[0], _Characters) and isinstance(other[0], _Characters):
        if not one[0].mask & other[0].mask:
            return False
        one, other = one[1:], other[1:]
    (first, nullable), (second, also_nullable) = _first(one), _first(other)
    if nullable and also_nullable:
        return True
    return bool((first | follow if nullable else first) & (second | follow if also_nullable else second))


def _first(nodes: _Sequence) -> tuple[int, bool]:
    """What a match may begin with, and whether it may be empty."""
    mask = 0
    for node in nodes:
        match node:
            case _Characters(characters):
                return mask | characters, False
            case _Choice(options):
                firsts = [_first(option) for option in options]
                nullable = any(empty for _, empty in firsts)
            case _Repeat(body, low):
                firsts = [_first(body)]
                nullable = low == 0 or firsts[0][1]
            case _:
                continue
        for first, _ in firsts:
            mask |= first
        if not nullable:
            return mask, False
    return mask, True


def _all_characters(nodes: _Sequence) -> int:
    mask = 0
    for node in nodes:
        match node:
            case _Characters(characters):
                mask |= characters
            case _Choice(options):
                mask |= _all_characters(tuple(part for option in options for part in option))
            case _Repeat(body):
                mask |= _all_characters(body)
    return mask


def _widths(nodes: _Sequence) -> tuple[float, float]:
    """The shortest and the longest match."""
    shortest, longest = 0.0, 0.0
    for node in nodes:
        match node:
            case _Characters():
                low, high = 1.0, 1.0
            case _Choice(options):
                widths = [_widths(option) for option in options]
                low, high = min(width[0] for width in widths), max(width[1] for width in widths)
            case _Repeat(body, least, most):
                once = _widths(body)
                low, high = once[0] * least, once[1] * most if once[1] else 0.0
            case _:
                continue
        shortest, longest = shortest + low, longest + high
    return shortest, longest
