"""``make bench``: events per second and CPU per event of each stage and of the whole worker, on real Kafka and Redis.

In the same run, one process at a time: a loop that only consumes and decodes with bare fastavro, such a loop with our
decoder, the match stage into the log, the score stage on that log, and both stages in one process. With
``--wide-leads`` the score stage once more, where every event is of another lead. The topics are filled beforehand.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
import redis
import yaml
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from leadscore.events.event import Event
from tests.bench.clock import machine_facts, print_facts, print_table, say
from tests.bench.phases import Job, Outcome, What
from tests.bench.workload import MODEL, SOURCES, Span, event_bytes, events
from tests.servers import KafkaServer, RedisServer, redis_kinds, start_kafka, start_redis

ROOT = Path(__file__).resolve().parents[2]
HOUR_MS = 3_600_000
SOURCE_PARTITIONS = 6
LOG_PARTITIONS = 32


class Phase(NamedTuple):
    """``name`` is for the JSON line; ``prototype``: the ratio of design 2.8, to a fastavro loop of its own."""

    name: str
    title: str
    prototype: str = "-"
    uses_redis: bool = False


BASELINE = Phase("fastavro", "consume + decode, bare fastavro")
OWN_BASELINE = Phase("decoder", "consume + decode, our decoder")
MATCH = Phase("match", "match, 12 rules", "0.72")
SCORE = Phase("score", "score", "0.86", uses_redis=True)
WIDE = Phase("score_wide", "score, every event of another lead", "0.55", uses_redis=True)
BOTH = Phase("both", "match + score, one process", "0.4", uses_redis=True)
SCORE_ONCE = Phase("score_transactional", "score, transactional", uses_redis=True)
BOTH_ONCE = Phase("both_transactional", "match + score, transactional", uses_redis=True)
TRANSACTIONAL = {"LEADSCORE_DELIVERY": "transactional"}
Found = dict[Phase, "Measured"]


class Measured(NamedTuple):
    """A phase: events per second; CPU per event (us) of the loop, of the whole process, of Redis."""

    events_per_s: float
    loop_us: float
    process_us: float
    redis_us: float


class Bench:
    """Servers, topics and processes of one run."""

    def __init__(
        self, kafka: KafkaServer, redis_server: RedisServer, folder: Path, options: argparse.Namespace
    ) -> None:
        self._kafka = kafka
        self._redis = redis_server
        self._folder = folder
        self._options = options
        clients: dict[str, str | int | float | bool] = {
            "bootstrap.servers": kafka.bootstrap,
            "log_level": 2,
        }  # the server may stop before them
        self._admin = AdminClient(clients)
        self._producer = Producer({**clients, "linger.ms": 20, "compression.type": "lz4"})
        self._topics: list[str] = []
        self._model = folder / "model.yaml"
        self._model.write_text(yaml.safe_dump(dict(MODEL), sort_keys=False))

    def deployment(self, sources: str) -> dict[str, str]:
        """A fresh log and fresh keys on the source topics whose names begin so; the worker's environment."""
        name = f"bench-{uuid4().hex[:8]}"
        self._create({f"{name}.log": LOG_PARTITIONS, f"{name}.models": 1, f"{name}.crossings": 6, f"{name}.dead": 1})
        return {
            "LEADSCORE_MODEL": str(self._model),
            "LEADSCORE_GROUP": name,
            "LEADSCORE_SOURCE_TOPICS": ",".join(f"{sources}.{source}" for source in SOURCES),
            "LEADSCORE_COMMAND_TOPIC": f"{sources}.commands",
            "LEADSCORE_LOG_TOPIC": f"{name}.log",
            "LEADSCORE_MODELS_TOPIC": f"{name}.models",
            "LEADSCORE_CROSSING_TOPIC": f"{name}.crossings",
            "LEADSCORE_DEAD_LETTER_TOPIC": f"{name}.dead",
            "LEADSCORE_LOG_PARTITIONS": str(LOG_PARTITIONS),
            "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": self._kafka.bootstrap,
            "LEADSCORE_REDIS_URL": self._redis.url,
            "LEADSCORE_REDIS_PREFIX": name,
        }

    def on_the_same_log(self, environ: dict[str, str]) -> dict[str, str]:
        """Another group with fresh keys that scores what is in the log already."""
        name = f"bench-{uuid4().hex[:8]}"
        self._create({f"{name}.crossings": 6})
        own = {"LEADSCORE_GROUP": name, "LEADSCORE_REDIS_PREFIX": name, "LEADSCORE_CROSSING_TOPIC": f"{name}.crossings"}
        return {**environ, **own}

    def source_topics(self) -> str:
        """Fresh source topics; what their names begin with."""
        sources = f"input-{uuid4().hex[:8]}"
        self._create({f"{sources}.{source}": SOURCE_PARTITIONS for source in SOURCES} | {f"{sources}.commands": 1})
        return sources

    def fill(self, sources: str, made: Iterable[Event]) -> int:
        """Produce the events, dealt to the partitions in turn; the mean size of their values."""
        count = size = 0
        for count, event in enumerate(made, 1):
            value = event_bytes(event)
            size += len(value)
            partition, topic = count % SOURCE_PARTITIONS, f"{sources}.{event.type.partition('.')[0]}"
            self._produce(topic, value=value, partition=partition, timestamp=event.occurred_at_ms)
        self._producer.flush()
        return size // max(1, count)

    def measure(self, environ: dict[str, str], what: What, role: str = "all") -> Measured:
        """Run the phase and wait for it."""
        profile = self._options.profile and str(Path(self._options.profile) / f"{what}-{role}.prof")
        job = Job(what, {**environ, "LEADSCORE_ROLE": role}, profile)
        redis_s = self._redis_cpu_s()
        outcome = self._run(job)
        redis_s = self._redis_cpu_s() - redis_s
        rate, per_event = outcome.records / outcome.wall_s, 1e6 / outcome.records
        return Measured(rate, outcome.thread_s * per_event, outcome.process_s * per_event, redis_s * per_event)

    def crossings(self, environ: dict[str, str]) -> int:
        """How many crossings a deployment has published."""
        return count_records(self._kafka.bootstrap, environ["LEADSCORE_CROSSING_TOPIC"])

    def forget(self, environ: dict[str, str]) -> None:
        """Empty Redis of a deployment's leads, so that the next phase finds it as small as this one did."""
        with closing(redis.Redis.from_url(self._redis.url)) as client:
            keys = client.scan_iter(match=f"{{{environ['LEADSCORE_REDIS_PREFIX']}:*", count=10_000)
            batch: list[bytes] = []
            for key in keys:
                batch.append(key)
                if len(batch) == 10_000:
                    client.unlink(*batch)
                    batch.clear()
            if batch:
                client.unlink(*batch)

    def delete_topics(self) -> None:
        """Leave nothing on a Kafka that was given."""
        for deleted in self._admin.delete_topics(self._topics).values():
            deleted.result(timeout=60)

    def _run(self, job: Job) -> Outcome:
        """The process ends by itself; what it logs is shown only if it fails."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("LEADSCORE_")}
        paths = os.pathsep.join([str(ROOT), str(ROOT / "src"), *filter(None, [environ.get("PYTHONPATH")])])
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.phases"],
            input=msgspec.json.encode(job),
            env=environ | {"PYTHONPATH": paths},
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{job.what} ended with {done.returncode}:\n{done.stderr.decode()[-4_000:]}")
        return msgspec.json.decode(done.stdout.splitlines()[-1], type=Outcome)

    def _redis_cpu_s(self) -> float:
        with closing(redis.Redis.from_url(self._redis.url)) as client:
            used = client.info("cpu")
            return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])

    def _create(self, partitions: dict[str, int]) -> None:
        settings = {"retention.ms": "-1"}
        own = {"log": {**settings, "message.timestamp.type": "LogAppendTime"}}
        topics = [
            NewTopic(name, number, 1, config=own.get(name.rpartition(".")[2], settings))
            for name, number in partitions.items()
        ]
        for created in self._admin.create_topics(topics).values():
            created.result(timeout=60)
        self._topics += partitions

    def _produce(self, topic: str, **record: Any) -> None:
        while True:
            try:
                self._producer.produce(topic, **record)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return


def count_records(bootstrap: str, topic: str) -> int:
    """Records that were ever produced to a topic without compaction."""
    with closing(Consumer({"bootstrap.servers": bootstrap, "group.id": "bench-count"})) as consumer:
        numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        bounds = [consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10) for number in numbers]
    return sum(high for _, high in bounds)


def one_round(bench: Bench, sources: str, *, is_transactional: bool) -> tuple[Found, int]:
    """Every phase once; the figures, and how many crossings the score stage published."""
    apart, together = bench.deployment(sources), bench.deployment(sources)
    measured = {
        BASELINE: bench.measure(apart, What.FASTAVRO),
        OWN_BASELINE: bench.measure(apart, What.DECODER),
        MATCH: bench.measure(apart, What.WORKER, "match"),
        SCORE: bench.measure(apart, What.WORKER, "score"),
        BOTH: bench.measure(together, What.WORKER, "all"),
    }
    for environ in (apart, together):
        bench.forget(environ)
    if is_transactional:
        measured |= in_transactions(bench, sources, apart)
    return measured, bench.crossings(apart)


def in_transactions(bench: Bench, sources: str, apart: dict[str, str]) -> Found:
    """The phases that publish once more, crossings and offsets in transactions: the same log, the same sources."""
    once, together = bench.on_the_same_log(apart) | TRANSACTIONAL, bench.deployment(sources) | TRANSACTIONAL
    measured = {
        SCORE_ONCE: bench.measure(once, What.WORKER, "score"),
        BOTH_ONCE: bench.measure(together, What.WORKER, "all"),
    }
    for environ in (once, together):
        bench.forget(environ)
    return measured


def wide(bench: Bench, options: argparse.Namespace) -> Measured:
    """The score stage where every event is of another lead: all are stored, none is in the worker's memory."""
    random, end_ms = Random(options.seed), int(time.time() * 1000)
    sources = bench.source_topics()
    environ = bench.deployment(sources)
    spans = (Span(end_ms - 4 * HOUR_MS, end_ms - 2 * HOUR_MS), Span(end_ms - 2 * HOUR_MS, end_ms))
    measurements: list[Measured] = []
    for span, number in zip(spans, (options.wide_leads, min(options.events, options.wide_leads)), strict=True):
        say(f"filling in {number:,} events of {options.wide_leads:,} leads, each in turn")
        bench.fill(sources, events(random, number, options.wide_leads, span, one_after_the_other=True))
        bench.measure(environ, What.WORKER, "match")
        measurements.append(bench.measure(environ, What.WORKER, "score"))
    bench.forget(environ)
    return measurements[-1]


