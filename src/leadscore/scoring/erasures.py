"""What is remembered of erased leads (design 1.8). Values; pure."""

from collections.abc import MutableMapping
from hashlib import blake2b
from typing import Final

import msgspec

from leadscore.log.records import ERASE, Award
from leadscore.model.matching import event_hash
from leadscore.scoring.by_id import id_hash
from leadscore.scoring.context import FoldContext

MOST_ERASE_COMMANDS: Final = 16


class Erasure(msgspec.Struct, array_like=True, frozen=True):
    """What is remembered of an erased lead: nothing that occurred up to ``erased_ms`` brings it back."""

    erased_ms: int
    expires_ms: int
    """By the log's time."""
    commands: tuple[bytes, ...] = ()
    """Hashes of the latest erase commands, old ones of the ids alone: one that comes again is not another."""


Erasures = MutableMapping[bytes, Erasure]
"""By hash of the lead id: the memory of an erased lead must not name it."""


def lead_hash(lead_id: str) -> bytes:
    """The name under which an erased lead is remembered."""
    return blake2b(lead_id.encode(), digest_size=16).digest()


def remember_erasure(erasures: Erasures, award: Award, context: FoldContext) -> None:
    """Remember that this ``erase`` has erased its lead."""
    hashed, expires_ms = lead_hash(award.lead_id), context.log_time_ms + context.settings.erasure_memory_ms
    erasure = erasures.get(hashed, Erasure(award.occurred_at_ms, expires_ms))
    commands = (*erasure.commands, event_hash(ERASE, award.event_id))[-MOST_ERASE_COMMANDS:]
    erasures[hashed] = Erasure(max(erasure.erased_ms, award.occurred_at_ms), expires_ms, commands)


def is_erased(erasures: Erasures, award: Award, log_time_ms: int) -> bool:
    """Whether an erasure keeps the record out; of erase commands, only the same once more: what came since is new."""
    erasure = erasures.get(lead_hash(award.lead_id))
    if erasure is None or log_time_ms > erasure.expires_ms:
        return False
    if award.type == ERASE:
        return event_hash(ERASE, award.event_id) in erasure.commands or id_hash(award.event_id) in erasure.commands
    return award.occurred_at_ms <= erasure.erased_ms
