"""The score stage on fakes: what it does when something goes wrong between two steps."""

import logging
from datetime import UTC, datetime
from time import time

import msgspec
import pytest

from leadscore.errors import WorkerStopped
from leadscore.log.records import Frame, LogRecord, Source
from leadscore.model.compile import compile_model
from leadscore.model.definition import ModelDefinition
from leadscore.model.matching import Matcher
from leadscore.pipeline.kafka.deadline import DrainBudget
from leadscore.scoring.score import score_at
from leadscore.scoring.state import decode_state
from tests.simulated import event_of
from tests.unit.fake_store import FakeStore
from tests.unit.stage_of_score import LOG_TOPIC, StageOfScore

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


def stored_score(store: FakeStore, shard: int = 0, lead_id: str = "L1") -> float:
    return score_at(decode_state(store.shards[shard].leads[lead_id]), compile_model(DEFINITION), NOON_MS).value


def test_a_stopped_shard_says_so_once_and_again_only_after_half_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    scoring = stage_of(FakeStore(), [view(0)], [view(0)])
    scoring.consumer.committed_offsets = {(LOG_TOPIC, 0): 1, (LOG_TOPIC, 1): 1}  # and no fence: all is lost
    scoring.now_s = 1_000_000.0
    with caplog.at_level(logging.ERROR):
        for _ in range(58):
            scoring.turn(0.5)
        assert [record.getMessage() for record in caplog.records] == ["log_partition_stopped"] * 2
        for _ in range(4):
            scoring.turn(0.5)
        assert [record.getMessage() for record in caplog.records] == ["log_partition_stopped"] * 4


def test_at_the_end_draining_and_giving_up_the_partitions_share_one_budget() -> None:
    scoring = stage_of(FakeStore(), [view(number) for number in range(5)], LEADSCORE_DRAIN_TIMEOUT="1s")
    scoring.producer.is_silent = True  # Kafka is away: every flush takes all the time it has
    for _ in range(3):
        scoring.turn()
    assert len(scoring.crossing_ids) == 1
    scoring.producer.flush_timeouts_s.clear()
    scoring.budget.begin_end()
    scoring.stage.drain()
    scoring.stage.subscription.close()
    *drained_s, given_up_s = scoring.producer.flush_timeouts_s
    assert 0 < sum(drained_s) <= 1.0
    assert given_up_s == 0
    assert scoring.committed_offset(0) is None


def test_each_time_partitions_are_given_up_there_is_a_whole_budget() -> None:
    budget = DrainBudget(5.0)
    assert min(budget.deadline().left_s, budget.deadline().left_s) > 4
    budget.begin_end()
    assert budget.deadline() is budget.deadline()


def test_crossings_that_were_not_all_handed_over_are_never_committed_as_published() -> None:
    scoring = stage_of(FakeStore(), [view(number) for number in range(5)])
    scoring.producer.too_large_bytes = 10
    with pytest.raises(WorkerStopped):
        scoring.turns(5)
    scoring.stage.subscription.close()
    assert scoring.committed_offset(0) is None


def latencies(scoring: StageOfScore, part: str) -> float:
    return scoring.metrics.registry.get_sample_value(f"leadscore_event_to_decision_seconds_{part}") or 0.0


def test_an_event_dated_ahead_counts_as_decided_at_once() -> None:
    ahead = view(0)
    [award] = ahead.awards
    ahead.awards[0] = msgspec.structs.replace(award, occurred_at_ms=int(time() * 1000) + 250_000)
    scoring = stage_of(FakeStore(), [ahead])
    scoring.turns(3)
    assert (latencies(scoring, "count"), latencies(scoring, "sum")) == (1, 0)


def test_a_replay_after_a_loss_is_no_latency() -> None:
    scoring = stage_of(FakeStore(), [view(0), view(1), view(2)], LEADSCORE_ON_STATE_LOSS="rebuild")
    scoring.consumer.committed_offsets = {(LOG_TOPIC, 0): 2}
    scoring.turns(3)
    assert (stored_score(scoring.store), latencies(scoring, "count")) == (30, 1)


SMALL_BATCHES = {"LEADSCORE_SCORE_BATCH_FRAMES": "2"}


def test_records_of_a_shard_that_is_lost_within_the_same_poll_are_left_alone() -> None:
    store = FakeStore()
    scoring = stage_of(store, [view(number) for number in range(6)], [view(0, "L2")], **SMALL_BATCHES)
    scoring.turns(2)
    before = store.snapshot()[0]
    scoring.consumer.lose((LOG_TOPIC, 0))
    scoring.turns(3)
    assert store.shards[0] == before
    assert stored_score(store, 1, "L2") == 10


def test_records_of_a_shard_that_is_given_back_within_the_same_poll_wait_for_where_it_goes_on() -> None:
    store = FakeStore()
    scoring = stage_of(store, [view(number) for number in range(6)], **SMALL_BATCHES)
    scoring.turns(2)
    old = store.snapshot()
    scoring.turn()
    store.go_back_to(old)  # acknowledged writes are lost, and at the same time the group rebalances
    scoring.consumer.lose((LOG_TOPIC, 0))
    scoring.consumer.give((LOG_TOPIC, 0))
    scoring.turns(5)
    assert stored_score(store) == 60


def test_a_log_record_of_another_format_stops_its_shard_and_no_other() -> None:
    store = FakeStore()
    scoring = stage_of(store, [view(0), view(1), view(2)], [view(0, "L2")], **SMALL_BATCHES)
    scoring.consumer.records[LOG_TOPIC, 0][2].content = b"\x63 of a later version"
    scoring.turns(5)
    assert stored_score(store) == 20
    assert stored_score(store, 1, "L2") == 10
    assert (scoring.committed_offset(0), scoring.committed_offset(1)) == (2, 1)
    assert "log partition 0, offset 2" in scoring.stage.stopped[0]


def test_a_state_of_another_format_stops_its_shard_and_no_other() -> None:
    store = FakeStore()
    stage_of(store, [view(0)], [view(0, "L2")]).turns(3)
    store.shards[0].leads["L1"] = b"\x63 of a later version"
    scoring = stage_of(store, [view(0), view(1)], [view(0, "L2"), view(1, "L2")])
    scoring.turns(5)
    assert store.shards[0].leads["L1"] == b"\x63 of a later version"
    assert stored_score(store, 1, "L2") == 20
    assert list(scoring.stage.stopped) == [0]
