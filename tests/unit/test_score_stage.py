"""The score stage on fakes: what it does when something goes wrong between two steps."""

import logging
from time import time

import msgspec
import pytest

from leadscore.errors import Unavailable, WorkerStopped
from leadscore.events.event import Event
from leadscore.log.records import Frame, LogRecord, Source, Tick
from leadscore.model.compile import compile_model
from leadscore.model.definition import ModelDefinition, Rule, Threshold
from leadscore.model.matching import Matcher
from leadscore.pipeline.kafka.deadline import DrainBudget
from leadscore.pipeline.kafka.records import Bounds, Partition
from leadscore.scoring.score import main_score_at
from leadscore.scoring.state import decode_state
from leadscore.store.fence import Fence
from leadscore.store.fence import decode as decode_fence
from leadscore.store.fence import encode as encode_fence
from tests.unit.fake_kafka import FakeConsumer
from tests.unit.fake_store import FakeShard, FakeStore
from tests.unit.page_views import DEFINITION, NOON_MS, stage_of, time_of, view
from tests.unit.stage_of_score import LOG_ID, LOG_TOPIC, StageOfScore


def stored_score(store: FakeStore, shard: int = 0, lead_id: str = "L1") -> float:
    return main_score_at(decode_state(store.shards[shard].leads[lead_id]), compile_model(DEFINITION), NOON_MS).value


def said(caplog: pytest.LogCaptureFixture, *fields: str) -> list[tuple[object, ...]]:
    """Event and the named fields of each line."""
    return [(line.getMessage(), *(getattr(line, name, None) for name in fields)) for line in caplog.records]


def without_state(shards: int, **settings: str) -> StageOfScore:
    """A stage on shards of which something was committed, and of which Redis holds nothing."""
    log: list[list[LogRecord]] = [[view(0)] for _ in range(shards)]
    scoring = stage_of(FakeStore(), *log, **settings)
    scoring.consumer.committed_offsets = {(LOG_TOPIC, number): 1 for number in range(shards)}
    scoring.now_s = 1_000_000.0
    return scoring


def test_shards_stopped_for_one_cause_are_one_line_and_again_only_after_ten_minutes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scoring = without_state(3)
    with caplog.at_level(logging.ERROR):
        for _ in range(1_000):
            scoring.turn(0.5)
        assert said(caplog, "cause", "partitions", "shards") == [
            ("log_partitions_stopped", "state_lost", "0-2", 3),
        ]
        for _ in range(300):
            scoring.turn(0.5)
        assert said(caplog, "partitions", "since") == [
            ("log_partitions_stopped", "0-2", None),
            ("log_partitions_stopped", "0-2", "1970-01-12T13:46:40.500Z"),
        ]


def test_shards_that_stop_for_other_causes_are_lines_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    scoring = without_state(3)
    scoring.consumer.records[LOG_TOPIC, 1] = []  # so that what is committed is beyond its end
    scoring.store.shards[1] = FakeShard(encode_fence(Fence(LOG_ID, 0, 1, 0, {})))
    with caplog.at_level(logging.ERROR):
        scoring.turns(3)
    assert said(caplog, "cause", "partitions") == [
        ("log_partitions_stopped", "ahead_of_log", "1"),
        ("log_partitions_stopped", "state_lost", "0, 2"),
    ]
    assert list(scoring.stage.stopped) == [0, 1, 2]


def test_one_line_says_that_stopped_shards_go_on(caplog: pytest.LogCaptureFixture) -> None:
    scoring = without_state(2)
    scoring.turns(3)
    scoring.store.shards = {number: FakeShard(encode_fence(Fence(LOG_ID, 0, 1, 0, {}))) for number in range(2)}
    caplog.clear()
    caplog.set_level(logging.INFO)
    scoring.turn(31)
    assert said(caplog, "partitions", "cause") == [
        ("shards_started", "0-1", None),
        ("log_partitions_no_longer_stopped", None, "state_lost"),
    ]
    assert scoring.stage.stopped == {}


@pytest.mark.parametrize("on_state_loss", ["halt", "rebuild"])
def test_a_lost_state_counts_once_per_shard_whatever_is_done_about_it(on_state_loss: str) -> None:
    scoring = without_state(3, LEADSCORE_ON_STATE_LOSS=on_state_loss)
    for _ in range(300):
        scoring.turn(0.5)
    assert scoring.metrics.registry.get_sample_value("leadscore_state_losses_total") == 3


