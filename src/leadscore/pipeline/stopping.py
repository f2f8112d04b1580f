"""The wish that the worker ends, which may come before there is a worker, and the beginning of its end."""

from time import monotonic, sleep
from typing import Protocol

SLICE_S = 0.05


class EndLimit(Protocol):
    """Sees to it that an end that has begun does not take for ever."""

    def begin(self, *, has_failed: bool = False) -> None:
        """The worker ends from now on; may be called again."""


class Stopping:
    """Whether the worker is to end. ``limit`` is told when the end begins: asked for, or by itself."""

    def __init__(self, limit: EndLimit | None = None) -> None:
        self.is_asked_for = False
        self._limit = limit

    def ask(self) -> None:
        """Finish what is in hand, then end. Safe in a signal handler: it only remembers."""
        self.is_asked_for = True

    def begin_end(self, *, has_failed: bool) -> None:
        """The worker ends from now on, whatever the reason."""
        if self._limit is not None:
            self._limit.begin(has_failed=has_failed)

    def wait(self, seconds: float) -> None:
        """Let time pass, but not after the end is asked for."""
        until_s = monotonic() + seconds
        while not self.is_asked_for and monotonic() < until_s:
            sleep(SLICE_S)
