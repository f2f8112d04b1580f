"""The tools on real servers, beside a real worker: topics, explain, list, log, commands, accept-gap."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from leadscore.cli.main import main
from leadscore.events.event import Event
from leadscore.log.records import partition_of
from leadscore.pipeline.score.outbox import encode_outputs
from leadscore.store.keys import ShardKeys
from tests.deployment import LOG_PARTITIONS, Deployment, now_ms
from tests.impatient_worker import MODULE as IMPATIENT
from tests.servers import KafkaServer, RedisServer, every_partition_answers, wait_until
from tests.unit.registry_stub import registry_stub

MODEL = {
    "model": "tools",
    "version": 2,
    "rules": {
        "pricing_page": {"event": "website.page_view", "where": {"path": {"matches": "^/pricing"}}, "points": 30},
        "mail_click": {"event": "email.click", "points": 10},
    },
    "thresholds": {"mql": {"enter": 55, "exit": 40}},
}
pytestmark = pytest.mark.lasting_leads

Tool = Callable[..., tuple[int, str, str]]


@pytest.fixture
def deployment(
    kafka: KafkaServer,
    redis_server: RedisServer,
    redis_prefix: str,
    fresh_name: Callable[[str], str],
    tmp_path: Path,
) -> Iterator[Deployment]:
    """A deployment without topics yet."""
    made = Deployment(kafka, redis_server, (fresh_name("tools"), redis_prefix), tmp_path, MODEL)
    yield made
    made.stop()


@pytest.fixture
def tool(deployment: Deployment, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Tool:
    """``tool("explain", "L1")`` is exit code, output and complaints of the command, configured for the deployment."""
    for name, value in deployment.config().items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def working(deployment: Deployment, tool: Tool) -> Deployment:
    """A deployment whose worker has applied a few events: ``L1`` is in the threshold, ``L2`` is not."""
    assert tool("topics", "create", "--source-partitions", "2")[0] == 0
    kafka, own = deployment.kafka.bootstrap, f"{deployment.name}."
    wait_until(lambda: every_partition_answers(kafka, own), 30, "the brokers to lead every partition")
    deployment.start_worker()
    now = now_ms()
    views = [Event("website.page_view", f"e{number}", "L1", now - 2000, {"path": "/pricing"}) for number in range(2)]
    deployment.send([*views, Event("email.click", "e3", "L2", now - 1000, {})])
    deployment.wait_until_done()
    return deployment


def objects(lines: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]


def delete_records(deployment: Deployment, partition: int, below: int) -> None:
    """What retention does."""
    admin = AdminClient({"bootstrap.servers": deployment.kafka.bootstrap})
    where = TopicPartition(deployment.topic("log"), partition, below)
    for answer in admin.delete_records([where]).values():
        answer.result(timeout=30)


def commit(deployment: Deployment, partition: int, offset: int) -> None:
    """Set the score group's offset, as a backup of another cluster may."""
    consumer = Consumer({"bootstrap.servers": deployment.kafka.bootstrap, "group.id": f"{deployment.name}-score"})
    where = TopicPartition(deployment.topic("log"), partition, offset)
    wait_until(lambda: consumer.commit(offsets=[where], asynchronous=False), 30, "the commit")
    consumer.close()


def recreate_log(deployment: Deployment, tool: Tool) -> None:
    admin = AdminClient({"bootstrap.servers": deployment.kafka.bootstrap})
    log = deployment.topic("log")
    for answer in admin.delete_topics([log]).values():
        answer.result(timeout=30)
    wait_until(lambda: log not in admin.list_topics(timeout=10).topics, 30, "the log to be gone")
    assert tool("topics", "create")[0] == 0


def stopped_partitions(deployment: Deployment) -> set[int]:
    return deployment.workers[-1].partitions_of("log_partitions_stopped")


# topics


def test_the_topics_are_created_once_and_differences_are_reported(deployment: Deployment, tool: Tool) -> None:
    code, out, _ = tool("topics", "create", "--dry-run")
    assert (code, out.count("would be created")) == (0, 9)
    code, out, _ = tool("topics", "create", "--log-retention", "10d")
    assert (code, out.count(": created: ")) == (0, 9)
    code, out, _ = tool("topics", "create")
    assert (code, out.count(": exists: ")) == (0, 9)
    assert f"{deployment.topic('log')}: exists: 4 partitions; retention.ms is 864000000, expected 2592000000" in out
    assert out.count("expected") == 1


