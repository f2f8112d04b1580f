"""The model file: text in, a checked ``ModelDefinition`` out, or every problem with its line."""

from dataclasses import dataclass
from pathlib import Path

from leadscore.errors import ModelError
from leadscore.model import sense
from leadscore.model.definition import ModelDefinition
from leadscore.yaml_reading.typed import parse, read_text


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model and the text it was written as; the text is what is published."""

    definition: ModelDefinition
    text: str


def load_model(path: Path) -> LoadedModel:
    """The model in a file of UTF-8 text; ``ModelError`` if it cannot be read or is wrong."""
    text = read_text(path, ModelError)
    return LoadedModel(parse_model(text, str(path)), text)


def parse_model(text: str, name: str, *, is_published: bool = False) -> ModelDefinition:
    """The model in a text. ``name`` stands for the file in the ``ModelError`` that lists every problem found.

    A version that ``is_published`` made sense to the program that published it: it is not judged anew, or what a later
    program refuses could not be replayed.
    """
    makes_sense = None if is_published else lambda definition, _document: sense.findings(definition)
    return parse(text, name, ModelDefinition, ModelError, makes_sense)
