"""The outbox entry of a log offset: what it caused, in the order decided. Bytes in, values out; pure.

Forwards, and news of the scores topic, are bytes among the crossings and erasures, which keep the form they have alone.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from leadscore.log.records import Forward
from leadscore.pipeline.score.publishing import Published
from leadscore.scoring.latest_score import LatestScore, LeadGone, ScoreNews
from leadscore.scoring.outputs import Output

Decided = Output | ScoreNews
"""Whatever is published of the fold."""

_Items = list[Published | bytes]


class _StoredForward(msgspec.Struct, array_like=True, frozen=True, tag=2):
    """A forward among what else is stored as bytes; the tags of news are 0 and 1."""

    forward: Forward


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Items)
_item_decoder: msgspec.msgpack.Decoder[ScoreNews | _StoredForward] = msgspec.msgpack.Decoder(ScoreNews | _StoredForward)


class Entries(NamedTuple):
    """What is in several outbox entries, by the topic it goes to, each in the order decided."""

    outputs: list[Output]
    news: list[ScoreNews]


def encode_outputs(decided: Sequence[Decided]) -> bytes:
    """An outbox entry."""
    return _encoder.encode([_item(one) for one in decided])


def decode_entries(entries: Iterable[bytes]) -> Entries:
    """What is in these entries, given in the order of their offsets."""
    decided = [one for entry in entries for one in decode_outputs(entry)]
    news = [one for one in decided if isinstance(one, LatestScore | LeadGone)]
    return Entries([one for one in decided if not isinstance(one, LatestScore | LeadGone)], news)


def decode_outputs(data: bytes) -> list[Decided]:
    """What is in an outbox entry, in the order decided."""
    return [_decided(item) if isinstance(item, bytes) else item for item in _decoder.decode(data)]


def _item(decided: Decided) -> Published | bytes:
    if isinstance(decided, Forward):
        return _encoder.encode(_StoredForward(decided))
    return _encoder.encode(decided) if isinstance(decided, LatestScore | LeadGone) else decided


def _decided(item: bytes) -> Forward | ScoreNews:
    stored = _item_decoder.decode(item)
    return stored.forward if isinstance(stored, _StoredForward) else stored
