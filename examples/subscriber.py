"""What the Python examples share: records out of Kafka, calls of an HTTP API, and what to do when either fails.

A record is committed after the work on it, and the next one of its partition waits until then. What may pass (the API
is away, slow or busy) is tried again until it works. What the API refuses, and what is no crossing, becomes a dead
letter. After a crash the last record comes again: the work must give the same result when it is done twice.
"""

import io
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import fastavro
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from fastavro.schema import fingerprint, to_parsing_canonical_form
from fastavro.validation import validate

LONGEST_WAIT_S = 60.0
"""Between two attempts; far below Kafka's max.poll.interval.ms (5 min), after which the partition is another's."""
REFUSED_IN_A_ROW = 20
"""After this many, the API or its address is wrong, not the records."""
NOT_THE_RECORDS_FAULT = {301, 302, 303, 307, 308, 401, 403}
BUSY = {408, 425, 429}


class Refused(Exception):
    """No attempt with this record will ever work."""


class Unavailable(Exception):
    """A later attempt may work; not before ``wait_s``, if the API named a time."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def setting(name: str, meaning: str, default: str | None = None) -> str:
    """An environment variable; without it and a default the program ends."""
    value = os.environ.get(name) or default
    if value is None:
        sys.exit(f"{name} is not set: expected {meaning}")
    return value


def number_setting(name: str, default: float) -> float:
    """An environment variable that is a number of seconds or the like."""
    text = setting(name, "a number", str(default))
    try:
        return float(text)
    except ValueError:
        sys.exit(f"{name}: expected a number, not {text!r}")


def kafka_properties(prefix: str = "KAFKA__") -> dict[str, str]:
    """``KAFKA__SASL_USERNAME`` is the clients' property ``sasl.username``, and so on."""
    setting("KAFKA__BOOTSTRAP_SERVERS", "the brokers, such as localhost:9092")
    return {
        name.removeprefix(prefix).lower().replace("_", "."): value
        for name, value in os.environ.items()
        if name.startswith(prefix)
    }


def say(text: str) -> None:
    """A line of the program's log."""
    print(text, file=sys.stderr, flush=True)


# --- the API ---


class Answer(NamedTuple):
    """What the API answered; the body is JSON."""

    status: int
    body: Any


class Api:
    """JSON over HTTP, with a bearer token if there is one."""

    def __init__(self, url: str, token: str = "", timeout_s: float = 10.0) -> None:
        address = urlsplit(url)
        if address.scheme not in ("http", "https") or not address.hostname:
            sys.exit(f"the address of the API: {url!r}: expected one with http:// or https://")
        self._connection = HTTPSConnection if address.scheme == "https" else HTTPConnection
        self._host, self._prefix = address.netloc, address.path.rstrip("/")
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._timeout_s = timeout_s

    def call(self, method: str, path: str, body: object = None, *, also: tuple[int, ...] = ()) -> Answer:
        """The answer, if it is a success or one of the statuses in ``also``; redirects are not followed."""
        connection = self._connection(self._host, timeout=self._timeout_s)
        try:
            connection.request(method, self._prefix + path, json.dumps(body), self._headers)
            answer = connection.getresponse()
            status, text, retry_after = answer.status, answer.read(), answer.getheader("Retry-After", "")
        except (OSError, HTTPException) as error:  # perhaps after the API has done it
            raise Unavailable(f"{method} {path}: {error!r}") from None
        finally:
            connection.close()
        if 200 <= status < 300 or status in also:
            return Answer(status, json_or_none(text))
        reason = f"{method} {path}: status {status}: {text[:200].decode(errors='replace')}"
        if status in NOT_THE_RECORDS_FAULT:
            sys.exit(f"{reason}; expected a final address and a token that may do this")
        if status in BUSY or status >= 500:
            raise Unavailable(reason, seconds(retry_after))
        raise Refused(reason)


def json_or_none(text: bytes) -> Any:
    """The JSON value; ``None`` for a body that is empty or something else."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def seconds(retry_after: str) -> float:
    """What a Retry-After header says: a number of seconds, or a date."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.0


# --- values ---


