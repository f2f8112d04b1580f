"""The demo: the whole product in one terminal, with nothing but Python packages.

Thirty days of made-up traffic are sent to an embedded broker. Then the worker, the real one, catches up with them,
slowed down to a speed one can watch: the demo's turn comes between two turns of the worker's loop.
"""

import os
import shutil
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from leadscore import __version__
from leadscore.demo.embedded import MOCK_PARTITIONS, EmbeddedBroker, embedded_valkey
from leadscore.demo.reading import (
    Counts,
    CrossingReader,
    became_known,
    counts,
    first_threshold,
    hottest,
    is_anything_due,
    leads_with_state,
    said_by_sales,
)
from leadscore.demo.sender import Sender
from leadscore.demo.traffic import GeneratedEvent, TrafficPlan, generate
from leadscore.demo.view import (
    ASCII,
    DemoSnapshot,
    DemoSummary,
    LiveView,
    View,
    choose_view,
    hottest_lines,
    next_commands,
    summary_json,
    summary_lines,
)
from leadscore.errors import ConfigError, WorkerStopped
from leadscore.events.event import Event
from leadscore.model.compile import compile_model
from leadscore.model.compiled import CompiledModel
from leadscore.model.load import load_model
from leadscore.ops.config import Config, load_config
from leadscore.ops.health import Health
from leadscore.ops.logs import LogFormat, LogLevel, configure_logging
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.build import build_worker
from leadscore.pipeline.steps import NoSteps
from leadscore.pipeline.stores import make_store
from leadscore.pipeline.worker import Worker
from leadscore.scoring.crossing import Crossing, Direction
from leadscore.starter_files import starter_model
from leadscore.store.redis_store import RedisStore
from leadscore.time_units import DAY_MS

