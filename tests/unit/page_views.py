"""A log of page views, ten points each, and a score stage on it."""

from datetime import UTC, datetime

import msgspec

from leadscore.log.records import Frame, LogRecord, Source
from leadscore.model.compile import compile_model
from leadscore.model.definition import ModelDefinition
from leadscore.model.matching import Matcher
from tests.simulated import event_of
from tests.unit.fake_store import FakeStore
from tests.unit.stage_of_score import StageOfScore

DEFINITION = msgspec.convert(
    {
        "model": "m",
        "version": 1,
        "decay": "none",
        "rules": {"view": {"event": "website.page_view", "points": 10}},
        "thresholds": {"mql": {"enter": 35, "exit": 20}},
    },
    ModelDefinition,
)
NOON_MS = int(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp() * 1000)


def time_of(offset: int) -> int:
    return NOON_MS + offset


def view(number: int, lead_id: str = "L1") -> Frame:
    """A frame with one page view, the next of its source partition."""
    event = {"type": "website.page_view", "event_id": f"e{number}", "lead_id": lead_id, "occurred_at": NOON_MS}
    award = Matcher(DEFINITION).award(event_of(event), 0, number)
    assert award is not None
    return Frame(1, [Source("website", "", 0)], [award])


def stage_of(store: FakeStore, *shards: list[LogRecord], **settings: str) -> StageOfScore:
    return StageOfScore(store, dict(enumerate(shards)), compile_model(DEFINITION), time_of, **settings)
