"""``make fuzz``: damaged and random records through the decoder, every mapping and the model.

Each is events that the log can carry, or one dead letter whose words hold nothing of the record. Nothing takes long,
and the memory of the process is limited. An input is made of its number alone, with which a failure is told.
"""

# ruff: noqa: T201  # a command prints

import argparse
import json
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from leadscore.errors import LONGEST_DETAIL, ConfigError, DeadLetter, DeadLetterReason
from leadscore.events.decoder import Decoder
from leadscore.events.event import Event
from leadscore.events.local_schemas import schema_texts, single_object_header
from leadscore.events.registered import GUID_MAGIC, ID_HEADER, Headers, SchemaKey
from leadscore.log.records import MAX_FRAME_BYTES, Award, Frame, Source, decode, encode
from leadscore.mapping.decoding import NOTHING_BESIDE, Beside, MappedTopics
from leadscore.mapping.load import load_mappings, mappings_in, preset, preset_names, preset_text
from leadscore.mapping.topics import compile_mappings
from leadscore.model.load import load_model
from leadscore.model.matching import Matcher
from tests.random_avro import Schemas, Values, as_text, damaged
from tests.random_records import CANARY, LARGE_SHARE, changed, large
from tests.unit.vendor_records import KEY, vendor_records

ROOT = Path(__file__).resolve().parents[1]
FIELD = ROOT / "tests" / "field"
PAGE = ROOT / "docs" / "mappings.md"
INPUTS = 1_000_000
MOST_CPU_S = 2.0
"""What one record may take of the processor: the largest take a tenth of it."""
MOST_MEMORY_BYTES = 1536 * 1024 * 1024
"""Address space of a process; a record of 1 MiB that needs more than what is left of it fails."""
AT_TEN_MS = 1_767_607_200_000
AVRO_SCHEMAS = 40
"""Random ones, beside our own."""

Json = Any  # what JSON holds
SCALARS = (str, int, float, bool)


class Failed(Exception):
    """An input did something else than it may."""


class Sample(NamedTuple):
    """A topic with a mapping, and a record of it."""

    topic: str
    record: Json
    beside: Beside = NOTHING_BESIDE


class Corpus(NamedTuple):
    """What inputs are made of."""

    topics: MappedTopics
    samples: list[Sample]
    schemas: list[str]
    values: list[list[bytes]]
    """Some of each schema."""
    decoder: Decoder
    matcher: Matcher
    mapping_texts: list[str]


@cache
def corpus() -> Corpus:
    """Records of tests/field and of the page, presets, schemas with values of them."""
    mappings: dict[str, Any] = {f"preset-{name}": preset(name) for name in preset_names()}
    samples = [
        Sample(f"preset-{name}", None if record.value is None else json.loads(record.value), record.beside)
        for name in preset_names()
        for record in vendor_records(name)
    ]
    texts = [preset_text(name) for name in preset_names()]
    for file in sorted(FIELD.glob("*/mapping.yaml")):
        records = [record for lines in file.parent.glob("*.jsonl") for record in _lines(lines.read_text())]
        texts.append(file.read_text())
        for name, mapping in load_mappings(file).items():
            mappings[f"{file.parent.name}-{name}"] = mapping
            samples += [Sample(f"{file.parent.name}-{name}", record) for record in records]
    for number, (text, kcat, records_text) in enumerate(_examples()):
        texts.append(text)
        for name, mapping in mappings_in(text, "page").items():
            mappings[f"page-{number}-{name}"] = mapping
            records = [_payload(line) for line in _lines(records_text)] if kcat else _lines(records_text)
            samples += [Sample(f"page-{number}-{name}", record) for record in records]
    schemas, values = _schemas()

    def lookup(key: SchemaKey) -> dict[str, object]:
        number = key if isinstance(key, int) else key.int % (len(schemas) + 3)
        if number >= len(schemas):
            return {"schema": "", "schemaType": ("JSON", "PROTOBUF", "XML")[number % 3]}
        return {"schema": schemas[number]}

    matcher = Matcher(load_model(ROOT / "deploy" / "model.yaml").definition)
    topics = MappedTopics(compile_mappings(mappings, KEY), lookup)
    return Corpus(topics, samples, schemas, values, Decoder(lookup), matcher, texts)


def _lines(text: str) -> list[Json]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _payload(line: Json) -> Json:
    return None if line["payload"] is None else json.loads(line["payload"])


def _examples() -> list[tuple[str, str, str]]:
    return re.findall(r"```yaml\n(.*?)```\n```json( kcat)?\n(.*?)```", PAGE.read_text(), re.DOTALL)


def _schemas() -> tuple[list[str], list[list[bytes]]]:
    random = Random(10)
    schemas = [json.loads(text) for text in schema_texts().values()]
    schemas += [Schemas(random).top() for _ in range(AVRO_SCHEMAS)]
    samples = (FIELD / "avro_micros_with_unit" / "schema.avsc").read_text()
    schemas.append(json.loads(samples))
    return [as_text(schema) for schema in schemas], [
        [Values(random, _plain(schema)).one() for _ in range(8)] for schema in schemas
    ]


