"""A real schema registry, Apicurio, which has the API of Confluent's: a process with its schemas in memory.

It comes from Maven once, into ``.cache``.
"""

import argparse
import shutil
import signal
import sys
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

from tests.servers import (
    CACHE,
    DOWNLOAD_TIMEOUT_S,
    LOOPBACK,
    ServerFailed,
    ServerNotAvailable,
    _java,
    _keep,
    _new_directory,
    _run,
    _spawn,
    _stop_at_exit,
    _wait_for_process,
    free_ports,
)

VERSION = "2.6.13.Final"
API = "apis/ccompat/v7"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
ANSWER_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class SchemaRegistryServer:
    """``url`` is where the API of Confluent's begins."""

    url: str
    stop: Callable[[], None]

    def __str__(self) -> str:
        return f"Apicurio Registry {VERSION} at {self.url}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


def main() -> int:
    """Keep one running until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Run a schema registry until Ctrl-C.")
    parser.add_argument("port", type=int, help="the port on 127.0.0.1; 0: any free one")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with start_schema_registry(args.port) as server:
            exports = {"LEADSCORE_SCHEMA_REGISTRY_URL": server.url}
            return _keep(str(server), exports, lambda: _answers(server.url))
    except (ServerNotAvailable, ServerFailed) as reason:
        print(reason, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def start_schema_registry(port: int = 0) -> SchemaRegistryServer:
    """An empty one, on this port of the loopback or any free one; ``ServerNotAvailable`` where it cannot be had."""
    java, program = _java(), _program()
    [own_port] = [port] if port else free_ports(1)
    with ExitStack() as undo:
        directory = _new_directory("schema-registry", undo)
        listening = [f"-Dquarkus.http.host={LOOPBACK}", f"-Dquarkus.http.port={own_port}"]
        process = _spawn([java, "-Xmx400m", *listening, "-jar", str(program)], directory, undo)
        url = f"http://{LOOPBACK}:{own_port}/{API}"
        _wait_for_process(process, directory, lambda: _answers(url))
        return SchemaRegistryServer(url, _stop_at_exit(undo))


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/subjects", timeout=ANSWER_TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except (URLError, ConnectionError, TimeoutError):
        return False


def _program() -> Path:
    """The jar to run, beside those that it needs."""
    folder = CACHE / f"apicurio-registry-{VERSION}"
    if not folder.is_dir():
        _download(folder)
    return folder / f"apicurio-registry-app-{VERSION}-runner.jar"


def _download(folder: Path) -> None:
    maven = shutil.which("mvn")
    if not maven:
        raise ServerNotAvailable("there is no mvn to get a schema registry with")
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as partial:
        artifact = f"-Dartifact=io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
        try:
            _run([maven, "-B", "-q", COPY, artifact, f"-DoutputDirectory={partial}"], timeout_s=DOWNLOAD_TIMEOUT_S)
        except ServerFailed as failure:
            raise ServerNotAvailable(f"mvn could not get a schema registry: {failure}") from failure
        [archive] = Path(partial).iterdir()
        unpacked = Path(partial) / "unpacked"
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")
        if not folder.is_dir():  # else another run was faster
            unpacked.rename(folder)


if __name__ == "__main__":
    sys.exit(main())