class Decoder:
    """Decodes values of one schema (``crossing``) in all formats that leadscore writes: see docs/subscribers.md.

    Symbols that are newer than the schema become ``UNKNOWN``. ``folder`` has ``crossing.avsc`` and the versions before.
    """

    def __init__(self, name: str, folder: str, registry: str = "") -> None:
        texts = {path: path.read_text() for path in Path(folder).glob(f"{name}*.avsc")}
        newest = Path(folder, f"{name}.avsc")
        if newest not in texts:
            sys.exit(f"{newest}: expected this file: leadscore schemas print {name} > {newest}")
        self._reader: Any = fastavro.parse_schema(json.loads(texts[newest]))
        self._writers: dict[bytes, Any] = {}
        for text in texts.values():
            self._writers[single_object_header(json.loads(text))] = fastavro.parse_schema(json.loads(text))
        self._registry = Api(registry) if registry else None

    def decode(self, value: bytes) -> dict[str, Any]:
        """The record; instants are datetimes."""
        if value[:1] == b"{":
            return self._of_json(value)
        if value[:1] == b"\x00":
            return self._of_avro(value[5:], self._registered(value[:5]))
        if value[:2] == b"\xc3\x01" and value[:10] not in self._writers:
            sys.exit(f"schema {value[:10].hex()} is not among the files: expected those of the leadscore that writes")
        if value[:10] not in self._writers:
            raise Refused(f"a value that starts with {value[:10].hex()}: expected JSON or Avro of leadscore")
        return self._of_avro(value[10:], self._writers[value[:10]])

    def _of_avro(self, body: bytes, writer: Any) -> dict[str, Any]:
        try:
            record: Any = fastavro.schemaless_reader(io.BytesIO(body), writer, self._reader)
        except Exception as error:  # noqa: BLE001 - damaged bytes raise anything
            raise Refused(f"damaged Avro: {error!r}") from None
        return dict(record)

    def _registered(self, header: bytes) -> Any:
        if self._registry is None:
            sys.exit("SCHEMA_REGISTRY_URL is not set: expected the registry that has the schemas of the values")
        if header not in self._writers:
            schema_id = int.from_bytes(header[1:], "big")
            text = self._registry.call("GET", f"/schemas/ids/{schema_id}").body["schema"]
            self._writers[header] = fastavro.parse_schema(json.loads(text))
        return self._writers[header]

    def _of_json(self, value: bytes) -> dict[str, Any]:
        try:
            record = as_schema_has_it(json.loads(value), self._reader)
        except (ValueError, TypeError, AttributeError) as error:
            raise Refused(f"damaged JSON: {error}") from None
        if not validate(record, self._reader, raise_errors=False):
            raise Refused(f"JSON that is no {self._reader['name']}")
        return dict(record)


def single_object_header(schema: Any) -> bytes:
    """The ten bytes before an Avro value that name its schema."""
    crc = bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))  # it is little-endian already
    return b"\xc3\x01" + crc


def as_schema_has_it(value: Any, schema: Any) -> Any:
    """JSON as Avro gives it: instants are datetimes, symbols that are newer than the schema ``UNKNOWN``."""
    branch = schema[-1] if isinstance(schema, list) else schema  # a union is null and one more
    if value is None or isinstance(branch, str):
        return value
    if branch.get("logicalType") == "timestamp-millis":
        value = datetime.fromisoformat(value)
    elif branch["type"] == "enum":
        value = value if value in branch["symbols"] else branch["default"]
    elif branch["type"] == "array":
        value = [as_schema_has_it(item, branch["items"]) for item in value]
    elif branch["type"] == "map":
        value = {name: as_schema_has_it(item, branch["values"]) for name, item in value.items()}
    elif branch["type"] == "record":
        fields = ((field["name"], field["type"], field.get("default")) for field in branch["fields"])
        value = {name: as_schema_has_it(value.get(name, default), of_type) for name, of_type, default in fields}
    return value


# --- the loop ---