DAYS = 30
DUPLICATES = 0.01
GARBAGE = 0.003
ENDING_S = 1.5
PATIENCE_S = 60.0
DRAW_EVERY_S = 0.25
RATE_OVER_S = 2.0
TURNS_PER_S = 10
CROSSINGS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What the demo shows: how long, how many leads, drawn from which seed, scored with which model file.

    Without a model file, the starter model.
    """

    duration_s: float
    leads: int
    seed: int
    model: Path | None


def run_demo(plan: DemoPlan, *, as_json: bool) -> int:
    """Run the demo; 0 when its numbers add up, or when it was interrupted."""
    configure_logging(LogLevel.ERROR, LogFormat.TEXT, sys.stderr)
    with ExitStack() as stack:
        model = _model_file(plan, stack)
        definition = load_model(model).definition
        print(_announcement(plan), flush=True)
        redis_url = stack.enter_context(embedded_valkey())
        broker = EmbeddedBroker()
        traffic = _traffic(plan)
        config = _config(plan, model, broker.bootstrap_servers, redis_url, len(traffic))
        broker.create_topics(config.topics)
        demo = stack.enter_context(closing(Demo(config, compile_model(definition), traffic, plan.duration_s)))
        summary = demo.run()
    print(summary_json(summary) if as_json else "\n".join(_summary_lines(summary)), flush=True)
    return 0 if summary.adds_up else 1


class Demo:
    """The worker and what is shown of it. ``duration_s`` is how long the whole of it shall take, about."""

    def __init__(
        self, config: Config, model: CompiledModel, traffic: Sequence[GeneratedEvent], duration_s: float
    ) -> None:
        self._config = config
        self._model = model
        self._traffic = traffic
        self._started_s = time.monotonic()
        self._until_s = self._started_s + duration_s - ENDING_S
        self._metrics = Metrics(__version__, config.input_topics)
        self._worker = build_worker(config, self._metrics, Health({}, PATIENCE_S), NoSteps(), has_topic_ids=False)
        self._store: RedisStore = make_store(config)
        self._reader = CrossingReader(config)
        self._view: View = choose_view(sys.stdout, os.environ)
        self._crossings: list[Crossing] = []
        self._replay: Replay | None = None
        self._rate = Rate()
        self._draw_at_s = 0.0
        self._counted: Counts | None = None
        self._moved_s = 0.0
        self._sent_from_s = 0.0
        self._applied_s = 0.0

    def run(self) -> DemoSummary:
        """Send the traffic, let the worker catch up with it, and say what became of it."""
        last_lines: list[str] = []
        try:
            with _stopped_by_signals(self._worker):
                self._send()
                self._worker.run(until=self._between_turns)
            self._read_the_rest()
            self._draw(counts(self._metrics))
            last_lines = self._last_lines()
        finally:
            self._view.close(last_lines)
        return self._summary()

    def close(self) -> None:
        """Close the connections."""
        self._reader.close()
        self._store.close()

    def _send(self) -> None:
        sender = Sender(self._config, "avro")
        self._sent_from_s = time.monotonic()
        sender.send(self._traffic, 0.0, time.monotonic)
        if sender.report(sys.stdout, sys.stderr):
            raise WorkerStopped("the embedded broker did not take every record")
        print("The worker joins its consumer groups; that takes some 4 seconds.\n", flush=True)

    def _between_turns(self) -> bool:
        """Show what is new, and wait while the worker is ahead of the speed to watch. Whether all is done."""
        now = counts(self._metrics)
        self._take(0.0)
        self._draw_if_time(now)
        while self._is_ahead(now) and not self._worker.is_stopping:
            self._take(0.02)
            self._draw_if_time(now)
        return self._is_done(now)

    def _is_ahead(self, now: Counts) -> bool:
        if self._replay is None and now.taken:
            times_ms = [record.timestamp_ms for record in self._traffic]
            self._replay = Replay(times_ms, time.monotonic(), self._until_s)
        return self._replay is not None and self._replay.is_ahead(now.taken, time.monotonic())

    def _is_done(self, now: Counts) -> bool:
        """Every record accounted for, every crossing read, nothing left for time to do; or nothing moves any more."""
        if now != self._counted:
            self._counted, self._moved_s = now, time.monotonic()
        if now.accounted < len(self._traffic) or len(self._crossings) < now.crossings:
            return time.monotonic() > self._moved_s + PATIENCE_S
        self._applied_s = self._applied_s or time.monotonic()
        return not is_anything_due(self._store, self._config.log_partitions, time.time_ns() // 1_000_000)

    def _take(self, wait_s: float) -> None:
        self._crossings += self._reader.read(wait_s)

    def _read_the_rest(self) -> None:
        """What the worker still published when it stopped."""
        deadline_s = time.monotonic() + 5
        while len(self._crossings) < counts(self._metrics).crossings and time.monotonic() < deadline_s:
            self._take(0.1)

    # --- what is shown ---

    def _draw_if_time(self, now: Counts) -> None:
        if time.monotonic() >= self._draw_at_s:
            self._draw_at_s = time.monotonic() + DRAW_EVERY_S
            self._draw(now)

    def _draw(self, now: Counts) -> None:
        self._view.update(self._snapshot(now))

    def _snapshot(self, now: Counts) -> DemoSnapshot:
        elapsed_s = time.monotonic() - self._started_s
        return DemoSnapshot(
            elapsed_s=elapsed_s,
            produced=len(self._traffic),
            applied=now.applied,
            events_per_s=self._rate.per_s(elapsed_s, now.accounted),
            hottest=hottest(self._store, self._model, self._config.log_partitions, self._demo_time_ms(now)),
            crossings=self._crossings[: -CROSSINGS_SHOWN - 1 : -1],
            score_ceiling=self._model.main.ceiling,
        )

    def _demo_time_ms(self, now: Counts) -> int:
        """The time that the worker has come to: of the record matched last, in the end now."""
        at_end = now.taken >= len(self._traffic)
        return time.time_ns() // 1_000_000 if at_end else self._traffic[max(0, now.taken - 1)].timestamp_ms

    def _last_lines(self) -> list[str]:
        """A terminal keeps its last panel; elsewhere the hottest leads come here."""
        if isinstance(self._view, LiveView):
            return [""]
        drawn = hottest_lines(self._snapshot(counts(self._metrics)), ASCII)
        lines = [line.plain for line in drawn if line]
        return ["", "The hottest leads:", *lines] if lines else []

    def _summary(self) -> DemoSummary:
        now = counts(self._metrics)
        produced = len(self._traffic)
        seconds = (self._applied_s or time.monotonic()) - self._sent_from_s
        entered = sum(crossing.direction is Direction.ENTER for crossing in self._crossings)
        lead_ids = [record.content.lead_id for record in self._traffic if isinstance(record.content, Event)]
        return DemoSummary(
            events_produced=produced,
            events_applied=now.applied,
            duplicates=now.duplicates,
            ignored=now.ignored,
            dead_letters=now.dead_letters,
            crossings=now.crossings,
            entered=entered,
            left=len(self._crossings) - entered,
            leads=leads_with_state(self._store, lead_ids, self._config.log_partitions),
            became_known=became_known(self._metrics),
            said=said_by_sales(self._metrics, first_threshold(self._model)),
            seconds=round(seconds, 3),
            events_per_second=round(now.accounted / seconds, 1),
            waiting=produced - now.accounted if self._worker.is_stopping else 0,
        )


class Replay:
    """History at a speed to watch: the records of ``times_ms`` evenly in time between two instants (monotonic s)."""

    def __init__(self, times_ms: Sequence[int], starts_s: float, ends_s: float) -> None:
        self._times_ms = times_ms
        self._starts_s = starts_s
        self._ends_s = ends_s

    def is_ahead(self, taken: int, now_s: float) -> bool:
        """Whether the next record's time has not come, after ``taken`` records."""
        if now_s >= self._ends_s or taken >= len(self._times_ms):
            return False
        share = (now_s - self._starts_s) / (self._ends_s - self._starts_s)
        first_ms, last_ms = self._times_ms[0], self._times_ms[-1]
        return self._times_ms[taken] > first_ms + share * (last_ms - first_ms)


