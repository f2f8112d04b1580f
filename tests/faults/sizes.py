"""How large the experiments are: ``make faults KILLS=200 EVENTS=20000 SEED=7`` instead of the short form."""

import os
from random import Random

SEED = int(os.environ.get("SEED") or "12")
KILLS = int(os.environ.get("KILLS") or "0")
"""Of each crash point; 0: the experiment's own number."""
EVENTS = int(os.environ.get("EVENTS") or "0")


def kills(short: int) -> int:
    """That many in the short form."""
    return KILLS or short


def events(short: int) -> int:
    """That many in the short form."""
    return EVENTS or short


def random(name: str) -> Random:
    """The seed of the run, and the experiment."""
    return Random(f"{SEED}-{name}")
