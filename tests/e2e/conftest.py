"""A deployment per test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deployment import Deployment
from tests.servers import KafkaServer, RedisServer


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
