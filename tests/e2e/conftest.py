"""A deployment per test, a Kafka that may stand still, ways to Redis that are slow at will, and packages of Node."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.conftest import NEEDS_KAFKA, NEEDS_KAFKAJS, NEEDS_SCHEMA_REGISTRY, asking_for
from tests.deployment import Deployment
from tests.node_packages import node_packages
from tests.schema_registry_server import SchemaRegistryServer, start_schema_registry
from tests.servers import KAFKA_VARIABLE, KafkaServer, RedisServer, start_kafka
from tests.slow_way import SlowWay


@pytest.fixture
def deploy(
    kafka: KafkaServer,
    redis_server: RedisServer,
    redis_prefix: str,
    fresh_name: Callable[[str], str],
    tmp_path: Path,
) -> Iterator[Callable[..., Deployment]]:
    """``deploy(model)`` is a deployment with topics; its processes and topics are gone after the test."""
    made: list[Deployment] = []

    def make(model: dict[str, Any], source_partitions: int = 3) -> Deployment:
        deployment = Deployment(kafka, redis_server, (fresh_name("d"), redis_prefix), tmp_path, model)
        made.append(deployment)
        deployment.create_topics(source_partitions)
        return deployment

    yield make
    for deployment in made:
        deployment.stop()


@pytest.fixture
def own_kafka(monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaServer]:
    """One that may stand still without disturbing others."""
    monkeypatch.delenv(KAFKA_VARIABLE, raising=False)
    with asking_for(NEEDS_KAFKA):
        server = start_kafka()
    with server:
        if server.pid is None:
            pytest.skip("this Kafka is no process that can be stopped")
        yield server


@pytest.fixture
def new_slow_way(redis_server: RedisServer) -> Iterator[Callable[[], SlowWay]]:
    with ExitStack() as ending:

        def make() -> SlowWay:
            way = ending.enter_context(SlowWay(redis_server))
            Thread(target=way.serve_forever, args=(0.05,), daemon=True).start()
            ending.callback(way.shutdown)
            ending.callback(way.let_go.set)
            return way

        yield make


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder with kafkajs and avsc in it. Without node the test fails on CI; elsewhere it is not run, and said."""
    with asking_for(NEEDS_KAFKAJS):
        return node_packages(Path(__file__).parent / "foreign" / "package.json")


@pytest.fixture(scope="session")
def schema_registry() -> Iterator[SchemaRegistryServer]:
    """A real one. Where it cannot be had the test fails on CI; elsewhere it is not run, and that is said."""
    with asking_for(NEEDS_SCHEMA_REGISTRY):
        server = start_schema_registry()
    with server:
        yield server
