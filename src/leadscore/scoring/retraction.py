"""What a lead remembers of its retractions (design 1.8). Pure."""

from typing import Final

from leadscore.model.matching import event_hash
from leadscore.scoring.state import Flags

ANY_TYPE: Final = ""
"""Stands for the type where a retraction names none."""


def remember_retraction(flags: Flags, target: str, target_type: str | None, occurred_ms: int, at_most: int) -> None:
    """Remember a retraction, for events that arrive after it."""
    hashed = event_hash(target_type or ANY_TYPE, target)
    flags.retracted[hashed] = max(occurred_ms, flags.retracted.get(hashed, occurred_ms))
    if target_type is None:
        flags.targets[hashed] = target
    keep_latest_retractions(flags, at_most)


def keep_latest_retractions(flags: Flags, at_most: int) -> None:
    """Keep the last retractions only, as many as recent events: the state of a lead is bounded."""
    retracted = flags.retracted
    while len(retracted) > at_most:
        hashed = min(retracted, key=lambda one: (retracted[one], one))
        del retracted[hashed]
        flags.targets.pop(hashed, None)