def median_of(rounds: Sequence[Measured]) -> Measured:
    """Each figure's median."""
    return Measured(*(statistics.median(column) for column in zip(*rounds, strict=True)))


def run(bench: Bench, options: argparse.Namespace) -> tuple[Found, dict[str, Any]]:
    """The phases' medians over all rounds, and what describes the input."""
    end_ms = int(time.time() * 1000)
    sources = bench.source_topics()
    say(f"filling in {options.events:,} events of {options.leads:,} leads")
    span = Span(end_ms - 4 * HOUR_MS, end_ms)
    mean_bytes = bench.fill(sources, events(Random(options.seed), options.events, options.leads, span))
    say("warming up")
    bench.measure(bench.deployment(sources), What.FASTAVRO)
    rounds = []
    crossings = 0
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}")
        figures, crossings = one_round(bench, sources, is_transactional=options.transactional)
        rounds.append(figures)
    medians = {phase: median_of([figures_of_round[phase] for figures_of_round in rounds]) for phase in rounds[0]}
    if options.wide_leads:
        medians[WIDE] = wide(bench, options)
    return medians, {"event_bytes": mean_bytes, "crossings": crossings}


def print_results(results: Found) -> None:
    """The table, with ratios against both baselines beside the prototype's."""
    base, own = results[BASELINE].events_per_s, results[OWN_BASELINE].events_per_s
    rows = []
    for phase, measured in results.items():
        redis_us = f"{measured.redis_us:.2f}" if phase.uses_redis else "-"
        ratios = (f"{measured.events_per_s / base:.2f}", phase.prototype, f"{measured.events_per_s / own:.2f}")
        cpu = (f"{measured.loop_us:.1f}", f"{measured.process_us:.1f}", redis_us)
        rows.append((phase.title, f"{measured.events_per_s:,.0f}", *cpu, *ratios))
    head = ("", "events/s", "loop us", "process us", "Redis us", "to fastavro", "prototype's", "to our decoder")
    print_table(head, rows)
    sys.stdout.write(
        "\n  us: CPU per event of the worker's loop, of its process with Kafka's threads, and of Redis. Events of the\n"
        "  score stage are awards in the log. Ratios are of events/s; the prototype's to a fastavro loop of its own.\n"
    )
    for phase, once in ((SCORE, SCORE_ONCE), (BOTH, BOTH_ONCE)):
        if once in results:
            ratio = results[once].events_per_s / results[phase].events_per_s
            sys.stdout.write(f"  {once.title}: {ratio:.2f} of the events/s without transactions\n")


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--leads", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3, help="each figure is the median of this many rounds")
    parser.add_argument("--wide-leads", type=int, default=0, help="also: this many leads, every event of another one")
    parser.add_argument(
        "--transactional",
        action="store_true",
        help="also: what publishes once more, with LEADSCORE_DELIVERY=transactional",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--profile", metavar="FOLDER", help="cProfile of each phase; the figures are then worth nothing"
    )
    return parser.parse_args(arguments)


def main() -> int:
    """Start the servers, measure, print."""
    options = read_options()
    facts = machine_facts()
    with ExitStack() as stack:
        kafka = stack.enter_context(start_kafka())
        redis_server = stack.enter_context(start_redis(redis_kinds()[0]))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = Bench(kafka, redis_server, folder, options)
        stack.callback(bench.delete_topics)
        results, about = run(bench, options)
        facts |= {"servers": f"{kafka}; {redis_server}"}
    size = {name: getattr(options, name) for name in ("events", "leads", "wide_leads", "rounds", "seed")} | about
    print_facts("leadscore bench", facts | {name: str(value) for name, value in size.items()})
    print_results(results)
    figures = {phase.name: measured._asdict() for phase, measured in results.items()}
    sys.stdout.write(json.dumps({"bench": "throughput", **size, "facts": facts, "phases": figures}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
