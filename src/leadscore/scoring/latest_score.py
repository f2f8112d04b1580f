"""What the scores topic says of a lead: its latest score, or that it is gone (design 2.10). Values."""

import msgspec

from leadscore.scoring.crossing import iso_instant


class ThresholdPlace(msgspec.Struct, array_like=True, frozen=True):
    """Where the lead stands with a threshold; ``entered_ms`` is when it last entered, ``None``: it never did."""

    threshold: str
    is_in: bool
    entered_ms: int | None


class NamedScore(msgspec.Struct, array_like=True, frozen=True):
    """One of the model's other scores; its fit is the lead's."""

    score: float
    engagement: float


class LatestScore(msgspec.Struct, array_like=True, frozen=True, tag=1):
    """A lead as of ``as_of_ms``, by the log record with the offset ``revision`` and the time ``decided_at_ms``."""

    model: str
    lead_id: str
    revision: int
    decided_at_ms: int
    model_version: int
    as_of_ms: int
    score: float
    engagement: float
    fit: float
    grade: str
    band: str
    disqualified: str | None
    thresholds: list[ThresholdPlace]
    scores: dict[str, NamedScore] = {}


class LeadGone(msgspec.Struct, array_like=True, frozen=True, tag=0):
    """There is no lead under this id any more."""

    model: str
    lead_id: str
    revision: int
    decided_at_ms: int


ScoreNews = LatestScore | LeadGone
"""What goes to the scores topic."""


def as_json_object(latest: LatestScore) -> dict[str, object]:
    """The names of ``lead_score.avsc``, in its order; instants as ISO 8601."""
    return {
        "lead_id": latest.lead_id,
        "model": latest.model,
        "model_version": latest.model_version,
        "as_of": iso_instant(latest.as_of_ms),
        "decided_at": iso_instant(latest.decided_at_ms),
        "revision": latest.revision,
        "score": latest.score,
        "engagement": latest.engagement,
        "fit": latest.fit,
        "grade": latest.grade,
        "band": latest.band,
        "disqualified": latest.disqualified,
        "thresholds": [
            {
                "threshold": place.threshold,
                "place": "IN" if place.is_in else "OUT",
                "entered_at": None if place.entered_ms is None else iso_instant(place.entered_ms),
            }
            for place in latest.thresholds
        ],
        "scores": {name: {"score": one.score, "engagement": one.engagement} for name, one in latest.scores.items()},
    }
