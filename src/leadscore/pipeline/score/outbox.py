"""The outbox entry of a log offset: what it caused, in the order decided. Bytes in, values out; pure.

News of the scores topic are bytes among the crossings and erasures: they may change their form without these.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from leadscore.pipeline.score.publishing import Output
from leadscore.scoring.latest_score import LatestScore, LeadGone, ScoreNews

Decided = Output | ScoreNews
"""Whatever is published of the fold."""

_Items = list[Output | bytes]

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Items)
_news_decoder: msgspec.msgpack.Decoder[ScoreNews] = msgspec.msgpack.Decoder(ScoreNews)


class Entries(NamedTuple):
    """What is in several outbox entries, by the topic it goes to, each in the order decided."""

    outputs: list[Output]
    news: list[ScoreNews]


def is_score_news(decided: Decided) -> bool:
    """Whether it goes to the scores topic, and not to that of crossings."""
    return isinstance(decided, LatestScore | LeadGone)


def encode_outputs(decided: Sequence[Decided]) -> bytes:
    """An outbox entry."""
    if not any(map(is_score_news, decided)):
        return _encoder.encode(decided)
    return _encoder.encode([_encoder.encode(one) if is_score_news(one) else one for one in decided])


def decode_entries(entries: Iterable[bytes]) -> Entries:
    """What is in these entries, given in the order of their offsets."""
    decided = [one for entry in entries for one in decode_outputs(entry)]
    news = [one for one in decided if isinstance(one, LatestScore | LeadGone)]
    return Entries([one for one in decided if not isinstance(one, LatestScore | LeadGone)], news)


def decode_outputs(data: bytes) -> list[Decided]:
    """What is in an outbox entry, in the order decided."""
    return [_news_decoder.decode(item) if isinstance(item, bytes) else item for item in _decoder.decode(data)]
