"""Real workers under load and faults, and a real Prometheus: the right alerts fire and end, and every query has data.

The rules are those of deploy/prometheus with a faster clock: a minute lasts one or two seconds. What is not scaled is
what is promised: five seconds.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deploy.prometheus.alerts import all_alerts
from deploy.prometheus.scale import Scale
from tests.conftest import NEEDS_PROMETHEUS, asking_for
from tests.dashboard_queries import all_queries
from tests.debian_prometheus import prometheus_binary
from tests.deployment import Deployment
from tests.faults.way import RedisWire, Way
from tests.monitored import MODEL, Monitored
from tests.prometheus_server import elapsed_since
from tests.servers import KafkaServer, RedisServer, redis_binaries, start_redis

pytestmark = pytest.mark.lasting_leads

SETTINGS = {
    "LEADSCORE_REDIS_TIMEOUT": "1s",
    "LEADSCORE_KAFKA__SESSION_TIMEOUT_MS": "6000",
    "LEADSCORE_DEAD_LETTER_MAX_RATIO": "1",
}
BUDGETS = {f"Leadscore{name}BudgetBurns{pace}" for name in ("Freshness", "Publishing") for pace in ("Fast", "Slowly")}
"""Whatever is wrong for longer than five seconds makes records and crossings late, a rebalance among it."""
SLOW = {name for name in BUDGETS if name.endswith("Slowly")}
"""They look back for hours, which are minutes here."""
OUTAGE = {"LeadscoreRedisDown", "LeadscoreStuck"}
KILL = {"LeadscoreWorkerDown"}
DEAD_LETTERS = {"LeadscoreDeadLetterShareHigh"}
STOP = {"LeadscoreStateLost", "LeadscorePartitionsStopped"}
EVICTION = {"LeadscoreKeysEvicted", *OUTAGE}
REFUSAL = {"LeadscoreAccessRefused", *OUTAGE}
BEHIND = {"LeadscoreStateBehind"}
RESTARTS = {"LeadscoreRestartsOften"}
NOBODY = {"LeadscoreAbsent", "LeadscoreWorkerDown"}
KAFKA_OUTAGE = {"LeadscoreKafkaDown", "LeadscoreStuck"}
LAG = {"LeadscoreLagGrows"}
LATE_LEAVES = {"LeadscoreLeavesLate"}
MISCOUNT = {"LeadscoreRecordsUnaccounted"}
SLOW_REDIS_S = 0.5
"""For each request: two workers that score one log record a turn do four a second, and more come."""


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """One that may stand still without disturbing others."""
    with start_redis(next(iter(redis_binaries()))) as server:
        yield server


@pytest.fixture
def monitor(
    request: pytest.FixtureRequest, own_redis: RedisServer, fresh_name: Callable[[str], str], tmp_path: Path
) -> Iterator[Callable[..., Monitored]]:
    """``monitor(scale, kafka, environ)``; without a Kafka the one of all tests."""
    made: list[Deployment] = []

    def make(scale: Scale, kafka: KafkaServer | None = None, environ: Mapping[str, str] | None = None) -> Monitored:
        server = kafka or request.getfixturevalue("kafka")
        deployment = Deployment(server, own_redis, (fresh_name("d"), "monitored"), tmp_path, MODEL)
        deployment.environ |= SETTINGS | dict(environ or {})
        deployment.create_topics()
        made.append(deployment)
        return Monitored(deployment, scale)

    with asking_for(NEEDS_PROMETHEUS):
        prometheus_binary()
    yield make
    for deployment in made:
        deployment.stop()


def wait_until_firing(
    monitored: Monitored, expected: AbstractSet[str], allowed: AbstractSet[str], timeout_s: float
) -> None:
    """All of these fire, each after it was pending if it has to wait, and no other but those allowed."""
    start_s = time.time()
    monitored.wait_until(
        lambda: monitored.alerts_since(start_s).keys() >= expected, timeout_s, f"{sorted(expected)} to fire"
    )
    fired, pending = monitored.alerts_since(start_s), monitored.alerts_since(start_s, "pending")
    assert fired.keys() - expected - allowed == set(), fired
    waiting = {alert.name for alert in all_alerts(monitored.scale) if alert.lasts != "0s"}
    assert {name for name in expected & waiting if pending.get(name, fired[name]) >= fired[name]} == set()


def queries_without_data(monitored: Monitored) -> list[str]:
    range_s = elapsed_since(monitored.started_s)
    return [
        str(asked)
        for asked in all_queries()
        if not any(line.points for line in monitored.over_all(asked.expression(range_s, "10s", monitored.scale)))
    ]


def selectors_without_data(monitored: Monitored) -> set[str]:
    """Metrics that an alert reads and that Prometheus does not have: an alert that is silent has no result itself."""
    range_s = elapsed_since(monitored.started_s)
    expressions = [rule["query"] for rule in monitored.prometheus.rules()]
    names = {name for text in expressions for name in re.findall(r"[a-z_]+(?::\w+)*(?=[{\[ )]|$)", text)}
    metrics = {name for name in names if name.startswith(("leadscore_", "job_", "process_")) or name == "up"}
    return {name for name in metrics if not monitored.prometheus.query(f"last_over_time({name}[{range_s}s])")}


@pytest.mark.timeout(400)
def test_an_outage_of_redis_raises_its_alerts_and_every_query_has_data(
    monitor: Callable[..., Monitored],
) -> None:
    with monitor(Scale(minute_s=2)) as monitored:
        monitored.wait_until_calm(120, SLOW)
        calm_s = time.time()
        with monitored.redis_away():
            wait_until_firing(monitored, OUTAGE, BUDGETS, 60)
        monitored.wait_until(lambda: not monitored.firing() & OUTAGE, 60, "the alerts of the outage to end")
        monitored.flood_dead_letters(100)
        monitored.wait_until(lambda: monitored.firing() >= DEAD_LETTERS, 60, "dead letters to be noticed")

        assert [rule for rule in monitored.prometheus.rules() if rule["health"] != "ok"] == []
        assert selectors_without_data(monitored) == set()
        with suppress(TimeoutError):  # the leads are counted every half minute
            monitored.wait_until(lambda: not queries_without_data(monitored), 90, "data for every query")
        assert queries_without_data(monitored) == []
        fired = monitored.alerts_since(calm_s)
        assert fired.keys() - BUDGETS == OUTAGE | DEAD_LETTERS, fired


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_every_kind_of_fault_raises_its_alerts_and_no_others(monitor: Callable[..., Monitored]) -> None:
    with monitor(Scale(minute_s=1)) as monitored:
        monitored.wait_until_calm(90, SLOW)
        calm_s = time.time()

        with monitored.redis_away():
            wait_until_firing(monitored, OUTAGE, BUDGETS, 60)
        monitored.wait_until_calm(120, SLOW)

        first, second = monitored.ports
        monitored.workers[first].kill()
        wait_until_firing(monitored, KILL, BUDGETS, 60)
        monitored.start_worker(first)
        monitored.wait_until_calm(120, SLOW)

        monitored.flood_dead_letters(200)
        wait_until_firing(monitored, DEAD_LETTERS, BUDGETS, 60)
        monitored.wait_until_calm(120, SLOW)

        monitored.lose_shard(1)
        wait_until_firing(monitored, STOP, BUDGETS, 60)
        for port in (first, second):
            monitored.workers[port].terminate()
            monitored.start_worker(port, LEADSCORE_ON_STATE_LOSS="rebuild")
            monitored.workers[port].wait_for("listening", 60)  # or both are away at once, which pages
        monitored.wait_until_calm(180, SLOW)
        fired = monitored.alerts_since(calm_s)
        assert fired.keys() - BUDGETS == OUTAGE | KILL | DEAD_LETTERS | STOP, fired
        assert fired.keys() & (BUDGETS - SLOW), fired


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_what_services_and_platforms_do_to_workers_raises_its_alerts_and_no_others(
    monitor: Callable[..., Monitored],
) -> None:
    with monitor(Scale(minute_s=2)) as monitored:
        monitored.wait_until_calm(120, SLOW)
        for fault, alerts in (
            (monitored.redis_that_may_evict, EVICTION),
            (monitored.redis_that_refuses_scripts, REFUSAL),
        ):
            with fault():
                wait_until_firing(monitored, alerts, BUDGETS, 90)
            monitored.wait_until_calm(180, BUDGETS)

        monitored.lose_latest_writes()
        wait_until_firing(monitored, BEHIND, BUDGETS, 60)
        monitored.wait_until_calm(120, BUDGETS)

        first, second = monitored.ports
        for _ in range(4):
            monitored.restart_worker(first)
        wait_until_firing(monitored, RESTARTS, BUDGETS, 60)
        monitored.wait_until_calm(180, BUDGETS)

        for port in (first, second):
            monitored.workers[port].kill()
        wait_until_firing(monitored, NOBODY, BUDGETS, 60)
        for port in (first, second):
            monitored.start_worker(port)
        monitored.wait_until_calm(180, BUDGETS)


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_a_kafka_that_stands_still_and_workers_that_do_not_keep_up_raise_their_alerts_and_no_others(
    own_kafka: KafkaServer,  # begun first, so that it ends last
    own_redis: RedisServer,
    monitor: Callable[..., Monitored],
) -> None:
    with Way(urlsplit(own_redis.url).port or 0, RedisWire()) as way:
        environ = {"LEADSCORE_REDIS_URL": way.redis_url, "LEADSCORE_SCORE_BATCH_FRAMES": "1"}
        with monitor(Scale(minute_s=2), own_kafka, environ) as monitored:
            monitored.wait_until_calm(120, SLOW)
            with monitored.kafka_away():
                wait_until_firing(monitored, KAFKA_OUTAGE, BUDGETS, 90)
            monitored.wait_until_calm(180, BUDGETS)

            way.latency_s = SLOW_REDIS_S
            wait_until_firing(monitored, LAG, BUDGETS, 120)
            way.latency_s = 0.0
            monitored.wait_until_calm(180, BUDGETS)


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_leaves_that_are_late_and_books_that_do_not_add_up_raise_their_alerts_and_no_others(
    monitor: Callable[..., Monitored],
) -> None:
    with monitor(Scale(minute_s=2)) as monitored:
        monitored.wait_until_calm(120, SLOW)
        monitored.leave_late(40)
        wait_until_firing(monitored, LATE_LEAVES, SLOW, 90)
        monitored.wait_until_calm(240, SLOW)

        first, _ = monitored.ports
        monitored.workers[first].terminate()
        monitored.start_miscounting_worker(first)
        wait_until_firing(monitored, MISCOUNT, BUDGETS, 180)
        monitored.restart_worker(first)
        monitored.wait_until_calm(180, BUDGETS)
