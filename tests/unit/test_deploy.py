"""What is in deploy fits the program and the tests."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from leadscore.ops.config import load_config
from tests.servers import KAFKA_SETTINGS, REDIS_SETTINGS, kafka_version

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def test_compose_runs_the_kafka_that_the_tests_run() -> None:
    assert COMPOSE["services"]["kafka"]["image"] == f"apache/kafka:{kafka_version()}"


def test_compose_gives_the_servers_the_settings_that_the_tests_use() -> None:
    kafka, redis = (COMPOSE["services"][name]["volumes"][0].split(":")[0] for name in ("kafka", "redis"))
    assert [(DEPLOY / kafka).resolve(), (DEPLOY / redis).resolve()] == [KAFKA_SETTINGS, REDIS_SETTINGS]


def test_every_image_has_a_version() -> None:
    images = [service["image"] for service in COMPOSE["services"].values()]
    images += re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert [image for image in images if not re.search(r":[0-9]", image)] == []


@pytest.mark.parametrize("service", ["topics", "worker"])
def test_the_program_accepts_the_environment_of_compose(service: str) -> None:
    environment = COMPOSE["services"][service]["environment"]
    config = load_config(environment)
    assert config.redis_url == environment["LEADSCORE_REDIS_URL"]


def test_the_image_runs_the_worker_itself_and_not_as_root() -> None:
    assert '\nENTRYPOINT ["leadscore"]\n' in DOCKERFILE
    assert re.search(r"^USER [1-9][0-9]*:", DOCKERFILE, re.MULTILINE)
