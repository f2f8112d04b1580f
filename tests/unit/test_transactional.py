"""The score stage in transactional mode, on fakes: crossings and offsets are committed together, each crossing once."""

import pytest
from confluent_kafka import KafkaError, TopicPartition

from leadscore.errors import WorkerStopped
from leadscore.log.records import LogRecord
from leadscore.ops.config import load_config
from leadscore.pipeline.build_outputs import transactional_id
from leadscore.pipeline.kafka.records import Bounds
from leadscore.pipeline.score import uncommitted
from tests.unit.fake_kafka import FakeMessage
from tests.unit.fake_store import FakeStore
from tests.unit.page_views import stage_of, view
from tests.unit.stage_of_score import LOG_TOPIC, StageOfScore

MODE = {"LEADSCORE_DELIVERY": "transactional"}
TIMED_OUT = KafkaError(KafkaError._TIMED_OUT, retriable=True)
NOT_A_MEMBER = KafkaError(KafkaError.UNKNOWN_MEMBER_ID, txn_requires_abort=True)
FENCED = KafkaError(KafkaError._FENCED, fatal=True)
ENTERS = 4
"""Views with which a lead enters."""


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncommitted, "AGAIN_AFTER_S", 0.0)


def stage(store: FakeStore, *shards: list[LogRecord], **settings: str) -> StageOfScore:
    scoring = stage_of(store, *shards, **MODE, **settings)
    scoring.consumer.commit_failure = KafkaError(KafkaError._FATAL, "a plain commit", fatal=True)
    return scoring


def views(number: int, leads: int = 1, first: int = 0) -> list[LogRecord]:
    return [view(index, f"L{index % leads}") for index in range(first, first + number)]


def seen(scoring: StageOfScore) -> list[str]:
    """The leads of what a reader of committed records has seen, in this order."""
    return [(key or b"").decode() for key, _ in scoring.transactions.topic]


def kafka_errors(scoring: StageOfScore) -> float:
    [metric] = [one for one in scoring.metrics.registry.collect() if one.name == "leadscore_kafka_errors"]
    return sum(sample.value for sample in metric.samples if sample.name.endswith("_total"))


def more(scoring: StageOfScore, records: list[LogRecord]) -> None:
    scoring.consumer.records[LOG_TOPIC, 0] = stage(FakeStore(), records).consumer.records[LOG_TOPIC, 0]


def test_crossings_and_the_offset_are_committed_together_and_nothing_goes_another_way() -> None:
    scoring = stage(FakeStore(), views(2 * ENTERS, leads=2))
    scoring.turns(3)
    assert seen(scoring) == ["L0", "L1"]
    assert scoring.committed_offset(0) == 2 * ENTERS
    assert scoring.producer.sent == []
    value = scoring.metrics.registry.get_sample_value
    assert value("leadscore_transactions_total", {"result": "committed"}) == 1
    assert value("leadscore_producer_reinitialisations_total") == 0


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"LEADSCORE_INSTANCE": "pod-1", "LEADSCORE_KAFKA__GROUP_INSTANCE_ID": "member-1"}, "pod-1"),
        ({"LEADSCORE_KAFKA__GROUP_INSTANCE_ID": "member-1"}, "member-1"),
    ],
)
def test_a_process_that_comes_back_has_the_transactional_id_of_before(environ: dict[str, str], name: str) -> None:
    assert transactional_id(load_config(environ)) == f"leadscore-scores-{name}"


def test_processes_without_a_name_never_share_a_transactional_id() -> None:
    assert transactional_id(load_config({})) != transactional_id(load_config({}))


def test_a_new_worker_ends_what_is_open_under_its_name_before_it_asks_where_to_go_on() -> None:
    scoring = stage(FakeStore(), views(1))
    scoring.turn()
    assert scoring.transactions.producers == 1
    assert scoring.committed_offset(0) is None


def test_offsets_without_crossings_wait_a_little_for_some_and_are_then_a_transaction_of_their_own() -> None:
    scoring = stage(FakeStore(), views(1))
    scoring.turns(2)
    assert scoring.committed_offset(0) == 1
    more(scoring, views(2))
    scoring.turn(passes_s=0.1)
    assert scoring.committed_offset(0) == 1
    scoring.turn(passes_s=1.0)
    assert (seen(scoring), scoring.committed_offset(0)) == ([], 2)


