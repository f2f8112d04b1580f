"""A YAML file as a value of a type, or every problem in it with its line. Reads files; all else is pure.

Three steps: ``document`` (is it YAML, and plain), ``shape`` (are keys and values of the right kind), and what the
caller knows of the meaning (does it make sense). The last is taken only if the others found nothing.
"""

from collections.abc import Callable, Hashable, Iterable
from functools import cache
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import inspect

from leadscore.errors import InputError
from leadscore.yaml_reading.document import MAX_BYTES, Document, Problem, path_text
from leadscore.yaml_reading.document import read as read_document
from leadscore.yaml_reading.shape import Finding
from leadscore.yaml_reading.shape import findings as findings_of

T = TypeVar("T")


def read_text(path: Path, error: type[InputError]) -> str:
    """The UTF-8 text of a file, a byte order mark left out; ``error`` if it cannot be read."""
    content = b""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        return content.decode("utf-8-sig")
    except OSError as failure:
        raise error(f"{path}: cannot be read: {failure.strerror or failure}: expected a file of YAML") from failure
    except UnicodeDecodeError as failure:
        line = content.count(b"\n", 0, failure.start) + 1
        raise error(f"{path}:{line}: the byte {content[failure.start]:#04x}: expected UTF-8 text") from failure


def parse(
    text: str,
    name: str,
    expected: type[T],
    error: type[InputError],
    sense: Callable[[T, Document], Iterable[Finding]] | None = None,
) -> T:
    """The value in a text. ``name`` stands for the file in the ``error`` that lists every problem, one per line."""
    document = read_document(text)
    problems = list(document.problems)
    if document.complete:
        reported = {problem.path for problem in problems}
        wrong = findings_of(document.value, _type_info(expected))  # type: ignore[arg-type]  # types are hashable
        problems += _placed(document, (finding for finding in wrong if finding[0] not in reported))
    if problems:
        raise _error(error, name, problems)
    value = msgspec.convert(document.value, expected)
    problems = [] if sense is None else _placed(document, sense(value, document))
    if problems:
        raise _error(error, name, problems)
    return value


@cache
def _type_info(expected: Hashable) -> inspect.Type:
    return inspect.type_info(expected)


def _placed(document: Document, findings: Iterable[Finding]) -> list[Problem]:
    return [Problem(document.line_of(path), path, text) for path, text in findings]


def _error(error: type[InputError], name: str, problems: list[Problem]) -> InputError:
    ordered = sorted(problems, key=lambda problem: problem.line)
    return error("\n".join(f"{name}:{problem.line}: {_place(problem)}{problem.text}" for problem in ordered))


def _place(problem: Problem) -> str:
    return f"{path_text(problem.path)}: " if problem.path else ""
