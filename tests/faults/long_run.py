"""The judge of a run of millions of events: reads each topic once, record by record, and keeps some bytes per crossing.

Theory of operation. A lead's crossings of a threshold are numbered from 1 on (``sequence``). So what the log makes of
everything fits into one text of bytes per lead and threshold: ``DIGEST_BYTES`` for each crossing, at its number, of id,
key, body and headers. Every copy that was published is compared with its place in there: another body, a crossing that
nothing caused, one that comes before its predecessor, and one that is missing in the end, all show. The log partitions
are folded side by side in processes of their own.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from hashlib import blake2b
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from leadscore.log.records import decode
from leadscore.model.compile import compile_model
from leadscore.model.definition import ModelDefinition
from leadscore.pipeline.score.publishing import Published, avro_encoding, output_record
from leadscore.pipeline.score.shard import leads_of
from leadscore.scoring.context import FoldSettings
from leadscore.scoring.crossing import Crossing
from leadscore.scoring.state import encode_state
from tests.deployment import LOG_PARTITIONS, OUT_OF_GROUP, Deployment, decode_crossing, fresh_shard, headers_of

DIGEST_BYTES = 8
WRITTEN_EVERY = 500
"""Records of the log, after which a shard need not keep any longer what it would have to write."""
PROCESSES = 2


class Stay(NamedTuple):
    """A lead and a threshold: what has numbers of its own."""

    lead_id: str
    threshold: str


class Folded(NamedTuple):
    """What one log partition makes of its leads: their states as bytes, and the digests of their crossings."""

    states: dict[str, bytes]
    digests: dict[Stay, bytes]


class LogPartition(NamedTuple):
    """What a process needs in order to fold it."""

    kafka: dict[str, str]
    topic: str
    number: int
    model_file: Path
    settings: FoldSettings


class Seen(NamedTuple):
    """What a subscriber has seen: how many crossings, of how many it took the time, the latest, and what was wrong."""

    crossings: int
    timed: int
    latest_s: float
    violations: list[str]


def records_of(kafka: dict[str, str], topic: str, number: int) -> Iterator[Message]:
    """Those of one partition, up to its end as of now."""
    with closing(Consumer({**kafka, "group.id": "reader", **OUT_OF_GROUP})) as consumer:
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING)])
        while True:
            for message in consumer.consume(1_000, 0.5):
                if message.error() is not None:
                    return
                yield message


def folded_log(deployment: Deployment, settings: FoldSettings) -> Folded:
    """The plain fold of the whole log."""
    kafka = dict(deployment.kafka.properties)
    parts = [
        LogPartition(kafka, deployment.topic("log"), number, deployment.model_path, settings)
        for number in range(LOG_PARTITIONS)
    ]
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        by_partition = list(pool.map(folded, parts))
    states = {lead_id: state for one in by_partition for lead_id, state in one.states.items()}
    return Folded(states, {stay: digests for one in by_partition for stay, digests in one.digests.items()})


def folded(part: LogPartition) -> Folded:
    """The plain fold of one partition, from its beginning."""
    model = compile_model(msgspec.convert(yaml.safe_load(part.model_file.read_text()), ModelDefinition))
    shard = fresh_shard(part.number, lambda _: model, part.settings)
    digests: dict[Stay, bytearray] = defaultdict(bytearray)
    records = records_of(part.kafka, part.topic, part.number)
    while some := list(islice(records, WRITTEN_EVERY)):
        for message in some:
            record = decode(message.value() or b"")
            shard.load(leads := shard.unknown_leads(leads_of(record)), [None] * len(leads))
            for output in shard.fold(record, message.offset() or 0, message.timestamp()[1]):
                assert isinstance(output, Crossing)
                digests[Stay(output.lead_id, output.threshold)] += digest_of_output(output)
        shard.written(shard.pending(shard.offset + 1))
    states = {lead_id: encode_state(state) for lead_id, state in shard._states.items() if state is not None}
    return Folded(states, {stay: bytes(one) for stay, one in digests.items()})


def digest_of_output(output: Published) -> bytes:
    """Of the record that it is published as."""
    record = output_record(output, avro_encoding(None))
    return _digest(record.key, record.value, record.headers)


def digest_of_message(message: Message) -> bytes:
    """Of a record that was published."""
    return _digest(message.key(), message.value(), headers_of(message))


def _digest(key: str | bytes | None, value: bytes | None, headers: list[tuple[str, str | bytes | None]]) -> bytes:
    texts = [(name, text.encode() if isinstance(text, str) else text) for name, text in headers]
    return blake2b(repr((key, value, texts)).encode(), digest_size=DIGEST_BYTES).digest()


def seen_by_subscriber(deployment: Deployment, folded_crossings: dict[Stay, bytes], since_ms: int) -> Seen:
    """Everything that was published, held against the fold; how late it was, of events since then."""
    judge = Subscriber(folded_crossings, since_ms)
    kafka, topic = dict(deployment.kafka.properties), deployment.topic("crossings")
    with closing(Consumer({**kafka, "group.id": "reader"})) as consumer:
        numbers = list(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    for number in numbers:
        for message in records_of(kafka, topic, number):
            judge.see(message)
    return judge.done()


class Subscriber:
    """Sees one published record after the other."""

    def __init__(self, expected: dict[Stay, bytes], since_ms: int) -> None:
        self._expected, self._since_ms = expected, since_ms
        self._last: dict[Stay, int] = defaultdict(int)
        self._timed = 0
        self._latest_ms = 0.0
        self._violations: list[str] = []

    def see(self, message: Message) -> None:
        """A crossing, or a copy of one."""
        crossing = decode_crossing(message.value() or b"")
        stay, number = Stay(crossing["lead_id"], crossing["threshold"]), int(crossing["sequence"])
        place = slice((number - 1) * DIGEST_BYTES, number * DIGEST_BYTES)
        expected = self._expected.get(stay, b"")[place]
        if not expected:
            self._violations.append(f"crossing without a cause: {stay} {number}")
        elif expected != digest_of_message(message):
            self._violations.append(f"crossing that is not the log's: {stay} {number}")
        if number == self._last[stay] + 1:
            self._last[stay] = number
            self._note_time(message, crossing)
        elif number > self._last[stay]:
            self._violations.append(f"crossing {number} of {stay} after {self._last[stay]}")
            self._last[stay] = number

    def _note_time(self, message: Message, crossing: Mapping[str, Any]) -> None:
        """Of a first copy that an event caused; the topic has the broker's time."""
        occurred_ms = crossing["occurred_at"].timestamp() * 1000
        if crossing["trigger"] is not None and occurred_ms >= self._since_ms:
            self._timed += 1
            self._latest_ms = max(self._latest_ms, message.timestamp()[1] - occurred_ms)

    def done(self) -> Seen:
        """The topic is at its end."""
        for stay, digests in self._expected.items():
            missing = len(digests) // DIGEST_BYTES - self._last[stay]
            if missing > 0:
                self._violations.append(f"{missing} crossings of {stay} were never published")
        return Seen(sum(self._last.values()), self._timed, self._latest_ms / 1000, self._violations)
