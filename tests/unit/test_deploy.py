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


def test_the_image_scores_with_no_model_unless_one_is_mounted_and_named() -> None:
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "LEADSCORE_" not in re.sub("#.*", "", final)
    assert [line for line in final.splitlines() if line.startswith(("COPY", "ADD"))] == [
        "COPY --from=build /opt/leadscore /opt/leadscore"
    ]


@pytest.mark.parametrize("service", ["topics", "worker"])
def test_compose_mounts_the_model_that_it_names(service: str) -> None:
    mounts = dict(volume.split(":")[:2][::-1] for volume in COMPOSE["services"][service]["volumes"])
    mounted = mounts[COMPOSE["services"][service]["environment"]["LEADSCORE_MODEL"]]
    assert (DEPLOY / mounted).resolve() == DEPLOY / "model.yaml"


def test_the_image_gets_every_file_the_package_links_to() -> None:
    source = DEPLOY.parent / "src" / "leadscore"
    links = [link.resolve().relative_to(DEPLOY.parent) for link in source.rglob("*") if link.is_symlink()]
    copied = set(" ".join(re.findall(r"^COPY (?!--)(.*) \S+$", DOCKERFILE, re.MULTILINE)).split())
    allowed = {line.removeprefix("!") for line in (DEPLOY.parent / ".dockerignore").read_text().splitlines()}
    assert len(links) > 3
    assert {link.as_posix() for link in links} - copied == set()
    assert {link.as_posix() for link in links} - allowed == set()


def test_the_image_runs_the_worker_itself_and_not_as_root() -> None:
    assert '\nENTRYPOINT ["leadscore"]\n' in DOCKERFILE
    assert re.search(r"^USER [1-9][0-9]*:", DOCKERFILE, re.MULTILINE)
