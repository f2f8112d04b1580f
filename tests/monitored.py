"""Two workers under load that a real Prometheus scrapes: for tests of alerts and dashboards, and for their pictures."""

import time
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from math import log2
from random import Random
from typing import Any, Self

import redis

from deploy.prometheus.scale import Scale
from leadscore.events.event import Event
from leadscore.time_units import DAY_MS
from tests.deployment import Deployment, WorkerProcess, now_ms
from tests.miscounting_worker import MODULE as MISCOUNTING
from tests.prometheus_server import SCRAPE_S, PrometheusServer, Series, start_prometheus
from tests.repeating import repeated
from tests.servers import LOOPBACK, free_ports, standing_still, wait_until

MODEL: Mapping[str, Any] = {
    "model": "monitored",
    "version": 1,
    "bands": {"cold": 0, "warm": 30, "hot": 70},
    "rules": {
        "pricing": {"event": "website.page_view", "points": 15},
        "click": {"event": "email.click", "points": 10},
        "attended": {"event": "webinar.attended", "points": 25},
        "unsubscribed": {"event": "email.unsubscribe", "points": -45},
        "sales_took_it": {"event": "crm.accepted", "points": 0, "outcome": "accepted"},
        "no_budget": {
            "event": "crm.no_budget",
            "points": 0,
            "outcome": "rejected",
            "recycles": {"threshold": "mql", "for": "90d"},
        },
        "won": {"event": "crm.won", "points": 0, "outcome": "won"},
    },
    "thresholds": {"mql": {"enter": 50, "exit": 35}, "hot": {"enter": 70, "exit": 60}},
}
HALF_LIFE_MS = 30 * DAY_MS
"""Of a model that says nothing about decay."""
POINTS = {rule["event"]: rule["points"] for rule in MODEL["rules"].values()}
EXIT = MODEL["thresholds"]["mql"]["exit"]
LATE_S = 360.0
"""Five minutes are not late yet."""
STORIES = (
    ("website.page_view", "email.click"),
    ("website.page_view", "webinar.attended", "email.click"),
    ("website.page_view", "webinar.attended", "email.click", "email.unsubscribe"),
    ("website.page_view", "webinar.attended", "website.page_view", "website.page_view", "crm.accepted", "crm.won"),
    ("webinar.attended", "website.page_view", "website.page_view", "crm.accepted"),
    ("webinar.attended", "website.page_view", "website.page_view", "crm.no_budget"),
    ("website.scrolled",),  # of which the model knows nothing
)
"""What the leads do, one after the other; in most of them they become ready."""
START_TIMEOUT_S = 60
PAUSE_S = 0.25
LEADS_AT_ONCE = 3
LOST_S = 3
"""Of writes that Redis loses: time enough for a commit."""