def _plain(schema: Json) -> Json:
    """A schema in which names of types stand without their namespace, as the random values know them."""
    text = json.dumps(schema)
    return json.loads(re.sub(r'"leadscore\.v1\.(\w+)"', r'"\1"', text))


# One input: what it is made of, and what may become of it


def one_input(number: int) -> str:
    """Try an input; what became of it. ``Failed`` where that is not allowed."""
    random = Random(number)
    kinds = (_mapped, _mapped, _mapped, _mapped, _mapped, _own, _avro, _avro)
    seldom = {0: _mappings_file, **dict.fromkeys(range(1, 6), _schema), **dict.fromkeys(range(6, 9), _bare)}
    make = seldom.get(number % 400) or random.choice(kinds)
    started_s = time.thread_time()
    try:
        outcome = make(random)
    except Exception as error:
        raise Failed(f"input {number} ({make.__name__}): {type(error).__name__}: {error}") from error
    if time.thread_time() - started_s > MOST_CPU_S:
        raise Failed(f"input {number} ({make.__name__}): {time.thread_time() - started_s:.1f} s")
    return outcome


def _json_of(random: Random, record: Json) -> bytes:
    return large(random, record) if random.random() < LARGE_SHARE else changed(random, record)


def _mapped(random: Random) -> str:
    """A record of a mapped topic, or of another one."""
    sample = random.choice(corpus().samples)
    topic = sample.topic if random.random() < 0.7 else random.choice(sorted(corpus().topics.topics))
    beside = _beside(random) if random.random() < 0.3 else sample.beside
    return _events_of(topic, _json_of(random, sample.record), beside)


def _own(random: Random) -> str:
    """A record of a topic without a mapping."""
    record = {"type": "website.page_view", "event_id": "e1", "lead_id": "L1", "occurred_at": AT_TEN_MS, "path": "/a"}
    more = {"attributes": {"role": "ceo", "size": 250}, "campaign": "spring", "received_at": AT_TEN_MS}
    return _event_of(_json_of(random, {**record, **more, "fields": {"a": [1, 2]}}), None)


def _avro(random: Random) -> str:
    """A value whose schema is in the registry, framed, with the id in a header, or as a single object."""
    schemas = corpus().schemas
    number = random.randrange(len(schemas) + 3)
    value = random.choice(corpus().values[number]) if number < len(schemas) else b'{"type": "a.b", "lead_id": "L"}'
    value = value if random.random() < 0.3 else damaged(random, value)
    headers: Headers | None = None
    kind = random.randrange(4)
    if kind == 0:
        guid = bytes([GUID_MAGIC]) + UUID(int=number).bytes
        headers = [
            ("a", None),
            (ID_HEADER, damaged(random, guid) if random.random() < 0.2 else guid),
        ]
    elif kind == 1:
        value = single_object_header(random.choice(sorted(schema_texts()))) + value
    else:
        value = b"\x00" + number.to_bytes(4, "big") + value
    if random.random() < 0.5:
        return _event_of(value, headers)
    return _events_of(random.choice(sorted(corpus().topics.topics)), value, Beside(b"k", headers, AT_TEN_MS))


def _bare(random: Random) -> str:
    """Bytes of any kind."""
    start = random.choice((b"", b"{", b"[", b"\x00\x00\x00\x00\x01", b"\xc3\x01", b"\x03\x00", b"\xef\xbb\xbf{"))
    value = start + random.randbytes(random.choice((0, 1, 5, 30, 200)))
    if random.random() < 0.5:
        return _event_of(value, None)
    return _events_of(random.choice(sorted(corpus().topics.topics)), value, _beside(random))


def _schema(random: Random) -> str:
    """A schema that is damaged, and bytes."""
    schema = json.loads(random.choice(corpus().schemas))
    text = changed(random, schema).decode(errors="replace")
    text = re.sub(re.escape(CANARY), "name", text, flags=re.IGNORECASE)  # messages may name a schema's fields
    decoder = Decoder(lambda _: {"schema": text})
    try:
        decoder.decode("topic", b"\x00\x00\x00\x00\x01" + random.randbytes(random.randint(0, 40)))
    except DeadLetter as dead_letter:
        check_dead_letter(dead_letter)
        return f"schema: {dead_letter.reason.value}"
    return "schema: event"


def _mappings_file(random: Random) -> str:
    """A mappings file that is damaged, and a record."""
    lines = random.choice(corpus().mapping_texts).splitlines()
    for _ in range(random.randint(1, 3)):
        place = random.randrange(len(lines))
        words = re.split(r"(\W+)", lines[place])
        at = random.randrange(len(words))
        words[at] = random.choice(("", "[]", "{}", "x", "7", "$key", "a[0]", '"', "constant", "$headers.x", "- "))
        lines[place] = "".join(words) if random.random() < 0.8 else ""
    try:
        mappings = mappings_in("\n".join(lines), "damaged.yaml")
        topics = MappedTopics(compile_mappings(mappings, KEY))
    except ConfigError:
        return "mappings: refused"
    for topic in sorted(topics.topics):
        value = _json_of(random, random.choice(corpus().samples).record)
        _outcome(partial(topics.events, topic, value))
    return "mappings: read"


