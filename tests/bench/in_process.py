"""``make bench-in-process``: bytes to frames and frames to states in one thread, without a server.

A change to the hot path is judged here in seconds. Figures are CPU time of the thread per event, the least of several
repeats; ``halves`` is the time of the second half of the events against the first: what it costs that leads fill up.
A second table has the fold by kind of record and by half (``kinds``); ``--kinds`` prints nothing else.
``match`` begins at the records as Kafka's client hands them over. ``decode`` is a part of it, measured a second time by
itself, and ``fastavro`` the bare reader on the same bytes, for comparison; neither is in ``all``. ``--digest`` prints a
hash of all states and crossings, which must not change with the code's speed. With ``--scores`` there is a scores
topic, and ``scores`` is the encoding of its records: of each batch the newest of each lead.
"""

import argparse
import gc
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import NamedTuple

from confluent_kafka import Message

from leadscore.events.decoder import Decoder
from leadscore.log.records import Award, Frame, Source, decode
from leadscore.model.compile import compile_model
from leadscore.model.compiled import CompiledModel
from leadscore.model.matching import Matcher
from leadscore.ops.config import load_config
from leadscore.pipeline.match.batch import Work
from leadscore.pipeline.pace import SCORE_RECORDS
from leadscore.pipeline.score.frames import FrameRun, PlacedFrame
from leadscore.pipeline.score.latest_scores import LatestScores
from leadscore.pipeline.score.outbox import encode_outputs
from leadscore.pipeline.score.score_records import avro_score_encoding, score_record
from leadscore.pipeline.score.shard import Shard
from leadscore.scoring.context import FoldSettings
from leadscore.scoring.latest_score import ScoreNews
from leadscore.scoring.outputs import Output
from leadscore.store.fence import Fence
from leadscore.store.shard import ShardWrite
from tests.bench import kinds
from tests.bench.clock import Spent, machine_facts, print_facts, print_table
from tests.bench.features import NOW_MS
from tests.bench.streams import COMMAND_TOPIC, STREAMS, TOPIC, Size, Stream

BATCH_RECORDS = 10_000
"""What the worker takes at once under load."""
PARTITIONS = 32
STEPS = ("match", "read", "fold", "write", "scores")
APART = ("fastavro", "decode")
"""What is measured beside the steps."""
SCORE_ENCODING = avro_score_encoding(None)
SOURCES = {(topic, 0): Source(topic, "", 0) for topic in (TOPIC, COMMAND_TOPIC)}
SETTINGS = {
    "LEADSCORE_SOURCE_TOPICS": TOPIC,
    "LEADSCORE_COMMAND_TOPIC": COMMAND_TOPIC,
    "LEADSCORE_LOG_PARTITIONS": str(PARTITIONS),
}


class Cost(NamedTuple):
    """CPU time per event (us) by step, and what came of the events."""

    awards: int
    steps_us: dict[str, float]
    halves: float
    state_bytes: float
    crossings_per_100: float
    news_per_100: float
    digest: str

    @property
    def total_us(self) -> float:
        """All steps together."""
        return sum(self.steps_us[step] for step in STEPS)


class Stopwatch:
    """CPU seconds of this thread by step, for each half of the batches."""

    def __init__(self, batches: int) -> None:
        self.seconds = dict.fromkeys((*APART, *STEPS), 0.0)
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
        if step in STEPS:
            self.by_half[2 * batch >= self._batches] += spent_s
        self._last = now