class Monitored:
    """Workers on fixed ports, so that one that is started again is the same target."""

    def __init__(self, deployment: Deployment, scale: Scale, workers: int = 2) -> None:
        self.deployment, self.scale = deployment, scale
        self.ports = free_ports(workers)
        self.workers: dict[int, WorkerProcess] = {}
        self.started_s = time.time()
        self._stopping = ExitStack()
        self._numbers = count()
        self._random = Random(1)
        self.prometheus: PrometheusServer

    def __enter__(self) -> Self:
        for port in self.ports:
            self.start_worker(port)
        targets = [f"{LOOPBACK}:{port}" for port in self.ports]
        self.prometheus = self._stopping.enter_context(start_prometheus(targets, "monitored", self.scale))
        self.wait_until_ready()
        self._stopping.enter_context(repeated(lambda: self.deployment.send_some(self._some_events()), PAUSE_S))
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping.close()

    def start_worker(self, port: int, **overrides: str) -> None:
        self.workers[port] = self.deployment.start_worker(LEADSCORE_HTTP_PORT=str(port), **overrides)

    def start_miscounting_worker(self, port: int) -> None:
        """Its books do not add up."""
        self.workers[port] = self.deployment.start_other(MISCOUNTING, LEADSCORE_HTTP_PORT=str(port))

    def wait_until_ready(self) -> None:
        """Records that come before the workers are ready would be late."""
        for worker in self.workers.values():
            worker.wait_for("listening", START_TIMEOUT_S)
            wait_until(partial(_is_ready, worker), START_TIMEOUT_S, "readiness")

    # --- what goes in ---

    def _some_events(self) -> Iterator[Event]:
        for _ in range(LEADS_AT_ONCE):
            number = next(self._numbers)
            for index, event_type in enumerate(self._random.choice(STORIES)):
                yield Event(event_type, f"e-{number}-{index}", f"lead-{number}", now_ms(), {})

    def flood_dead_letters(self, records: int) -> None:
        """Records that nothing can read."""
        for _ in range(records):
            self.deployment.send_bytes("website", b"\x01garbage", now_ms())
        self.deployment.producer.flush(30)

    def leave_late(self, leads: int) -> None:
        """Leads that are reported only now, and should have left the threshold a while ago."""
        left_ms = now_ms() - int(LATE_S * 1000)
        occurred_ms = left_ms - int(HALF_LIFE_MS * log2(2 * POINTS["webinar.attended"] / EXIT))
        for number in range(leads):
            lead_id = f"late-{next(self._numbers)}-{number}"
            self.deployment.send_some(
                Event("webinar.attended", f"{lead_id}-{time}", lead_id, occurred_ms, {}) for time in ("first", "second")
            )

    # --- faults ---

    @contextmanager
    def redis_away(self) -> Iterator[None]:
        """Redis stands still; what it stores is kept."""
        with standing_still(self.deployment.redis):
            yield

    @contextmanager
    def kafka_away(self) -> Iterator[None]:
        """Kafka stands still; what it stores is kept."""
        with standing_still(self.deployment.kafka):
            yield

    @contextmanager
    def redis_that_may_evict(self) -> Iterator[None]:
        """Its policy is another one than the worker accepts."""
        with redis.Redis.from_url(self.deployment.redis.url) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
            yield
            client.config_set("maxmemory-policy", "noeviction")

    @contextmanager
    def redis_that_refuses_scripts(self) -> Iterator[None]:
        """The worker's user may no longer write."""
        with redis.Redis.from_url(self.deployment.redis.url) as client:
            client.execute_command("ACL", "SETUSER", "default", "-eval", "-evalsha")
            yield
            client.execute_command("ACL", "SETUSER", "default", "+eval", "+evalsha")

    def lose_latest_writes(self) -> None:
        """Redis is as it was some seconds ago."""
        before = self.deployment.snapshot()
        time.sleep(LOST_S)
        self.deployment.lose_writes_since(before)

    def restart_worker(self, port: int) -> None:
        """In order, and noticed by Prometheus."""
        self.workers[port].terminate()
        self.start_worker(port)
        self.workers[port].wait_for("listening", START_TIMEOUT_S)
        time.sleep(2 * SCRAPE_S)

    def lose_shard(self, number: int) -> None:
        """All that Redis stores of one log partition is gone."""
        with redis.Redis.from_url(self.deployment.redis.url) as client:
            keys = list(client.scan_iter(f"{{{self.deployment.prefix}:*", count=1_000))
            tags = sorted({key.partition(b"}")[0] for key in keys})
            client.delete(*(key for key in keys if key.startswith(tags[number])))

    # --- what is seen ---

    def states(self) -> dict[str, str]:
        """The alerts that are pending or firing."""
        return self.prometheus.states()

    def firing(self) -> set[str]:
        return {name for name, state in self.states().items() if state == "firing"}

    def alerts_since(self, start_s: float, state: str = "firing") -> dict[str, float]:
        """Every alert that was in the state at any time since then, and how many seconds after it first was.

        What Prometheus has noted of each evaluation is asked for: a state of a second is not missed.
        """
        end_s = time.time() + 1  # the last step must not lie before the last evaluation
        noted = self.prometheus.query_range(f'ALERTS{{alertstate="{state}"}}', start_s, end_s, SCRAPE_S / 2)
        first: dict[str, float] = {}
        for series in noted:
            name, after_s = series.labels["alertname"], series.points[0][0] - start_s
            first[name] = min(after_s, first.get(name, after_s))
        return first

    def wait_until_calm(self, timeout_s: float, but_for: AbstractSet[str] = frozenset()) -> None:
        """Until no alert is pending or firing, but for those that look back for long."""
        self.wait_until(lambda: not self.states().keys() - but_for, timeout_s, "all alerts to end")

    def wait_until(self, condition: Callable[[], bool], timeout_s: float, message: str) -> None:
        """``TimeoutError`` if it takes too long. Prometheus is asked no oftener than it may have news."""

        def looked() -> bool:
            time.sleep(SCRAPE_S / 2)
            return condition()

        wait_until(looked, timeout_s, message)

    def over_all(self, expression: str) -> list[Series]:
        """The values over all of the run."""
        end_s = time.time()
        step_s = max((end_s - self.started_s) / 240, 1)
        return self.prometheus.query_range(expression, self.started_s, end_s, step_s)


def _is_ready(worker: WorkerProcess) -> bool:
    return worker.get("/readyz")[0] == 200
