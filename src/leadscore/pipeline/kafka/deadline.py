"""How long to wait for work in hand: one budget for all that has to be waited for on the way to one end."""

from time import monotonic


class Deadline:
    """An instant, some seconds from now."""

    def __init__(self, budget_s: float) -> None:
        self._at_s = monotonic() + budget_s

    @property
    def left_s(self) -> float:
        """Seconds until then; 0 once it has come."""
        return max(0.0, self._at_s - monotonic())


class DrainBudget:
    """``LEADSCORE_DRAIN_TIMEOUT``: anew each time partitions are given up, but once for everything at the end.

    At the end both stages drain and then give up their partitions; each of these steps would else have all of it.
    """

    def __init__(self, budget_s: float) -> None:
        self.budget_s = budget_s
        self._end: Deadline | None = None

    def deadline(self) -> Deadline:
        """By when to have finished what is begun now."""
        return self._end or Deadline(self.budget_s)

    def begin_end(self) -> None:
        """From now on there is one deadline for everything."""
        self._end = self._end or Deadline(self.budget_s)
