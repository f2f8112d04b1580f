"""Merges in the worker: what goes on from an alias to its lead goes by the log, and counts once whatever crashes."""

from itertools import count

import msgspec

from leadscore.log.records import (
    MAX_FRAME_BYTES,
    Award,
    Forward,
    Forwards,
    Frame,
    LogRecord,
    Source,
    decode,
    encode,
    partition_of,
    position_of,
)
from leadscore.model.compile import compile_model
from leadscore.model.definition import ModelDefinition
from leadscore.model.matching import Matcher
from leadscore.pipeline.score.forwarding import forwards_records
from leadscore.pipeline.score.lifetimes import ttl_ms
from leadscore.pipeline.score.outbox import decode_outputs, encode_outputs
from leadscore.scoring.score import main_score_at
from leadscore.scoring.state import LATE_WORKER_MS, Alias, LeadState, decode_state
from tests.simulated import event_of
from tests.unit.fake_kafka import FakeMessage
from tests.unit.fake_store import FakeStore
from tests.unit.page_views import DEFINITION, NOON_MS, stage_of, time_of
from tests.unit.stage_of_score import LOG_TOPIC, StageOfScore

SHARDS = 2
MODEL = compile_model(DEFINITION)
VISITOR = next(name for name in map("visitor-{}".format, count()) if partition_of(name, SHARDS) == 0)
CONTACT = next(name for name in map("contact-{}".format, count()) if partition_of(name, SHARDS) == 1)


def frame(*events: tuple[str, str]) -> Frame:
    """Frame of the events, lead and id each: a merge into the contact where the id begins with an m."""
    awards = []
    for event_id, lead_id in events:
        event = {"type": "website.page_view", "event_id": event_id, "lead_id": lead_id, "occurred_at": NOON_MS}
        if event_id.startswith("m"):
            event |= {"type": "command.merge", "into": CONTACT}
        award = Matcher(DEFINITION).award(event_of(event), 0, int(event_id[1:]))
        assert award is not None
        awards.append(award)
    return Frame(1, [Source("website", "", 0)], awards)


class Logs:
    """The log of two partitions, and the worker that lasts between two crashes."""

    def __init__(self, *of_visitor: LogRecord) -> None:
        self.store = FakeStore()
        self.records: dict[int, list[bytes]] = {0: [encode(record) for record in of_visitor], 1: []}
        self.committed: dict[tuple[str, int], int] = {}
        self.worker = self.another_worker()

    def another_worker(self) -> StageOfScore:
        """A worker that finds what is stored, logged and committed."""
        logged = [[decode(value) for value in self.records[number]] for number in range(SHARDS)]
        self.worker = stage_of(self.store, *logged)
        self.worker.consumer.committed_offsets = dict(self.committed)
        self.worker.now_s = 1_000_000.0
        return self.worker

    def turns(self, number: int = 3) -> None:
        """Let the worker work; what it commits is committed."""
        self.worker.turns(number)
        self.committed = dict(self.worker.consumer.committed_offsets)

    def sent(self) -> list[tuple[int, bytes]]:
        """What the worker has produced to the log."""
        sent = [one for one in self.worker.producer.sent if one.topic == LOG_TOPIC]
        return [(one.options["partition"], one.value or b"") for one in sent]

    def deliver(self) -> None:
        """What the worker has produced is in the log from now on."""
        for number, value in self.sent():
            self.records[number].append(value)
            records = self.worker.consumer.records[LOG_TOPIC, number]
            offset = len(records)
            self.worker.consumer.records[LOG_TOPIC, number] = [
                *records,
                FakeMessage((LOG_TOPIC, number, offset), value, time_of(offset)),
            ]
        self.worker.producer.sent.clear()

    def score(self, lead_id: str) -> float | None:
        """The stored score; ``None`` where nothing is stored."""
        stored = self.store.shards[partition_of(lead_id, SHARDS)].leads.get(lead_id)
        return None if stored is None else main_score_at(decode_state(stored), MODEL, NOON_MS).value


def test_events_before_and_after_a_merge_count_for_the_lead_that_remains() -> None:
    logs = Logs(frame(("e0", VISITOR), ("m1", VISITOR)), frame(("e2", VISITOR), ("e3", VISITOR)))
    logs.turns()
    assert [number for number, _ in logs.sent()] == [1]  # all of one batch for one partition in one record
    logs.deliver()
    logs.turns()
    assert logs.score(CONTACT) == 30
    assert logs.score(VISITOR) == 0
    assert counted(logs, "leadscore_merges_total") == 1
    assert counted(logs, "leadscore_awards_total", outcome="forwarded") == 3  # the merge, too
    assert counted(logs, "leadscore_awards_total", outcome="applied") == 4
    assert counted(logs, "leadscore_forwards_published_total", kind="absorb") == 1
    assert counted(logs, "leadscore_forwards_published_total", kind="award") == 2


