"""A deployment per test, ways to Redis that are slow at will, and packages of Node."""

import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.conftest import NEEDS_KAFKAJS, on_ci
from tests.deployment import Deployment
from tests.servers import CACHE, KafkaServer, RedisServer
from tests.slow_way import SlowWay

INSTALL_TIMEOUT_S = 300


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
    package = Path(__file__).parent / "foreign" / "package.json"
    installed = CACHE / f"kafkajs-{zlib.crc32(package.read_bytes()):08x}"
    if not shutil.which("node") or not shutil.which("npm"):
        message = f"{NEEDS_KAFKAJS}: there is no node, or no npm to get it with"
        if on_ci():
            pytest.fail(message)
        pytest.skip(message)
    if not installed.is_dir():
        install(package, installed)
    return installed / "node_modules"


def install(package: Path, installed: Path) -> None:
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as partial:
        shutil.copy(package, partial)
        npm = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        subprocess.run(npm, cwd=partial, check=True, timeout=INSTALL_TIMEOUT_S)
        if not installed.is_dir():  # else another run was faster
            shutil.copytree(partial, installed)
