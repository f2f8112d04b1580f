"""How the C library keeps the memory of the worker's threads."""

import ctypes
import os

MOST_ARENAS = 2
VARIABLE = "MALLOC_ARENA_MAX"
"""glibc's own; where it is set, it decides."""
_M_ARENA_MAX = -8
"""Of malloc.h."""


def keep_few_arenas() -> bool:
    """Let all threads share a few of glibc's arenas, before there are any; whether that can be done here.

    By default glibc makes up to eight arenas a core, one for each thread, and what is free in one is of no use to the
    others. librdkafka allocates records in the threads of its brokers, and the loop frees them: the memory of a worker
    grew by a tenth in an hour. Other C libraries have no arenas.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return VARIABLE not in os.environ and mallopt is not None and mallopt(_M_ARENA_MAX, MOST_ARENAS) == 1
