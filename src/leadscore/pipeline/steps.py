"""Told as each step of a loop is passed: crash tests end the process there. Outside them it does nothing."""

from typing import Protocol


class Steps(Protocol):
    """Somebody who wants to know how far the loop is."""

    def passed(self, step: str) -> None:
        """The step is done; the next has not begun."""


class NoSteps:
    """Nobody does."""

    def passed(self, step: str) -> None:
        """Go on."""
