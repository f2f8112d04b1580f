"""What the experiments share: deployments, ways to both servers, and a line for each experiment at the end."""

import os
from collections.abc import Callable, Generator, Iterator
from urllib.parse import urlsplit

import pytest

from leadscore.cli.main import main
from tests.conftest import NEEDS_KAFKA, asking_for
from tests.deployment import Deployment
from tests.e2e.conftest import deploy, new_slow_way, node_modules
from tests.faults.report import Figures, Row, in_order, keep, row_of
from tests.faults.way import KafkaWire, RedisWire, Way
from tests.servers import LOOPBACK, KafkaSecurity, KafkaServer, RedisServer, free_ports, start_kafka_with

__all__ = ["deploy", "new_slow_way", "node_modules"]

ROWS = pytest.StashKey[list[Row]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    mark = item.get_closest_marker("experiment")
    is_open = hasattr(report, "wasxfail")
    if mark is not None and (report.when == "call" or report.failed) and (is_open or not report.skipped):
        figures = getattr(item, "funcargs", {}).get("figures", Figures())
        figures.is_open = is_open
        row = row_of(item.name, mark.args, figures, passed=report.passed, seconds=report.duration)
        item.config.stash[ROWS].append(row)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line per experiment; all rows are kept for ``make faults-page``."""
    rows = in_order(config.stash[ROWS])
    if rows:
        keep(rows)
        terminalreporter.section("experiments")
        for row in rows:
            terminalreporter.write_line(row.line, red=not row.passed)


@pytest.fixture
def figures() -> Figures:
    """What the experiment did and saw, for its line in the report."""
    return Figures()


@pytest.fixture
def redis_way(redis_server: RedisServer) -> Iterator[Way]:
    """A way to Redis that can fail; workers get ``LEADSCORE_REDIS_URL=redis_way.redis_url``."""
    with Way(urlsplit(redis_server.url).port or 0, RedisWire()) as way:
        yield way


class KafkaByWay:
    """A Kafka with two listeners: tests use the plain one, ``way`` leads to the other, which is told to its clients."""

    def __init__(self) -> None:
        self.way = Way(0, KafkaWire())
        broker, controller, self.way.target_port = free_ports(3)
        listeners = {"PLAINTEXT": broker, "WAY": self.way.target_port, "CONTROLLER": controller}
        advertised = {"PLAINTEXT": broker, "WAY": self.way.port}
        more = [
            f"listeners={_addresses(listeners)}",
            f"advertised.listeners={_addresses(advertised)}",
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,WAY:PLAINTEXT",
            "inter.broker.listener.name=PLAINTEXT",
            "group.consumer.min.session.timeout.ms=6000",
            "group.consumer.session.timeout.ms=15000",
            "group.consumer.min.heartbeat.interval.ms=1000",
            "group.consumer.heartbeat.interval.ms=3000",
        ]
        self.server: KafkaServer = start_kafka_with(KafkaSecurity("PLAINTEXT", (broker, controller), {}), more)


def _addresses(ports: dict[str, int]) -> str:
    return ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in ports.items())


@pytest.fixture(scope="session")
def kafka_by_way() -> Iterator[KafkaByWay]:
    with asking_for(NEEDS_KAFKA):
        by_way = KafkaByWay()
    with by_way.server, by_way.way:
        yield by_way


@pytest.fixture(scope="session")
def kafka(kafka_by_way: KafkaByWay) -> KafkaServer:
    """The Kafka of all experiments that start none of their own."""
    return kafka_by_way.server


@pytest.fixture
def kafka_way(kafka_by_way: KafkaByWay) -> Iterator[Way]:
    """A way to Kafka that can fail; workers get ``LEADSCORE_KAFKA__BOOTSTRAP_SERVERS=kafka_way.kafka_address``."""
    yield kafka_by_way.way
    kafka_by_way.way.heal()


@pytest.fixture
def run_tool(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """``run_tool(deployment, *arguments)`` is the exit code of ``leadscore`` with these arguments."""

    def run(deployment: Deployment, *arguments: str) -> int:
        for name in [name for name in os.environ if name.startswith("LEADSCORE_")]:
            monkeypatch.delenv(name)
        for name, value in deployment.config().items():
            monkeypatch.setenv(name, value)
        return main(list(arguments))

    return run
