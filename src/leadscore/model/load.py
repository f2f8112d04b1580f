"""The model file: text in, a checked ``ModelDefinition`` out, or every problem with its line.

Three steps: ``yaml_reading.document`` (is it YAML, and plain), ``yaml_reading.shape`` (are keys and values of the
right kind), ``sense`` (does it make sense). The last is taken only if the others found nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import inspect

from leadscore.errors import ModelError
from leadscore.model import sense
from leadscore.model.definition import ModelDefinition
from leadscore.yaml_reading.document import MAX_BYTES, Document, Problem, path_text
from leadscore.yaml_reading.document import read as read_document
from leadscore.yaml_reading.shape import Finding
from leadscore.yaml_reading.shape import findings as findings_of

_MODEL_TYPE = inspect.type_info(ModelDefinition)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model and the text it was written as; the text is what is published."""

    definition: ModelDefinition
    text: str


def load_model(path: Path) -> LoadedModel:
    """The model in a file of UTF-8 text; ``ModelError`` if it cannot be read or is wrong."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ModelError(f"{path}:{line}: the byte {content[error.start]:#04x}: expected UTF-8 text") from error
    return LoadedModel(parse_model(text, str(path)), text)


def parse_model(text: str, name: str, *, is_published: bool = False) -> ModelDefinition:
    """The model in a text. ``name`` stands for the file in the ``ModelError`` that lists every problem found.

    A version that ``is_published`` made sense to the program that published it: it is not judged anew, or what a later
    program refuses could not be replayed.
    """
    document = read_document(text)
    problems = list(document.problems)
    if document.complete:
        known = {problem.path for problem in problems}
        wrong = (finding for finding in findings_of(document.value, _MODEL_TYPE) if finding[0] not in known)
        problems += _placed(document, wrong)
    if problems:
        raise _error(name, problems)
    definition = msgspec.convert(document.value, ModelDefinition)
    problems = [] if is_published else _placed(document, sense.findings(definition))
    if problems:
        raise _error(name, problems)
    return definition


def _placed(document: Document, findings: Iterable[Finding]) -> list[Problem]:
    return [Problem(document.line_of(path), path, text) for path, text in findings]


def _error(name: str, problems: list[Problem]) -> ModelError:
    ordered = sorted(problems, key=lambda problem: problem.line)
    lines = [f"{name}:{problem.line}: {_place(problem)}{problem.text}" for problem in ordered]
    return ModelError("\n".join(lines))


def _place(problem: Problem) -> str:
    return f"{path_text(problem.path)}: " if problem.path else ""
