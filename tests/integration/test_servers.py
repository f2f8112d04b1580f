"""The servers under the integration tests are real, are set as the product needs them, and end with the run."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import redis
from confluent_kafka import Consumer, Message, Producer, TopicCollection
from confluent_kafka.admin import AdminClient

from tests.conftest import create_topic, keys_that_stay
from tests.servers import (
    REDIS_VARIABLE,
    ROOT,
    KafkaServer,
    RedisKind,
    RedisServer,
    redis_binaries,
    start_redis,
    wait_until,
)

NewTopicName = Callable[..., str]
FreshName = Callable[[str], str]


def first_record(kafka: KafkaServer, topic: str, group: str) -> Message:
    settings = {
        "bootstrap.servers": kafka.bootstrap,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
    }
    with closing(Consumer(settings)) as consumer:
        consumer.subscribe([topic])
        record = wait_until(lambda: consumer.poll(0.1), 30, "a record")
    assert record is not None
    return record


def test_a_record_goes_through_kafka_with_key_and_headers(
    kafka: KafkaServer, new_topic: NewTopicName, fresh_name: FreshName
) -> None:
    topic = new_topic("servers", partitions=3)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(topic, b"value", b"key", partition=2, headers=[("name", b"text")])
    assert producer.flush(30) == 0
    record = first_record(kafka, topic, fresh_name("group"))
    assert (record.partition(), record.offset(), record.key(), record.value()) == (2, 0, b"key", b"value")
    assert record.headers() == [("name", b"text")]


def test_a_read_committed_reader_does_not_see_an_aborted_record(
    kafka: KafkaServer, new_topic: NewTopicName, fresh_name: FreshName
) -> None:
    topic = new_topic("servers")
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": fresh_name("transaction")})
    producer.init_transactions(30)
    for value, end in ((b"aborted", producer.abort_transaction), (b"committed", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value)
        assert producer.flush(30) == 0
        end(30)
    record = first_record(kafka, topic, fresh_name("group"))
    assert (record.value(), record.offset()) == (b"committed", 2)  # 0 is the aborted record, 1 the mark of the abort


def test_a_topic_made_anew_under_its_old_name_has_another_id(kafka: KafkaServer, new_topic: NewTopicName) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    topic = new_topic("servers")
    first_id = topic_id(admin, topic)
    assert topic_id(admin, topic) == first_id
    admin.delete_topics([topic])[topic].result(timeout=30)
    wait_until(lambda: topic not in admin.list_topics(timeout=10).topics, 30, f"the end of topic {topic}")
    create_topic(admin, topic, 1, {})
    assert topic_id(admin, topic) != first_id


def topic_id(admin: AdminClient, topic: str) -> str:
    described = admin.describe_topics(TopicCollection([topic]), request_timeout=30)[topic].result()
    return str(described.topic_id)


@pytest.mark.every_redis
def test_redis_evicts_nothing(redis_server: RedisServer) -> None:
    with closing(redis.Redis.from_url(redis_server.url)) as client:
        assert client.info("memory")["maxmemory_policy"] == "noeviction"


@pytest.mark.every_redis
def test_a_key_without_a_ttl_counts_as_leaked_unless_it_is_permanent(
    redis_server: RedisServer, redis_prefix: str
) -> None:
    stays, fence, ends = (f"{{{redis_prefix}}}{rest}" for rest in ("lead", ":fence", "other"))
    with closing(redis.Redis.from_url(redis_server.url)) as client:
        client.mset({stays: b"1", fence: b"1", ends: b"1"})
        client.expire(ends, 60)
        assert keys_that_stay(client, [stays.encode(), fence.encode(), ends.encode()]) == [stays.encode()]
        client.delete(stays)


@pytest.mark.parametrize("kind", redis_binaries())
def test_a_redis_of_ones_own_takes_options_and_leaves_nothing_behind(kind: RedisKind) -> None:
    with start_redis(kind, "--maxmemory", "3mb") as server, closing(redis.Redis.from_url(server.url)) as client:
        assert client.info("memory")["maxmemory"] == 3 * 1024 * 1024
        directory = Path(client.config_get("dir")["dir"] or "")
        assert directory.is_dir()
    assert not directory.exists()
    assert server.pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends the servers of a killed run on Linux only")
def test_a_server_ends_when_its_owner_is_killed() -> None:
    program = "from tests import servers; print(servers.start_redis(servers.redis_kinds()[0]).pid, flush=True); input()"
    environment = {**os.environ, REDIS_VARIABLE: "", "DOCKER_HOST": "tcp://127.0.0.1:1"}
    owner = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        os.kill(pid, 0)
        owner.send_signal(signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or is_zombie(pid), 10, "the end of the server")


def is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def run_one_test_without_kafka(*, ci: str) -> "subprocess.CompletedProcess[str]":
    """Run a test of this file where neither Docker nor Java can be found."""
    environment = {
        "PATH": "/nowhere",
        "HOME": os.environ.get("HOME", "/"),
        "DOCKER_HOST": "tcp://127.0.0.1:1",
        "CI": ci,
    }
    test = f"{Path(__file__).relative_to(ROOT)}::{test_a_topic_made_anew_under_its_old_name_has_another_id.__name__}"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)


def test_without_kafka_a_run_on_ci_fails() -> None:
    run = run_one_test_without_kafka(ci="true")
    assert run.returncode == 1, run.stdout
    assert (
        "needs a real Kafka: LEADSCORE_TEST_KAFKA is not set; no Docker engine answers; there is no java" in run.stdout
    )


def test_without_kafka_a_run_elsewhere_says_how_many_tests_did_not_run() -> None:
    run = run_one_test_without_kafka(ci="")
    assert run.returncode == 0, run.stdout
    assert "NOT RUN: 1 test needs a real Kafka: LEADSCORE_TEST_KAFKA is not set; " in run.stdout