def test_a_start_of_all_shards_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    log: list[list[LogRecord]] = [[view(0)] for _ in range(5)]
    scoring = stage_of(FakeStore(), *log)
    with caplog.at_level(logging.INFO):
        scoring.turns(3)
    assert said(caplog, "partitions", "shards", "found") == [("shards_started", "0-4", 5, "empty")]


def test_an_idle_worker_is_paused_until_redis_answers_again(caplog: pytest.LogCaptureFixture) -> None:
    store = FakeStore()
    scoring = stage_of(store, [view(0)])
    scoring.turns(3)
    for _ in range(4):
        store.fail_next("look_at_due", "connection")
        store.fail_next("check_server", "connection")
    caplog.clear()
    with caplog.at_level(logging.INFO):
        scoring.turn(10)  # looks at due leads
        assert scoring.is_paused
        scoring.turn(6)  # too early for the next look, but not to ask whether Redis answers
        assert scoring.is_paused
        for _ in range(20):
            scoring.turn(6)
    assert not scoring.is_paused
    assert said(caplog, "cause") == [("score_paused", "redis"), ("score_resumed", "redis")]


def test_an_eviction_policy_that_is_switched_pauses_the_stage() -> None:
    store = FakeStore()
    scoring = stage_of(store, [view(number) for number in range(3)], [view(0)])
    scoring.turns(3)
    store.eviction_policy = "allkeys-lru"
    scoring.turn(31)
    assert scoring.is_paused
    assert scoring.stage.outage is not None
    assert "maxmemory-policy: allkeys-lru: expected noeviction" in scoring.stage.outage.detail
    assert scoring.failures("eviction") == 1
    store.eviction_policy = "noeviction"
    scoring.turn(31)
    assert not scoring.is_paused


def test_an_eviction_policy_that_is_allowed_pauses_nothing_but_evicted_keys_are_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = FakeStore()
    scoring = stage_of(store, [view(0)], LEADSCORE_ALLOW_EVICTION="true")
    store.eviction_policy = "allkeys-lru"
    scoring.turn(31)
    caplog.clear()
    caplog.set_level(logging.INFO)
    for evicted_keys in (0, 796, 800, 800):
        store.evicted_keys = evicted_keys
        scoring.turn(31)
    assert not scoring.is_paused
    assert scoring.metrics.registry.get_sample_value("leadscore_store_evicted_keys") == 800
    assert said(caplog, "count") == [("redis_evicts_keys", None), ("redis_evicts_no_more", 2)]


def test_at_the_end_draining_and_giving_up_the_partitions_share_one_budget() -> None:
    scoring = stage_of(FakeStore(), [view(number) for number in range(5)], LEADSCORE_DRAIN_TIMEOUT="1s")
    scoring.producer.is_silent = True  # Kafka is away: nothing is ever answered
    for _ in range(3):
        scoring.turn()
    assert len(scoring.crossing_ids) == 1
    scoring.producer.poll_timeouts_s.clear()
    scoring.budget.begin_end()
    scoring.stage.drain()
    drained_s = sum(scoring.producer.poll_timeouts_s)
    scoring.stage.subscription.close()
    assert 0 < drained_s <= 1.0
    assert sum(scoring.producer.poll_timeouts_s) == drained_s
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


@pytest.mark.parametrize("is_stored", [True, False], ids=["stored", "not stored"])
def test_awards_count_once_where_the_answer_to_their_write_gets_lost(is_stored: bool) -> None:
    store = FakeStore()
    scoring = stage_of(store, [view(0), view(1)])
    scoring.turns(1)
    store.fail_next("write", "timeout", after=is_stored)
    for _ in range(4):
        scoring.turns(1)
        scoring.now_s += 30
    assert scoring.metrics.registry.get_sample_value("leadscore_awards_total", {"outcome": "applied"}) == 2
    assert latencies(scoring, "count") == 2


def test_what_became_of_the_awards_of_all_shards_of_a_write_is_counted() -> None:
    sent_twice = view(0)
    sent_twice.awards[0] = msgspec.structs.replace(sent_twice.awards[0], offset=1)
    logs: list[list[LogRecord]] = [[view(0), sent_twice, view(0)], [view(0, "L2"), view(1, "L2")]]
    scoring = stage_of(FakeStore(), *logs)
    scoring.turns(3)
    counted = {
        outcome: scoring.metrics.registry.get_sample_value("leadscore_awards_total", {"outcome": outcome})
        for outcome in ("applied", "duplicate", "skipped_replay", "rejected")
    }
    assert counted == {"applied": 3, "duplicate": 1, "skipped_replay": 1, "rejected": 0}
    assert latencies(scoring, "count") == 5


