"""Lead states of format 2, read forward into format 3 (design 1.9). Bytes in, values out; pure.

What format 3 has and format 2 has not:

    in format 2                                      read as
    a threshold's crossings are not numbered         as many as the lead's standing needs: enters are odd, leaves even
    events are hashed by their ids alone             the same rows, and ``ById``, which says that there are such rows
    retractions too                                  ``ById.retracted``

An id cannot be had back from its hash, so the rows stay as they are until they are no longer among the recent ones;
``by_id`` finds them meanwhile. All else has the same place and meaning: what a lead's points are is not touched. The
state is written in format 3 with the next record of the lead.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from leadscore.scoring.recent import ROW, time_of, unpacked

FORMAT = 2
_ROWS, _THRESHOLDS, _FLAGS = 3, 7, 8
"""Where they stand in a lead."""
_IS_IN, _RETRACTED = 1, 4
"""Where they stand in a threshold, and in the flags."""
_NO_FLAGS: Sequence[Any] = (None, None, None, None, {}, None, None, {}, {}, {}, {}, None)


class ById(msgspec.Struct, array_like=True, gc=False):
    """What of a lead is hashed by the id alone, not by type and id."""

    until_ms: int | None
    """No such recent event occurred after this instant; ``None``: there are none."""
    retracted: dict[bytes, int]
    """Hashes of the ids of events that were retracted, of whatever type; the time of the command."""


class OldState(NamedTuple):
    """A lead of format 2: what it says in the order of format 3, and what else there is to know of it."""

    fields: bytes
    by_id: ById | None


_decoder: msgspec.msgpack.Decoder[list[Any]] = msgspec.msgpack.Decoder(list[Any])
_encoder = msgspec.msgpack.Encoder()


def read_old(payload: memoryview) -> OldState:
    """The lead behind the bytes that follow the format byte; ``ValueError`` where they are not one."""
    lead = _decoder.decode(payload)
    try:
        rows = unpacked(lead[_ROWS])
        lead[_THRESHOLDS] = [[*threshold, 1 if threshold[_IS_IN] else 2] for threshold in lead[_THRESHOLDS]]
        flags = list(lead[_FLAGS] or _NO_FLAGS)
        retracted = msgspec.convert(flags[_RETRACTED], dict[bytes, int])
        if retracted:
            flags[_RETRACTED], lead[_FLAGS] = {}, flags
    except (LookupError, TypeError) as error:
        raise ValueError(f"not a lead state of format {FORMAT}") from error
    until_ms = time_of(rows[-ROW:-1]) if rows else None
    by_id = ById(until_ms, retracted) if rows or retracted else None
    return OldState(_encoder.encode(lead), by_id)
