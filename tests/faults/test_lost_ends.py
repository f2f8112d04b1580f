"""An input topic loses its end under the same id: what stands there afterwards counts, once, and nothing else twice."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leadscore.cli.run import CRASH_VARIABLE
from leadscore.events.event import Event
from tests.deployment import (
    FEW_RECENT,
    FEW_RECENT_EVENTS,
    WANDERING_MODEL,
    Deployment,
    WorkerProcess,
    assert_exact,
    frames,
    wandering_events,
)
from tests.faults.kafka_cluster import KafkaCluster, KafkaNode, kafka_cluster
from tests.servers import RedisServer, wait_until

pytestmark = pytest.mark.lasting_leads

Tool = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaCluster]:
    with kafka_cluster(1) as cluster:
        yield cluster


@pytest.fixture
def deployment(
    broker: KafkaCluster,
    redis_server: RedisServer,
    redis_prefix: str,
    fresh_name: Callable[[str], str],
    tmp_path: Path,
) -> Iterator[Deployment]:
    names = (fresh_name("d"), redis_prefix)
    deployment = Deployment(broker.server, redis_server, names, tmp_path, WANDERING_MODEL)
    deployment.environ = dict(FEW_RECENT)
    deployment.create_topics(source_partitions=1)
    yield deployment
    deployment.stop()


@pytest.fixture
def tool(deployment: Deployment, run_tool: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> Tool:
    """Run a command with the deployment's environment: exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = run_tool(deployment, *arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def visits(name: str, number: int) -> list[Event]:
    """Those that a rule of the model matches."""
    return [event for event in wandering_events(name, 12 * number) if event.fields.get("path") == "/pricing"][:number]


def send_in_batches(deployment: Deployment, events: list[Event]) -> None:
    """Ten records are one batch: less than one cannot be lost."""
    for first in range(0, len(events), 10):
        deployment.send_now(events[first : first + 10])


def lose_end(node: KafkaNode, topic: str, partition: int, first: int) -> None:
    """A loss of power takes the node, and the records from this one on."""
    node.kill()
    node.lose_from(topic, partition, first)
    node.start()


def why_website_stops(worker: WorkerProcess, deployment: Deployment) -> str:
    """What a worker says of the partition; the other inputs go on."""
    line = worker.wait_for("source_partition_stopped", 60)
    assert (line["topic"], line["partition"]) == (deployment.topic("website"), 0)
    wait_until(lambda: deployment.lag_of("email") == 0, 60, "the other inputs to go on")
    return str(line["detail"])


@pytest.mark.experiment("17", "records in the place of lost ones that were logged and not committed count once")
def test_records_in_the_place_of_lost_ones_that_were_logged_and_not_committed_count(
    broker: KafkaCluster, deployment: Deployment
) -> None:
    """A loss of power takes the worker and the end of its input at once: the log is further than what is committed."""
    before, after = visits("before", 60), visits("after", 30)
    send_in_batches(deployment, before)
    deployment.start_worker(**{CRASH_VARIABLE: "logged"}).wait_for_death()
    assert sum(len(frame.awards) for _, _, frame in frames(deployment.log())) == 60
    assert deployment.lag_of("website") == 60
    lose_end(broker.nodes[1], deployment.topic("website"), 0, 40)
    send_in_batches(deployment, after)
    deployment.start_worker()
    deployment.wait_until_settled()
    assert_exact(deployment, before + after, FEW_RECENT_EVENTS)


@pytest.mark.experiment("17", "an input that lost its end stops with the numbers; accepted, every event counts once")
def test_an_input_that_lost_its_end_stops_until_the_gap_is_accepted_and_then_every_event_counts_once(
    broker: KafkaCluster, deployment: Deployment, tool: Tool
) -> None:
    before, after = visits("before", 60), visits("after", 40)
    worker = deployment.start_worker()
    send_in_batches(deployment, before)
    deployment.wait_until_settled()
    assert worker.terminate() == 0
    lose_end(broker.nodes[1], deployment.topic("website"), 0, 40)

    worker = deployment.start_worker()
    mail = [event for event in wandering_events("mail", 60) if event.type == "email.click"]
    deployment.send_now(mail)
    said = why_website_stops(worker, deployment)
    assert "the committed offset 60 is beyond its end: at least 20 records are lost that were read and count" in said
    assert worker.terminate() == 0

    send_in_batches(deployment, after)  # by now the topic is longer than it was
    worker = deployment.start_worker()
    said = why_website_stops(worker, deployment)
    assert "record 59, before the committed offset 60, is of leader epoch" in said
    command = ("topics", "accept-gap", "--topic", deployment.topic("website"), "--partition", "0")
    assert " ".join(command) in said

    code, out, _ = tool(*command)
    assert code == 1
    assert "Accepting the gap: the partition goes on at offset 40." in out
    code, _, complaint = tool(*command, "--yes")
    assert code == 2
    assert "has running workers" in complaint
    assert worker.terminate() == 0
    assert tool(*command, "--yes")[0] == 0
    deployment.start_worker()
    deployment.wait_until_settled()
    assert_exact(deployment, before + after + mail, FEW_RECENT_EVENTS)
    assert tool(*command, "--yes")[0] == 2  # there is no gap any more
