"""``make bench-in-process``: events to frames and frames to states in one thread, without a server or a client.

A change to the hot path is judged here in seconds. Figures are CPU time of the thread per event, the least of several
repeats; ``halves`` is the time of the second half of the events against the first: what it costs that leads fill up.
``--digest`` prints a hash of all states and crossings, which must not change with the code's speed.

Workloads: ``peers`` is the one of the comparison with other systems (12 half-life rules, events at random times within
30 days, about 5 crossings in 100 events), ``peers-in-order`` the same with the events in order of time, ``peers-wide``
the same over a million leads, ``base`` the one of ``make bench`` (in order, few crossings), ``starter`` the starter
model with the events of ``leadscore produce``.
"""

import argparse
import gc
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from random import Random
from typing import NamedTuple

from leadscore.events.event import Event
from leadscore.log.records import Award, Frame, LogRecord, Source, decode, encode, partition_of
from leadscore.model.compile import compile_model
from leadscore.model.compiled import CompiledModel
from leadscore.model.definition import ModelDefinition
from leadscore.model.load import load_model
from leadscore.model.matching import Matcher
from leadscore.pipeline.score.shard import Shard, encode_outputs
from leadscore.scoring.context import FoldSettings
from leadscore.store.fence import Fence
from leadscore.store.shard import ShardWrite
from tests.bench import peers_workload
from tests.bench.clock import Spent, machine_facts, print_facts, print_table
from tests.bench.features import NOW_MS, SPAN, STARTER, starter_events
from tests.bench.workload import events as base_events
from tests.bench.workload import model_definition as base_model

BATCH_RECORDS = 10_000
"""What the worker takes at once under load."""
PARTITIONS = 32
WIDE_LEADS = 1_000_000
STEPS = ("match", "read", "fold", "write")


class Size(NamedTuple):
    """How much of a workload, and which."""

    events: int
    leads: int
    seed: int


class Workload(NamedTuple):
    """A model and the events for it, in the order of the log."""

    model: ModelDefinition
    events: Sequence[Event]


class Cost(NamedTuple):
    """CPU time per event (us) by step, and what came of the events."""

    awards: int
    steps_us: dict[str, float]
    halves: float
    state_bytes: float
    crossings_per_100: float
    digest: str

    @property
    def total_us(self) -> float:
        """All steps together."""
        return sum(self.steps_us.values())


class Stopwatch:
    """CPU seconds of this thread by step, for each half of the batches."""

    def __init__(self, batches: int) -> None:
        self.seconds = dict.fromkeys(STEPS, 0.0)
        self.by_half = [0.0, 0.0]
        self._batches = batches
        self._last = Spent.so_far()

    def start(self) -> None:
        """What was spent until now belongs to nothing."""
        self._last = Spent.so_far()

    def lap(self, step: str, batch: int) -> None:
        """What was spent since the last call belongs to the step of the batch."""
        now = Spent.so_far()
        spent_s = now.since(self._last).thread_s
        self.seconds[step] += spent_s
        self.by_half[2 * batch >= self._batches] += spent_s
        self._last = now


def _peers(size: Size, *, in_order: bool = False) -> Workload:
    made = peers_workload.events(Random(size.seed), size.events, size.leads, SPAN, in_order=in_order)
    return Workload(peers_workload.model_definition(), list(made))


def _base(size: Size) -> Workload:
    return Workload(base_model(), list(base_events(Random(size.seed), size.events, size.leads, SPAN)))


def _starter(size: Size) -> Workload:
    return Workload(load_model(STARTER).definition, starter_events(size.seed, size.events))


WORKLOADS: Mapping[str, Callable[[Size], Workload]] = {
    "peers": _peers,
    "peers-in-order": lambda size: _peers(size, in_order=True),
    "peers-wide": lambda size: _peers(size._replace(leads=WIDE_LEADS)),
    "base": _base,
    "starter": _starter,
}


