"""``make bench-merges``: what an alias costs in Redis, and an event that comes under one.

Memory: as many leads as asked for, each merged into another, through the worker's own ``Shard`` and ``RedisStore``.
What they are merged into is not written, so that only aliases are stored. CPU: the hot path without servers, bytes to
frames and frames to states, once under the leads' own ids, once with each of these merged before, so that every event
is forwarded: folded at the alias, encoded into outbox and log, decoded and folded once more. The runs alternate, and
the least of several counts. ``--only servers`` does the same in worker processes on a real Kafka and Redis, a stage
after the other: the whole CPU of the processes, Kafka's client in it, and of Redis.
"""

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from random import Random
from typing import NamedTuple
from uuid import uuid4

import redis

from leadscore.events.event import Event
from leadscore.events.event_bytes import json_bytes
from leadscore.log.records import (
    MAX_FRAME_AWARDS,
    MERGE,
    Award,
    Forward,
    Frame,
    LogRecord,
    Source,
    decode,
    encode,
    partition_of,
)
from leadscore.model.compile import compile_model
from leadscore.pipeline.build import look_for_garbage_seldom
from leadscore.pipeline.score.forwarding import forwards_records
from leadscore.pipeline.score.shard import Shard, leads_of
from leadscore.scoring.context import FoldSettings
from leadscore.store.fence import Fence
from leadscore.store.redis_store import RedisStore
from tests.bench.clock import Spent, machine_facts, print_facts, print_table, say
from tests.bench.features import NOW_MS
from tests.bench.in_process import PARTITIONS, Bench, batches
from tests.bench.memory import BATCH_EVENTS, SHARDS, TIMEOUT_S, Scorer, mean_sizes, used_memory
from tests.bench.phases import Job, What
from tests.bench.streams import STREAMS, Size, Stream
from tests.bench.throughput import HOUR_MS
from tests.bench.throughput import Bench as Throughput
from tests.bench.workload import Span, events, lead_id_of, model_definition
from tests.servers import RedisServer, redis_kinds, start_kafka, start_redis

LOG_TOPIC = "bench.awards"
FIRST_CONTACT = 1 << 40
"""Numbers of leads that others are merged into."""
CACHE_LEADS = 200_000
SAMPLED = 2_000


class AliasSize(NamedTuple):
    """Bytes of Redis memory per alias, and the parts of it that are state and key."""

    aliases: int
    alias_bytes: float
    state_bytes: float
    key_bytes: float


class EventCost(NamedTuple):
    """CPU per event (us): matching, and each time that it is scored."""

    match_us: float
    score_us: float
    score_again_us: float

    @property
    def total_us(self) -> float:
        """All of it."""
        return self.match_us + self.score_us + self.score_again_us


def merges(lead_ids: Iterable[str], partitions: int, source: int | None = None) -> Iterator[Award]:
    """A merge of each lead into one of its own; ``source`` is that of its frame, else that of its partition."""
    for number, lead_id in enumerate(lead_ids):
        into = lead_id_of(FIRST_CONTACT + number)
        index = partition_of(lead_id, partitions) if source is None else source
        yield Award(index, number, lead_id, f"merge-{number}", MERGE, NOW_MS, into=into)


# --- memory ---


def size_of_aliases(server: RedisServer, aliases: int) -> AliasSize:
    """Write that many into the empty server and say what they take; then they are gone again."""
    prefix = f"bench{uuid4().hex[:6]}"
    store = RedisStore([server.url], prefix, SHARDS, TIMEOUT_S)
    with ExitStack() as stack:
        client = stack.enter_context(closing(redis.Redis.from_url(server.url)))
        stack.callback(client.flushdb)
        stack.callback(store.close)
        before = used_memory(client)
        scorer = Scorer(store, compile_model(model_definition()), CACHE_LEADS)
        awards = merges(map(lead_id_of, range(aliases)), SHARDS)
        written = 0
        while batch := list(islice(awards, BATCH_EVENTS)):
            scorer.apply(scorer.frames(batch), int(time.time() * 1000))
            written += len(batch)
            if written % 250_000 < BATCH_EVENTS:
                say(f"{written:,} aliases")
        sizes = mean_sizes(store, prefix, min(aliases, SAMPLED))
        return AliasSize(aliases, (used_memory(client) - before) / aliases, *sizes)


# --- CPU ---


