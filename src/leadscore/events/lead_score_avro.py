"""The latest score of a lead in Avro, by ``lead_score.avsc``, written field by field. Pure."""

from collections.abc import Mapping
from typing import Final

from leadscore.events.avro_fields import END, double, long, long_or_null, text, text_or_null
from leadscore.scoring.latest_score import LatestScore, NamedScore, ThresholdPlace

_IN: Final = long(1)
_OUT: Final = long(2)
"""Symbols as in the schema, where ``UNKNOWN`` is the first."""


def lead_score_avro(latest: LatestScore) -> bytes:
    """The latest score without a header, in the order of the schema's fields."""
    return b"".join(
        (
            text(latest.lead_id),
            text(latest.model),
            long(latest.model_version),
            long(latest.as_of_ms),
            long(latest.decided_at_ms),
            long(latest.revision),
            double(latest.score),
            double(latest.engagement),
            double(latest.fit),
            text(latest.grade),
            text(latest.band),
            text_or_null(latest.disqualified),
            _thresholds(latest.thresholds),
            _scores(latest.scores),
        )
    )


def _thresholds(places: list[ThresholdPlace]) -> bytes:
    if not places:
        return END
    written = [long(len(places))]
    for place in places:
        written += (text(place.threshold), _IN if place.is_in else _OUT, long_or_null(place.entered_ms))
    written.append(END)
    return b"".join(written)


def _scores(scores: Mapping[str, NamedScore]) -> bytes:
    if not scores:
        return END
    written = [long(len(scores))]
    for name, score in scores.items():
        written += (text(name), double(score.score), double(score.engagement))
    written.append(END)
    return b"".join(written)
