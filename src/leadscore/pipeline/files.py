"""The files that a worker reads at its start: its model, and the mappings of its topics."""

from pathlib import Path

from leadscore.errors import ConfigError
from leadscore.mapping.load import load_mappings
from leadscore.model.load import LoadedModel, load_model
from leadscore.model.sense import events_looked_at
from leadscore.ops.config import Config


def read_model(config: Config) -> LoadedModel:
    """The model to match with; ``InputError`` where the file is wrong, or looks at more events than leads keep."""
    if config.model is None:
        raise ConfigError("LEADSCORE_MODEL: not set: a worker that matches needs the path of the model file")
    loaded = load_model(Path(config.model))
    expected, where = events_looked_at(loaded.definition)
    if expected > config.recent_events:
        raise ConfigError(
            f"LEADSCORE_RECENT_EVENTS: {config.recent_events}: expected at least {expected}, the number of"
            f" events that {where} of {config.model} looks at"
        )
    return loaded


def check_mappings(config: Config) -> None:
    """``ConfigError`` for the mapping of a topic that is no source: most often a misspelt name."""
    if config.mappings is None:
        return
    unread = [topic for topic in load_mappings(config.mappings) if topic not in config.input_topics]
    if unread:
        expected = (
            f"expected one of the topics that are read: {', '.join(config.input_topics)} (LEADSCORE_SOURCE_TOPICS)"
        )
        raise ConfigError("\n".join(f"{config.mappings}:{topic}: {expected}" for topic in unread))
