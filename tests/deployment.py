"""A deployment of leadscore on real servers: topics, worker processes, what they publish and what they store."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import Any

import fastavro
import msgspec
import pytest
import redis
import yaml
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    OffsetSpec,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from leadscore.demo.traffic import GeneratedEvent, topic_role_of
from leadscore.events.event import Event
from leadscore.events.event_bytes import avro_bytes, json_bytes
from leadscore.log.records import Forward, Frame, LogRecord, decode
from leadscore.model.compile import compile_model
from leadscore.model.compiled import CompiledModel
from leadscore.model.definition import ModelDefinition
from leadscore.ops.addresses import split_urls
from leadscore.pipeline.kafka.records import OutputRecord
from leadscore.pipeline.score.publishing import Published, avro_encoding, output_record
from leadscore.pipeline.score.shard import ModelOfVersion, Shard, leads_of
from leadscore.scoring.context import FoldSettings
from leadscore.scoring.score import main_score_at
from leadscore.scoring.simulation import simulate
from leadscore.scoring.state import LeadState, decode_state, encode_state
from leadscore.store.fence import Fence
from leadscore.store.redis_store import RedisStore
from tests.checked_producer import CheckedProducer
from tests.offsets import committed_of, end_of, places_of
from tests.servers import KafkaServer, RedisServer, ending_with_parent, wait_until

SOURCES = ("website", "email", "webinar", "profiles")
LOG_PARTITIONS = 4
OUT_OF_GROUP = {"enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "earliest"}


WANDERING_MODEL: Mapping[str, Any] = {
    "model": "wandering",
    "version": 1,
    "decay": {"half_life": "30d"},
    "groups": {"email": {"min": -80, "max": 60}},
    "rules": {
        "page": {"event": "website.page_view", "points": 5},
        "pricing": {"event": "website.page_view", "where": {"path": {"matches": "^/pricing"}}, "points": 10},
        "click": {"event": "email.click", "points": 10, "group": "email", "decay": {"half_life": "10d"}},
        "unsubscribe": {"event": "email.unsubscribe", "points": -45, "group": "email"},
        "attended": {"event": "webinar.attended", "points": 25},
        "no_show": {"event": "webinar.no_show", "points": -40},
    },
    "thresholds": {"mql": {"enter": 50, "exit": 35}, "hot": {"enter": 80, "exit": 60}},
}
"""With it the leads of ``wandering_events`` cross thresholds again and again, in both directions."""
LASTING_MODEL: Mapping[str, Any] = {
    "model": "lasting",
    "version": 1,
    "rules": {"page": {"event": "website.page_view", "points": 5}, "click": {"event": "email.click", "points": 10}},
    "thresholds": {"mql": {"enter": 50, "exit": 35}},
}
"""Its leads leave by time after days only, so that no tick comes into the log of a test."""
_WANDERING_TYPES = ("website.page_view", "email.click", "email.unsubscribe", "webinar.attended", "webinar.no_show")


def wandering_events(name: str, number: int, leads: int = 16) -> list[Event]:
    """Events of the last two days, in no order; the same name gives the same events but for their time."""
    random, end_ms = Random(name), now_ms()
    events = []
    for index in range(number):
        event_type = random.choices(_WANDERING_TYPES, (50, 20, 8, 15, 7))[0]
        fields = {"path": random.choice(("/", "/blog", "/pricing"))} if event_type == "website.page_view" else {}
        occurred_ms = end_ms - random.randrange(2 * 86_400_000)
        events.append(
            Event(event_type, f"{name}-{index}", f"lead-{random.randrange(leads)}", occurred_ms, dict(fields))
        )
    return events


FEW_RECENT_EVENTS = FoldSettings(recent_events=8)
FEW_RECENT = {"LEADSCORE_RECENT_EVENTS": "8"}
"""For workers whose leads shall not recognise a record that is applied twice: the protocol alone must prevent it."""


def lead_key(event: Event) -> bytes:
    return event.lead_id.encode()


def event_key(event: Event) -> bytes:
    return event.event_id.encode()


KEYS: Mapping[str, Callable[[Event], bytes | None]] = {
    "website": lead_key,
    "email": event_key,
    "webinar": lambda _: None,
}
"""The input topics are not keyed alike: one lead's events lie in many partitions."""