def batches(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """The records as the match stage takes them."""
    return (messages[first : first + BATCH_RECORDS] for first in range(0, len(messages), BATCH_RECORDS))


class Bench:
    """One run of a workload through matching and scoring, from empty shards on."""

    def __init__(self, stream: Stream, *, has_scores_topic: bool = False, score_records: int = BATCH_RECORDS) -> None:
        model = compile_model(stream.model)
        self._config = load_config(SETTINGS)
        self._matcher = Matcher(stream.model)
        self._decoder = Decoder(lookup=stream.lookup)
        self._fastavro = stream.bare_fastavro()
        self.messages = stream.messages
        self._shards = [
            _empty_shard(number, model, LatestScores(step=1.0) if has_scores_topic else None)
            for number in range(PARTITIONS)
        ]
        self._score_records = score_records
        self._clock = Stopwatch(-(-len(stream.messages) // BATCH_RECORDS))
        self._hash = sha256()
        self._crossings_hash = sha256()
        self.awards = self.crossings = self.news = self.states = self.state_bytes = 0

    def run(self) -> Cost:
        """Match, log, fold and encode everything."""
        frames: dict[int, list[bytes]] = {}
        matched = scored = 0
        for number, batch in enumerate(batches(self.messages)):
            self._decode_alone(batch, number)
            self._clock.start()
            for shard, value in self.match(batch):
                frames.setdefault(shard, []).append(value)
            self._clock.lap("match", number)
            matched += len(batch)
            if matched - scored >= self._score_records or matched == len(self.messages):
                for shard, values in frames.items():
                    self._score(self._shards[shard], values, number)
                frames, scored = {}, matched
        seconds, (first, second) = self._clock.seconds, self._clock.by_half
        return Cost(
            self.awards,
            {step: spent_s * 1e6 / len(self.messages) for step, spent_s in seconds.items()},
            second / first,
            self.state_bytes / max(1, self.states),
            100 * self.crossings / len(self.messages),
            100 * self.news / len(self.messages),
            f"{self._crossings_hash.hexdigest()[:12]} {self._hash.hexdigest()[:12]}",
        )

    def _decode_alone(self, batch: Sequence[Message], number: int) -> None:
        self._clock.start()
        self.decode_with_fastavro(batch)
        self._clock.lap("fastavro", number)
        self.decode(batch)
        self._clock.lap("decode", number)

    def decode_with_fastavro(self, batch: Sequence[Message]) -> None:
        """The values to dicts, and nothing else; what is JSON is left out."""
        decode_value = self._fastavro
        for message in batch:
            value = message.value() or b""
            if value[0] == 0:
                decode_value(value)

    def decode(self, batch: Sequence[Message]) -> None:
        """The values to events, and nothing else."""
        decode_value = self._decoder.decode
        for message in batch:
            decode_value(TOPIC, message.value())

    def match(self, batch: Sequence[Message]) -> list[tuple[int, bytes]]:
        """The records to frames, each with its log partition."""
        work = Work(self._config, self._decoder, self._matcher, SOURCES)
        work.take(batch)
        assert not work.dead
        return [(logged.number, logged.value) for logged in work.frames()]

    def _score(self, shard: Shard, values: Sequence[bytes], batch: int) -> None:
        """As the score stage does, one shard after the other."""
        self._clock.start()
        run = FrameRun()
        for value in values:
            record = decode(value)
            assert isinstance(record, Frame)
            run.add(PlacedFrame(batch, NOW_MS, record))
        missing = shard.unknown_leads(run.lead_ids)
        shard.load(missing, [None] * len(missing))
        self._clock.lap("read", batch)
        news: dict[str, ScoreNews] = {}
        outputs = self._fold(shard, run, batch, news)
        self._clock.lap("fold", batch)
        write = shard.pending(batch)
        shard.written(write)
        self._clock.lap("write", batch)
        for one in news.values():
            score_record(one, SCORE_ENCODING)
        self._clock.lap("scores", batch)
        self.news += len(news)
        self.awards += sum(len(placed.frame.awards) for placed in run.frames)
        for decided in outputs:
            self.crossings += len(decided)
            self._crossings_hash.update(encode_outputs(decided))
        self._digest(write)

    def _fold(self, shard: Shard, run: FrameRun, batch: int, news: dict[str, ScoreNews]) -> list[list[Output]]:
        if shard.can_fold_by_lead(run):
            return shard.fold_by_lead(run)
        outputs = []
        for placed in run.frames:
            outputs.append(shard.fold(placed.frame, batch, NOW_MS))
            news.update((one.lead_id, one) for one in shard.news)
        return outputs

    def _digest(self, write: ShardWrite) -> None:
        for lead in write.leads.values():
            state = lead.state or b""
            self._hash.update(state)
            self.states += 1
            self.state_bytes += len(state)


def awards_of(stream: Stream) -> list[Award]:
    """What the records of a stream earn, in the order of the log."""
    bench = Bench(stream)
    records = (decode(value) for batch in batches(stream.messages) for _, value in bench.match(batch))
    return [award for record in records if isinstance(record, Frame) for award in record.awards]


def _empty_shard(number: int, model: CompiledModel, latest: LatestScores | None) -> Shard:
    return Shard(number, None, Fence("bench", -1, 0, 0, {}), lambda _: model, FoldSettings(), latest)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No garbage collection: the worker collects seldom, and never in the middle of a batch's arithmetic."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def by_kind(stream: Stream, repeats: int) -> list[kinds.Half]:
    """The fold by kind of record."""
    with _undisturbed():
        return kinds.halves(compile_model(stream.model), awards_of(stream), repeats)


def least(stream: Stream, options: argparse.Namespace) -> Cost:
    """The least of several runs, of each figure by itself."""
    costs = []
    for _ in range(options.repeats):
        with _undisturbed():
            bench = Bench(stream, has_scores_topic=options.scores, score_records=options.score_records)
            costs.append(bench.run())
    steps_us = {step: min(cost.steps_us[step] for cost in costs) for step in costs[0].steps_us}
    return min(costs, key=lambda cost: cost.total_us)._replace(steps_us=steps_us)


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(STREAMS)} (default: all)")
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--leads", type=int, default=20_000, help="of peers and base; the starter's come of themselves")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--score-records",
        type=int,
        default=BATCH_RECORDS,
        help=f"how many are matched before they are scored; a worker that is behind has {SCORE_RECORDS}",
    )
    parser.add_argument("--digest", action="store_true", help="a hash of all states and crossings beside each figure")
    parser.add_argument("--scores", action="store_true", help="with a scores topic")
    parser.add_argument("--kinds", action="store_true", help="only the fold by kind of record")
    options = parser.parse_args(arguments)
    if unknown := set(options.workloads) - set(STREAMS):
        parser.error(f"{', '.join(sorted(unknown))}: expected one of {', '.join(STREAMS)}")
    return options


def print_costs(costs: Mapping[str, Cost], *, digest: bool) -> None:
    """A row per workload."""
    head = ("us of CPU per event", *APART, *STEPS, "all", "halves", "state bytes", "crossings/100", "news/100")
    rows = [
        (
            name,
            *(f"{cost.steps_us[step]:.1f}" for step in (*APART, *STEPS)),
            f"{cost.total_us:.1f}",
            f"{cost.halves:.2f}",
            f"{cost.state_bytes:.0f}",
            f"{cost.crossings_per_100:.1f}",
            f"{cost.news_per_100:.1f}{'  ' + cost.digest if digest else ''}",
        )
        for name, cost in costs.items()
    ]
    print_table(head, rows)


def main() -> int:
    """Measure, print; nothing is asserted."""
    options = read_options()
    facts = machine_facts()
    size = Size(options.events, options.leads, options.seed)
    print_facts("leadscore bench-in-process", facts | {name: str(value) for name, value in size._asdict().items()})
    costs, halves = {}, {}
    for name in options.workloads or STREAMS:
        stream = STREAMS[name](size)
        if not options.kinds:
            costs[name] = least(stream, options)
        halves[name] = by_kind(stream, options.repeats)
    if costs:
        print_costs(costs, digest=options.digest)
    sys.stdout.write("\n")
    print_table(kinds.HEAD, [row for name, measured in halves.items() for row in kinds.rows(name, measured)])
    figures = {name: cost._asdict() | {"total_us": cost.total_us} for name, cost in costs.items()}
    of_kinds = {name: [half.figures() for half in measured] for name, measured in halves.items()}
    made = {"bench": "in-process", **size._asdict(), "facts": facts, "costs": figures, "kinds": of_kinds}
    sys.stdout.write(json.dumps(made) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
