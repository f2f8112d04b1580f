"""Work that goes on beside what a test does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

END_S = 30.0


@contextmanager
def repeated(work: Callable[[], object], pause_s: float) -> Iterator[None]:
    """Do the work again and again in a thread of its own, after a pause each time, until the body has ended."""
    over = Event()

    def run() -> None:
        while not over.wait(pause_s):
            work()

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(END_S)
