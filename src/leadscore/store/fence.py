"""The fence: how far a shard is folded, stored with its states. Bytes in, values out; pure.

One format byte and MessagePack, fields by position; new ones are only ever appended, with a default. The same fence
always has the same bytes, because a write compares bytes.
"""

import msgspec

from leadscore.errors import PartitionStopped, StopCause

FORMAT = 2
READABLE_FORMATS = (b"\x01", b"\x02")
"""A fence of format 1 says the same. Format 2 is there for the workers that write 1: the states beside it may be ones
that they cannot read, and they stop at the fence."""


class Fence(msgspec.Struct, array_like=True, frozen=True):
    """What a shard's states are the fold of.

    ``offset`` is the last applied log offset (F); ``model_version`` the highest the shard has seen in its log, and
    ``model_since_ms`` the log's time at which it came in force; ``sources`` the highest applied position (see
    ``leadscore.log.positions``) by source partition, named ``topic/topic_id/partition``. ``writer`` is a name drawn
    anew at each reconcile: whoever folds the same records must not take another's write, or its own that came late,
    for the one it has just made. What it read may be newer than the fence it went on from. ``is_clearing``: the leads
    that are stored are the fold of nothing known, and being deleted. ``log_incarnation``: how often the log of this
    id has gone back to offsets that it had used before; what the shard forwards is numbered by offsets, and must not
    be taken for what it forwarded then. ``log_leader_epoch``: the leader epoch of the last applied record, or -1.
    """

    log_topic_id: str
    offset: int
    model_version: int
    model_since_ms: int
    sources: dict[str, int]
    writer: str = ""
    is_clearing: bool = False
    log_incarnation: int = 0
    log_leader_epoch: int = -1


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(Fence)
_PREFIX = bytes([FORMAT])


def encode(fence: Fence) -> bytes:
    """The bytes under the shard's fence key; never empty."""
    return _PREFIX + _encoder.encode(fence)


def decode(stored: bytes) -> Fence:
    """The fence behind stored bytes; ``PartitionStopped`` where they are not one of ours or too new."""
    if stored[:1] not in READABLE_FORMATS:
        raise PartitionStopped(
            f"the stored fence has format {stored[:1].hex() or 'none'}, expected {FORMAT:02x} or lower: run the "
            "version that wrote it",
            StopCause.UNREADABLE,
        )
    try:
        return _decoder.decode(memoryview(stored)[1:])
    except msgspec.MsgspecError as error:
        raise PartitionStopped(f"the stored fence cannot be read: {error}", StopCause.UNREADABLE) from error