def _beside(random: Random) -> Beside:
    key = random.choice((None, b"", b"k", b'{"id": 1}', b"[1]", b"\xff", b'{"payload": {"id": 17}}', CANARY.encode()))
    if random.random() < 0.1:
        key = damaged(random, b"\x00" + random.randrange(9).to_bytes(4, "big") + random.choice(corpus().values[0]))
    names = ("ce_type", "ce_id", "ce_source", "ce_time", "ce_subject", "ce_leadid")
    text = (b"a", b"", None, b"\xff", CANARY.encode(), b"2026-01-05T10:00:00Z")
    headers = [(name, random.choice(text)) for name in names] if random.random() < 0.3 else None
    return Beside(key, headers, random.choice((None, 0, AT_TEN_MS)))


def _event_of(value: bytes, headers: Headers | None) -> str:
    return _outcome(lambda: [corpus().decoder.decode("topic", value, headers)])


def _events_of(topic: str, value: bytes, beside: Beside) -> str:
    return _outcome(lambda: corpus().topics.events(topic, value, beside))


def _outcome(events_of: Callable[[], list[Event]]) -> str:
    try:
        events = events_of()
    except DeadLetter as dead_letter:
        check_dead_letter(dead_letter)
        return dead_letter.reason.value
    for event in events:
        check_event(event)
    awards = [award for award in (corpus().matcher.award(event, 0, 7) for event in events) if award is not None]
    _check_frame(awards)
    return "events" if events else "ignored"


def check_dead_letter(dead_letter: DeadLetter) -> None:
    """``Failed`` unless its words are few and hold no value."""
    if dead_letter.reason not in DeadLetterReason or len(dead_letter.detail) > LONGEST_DETAIL + len("..."):
        raise Failed(f"a dead letter of {len(dead_letter.detail)} characters")
    if CANARY.lower() in dead_letter.detail.lower():
        raise Failed(f"a value in a message: {dead_letter.detail}")


def check_event(event: Event) -> None:
    """``Failed`` unless the log can carry it."""
    ids = [event.event_id, event.lead_id]
    if not all(type(text) is str and 0 < len(text) <= 256 and "@" not in text for text in ids):
        raise Failed(f"ids {ids}")
    if type(event.occurred_at_ms) is not int or type(event.type) is not str:
        raise Failed(f"type {event.type!r} at {event.occurred_at_ms!r}")
    values = [*event.fields.values(), *(event.attributes or {}).values()]
    names = [*event.fields, *(event.attributes or {})]
    if None in event.fields.values() or not all(type(name) is str for name in names):
        raise Failed("a field that is null, or has no name")
    for value in values:
        parts = value if isinstance(value, tuple) else (value,)
        if not all(part is None or type(part) in SCALARS for part in parts):
            raise Failed(f"a value of type {type(value).__name__}")
        if any(type(part) is int and not -(2**63) <= part < 2**63 for part in parts if not isinstance(value, tuple)):
            raise Failed("a number of more than 64 bits")


def _check_frame(awards: list[Award]) -> None:
    for first in range(0, len(awards), 100):
        frame = Frame(1, [Source("t", "", 0)], awards[first : first + 100])
        value = encode(frame)
        if decode(value) != frame or len(value) > MAX_FRAME_BYTES:
            raise Failed(f"a frame of {len(value)} bytes, or one that is read otherwise")


# The command


def run(numbers: Sequence[int]) -> Counter[str]:
    """Try these inputs; how often what became of them."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    counts: Counter[str] = Counter()
    for number in numbers:
        try:
            counts[one_input(number)] += 1
        except Failed as failure:
            counts[f"FAILED {failure}"] += 1
    return counts


def chunks(first: int, inputs: int, size: int = 10_000) -> Iterator[range]:
    """The numbers of the inputs, in parts."""
    for start in range(first, first + inputs, size):
        yield range(start, min(start + size, first + inputs))


def main() -> int:
    """1 if an input failed."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=INPUTS)
    parser.add_argument("--first", type=int, default=0, help="the number of the first input: other inputs")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    started_s = time.monotonic()
    counts: Counter[str] = Counter()
    with ProcessPoolExecutor(arguments.processes) as pool:
        for part in pool.map(run, chunks(arguments.first, arguments.inputs)):
            counts += part
    failures = sorted(outcome for outcome in counts if outcome.startswith("FAILED"))
    for outcome, number in counts.most_common():
        if outcome not in failures:
            print(f"{number:>9}  {outcome}")
    print(f"{counts.total():>9}  inputs in {time.monotonic() - started_s:.0f} s, {len(failures)} failed")
    print("\n".join(failures[:20]))
    return 1 if failures or counts.total() < arguments.inputs else 0


if __name__ == "__main__":
    sys.exit(main())