@pytest.mark.parametrize("call", ["begin", "offsets", "commit"])
@pytest.mark.parametrize("failure", [TIMED_OUT, NOT_A_MEMBER, FENCED], ids=["no answer", "refused", "fenced"])
@pytest.mark.parametrize("abort", [None, TIMED_OUT], ids=["", "abort without answer"])
def test_what_is_not_committed_is_committed_later_and_once(
    call: str, failure: KafkaError, abort: KafkaError | None
) -> None:
    scoring = stage(FakeStore(), views(ENTERS))
    scoring.transactions.failures[call] = failure
    if abort is not None:
        scoring.transactions.failures["abort"] = abort
    scoring.turns(2)
    assert (seen(scoring), scoring.committed_offset(0)) == ([], None)
    assert kafka_errors(scoring) > 0
    scoring.turns(4)
    assert (seen(scoring), scoring.committed_offset(0)) == (["L0"], ENTERS)
    more(scoring, views(2 * ENTERS))
    scoring.turns(3)
    assert (seen(scoring), scoring.committed_offset(0)) == (["L0"], 2 * ENTERS)


def test_a_commit_without_an_answer_that_did_happen_is_not_repeated() -> None:
    scoring = stage(FakeStore(), views(ENTERS), views(ENTERS))
    scoring.transactions.failures["commit"] = TIMED_OUT
    scoring.transactions.commits_all_the_same = True
    scoring.turns(6)
    assert seen(scoring) == ["L0", "L0"]  # of each shard one
    assert scoring.transactions.producers == 2
    assert (scoring.committed_offset(0), scoring.committed_offset(1)) == (ENTERS, ENTERS)
    value = scoring.metrics.registry.get_sample_value
    assert value("leadscore_producer_reinitialisations_total") == 1
    assert value("leadscore_transactions_total", {"result": "unknown"}) == 1


def test_while_it_is_not_known_how_a_transaction_ended_nothing_is_applied() -> None:
    store = FakeStore()
    scoring = stage(store, views(ENTERS))
    scoring.turns(1)
    scoring.transactions.failures |= {"commit": TIMED_OUT, "init": TIMED_OUT}
    scoring.turn()
    fence = store.shards[0].fence
    more(scoring, views(2 * ENTERS))
    scoring.turn()
    assert store.shards[0].fence == fence
    assert scoring.is_paused
    scoring.turns(6)
    assert (seen(scoring), scoring.committed_offset(0)) == (["L0"], 2 * ENTERS)
    assert not scoring.is_paused


def test_a_transaction_without_an_answer_while_other_shards_are_reconciled_loses_nothing_of_those() -> None:
    scoring = stage(FakeStore(), views(ENTERS), views(ENTERS))
    scoring.consumer.member_id = ""
    scoring.turns(2)
    scoring.consumer.member_id = "member"
    scoring.stage._shards.doubt([0])
    scoring.transactions.failures["commit"] = TIMED_OUT
    scoring.turns(8)
    assert seen(scoring) == ["L0", "L0"]
    assert (scoring.committed_offset(0), scoring.committed_offset(1)) == (ENTERS, ENTERS)


def test_what_a_shard_decided_before_it_stopped_is_not_published_twice_after_a_transaction_without_an_answer() -> None:
    scoring = stage(FakeStore(), views(ENTERS), views(ENTERS))
    scoring.consumer.member_id = ""
    scoring.turns(2)
    scoring.consumer.records[LOG_TOPIC, 1] = [
        *scoring.consumer.records[LOG_TOPIC, 1],
        FakeMessage((LOG_TOPIC, 1, ENTERS), b"\xff"),
    ]
    scoring.turn()
    assert list(scoring.stage.stopped) == [1]
    scoring.consumer.member_id = "member"
    scoring.transactions.failures["commit"] = TIMED_OUT
    scoring.transactions.commits_all_the_same = True
    scoring.turns(2)
    more(scoring, views(ENTERS + 1))
    scoring.turns(8)
    assert seen(scoring) == ["L0", "L0"]
    assert (scoring.committed_offset(0), scoring.committed_offset(1)) == (ENTERS + 1, ENTERS)


def test_a_crash_between_writing_and_the_transaction_loses_no_crossing() -> None:
    store = FakeStore()
    crashed = stage(store, views(ENTERS))
    crashed.consumer.member_id = ""  # nothing of it is ever committed
    crashed.turns(3)
    assert seen(crashed) == []
    successor = stage(store, views(ENTERS))
    successor.turns(2)
    assert (seen(successor), successor.committed_offset(0)) == (["L0"], ENTERS)


