"""Where a shard goes on, from what Redis, the committed offset and the log say (design 2.4). Pure.

Theory of operation. F is the last log offset folded into the stored states (the fence), C the committed log offset: the
judge of what was published. States and fence change in one atomic write, crossings are published after it, C moves
after that. So in health F >= C - 1, and what lies between was written and perhaps not published: it is in the outbox.

    found                                                then
    F >= C - 1                                           publish the outbox from C on, go on at F + 1
    F < C - 1: acknowledged writes are lost              replay from F + 1, publish nothing below C
    no fence, nothing committed, log from its beginning  clear the shard, begin at 0
    no fence otherwise: the shard's state is lost        halt; or, if told to: clear the shard, replay from 0, publish
                                                         nothing below C
    a fence that says the shard is being cleared         clear it again, replay from F + 1, publish nothing below C
    the log no longer holds F + 1, its id changed, F or  stop: an operator must accept the gap
    C is beyond its end, or what stands at F or C - 1
    was written later than what was applied
"""

from enum import StrEnum

import msgspec

from leadscore.errors import PartitionStopped, StopCause
from leadscore.store.fence import Fence
from leadscore.store.shard import StoredShard


class Found(StrEnum):
    """What reconcile found; the label of its metric."""

    CURRENT = "current"
    BEHIND = "behind"
    EMPTY = "empty"
    REBUILD = "rebuild"


class Facts(msgspec.Struct, frozen=True):
    """What is known of a shard; ``committed`` and ``fence`` are ``None`` where they do not exist.

    ``replaced`` is the offset of a record that was applied, and in whose place another one stands by now.
    """

    partition: int
    fence: Fence | None
    committed: int | None
    low: int
    high: int
    log_topic_id: str
    replaced: int | None = None


class Start(msgspec.Struct, frozen=True):
    """Where to go on; crossings caused below ``publish_from`` were published already."""

    result: Found
    offset: int
    publish_from: int
    lost_records: int = 0


class ShardStart(msgspec.Struct, frozen=True):
    """A shard that goes on: what was found, where it goes on, and what is stored of it."""

    facts: Facts
    start: Start
    stored: StoredShard


def decide(facts: Facts, *, rebuild: bool) -> Start:
    """Where the shard goes on; ``PartitionStopped`` where that is an operator's decision."""
    fence, committed = facts.fence, facts.committed or 0
    if fence is None:
        return _without_fence(facts, committed, rebuild=rebuild)
    if fence.log_topic_id != facts.log_topic_id:
        raise _stopped(
            facts,
            StopCause.ANOTHER_LOG,
            f"the states are of another log (topic id {fence.log_topic_id!r}, now {facts.log_topic_id!r})",
        )
    if fence.offset + 1 > facts.high:
        raise _stopped(facts, StopCause.AHEAD_OF_LOG, f"the states are ahead of the log: applied up to {fence.offset}")
    if committed > facts.high:
        raise _stopped(facts, StopCause.AHEAD_OF_LOG, f"the committed offset {committed} is beyond the end of the log")
    if facts.replaced is not None:
        raise _stopped(
            facts,
            StopCause.AHEAD_OF_LOG,
            f"the log has lost its end and was written on: record {facts.replaced}, which was applied, is another one",
        )
    if fence.offset + 1 < facts.low:
        missing = facts.low - fence.offset - 1
        raise _stopped(
            facts,
            StopCause.RECORDS_LOST,
            f"the log no longer holds {missing} records after the last applied {fence.offset}",
        )
    if fence.is_clearing:
        result = Found.REBUILD if committed > fence.offset + 1 else Found.EMPTY
        return Start(result, fence.offset + 1, committed, max(0, committed - fence.offset - 1))
    if fence.offset >= committed - 1:
        return Start(Found.CURRENT, fence.offset + 1, committed)
    return Start(Found.BEHIND, fence.offset + 1, committed, committed - fence.offset - 1)


def _without_fence(facts: Facts, committed: int, *, rebuild: bool) -> Start:
    if committed == 0 and facts.low == 0:
        return Start(Found.EMPTY, 0, 0)
    if committed > facts.high:
        raise _stopped(
            facts,
            StopCause.STATE_LOST,
            f"Redis holds no state and the committed offset {committed} is beyond the end of the log",
        )
    if facts.replaced is not None:
        raise _stopped(
            facts,
            StopCause.STATE_LOST,
            "Redis holds no state, and the log has lost its end and was written on: record "
            f"{facts.replaced}, which was committed, is another one",
        )
    if not rebuild:
        raise PartitionStopped(
            f"log partition {facts.partition}: Redis holds no state of this shard, although the log was applied up to "
            f"offset {committed}: its data is lost, or this is the wrong Redis or prefix. Nothing is published. "
            "Restore Redis, or set LEADSCORE_ON_STATE_LOSS=rebuild to rebuild the state from the log.",
            StopCause.STATE_LOST,
        )
    if facts.low > 0:
        raise _stopped(
            facts,
            StopCause.STATE_LOST,
            f"the state is lost and the log no longer holds its first {facts.low} records",
        )
    return Start(Found.REBUILD, 0, committed, committed)


def _stopped(facts: Facts, cause: StopCause, what: str) -> PartitionStopped:
    return PartitionStopped(
        f"log partition {facts.partition}: {what}; the log holds offsets {facts.low} to {facts.high - 1}, committed is "
        f"{facts.committed}. Nothing of this partition is applied or published. To accept the gap and go on from the "
        f"oldest record: leadscore log accept-gap --partition {facts.partition}",
        cause,
    )
