"""``make bench-memory``: what a lead with ten events costs in Redis, and an event where there are many leads.

Ten times, every lead has an event, in another order each time, through the worker's own ``Shard`` and ``RedisStore``,
without Kafka. For the ratios it is measured with few leads too: with the same sizes of states and batches, but with all
leads in the worker's memory, where of a million four fifths are read from Redis. Fewer leads than ``BATCH_EVENTS``
would be written less than once per event, so their figures are not comparable.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import chain, islice
from random import Random
from typing import Any, NamedTuple
from uuid import uuid4

import redis

from leadscore.events.event import Event
from leadscore.log.records import MAX_FRAME_AWARDS, Award, Frame, Source, partition_of
from leadscore.model.compile import compile_model
from leadscore.model.compiled import CompiledModel
from leadscore.model.matching import Matcher
from leadscore.pipeline.build import look_for_garbage_seldom
from leadscore.pipeline.score.shard import Shard, leads_of
from leadscore.scoring.context import FoldSettings
from leadscore.store.fence import Fence
from leadscore.store.keys import ShardKeys
from leadscore.store.redis_store import RedisStore
from leadscore.time_units import DAY_MS
from tests.bench.clock import Spent, machine_facts, print_facts, print_table, say
from tests.bench.workload import Span, events, lead_id_of, model_definition
from tests.servers import RedisServer, redis_kinds, start_redis

EVENTS_PER_LEAD = 10
SHARDS = 32
BATCH_EVENTS = 10_000
SAMPLED_LEADS = 2_000
CACHE_LEADS = 200_000
"""The default of ``LEADSCORE_CACHE_LEADS``: where there are more leads, most states are read from Redis."""
TIMEOUT_S = 10.0
STEPS = ("read", "fold", "write")


class Cost(NamedTuple):
    """CPU per event (us), and bytes of Redis memory per lead, and the parts of it that are state and key."""

    leads: int
    steps_us: dict[str, float]
    """Of Python."""
    redis_us: float
    lead_bytes: float
    state_bytes: float
    key_bytes: float

    @property
    def python_us(self) -> float:
        """All of Python's."""
        return sum(self.steps_us.values())


