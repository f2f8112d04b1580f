"""The score stage with a scores topic, on fakes: news and offsets are committed together, whatever goes wrong."""

import json

import pytest
from confluent_kafka import KafkaError

from leadscore.errors import WorkerStopped
from leadscore.log.records import LogRecord
from leadscore.pipeline.score import uncommitted
from tests.unit.fake_store import FakeStore
from tests.unit.page_views import stage_of, view
from tests.unit.stage_of_score import LOG_TOPIC, StageOfScore

TOPIC = {"LEADSCORE_SCORES_TOPIC": "leadscore.scores"}
TIMED_OUT = KafkaError(KafkaError._TIMED_OUT, retriable=True)
NOT_A_MEMBER = KafkaError(KafkaError.UNKNOWN_MEMBER_ID, txn_requires_abort=True)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncommitted, "AGAIN_AFTER_S", 0.0)


def stage(store: FakeStore, *log: LogRecord, **settings: str) -> StageOfScore:
    return stage_of(store, list(log), **TOPIC, **settings)


def latest_scores(scoring: StageOfScore) -> dict[str, float]:
    latest = {lead_id: json.loads(value or b"null") for lead_id, value in scoring.transactions.latest().items()}
    return {lead_id: one["score"] for lead_id, one in latest.items()}


def published(scoring: StageOfScore, record: str = "latest") -> float:
    labels = {"record": record}
    return scoring.metrics.registry.get_sample_value("leadscore_scores_published_total", labels) or 0.0


def views(number: int, leads: int = 1) -> list[LogRecord]:
    return [view(index, f"L{index % leads}") for index in range(number)]


def test_news_and_the_offset_are_committed_together() -> None:
    scoring = stage(FakeStore(), *views(3))
    scoring.turns(3)
    assert latest_scores(scoring) == {"L0": 30}
    assert scoring.committed_offset(0) == 3
    assert published(scoring) == len(scoring.transactions.topic) == 1


def test_without_news_the_offset_is_committed_alone() -> None:
    scoring = stage(FakeStore(), view(0), view(0))  # the second is a replay
    scoring.turns(3)
    scoring.transactions.failures["begin"] = TIMED_OUT
    scoring.consumer.records[LOG_TOPIC, 0] = stage(FakeStore(), *[view(0)] * 3).consumer.records[LOG_TOPIC, 0]
    scoring.turns(3)
    assert scoring.committed_offset(0) == 3
    assert scoring.transactions.failures  # nobody asked for a transaction


@pytest.mark.parametrize("call", ["init", "begin", "offsets", "commit"])
@pytest.mark.parametrize("failure", [TIMED_OUT, NOT_A_MEMBER], ids=["no answer", "refused"])
def test_what_is_not_committed_is_committed_later_and_until_then_nothing_is(call: str, failure: KafkaError) -> None:
    scoring = stage(FakeStore(), *views(3))
    scoring.transactions.failures[call] = failure
    scoring.turns(2)
    assert scoring.transactions.topic == []
    assert scoring.committed_offset(0) is None
    scoring.turns(2)
    assert latest_scores(scoring) == {"L0": 30}
    assert scoring.committed_offset(0) == 3


def test_a_commit_without_an_answer_that_did_happen_is_repeated_and_harms_nothing() -> None:
    scoring = stage(FakeStore(), *views(3))
    scoring.transactions.failures["commit"] = TIMED_OUT
    scoring.transactions.commits_all_the_same = True
    scoring.turns(5)
    assert latest_scores(scoring) == {"L0": 30}
    assert len(scoring.transactions.topic) == 2
    assert scoring.transactions.producers == 2
    assert scoring.committed_offset(0) == 3


def test_a_producer_that_was_fenced_is_replaced() -> None:
    scoring = stage(FakeStore(), *views(3))
    scoring.turns(3)
    scoring.transactions.producers += 1
    scoring.consumer.records[LOG_TOPIC, 0] = stage(FakeStore(), *views(5)).consumer.records[LOG_TOPIC, 0]
    scoring.turns(4)
    assert latest_scores(scoring) == {"L0": 50}
    assert scoring.committed_offset(0) == 5