class DeadLetters:
    """Records that can never be worked on, untouched, with headers as those of leadscore's own dead letters."""

    def __init__(self, topic: str, group: str) -> None:
        self._topic, self._group = topic, group
        own = {"acks": "all", "enable.idempotence": True, "delivery.timeout.ms": 20_000}
        self._producer = Producer({**kafka_properties(), **own})
        self._in_a_row = 0

    def publish(self, message: Message, reason: str) -> None:
        """Publish it, or end the program: what is committed must be somewhere."""
        said = {
            "reason": "refused",
            "detail": reason,
            "topic": message.topic(),
            "partition": message.partition(),
            "offset": message.offset(),
            "timestamp": message.timestamp()[1],
            "group": self._group,
        }
        headers: list[Any] = [*(message.headers() or [])]
        headers += [(f"leadscore.dead_letter.{name}", str(value).encode()) for name, value in said.items()]
        errors: list[object] = []
        self._producer.produce(
            self._topic,
            message.value(),
            message.key(),
            headers=headers,
            on_delivery=lambda error, _message: errors.append(error),
        )
        self._producer.flush(30)
        if errors != [None]:
            sys.exit(f"the dead letter of {place_of(message)} could not be published: {errors or 'no answer'}")
        say(f"dead letter: {place_of(message)}: {reason}")
        self._in_a_row += 1
        if self._in_a_row == REFUSED_IN_A_ROW:
            sys.exit(f"{REFUSED_IN_A_ROW} records in a row were refused: expected the fault to be in few of them")

    def end_of_row(self) -> None:
        """A record was worked on."""
        self._in_a_row = 0


def work_on(topics: list[str], work: Callable[[Message], None]) -> None:
    """Do the work of every record, in the order of its partition, until SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    group = setting("GROUP", "the consumer group")
    dead_letters = DeadLetters(setting("DEAD_LETTER_TOPIC", "the topic for what the API refuses"), group)
    consumer = Consumer(
        {
            **kafka_properties(),
            **kafka_properties("KAFKA_CONSUMER__"),
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe(topics)
    retries = Retries(number_setting("FIRST_WAIT_S", 1.0))
    try:
        while True:
            message = consumer.poll(1.0)
            if message is None:  # not "if not message": a message without a value is false
                continue
            error = message.error()
            if error is not None:
                sys.exit(f"Kafka: {error.str()}")
            try:
                work(message)
                dead_letters.end_of_row()
            except Unavailable as reason:
                retries.wait(consumer, message, reason)
                continue
            except Refused as reason:
                dead_letters.publish(message, str(reason))
            retries.forget(message)
            commit(consumer, message)
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


class Retries:
    """Waits before a record is tried again: each time twice as long, with jitter, and as long as the API asks for."""

    def __init__(self, first_wait_s: float) -> None:
        self._first_wait_s = first_wait_s
        self._attempts: Counter[tuple[str | None, int | None]] = Counter()

    def wait(self, consumer: Consumer, message: Message, reason: Unavailable) -> None:
        """Wait, and let the consumer read the record again; what other partitions have may come before it."""
        place = (message.topic(), message.partition())
        doubled = self._first_wait_s * 2 ** min(self._attempts[place], 16)
        wait_s = min(max(random.uniform(0.5, 1.0) * doubled, reason.wait_s), LONGEST_WAIT_S)
        self._attempts[place] += 1
        say(f"again in {wait_s:.1f} s: {place_of(message)}: {reason}")
        consumer.seek(TopicPartition(message.topic() or "", message.partition() or 0, message.offset() or 0))
        time.sleep(wait_s)

    def forget(self, message: Message) -> None:
        """The record is done."""
        self._attempts.pop((message.topic(), message.partition()), None)


def commit(consumer: Consumer, message: Message) -> None:
    """Commit, or let it be: then the partition has another owner by now, who does the work again."""
    try:
        consumer.commit(message=message, asynchronous=False)
    except KafkaException as error:
        say(f"not committed: {place_of(message)}: {error}")


def key_of(message: Message) -> str:
    """The lead id. An API that is asked for all that belongs to an empty one might give everything."""
    try:
        key = (message.key() or b"").decode()
    except UnicodeDecodeError:
        key = ""
    if not key:
        raise Refused("a record without a key that is text")
    return key


def place_of(message: Message) -> str:
    """``leadscore.crossings/1/17``."""
    return f"{message.topic()}/{message.partition()}/{message.offset()}"
