"""What one stage's membership in its group looks like in the metrics."""

from typing import cast

import pytest

from leadscore.errors import Unavailable
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.gauges import StageGauges
from leadscore.pipeline.kafka.commit_policy import CommitPolicy
from leadscore.pipeline.kafka.commits import Commits
from leadscore.pipeline.kafka.records import Partition
from leadscore.pipeline.kafka.subscription import Subscription
from leadscore.pipeline.kafka.watch import Lag, LagWatch

LOG = "leadscore.log"


class FakeLagWatch:
    """Has looked already."""

    def __init__(self) -> None:
        self.lags: dict[Partition, Lag] = {}

    def look(self, _owned: object) -> None:
        pass


class FakeSubscription:
    """Has some partitions."""

    assigned = frozenset({(LOG, 0), (LOG, 1)})
    assigned_count = revoked_count = lost_count = 1


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1", ())


@pytest.fixture
def watch() -> FakeLagWatch:
    return FakeLagWatch()


def gauges(stage: str, metrics: Metrics, watch: FakeLagWatch) -> StageGauges:
    subscription, commits = cast("Subscription", FakeSubscription()), Commits(CommitPolicy(1))
    return StageGauges(stage, metrics.kafka, subscription, commits, cast("LagWatch", watch))


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"leadscore_{name}", labels)


def test_the_oldest_record_of_a_stage_is_that_of_its_partitions_that_go_on(
    metrics: Metrics, watch: FakeLagWatch
) -> None:
    watch.lags = {(LOG, 0): Lag(5, 1_000.0), (LOG, 1): Lag(3, 2_000.0), (LOG, 2): Lag(0, None)}
    score = gauges("score", metrics, watch)
    score.tell([], None, is_paused=False)
    assert value(metrics, "oldest_unprocessed_record_timestamp_seconds", stage="score") == 1_000
    assert (value(metrics, "consumer_lag_seconds", topic=LOG, partition="0") or 0) > 1_000
    score.tell({0: "why"}, None, is_paused=False)
    assert value(metrics, "oldest_unprocessed_record_timestamp_seconds", stage="score") == 2_000
    score.tell([(LOG, 0), (LOG, 1)], None, is_paused=False)
    assert value(metrics, "oldest_unprocessed_record_timestamp_seconds", stage="score") == 0


def test_the_lag_of_a_partition_that_was_given_up_ends(metrics: Metrics, watch: FakeLagWatch) -> None:
    watch.lags = {(LOG, 0): Lag(5, 1_000.0), (LOG, 1): Lag(3, 2_000.0)}
    score = gauges("score", metrics, watch)
    score.tell([], None, is_paused=False)
    del watch.lags[LOG, 0]
    score.tell([], None, is_paused=False)
    for name in ("consumer_lag_records", "consumer_lag_seconds"):
        assert value(metrics, name, topic=LOG, partition="0") is None
        assert value(metrics, name, topic=LOG, partition="1") is not None


def test_only_a_worker_that_works_with_redis_says_whether_it_answers(metrics: Metrics, watch: FakeLagWatch) -> None:
    gauges("match", metrics, watch).tell([], None, is_paused=False)
    assert value(metrics, "dependency_up", service="redis") is None
    score = gauges("score", metrics, watch)
    score.tell([], Unavailable("kafka", "timeout", "no answer"), is_paused=True)
    assert value(metrics, "dependency_up", service="redis") == 1
    score.tell([], Unavailable("redis", "timeout", "no answer"), is_paused=True)
    assert value(metrics, "dependency_up", service="redis") == 0
