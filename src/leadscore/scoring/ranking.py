"""The order of computed points: by size to 1e-9, then by name (design 1.7). Pure.

Points that are equal on paper may differ in their last bits, by the order in which they were added up: 3.75 and
3.7500000000000004. An order that looks at these bits is not the model's.

"At most 1e-9 apart is equal" alone is no order: a may equal b, and b equal c, where a and c are further apart. So:

1. Sizes are looked at from the largest down. One that is at most 1e-9 below its neighbour above is of the same *run*.
2. Runs are in the order of their sizes; what is in one run is in the order of names, then in the order it came in.

Any two sizes at most 1e-9 apart are in one run, for so are all between them. With sizes 5, 5 - 0.8e-9, 5 - 1.6e-9 and
4, the first three are one run.
"""

from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import TypeVar

from leadscore.model.compiled import EPSILON

Item = TypeVar("Item")


def ranked(items: Iterable[Item], size: Callable[[Item], float], name: Callable[[Item], str]) -> list[Item]:
    """The items, largest first; those of one run by name."""
    items = list(items)
    in_order: list[Item] = []
    for run in _runs([size(item) for item in items]):
        if len(run) == 1:  # as most are: no name is needed
            in_order.append(items[run[0]])
        else:
            in_order += sorted([items[place] for place in sorted(run)], key=name)
    return in_order


def _runs(sizes: Sequence[float]) -> list[list[int]]:
    """The places of the sizes, run by run."""
    runs: list[list[int]] = []
    above = inf
    for place in sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True):
        if above - sizes[place] > EPSILON:
            runs.append([])
        runs[-1].append(place)
        above = sizes[place]
    return runs


def whole_steps(points: float) -> int:
    """The points in whole steps of 1e-9: a key for what is ranked while it is read, before its runs can be seen.

    Two sizes that an edge between steps happens to separate differ, however close they are.
    """
    return round(points / EPSILON)