class Run:
    """A workload from empty shards on, whose leads are aliases or not."""

    def __init__(self, stream: Stream, lead_ids: Sequence[str]) -> None:
        """``lead_ids`` are aliases from the beginning."""
        model = compile_model(stream.model)
        self._bench = Bench(stream)
        self._version = stream.model.version
        self._shards = [
            Shard(number, None, Fence("bench", -1, 0, 0, {}), lambda _: model, FoldSettings())
            for number in range(PARTITIONS)
        ]
        self._score(self._merges(lead_ids))

    def cost(self) -> EventCost:
        """Match and score everything."""
        seconds = [0.0, 0.0, 0.0]
        for batch in batches(self._bench.messages):
            start = Spent.so_far()
            records = self._bench.match(batch)
            seconds[0] += Spent.so_far().since(start).thread_s
            for hop, spent_s in enumerate(self._score(records), start=1):
                seconds[hop] += spent_s
        return EventCost(*(spent_s * 1e6 / len(self._bench.messages) for spent_s in seconds))

    def _merges(self, lead_ids: Sequence[str]) -> list[tuple[int, bytes]]:
        by_partition: dict[int, list[Award]] = {}
        for award in merges(lead_ids, PARTITIONS, source=0):
            by_partition.setdefault(partition_of(award.lead_id, PARTITIONS), []).append(award)
        source = [Source("merges", "", 0)]
        return [
            (number, encode(Frame(self._version, source, awards[first : first + MAX_FRAME_AWARDS])))
            for number, awards in by_partition.items()
            for first in range(0, len(awards), MAX_FRAME_AWARDS)
        ]

    def _score(self, records: list[tuple[int, bytes]]) -> list[float]:
        """CPU seconds of each round: of what is logged, and of what that puts into the log."""
        spent_s = []
        while records:
            start = Spent.so_far()
            records = self._fold(records)
            spent_s.append(Spent.so_far().since(start).thread_s)
        return spent_s

    def _fold(self, logged: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        """Read, fold, write; what is forwarded, as records of the log."""
        shards = self._shards
        records: list[tuple[int, LogRecord]] = [(number, decode(value)) for number, value in logged]
        forwards: dict[int, list[Forward]] = {}
        for number, record in records:
            shard = shards[number]
            missing = shard.unknown_leads(leads_of(record))
            shard.load(missing, [None] * len(missing))
            for output in shard.fold(record, shard.offset + 1, NOW_MS):
                if isinstance(output, Forward):
                    forwards.setdefault(number, []).append(output)
        for number in dict(records):
            shards[number].written(shards[number].pending(0))
        return [
            (one.record.partition, one.record.value or b"")
            for number, of_shard in forwards.items()
            for one in forwards_records(of_shard, shards[number].source(LOG_TOPIC), self._version, PARTITIONS)
        ]


def leads_in(stream: Stream) -> list[str]:
    """The ids that the records of a stream come under."""
    records = (decode(value) for batch in batches(stream.messages) for _, value in Bench(stream).match(batch))
    awards = (award for record in records if isinstance(record, Frame) for award in record.awards)
    return list(dict.fromkeys(award.lead_id for award in awards))


def event_costs(stream: Stream, repeats: int) -> tuple[EventCost, EventCost]:
    """Of an event under the lead's own id, and under an alias: the least of each."""
    lead_ids = leads_in(stream)
    costs: tuple[list[EventCost], list[EventCost]] = ([], [])
    for _ in range(repeats):
        for of_kind, aliases in zip(costs, ([], lead_ids), strict=True):
            run = Run(stream, aliases)
            gc.collect()
            of_kind.append(run.cost())
    direct, forwarded = (EventCost(*map(min, *of_kind)) for of_kind in costs)
    return direct, forwarded


# --- on servers ---


class ServerCost(NamedTuple):
    """CPU per event (us) of a worker process and of Redis, by phase: match, score, and score again."""

    process_us: list[float]
    redis_us: list[float]

    @property
    def total_us(self) -> float:
        """All phases, the worker's and Redis's part."""
        return sum(self.process_us) + sum(self.redis_us)


class PhaseSpent(NamedTuple):
    """CPU seconds of one phase."""

    process_s: float
    redis_s: float


class ServerBench(Throughput):
    """A deployment per workload, whose phases are timed by what they spend, however many records they apply."""

    def spent(self, environ: dict[str, str], role: str) -> PhaseSpent:
        """Run a stage until all that was there is committed."""
        redis_s = self._redis_cpu_s()
        outcome = self._run(Job(What.WORKER, {**environ, "LEADSCORE_ROLE": role}))
        return PhaseSpent(outcome.process_s, self._redis_cpu_s() - redis_s)

    def fill_commands(self, sources: str, made: Iterable[Event]) -> None:
        """Produce commands."""
        for event in made:
            self._produce(f"{sources}.commands", value=json_bytes(event), timestamp=event.occurred_at_ms)


def server_cost(bench: ServerBench, options: argparse.Namespace, *, merged: bool) -> ServerCost:
    """The events under the leads' own ids, or with these merged before."""
    sources = bench.source_topics()
    environ = bench.deployment(sources)
    end_ms = int(time.time() * 1000)
    first_ms = end_ms - 2 * HOUR_MS
    if merged:
        merging = (
            Event(MERGE, f"merge-{number}", lead_id_of(number), first_ms, {"into": lead_id_of(FIRST_CONTACT + number)})
            for number in range(options.leads)
        )
        bench.fill_commands(sources, merging)
        bench.fill(sources, [Event("website.page_view", "first", "nobody", first_ms, {"path": "/"})])
        for role in ("match", "score", "score"):
            bench.spent(environ, role)
    span = Span(first_ms + HOUR_MS, end_ms)
    bench.fill(sources, events(Random(options.seed), options.events, options.leads, span))
    phases = [bench.spent(environ, role) for role in ("match", "score", *(["score"] if merged else []))]
    bench.forget(environ)
    per_event = 1e6 / options.events
    return ServerCost([one.process_s * per_event for one in phases], [one.redis_s * per_event for one in phases])


def on_servers(options: argparse.Namespace) -> dict[str, ServerCost]:
    """Both workloads on servers of their own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kafka = stack.enter_context(start_kafka())
        redis_server = stack.enter_context(start_redis(redis_kinds()[0], "--save", ""))
        bench = ServerBench(kafka, redis_server, folder, options)
        stack.callback(bench.delete_topics)
        return {
            name: server_cost(bench, options, merged=merged)
            for name, merged in (("its own id", False), ("an alias", True))
        }


# --- the command ---


def print_sizes(sizes: Iterable[AliasSize]) -> None:
    """A row for each number of aliases."""
    rows = [
        (
            f"{size.aliases:,} aliases",
            f"{size.alias_bytes:.0f}",
            f"{size.state_bytes:.0f}",
            f"{size.key_bytes:.0f}",
            f"{size.alias_bytes - size.state_bytes - size.key_bytes:.0f}",
        )
        for size in sizes
    ]
    print_table(("", "bytes/alias", "state", "key", "overhead"), rows)


def print_costs(direct: EventCost, forwarded: EventCost) -> None:
    """Both, and their ratio."""
    rows = [
        (name, *(f"{part:.2f}" for part in cost), f"{cost.total_us:.2f}")
        for name, cost in (("its own id", direct), ("an alias", forwarded))
    ]
    rows.append(("ratio", "", "", "", f"{forwarded.total_us / direct.total_us:.2f}"))
    print_table(("us of CPU per event under", "match", "score", "score again", "all"), rows)


def print_server_costs(costs: Mapping[str, ServerCost]) -> None:
    """Both, by phase, and their ratio."""
    rows = []
    for name, cost in costs.items():
        phases = [f"{process:.1f} + {of_redis:.1f}" for process, of_redis in zip(*cost, strict=True)]
        rows.append((name, *phases, *[""] * (3 - len(phases)), f"{cost.total_us:.1f}"))
    direct, forwarded = costs.values()
    rows.append(("ratio", "", "", "", f"{forwarded.total_us / direct.total_us:.2f}"))
    print_table(("us of CPU per event, worker + Redis, under", "match", "score", "score again", "all"), rows)


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aliases", type=int, nargs="+", default=[100_000], help="numbers of aliases to measure")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--leads", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("memory", "cpu", "servers"), help="one of the three")
    parser.set_defaults(profile=None)
    return parser.parse_args(arguments)


def main() -> int:
    """Measure, print; nothing is asserted."""
    options = read_options()
    look_for_garbage_seldom()
    figures: dict[str, object] = {}
    print_facts("leadscore bench-merges", machine_facts() | {"seed": str(options.seed)})
    if options.only in (None, "cpu"):
        stream = STREAMS["peers"](Size(options.events, options.leads, options.seed))
        direct, forwarded = event_costs(stream, options.repeats)
        print_costs(direct, forwarded)
        figures["events"] = {"direct": direct._asdict(), "forwarded": forwarded._asdict()}
    if options.only in (None, "servers"):
        costs = on_servers(options)
        print_server_costs(costs)
        figures["servers"] = {name: cost._asdict() for name, cost in costs.items()}
    for kind in redis_kinds() if options.only in (None, "memory") else ():
        with start_redis(kind, "--save", "") as server:
            sizes = [size_of_aliases(server, number) for number in options.aliases]
            sys.stdout.write(f"\n{server}\n")
            print_sizes(sizes)
            figures[str(server)] = [size._asdict() for size in sizes]
    sys.stdout.write(json.dumps({"bench": "merges", "figures": figures}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
