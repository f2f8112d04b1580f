"""What one stage's membership in its consumer group looks like in the metrics; told every few seconds."""

from collections.abc import Collection
from time import time

from leadscore.errors import Unavailable
from leadscore.ops.metrics import KafkaMetrics
from leadscore.ops.services import REDIS
from leadscore.pipeline.checks import SCORE
from leadscore.pipeline.kafka.commits import Commits
from leadscore.pipeline.kafka.records import Partition
from leadscore.pipeline.kafka.subscription import Subscription
from leadscore.pipeline.kafka.watch import LagWatch


class StageGauges:
    """Copies the counts of a subscription and its commits into the metrics; ``stage`` is ``match`` or ``score``."""

    def __init__(
        self, stage: str, kafka: KafkaMetrics, subscription: Subscription, commits: Commits, lag: LagWatch
    ) -> None:
        self._stage = stage
        self._kafka = kafka
        self._subscription = subscription
        self._commits = commits
        self._lag = lag
        self._told: dict[str, int] = {}
        self._lagging: set[Partition] = set()

    def tell(self, stopped: Collection[Partition | int], outage: Unavailable | None, *, is_paused: bool) -> None:
        """Bring the metrics up to date; ``outage`` is what is waited for.

        ``stopped`` are the partitions, or the numbers of log partitions, that wait for an operator.
        """
        kafka, stage, subscription = self._kafka, self._stage, self._subscription
        kafka.assigned_partitions.labels(stage).set(len(subscription.assigned))
        kafka.stopped_partitions.labels(stage).set(len(stopped))
        kafka.paused.labels(stage).set(int(is_paused))
        if stage == SCORE:  # the one that works with Redis
            kafka.dependency_up.labels(REDIS).set(int(outage is None or outage.service != REDIS))
        for kind, count in (
            ("assigned", subscription.assigned_count),
            ("revoked", subscription.revoked_count),
            ("lost", subscription.lost_count),
        ):
            kafka.rebalances.labels(stage, kind).inc(self._since_told(kind, count))
        kafka.commits.labels(stage).inc(self._since_told("tried", self._commits.tried))
        kafka.commit_failures.labels(stage).inc(self._since_told("failed", self._commits.failed))
        self._tell_lag(stopped)

    def _since_told(self, name: str, count: int) -> int:
        new = count - self._told.get(name, 0)
        self._told[name] = count
        return new

    def _tell_lag(self, stopped: Collection[Partition | int]) -> None:
        """Of owned partitions only: two processes must not both report one. What is stopped does not age the stage."""
        self._lag.look(self._subscription.assigned)
        lags, now_s = self._lag.lags, time()
        for partition in self._lagging - lags.keys():
            self._kafka.lag.forget(*partition)
        for partition, lag in lags.items():
            age_s = 0.0 if lag.oldest_s is None else max(0.0, now_s - lag.oldest_s)
            self._kafka.lag.set(*partition, lag.records, age_s)
        self._lagging = set(lags)
        going_on = [lag.oldest_s for place, lag in lags.items() if place not in stopped and place[1] not in stopped]
        oldest_s = min((since_s for since_s in going_on if since_s is not None), default=0.0)
        self._kafka.lag.oldest_unprocessed.labels(self._stage).set(oldest_s)
