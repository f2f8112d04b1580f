"""What a shard says became of the awards of its log: applied, duplicate, rejected or replayed; each is one of them."""

from leadscore.events.event import Event
from leadscore.log.records import Frame, Source
from leadscore.model.compile import compile_model
from leadscore.model.definition import ModelDefinition, Rule
from leadscore.model.matching import Matcher
from leadscore.pipeline.score.shard import FoldCounts, Shard
from leadscore.scoring.context import FoldSettings
from leadscore.store.fence import Fence

MODEL = ModelDefinition(model="m", version=1, rules={"click": Rule(event="email.click", points=3)})
SOURCE = Source("leadscore.email", "", 0)


def counts_of(*records: tuple[Event, int]) -> FoldCounts:
    """What became of these events with their source offsets, one frame each."""
    model, matcher = compile_model(MODEL), Matcher(MODEL)
    shard = Shard(0, None, Fence("", -1, 0, 0, {}), lambda _: model, FoldSettings())
    shard.load(["L1"], [None])
    for log_offset, (event, source_offset) in enumerate(records):
        award = matcher.award(event, 0, source_offset)
        assert award is not None
        shard.fold(Frame(1, [SOURCE], [award]), log_offset, 1_000)
    return shard.take_counts()


def click(event_id: str, occurred_at_ms: int = 0) -> Event:
    return Event("email.click", event_id, "L1", occurred_at_ms, {})


def command(name: str, event_id: str, occurred_at_ms: int = 0, **fields: str) -> Event:
    return Event(f"command.{name}", event_id, "L1", occurred_at_ms, dict(fields))


def test_different_events_are_applied() -> None:
    assert counts_of((click("e1"), 0), (click("e2"), 1)) == FoldCounts(applied=2)


def test_an_event_that_was_sent_twice_is_a_duplicate() -> None:
    assert counts_of((click("e1"), 0), (click("e1"), 1)) == FoldCounts(applied=1, duplicates=1)


def test_a_record_that_was_read_twice_is_replayed_and_no_duplicate() -> None:
    assert counts_of((click("e1"), 0), (click("e1"), 0)) == FoldCounts(applied=1, replayed=1)


def test_an_event_that_was_retracted_before_it_came_is_rejected() -> None:
    retract = command("retract", "c1", target="e1")
    assert counts_of((retract, 0), (click("e1"), 1)) == FoldCounts(applied=1, rejected=1)