def test_frames_with_a_tick_between_them_are_applied_in_the_order_of_the_log() -> None:
    store = FakeStore()
    scoring = stage_of(store, [view(0), Tick(NOON_MS, ["L1"]), view(1)])
    scoring.turns(3)
    fence = store.shards[0].fence
    assert fence is not None
    assert decode_fence(fence).offset == 2
    assert (stored_score(store), scoring.committed_offset(0)) == (20, 3)


def test_a_replay_after_a_loss_is_no_latency() -> None:
    scoring = stage_of(FakeStore(), [view(0), view(1), view(2)], LEADSCORE_ON_STATE_LOSS="rebuild")
    scoring.consumer.committed_offsets = {(LOG_TOPIC, 0): 2}
    scoring.turns(3)
    assert (stored_score(scoring.store), latencies(scoring, "count")) == (30, 1)


SOLD = ModelDefinition(
    model="m",
    version=3,
    rules={
        "view": Rule(event="website.page_view", points=10),
        "deal": Rule(event="deal.won", points=0, outcome="won"),
    },
    thresholds={"mql": Threshold(enter=10, exit=5)},
)


def sold(number: int, lead_id: str) -> Frame:
    award = Matcher(SOLD).award(Event("deal.won", f"w{number}", lead_id, NOON_MS, {}), 0, number)
    assert award is not None
    return Frame(SOLD.version, [Source("website", "", 0)], [award])


def outcomes(scoring: StageOfScore) -> dict[str, float]:
    """Counted as won, by threshold."""
    labels = {"outcome": "won", "rule": "deal", "version": "3"}
    counted = {
        threshold: scoring.metrics.registry.get_sample_value(
            "leadscore_outcomes_total", {"threshold": threshold} | labels
        )
        for threshold in ("mql", "")
    }
    return {threshold: number for threshold, number in counted.items() if number}


def test_what_sales_says_is_counted_by_threshold() -> None:
    log: list[LogRecord] = [view(0), sold(1, "L1"), sold(2, "L1"), sold(3, "L2")]
    scoring = StageOfScore(FakeStore(), {0: log}, compile_model(SOLD), time_of)
    scoring.turns(3)
    assert outcomes(scoring) == {"mql": 1, "": 1}


@pytest.mark.parametrize(("committed", "counted"), [(1, {"mql": 1, "": 1}), (2, {"": 1}), (3, {})])
def test_a_replay_after_a_loss_counts_no_outcome_again(committed: int, counted: dict[str, float]) -> None:
    """Redis lost everything: the log is folded from its beginning; what lies below the committed offset was counted."""
    log: list[LogRecord] = [view(0), sold(1, "L1"), sold(2, "L2")]
    scoring = StageOfScore(FakeStore(), {0: log}, compile_model(SOLD), time_of, LEADSCORE_ON_STATE_LOSS="rebuild")
    scoring.consumer.committed_offsets = {(LOG_TOPIC, 0): committed}
    scoring.turns(3)
    assert stored_score(scoring.store) == 10
    assert outcomes(scoring) == counted


SMALL_BATCHES = {"LEADSCORE_SCORE_BATCH_FRAMES": "2"}


def test_a_full_poll_says_that_there_may_be_more() -> None:
    scoring = stage_of(FakeStore(), [view(number) for number in range(3)], **SMALL_BATCHES)
    full = []
    for _ in range(4):
        scoring.turn()
        full.append(scoring.stage.has_more)
    assert full.count(True) == 1


def test_of_what_is_logged_comes_back_what_goes_to_shards_of_this_process() -> None:
    scoring = stage_of(FakeStore(), [view(0)], [view(0, "L2")])
    scoring.turns(2)
    assert scoring.stage.coming_back([0, 1, 1, 7]) == 3


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


def test_a_question_to_kafka_that_fails_is_counted_under_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_consumer: FakeConsumer, _partitions: object) -> dict[Partition, Bounds]:
        raise Unavailable("kafka", "coordinator", "asking for bounds")

    monkeypatch.setattr(FakeConsumer, "bounds", fail)
    scoring = without_state(1)
    scoring.turns(3)
    labels = {"kind": "coordinator"}
    assert (scoring.metrics.registry.get_sample_value("leadscore_kafka_errors_total", labels) or 0) > 0
    assert scoring.is_paused
