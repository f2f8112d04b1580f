"""When to try again after a service did not do what was asked of it, and when that outage is over."""

from random import random

from leadscore.errors import Unavailable, without_traceback

FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 5.0


def jittered(pause_s: float) -> float:
    """Half of the pause to all of it, by chance: workers that fail together do not come back together."""
    return pause_s * (0.5 + 0.5 * random())


class Backoff:
    """Doubles the pause with every failure, and takes a part of it by chance.

    A Redis that is full, read-only or without replicas still answers and is read: an outage in which records could not
    be applied (``must_write``) is over when a write has succeeded, or when there is nothing left to write.
    """

    def __init__(self) -> None:
        self.outage: Unavailable | None = None
        self.must_write = False
        self._retry_at_s = 0.0
        self._retry_after_s = FIRST_RETRY_S

    def is_time(self, now_s: float) -> bool:
        """Whether to try now."""
        return now_s >= self._retry_at_s

    def failed(self, now_s: float, outage: Unavailable, *, must_write: bool) -> None:
        """A try has failed."""
        self.outage = without_traceback(outage)
        self.must_write |= must_write
        self._retry_at_s = now_s + jittered(self._retry_after_s)
        self._retry_after_s = min(2 * self._retry_after_s, LONGEST_RETRY_S)

    def over(self) -> None:
        """Everything asked for was done."""
        self.outage = None
        self.must_write = False
        self._retry_after_s = FIRST_RETRY_S