class Rate:
    """How fast a count grew over the last seconds."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, int]] = deque()

    def per_s(self, at_s: float, count: int) -> float:
        """The growth per second, with the count as it is at ``at_s``."""
        self._counts.append((at_s, count))
        while self._counts[0][0] < at_s - RATE_OVER_S:
            self._counts.popleft()
        since_s, before = self._counts[0]
        return (count - before) / (at_s - since_s) if at_s > since_s else 0.0


@contextmanager
def _stopped_by_signals(worker: Worker) -> Iterator[None]:
    """Ctrl-C and SIGTERM let the worker finish what is in hand; a second Ctrl-C does not wait for that."""

    def stop(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        worker.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _model_file(plan: DemoPlan, stack: ExitStack) -> Path:
    if plan.model is None:
        return stack.enter_context(starter_model())
    if not plan.model.exists():
        raise ConfigError(f"--model: {plan.model}: no such file: expected a model file (leadscore init writes one)")
    return plan.model


def _traffic(plan: DemoPlan) -> list[GeneratedEvent]:
    end_ms = time.time_ns() // 1_000_000
    start_ms = end_ms - DAYS * DAY_MS
    span = TrafficPlan(
        start_ms=start_ms, end_ms=end_ms, leads=plan.leads, duplicates=DUPLICATES, garbage=GARBAGE, whole_cycle=True
    )
    return list(generate(Random(plan.seed), span))


def _config(plan: DemoPlan, model: Path, bootstrap_servers: str, redis_url: str, records: int) -> Config:
    """A configuration of the demo's own: the caller's environment may be that of a real deployment."""
    batch = int(records / TURNS_PER_S / plan.duration_s)
    return load_config(
        {
            "LEADSCORE_MODEL": str(model),
            "LEADSCORE_GROUP": "leadscore-demo",
            "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
            "LEADSCORE_LOG_PARTITIONS": str(MOCK_PARTITIONS),
            "LEADSCORE_REDIS_URL": redis_url,
            "LEADSCORE_BATCH_SIZE": str(min(2_000, max(20, batch))),
            "LEADSCORE_ALIGNMENT_WAIT": "10s",
            "LEADSCORE_DUE_INTERVAL": "1s",
        }
    )


def _announcement(plan: DemoPlan) -> str:
    return (
        f"leadscore demo, about {plan.duration_s:g} s; Ctrl-C ends it. A Kafka broker and a Valkey start inside it\n"
        f"and go with it. {plan.leads:,} made-up leads have had {DAYS} days: buyers, newsletter readers, job seekers,\n"
        "bots, the dormant, customers. The worker now reads what they did in time-lapse, scores them with\n"
        f"{plan.model or 'the starter model'}, and says who is ready for sales, and why. Visitors become known\n"
        "by a form, sales gives some leads back, and customers have scores of their own.\n"
        f"(--seed {plan.seed} gives the same leads)\n"
    )


def _summary_lines(summary: DemoSummary) -> list[str]:
    typed = "leadscore" if shutil.which("leadscore") or not sys.argv[0].endswith("leadscore") else sys.argv[0]
    return [
        *summary_lines(summary, next_commands(typed)),
        "",
        "The speed was held down, to be watched; `--duration 1` lets the worker run.",
    ]
