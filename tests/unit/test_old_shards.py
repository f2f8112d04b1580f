"""Shards that the old version left behind: fence, outbox, erasures, and the log that it wrote."""

from base64 import b64decode
from typing import Any

import msgspec
import pytest

from leadscore.errors import PartitionStopped
from leadscore.log.records import decode
from leadscore.model.compile import compile_model
from leadscore.model.definition import ModelDefinition
from leadscore.pipeline.score.outbox import decode_outputs
from leadscore.pipeline.score.publishing import (
    CrossingEncoding,
    RegisteredSchema,
    avro_encoding,
    json_encoding,
    output_record,
)
from leadscore.pipeline.score.shard import Shard, leads_of, source_key
from leadscore.scoring.context import FoldContext, FoldSettings
from leadscore.scoring.crossing import Crossing
from leadscore.scoring.outputs import ErasedLead
from leadscore.scoring.simulation import score_line
from leadscore.scoring.state import decode_state
from leadscore.store import fence as fences
from leadscore.store.fence import Fence
from tests.old_version.fixture import bytes_of, fixture, lives
from tests.old_version.lives import END_MS, Plain

JSON = json_encoding()
OF_TODAY = RegisteredSchema(9, "http://registry/schemas/ids/9")
OF_BEFORE = RegisteredSchema(7, "http://registry/schemas/ids/7")
SHARDS = range(len(fixture()["shards"]))
EVERY_SHARD = pytest.mark.parametrize("number", SHARDS)


def shard_of(number: int) -> Plain:
    shard: Plain = fixture()["shards"][number]
    return shard


def stored_fence(number: int) -> bytes:
    return b64decode(shard_of(number)["fence"])


def goes_on(number: int) -> Shard:
    """The shard in this version's hands, all leads read."""
    life, stored = lives()[number], shard_of(number)
    model = compile_model(msgspec.convert(life.model, ModelDefinition))
    data = stored_fence(number)
    settings = FoldSettings(recent_events=life.recent_events)
    shard = Shard(0, data, fences.decode(data), lambda _: model, settings)
    erased = {b64decode(hashed): b64decode(entry) for hashed, entry in stored["erased"].items()}
    shard.remember(erased, map(int, stored["outbox"]))
    leads = {lead_id: bytes_of(text) for lead_id, text in stored["leads"].items()}
    shard.load(list(leads), list(leads.values()))
    return shard


@EVERY_SHARD
def test_an_old_fence_says_how_far_the_shard_is_and_what_it_has_seen_of_each_source(number: int) -> None:
    data, last = stored_fence(number), len(shard_of(number)["log"]) - 1
    assert data[0] == 1
    fence = fences.decode(data)
    assert (fence.log_topic_id, fence.offset, fence.model_version, fence.writer) == ("log-id", last, 1, "writer")
    assert list(fence.sources) == ["website/topic-id/2"]


@EVERY_SHARD
def test_the_log_that_the_old_version_wrote_is_a_replay_for_its_shard(number: int) -> None:
    """A matcher that ended before its commit logs the same records again, in whichever format."""
    shard = goes_on(number)
    for offset, (log_time_ms, text) in enumerate(shard_of(number)["log"], start=shard.offset + 1):
        assert shard.fold(decode(b64decode(text)), offset, log_time_ms) == []
    counts = shard.take_counts()
    assert counts.replayed > 0
    assert counts.applied == counts.duplicates == counts.rejected == 0


