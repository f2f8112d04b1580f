"""Time in a simulation: it passes only when told to, and a worker may have a wrong clock."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from uuid import UUID

_CLOCKS = (
    ("leadscore.pipeline.worker", "time"),
    ("leadscore.pipeline.score.counts", "time"),
    ("leadscore.pipeline.score.uncommitted", "time"),
    ("leadscore.pipeline.kafka.deadline", "monotonic"),
    ("leadscore.pipeline.kafka.outbound", "monotonic"),
)
_NAMES = (("leadscore.pipeline.score.stage", "uuid4"), ("leadscore.pipeline.score.clearing", "uuid4"))
_CHANCES = (("leadscore.pipeline.backoff", "random"),)


class Clock:
    """``now_s`` is true; ``skew_s`` is how far the clock of the worker that runs at present is ahead of it."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s
        self.skew_s = 0.0
        self._names = 0

    def now_ms(self) -> int:
        """For what has the right time: brokers and producers of events."""
        return int(self.now_s * 1000)

    def new_name(self) -> UUID:
        """In place of a random one: the same on every run of the seed."""
        self._names += 1
        return UUID(int=self._names)

    def _monotonic(self) -> float:
        return self.now_s

    def _time(self) -> float:
        return self.now_s + self.skew_s

    @contextmanager
    def in_place_of_the_real_one(self) -> Iterator[None]:
        """Let the worker's modules read this clock, and draw their names here; nothing else is left to chance."""
        readers = {"time": self._time, "monotonic": self._monotonic, "random": lambda: 0.5}
        replaced: list[tuple[Any, str, object]] = []
        for module, name in (*_CLOCKS, *_NAMES, *_CHANCES):
            loaded = importlib.import_module(module)
            replaced.append((loaded, name, readers.get(name, self.new_name)))
        patches = [patch.object(*one) for one in replaced]
        for one in patches:
            one.start()
        try:
            yield
        finally:
            for one in patches:
                one.stop()
