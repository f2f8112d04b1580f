"""Events that arrive one after the other while something happens to a server."""

from threading import Event as Flag
from threading import Thread
from typing import Self

from leadscore.events.event import Event
from tests.deployment import Deployment, now_ms

EVENTS_AT_ONCE = 25
POISON = b"\xffno event"


class Load:
    """Sends in a thread of its own, ``EVENTS_AT_ONCE`` after each pause; at the end of the block all is sent."""

    def __init__(
        self, deployment: Deployment, events: list[Event], pause_s: float = 0.05, *, poison: bool = False
    ) -> None:
        """``poison``: with every share comes one record that no decoder accepts."""
        self._deployment = deployment
        self._events = events
        self._pause_s = pause_s
        self._poison = poison
        self._hurry = Flag()
        self._thread = Thread(target=self._send, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """What is left goes out at once."""
        self._hurry.set()
        self._thread.join(60)

    def _send(self) -> None:
        for first in range(0, len(self._events), EVENTS_AT_ONCE):
            if self._poison:
                self._deployment.send_bytes("website", POISON, now_ms())
            self._deployment.send_now(self._events[first : first + EVENTS_AT_ONCE])
            self._hurry.wait(self._pause_s)
