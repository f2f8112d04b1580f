"""The border of a simulated process: each call to Kafka and Redis passes here, and here a process fails, stops or dies.

A turn of a worker has a plan: nothing, to die at a call, or to be held at one. A held turn runs in a thread of its own
that waits until it is let go: its worker is a zombie meanwhile. Only one thread ever runs, so that the seed decides
everything that happens.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from random import Random
from threading import Semaphore, Thread
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException

from leadscore.errors import Unavailable
from tests.memory_kafka.weather import Weather
from tests.simulation.clock import Clock
from tests.simulation.plan import ALWAYS, OF_OUTAGES


class Killed(BaseException):
    """The process has ended in the middle of a call. Nothing of it goes on."""


class End(Enum):
    """What a plan has in store for a turn."""

    NONE = "goes on"
    KILL = "is killed"
    HOLD = "is held"


class Planned(NamedTuple):
    """It happens after ``calls`` of those whose names begin with ``of``, counted as they begin and as they end."""

    end: End
    calls: int = 0
    of: str = ""


GOES_ON = Planned(End.NONE)
LONGEST_OUTAGE_CALLS = 15
NOTHING_YET = 0.3
"""The share of calls that do not do all at once, and do nothing."""


class Outside(Weather):
    """What one process meets. ``rates`` are the probabilities of faults, by name; those of a process change with it."""

    def __init__(self, random: Random, rates: Mapping[str, float], clock: Clock) -> None:
        self._random = random
        self._rates = rates
        self._clock = clock
        self._skew_s = 0.0
        self._planned = GOES_ON
        self._calls_left = 0
        self._away = {"kafka": 0, "redis": 0}
        self._hold: Callable[[], None] | None = None
        self.is_dead = False
        self.last_call = ""
        self.faults: list[str] = []
        """What has gone wrong in this turn, for the trace."""

    def plan(self, planned: Planned, hold: Callable[[], None] | None = None) -> None:
        """What is to happen in the turn that begins now."""
        self._planned, self._calls_left, self._hold = planned, planned.calls, hold
        self.faults = []

    def before(self, call: str) -> None:
        self._pass(call)
        if self._fails(f"{call} fails"):
            raise _error_of(call)

    def after(self, call: str) -> None:
        self._pass(call)
        if self._fails(f"answer of {call} lost"):
            raise _error_of(call)

    def happens(self, fault: str) -> bool:
        return self._fails(fault)

    def some(self, most: int) -> int:
        if self._random.random() < self._rates.get("everything at once", 1.0):
            return most
        return 0 if self._random.random() < NOTHING_YET else self._random.randrange(most + 1)

    def wait(self, seconds: float) -> None:
        self._clock.now_s += seconds

    def enter(self, skew_s: float) -> None:
        """The process runs from here on: it sees its own clock."""
        self._skew_s = self._clock.skew_s = skew_s

    def _pass(self, call: str) -> None:
        """Between two instructions of the process: here it may end."""
        if self.is_dead:
            raise Killed
        self.last_call = call
        if self._planned.end is End.NONE or not call.startswith(self._planned.of):
            return
        self._calls_left -= 1
        if self._calls_left != -1:
            return
        if self._planned.end is End.HOLD and self._hold is not None:
            self._hold()
            self._clock.skew_s = self._skew_s
        else:
            self.is_dead = True
        if self.is_dead:
            raise Killed

    def _fails(self, fault: str) -> bool:
        if fault in OF_OUTAGES and self._is_away("redis" if "store." in fault else "kafka"):
            return True
        rate = self._rates.get(fault, 0.0)
        if not rate or self._random.random() >= rate:
            return False
        if fault not in ALWAYS:
            self.faults.append(fault)
        return True

    def _is_away(self, service: str) -> bool:
        """Whether a service does not answer this process, for some calls in a row."""
        if not self._away[service]:
            rate = self._rates.get(f"{service} goes away", 0.0)
            if not rate or self._random.random() >= rate:
                return False
            self.faults.append(f"{service} goes away")
            self._away[service] = self._random.randrange(1, LONGEST_OUTAGE_CALLS)
        self._away[service] -= 1
        return True


def _error_of(call: str) -> Exception:
    if call.startswith("store."):
        return Unavailable("redis", "timeout", f"{call}: simulated")
    if call.startswith("admin."):
        return Unavailable("kafka", "timeout", f"{call}: simulated")
    return KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{call}: simulated", retriable=True))


class HeldTurn:
    """A turn in a thread of its own, which runs until it is held or over; then whoever began it goes on."""

    def __init__(self, turn: Callable[[], None]) -> None:
        self._turn = turn
        self._go_on = Semaphore(0)
        self._is_still = Semaphore(0)
        self._failure: BaseException | None = None
        self.is_over = False
        self._thread = Thread(target=self._run, daemon=True)

    def begin(self) -> None:
        """Let it run; return once it is held or over, with what it raised if it is over."""
        self._thread.start()
        self._wait()

    def hold(self) -> None:
        """For the turn itself: wait here until it is let go."""
        self._is_still.release()
        self._go_on.acquire()

    def let_go(self) -> None:
        """Go on to its end."""
        self._go_on.release()
        self._wait()

    def _run(self) -> None:
        try:
            self._turn()
        except BaseException as failure:  # noqa: BLE001  # it is raised where the turn is waited for
            self._failure = failure
        self.is_over = True
        self._is_still.release()

    def _wait(self) -> None:
        self._is_still.acquire()
        if self.is_over:
            self._thread.join()
            if self._failure is not None:
                raise self._failure