@EVERY_SHARD
def test_the_old_log_folded_anew_gives_the_old_scores_and_the_old_ids(number: int) -> None:
    """As after the loss of all of Redis; ``rebuild`` reads the log from its beginning."""
    life, stored = lives()[number], shard_of(number)
    model = compile_model(msgspec.convert(life.model, ModelDefinition))
    settings = FoldSettings(recent_events=life.recent_events)
    shard = Shard(0, None, Fence("log-id", -1, 0, 0, {}), lambda _: model, settings)
    folded: list[Any] = []
    for offset, (log_time_ms, text) in enumerate(stored["log"]):
        record = decode(b64decode(text))
        shard.load(leads := shard.unknown_leads(leads_of(record)), [None] * len(leads))
        folded += shard.fold(record, offset, log_time_ms)
    assert [ce_id(as_plain(output, JSON)) for output in folded] == [ce_id(row[2]) for row in published(number)]
    context = FoldContext(model, None, lambda _: model, END_MS, settings)
    for lead_id, lead in shard.pending(0).leads.items():
        old = bytes_of(stored["leads"][lead_id])
        assert (lead.state is None) == (old is None)
        if lead.state is not None and old is not None:
            anew, before = (score_line(lead_id, decode_state(data), context, END_MS) for data in (lead.state, old))
            assert anew.score == pytest.approx(before.score, abs=1e-9)


@EVERY_SHARD
def test_the_next_write_expects_the_old_fence_and_writes_formats_of_today(number: int) -> None:
    shard = goes_on(number)
    write = shard.pending(0)
    assert write.expected == stored_fence(number)
    assert write.fence[0] == fences.FORMAT == 2


def test_an_old_fence_that_is_cut_off_stops_the_partition() -> None:
    with pytest.raises(PartitionStopped, match="the stored fence cannot be read"):
        fences.decode(stored_fence(0)[:-1])


# --- what is in the outbox ------------------------------------------------------------------------------------------


def published(number: int) -> list[list[Any]]:
    """Log offset, the record as Avro, as JSON, and as Avro with a registry."""
    return list(shard_of(number)["published"])


def outputs(number: int) -> list[Any]:
    entries = sorted((int(offset), b64decode(text)) for offset, text in shard_of(number)["outbox"].items())
    return [(offset, output) for offset, data in entries for output in decode_outputs(data)]


def ce_id(record: Plain) -> str:
    return str(dict(record["headers"])["ce_id"])


def as_plain(output: Any, encoding: CrossingEncoding) -> Plain:
    record = output_record(output, encoding)
    headers = [list(header) for header in record.headers or []]
    return {
        "key": (record.key or b"").decode(),
        "value": record.value,
        "headers": headers,
        "timestamp_ms": record.timestamp_ms,
    }


def test_the_fixture_has_crossings_and_an_erasure_that_are_not_published_yet() -> None:
    kinds = [type(output) for number in SHARDS for _, output in outputs(number)]
    assert kinds.count(Crossing) > 5
    assert ErasedLead in kinds


@pytest.mark.parametrize(
    ("encoding", "column"),
    [(avro_encoding(None), 1), (JSON, 2), (avro_encoding(OF_TODAY, OF_BEFORE), 3)],
    ids=["avro", "json", "registry"],
)
def test_an_old_outbox_is_published_byte_for_byte_as_the_old_version_would_have(
    encoding: CrossingEncoding, column: int
) -> None:
    for number in SHARDS:
        made = [(offset, as_plain(output, encoding)) for offset, output in outputs(number)]
        expected = [(row[0], row[column] | {"value": bytes_of(row[column]["value"])}) for row in published(number)]
        assert made == expected


def test_an_old_crossing_says_the_same_under_the_schema_of_today_where_the_old_one_may_not_be_read() -> None:
    crossing = next(output for number in SHARDS for _, output in outputs(number) if isinstance(output, Crossing))
    record = output_record(crossing, avro_encoding(OF_TODAY))
    assert record.value is not None
    assert record.value.startswith(b"\0\0\0\0\x09")
    assert dict(record.headers or [])["ce_id"] == crossing.id


def test_the_name_of_a_source_partition_is_the_one_in_old_fences() -> None:
    record = decode(b64decode(shard_of(0)["log"][0][1]))
    assert [source_key(source) for source in record.sources] == list(fences.decode(stored_fence(0)).sources)  # type: ignore[union-attr]
