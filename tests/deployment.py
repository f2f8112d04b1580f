"""A deployment of leadscore on real servers: topics, worker processes, what they publish and what they store."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import yaml
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from leadscore.cli.event_bytes import avro_bytes, json_bytes
from leadscore.events.event import Event
from leadscore.log.records import Frame, LogRecord, decode
from leadscore.model.compile import CompiledModel, compile_model
from leadscore.model.definition import ModelDefinition
from leadscore.pipeline.shard import Shard
from leadscore.scoring.crossing import Crossing
from leadscore.scoring.fold import FoldSettings
from leadscore.scoring.state import LeadState, decode_state
from leadscore.store.fence import Fence
from leadscore.store.redis_store import RedisStore
from tests.servers import KafkaServer, RedisServer, wait_until

SOURCES = ("website", "email", "webinar", "profiles")
LOG_PARTITIONS = 4
OUT_OF_GROUP = {"enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "earliest"}


class Deployment:
    """Topics, groups and keys of its own on shared servers; ``environ`` overrides are for every worker."""

    def __init__(
        self, kafka: KafkaServer, redis: RedisServer, names: tuple[str, str], folder: Path, model: Mapping[str, Any]
    ) -> None:
        self.name, self.prefix = names
        self.kafka, self.redis, self.folder = kafka, redis, folder
        self.workers: list[WorkerProcess] = []
        self.use_model(model)
        self.environ: dict[str, str] = {}
        self._producer: Producer | None = None

    def use_model(self, model: Mapping[str, Any]) -> None:
        """Workers started from now on match with this model."""
        self.definition = msgspec.convert(model, ModelDefinition)
        self.model_path = self.folder / f"model-{self.definition.version}.yaml"
        self.model_path.write_text(yaml.safe_dump(dict(model), sort_keys=False))

    def topic(self, word: str) -> str:
        return f"{self.name}.{word}"

    def config(self, **overrides: str) -> dict[str, str]:
        """The worker's environment."""
        return {
            "LEADSCORE_MODEL": str(self.model_path),
            "LEADSCORE_GROUP": self.name,
            "LEADSCORE_SOURCE_TOPICS": ",".join(self.topic(word) for word in SOURCES),
            "LEADSCORE_COMMAND_TOPIC": self.topic("commands"),
            "LEADSCORE_LOG_TOPIC": self.topic("log"),
            "LEADSCORE_MODELS_TOPIC": self.topic("models"),
            "LEADSCORE_CROSSING_TOPIC": self.topic("crossings"),
            "LEADSCORE_DEAD_LETTER_TOPIC": self.topic("dead-letters"),
            "LEADSCORE_LOG_PARTITIONS": str(LOG_PARTITIONS),
            "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "LEADSCORE_REDIS_URL": self.redis.url,
            "LEADSCORE_REDIS_PREFIX": self.prefix,
            "LEADSCORE_HTTP_HOST": "127.0.0.1",
            "LEADSCORE_HTTP_PORT": "0",
            "LEADSCORE_DUE_INTERVAL": "2s",
            **self.environ,
            **overrides,
        }

    def create_topics(self, source_partitions: int = 3) -> None:
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap})
        sizes = {word: source_partitions for word in SOURCES}
        sizes |= {"commands": 1, "log": LOG_PARTITIONS, "models": 1, "crossings": 2, "dead-letters": 1}
        large = {"max.message.bytes": str(20 * 1024 * 1024)}
        topics = [
            NewTopic(self.topic(word), partitions, 1, config=large if word in (*SOURCES, "dead-letters") else {})
            for word, partitions in sizes.items()
        ]
        for created in admin.create_topics(topics).values():
            created.result(timeout=30)

    # --- what goes in ---

    @property
    def producer(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(
                {"bootstrap.servers": self.kafka.bootstrap, "linger.ms": 20, "message.max.bytes": 20 * 1024 * 1024}
            )
        return self._producer

    def send(self, events: Iterable[Event], *, received_ms: int | None = None, as_json: bool = False) -> int:
        """Produce events to the topic of their type; the Kafka timestamp is ``occurred_at`` unless given."""
        count = 0
        for event in events:
            value = json_bytes(event) if as_json else avro_bytes(event) or json_bytes(event)
            self.send_bytes(self._word_of(event), value, event.occurred_at_ms if received_ms is None else received_ms)
            count += 1
        self.producer.flush(60)
        return count

    def send_bytes(self, word: str, value: bytes | None, timestamp_ms: int, **record: Any) -> None:
        while True:
            try:
                self.producer.produce(self.topic(word), value=value, timestamp=max(timestamp_ms, 1), **record)
            except BufferError:
                self.producer.poll(0.1)
            else:
                return

    @staticmethod
    def _word_of(event: Event) -> str:
        prefix = event.type.partition(".")[0]
        return {"profile": "profiles", "command": "commands"}.get(prefix, prefix if prefix in SOURCES else "website")

    # --- worker processes ---

    def start_worker(self, **overrides: str) -> "WorkerProcess":
        worker = WorkerProcess(self.config(**overrides), self.folder / f"worker-{len(self.workers)}.log")
        self.workers.append(worker)
        return worker

    def stop(self) -> None:
        """Kill what is left and delete the topics."""
        for worker in self.workers:
            worker.kill()
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap})
        mine = [topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(f"{self.name}.")]
        if mine:
            for deleted in admin.delete_topics(mine).values():
                deleted.result(timeout=30)

    # --- what comes out ---

    def read(self, word: str) -> list[Message]:
        """Every record of a topic, up to its end as of now, by partition and offset."""
        consumer = Consumer({"bootstrap.servers": self.kafka.bootstrap, "group.id": "reader", **OUT_OF_GROUP})
        topic = self.topic(word)
        partitions = list(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        records, open_partitions = [], set(partitions)
        while open_partitions:
            for message in consumer.consume(10_000, 0.5):
                if message.error() is None:
                    records.append(message)
                else:
                    open_partitions.discard(message.partition())
        consumer.close()
        return sorted(records, key=lambda record: (record.partition(), record.offset()))

    def crossings(self) -> list[dict[str, Any]]:
        """Published crossings, decoded, repeats among them."""
        return [decode_crossing(message.value()) for message in self.read("crossings")]

    def log(self) -> list[tuple[int, int, int, LogRecord]]:
        """The award log: partition, offset, timestamp, record."""
        return [(m.partition(), m.offset(), m.timestamp()[1], decode(m.value())) for m in self.read("log")]

    def plain_fold(self, *, settings: FoldSettings = FoldSettings()) -> tuple[dict[str, LeadState], list[Crossing]]:  # noqa: B008
        """The states and crossings that a fold of the log alone gives, in one go and one process."""
        model = compile_model(self.definition)
        shards: dict[int, Shard] = {}
        crossings: list[Crossing] = []
        for partition, offset, time_ms, record in self.log():
            shard = shards.setdefault(partition, fresh_shard(partition, model, settings))
            shard.load(leads := shard.unknown_leads([record]), [None] * len(leads))
            crossings += shard.fold(record, offset, time_ms)
        states = {lead: state for shard in shards.values() for lead, state in shard._states.items() if state}
        return states, crossings

    def stored(self, lead_ids: Iterable[str]) -> dict[str, LeadState | None]:
        """The states in Redis."""
        from leadscore.log.records import partition_of

        store = RedisStore([self.redis.url], self.prefix, LOG_PARTITIONS)
        by_shard: dict[int, list[str]] = {}
        for lead_id in lead_ids:
            by_shard.setdefault(partition_of(lead_id, LOG_PARTITIONS), []).append(lead_id)
        found: dict[str, LeadState | None] = {}
        for shard, states in store.read_leads(by_shard).items():
            for lead_id, data in zip(by_shard[shard], states, strict=True):
                found[lead_id] = None if data is None else decode_state(data)
        store.close()
        return found

    def lag(self) -> int:
        """Records that the groups have not committed: of the sources by the match group, of the log by the score group."""
        return self._lag(f"{self.name}-match", [*SOURCES, "commands"]) + self._lag(f"{self.name}-score", ["log"])

    def _lag(self, group: str, words: list[str]) -> int:
        consumer = Consumer({"bootstrap.servers": self.kafka.bootstrap, "group.id": group, **OUT_OF_GROUP})
        try:
            total = 0
            for word in words:
                topic = self.topic(word)
                numbers = list(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
                committed = consumer.committed([TopicPartition(topic, number) for number in numbers], timeout=10)
                for each in committed:
                    _, high = consumer.get_watermark_offsets(each, timeout=10)
                    total += high - max(each.offset, 0)
            return total
        finally:
            consumer.close()

    def wait_until_done(self, timeout_s: float = 60) -> None:
        """Until everything produced is matched, applied, published and committed."""

        def is_done() -> bool:
            for worker in self.workers:
                worker.check()
            return self.lag() == 0

        wait_until(is_done, timeout_s, "all records committed")


class WorkerProcess:
    """``leadscore run`` as a process of its own."""

    def __init__(self, environ: Mapping[str, str], log_path: Path) -> None:
        self.log_path = log_path
        self.expected_to_die = False
        self._log = log_path.open("wb")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LEADSCORE_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "leadscore.cli.main", "run"],
            env=inherited | dict(environ),
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def lines(self) -> list[dict[str, Any]]:
        """Its log lines so far."""
        return list(_json_lines(self.log_path.read_text(errors="replace")))

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line.get("event") == event]

    def wait_for(self, event: str, timeout_s: float = 30) -> dict[str, Any]:
        """The first log line of that event."""

        def find() -> dict[str, Any] | None:
            found = self.said(event)
            if not found:
                self.check()
            return found[0] if found else None

        return wait_until(find, timeout_s, f"log line {event}")

    def check(self) -> None:
        """Fail loudly if it ended although nobody asked it to."""
        if not self.expected_to_die and self.process.poll() not in (None, 0):
            raise AssertionError(f"the worker ended with {self.process.returncode}:\n{self.tail()}")

    def tail(self) -> str:
        return self.log_path.read_text(errors="replace")[-4000:]

    def terminate(self, timeout_s: float = 40) -> int:
        """Ask it to end, as a platform does; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        self.expected_to_die = True
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._log.close()

    def wait_for_death(self, timeout_s: float = 60) -> None:
        self.expected_to_die = True
        self.process.wait(timeout_s)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


def fresh_shard(number: int, model: CompiledModel, settings: FoldSettings) -> Shard:
    return Shard(number, None, Fence("", -1, 0, 0, {}), lambda _: model, settings)


def decode_crossing(value: bytes) -> dict[str, Any]:
    """A crossing in Avro single-object encoding."""
    import io

    from leadscore.events.local_schemas import parsed_schema

    record = fastavro.schemaless_reader(io.BytesIO(value[10:]), parsed_schema("crossing"), None)
    return dict(record)  # type: ignore[arg-type]


def frames(log: Iterable[tuple[int, int, int, LogRecord]]) -> Iterator[tuple[int, int, Frame]]:
    return ((partition, offset, record) for partition, offset, _, record in log if isinstance(record, Frame))


def _json_lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def now_ms() -> int:
    return int(time.time() * 1000)
