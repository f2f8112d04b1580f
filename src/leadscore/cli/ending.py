"""How ``leadscore run`` comes to its end: asked by a signal, or by itself, and in any case in time.

A thread listens for signals, because Python runs a handler only between two steps of the main thread, which may be
inside a client's call for long. ``listen`` is called before anything heavy is imported: a process without a handler
ends at once at SIGTERM, or, as the first of its container, does not even notice it. So nothing heavy is imported here.

- Asked to end while starting: nothing is in hand. If the main thread does not come back at once, the process ends
  without it, in order.
- Asked later: what is in hand is finished. If that takes longer than its budget and ``CLOSING_S``, the process ends
  anyway; what is not committed is done again by the next owner.
- An end that begins by itself, after a fatal error, has the same limit.
- Asked twice: the process ends now.
"""

import faulthandler
import os
import signal
import socket
from collections.abc import Callable
from enum import IntEnum
from threading import Event, Lock, Thread

from leadscore.pipeline.stopping import Stopping

CLOSING_S = 5.0
"""Beyond the budget of the drain, to leave the groups. Closing a Kafka client has no timeout of its own."""
STARTING_S = 1.0
"""How long a main thread that is still starting may take to notice."""
EXIT_S = 2.0
"""For the interpreter to end, beyond all of that; Python's threads do not run any more then."""
LOG_S = 1.0
"""Whoever reads the log may have stopped reading."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Exit(IntEnum):
    """Exit codes of ``leadscore run``."""

    DONE = 0
    FAILED = 1
    WRONG_INPUT = 2
    ASKED_TWICE = 3
    DRAIN_GIVEN_UP = 4


def _nothing() -> None:
    """Before the log is set up there is nothing to say it with."""


class Ending:
    """The end of one process. ``stopping`` is what the worker looks at."""

    def __init__(self) -> None:
        self.stopping = Stopping(self)
        self._lock = Lock()
        self._is_over = Event()
        self._has_begun = False
        self._exit_code = Exit.DRAIN_GIVEN_UP
        self._budget_s: float | None = None
        self._say_stopped: Callable[[], None] = _nothing
        self._say_given_up: Callable[[], None] = _nothing

    def listen(self) -> None:
        """Notice signals from now on."""
        reader, writer = socket.socketpair()
        writer.setblocking(False)  # the library's own name for it is positional
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)  # the thread does it all
        Thread(target=self._follow_signals, args=(reader, writer), name="signals", daemon=True).start()

    def started_logging(self, say_stopped: Callable[[], None], say_given_up: Callable[[], None]) -> None:
        """From now on the end can be told of: one in order, and one by force."""
        self._say_stopped, self._say_given_up = say_stopped, say_given_up

    def started(self, budget_s: float) -> None:
        """From now on there is work in hand, which may take this long to finish."""
        self._budget_s = budget_s

    def begin(self, *, has_failed: bool = False) -> None:
        """The end begins: let it not take longer than it may."""
        with self._lock:
            if has_failed:
                self._exit_code = Exit.FAILED
            if self._has_begun:
                return
            self._has_begun = True
        budget_s = self._budget_s
        limit_s = STARTING_S if budget_s is None else budget_s + CLOSING_S
        if budget_s is not None:
            faulthandler.dump_traceback_later(limit_s + LOG_S + EXIT_S, exit=True)
        Thread(target=self._force, args=(limit_s, budget_s is None), name="last-resort", daemon=True).start()

    def over(self) -> None:
        """The main thread came to its end; only the interpreter's is left."""
        self._is_over.set()

    def _follow_signals(self, reader: socket.socket, _writer: socket.socket) -> None:
        while numbers := reader.recv(64):
            for _ in filter(SIGNALS.__contains__, numbers):
                if self.stopping.is_asked_for:
                    os._exit(Exit.ASKED_TWICE)
                self.stopping.ask()
                self.begin()

    def _force(self, limit_s: float, is_starting: bool) -> None:  # a thread's arguments
        if self._is_over.wait(limit_s):
            return
        say = Thread(target=self._say_stopped if is_starting else self._say_given_up, daemon=True)
        say.start()
        say.join(LOG_S)
        os._exit(Exit.DONE if is_starting and self._exit_code is not Exit.FAILED else self._exit_code)
