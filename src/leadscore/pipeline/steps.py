"""Told as each step of a loop is passed: crash tests end the process there. Outside them it does nothing."""

from typing import Protocol


class Steps(Protocol):
    """Is told how far the loop is."""

    def passed(self, step: str) -> None:
        """The step is done; the next has not begun."""


class NoSteps:
    """Is told nothing that matters."""

    def passed(self, step: str) -> None:
        """Go on."""
