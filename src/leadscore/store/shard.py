"""What crosses the border between the worker and the store: values, and what a store promises. Pure.

A shard is the state of one log partition; states, fences and crossings are bytes here.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec


class LeadWrite(msgspec.Struct, frozen=True, gc=False):
    """A lead's new state. ``state`` ``None`` deletes it; ``ttl_ms`` is at least 1, ``None`` keeps it for good."""

    state: bytes | None
    ttl_ms: int | None


class ShardWrite(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one batch changes in one shard.

    ``expected`` is the fence the batch was folded from, ``None`` where none was stored; ``fence`` the new one.
    ``outbox`` adds crossings by causing log offset, ``outbox_drop`` removes those of other offsets. ``due`` sets when
    to look at a lead again (UTC ms), ``erased`` what is remembered of an erasure; ``None`` removes.
    """

    shard: int
    expected: bytes | None
    fence: bytes
    leads: Mapping[str, LeadWrite] = {}
    outbox: Mapping[int, bytes] = {}
    outbox_drop: Sequence[int] = ()
    due: Mapping[str, int | None] = {}
    erased: Mapping[bytes, bytes | None] = {}


class StoredShard(msgspec.Struct, frozen=True):
    """What is stored of a shard besides its leads. The outbox and the erasures are at least as new as the fence."""

    fence: bytes | None
    outbox: dict[int, bytes]
    erased: dict[bytes, bytes]


class DueLook(msgspec.Struct, frozen=True):
    """The stored fence, so that loss is noticed, and the leads to look at, most overdue first."""

    fence: bytes | None
    lead_ids: list[str]


class DuePage(msgspec.Struct, frozen=True):
    """Some of a shard's due leads; ``next_cursor`` is ``None`` after the last page."""

    lead_ids: list[str]
    next_cursor: int | None


class ScanPlace(NamedTuple):
    """How far a scan of all leads has come: a master of the cluster, and Redis's cursor in it."""

    master: int = 0
    cursor: int = 0


class LeadPage(msgspec.Struct, frozen=True):
    """Some leads by shard, out of about ``keys_seen`` keys; ``next_place`` is ``None`` after the last page."""

    lead_ids: dict[int, list[str]]
    keys_seen: int
    next_place: ScanPlace | None


class ServerFacts(msgspec.Struct, frozen=True):
    """What the server says about itself; ``eviction_policy`` is ``None`` where it does not tell.

    ``evicted_keys`` is the number of all masters and databases together, since each was started; so are
    ``script_calls``, the scripts that were run for any client, and ``script_s``, the time that they took.
    """

    product: str
    version: str
    masters: int
    eviction_policy: str | None
    warnings: tuple[str, ...]
    evicted_keys: int = 0
    script_calls: int = 0
    script_s: float = 0.0


class Claim(msgspec.Struct, frozen=True):
    """Who the prefix belongs to, and the key that says so."""

    key: str
    owner: bytes


class Store(Protocol):
    """The shards' state. Every method may block for the store's timeout and raise ``Unavailable``.

    After ``Unavailable`` from ``write``, each of its shards has either changed completely or not at all; repeating the
    same call is always harmless.
    """

    def read_shards(self, shards: Sequence[int]) -> dict[int, StoredShard]:
        """Fence, outbox and erasures of each shard, in one round trip."""

    def read_leads(self, expected: Mapping[int, Sequence[str]]) -> dict[int, list[bytes | None]]:
        """The stored states of the expected leads of each shard, in the order asked, in one round trip."""

    def write(self, writes: Sequence[ShardWrite]) -> dict[int, bytes | None]:
        """Write each shard if its stored fence is the expected one, else change nothing of it; in one round trip.

        The answer is the fence stored after the call: the write has happened, now or before, where it is the new one.
        """

    def look_at_due(self, shards: Sequence[int], until_ms: int, limit: int) -> dict[int, DueLook]:
        """Of each shard at most ``limit`` leads that are due at ``until_ms`` or before, in one round trip."""

    def due_all(self, shard: int, cursor: int = 0) -> DuePage:
        """All due leads of a shard, page by page.

        A lead that is due all the while comes at least once. After ``Unavailable`` begin again at 0.
        """

    def scan_leads(self, place: ScanPlace = ScanPlace()) -> LeadPage:  # noqa: B008  # a frozen value
        """All leads of all shards, page by page: for people's lists, and to clear shards that begin anew. Read-only.

        A lead that is there all the while comes at least once (unless the cluster moves slots meanwhile); the work is
        that of walking over every key of the database. After ``Unavailable`` begin again.
        """

    def claim(self, owner: bytes) -> Claim:
        """Store whose the prefix is, unless that is stored already; what is stored after the call."""

    def check_server(self, *, allow_eviction: bool) -> ServerFacts:
        """Facts of the server; ``ConfigError`` where it may evict keys and that is not allowed."""

    def close(self) -> None:
        """Close the connections; the next call opens them again."""
