"""One phase of ``make bench`` in a process of its own: ``python -m tests.bench.phases``, a ``Job`` as JSON on stdin.

A phase is timed from the turn of the loop that took the first record to the confirmation of the last commit: start-up,
joining the group and the first assignment are left out. The last line on stdout is the ``Outcome`` as JSON.
"""

import cProfile
import io
import logging
import sys
from collections.abc import Callable
from contextlib import closing
from enum import StrEnum
from typing import Any
from uuid import uuid4

import fastavro
import msgspec
from confluent_kafka import Consumer, TopicPartition

from leadscore import __version__
from leadscore.events.decoder import SINGLE_OBJECT_HEADER_BYTES, Decoder
from leadscore.events.local_schemas import parsed_schema, single_object_header
from leadscore.ops.choices import Role
from leadscore.ops.config import Config, load_config
from leadscore.ops.health import Health
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.build import build_worker, look_for_garbage_seldom
from leadscore.pipeline.kafka.clients import make_consumer
from leadscore.pipeline.kafka.commit_policy import Offsets
from leadscore.pipeline.pace import IDLE_WAIT_S
from leadscore.pipeline.worker import Worker
from tests.bench.clock import Spent
from tests.bench.workload import SOURCES

ASK_TIMEOUT_S = 10.0
QUIET = logging.getLogger("tests.bench")


class What(StrEnum):
    """What the process does."""

    FASTAVRO = "fastavro"
    DECODER = "decoder"
    WORKER = "worker"


class Job(msgspec.Struct, frozen=True):
    """``environ`` is the worker's; ``profile`` the file for cProfile's numbers, which make everything slower."""

    what: What
    environ: dict[str, str]
    profile: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """Records and the time they took. ``thread_s`` is CPU of the loop, ``process_s`` of Kafka's threads as well."""

    records: int
    wall_s: float
    process_s: float
    thread_s: float


def consume_and_decode(config: Config, decode: Callable[[str, bytes], object]) -> Outcome:
    """A loop that does nothing else, with the worker's own consumer settings."""
    start: Spent | None = None
    done = 0
    properties = {**config.kafka, "auto.offset.reset": "earliest"}
    with closing(make_consumer(properties, f"bench-{uuid4().hex[:12]}", "range", QUIET)) as consumer:
        expected = sum(_ends(consumer, config.source_topics).values())
        consumer.subscribe(list(config.source_topics))
        while done < expected:
            turn = Spent.so_far()
            for message in consumer.consume(config.batch_size, IDLE_WAIT_S):
                if message.error() is None:
                    start = start or turn
                    decode(message.topic() or "", message.value() or b"")
                    done += 1
        spent = Spent.so_far().since(start or turn)
    return Outcome(done, *spent)


def bare_fastavro() -> Callable[[str, bytes], object]:
    """Decoding as it is usually done: one call of fastavro's reader, no check of what comes out."""
    schemas: dict[bytes, Any] = {
        single_object_header(name): parsed_schema(name) for name in (f"{source}_event" for source in SOURCES)
    }

    def decode(_topic: str, value: bytes) -> object:
        stream = io.BytesIO(value)
        return fastavro.schemaless_reader(stream, schemas[stream.read(SINGLE_OBJECT_HEADER_BYTES)], None)

    return decode


class Stopwatch:
    """Looks at the worker before each turn: when its first batch began, and whether its last commit is confirmed."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._turn = Spent.so_far()
        self._start: Spent | None = None
        self._log_is_whole = config.role is Role.SCORE
        self._left = self._uncommitted(config.match_group, config.source_topics)
        if config.role is Role.SCORE:
            self._left = self._uncommitted(config.score_group, [config.log_topic])
        self._records = sum(end - committed for committed, end in self._left.values())
        self.worker: Worker | None = None

    def passed(self, _step: str) -> None:
        """A step of the loop; the first one has begun with the turn."""
        self._start = self._start or self._turn

    def is_done(self) -> bool:
        """Whether everything that was there is committed."""
        if self._start is None:
            self._turn = Spent.so_far()
        while not self._waits():
            if self._log_is_whole or self._config.role is Role.MATCH:
                return True
            self._log_is_whole = True
            self._left = self._uncommitted(self._config.score_group, [self._config.log_topic])
        return False

    def outcome(self, metrics: Metrics) -> Outcome:
        """To be asked at once after ``is_done``. The score stage's records are awards, however many lie in a frame."""
        spent = Spent.so_far().since(self._start or self._turn)
        is_scoring = self._config.role is Role.SCORE
        return Outcome(
            int(metrics.score.awards.labels("applied")._value.get()) if is_scoring else self._records, *spent
        )

    def _waits(self) -> bool:
        worker = self.worker
        assert worker is not None
        is_scoring = self._log_is_whole
        stage = worker._score if is_scoring else worker._match
        assert stage is not None
        confirmed: Offsets = stage.commits.confirmed
        return any(confirmed.get(partition, 0) < end for partition, (_, end) in self._left.items())

    def _uncommitted(self, group: str, topics: Any) -> dict[tuple[str, int], tuple[int, int]]:
        """Committed offset and end of the partitions where they differ."""
        with closing(make_consumer(self._config.kafka, group, "range", QUIET)) as consumer:
            ends = _ends(consumer, topics)
            answers = consumer.committed([TopicPartition(*partition) for partition in ends], timeout=ASK_TIMEOUT_S)
        committed = {(answer.topic, answer.partition): max(0, answer.offset) for answer in answers}
        return {partition: (committed[partition], end) for partition, end in ends.items() if committed[partition] < end}


def run_worker(config: Config) -> Outcome:
    """The real worker, until everything that was there at the start is worked and committed."""
    stopwatch = Stopwatch(config)
    metrics = Metrics(__version__, config.input_topics)
    stopwatch.worker = worker = build_worker(config, metrics, Health({}, 60), stopwatch)
    outcomes: list[Outcome] = []

    def until() -> bool:
        if not stopwatch.is_done():
            return False
        outcomes.append(stopwatch.outcome(metrics))
        return True

    look_for_garbage_seldom()
    worker.run(until)
    return outcomes[0]


def _ends(consumer: Consumer, topics: Any) -> Offsets:
    ends: Offsets = {}
    for topic in topics:
        for number in consumer.list_topics(topic, timeout=ASK_TIMEOUT_S).topics[topic].partitions:
            bounds = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=ASK_TIMEOUT_S)
            ends[topic, number] = bounds[1]
    return ends


def work(job: Job) -> Outcome:
    """Do the job."""
    config = load_config(job.environ)
    if job.what is What.FASTAVRO:
        return consume_and_decode(config, bare_fastavro())
    if job.what is What.DECODER:
        return consume_and_decode(config, Decoder().decode)
    return run_worker(config)


def main() -> int:
    """Read the job, do it, say what came out."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    if job.profile is None:
        outcome = work(job)
    else:
        with cProfile.Profile() as profile:
            outcome = work(job)
        profile.dump_stats(job.profile)
    sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
