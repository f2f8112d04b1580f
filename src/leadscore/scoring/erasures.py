"""What is remembered of erased leads (design 1.8). Values; pure."""

from collections.abc import MutableMapping
from hashlib import blake2b

import msgspec


class Erasure(msgspec.Struct, array_like=True, frozen=True):
    """What is remembered of an erased lead: nothing that occurred up to ``erased_ms`` brings it back."""

    erased_ms: int
    expires_ms: int
    """By the log's time."""
    commands: tuple[bytes, ...] = ()
    """Hashes of the ids of the latest erase commands: one that comes again is not another."""


Erasures = MutableMapping[bytes, Erasure]
"""By hash of the lead id: the memory of an erased lead must not name it."""


def lead_hash(lead_id: str) -> bytes:
    """The name under which an erased lead is remembered."""
    return blake2b(lead_id.encode(), digest_size=16).digest()
