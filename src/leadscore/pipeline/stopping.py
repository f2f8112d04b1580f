"""The wish that the worker ends; it may come before there is a worker. Safe in a signal handler: it only remembers."""


class Stopping:
    """Whether somebody asked for the end."""

    def __init__(self) -> None:
        self.is_asked_for = False

    def ask(self) -> None:
        """Finish what is in hand, then end."""
        self.is_asked_for = True