def test_what_is_committed_leaves_the_outbox_with_the_next_write() -> None:
    store = FakeStore()
    scoring = stage(store, views(ENTERS))
    scoring.turns(2)
    assert list(store.shards[0].outbox) == [ENTERS - 1]
    more(scoring, views(ENTERS + 1))
    scoring.turns(2)
    assert store.shards[0].outbox == {}


def test_offsets_never_go_beyond_crossings_that_redis_lost_before_their_transaction() -> None:
    store = FakeStore()
    scoring = stage(store, views(ENTERS - 1))
    scoring.turns(2)
    before = store.snapshot()
    scoring.consumer.member_id = ""
    more(scoring, views(ENTERS))
    scoring.turns(2)
    store.go_back_to(before)
    more(scoring, views(ENTERS + 1))
    scoring.turns(2)
    scoring.consumer.member_id = "member"
    scoring.turns(6)
    assert (seen(scoring), scoring.committed_offset(0)) == (["L0"], ENTERS + 1)


def test_crossings_of_shards_that_another_worker_has_now_are_not_published_by_this_one() -> None:
    scoring = stage(FakeStore(), views(ENTERS))
    scoring.consumer.member_id = ""
    scoring.turns(3)
    scoring.consumer.lose((LOG_TOPIC, 0))
    scoring.turns(1)
    scoring.consumer.member_id = "another membership"
    scoring.turns(3)
    assert (seen(scoring), scoring.committed_offset(0)) == ([], None)


def test_partitions_that_are_given_up_are_committed_with_their_crossings_before() -> None:
    scoring = stage(FakeStore(), views(ENTERS), LEADSCORE_COMMIT_INTERVAL="1m")
    scoring.turns(2)
    scoring.consumer.take_away((LOG_TOPIC, 0))
    scoring.turns(1)
    assert (seen(scoring), scoring.committed_offset(0)) == (["L0"], ENTERS)


def test_latest_scores_are_in_the_same_transactions() -> None:
    scoring = stage(FakeStore(), views(ENTERS), LEADSCORE_SCORES_TOPIC="leadscore.scores")
    scoring.transactions.failures["commit"] = TIMED_OUT
    scoring.turns(6)
    assert seen(scoring) == ["L0", "L0"]  # a crossing, a score


def test_without_room_for_more_crossings_nothing_is_applied_until_a_transaction_takes_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uncommitted, "MOST_OUTPUTS", 1)
    store = FakeStore()
    scoring = stage(store, views(ENTERS))
    scoring.consumer.member_id = ""
    scoring.turns(2)
    fence = store.shards[0].fence
    more(scoring, views(2 * ENTERS))
    scoring.turns(3)
    assert store.shards[0].fence == fence
    assert scoring.stage.outage is not None
    scoring.consumer.member_id = "member"
    scoring.turns(20)
    assert (seen(scoring), scoring.committed_offset(0)) == (["L0"], 2 * ENTERS)


def test_a_topic_that_refuses_a_crossing_for_good_ends_the_worker_and_is_named() -> None:
    scoring = stage(FakeStore(), views(ENTERS))
    scoring.transactions.refusal = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "size too large")
    with pytest.raises(WorkerStopped, match=r"leadscore\.crossings.*max\.message\.bytes"):
        scoring.turns(3)


def test_a_worker_that_may_not_have_transactions_ends_and_says_which_right_it_lacks() -> None:
    scoring = stage(FakeStore(), views(ENTERS))
    denied = KafkaError(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, fatal=True)
    scoring.transactions.failures["init"] = denied
    with pytest.raises(WorkerStopped, match="WRITE on the transactional id leadscore-scores-0"):
        scoring.turns(3)


def test_a_shard_whose_log_ends_with_the_end_of_a_transaction_has_caught_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes an offset, and is no record: else no tick would ever be appended to that partition again."""
    store = FakeStore()
    scoring = stage(store, views(ENTERS))
    consumer = scoring.consumer

    def one_more(_partition: TopicPartition, **_: object) -> Bounds:
        return 0, ENTERS + 1

    monkeypatch.setattr(consumer, "get_watermark_offsets", one_more)
    scoring.turns(20)
    owned = scoring.stage._shards.owned[0]
    ticker = scoring.stage._ticker
    assert not ticker.has_caught_up(owned, consumer.as_consumer)
    consumer._places[LOG_TOPIC, 0] = ENTERS + 1
    assert ticker.has_caught_up(owned, consumer.as_consumer)
