"""Leaders move back to a node that was restarted, as at every upgrade of Kafka: offsets are answered within seconds.

No connection breaks then, and librdkafka goes on asking the former leaders for minutes, whatever they answer.
"""

import logging
from collections import Counter
from collections.abc import Iterator

import pytest
from confluent_kafka import ElectionType, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from leadscore.errors import KafkaErrorKind, Unavailable
from leadscore.pipeline.kafka.clients import RenewedAdmin, make_admin
from leadscore.pipeline.kafka.lag_times import ReadTimes
from leadscore.pipeline.kafka.questions import log_bounds
from leadscore.pipeline.kafka.watch import LagWatch
from tests.faults.kafka_cluster import KafkaCluster, kafka_cluster
from tests.faults.report import Figures
from tests.servers import wait_until
from tests.uncommitted import Uncommitted

pytestmark = pytest.mark.timeout(300)

LOGGER = logging.getLogger("tests.leaders_move")
NODES, TOPIC = 3, "moving"
PARTITIONS = [(TOPIC, number) for number in range(6)]
EMPTY = dict.fromkeys(PARTITIONS, (0, 0))
ANSWERED_WITHIN_S = 15


class Asking:
    """Clients that ask for bounds and for lags, and the kinds of outages that the former met."""

    def __init__(self, cluster: KafkaCluster) -> None:
        properties = cluster.server.properties
        self._admin = make_admin(properties, LOGGER)
        admin = RenewedAdmin(lambda: make_admin(properties, LOGGER))
        self._watch = LagWatch(admin, Uncommitted(), ReadTimes())  # type: ignore[arg-type]  # all that it asks of it
        self.outages: Counter[str] = Counter()

    def wait_for_answers(self) -> None:
        wait_until(self._has_bounds, ANSWERED_WITHIN_S, "the bounds")
        self._watch.lags.clear()
        self._watch.look(PARTITIONS)  # takes what was asked before
        self._watch.lags.clear()
        wait_until(self._has_lags, ANSWERED_WITHIN_S, "the lags")

    def _has_bounds(self) -> bool:
        try:
            return log_bounds(self._admin, PARTITIONS) == EMPTY
        except Unavailable as outage:
            self.outages[outage.kind] += 1
            return False

    def _has_lags(self) -> bool:
        self._watch.look(PARTITIONS)
        return self._watch.lags.keys() == EMPTY.keys()


@pytest.fixture
def cluster() -> Iterator[KafkaCluster]:
    with kafka_cluster(NODES, "min.insync.replicas=2") as running:
        admin = AdminClient({**running.server.properties})
        admin.create_topics([NewTopic(TOPIC, len(PARTITIONS), NODES)])[TOPIC].result(timeout=30)
        wait_until(lambda: len(set(running.partitions(TOPIC).values())) == NODES, 60, "a leader on every node")
        yield running


@pytest.mark.experiment("16", "leaders that move back cost no answers about offsets")
def test_bounds_and_lags_are_there_within_seconds_of_an_election(cluster: KafkaCluster, figures: Figures) -> None:
    asking = Asking(cluster)
    asking.wait_for_answers()
    restarted = next(node for node in cluster.nodes if node != cluster.controller())
    cluster.nodes[restarted].kill()
    wait_until(lambda: restarted not in cluster.partitions(TOPIC).values(), 60, "other leaders")
    cluster.start_all()
    asking.wait_for_answers()
    asking.outages.clear()

    admin = AdminClient({**cluster.server.properties})

    def has_its_leaders_again() -> bool:
        places = [TopicPartition(*partition) for partition in PARTITIONS]
        admin.elect_leaders(ElectionType.PREFERRED, places).result(timeout=30)
        return restarted in cluster.partitions(TOPIC).values()

    wait_until(has_its_leaders_again, 60, "the leaders to move back")
    asking.wait_for_answers()
    figures.killed()
    figures.violations = 0
    assert asking.outages.keys() == {KafkaErrorKind.LEADER.value}, "no former leader was asked"
