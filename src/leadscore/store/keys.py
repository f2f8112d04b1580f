"""Every key leadscore writes to Redis, and nothing else. Pure.

``{tag}`` is the shard's hash tag, ``<prefix>:<suffix>``: what stands in the braces decides the slot, so all keys of a
shard lie in one slot and one script call may touch them all.

    {tag}/<lead id>   string      the lead's state; the only keys with a TTL
    {tag}:fence       string      last applied log offset and what goes with it, see ``fence``
    {tag}:outbox      hash        causing log offset -> crossings and erased leads, ready to publish
    {tag}:due         sorted set  lead id by the instant (ms) at which to look at the lead again
    {tag}:erased      hash        erased lead -> what is remembered of the erasure
    {<prefix>:}:owner string      the deployment that the prefix belongs to, see ``owner``

No lead id can collide with another key, because leads have a separator of their own. Two deployments in one Redis are
kept apart by the prefix, which cannot contain the ``:`` that ends it.
"""

import re
from binascii import crc_hqx
from functools import lru_cache
from itertools import count

from leadscore.errors import ConfigError

SLOTS = 16_384
MAX_SHARDS = 2_048

_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class ShardKeys:
    """The keys of one shard of ``shards``, and the slot they all lie in.

    A lead's key is ``lead_prefix`` and its id.
    """

    __slots__ = ("due", "erased", "fence", "lead_prefix", "outbox", "slot")

    def __init__(self, prefix: str, shard: int, shards: int) -> None:
        tag = shard_tags(prefix, shards)[shard]
        self.slot = slot_of(tag)
        self.lead_prefix = f"{{{tag}}}/"
        self.fence = f"{{{tag}}}:fence"
        self.outbox = f"{{{tag}}}:outbox"
        self.due = f"{{{tag}}}:due"
        self.erased = f"{{{tag}}}:erased"

    def lead(self, lead_id: str) -> str:
        """The key of one lead's state."""
        return self.lead_prefix + lead_id


def owner_tag(prefix: str) -> str:
    """The hash tag of the owner's key: no shard's, because a shard's has a suffix."""
    return f"{prefix}:"


def owner_key(prefix: str) -> str:
    """The key that says which deployment a prefix belongs to."""
    return f"{{{owner_tag(prefix)}}}:owner"


def lead_pattern(prefix: str) -> str:
    """What the keys of all leads of a deployment look like, as Redis's SCAN wants it."""
    return f"{{{prefix}:*}}/*"


def tag_and_lead_of(key: str) -> tuple[str, str]:
    """The hash tag and the lead id in a lead's key."""
    tag, _, lead_id = key[1:].partition("}/")
    return tag, lead_id


def slot_of(tag: str) -> int:
    """The Redis Cluster slot of a hash tag: CRC16 (XMODEM) of it."""
    return crc_hqx(tag.encode(), 0) % SLOTS


@lru_cache(maxsize=16)
def shard_tags(prefix: str, shards: int) -> tuple[str, ...]:
    """The hash tag of every shard: shard *i* lies in the middle of the *i*-th of ``shards`` equal slices of the slots.

    So masters that own equal ranges own equally many shards (naive tags: up to half more than the mean). The tags
    depend on the arguments alone. ``ConfigError`` for a prefix or a number of shards that cannot be.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ConfigError(f"redis key prefix: {prefix!r}: expected 1 to 32 of A-Z a-z 0-9 _ . -")
    if not 1 <= shards <= MAX_SHARDS:
        raise ConfigError(f"number of shards: {shards}: expected 1 to {MAX_SHARDS}")
    tags: dict[int, str] = {}
    for number in count():
        tag = f"{prefix}:{_base36(number)}"
        shard = _shard_around(slot_of(tag), shards)
        if shard is not None:
            tags.setdefault(shard, tag)
        if len(tags) == shards:
            return tuple(tags[index] for index in range(shards))
    raise AssertionError("the search above is endless")


def _shard_around(slot: int, shards: int) -> int | None:
    """The shard in whose slice's middle quarter the slot lies: slices that straddle two masters fall to the nearer."""
    shard, position = divmod(slot * shards, SLOTS)
    return shard if 3 * SLOTS <= 8 * position <= 5 * SLOTS else None


def _base36(number: int) -> str:
    digits = _DIGITS[number % 36]
    while number := number // 36:
        digits = _DIGITS[number % 36] + digits
    return digits
