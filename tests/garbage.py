"""What Python's garbage collector alone can free, and a worker lets it look seldom.

What is still referred to from outside is no garbage, and is not found here.
"""

import gc
from collections.abc import Callable


class Batch:
    """Stands for what a caller has at hand."""


def batches_left_by(call: Callable[[], object]) -> list[object]:
    """Those of callers that the call left behind."""

    def act() -> None:
        _batch = Batch()
        call()

    return left_behind(act, Batch)


def left_behind(act: Callable[[], object], *kinds: type) -> list[object]:
    """Objects of these kinds that are still in memory after the act, though nothing refers to them from outside."""
    is_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        act()
        gc.collect()
        return [one for one in gc.garbage if isinstance(one, kinds)]
    finally:
        gc.garbage.clear()
        gc.set_debug(0)
        if is_enabled:
            gc.enable()
