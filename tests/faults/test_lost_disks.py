"""Disks are lost: a broker comes back without the end of the log, Redis with an old backup, and both at once.

Nothing is guessed: what the log still holds is replayed, and a partition of which it does not stops with the numbers
until an operator accepts the gap. The broker is a process that is killed, and robbed of what its disk held; Redis is
killed and started with an old file.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import redis

from tests.deployment import (
    LASTING_MODEL,
    LOG_PARTITIONS,
    Deployment,
    WorkerProcess,
    assert_exact,
    assert_scores_of,
    frames,
    wandering_events,
)
from tests.faults.kafka_cluster import KafkaCluster, kafka_cluster
from tests.faults.lost_records import place_of
from tests.faults.report import Figures
from tests.faults.seen import copies, metric, readiness
from tests.redis_groups import port_of
from tests.secured_deployment import run_command
from tests.servers import RedisServer, redis_binaries, start_redis, wait_until

pytestmark = [pytest.mark.lasting_leads, pytest.mark.timeout(600)]

ROBBED = 2
"""The log partition that loses its end."""
OTHERS = set(range(LOG_PARTITIONS)) - {ROBBED}
MATCH_ONLY = {"LEADSCORE_ROLE": "match"}
SEVERAL_FRAMES = {"LEADSCORE_BATCH_SIZE": "10"}


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaCluster]:
    with kafka_cluster(1) as cluster:
        yield cluster


class OwnRedis:
    """A Redis process whose file can be kept, and put back later."""

    def __init__(self, folder: Path, servers: ExitStack) -> None:
        self._folder, self._servers = folder, servers
        self.server = self._start(None)

    def _start(self, port: int | None) -> RedisServer:
        kind = next(iter(redis_binaries()))
        return self._servers.enter_context(start_redis(kind, "--dir", str(self._folder), port=port))

    def back_up(self) -> None:
        with closing(redis.Redis.from_url(self.server.url)) as client:
            client.save()
        shutil.copy(self._folder / "dump.rdb", self._folder / "backup")

    def restore(self) -> None:
        """It is killed, and comes back with what it held when it was backed up."""
        self.server.stop()
        shutil.copy(self._folder / "backup", self._folder / "dump.rdb")
        self.server = self._start(port_of(self.server))


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    with ExitStack() as servers:
        (folder := tmp_path / "redis").mkdir()
        yield OwnRedis(folder, servers)


@pytest.fixture
def deployment(
    broker: KafkaCluster, own_redis: OwnRedis, fresh_name: Callable[[str], str], tmp_path: Path
) -> Iterator[Deployment]:
    made = Deployment(broker.server, own_redis.server, (fresh_name("d"), fresh_name("p")), tmp_path, LASTING_MODEL)
    made.environ |= SEVERAL_FRAMES
    made.create_topics()
    yield made
    made.stop()


def lose_end_of_log(deployment: Deployment, broker: KafkaCluster, records: int) -> int:
    """The broker is killed and comes back without that number of the newest records; the offset that is next."""
    node = broker.nodes[1]
    high = place_of(deployment, "score", "log", ROBBED).high
    node.kill()
    end = node.lose_from(deployment.topic("log"), ROBBED, high - records)
    assert 0 < end <= high - records
    node.start()
    wait_until(deployment._has_leaders, 60, "the leaders of the topics")
    return end


def run_to_the_end(deployment: Deployment, worker: WorkerProcess) -> None:
    deployment.wait_until_settled()
    assert worker.terminate() == 0


def stopped_line(worker: WorkerProcess) -> dict[str, str]:
    stopped = worker.wait_for("log_partitions_stopped", 60)
    assert stopped["partitions"] == str(ROBBED)
    wait_until(lambda: "accept-gap" in readiness(worker), 30, "unreadiness that says what to do")
    assert metric([worker], 'leadscore_stopped_partitions{stage="score"}') == 1
    return stopped


def assert_others_go_on(deployment: Deployment, worker: WorkerProcess) -> None:
    def others_are_done() -> bool:
        places = [place_of(deployment, "score", "log", number) for number in OTHERS]
        return all(place.committed == place.high for place in places)

    wait_until(others_are_done, 60, "the other partitions")
    assert worker.partitions_of("log_partitions_stopped") == {ROBBED}


def accept_gap(deployment: Deployment) -> None:
    run_command(deployment, "log", "accept-gap", "--partition", str(ROBBED), "--yes")


def assert_same_bodies(deployment: Deployment) -> None:
    assert all(len({record.value for record in records}) == 1 for records in deployment.published().values())


@pytest.mark.experiment("17", "a log that lost its end stops its partition; nothing is guessed")
def test_a_log_that_lost_its_end_stops_its_partition_until_the_gap_is_accepted(
    deployment: Deployment, broker: KafkaCluster, figures: Figures
) -> None:
    events = wandering_events("robbed", 400)
    worker = deployment.start_worker()
    for first in range(0, 300, 30):
        deployment.send_now(events[first : first + 30])
        deployment.wait_until_done()
    run_to_the_end(deployment, worker)
    before, published = place_of(deployment, "score", "log", ROBBED), copies(deployment)
    end = lose_end_of_log(deployment, broker, 3)

    worker = deployment.start_worker(LEADSCORE_ROLE="score")
    stopped = stopped_line(worker)
    assert f"the states are ahead of the log: applied up to {before.high - 1}" in stopped["detail"]
    assert f"holds offsets 0 to {end - 1}, committed is {before.committed}" in stopped["detail"]
    assert place_of(deployment, "score", "log", ROBBED).committed == before.committed
    assert copies(deployment) == published
    assert worker.terminate() == 0

    accept_gap(deployment)
    deployment.start_worker()
    deployment.send_now(events[300:])
    deployment.wait_until_settled()
    assert_scores_of(deployment, events)
    assert_same_bodies(deployment)
    figures.lost(before.high - end)
    figures.events, figures.violations = len(events), 0
    figures.note = "stopped with the numbers, then accept-gap"


@pytest.mark.experiment("disks", "Redis from an old backup is repaired from the log")
def test_redis_from_an_old_backup_is_repaired_from_the_log(
    deployment: Deployment, own_redis: OwnRedis, figures: Figures
) -> None:
    events = wandering_events("backup", 400)
    worker = deployment.start_worker()
    deployment.send_now(events[:100])
    deployment.wait_until_settled()
    own_redis.back_up()
    deployment.send_now(events[100:300])
    deployment.wait_until_settled()
    published = copies(deployment)

    own_redis.restore()
    wait_until(lambda: metric([worker], "leadscore_state_regressions_total") > 0, 60, "the regression to be noticed")
    deployment.send_now(events[300:])
    deployment.wait_until_settled()
    assert_exact(deployment, events)
    again = copies(deployment)
    assert {crossing_id: again[crossing_id] for crossing_id in published} == published
    figures.lost(sum(line["lost_records"] for line in worker.said("state_regression")))
    figures.events, figures.violations = len(events), 0
    figures.note = "replayed, nothing published again"


@pytest.mark.experiment("disks", "both lost: stops what cannot be repaired, repairs the rest")
def test_both_lost_at_once_stops_what_cannot_be_repaired_and_repairs_the_rest(
    deployment: Deployment, broker: KafkaCluster, own_redis: OwnRedis, figures: Figures
) -> None:
    events = wandering_events("both", 400)
    worker = deployment.start_worker()
    for first in range(0, 300, 30):
        if first == 90:
            own_redis.back_up()
        deployment.send_now(events[first : first + 30])
        deployment.wait_until_settled()
    run_to_the_end(deployment, worker)
    before, published, log = place_of(deployment, "score", "log", ROBBED), copies(deployment), deployment.log()
    end = lose_end_of_log(deployment, broker, 2)
    own_redis.restore()
    gone = {
        award.event_id
        for partition, offset, frame in frames(log)
        for award in frame.awards
        if partition == ROBBED and offset >= end
    }
    assert gone

    worker = deployment.start_worker()
    stopped = stopped_line(worker)
    assert f"the committed offset {before.committed} is beyond the end of the log" in stopped["detail"]
    assert f"holds offsets 0 to {end - 1}" in stopped["detail"]
    assert_others_go_on(deployment, worker)
    assert OTHERS & worker.partitions_of("state_regression")
    assert copies(deployment) == published
    assert worker.terminate() == 0

    accept_gap(deployment)
    worker = deployment.start_worker()
    deployment.wait_until_settled()
    assert_scores_of(deployment, [event for event in events[:300] if event.event_id not in gone])
    assert_same_bodies(deployment)
    figures.lost(before.high - end)
    figures.events, figures.violations = 300, 0
    figures.note = f"1 partition stopped, {len(OTHERS)} repaired; after accept-gap all but {len(gone)} events count"


@pytest.mark.experiment("17", "a log that lost its end and was written on stops that partition; nothing is passed over")
def test_a_log_that_lost_its_end_and_was_written_on_stops_that_partition(
    deployment: Deployment, broker: KafkaCluster, figures: Figures
) -> None:
    events = wandering_events("regrown", 600)
    worker = deployment.start_worker()
    for first in range(0, 300, 30):
        deployment.send_now(events[first : first + 30])
        deployment.wait_until_done()
    run_to_the_end(deployment, worker)
    before = place_of(deployment, "score", "log", ROBBED)
    end = lose_end_of_log(deployment, broker, 2)
    matcher = deployment.start_worker(**MATCH_ONLY)
    deployment.send_now(events[300:])
    wait_until(lambda: deployment._lag_of_match() == 0, 60, "the events in the log")
    assert matcher.terminate() == 0
    assert place_of(deployment, "score", "log", ROBBED).high > before.high + 2

    worker = deployment.start_worker(LEADSCORE_ROLE="score")
    assert "the log has lost its end and was written on" in stopped_line(worker)["detail"]
    assert_others_go_on(deployment, worker)
    assert place_of(deployment, "score", "log", ROBBED).committed == before.committed
    assert worker.terminate() == 0

    accept_gap(deployment)
    deployment.start_worker()
    deployment.wait_until_settled()
    assert_scores_of(deployment, events)
    assert_same_bodies(deployment)
    figures.lost(before.high - end)
    figures.events, figures.violations = len(events), 0
    figures.note = "stopped with the numbers, then accept-gap: no record in the place of a lost one is skipped"