def test_a_merge_that_comes_again_forwards_nothing() -> None:
    logs = Logs(frame(("m1", VISITOR)), frame(("m2", VISITOR), ("m3", VISITOR)))
    logs.turns()
    [(_, value)] = logs.sent()
    record = decode(value)
    assert isinstance(record, Forwards)
    assert len(record.forwards) == 1
    assert counted(logs, "leadscore_awards_total", outcome="duplicate") == 2


def test_what_was_written_and_not_published_is_forwarded_by_the_next_worker() -> None:
    logs = Logs(frame(("e0", VISITOR), ("m1", VISITOR), ("e2", VISITOR)))
    logs.worker.producer.is_silent = True
    logs.turns()
    assert logs.committed == {}
    first = logs.sent()
    logs.another_worker()
    logs.turns()
    assert logs.sent() == first
    logs.deliver()
    logs.turns()
    assert logs.score(CONTACT) == 20


def test_what_is_forwarded_twice_counts_once() -> None:
    logs = Logs(frame(("e0", VISITOR), ("m1", VISITOR), ("e2", VISITOR)))
    logs.worker.producer.is_silent = True  # Kafka has it, and the worker never learns so
    logs.turns()
    logs.deliver()
    logs.another_worker()
    logs.turns()
    logs.deliver()
    logs.turns()
    assert logs.score(CONTACT) == 20
    assert len(logs.records[1]) == 2
    assert counted(logs, "leadscore_awards_total", outcome="skipped_replay") == 2


def test_what_is_committed_is_not_forwarded_again_after_all_state_is_lost() -> None:
    logs = Logs(frame(("e0", VISITOR), ("m1", VISITOR), ("e2", VISITOR)))
    logs.turns()
    logs.deliver()
    logs.turns()
    assert logs.committed == {(LOG_TOPIC, 0): 1, (LOG_TOPIC, 1): 1}
    logs.store = FakeStore()
    logged = [[decode(value) for value in logs.records[number]] for number in range(SHARDS)]
    logs.worker = stage_of(logs.store, *logged, LEADSCORE_ON_STATE_LOSS="rebuild")
    logs.worker.consumer.committed_offsets = dict(logs.committed)
    logs.worker.now_s = 2_000_000.0
    logs.turns(6)
    assert logs.sent() == []
    assert logs.score(CONTACT) == 20


def test_an_alias_is_kept_as_long_as_it_is_remembered_whatever_conditions_say_of_a_lead_without_events() -> None:
    rules = {"view": {"event": "website.page_view", "points": 1}}
    silent = {"not": {"count": {"rules": ["view"], "at_least": 1, "within": "7d"}}}
    parts = {
        "model": "m",
        "version": 1,
        "rules": rules,
        "conditions": {"mute": {"when": silent, "disqualifies": "mute"}},
    }
    model = compile_model(msgspec.convert(parts, ModelDefinition))
    alias = LeadState(1, NOON_MS, alias=Alias(CONTACT, position_of(0, 0)))
    assert ttl_ms(LeadState(1, NOON_MS), model) is None
    assert ttl_ms(alias, model) == int(model.forget_after_ms) + LATE_WORKER_MS


def test_an_erase_under_an_alias_leaves_nothing_of_either_id() -> None:
    logs = Logs(frame(("e0", VISITOR), ("m1", VISITOR)), erase_of(VISITOR))
    for _ in range(3):
        logs.turns()
        logs.deliver()
    logs.turns()
    assert logs.score(CONTACT) is None
    assert logs.score(VISITOR) is None
    for shard in logs.store.shards.values():
        assert len(shard.erased) == 1


def test_forwards_are_as_many_records_as_their_limits_ask_for() -> None:
    award = Award(0, 0, CONTACT, "e" * 300, "website.page_view", NOON_MS)
    forwards = [Forward(position_of(7, index), [], "website", award) for index in range(2_500)]
    records = list(forwards_records(forwards, Source(LOG_TOPIC, "log-1", 0), 1, SHARDS))
    assert [one for record in records for one in record.forwards] == forwards
    assert all(len(record.record.value or b"") <= MAX_FRAME_BYTES for record in records)
    assert len(records) == 4
    assert {record.record.partition for record in records} == {1}


def test_an_outbox_entry_gives_back_forwards_in_their_place() -> None:
    award = Award(0, 0, CONTACT, "e1", "website.page_view", NOON_MS)
    forward = Forward(position_of(7, 0), [], "website", award)
    assert decode_outputs(encode_outputs([forward, forward])) == [forward, forward]


def erase_of(lead_id: str) -> Frame:
    """Frame of an erase of all that occurred until a second after noon."""
    event = {"type": "command.erase", "event_id": "x9", "lead_id": lead_id, "occurred_at": NOON_MS + 1_000}
    award = Matcher(DEFINITION).award(event_of(event), 0, 9)
    assert award is not None
    return Frame(1, [Source("website", "", 0)], [award])


def counted(logs: Logs, name: str, **labels: str) -> float | None:
    """A counter of the present worker."""
    return logs.worker.metrics.registry.get_sample_value(name, labels)
