"""The chaos of operators: what they do by mistake stops early, with a message that says what to do, or does no harm."""

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]

from tests.deployment import WANDERING_MODEL, Deployment, WorkerProcess, assert_exact, wandering_events
from tests.e2e.metric_series import series
from tests.faults.kafka_cluster import KafkaCluster, kafka_cluster
from tests.faults.load import Load
from tests.faults.seen import readiness
from tests.servers import RedisServer, redis_binaries, start_redis, wait_until

pytestmark = pytest.mark.lasting_leads


def add_partitions(deployment: Deployment, word: str, partitions: int) -> None:
    admin = AdminClient({"bootstrap.servers": deployment.kafka.bootstrap})
    for added in admin.create_partitions([NewPartitions(deployment.topic(word), partitions)]).values():
        added.result(timeout=30)


def refusal_of(worker: WorkerProcess) -> str:
    """Why it did not start."""
    worker.wait_for_death()
    assert worker.process.returncode == 2
    return str(worker.wait_for("worker_stopped")["detail"])


@pytest.mark.experiment("operators", "an input that gets more partitions is read whole")
def test_an_input_that_gets_more_partitions_under_a_worker_is_read_whole(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(WANDERING_MODEL, source_partitions=1)
    before, after = wandering_events("before", 200), wandering_events("after", 400)
    worker = deployment.start_worker()
    deployment.send_now(before)
    deployment.wait_until_settled()
    add_partitions(deployment, "website", 5)
    with Load(deployment, after):
        pass
    deployment.wait_until_settled()
    assert worker.terminate() == 0
    assert_exact(deployment, before + after)


@pytest.mark.experiment("operators", "a log that gets more partitions refuses the next start and harms no worker")
def test_a_log_that_gets_more_partitions_refuses_the_next_start_and_harms_no_worker_that_runs(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(WANDERING_MODEL)
    events = wandering_events("events", 400)
    worker = deployment.start_worker()
    deployment.send_now(events[:200])
    deployment.wait_until_settled()
    add_partitions(deployment, "log", 6)
    assert "has 6 partitions; the number is fixed when the log is created" in refusal_of(deployment.start_worker())
    worker.wait_for("log_partitions_stopped", 60)
    deployment.send_now(events[200:])
    deployment.wait_until_settled()
    assert worker.terminate() == 0
    assert_exact(deployment, events)


def delete_records(deployment: Deployment, word: str, partition: int, below: int) -> None:
    admin = AdminClient({"bootstrap.servers": deployment.kafka.bootstrap})
    for deleted in admin.delete_records([TopicPartition(deployment.topic(word), partition, below)]).values():
        deleted.result(timeout=30)


@pytest.mark.experiment("17", "retention passes the committed offset of an input: it stops with the numbers")
def test_an_input_whose_retention_was_shorter_than_the_downtime_stops_until_the_gap_is_accepted(
    deploy: Callable[..., Deployment], run_tool: Callable[..., int]
) -> None:
    """Experiment 17, for inputs: the size of the gap is told, the others go on, nothing is passed over in silence."""
    deployment = deploy(WANDERING_MODEL, source_partitions=1)
    before, lost, after = (wandering_events(name, 100) for name in ("before", "lost", "after"))
    visits = [event for event in lost if event.type.startswith("website.")]
    worker = deployment.start_worker()
    deployment.send_now(before)
    deployment.wait_until_settled()
    assert worker.terminate() == 0
    read = len([event for event in before if event.type.startswith("website.")])
    deployment.send_now(lost)
    delete_records(deployment, "website", 0, read + len(visits))

    worker = deployment.start_worker()
    detail = worker.wait_for("source_partition_stopped", 60)["detail"]
    assert f"its {len(visits)} records from offset {read}, the committed one, on were deleted unread" in detail
    wait_until(lambda: deployment.lag_of("email") == 0, 60, "the other inputs to go on")
    stopped = 'leadscore_stopped_partitions{stage="match"}'
    wait_until(lambda: series(worker.get("/metrics")[1])[stopped] == 1, 30, "the metric to tell of one")
    assert detail in readiness(worker).replace("\\", "")
    assert worker.terminate() == 0

    command = ["topics", "accept-gap", "--topic", deployment.topic("website"), "--partition", "0"]
    assert run_tool(deployment, *command) == 1
    assert run_tool(deployment, *command, "--yes") == 0
    deployment.send_now(after)
    worker = deployment.start_worker()
    deployment.wait_until_settled()
    assert worker.terminate() == 0
    assert_exact(deployment, [*before, *(event for event in lost if event not in visits), *after])


# A full disk. A limit on the size of files (RLIMIT_FSIZE) is what any user may set: writing beyond it fails as it does
# where no space is left, with another number of the error. No tmpfs can be mounted without being root.


def limit_files(pid: int, size_bytes: int) -> None:
    """Of another process; it gets an error, and no signal, because what starts servers here ignores that signal."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))


@pytest.fixture
def broker() -> Iterator[KafkaCluster]:
    with kafka_cluster(1) as cluster:
        yield cluster


@pytest.mark.experiment("operators", "a full disk of Kafka costs nothing")
def test_a_full_disk_of_kafka_ends_the_broker_and_costs_nothing(
    broker: KafkaCluster, redis_server: RedisServer, redis_prefix: str, fresh_name: Callable[[str], str], tmp_path: Path
) -> None:
    deployment = Deployment(broker.server, redis_server, (fresh_name("d"), redis_prefix), tmp_path, WANDERING_MODEL)
    deployment.create_topics()
    before, after = wandering_events("before", 300), wandering_events("after", 300)
    worker = deployment.start_worker()
    deployment.send_now(before)
    deployment.wait_until_settled()
    node = broker.nodes[1]
    assert node.process is not None
    limit_files(node.process.pid, 4_096)
    deployment.send_some(after)
    node.process.wait(60)
    wait_until(lambda: "kafka" in readiness(worker), 60, "the worker to say that Kafka is away")
    node.start()
    deployment.producer.flush(60)
    deployment.wait_until_settled()
    assert worker.terminate() == 0
    assert_exact(deployment, before + after)
    deployment.stop()


@pytest.mark.experiment("operators", "a full disk of Redis pauses scoring until there is room")
def test_a_full_disk_of_redis_pauses_scoring_until_there_is_room(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(WANDERING_MODEL)
    before, after = wandering_events("before", 300), wandering_events("after", 300)
    kind = next(iter(redis_binaries()))
    with start_redis(kind, "--appendonly", "yes", "--appendfsync", "everysec", "--save", "") as server:
        assert server.pid is not None
        worker = deployment.start_worker(LEADSCORE_REDIS_URL=server.url)
        deployment.redis = server
        deployment.send_now(before)
        deployment.wait_until_settled()
        limit_files(server.pid, 4_096)
        deployment.send_now(after)
        wait_until(lambda: "MISCONF" in readiness(worker), 60, "the worker to say that Redis cannot write")
        assert worker.process.poll() is None
        limit_files(server.pid, resource.RLIM_INFINITY)
        deployment.wait_until_settled()
        assert worker.terminate() == 0
        assert_exact(deployment, before + after)
        assert deployment.read("dead-letters") == []
