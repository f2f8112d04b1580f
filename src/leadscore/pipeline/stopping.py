"""The wish that the worker ends, which may come before there is a worker, and the beginning of its end."""

from collections.abc import Callable
from time import monotonic, sleep

SLICE_S = 0.05


def _nothing() -> None:
    """Nobody has to know."""


class Stopping:
    """Whether the worker is to end. ``at_end`` is called once, when the end begins: asked for, or by itself."""

    def __init__(self, at_end: Callable[[], None] = _nothing) -> None:
        self.is_asked_for = False
        self._at_end: Callable[[], None] = at_end
        self._has_begun = False

    def ask(self) -> None:
        """Finish what is in hand, then end. Safe in a signal handler: it only remembers."""
        self.is_asked_for = True

    def begin_end(self) -> None:
        """The worker ends from now on, whatever the reason."""
        if not self._has_begun:
            self._has_begun = True
            self._at_end()

    def wait(self, seconds: float) -> None:
        """Let time pass, but not after the end is asked for."""
        until_s = monotonic() + seconds
        while not self.is_asked_for and monotonic() < until_s:
            sleep(SLICE_S)
