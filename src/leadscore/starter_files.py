"""The files to start from, as they are in every install: a model, a mapping file, an environment file.

The originals are in ``deploy/``; ``starter/`` beside this module has links to them, which are packed as files.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

MODEL = "model.yaml"
MAPPINGS = "mappings.yaml"
ENVIRONMENT = "leadscore.env"
NAMES = (MODEL, MAPPINGS, ENVIRONMENT)

_MODEL_IN_REPOSITORY = "deploy/model.yaml"
_SCHEMA_FOR_EDITORS = "# yaml-language-server: $schema=../schemas/model.schema.json\n"
_WITHOUT_REPOSITORY = "# `leadscore check --schema > model.schema.json` writes what editors need to check this file.\n"


@contextmanager
def starter_model() -> Iterator[Path]:
    """The starter model as a file, for as long as the block runs."""
    with resources.as_file(resources.files("leadscore") / "starter" / MODEL) as path:
        yield path


def text_outside_repository(name: str) -> str:
    """The text of a file to start from; where it names files of the repository, it names its neighbours instead."""
    text = (resources.files("leadscore") / "starter" / name).read_text("utf-8")
    return text.replace(_SCHEMA_FOR_EDITORS, _WITHOUT_REPOSITORY).replace(_MODEL_IN_REPOSITORY, MODEL)