class Scorer:
    """The score stage without Kafka: read, fold, write, batch by batch."""

    def __init__(self, store: RedisStore, model: CompiledModel, cache_leads: int) -> None:
        self._store = store
        self._cache_leads = cache_leads
        self._shards = [
            Shard(number, None, Fence("bench", -1, 0, 0, {}), lambda _: model, FoldSettings())
            for number in range(SHARDS)
        ]
        self._version = model.version
        self.spent_s = dict.fromkeys(STEPS, 0.0)
        self._sources = [Source("bench", "", number) for number in range(SHARDS)]

    def apply(self, frames: dict[int, list[Frame]], time_ms: int) -> None:
        """One batch; every write must find the fence it expects."""
        start = Spent.so_far()
        expected = {
            number: self._shards[number].unknown_leads(chain.from_iterable(map(leads_of, of_shard)))
            for number, of_shard in frames.items()
        }
        expected = {number: lead_ids for number, lead_ids in expected.items() if lead_ids}
        for number, states in self._store.read_leads(expected).items():
            self._shards[number].load(expected[number], states)
        start = self._lap("read", start)
        for number, of_shard in frames.items():
            for frame in of_shard:
                self._shards[number].fold(frame, self._shards[number].offset + 1, time_ms)
        start = self._lap("fold", start)
        writes = {number: self._shards[number].pending(published_below=1 << 62) for number in frames}
        stored = self._store.write(list(writes.values()))
        for number, write in writes.items():
            assert stored[number] == write.fence
            self._shards[number].written(write)
            self._shards[number].trim(self._cache_leads // SHARDS)
        self._lap("write", start)

    def _lap(self, step: str, start: Spent) -> Spent:
        now = Spent.so_far()
        self.spent_s[step] += now.since(start).thread_s
        return now

    def frames(self, awards: Iterable[Award]) -> dict[int, list[Frame]]:
        """The awards as the match stage logs them, by shard."""
        by_shard: dict[int, list[Award]] = {}
        for award in awards:
            by_shard.setdefault(award.source, []).append(award)
        return {
            number: [
                Frame(self._version, self._sources, of_shard[first : first + MAX_FRAME_AWARDS])
                for first in range(0, len(of_shard), MAX_FRAME_AWARDS)
            ]
            for number, of_shard in by_shard.items()
        }


def awards_of(matcher: Matcher, made: Iterable[Event]) -> Iterator[Award]:
    """Their awards; each shard has a source partition of its own, in which offsets rise."""
    for offset, event in enumerate(made):
        award = matcher.award(event, partition_of(event.lead_id, SHARDS), offset)
        if award is not None:
            yield award


def events_in_rounds(random: Random, leads: int, end_ms: int) -> Iterator[Event]:
    """Ten rounds, a day each; in every round each lead has one event that the model knows."""
    for number in range(EVENTS_PER_LEAD):
        order = list(range(leads))
        random.shuffle(order)
        start_ms = end_ms - (EVENTS_PER_LEAD - number) * DAY_MS
        matching = (
            event
            for event in events(random, 2 * leads + 100, 1, Span(start_ms, start_ms + DAY_MS // 2))
            if event.type != "email.delivered"
        )
        for lead, event in zip(order, matching, strict=False):
            yield Event(event.type, event.event_id, lead_id_of(lead), event.occurred_at_ms, event.fields)


def measure(server: RedisServer, leads: int, cache_leads: int, seed: int) -> Cost:
    """Write that many leads into the empty server and say what they cost; then they are gone again."""
    prefix = f"bench{uuid4().hex[:6]}"
    definition = model_definition()
    store = RedisStore([server.url], prefix, SHARDS, TIMEOUT_S)
    with ExitStack() as stack:
        client = stack.enter_context(closing(redis.Redis.from_url(server.url)))
        stack.callback(client.flushdb)
        stack.callback(store.close)
        before = used_memory(client)
        scorer = Scorer(store, compile_model(definition), cache_leads)
        now_ms = int(time.time() * 1000)
        awards = awards_of(Matcher(definition), events_in_rounds(Random(seed), leads, now_ms))
        redis_s, applied = apply_all(client, scorer, awards, now_ms)
        per_event = 1e6 / applied
        sizes = mean_sizes(store, prefix, min(leads, SAMPLED_LEADS))
        steps_us = {step: spent_s * per_event for step, spent_s in scorer.spent_s.items()}
        return Cost(leads, steps_us, redis_s * per_event, (used_memory(client) - before) / leads, *sizes)


def apply_all(client: Any, scorer: Scorer, awards: Iterator[Award], now_ms: int) -> tuple[float, int]:
    """CPU seconds of Redis, and how many awards."""
    applied = 0
    redis_s = redis_cpu_s(client)
    while batch := list(islice(awards, BATCH_EVENTS)):
        scorer.apply(scorer.frames(batch), now_ms)
        applied += len(batch)
        if applied % 1_000_000 < BATCH_EVENTS:
            say(f"{applied:,} events")
    return redis_cpu_s(client) - redis_s, applied


def mean_sizes(store: RedisStore, prefix: str, leads: int) -> tuple[float, float]:
    """Bytes of a state and of a key, on average over the first leads."""
    state_bytes = key_bytes = 0
    for lead_id in map(lead_id_of, range(leads)):
        shard = partition_of(lead_id, SHARDS)
        [state] = store.read_leads({shard: [lead_id]})[shard]
        assert state is not None
        state_bytes += len(state)
        key_bytes += len(ShardKeys(prefix, shard, SHARDS).lead(lead_id))
    return state_bytes / leads, key_bytes / leads


def used_memory(client: Any) -> int:
    """Bytes that Redis holds for data and its bookkeeping."""
    return int(client.info("memory")["used_memory"])


def redis_cpu_s(client: Any) -> float:
    """CPU seconds of Redis so far."""
    used = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def print_costs(costs: list[Cost]) -> None:
    """Both sizes, and their ratio."""
    rows = [
        (
            f"{cost.leads:,} leads",
            f"{cost.lead_bytes:.0f}",
            f"{cost.state_bytes:.0f}",
            f"{cost.key_bytes:.0f}",
            f"{cost.lead_bytes - cost.state_bytes - cost.key_bytes:.0f}",
            *(f"{cost.steps_us[step]:.1f}" for step in STEPS),
            f"{cost.python_us:.1f}",
            f"{cost.redis_us:.2f}",
        )
        for cost in costs
    ]
    few, many = costs
    ratios = (f"{many.python_us / few.python_us:.2f}", f"{many.redis_us / few.redis_us:.2f}")
    rows.append(("ratio", f"{many.lead_bytes / few.lead_bytes:.2f}", *[""] * (3 + len(STEPS)), *ratios))
    print_table(
        ("", "bytes/lead", "state", "key", "overhead", *(f"{step} us" for step in STEPS), "Python", "Redis"), rows
    )
    sys.stdout.write(
        "\n  bytes/lead: growth per lead of Redis's used_memory. state, key: what is in it. overhead: Redis's hash\n"
        "  tables, times to live, headers of key and value, rounding, and the due times. us: CPU per event;\n"
        "  read, fold and write are the parts of Python's.\n"
    )


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leads", type=int, default=100_000)
    parser.add_argument("--few-leads", type=int, default=10_000, help="what the ratios are against")
    parser.add_argument("--cache-leads", type=int, default=CACHE_LEADS, help="states that are kept in memory")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


def main() -> int:
    """Measure on every kind of Redis this machine has."""
    options = read_options()
    look_for_garbage_seldom()
    for kind in redis_kinds():
        with start_redis(kind, "--save", "") as server, closing(redis.Redis.from_url(server.url)) as client:
            if client.dbsize():
                sys.stderr.write(f"{server} holds keys: expected an empty one, it is emptied after measuring\n")
                return 2
            costs = [
                measure(server, leads, options.cache_leads, options.seed)
                for leads in (options.few_leads, options.leads)
            ]
            facts = machine_facts() | {"server": str(server), "seed": str(options.seed)}
            print_facts(f"leadscore bench-memory, {EVENTS_PER_LEAD} events per lead", facts)
            print_costs(costs)
            figures = [cost._asdict() | {"python_us": cost.python_us} for cost in costs]
            sys.stdout.write(json.dumps({"bench": "memory", "facts": facts, "costs": figures}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
