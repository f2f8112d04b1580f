"""Deleting what a shard still holds, before it begins anew (design 2.4).

Theory of operation. A shard without a fence may still hold leads: only the fence was deleted, or evicted by Redis.
Nobody knows what those states are the fold of, so a replay over them would count twice. To look past them while
replaying is not enough: after the first write there is a fence again, and a worker that goes on after a crash would
trust every state that the replay had not yet come to. So they go, before the first record is folded:

    1. store a fence that says ``is_clearing``, with a writer's name of its own, in place of what was found
    2. delete the shard's leads, outbox, due times and erasures page by page, by writes that expect that fence
    3. replace the fence by one that says nothing of clearing, and fold on from it

A crash before 3 leaves a fence that says so, and the next owner does it again under another name. A worker that lost
the shard meanwhile finds another fence than its own with the next page, and a page that arrives late changes nothing.
The leads of a shard are found by a walk over all keys of the database: seldom, and one walk for all shards at once. The
memory of erasures is kept where the replay does not begin at the log's beginning: the erasures may be gone from it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple
from uuid import uuid4

from msgspec.structs import replace

from leadscore.pipeline.score.reconcile import ShardStart
from leadscore.store.fence import Fence
from leadscore.store.fence import decode as decode_fence
from leadscore.store.fence import encode as encode_fence
from leadscore.store.shard import LeadWrite, ScanPlace, ShardWrite, Store, StoredShard

_GONE = LeadWrite(None, None)


class Clearing(NamedTuple):
    """A shard to clear: what is stored, and the fence to store meanwhile."""

    stored: StoredShard
    fence: bytes
    keeps_erasures: bool


def stored_at_start(store: Store, starts: Mapping[int, ShardStart], beat: Callable[[], None]) -> dict[int, StoredShard]:
    """What each shard goes on from, after clearing those that begin anew; without those another worker took.

    A walk over many keys takes its time: ``beat`` is called with every page.
    """
    clearings = {
        number: Clearing(begun.stored, _clearing_fence(begun), keeps_erasures=begun.start.offset > 0)
        for number, begun in starts.items()
        if begun.facts.fence is None or begun.facts.fence.is_clearing
    }
    cleared = clear(store, clearings, beat) if clearings else set()
    begins = {number: begun.stored for number, begun in starts.items() if number not in clearings}
    ends = {number: _ended(clearings[number].fence) for number in cleared}
    closing = [
        ShardWrite(shard=number, expected=clearings[number].fence, fence=fence) for number, fence in ends.items()
    ]
    for number in _written(store, closing):
        erased = starts[number].stored.erased if clearings[number].keeps_erasures else {}
        begins[number] = StoredShard(ends[number], {}, erased)
    return begins


def _clearing_fence(begun: ShardStart) -> bytes:
    facts = begun.facts
    fence = facts.fence or Fence(facts.log_topic_id, begun.start.offset - 1, 0, 0, {})
    return encode_fence(replace(fence, writer=uuid4().hex, is_clearing=True))


def _ended(clearing: bytes) -> bytes:
    return encode_fence(replace(decode_fence(clearing), writer=uuid4().hex, is_clearing=False))


def clear(store: Store, shards: Mapping[int, Clearing], beat: Callable[[], None]) -> set[int]:
    """Clear the shards; those with a fence of another worker are not in the answer."""
    ours = _written(store, [_first_write(number, clearing) for number, clearing in shards.items()])
    for number in list(ours):
        ours -= _without_due(store, number, shards[number].fence)
    place: ScanPlace | None = ScanPlace()
    while ours and place is not None:
        beat()
        page = store.scan_leads(place)
        leads = {number: lead_ids for number, lead_ids in page.lead_ids.items() if number in ours}
        writes = [_further(number, shards[number].fence, lead_ids) for number, lead_ids in leads.items()]
        ours -= set(leads) - _written(store, writes)
        place = page.next_place
    return ours


def _first_write(number: int, clearing: Clearing) -> ShardWrite:
    stored = clearing.stored
    return ShardWrite(
        shard=number,
        expected=stored.fence,
        fence=clearing.fence,
        outbox_drop=list(stored.outbox),
        erased={} if clearing.keeps_erasures else dict.fromkeys(stored.erased),
    )


def _further(number: int, fence: bytes, lead_ids: Iterable[str]) -> ShardWrite:
    return ShardWrite(shard=number, expected=fence, fence=fence, leads=dict.fromkeys(lead_ids, _GONE))


def _without_due(store: Store, number: int, fence: bytes) -> set[int]:
    """Delete the shard's due times; the answer is the shard, if it is not ours any more."""
    cursor: int | None = 0
    while cursor is not None:
        page = store.due_all(number, cursor)
        write = ShardWrite(shard=number, expected=fence, fence=fence, due=dict.fromkeys(page.lead_ids))
        if page.lead_ids and not _written(store, [write]):
            return {number}
        cursor = page.next_cursor
    return set()


def _written(store: Store, writes: list[ShardWrite]) -> set[int]:
    """The shards whose write has happened."""
    stored = store.write(writes) if writes else {}
    return {write.shard for write in writes if stored[write.shard] == write.fence}
