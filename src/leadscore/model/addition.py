"""How points are added up: one after another, in the order in which they come. Pure.

The builtin ``sum`` compensates rounding errors of floats from Python 3.12 on, so the last bits of its result depend on
the interpreter. States and crossings must not: the fold adds up with loops, and with this one where it is not hot.
"""

from collections.abc import Iterable


def plain_sum(points: Iterable[float]) -> float:
    """The sum, with one rounding per addition on every version of Python."""
    total = 0.0
    for part in points:
        total += part
    return total
