"""A fake store as the score stage leaves it: events matched and folded, then written shard by shard."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from leadscore.events.event import Event, FieldValue
from leadscore.log.records import Forward, Frame, LogRecord, Source, decode, partition_of
from leadscore.model.compile import compile_model
from leadscore.model.load import load_model
from leadscore.model.matching import Matcher
from leadscore.pipeline.score.forwarding import forwards_records
from leadscore.pipeline.score.shard import Shard, leads_of
from leadscore.scoring.context import FoldSettings
from leadscore.store.fence import Fence
from tests.unit.fake_store import FakeStore

SHARDS = 4
NOON_MS = 1_767_614_400_000
"""2026-01-05T12:00:00Z, a Monday."""


def page(event_id: str, lead_id: str, at_ms: int, event_type: str = "website.page_view", **fields: FieldValue) -> Event:
    """An event of a lead; the fields are what rules test."""
    return Event(event_type, event_id, lead_id, at_ms, fields)


def _fold(shards: Mapping[int, Shard], number: int, record: LogRecord, time_ms: int) -> None:
    shard = shards[number]
    unknown = shard.unknown_leads(leads_of(record))
    shard.load(unknown, [None] * len(unknown))
    outputs = shard.fold(record, shard.offset + 1, time_ms)
    forwards = [output for output in outputs if isinstance(output, Forward)]
    for to in forwards_records(forwards, shard.source("log"), shard.model_version, SHARDS):
        assert to.record.partition is not None
        _fold(shards, to.record.partition, decode(to.record.value or b""), time_ms)


def stored(model: Path, events: Iterable[Event]) -> FakeStore:
    """The store after the events, in their order, each in a frame of its own, and after what they forward."""
    definition = load_model(model).definition
    matcher, compiled = Matcher(definition), compile_model(definition)
    store = FakeStore()
    shards = {
        number: Shard(number, None, Fence("log", -1, 0, 0, {}), lambda _: compiled, FoldSettings())
        for number in range(SHARDS)
    }
    for offset, event in enumerate(events):
        award = matcher.award(event, 0, offset)
        assert award is not None
        shard = shards[partition_of(event.lead_id, SHARDS)]
        frame = Frame(definition.version, [Source("website", "", 0)], [award])
        _fold(shards, shard.number, frame, event.occurred_at_ms)
    store.write([shard.pending(0) for shard in shards.values() if shard.offset >= 0])
    store.journal.clear()
    return store
