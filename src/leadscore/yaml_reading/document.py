"""YAML text to plain values, with the line of each. Strict where YAML is loose, bounded where it is not.

Only ``true`` and ``false`` are truth values (``NO`` stays Norway), only plain decimal numbers are numbers (``0123`` and
``1:30`` stay text), dates stay text, keys are always text. Refused, each with its line: keys given twice, empty values,
tags, NaN and infinity, more than a mebibyte, and nesting or aliases that would blow up.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import yaml

MAX_BYTES = 1024 * 1024
MAX_VALUES = 100_000
MAX_DEPTH = 50
MAX_NUMBER = 10**15
"""Larger numbers lose the exactness that adding up promises."""

Path = tuple[str | int, ...]
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where. ``line`` counts from 1."""

    line: int
    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """The values of a text, the line of every key and list item, and what is wrong with it.

    ``complete`` says whether the text was read to its end, so that its values can be judged.
    """

    value: object
    lines: dict[Path, int]
    problems: list[Problem]
    complete: bool

    def line_of(self, path: Path) -> int:
        """The line of the value at the path, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # C where it is built in
    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


_Loader.add_implicit_resolver(f"{_TAG}bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(f"{_TAG}null", re.compile("^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(f"{_TAG}int", re.compile("^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    f"{_TAG}float",
    re.compile(r"^[-+]?(?:(?:0|[1-9][0-9]*)?\.[0-9]+(?:[eE][-+]?[0-9]+)?|[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+)$"),
    list("-+.0123456789"),
)
_Loader.add_implicit_resolver(
    f"{_TAG}float", re.compile(r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"), list("-+.")
)


class _Refused(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


def read(text: str) -> Document:
    """The values of the text. Never raises: what is wrong stands in the document's problems."""
    builder = _Builder()
    try:
        value = builder.value(_compose(text), ())
    except _Refused as refused:
        return Document(None, builder.lines, [*builder.problems, refused.problem], complete=False)
    return Document(value, builder.lines, builder.problems, complete=True)


def path_text(path: Path) -> str:
    """``fit.attributes.role[0].points``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def _compose(text: str) -> yaml.Node:
    try:
        _refuse_large(len(text.encode()))
        _refuse_deep_nesting(yaml.parse(text, Loader=_Loader))
        node = yaml.compose(text, Loader=_Loader)
    except UnicodeEncodeError as error:
        raise _Refused(Problem(1, (), f"not text: {error.reason}")) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        reasons = ", ".join(part for part in (error.context, error.problem) if part)
        advice = ": a tab: expected spaces before the key" if _is_indented_by_tab(text, line) else ""
        raise _Refused(Problem(line, (), f"not YAML: {reasons}{advice}")) from error
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n") + 1  # the C parser counts bytes
        raise _Refused(Problem(line, (), f"not YAML: the character U+{error.character:04X}, expected text")) from error
    except yaml.YAMLError as error:
        raise _Refused(Problem(1, (), f"not YAML: {' '.join(str(error).split())}")) from error
    if node is None:
        raise _Refused(Problem(1, (), "the text is empty: expected keys and values"))
    return node


def _is_indented_by_tab(text: str, line_number: int) -> bool:
    """YAML forbids it, and nobody sees it."""
    line = "".join(text.split("\n")[line_number - 1 : line_number])
    return "\t" in line[: len(line) - len(line.lstrip())]


def _refuse_large(size_bytes: int) -> None:
    if size_bytes > MAX_BYTES:
        raise _Refused(Problem(1, (), f"too large: expected at most {MAX_BYTES} bytes"))


def _refuse_deep_nesting(events: Iterator[yaml.Event]) -> None:
    """Composing recurses, so this comes before it."""
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _Refused(Problem(_line(event), (), f"nested too deep: expected at most {MAX_DEPTH} levels"))


@dataclass(slots=True)
class _Builder:
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    count: int = 0

    def value(self, node: yaml.Node, path: Path) -> object:
        """The node's value; counts what it builds, because an alias costs few bytes and may stand for very much."""
        self.count += 1
        if self.count > MAX_VALUES or len(path) > MAX_DEPTH:
            raise _Refused(Problem(_line(node), path, f"too much: expected at most {MAX_VALUES} values"))
        self.lines.setdefault(path, _line(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            self._refuse_tag(node, "seq", path)
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        self._refuse_tag(node, "map", path)
        values: dict[str, object] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(_line(key_node), path, "a key that is no text"))
                continue
            key = str(key_node.value)
            if key in values:
                first = self.lines[(*path, key)]
                self.problems.append(
                    Problem(_line(key_node), (*path, key), f"given twice, first in line {first}: expected it once")
                )
                continue
            self.lines[(*path, key)] = _line(key_node)
            values[key] = self.value(value_node, (*path, key))
        return values

    def _scalar(self, node: yaml.Node, path: Path) -> object:
        text, kind = str(node.value), node.tag.removeprefix(_TAG)
        if kind == "bool":
            return text.lower() == "true"
        if kind in ("int", "float"):
            return self._number(node, path)
        if kind == "null":
            advice = "; for points that do not decay: the word none" if path[-1:] == ("decay",) else ""
            self._add(node, path, f"empty: give a value, or leave the key out{advice}")
        elif kind != "str":
            self._refuse_tag(node, "str", path)
        return text

    def _number(self, node: yaml.Node, path: Path) -> object:
        text, whole = str(node.value), node.tag == f"{_TAG}int"
        try:
            number = int(text) if whole else float(text.replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            self._add(node, path, f"{text}: expected a number")
            return 0
        if not math.isfinite(number) or abs(number) > MAX_NUMBER:
            self._add(node, path, f"{text}: expected a number between -{MAX_NUMBER} and {MAX_NUMBER}")
            return 0
        return number

    def _refuse_tag(self, node: yaml.Node, kind: str, path: Path) -> None:
        if node.tag != f"{_TAG}{kind}":
            self._add(node, path, f"the tag {node.tag.replace(_TAG, '!!')} is not allowed")

    def _add(self, node: yaml.Node, path: Path, text: str) -> None:
        self.problems.append(Problem(_line(node), path, text))


def _line(item: yaml.Node | yaml.Event) -> int:
    return item.start_mark.line + 1 if item.start_mark else 1
