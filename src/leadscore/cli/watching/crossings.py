"""The latest crossings of a deployment, read from their topic without a group, in every encoding of the worker."""

import io
from collections import deque
from typing import cast

import fastavro
import msgspec
from confluent_kafka import Message, TopicPartition

from leadscore.cli.kafka_session import KafkaSession, records_between
from leadscore.errors import LeadscoreError
from leadscore.events.contracts import CROSSING_SCHEMA
from leadscore.events.local_schemas import parsed_schema, schema_texts, single_object_header
from leadscore.events.registered import CONFLUENT_HEADER_BYTES, CONFLUENT_MAGIC
from leadscore.events.registry import RegistryClient
from leadscore.ops.config import Config
from leadscore.pipeline.kafka.questions import log_bounds, partition_count
from leadscore.pipeline.schema_registry import make_registry
from leadscore.scoring.crossing import iso_instant

SINGLE_OBJECT_BYTES = 10


class SeenCrossing(msgspec.Struct, frozen=True, kw_only=True):
    """A crossing as far as its record tells; without a schema only what the headers say."""

    decided_at: str
    lead_id: str
    direction: str
    threshold: str = ""
    score: float | None = None
    cause: str = ""
    reasons: list[str] = []


class LatestCrossings:
    """Follows the topic from its newest records on; repeats are shown once."""

    def __init__(self, config: Config, shown: int) -> None:
        self._topic, self._shown = config.crossing_topic, shown
        session = KafkaSession(config)
        self._admin = session.admin()
        self._consumer = session.consumer(f"{config.group}-tool")
        self._numbers = range(partition_count(self._consumer, self._topic))
        self._next: dict[int, int] = {}
        self._ids: set[str] = set()
        self._crossings: deque[tuple[int, SeenCrossing]] = deque(maxlen=4 * shown)
        self._values = CrossingValues(config)

    def read(self) -> list[SeenCrossing]:
        """The newest crossings, newest first; ``Unavailable`` without Kafka."""
        bounds = log_bounds(self._admin, [(self._topic, number) for number in self._numbers])
        for (_, number), (low, high) in bounds.items():
            first = max(self._next.get(number, high - self._shown), low)
            for message in records_between(self._consumer, TopicPartition(self._topic, number, first), high):
                self._note(message)
            self._next[number] = high
        newest = sorted(self._crossings, key=lambda crossing: crossing[0], reverse=True)
        return [crossing for _, crossing in newest[: self._shown]]

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    def _note(self, message: Message) -> None:
        headers = dict(cast("list[tuple[str, bytes]]", message.headers() or []))
        crossing_id, value = headers.get("ce_id", b"").decode(), message.value()
        if value is None or crossing_id in self._ids:
            return
        self._ids.add(crossing_id)
        decided_ms = message.timestamp()[1]
        record = self._values.decode(value)
        self._crossings.append((decided_ms, _seen(headers, record, decided_ms)))


class CrossingValues:
    """Decodes values of crossings: JSON, Avro with a fingerprint, Avro with an id of the registry."""

    def __init__(self, config: Config) -> None:
        self._registry = make_registry(config)
        self._schema_by_header = {
            single_object_header(name): parsed_schema(name)
            for name in schema_texts()
            if name.partition(".")[0] == CROSSING_SCHEMA
        }

    def decode(self, value: bytes) -> dict[str, object]:
        """The fields; empty where the schema cannot be had."""
        if value[:1] == b"{":
            return cast("dict[str, object]", msgspec.json.decode(value))
        schema = self._schema_by_header.get(value[:SINGLE_OBJECT_BYTES])
        if schema is not None:
            return _record(value[SINGLE_OBJECT_BYTES:], schema)
        if value[0] == CONFLUENT_MAGIC and self._registry is not None:
            return self._registered(value, self._registry)
        return {}

    def _registered(self, value: bytes, registry: RegistryClient) -> dict[str, object]:
        header, body = value[:CONFLUENT_HEADER_BYTES], value[CONFLUENT_HEADER_BYTES:]
        schema = self._schema_by_header.get(header)
        if schema is None:
            try:
                answer = registry.lookup(int.from_bytes(header[1:]))
            except LeadscoreError:
                return {}  # the headers of the record still tell something
            schema = cast("dict[str, object]", fastavro.parse_schema(msgspec.json.decode(str(answer["schema"]))))
            self._schema_by_header[header] = schema
        return _record(body, schema)


def _record(body: bytes, schema: object) -> dict[str, object]:
    return cast("dict[str, object]", fastavro.schemaless_reader(io.BytesIO(body), schema, None))  # type: ignore[arg-type]


def _seen(headers: dict[str, bytes], record: dict[str, object], decided_ms: int) -> SeenCrossing:
    reasons = cast("list[dict[str, object]]", record.get("reasons") or [])
    score = record.get("score")
    return SeenCrossing(
        decided_at=iso_instant(decided_ms),
        lead_id=headers.get("ce_subject", b"").decode(),
        direction=headers.get("ce_type", b"").decode().rpartition(".")[2],
        threshold=str(record.get("threshold", "")),
        score=None if score is None else float(cast("float", score)),
        cause=str(record.get("cause", "")),
        reasons=[f"{reason['name']} {cast('float', reason['points']):+.1f}" for reason in reasons],
    )
