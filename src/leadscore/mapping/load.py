"""Mappings files and presets: YAML to typed mappings, with what a preset says. Reads files."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import cast

import msgspec

from leadscore.errors import ConfigError
from leadscore.mapping.language import NAMES, Mappings, TopicMapping
from leadscore.mapping.sense import findings
from leadscore.yaml_reading.document import Document, read
from leadscore.yaml_reading.shape import Finding, nearest, shown
from leadscore.yaml_reading.typed import parse, read_text

_ADDED_TO = ("types", "fields")
"""What a topic says of these is added to its preset's; every other key replaces it."""
_ENDING = ".yaml"


def load_mappings(path: str | Path) -> dict[str, TopicMapping]:
    """The mappings of a file, by topic; ``ConfigError`` with every problem, one per line."""
    return mappings_in(read_text(Path(path), ConfigError), str(path))


def mappings_in(text: str, name: str) -> dict[str, TopicMapping]:
    """The mappings in a text; ``name`` stands for the file in errors."""
    combined: dict[str, TopicMapping] = {}

    def sense(mappings: dict[str, TopicMapping], document: Document) -> Iterator[Finding]:
        for topic, mapping in mappings.items():
            written = _written(document, topic)
            if mapping.preset is not None and mapping.preset not in preset_names():
                yield (topic, "preset"), _no_preset(mapping.preset)
                continue
            combined[topic] = _with_preset(mapping, written)
            yield from findings(topic, combined[topic], written)

    try:
        parse(text, name, Mappings, ConfigError, sense)
    except ConfigError:
        if _is_model(text):
            raise ConfigError(f"{name}: the keys of a model file: expected topics, each with its mapping") from None
        raise
    return combined


def _is_model(text: str) -> bool:
    """The wrong file: otherwise every key of the model would be a problem of its own."""
    content = read(text).value
    return isinstance(content, dict) and {"model", "version"} <= content.keys()


@cache
def preset_names() -> tuple[str, ...]:
    """The names of the presets."""
    folder = resources.files("leadscore.mapping") / "presets"
    return tuple(sorted(file.name.removesuffix(_ENDING) for file in folder.iterdir() if file.name.endswith(_ENDING)))


def preset_text(name: str) -> str:
    """The file of a preset, to be printed, copied and changed; ``ConfigError`` for a name that is not there."""
    if name not in preset_names():
        raise ConfigError(f"preset: {_no_preset(name)}")
    return (resources.files("leadscore.mapping") / "presets" / f"{name}{_ENDING}").read_text("utf-8")


@cache
def preset(name: str) -> TopicMapping:
    """The mapping of a preset."""
    return next(iter(mappings_in(preset_text(name), f"{name}{_ENDING}").values()))


def _with_preset(mapping: TopicMapping, written: list[str]) -> TopicMapping:
    if mapping.preset is None:
        return mapping
    start = preset(mapping.preset)
    changes = {NAMES[key]: getattr(mapping, NAMES[key]) for key in written if key != "preset"}
    for key in _ADDED_TO:
        if key in changes:
            changes[key] = {**cast("Mapping[str, object]", getattr(start, key)), **changes[key]}
    if "type" in changes:
        changes = {"types": {}, "type_prefix": "", **changes}
    return msgspec.structs.replace(start, **changes)


def _written(document: Document, topic: str) -> list[str]:
    return list(cast("dict[str, dict[str, object]]", document.value)[topic])


def _no_preset(name: str) -> str:
    names = list(preset_names())
    return f"{shown(name)}: no such preset{nearest(name, names)}: expected one of {', '.join(names)}"