def test_a_log_with_another_number_of_partitions_is_refused(
    deployment: Deployment, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tool("topics", "create")[0] == 0
    monkeypatch.setenv("LEADSCORE_LOG_PARTITIONS", "5")
    code, _, complaint = tool("topics", "create")
    assert code == 1
    assert f"LEADSCORE_LOG_PARTITIONS: 5: topic {deployment.topic('log')} has 4 partitions" in complaint


def test_more_copies_than_there_are_brokers_are_refused(deployment: Deployment, tool: Tool) -> None:
    brokers = len(AdminClient({"bootstrap.servers": deployment.kafka.bootstrap}).list_topics(timeout=10).brokers)
    code, out, complaint = tool("topics", "create", "--dry-run", "--replication", str(brokers + 1))
    assert (code, out) == (2, "")
    assert complaint == f"--replication: {brokers + 1}: expected at most one copy per broker, there are {brokers}\n"


def test_the_logs_time_is_the_brokers(deployment: Deployment, tool: Tool) -> None:
    assert tool("topics", "create")[0] == 0
    producer = Producer({"bootstrap.servers": deployment.kafka.bootstrap})
    producer.produce(deployment.topic("log"), b"x", partition=0, timestamp=1_000)
    producer.flush(30)
    consumer = Consumer({"bootstrap.servers": deployment.kafka.bootstrap, "group.id": "test"})
    consumer.assign([TopicPartition(deployment.topic("log"), 0, 0)])
    message = consumer.poll(30)
    consumer.close()
    assert message is not None
    assert message.timestamp()[0] == TIMESTAMP_LOG_APPEND_TIME
    assert abs(message.timestamp()[1] - now_ms()) < 60_000


def test_the_contracts_are_registered_under_their_topics(
    deployment: Deployment, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    contracts = {"website": "WebsiteEvent", "email": "EmailEvent", "webinar": "WebinarEvent"}
    contracts |= {"profiles": "LeadProfile", "commands": "LeadCommand", "crossings": "Crossing"}
    subjects = {f"{deployment.topic(word)}-value": name for word, name in contracts.items()}
    with registry_stub() as registry:
        monkeypatch.setenv("LEADSCORE_SCHEMA_REGISTRY_URL", registry.url)
        registry.answers = {f"/subjects/{subject}/versions": (200, '{"id": 7}') for subject in subjects}
        assert "-value: the schema crossing would be registered" in tool("topics", "create", "--dry-run")[1]
        assert registry.requests == []
        code, out, _ = tool("topics", "create")
    assert (code, out.count(" has id 7")) == (0, 6)
    sent = zip(registry.requests, registry.bodies, strict=True)
    assert {
        path.split("/")[2]: json.loads(json.loads(body)["schema"])["name"] for (_, path, _), body in sent
    } == subjects


# explain, list, log, commands


def test_explain_and_list_read_what_the_worker_wrote(working: Deployment, tool: Tool) -> None:
    code, out, _ = tool("explain", "L1", "--json")
    lead = json.loads(out)
    assert (code, lead["model_version"], lead["thresholds"]) == (0, 2, {"mql": "in"})
    assert lead["score"] == pytest.approx(60, abs=0.01)
    assert lead["next_change"]["at"] == lead["standings"][0]["projected_exit_at"]
    code, out, notes = tool("list", "--json")
    assert (code, notes) == (0, "looked at 1 lead\n")
    assert [(row["lead_id"], row["reason"]["name"]) for row in objects(out)] == [("L1", "pricing_page")]
    code, out, _ = tool("list", "--band", "cold", "--json")
    assert [row["lead_id"] for row in objects(out)] == ["L2"]
    assert tool("explain", "L1", "--model", str(working.model_path))[0] == 0


def test_the_log_is_read_by_lead_and_by_partition(working: Deployment, tool: Tool) -> None:
    code, out, _ = tool("log", "--lead", "L1")
    awards = [award for frame in objects(out) for award in frame["awards"]]
    assert code == 0
    # The two came over two partitions, so either may have been read first.
    assert sorted((award["event_id"], award["rules"][0]["name"]) for award in awards) == [
        ("e0", "pricing_page"),
        ("e1", "pricing_page"),
    ]
    assert {award["source"]["topic"] for award in awards} == {working.topic("website")}
    everything = objects(tool("log")[1])
    assert sum(len(frame["awards"]) for frame in everything) == 3
    number = partition_of("L1", LOG_PARTITIONS)
    mine = [frame for frame in everything if frame["partition"] == number]
    assert objects(tool("log", "--partition", str(number))[1]) == mine
    assert objects(tool("log", "--partition", str(number), "--from", "1")[1]) == mine[1:]
    assert objects(tool("log", "--partition", str(number), "--newest", "1")[1]) == mine[-1:]
    assert objects(tool("log", "--partition", str(number), "--newest", "999")[1]) == mine
    assert objects(tool("log", "--limit", "1")[1]) == everything[:1]
    assert tool("log", "--partition", str(number), "--from", "99")[1:] == (
        "",
        f"partition {number}: the log ends before offset {len(mine)}: nothing from 99 on\n",
    )
    assert tool("log", "--partition", "4")[2] == "--partition: 4: expected one of the log's, 0 to 3\n"


def test_a_command_is_applied_and_an_erased_lead_is_a_newcomer(working: Deployment, tool: Tool) -> None:
    code, out, _ = tool("command", "adjust", "L2", "--points", "50", "--reason", "met at the fair")
    assert code == 0
    assert f"stored in {working.topic('commands')}/" in out
    working.wait_until_done()
    assert json.loads(tool("explain", "L2", "--json")[1])["score"] == pytest.approx(60, abs=0.01)
    assert tool("erase", "L2", "--yes")[0] == 0
    working.wait_until_done()
    assert json.loads(tool("explain", "L2", "--json")[1])["scored"] is False
    stored_keys = working.keys()
    assert not [key for key in stored_keys if key.endswith(b"/L2")]


# accept-gap


def test_without_a_gap_there_is_nothing_to_accept(working: Deployment, tool: Tool) -> None:
    code, out, complaint = tool("log", "accept-gap", "--partition", "0", "--yes")
    assert (code, complaint) == (2, "--partition: 0: there is no gap to accept: the log holds all it needs\n")
    assert f"group {working.name}" not in out


def test_after_an_accepted_gap_the_shard_goes_on_at_the_oldest_record(working: Deployment, tool: Tool) -> None:
    number = partition_of("L1", LOG_PARTITIONS)
    working.workers[-1].terminate()
    before = working.snapshot()
    matcher = working.start_worker(LEADSCORE_ROLE="all")
    view = Event("website.page_view", "e5", "L1", now_ms(), {"path": "/pricing"})
    working.send([view])
    working.wait_until_done()
    matcher.terminate()
    working.lose_writes_since(before)
    high = len(objects(tool("log", "--partition", str(number))[1]))
    delete_records(working, number, high)
    worker = working.start_other(IMPATIENT)
    wait_until(lambda: stopped_partitions(working) == {number}, 30, "the partition to stop")

    code, out, _ = tool("log", "accept-gap", "--partition", str(number))
    assert code == 1
    assert f"goes on at offset {high}; 1 records are lost." in out
    assert "Nothing was changed" in out
    code, out, _ = tool("log", "accept-gap", "--partition", str(number), "--yes")
    assert (code, out.splitlines()[-1]) == (0, "Done. A worker that owns the partition goes on within half a minute.")
    wait_until(lambda: number in worker.partitions_of("shards_started"), 60, "the shard to go on")
    working.send([Event("email.click", "e6", "L1", now_ms(), {})])
    working.wait_until_done()
    assert json.loads(tool("explain", "L1", "--json")[1])["score"] == pytest.approx(70, abs=0.01)


def test_a_recreated_log_begins_anew_after_the_gap_is_accepted(working: Deployment, tool: Tool) -> None:
    working.workers[-1].terminate()
    recreate_log(working, tool)
    working.start_other(IMPATIENT)
    number = partition_of("L1", LOG_PARTITIONS)
    wait_until(lambda: number in stopped_partitions(working), 30, "the partition to stop")
    outbox = ShardKeys(working.prefix, number, LOG_PARTITIONS).outbox
    with closing(working._redis()) as client:
        client.hset(outbox, 4_950, encode_outputs([]))  # what the old log caused must not come out of the new one
    for number in stopped_partitions(working):
        assert tool("log", "accept-gap", "--partition", str(number), "--yes")[0] == 0
    with closing(working._redis()) as client:
        assert client.hkeys(outbox) == []
    working.send([Event("email.click", "e6", "L1", now_ms(), {})])
    working.wait_until_done()
    assert json.loads(tool("explain", "L1", "--json")[1])["score"] == pytest.approx(70, abs=0.01)


def test_a_committed_offset_beyond_the_logs_end_is_set_once_the_workers_are_stopped(
    working: Deployment, tool: Tool
) -> None:
    number = partition_of("L1", LOG_PARTITIONS)
    working.workers[-1].terminate()
    commit(working, number, 500)
    worker = working.start_worker()
    wait_until(lambda: stopped_partitions(working) == {number}, 30, "the partition to stop")
    code, _, complaint = tool("log", "accept-gap", "--partition", str(number), "--yes")
    assert code == 2
    assert "has running workers" in complaint
    worker.terminate()
    code, out, _ = tool("log", "accept-gap", "--partition", str(number), "--yes")
    assert code == 0
    assert f"The committed offset of group {working.name}-score, which is of another log, becomes 0" in out
    working.send([Event("email.click", "e6", "L1", now_ms(), {})])
    working.start_worker()
    working.wait_until_done()
    assert json.loads(tool("explain", "L1", "--json")[1])["score"] == pytest.approx(70, abs=0.01)
    assert len({crossing["id"] for crossing in working.crossings()}) == 1
