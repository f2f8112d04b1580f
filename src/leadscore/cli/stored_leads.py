"""Leads as Redis holds them, brought to an instant in memory, for ``explain`` and ``list``. Nothing is written.

The model is the version in force of the lead's shard, which its fence names; versions come from Kafka or from one file.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from leadscore.cli.kafka_session import KafkaSession, check_log_partitions
from leadscore.errors import ConfigError
from leadscore.log.records import partition_of
from leadscore.model.compile import compile_model
from leadscore.model.compiled import CompiledModel
from leadscore.model.load import load_model
from leadscore.ops.config import Config
from leadscore.pipeline.kafka.questions import partition_count
from leadscore.scoring.context import FoldContext, FoldSettings
from leadscore.scoring.flags import latest_ms
from leadscore.scoring.fold import fold_tick, remembered
from leadscore.scoring.state import LeadState, decode_state
from leadscore.store.fence import Fence
from leadscore.store.fence import decode as decode_fence
from leadscore.store.shard import Store


@dataclass(frozen=True, slots=True)
class ModelVersions:
    """Where versions of the model come from; ``newest`` is for shards that have seen none."""

    of_version: Callable[[int], CompiledModel]
    newest: int


@dataclass(frozen=True, slots=True)
class StoredLead:
    """As it was read: ``state`` is ``None`` where Redis holds nothing of it, ``fence`` where its shard is empty."""

    lead_id: str
    state: LeadState | None
    fence: Fence | None

    @property
    def latest_ms(self) -> int | None:
        """The lead's latest time, before which no score can be computed any more."""
        return None if self.state is None else latest_ms(self.state)


@dataclass(frozen=True, slots=True)
class Person:
    """The lead that an id stands for, and the aliases on the way to it, that id first; none where it is the lead."""

    aliases: list[str]
    lead: StoredLead


@dataclass(frozen=True, slots=True)
class LeadAt:
    """A lead at an instant (UTC ms); ``state`` is ``None`` where nothing is stored of it, or no longer by then."""

    lead_id: str
    state: LeadState | None
    context: FoldContext
    at_ms: int


class StoredLeads:
    """Reads leads of one deployment."""

    def __init__(self, store: Store, config: Config, versions: ModelVersions) -> None:
        self._store = store
        self._versions = versions
        self._settings = FoldSettings(config.recent_events, config.stale_after_ms, config.erasure_memory_ms)

    def read(self, expected: Mapping[int, Sequence[str]]) -> list[StoredLead]:
        """These leads of each shard, in two round trips."""
        states = self._store.read_leads(expected)
        # The fences after the states, or a state might follow a newer version than the fence. This way of asking does
        # not bring the outbox along.
        looks = self._store.look_at_due(list(expected), 0, 1)
        fences = {shard: None if look.fence is None else decode_fence(look.fence) for shard, look in looks.items()}
        return [
            StoredLead(lead_id, None if data is None else decode_state(data), fences[shard])
            for shard, lead_ids in expected.items()
            for lead_id, data in zip(lead_ids, states[shard], strict=True)
        ]

    def person(self, lead_id: str, partitions: int) -> Person:
        """The person behind an id, in two round trips for each alias.

        ``ConfigError`` where no lead is at the end: merges went round, and the worker has still to find that out.
        """
        aliases: list[str] = []
        while lead_id not in aliases:
            [stored] = self.read({partition_of(lead_id, partitions): [lead_id]})
            alias = None if stored.state is None else stored.state.alias
            if alias is None:
                return Person(aliases, stored)
            aliases.append(lead_id)
            lead_id = alias.into
        raise ConfigError(
            f"lead {aliases[0]!r}: it was merged in a circle ({' -> '.join([*aliases, lead_id])}), and which of these "
            "ids is the lead is decided by a record that the worker has not read yet: try again"
        )

    def brought_to(self, stored: StoredLead, at_ms: int) -> LeadAt:
        """The lead at ``at_ms``, or at its latest time if that is later; it has left what time takes it out of."""
        at_ms = max(at_ms, stored.latest_ms or at_ms)
        fence = stored.fence
        version = fence.model_version if fence is not None and fence.model_version else self._versions.newest
        context = FoldContext(
            model=self._versions.of_version(version),
            model_since_ms=None if fence is None else fence.model_since_ms or None,
            model_of_version=self._versions.of_version,
            log_time_ms=at_ms,
            settings=self._settings,
        )
        state = remembered(stored.state, context)
        if state is not None and state.due_ms is not None and state.due_ms <= at_ms:
            state, _ = fold_tick(state, stored.lead_id, at_ms, context)
        return LeadAt(stored.lead_id, state, context, at_ms)


def add_model_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--model``, for ``model_versions``."""
    parser.add_argument(
        "--model", type=Path, metavar="FILE", help="the file of the version in force (default: read it from Kafka)"
    )


def model_versions(config: Config, path: Path | None) -> ModelVersions:
    """The versions in the models topic, or the one in the file. ``ConfigError`` where neither has one."""
    if path is not None:
        return _version_of_file(path)
    session = KafkaSession(config)
    models = session.models()
    check_log_partitions(config, partition_count(session.admin(), config.log_topic))
    versions = models.versions()
    if not versions:
        raise ConfigError(
            f"topic {config.models_topic}: it holds no model yet: a worker that matches publishes it; or give --model"
        )
    return ModelVersions(models.model_of_version, versions[-1])


def _version_of_file(path: Path) -> ModelVersions:
    model = compile_model(load_model(path).definition)

    def of_version(version: int) -> CompiledModel:
        if version != model.version:
            raise ConfigError(
                f"--model: {path}: version {model.version}: the lead's state follows version {version}: expected that "
                "file, or no --model to read the versions from Kafka"
            )
        return model

    return ModelVersions(of_version, model.version)
