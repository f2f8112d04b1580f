"""What a shard publishes of an erasure, and in which order; and that a tick may come late."""

from leadscore.events.event import Event
from leadscore.log.records import Forward, Frame, LogRecord, Source, Tick
from leadscore.model.compile import compile_model
from leadscore.model.definition import ModelDefinition, Rule, Threshold
from leadscore.model.matching import Matcher
from leadscore.pipeline.score.outbox import decode_outputs
from leadscore.pipeline.score.publishing import Published, avro_encoding, output_record
from leadscore.pipeline.score.shard import Shard
from leadscore.scoring.context import FoldSettings
from leadscore.scoring.crossing import Crossing
from leadscore.scoring.outputs import ErasedLead
from leadscore.store.fence import Fence

MODEL = ModelDefinition(
    model="m",
    version=1,
    rules={"asked": Rule(event="website.contact_requested", points=60)},
    thresholds={"mql": Threshold(enter=50, exit=40)},
)
SOURCE = Source("leadscore.website", "", 0)
ENTER = "ENTER"
ERASED = "erased"


def asked(event_id: str, occurred_at_ms: int) -> Event:
    return Event("website.contact_requested", event_id, "L1", occurred_at_ms, {})


def erase(command_id: str, occurred_at_ms: int) -> Event:
    return Event("command.erase", command_id, "L1", occurred_at_ms, {})


def fresh_shard() -> Shard:
    model = compile_model(MODEL)
    shard = Shard(0, None, Fence("", -1, 0, 0, {}), lambda _: model, FoldSettings())
    shard.load(["L1"], [None])
    return shard


def frame(*events: Event, first_offset: int = 0) -> Frame:
    matcher = Matcher(MODEL)
    awards = [matcher.award(event, 0, first_offset + index) for index, event in enumerate(events)]
    return Frame(1, [SOURCE], [award for award in awards if award is not None])


def folded(*records: LogRecord) -> list[Published]:
    shard = fresh_shard()
    outputs = [output for offset, record in enumerate(records) for output in shard.fold(record, offset, 5_000)]
    return [output for output in outputs if not isinstance(output, Forward)]


def told(outputs: list[Published]) -> list[str]:
    return [ERASED if isinstance(output, ErasedLead) else output.direction.value for output in outputs]


def test_a_tombstone_stands_between_the_crossings_of_the_old_lead_and_those_of_the_new() -> None:
    outputs = folded(frame(asked("e1", 1_000), erase("c1", 2_000), asked("e2", 3_000)))
    assert told(outputs) == [ENTER, ERASED, ENTER]


def test_an_erase_that_comes_twice_gives_one_tombstone() -> None:
    once, again = erase("c1", 2_000), frame(erase("c1", 2_000), first_offset=9)
    assert told(folded(frame(asked("e1", 1_000), once, asked("e2", 3_000)), again)) == [ENTER, ERASED, ENTER]


def test_a_second_erasure_of_the_new_lead_gives_a_tombstone_of_its_own() -> None:
    outputs = folded(frame(erase("c1", 2_000), asked("e2", 3_000), erase("c2", 4_000)))
    assert told(outputs) == [ERASED, ENTER, ERASED]
    first, _, second = (dict(output_record(output, avro_encoding(None)).headers) for output in outputs)
    assert first["ce_id"] != second["ce_id"]


def test_a_tombstone_has_the_key_of_the_lead_no_value_and_says_what_it_is() -> None:
    [erased] = folded(frame(erase("c1", 2_000)))
    record = output_record(erased, avro_encoding(None))
    assert (record.key, record.value) == (b"L1", None)
    headers = dict(record.headers)
    assert headers["ce_type"] == "leadscore.lead.erased"
    assert headers["ce_time"] == "1970-01-01T00:00:02.000Z"


def test_the_outbox_keeps_crossings_and_erasures_in_the_order_decided() -> None:
    shard = fresh_shard()
    outputs = shard.fold(frame(asked("e1", 1_000), erase("c1", 2_000)), 7, 5_000)
    assert decode_outputs(shard.pending(0).outbox[7]) == outputs
    assert [type(output) for output in outputs] == [Crossing, ErasedLead]


def test_an_outbox_whose_entries_are_all_published_is_reported_until_they_are_dropped() -> None:
    shard = fresh_shard()
    shard.fold(frame(asked("e1", 1_000)), 7, 5_000)
    shard.written(shard.pending(0))
    assert not shard.has_published(7)
    assert shard.has_published(8)
    write = shard.pending(8)
    assert (write.expected, write.outbox_drop) == (write.fence, [7])
    shard.written(write)
    assert not shard.has_published(8)


def test_a_tick_older_than_the_latest_record_of_the_lead_changes_nothing() -> None:
    outputs = folded(frame(asked("e1", 4_000)), Tick(3_000, ["L1"]))
    assert told(outputs) == [ENTER]