class Deployment:
    """Topics, groups and keys of its own on shared servers; ``environ`` overrides are for every worker."""

    def __init__(
        self, kafka: KafkaServer, redis: RedisServer, names: tuple[str, str], folder: Path, model: Mapping[str, Any]
    ) -> None:
        self.name, self.prefix = names
        self.kafka, self.redis, self.folder = kafka, redis, folder
        self.workers: list[WorkerProcess] = []
        self.models: dict[int, CompiledModel] = {}
        self.use_model(model)
        self.environ: dict[str, str] = {}
        self._producer: CheckedProducer | None = None

    def use_model(self, model: Mapping[str, Any]) -> None:
        """Workers started from now on match with this model."""
        self.definition = msgspec.convert(model, ModelDefinition)
        self.models[self.definition.version] = compile_model(self.definition)
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

    def create_topics(self, source_partitions: int = 3, replicas: int = 1) -> None:
        admin = AdminClient({**self.kafka.properties})
        sizes = dict.fromkeys(SOURCES, source_partitions)
        sizes |= {"commands": 1, "log": LOG_PARTITIONS, "models": 1, "crossings": 2, "dead-letters": 1}
        # Tests send events that are older than a broker keeps records by default.
        large = {"max.message.bytes": str(20 * 1024 * 1024), "retention.ms": "-1"}
        # The rest as ``leadscore topics create`` has it.
        of_broker = {"message.timestamp.type": "LogAppendTime"}
        settings = {**dict.fromkeys(SOURCES, large), "dead-letters": large | of_broker}
        settings |= {"log": of_broker, "crossings": {"compression.type": "gzip"}}
        topics = [
            NewTopic(self.topic(word), partitions, replicas, config=settings.get(word, {}))
            for word, partitions in sizes.items()
        ]
        for created in admin.create_topics(topics).values():
            created.result(timeout=30)
        wait_until(self._has_leaders, 30, "the leaders of the topics")  # the controller answers before the broker knows

    def add_scores_topic(self, step: str) -> None:
        """Workers started from now on publish latest scores."""
        admin = AdminClient({**self.kafka.properties})
        topic = NewTopic(self.topic("scores"), 2, 1, config={"cleanup.policy": "compact"})
        for created in admin.create_topics([topic]).values():
            created.result(timeout=30)
        self.environ |= {"LEADSCORE_SCORES_TOPIC": self.topic("scores"), "LEADSCORE_SCORES_STEP": step}

    def _has_leaders(self) -> bool:
        try:
            self.lag()
        except KafkaException:
            return False
        return True

    def take_records_up_to(self, word: str, size_bytes: int) -> None:
        """Let a topic refuse records that are larger."""
        self.configure(word, max_message_bytes=str(size_bytes))

    def take_time_of_broker(self, word: str) -> None:
        """Let records of a topic have the time at which they came to the broker."""
        self.configure(word, message_timestamp_type="LogAppendTime")

    def configure(self, word: str, **settings: str) -> None:
        """Set what a topic has, with ``_`` for ``.``, and wait until the broker goes by it."""
        entries = [
            ConfigEntry(name.replace("_", "."), text, incremental_operation=AlterConfigOpType.SET)
            for name, text in settings.items()
        ]
        admin, topic = AdminClient({**self.kafka.properties}), self.topic(word)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        for changed in admin.incremental_alter_configs([resource]).values():
            changed.result(timeout=30)

        def is_set() -> bool:
            [described] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
            current = described.result(timeout=30)
            return all(current[entry.name].value == entry.value for entry in entries)

        wait_until(is_set, 30, f"the broker to go by the settings of {topic}")

    # --- what goes in ---

    @property
    def producer(self) -> CheckedProducer:
        if self._producer is None:
            self._producer = CheckedProducer(
                {**self.kafka.properties, "linger.ms": 20, "message.max.bytes": 20 * 1024 * 1024}
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

    def send_traffic(self, records: Iterable[GeneratedEvent]) -> None:
        """Produce events in the order given, under their Kafka timestamps, each topic keyed in its own way."""
        for record in records:
            event = record.content
            assert isinstance(event, Event)
            value = avro_bytes(event) or json_bytes(event)
            key = KEYS.get(record.topic_role, lead_key)(event)
            self.send_bytes(record.topic_role, value, record.timestamp_ms, key=key)
        self.producer.flush(60)

    def send_now(self, events: Iterable[Event]) -> None:
        """Produce events that arrive now, whenever they occurred."""
        self.send_traffic(GeneratedEvent(topic_role_of(event.type), now_ms(), event) for event in events)

    def send_some(self, events: Iterable[Event]) -> None:
        """Hand events to the producer, and wait for nothing: Kafka may be away."""
        for event in events:
            value = avro_bytes(event) or json_bytes(event)
            self.send_bytes(topic_role_of(event.type), value, now_ms(), key=event.lead_id.encode())

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
        return self.start_version(Path(sys.executable), **overrides)

    def start_version(self, python: Path, **overrides: str) -> "WorkerProcess":
        """A worker of the version that is installed there."""
        return self._start(_program_of(python), overrides)

    def start_installed(self, program: Sequence[str]) -> "WorkerProcess":
        """A worker of the installation whose program this is."""
        return self._start(program, {})

    def start_other(self, module: str, **overrides: str) -> "WorkerProcess":
        """Another program in the place of a worker."""
        return self._start([sys.executable, "-m", module], overrides)

    def _start(self, program: Sequence[str], overrides: Mapping[str, str]) -> "WorkerProcess":
        worker = WorkerProcess(self.config(**overrides), self.folder / f"worker-{len(self.workers)}.log", program)
        self.workers.append(worker)
        return worker

    def stop(self) -> None:
        """Kill what is left and delete the topics."""
        for worker in self.workers:
            worker.kill()
        admin = AdminClient({**self.kafka.properties})
        mine = [topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(f"{self.name}.")]
        if mine:
            for deleted in admin.delete_topics(mine).values():
                deleted.result(timeout=30)

    # --- what comes out ---

    def read(self, word: str) -> list[Message]:
        """Every record of a topic, up to its end as of now, by partition and offset."""
        consumer = Consumer({**self.kafka.properties, "group.id": "reader", **OUT_OF_GROUP})
        topic = self.topic(word)
        partitions = list(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        records, open_partitions = [], set(partitions)
        while open_partitions:
            for message in consumer.consume(10_000, 0.1):
                if message.error() is None:
                    records.append(message)
                else:
                    open_partitions.discard(message.partition())
        consumer.close()
        return sorted(records, key=lambda record: (record.partition(), record.offset()))

    def crossings(self) -> list[dict[str, Any]]:
        """Published crossings, decoded, repeats among them."""
        values = (message.value() for message in self.read("crossings"))
        return [decode_crossing(value) for value in values if value is not None]  # without it: a lead was erased

    def published(self) -> dict[str, list[OutputRecord]]:
        """Published crossings and erasures as the records they are, repeats among them, by their CloudEvents id."""
        by_id: dict[str, list[OutputRecord]] = {}
        for message in self.read("crossings"):
            headers = headers_of(message)
            crossing_id = dict(headers)["ce_id"]
            assert isinstance(crossing_id, bytes)
            by_id.setdefault(crossing_id.decode(), []).append(OutputRecord(message.key(), message.value(), headers))
        return by_id

    def log(self) -> list[tuple[int, int, int, LogRecord]]:
        """The award log: partition, offset, timestamp, record."""
        return [
            (m.partition() or 0, m.offset() or 0, m.timestamp()[1], decode(m.value() or b"")) for m in self.read("log")
        ]

    def plain_fold(self, *, settings: FoldSettings = FoldSettings()) -> tuple[dict[str, LeadState], list[Published]]:  # noqa: B008
        """The states and outputs that a fold of the log alone gives, in one go and one process."""
        shards: dict[int, Shard] = {}
        outputs: list[Published] = []
        for partition, offset, time_ms, record in self.log():
            shard = shards.setdefault(partition, fresh_shard(partition, self.models.__getitem__, settings))
            shard.load(leads := shard.unknown_leads(leads_of(record)), [None] * len(leads))
            decided = shard.fold(record, offset, time_ms)
            outputs += [output for output in decided if not isinstance(output, Forward)]  # those are in the log
        states = {lead: state for shard in shards.values() for lead, state in shard._states.items() if state}
        return states, outputs

    def stored(self, lead_ids: Iterable[str]) -> dict[str, LeadState | None]:
        """The states in Redis."""
        from leadscore.log.records import partition_of

        store = RedisStore(split_urls(self.redis.url), self.prefix, LOG_PARTITIONS)
        by_shard: dict[int, list[str]] = {}
        for lead_id in lead_ids:
            by_shard.setdefault(partition_of(lead_id, LOG_PARTITIONS), []).append(lead_id)
        states_by_lead: dict[str, LeadState | None] = {}
        for shard, states in store.read_leads(by_shard).items():
            for lead_id, data in zip(by_shard[shard], states, strict=True):
                states_by_lead[lead_id] = None if data is None else decode_state(data)
        store.close()
        return states_by_lead

    # --- what Redis may do ---

    def snapshot(self) -> "Snapshot":
        """Everything stored of this deployment; to be taken while nothing is under way."""
        with self._redis() as client:
            keys = sorted(client.keys(f"{{{self.prefix}:*"))
            # The worker empties an outbox at any time, and Redis deletes an empty key.
            dumps = {key: (max(client.pttl(key), 0), client.dump(key)) for key in keys}
            return {key: dump for key, dump in dumps.items() if dump[1] is not None}

    def lose_writes_since(self, snapshot: "Snapshot") -> None:
        """What is stored is what was stored then, at once: a snapshot restored, or a replica promoted, too late."""
        with self._redis() as client, client.pipeline(transaction=True) as change:
            change.eval(DELETE_ALL, 0, f"{{{self.prefix}:*")
            for key, (ttl_ms, content) in snapshot.items():
                change.restore(key, ttl_ms, content)
            change.execute()

    def lose_everything(self) -> None:
        """What FLUSHALL would do, but for this deployment alone."""
        self.lose_writes_since({})

    def lose_fences(self) -> None:
        """Only they are gone; leads, outboxes and due times stay."""
        with self._redis() as client:
            fences = client.keys(f"{{{self.prefix}:*:fence")
            if fences:
                client.delete(*fences)

    def keys(self) -> list[bytes]:
        """Every key of this deployment."""
        with self._redis() as client:
            return sorted(client.keys(f"{{{self.prefix}:*"))

    def _redis(self) -> "redis.Redis":
        return redis.Redis.from_url(self.redis.url)

    # --- how far it is ---

    def lag(self) -> int:
        """Records not committed: of the sources by the match group, of the log by the score group."""
        return self._lag_of_match() + self.lag_of_score()

    def lag_of(self, word: str) -> int:
        """Of one input."""
        return self._lag(f"{self.name}-match", [word])

    def lag_of_group(self, group: str) -> int:
        """Of all inputs, by whatever group reads them."""
        return self._lag(group, [*SOURCES, "commands"])

    def _lag_of_match(self) -> int:
        return self.lag_of_group(f"{self.name}-match")

    def lag_of_score(self) -> int:
        return self._lag(f"{self.name}-score", ["log"])

    def _lag(self, group: str, words: list[str]) -> int:
        own = {"group.id": group, **OUT_OF_GROUP, "fetch.wait.max.ms": 20}
        consumer = Consumer({**self.kafka.properties, **own})
        try:
            total = 0
            for word in words:
                for partition in committed_of(consumer, places_of(consumer, self.topic(word))):
                    behind = end_of(consumer, partition) - max(partition.offset, 0)
                    total += behind if behind and (word != "log" or _has_record(consumer, partition)) else 0
            return total
        finally:
            consumer.close()

    def members(self, stage: str) -> int:
        """How many processes are in a stage's group."""
        group = f"{self.name}-{stage}"
        admin = AdminClient({**self.kafka.properties})  # without it there is no answer
        return len(admin.describe_consumer_groups([group])[group].result(timeout=30).members)

    def read_sources_again(self) -> None:
        """Let the match stage, no member of which is running, begin at the oldest record of every input."""
        self._rewind(f"{self.name}-match", [*SOURCES, "commands"])

    def read_log_again(self) -> None:
        """Let the score stage begin at the first log record again, as if nothing had ever been published."""
        self._rewind(f"{self.name}-score", ["log"])

    def _rewind(self, group: str, words: list[str]) -> None:
        consumer = Consumer({**self.kafka.properties, "group.id": group})
        topics = [self.topic(word) for word in words]
        partitions = {topic: list(consumer.list_topics(topic, timeout=10).topics[topic].partitions) for topic in topics}
        offsets = [TopicPartition(topic, number, 0) for topic, numbers in partitions.items() for number in numbers]
        consumer.commit(offsets=offsets, asynchronous=False)
        consumer.close()

    def open_transactions(self) -> list[tuple[str, int]]:
        """The partitions of log and crossings in which a transaction is open: its readers wait before its records."""
        admin = AdminClient({**self.kafka.properties})
        topics = admin.list_topics(timeout=10).topics
        places = [(word, n) for word in ("log", "crossings") for n in topics[self.topic(word)].partitions]
        ends = {}
        for isolation in (IsolationLevel.READ_UNCOMMITTED, IsolationLevel.READ_COMMITTED):
            asked = {TopicPartition(self.topic(word), n): OffsetSpec.latest() for word, n in places}
            answers = admin.list_offsets(asked, isolation_level=isolation, request_timeout=10)
            ends[isolation] = {(place.topic, place.partition): one.result().offset for place, one in answers.items()}
        all_of_it, readable = ends.values()
        return [place for place in all_of_it if readable[place] < all_of_it[place]]

    def wait_until_done(self, timeout_s: float = 60) -> None:
        """Until everything produced is matched, applied, published and committed."""

        def is_done() -> bool:
            for worker in self.workers:
                worker.check()
            return self.lag() == 0

        try:
            wait_until(is_done, timeout_s, "all records committed")
        except TimeoutError as failure:
            raise TimeoutError("\n".join([str(failure), *self._what_is_left()])) from None

    def _what_is_left(self) -> Iterator[str]:
        """What a run elsewhere, of which nothing else is left, must say to be understood."""
        yield f"lag of match: {self._lag_of_match()}, of score: {self.lag_of_score()}"
        for worker in self.workers:
            yield f"{worker.log_path.name}:"
            yield from worker.last_lines()

    def wait_until_nothing_is_due(self, timeout_s: float = 30) -> None:
        """Until every lead that time alone takes out of a threshold by now has left."""
        store = RedisStore(split_urls(self.redis.url), self.prefix, LOG_PARTITIONS)
        until_ms = now_ms()

        def no_lead_is_due() -> bool:
            looks = store.look_at_due(list(range(LOG_PARTITIONS)), until_ms, 1)
            return not any(look.lead_ids for look in looks.values())

        wait_until(no_lead_is_due, timeout_s, "all leads that are due to have left")
        store.close()
        self.wait_until_done(timeout_s)

    def wait_until_settled(self) -> None:
        """Until everything is done, and whatever time alone makes of it as well."""
        self.wait_until_done()
        self.wait_until_nothing_is_due()


LAST_LINES, LINE_CHARACTERS = 20, 400
"""Of a worker's log, in the message of a failed wait."""
Snapshot = Mapping[bytes, tuple[int, bytes]]
"""By key: the rest of its life (ms, 0: for good) and its content as DUMP gives it."""
DELETE_ALL = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end"


class WorkerProcess:
    """``leadscore run`` as a process of its own."""

    def __init__(self, environ: Mapping[str, str], log_path: Path, program: Sequence[str] = ()) -> None:
        self.log_path = log_path
        self.expected_to_die = False
        self._log = log_path.open("wb")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LEADSCORE_")}
        self.process = subprocess.Popen(
            ending_with_parent([*(program or _program_of(Path(sys.executable))), "run"]),
            env=inherited | dict(environ),
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def lines(self) -> list[dict[str, Any]]:
        """Its log lines so far."""
        return list(_json_lines(self.log_path.read_text(errors="replace")))

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line.get("event") == event]

    def partitions_of(self, event: str) -> set[int]:
        """The log partitions that lines of the event name as ranges: ``0-2, 5``."""
        runs = (run.split("-") for line in self.said(event) for run in line["partitions"].split(", "))
        return {number for run in runs for number in range(int(run[0]), int(run[-1]) + 1)}

    def wait_for(self, event: str, timeout_s: float = 30) -> dict[str, Any]:
        """The first log line of that event."""

        def find() -> list[dict[str, Any]]:
            lines = self.said(event)
            if not lines:
                self.check()
            return lines

        return wait_until(find, timeout_s, f"log line {event}")[0]

    def wait_until_ready(self, timeout_s: float) -> None:
        """Until ``/readyz`` says so; the error of a failed wait has what it said last, and the end of the log."""
        try:
            wait_until(lambda: self.get("/readyz")[0] == 200, timeout_s, "readiness")
        except TimeoutError as failure:
            raise TimeoutError("\n".join([str(failure), self.get("/readyz")[1], *self.last_lines()])) from None

    def last_lines(self) -> Iterator[str]:
        """The end of the log, for the message of a failed wait."""
        return (json.dumps(line)[:LINE_CHARACTERS] for line in self.lines()[-LAST_LINES:])

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of its HTTP port."""
        connection = HTTPConnection("127.0.0.1", self.wait_for("listening")["port"], timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def check(self) -> None:
        """Fail if it ended without being asked to."""
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


def _program_of(python: Path) -> list[str]:
    """The version of leadscore that is installed there."""
    return [str(python), "-m", "leadscore.cli.main"]


def _has_record(consumer: Consumer, place: TopicPartition) -> bool:
    """Whether a record is left from there on; what a partition ends with may be the end of a transaction."""
    consumer.assign([TopicPartition(place.topic, place.partition, max(place.offset, 0))])
    while (message := consumer.poll(10)) is not None:
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            return error is None
    return True


def fresh_shard(number: int, model_of_version: ModelOfVersion, settings: FoldSettings) -> Shard:
    return Shard(number, None, Fence("", -1, 0, 0, {}), model_of_version, settings)


def headers_of(message: Message) -> list[tuple[str, str | bytes | None]]:
    headers = message.headers() or []
    return list(headers.items()) if isinstance(headers, dict) else headers


def assert_exact(deployment: Deployment, events: list[Event], settings: FoldSettings = FoldSettings()) -> None:  # noqa: B008
    """Nothing was lost and nothing counted twice.

    What is stored is the plain fold of the log, byte for byte; the scores are those of the events alone, whatever the
    log says; what is published are the crossings of that fold, each once or more with the same record, and no other.
    """
    assert_as_folded(deployment, {event.lead_id for event in events}, settings)
    assert_scores_of(deployment, events)


def assert_scores_of(
    deployment: Deployment,
    events: list[Event],
    settings: FoldSettings = FoldSettings(),  # noqa: B008
) -> None:
    """The scores of what is stored are those of the events alone."""
    stored = deployment.stored(sorted({event.lead_id for event in events}))
    states = {lead_id: state for lead_id, state in stored.items() if state is not None}
    at_ms = now_ms()
    points, expected = _points_of(deployment, states, at_ms), _points_from(deployment, events, at_ms, settings)
    wrong = {
        lead_id: (points.get(lead_id), worth)
        for lead_id, worth in expected.items()
        if points.get(lead_id) != pytest.approx(worth, abs=1e-9)
    }
    assert not wrong, f"{wrong}; not in the log: {_not_in_the_log(deployment, events)}"


def _not_in_the_log(deployment: Deployment, events: list[Event]) -> list[tuple[str, str]]:
    """Lead and id of events that were matched nowhere: so a lost record is told from one that was folded wrongly."""
    logged = {(award.lead_id, award.event_id) for _, _, frame in frames(deployment.log()) for award in frame.awards}
    return sorted({(event.lead_id, event.event_id) for event in events} - logged)


def assert_as_folded(
    deployment: Deployment,
    lead_ids: Iterable[str],
    settings: FoldSettings = FoldSettings(),  # noqa: B008
) -> None:
    """States are those of the plain fold of the log, with the model versions of their time; so is what is published."""
    folded, outputs = deployment.plain_fold(settings=settings)
    stored = deployment.stored(sorted(lead_ids))
    assert {lead_id: encode_state(state) for lead_id, state in stored.items() if state is not None} == {
        lead_id: encode_state(state) for lead_id, state in folded.items()
    }
    published = {crossing_id: set(map(_comparable, copies)) for crossing_id, copies in deployment.published().items()}
    records = [output_record(output, avro_encoding(None)) for output in outputs]
    assert published == {str(dict(record.headers)["ce_id"]): {_comparable(record)} for record in records}


def _points_of(deployment: Deployment, states: Mapping[str, LeadState], at_ms: int) -> dict[str, float]:
    model = compile_model(deployment.definition)
    return {lead_id: main_score_at(state, model, at_ms).unclamped for lead_id, state in states.items()}


def _points_from(deployment: Deployment, events: list[Event], at_ms: int, settings: FoldSettings) -> dict[str, float]:
    without_thresholds = msgspec.structs.replace(deployment.definition, thresholds={})  # much faster, same scores
    entries = ((event, event.occurred_at_ms) for event in events)
    scores = simulate(without_thresholds, entries, at_ms, settings).scores
    return {score.lead_id: score.engagement + score.fit for score in scores}


def _comparable(record: OutputRecord) -> tuple[bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]:
    headers = ((name, text.encode() if isinstance(text, str) else text) for name, text in record.headers)
    return record.key, record.value, tuple(headers)


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
