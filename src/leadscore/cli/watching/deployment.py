"""Reads a running deployment again and again: its workers over HTTP, its crossings from Kafka, its leads from Redis."""

import time
from collections.abc import Callable
from typing import TypeVar

from leadscore.cli.list import Choice, ListedLead, Search, in_thresholds
from leadscore.cli.stored_leads import StoredLeads, model_versions
from leadscore.cli.watching.crossings import LatestCrossings, SeenCrossing
from leadscore.cli.watching.reading import load_of
from leadscore.cli.watching.scrape import Scrape, scrape_all
from leadscore.cli.watching.view import Snapshot
from leadscore.errors import LeadscoreError
from leadscore.ops.config import Config
from leadscore.ops.kafka_properties import BOOTSTRAP_SERVERS
from leadscore.pipeline.stores import make_store
from leadscore.scoring.crossing import iso_instant

MOST_KEYS = 20_000
"""Leads in a threshold that are looked at for the hottest ones, each time."""

Made = TypeVar("Made")


class Watch:
    """One deployment. A service that does not answer leaves its part out, and says so in the notes."""

    def __init__(self, config: Config, urls: list[str], shown: int) -> None:
        self._config, self._urls, self._shown = config, urls, shown
        self._has_kafka = "bootstrap.servers" in config.kafka
        self._before: list[Scrape] = []
        self._crossings: LatestCrossings | None = None
        self._store = make_store(config)
        self._leads: StoredLeads | None = None

    def begin(self) -> None:
        """Ask the workers for the first time: rates are between two answers."""
        self._before = scrape_all(self._urls)

    def look(self) -> Snapshot:
        """The deployment now, with rates since the last look."""
        after = scrape_all(self._urls)
        load, self._before = load_of(self._before, after), after
        notes: list[str] = []
        if not self._has_kafka:
            notes.append(f"{BOOTSTRAP_SERVERS} is not set: crossings and leads are left out")
        return Snapshot(
            at=iso_instant(time.time_ns() // 1_000_000),
            load=load,
            crossings=self._unless_away("crossings", self._read_crossings, notes),
            hottest=self._unless_away("leads", self._read_hottest, notes),
            notes=notes,
        )

    def close(self) -> None:
        """Close the connections."""
        if self._crossings is not None:
            self._crossings.close()
        self._store.close()

    def _unless_away(self, what: str, read: Callable[[], Made], notes: list[str]) -> Made | None:
        if not self._has_kafka:
            return None
        try:
            return read()
        except LeadscoreError as error:
            notes.append(f"{what}: {error}")
            return None

    def _read_crossings(self) -> list[SeenCrossing]:
        if self._crossings is None:
            self._crossings = LatestCrossings(self._config, self._shown)
        return self._crossings.read()

    def _read_hottest(self) -> list[ListedLead]:
        if self._leads is None:
            self._leads = StoredLeads(self._store, self._config, model_versions(self._config, None))
        search = Search(self._leads, Choice(None, None), time.time_ns() // 1_000_000)
        return search.best(in_thresholds(self._store, self._config.log_partitions), self._shown, MOST_KEYS)