def batches(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """The events as the match stage takes them."""
    return (events[first : first + BATCH_RECORDS] for first in range(0, len(events), BATCH_RECORDS))


class Bench:
    """One run of a workload through matching and scoring, from empty shards on."""

    def __init__(self, workload: Workload) -> None:
        model = compile_model(workload.model)
        self._matcher = Matcher(workload.model)
        self._events = workload.events
        self._shards = [_empty_shard(number, model) for number in range(PARTITIONS)]
        self._clock = Stopwatch(-(-len(workload.events) // BATCH_RECORDS))
        self._hash = sha256()
        self._crossings_hash = sha256()
        self._offset = 0
        self.awards = self.crossings = self.states = self.state_bytes = 0

    def run(self) -> Cost:
        """Match, log, fold and encode everything."""
        for number, batch in enumerate(batches(self._events)):
            self._clock.start()
            frames = self._match(batch)
            self._clock.lap("match", number)
            self._score(frames, number)
        seconds, (first, second) = self._clock.seconds, self._clock.by_half
        return Cost(
            self.awards,
            {step: seconds[step] * 1e6 / len(self._events) for step in STEPS},
            second / first,
            self.state_bytes / max(1, self.states),
            100 * self.crossings / len(self._events),
            f"{self._crossings_hash.hexdigest()[:12]} {self._hash.hexdigest()[:12]}",
        )

    def _match(self, batch: Sequence[Event]) -> dict[int, bytes]:
        awards: dict[int, list[Award]] = {}
        for event in batch:
            award = self._matcher.award(event, 0, self._offset)
            self._offset += 1
            if award is not None:
                awards.setdefault(partition_of(award.lead_id, PARTITIONS), []).append(award)
        self.awards += sum(map(len, awards.values()))
        sources = [Source("bench", "", 0)]
        return {number: encode(Frame(self._matcher.version, sources, listed)) for number, listed in awards.items()}

    def _score(self, frames: dict[int, bytes], batch: int) -> None:
        shards = self._shards
        records: dict[int, LogRecord] = {number: decode(value) for number, value in frames.items()}
        for number, record in records.items():
            missing = shards[number].unknown_leads([record])
            shards[number].load(missing, [None] * len(missing))
        self._clock.lap("read", batch)
        outputs = [shards[number].fold(record, batch, NOW_MS) for number, record in records.items()]
        self._clock.lap("fold", batch)
        writes = [shards[number].pending(batch) for number in records]
        for write in writes:
            shards[write.shard].written(write)
        self._clock.lap("write", batch)
        for decided in outputs:
            self.crossings += len(decided)
            self._crossings_hash.update(encode_outputs(decided))
        self._digest(writes)

    def _digest(self, writes: Sequence[ShardWrite]) -> None:
        for write in writes:
            for lead in write.leads.values():
                state = lead.state or b""
                self._hash.update(state)
                self.states += 1
                self.state_bytes += len(state)


def _empty_shard(number: int, model: CompiledModel) -> Shard:
    return Shard(number, None, Fence("bench", -1, 0, 0, {}), lambda _: model, FoldSettings())


def least(workload: Workload, repeats: int) -> Cost:
    """The quickest of several runs."""
    costs = []
    for _ in range(repeats):
        gc.collect()
        gc.disable()  # the worker collects seldom, and never in the middle of a batch's arithmetic
        costs.append(Bench(workload).run())
        gc.enable()
    return min(costs, key=lambda cost: cost.total_us)


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)} (default: all)")
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--leads", type=int, default=20_000, help="of peers and base; the starter's come of themselves")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--digest", action="store_true", help="a hash of all states and crossings beside each figure")
    options = parser.parse_args(arguments)
    if unknown := set(options.workloads) - set(WORKLOADS):
        parser.error(f"{', '.join(sorted(unknown))}: expected one of {', '.join(WORKLOADS)}")
    return options


def main() -> int:
    """Measure, print; nothing is asserted."""
    options = read_options()
    facts = machine_facts()
    size = Size(options.events, options.leads, options.seed)
    print_facts("leadscore bench-in-process", facts | {name: str(value) for name, value in size._asdict().items()})
    costs = {name: least(WORKLOADS[name](size), options.repeats) for name in options.workloads or WORKLOADS}
    head = ("us of CPU per event", *STEPS, "all", "halves", "state bytes", "crossings/100")
    rows = [
        (
            name,
            *(f"{cost.steps_us[step]:.1f}" for step in STEPS),
            f"{cost.total_us:.1f}",
            f"{cost.halves:.2f}",
            f"{cost.state_bytes:.0f}",
            f"{cost.crossings_per_100:.1f}{'  ' + cost.digest if options.digest else ''}",
        )
        for name, cost in costs.items()
    ]
    print_table(head, rows)
    figures = {name: cost._asdict() | {"total_us": cost.total_us} for name, cost in costs.items()}
    sys.stdout.write(json.dumps({"bench": "in-process", **size._asdict(), "facts": facts, "costs": figures}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
