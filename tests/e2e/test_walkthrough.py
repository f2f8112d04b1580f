"""docs/walkthrough.md as a newcomer follows it: every block of the page, in its order, on real servers."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from tests.http_stand_in import Crm
from tests.schema_registry_server import SchemaRegistryServer
from tests.servers import KafkaServer, RedisServer, free_ports, redis_kinds, start_redis
from tests.source_tree import ROOT, copy_tree

PAGE = (ROOT / "docs" / "walkthrough.md").read_text(encoding="utf-8")
STEPS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TIME_LIMIT_S = 15 * 60
TOPICS = ("shop.", "leadscore.")

pytestmark = [pytest.mark.lasting_leads, pytest.mark.timeout(300)]


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with start_redis(redis_kinds()[0]) as server:
        yield server


@pytest.fixture
def own_topics(kafka: KafkaServer) -> Iterator[KafkaServer]:
    """The topics of the page are gone after the test."""
    yield kafka
    admin = AdminClient({**kafka.properties})
    mine = [topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(TOPICS)]
    for deleted in admin.delete_topics(mine).values() if mine else ():
        deleted.result(timeout=30)


def folder_of_a_newcomer(folder: Path) -> Path:
    """The repository as far as the page uses it: what the page writes must not come into ours."""
    copy_tree(folder)
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def at_these_addresses(script: str, addresses: dict[str, str]) -> str:
    """The script with the addresses of the test's servers in the place of those of the page."""
    for of_page, of_test in addresses.items():
        assert of_page in script, f"the page does not name {of_page}"
        script = script.replace(of_page, of_test)
    return script


def test_the_page_leads_from_own_topics_to_a_task_in_the_crm_in_time(
    own_topics: KafkaServer, own_redis: RedisServer, schema_registry: SchemaRegistryServer, tmp_path: Path
) -> None:
    [port] = free_ports(1)
    crm = Crm()
    with crm.listening():
        addresses = {
            "localhost:9092": own_topics.bootstrap,
            "redis://localhost:6379/0": own_redis.url,
            "http://localhost:8081/apis/ccompat/v7": schema_registry.url,
            "http://localhost:8090": crm.url,
            "http://localhost:9464": f"http://localhost:{port}",
        }
        script = "set -eu -o pipefail\ntrap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n" + "\n".join(STEPS)
        begun_s = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", at_these_addresses(script, addresses)],
            cwd=folder_of_a_newcomer(tmp_path),
            env=_environment(port),
            capture_output=True,
            text=True,
            check=False,
            timeout=270,
        )
        logs = "".join(path.read_text() for path in (tmp_path / "walkthrough").glob("*.log"))
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs}"
        assert time.monotonic() - begun_s < TIME_LIMIT_S
        assert [task["contact"] for task in crm.tasks.values()] == ["c-17"]
        assert "0 problem" in done.stdout
        assert "not delivered: 0" in done.stdout
        assert "Last crossings" in done.stdout


def _environment(port: int) -> dict[str, str]:
    """That of a shell without settings of leadscore, in which no environment of Python is active."""
    ours = ("LEADSCORE", "VIRTUAL_ENV", "MAKE", "MFLAGS")
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if not folder.endswith(".venv/bin")]
    return inherited | {"PATH": os.pathsep.join(folders), "LEADSCORE_HTTP_PORT": str(port)}


def test_every_block_of_the_page_is_run() -> None:
    assert len(STEPS) == PAGE.count("\n```sh") == PAGE.count("```") / 2 >= 9