def test_a_worker_that_is_no_member_publishes_nothing() -> None:
    """It was frozen while another took over, and does not know it yet."""
    scoring = stage(FakeStore(), *views(3))
    scoring.consumer.member_id = ""
    scoring.turns(5)
    assert scoring.transactions.topic == []
    assert scoring.committed_offset(0) is None


def test_a_crash_between_writing_and_publishing_loses_no_news_and_the_newest_is_the_last() -> None:
    store = FakeStore()
    crashed = stage(store, *views(2, leads=2))
    crashed.consumer.member_id = ""  # nothing of it is ever committed
    crashed.turns(3)
    successor = stage(store, *views(6, leads=2))
    successor.turns(1)
    assert latest_scores(successor) == {"L0": 10, "L1": 10}  # what the outbox had
    successor.turns(3)
    assert latest_scores(successor) == {"L0": 30, "L1": 30}
    assert successor.committed_offset(0) == 6


def test_news_of_shards_that_another_worker_has_now_are_not_published_by_this_one() -> None:
    scoring = stage(FakeStore(), *views(3))
    scoring.consumer.member_id = ""
    scoring.turns(3)
    scoring.consumer.lose((LOG_TOPIC, 0))
    scoring.turns(1)
    scoring.consumer.member_id = "another membership"
    scoring.turns(3)
    assert scoring.transactions.topic == []
    assert scoring.committed_offset(0) is None


def test_partitions_that_are_given_up_are_committed_with_their_news_before() -> None:
    scoring = stage(FakeStore(), *views(3), LEADSCORE_COMMIT_INTERVAL="1m")
    scoring.turns(2)
    scoring.consumer.take_away((LOG_TOPIC, 0))
    scoring.turns(1)
    assert latest_scores(scoring) == {"L0": 30}
    assert scoring.committed_offset(0) == 3


def test_a_replay_below_the_committed_offset_publishes_nothing_and_goes_on_as_if_nothing_had_been_lost() -> None:
    store = FakeStore()
    before = stage(store, *views(3))
    before.turns(3)
    marked = dict(store.shards[0].leads)
    store.shards.clear()
    rebuilt = stage(store, *views(3), LEADSCORE_ON_STATE_LOSS="rebuild")
    rebuilt.consumer.committed_offsets = {(LOG_TOPIC, 0): 3}
    rebuilt.turns(5)
    assert rebuilt.transactions.topic == []
    assert dict(store.shards[0].leads) == marked


def test_a_topic_that_refuses_a_record_for_good_ends_the_worker_and_is_named() -> None:
    scoring = stage(FakeStore(), *views(3))
    scoring.transactions.refusal = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "size too large")
    with pytest.raises(WorkerStopped, match=r"leadscore\.scores.*max\.message\.bytes"):
        scoring.turns(3)


def test_a_worker_that_may_not_have_transactions_ends_and_says_which_right_it_lacks() -> None:
    scoring = stage(FakeStore(), *views(3))
    denied = KafkaError(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, fatal=True)
    scoring.transactions.failures["init"] = denied
    with pytest.raises(WorkerStopped, match="WRITE on the transactional id leadscore-scores-0"):
        scoring.turns(3)


def test_a_failure_is_counted_and_told_once_until_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    scoring = stage(FakeStore(), *views(3))
    scoring.consumer.member_id = ""
    with caplog.at_level("INFO"):
        scoring.turns(5)
        scoring.consumer.member_id = "member"
        scoring.turns(2)
    events = [line.getMessage() for line in caplog.records]
    assert events.count("scores_not_published") == events.count("scores_published_again") == 1
    failures = scoring.metrics.registry.get_sample_value("leadscore_publish_failures_total", {"kind": "score"})
    assert failures is not None
    assert failures >= 3
    assert scoring.stage.commits.failed >= 3


def test_without_the_topic_nothing_is_asked_of_transactions() -> None:
    scoring = stage_of(FakeStore(), views(3))
    scoring.turns(3)
    assert (scoring.transactions.producers, scoring.committed_offset(0)) == (0, 3)
