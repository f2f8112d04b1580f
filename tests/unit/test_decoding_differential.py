"""Our Avro reader and fastavro's on the same bytes, of random schemas, well-formed and broken: thousands of each."""

import io
import json
from collections import Counter
from collections.abc import Iterator
from math import isfinite
from random import Random
from typing import Any, NamedTuple

import fastavro
import pytest
from fastavro.schema import parse_schema

from leadscore.errors import DeadLetter
from leadscore.events.avro_reader import AvroReader, RecordReader, UnionReader
from leadscore.events.avro_schema import AvroSchema, AvroUnion, Reference, read_schema
from leadscore.events.validation import _scalars, unnoticed
from tests.random_avro import Schemas, Values, as_text, damaged, named_in

Json = Any  # schemas and values of any shape

SCHEMAS = 400
VALUES = 5
BROKEN = 4
"""Of each value."""

NOT_SEEN_BY_FASTAVRO = (
    "expected a length of 0 or more",
    "expected an index of the",
    "expected a boolean of 0 or 1",
    "a number of more than 64 bits",
    "a block of more items than bytes are left",
    "a record of more than 100000 objects and lists",
)
"""What only we refuse, by the words of the refusal."""


class Case(NamedTuple):
    """A schema, and bytes of a value."""

    seed: int
    schema: Json
    value: bytes


def reader_of(schema: AvroSchema | AvroUnion, *, for_mapping: bool) -> RecordReader:
    if isinstance(schema, AvroUnion):
        branches = [
            None if branch is None else AvroReader(branch, for_mapping=for_mapping) for branch in schema.branches
        ]
        return UnionReader(branches)
    return AvroReader(schema, for_mapping=for_mapping)


def cases(seed: int) -> Iterator[Case]:
    """Values of one random schema; none of a schema that is refused."""
    random = Random(seed)
    schema = Schemas(random).top()
    try:
        read_schema(as_text(schema))
    except DeadLetter as refusal:
        assert refusal.detail == "an array of items without bytes"  # noqa: PT017 - the one refusal there may be
        return
    values = Values(random, schema)
    for _ in range(VALUES):
        yield Case(seed, schema, values.one())


def plain(value: Json) -> Json:
    """A value without what the two do not tell alike: bytes, and what takes none."""
    if isinstance(value, bytes):
        return ()
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: entry for name, entry in ((name, plain(entry)) for name, entry in value.items()) if entry is not None
    } or None


def by_fastavro(case: Case) -> tuple[Json, int]:
    """The value, and how many bytes it took."""
    stream = io.BytesIO(case.value)
    value = fastavro.schemaless_reader(stream, parse_schema(case.schema), None)
    return plain(value), stream.tell()


@pytest.mark.parametrize("part", range(4))
def test_both_read_the_same(part: int) -> None:
    counts: Counter[str] = Counter()
    for seed in range(part, SCHEMAS, 4):
        for case in cases(seed):
            schema = read_schema(as_text(case.schema))
            whole, bare = (reader_of(schema, for_mapping=mode).read(case.value, 0) for mode in (True, False))
            expected, size = by_fastavro(case)
            assert size == len(case.value), case
            assert repr(plain(whole)) == repr(expected), case
            assert repr(plain(bare)) == repr(expected), case
            counts["read"] += 1
    assert counts["read"] > SCHEMAS


@pytest.mark.parametrize("part", range(4))
def test_both_say_the_same_of_broken_bytes(part: int) -> None:
    counts: Counter[str] = Counter()
    for seed in range(part, SCHEMAS, 4):
        random = Random(-1 - seed)
        for whole in cases(seed):
            reader = reader_of(read_schema(as_text(whole.schema)), for_mapping=True)
            for _ in range(BROKEN):
                counts[compared(reader, whole._replace(value=damaged(random, whole.value)))] += 1
    assert counts["read"] > 100
    assert counts["refused by both"] > 500
    assert counts["refused by us"] > 100


def compared(reader: RecordReader, case: Case) -> str:
    """What became of broken bytes; fails where the two disagree and we do not say why."""
    try:
        record = reader.read(case.value, 0)
    except DeadLetter as refusal:
        if any(words in refusal.detail for words in NOT_SEEN_BY_FASTAVRO):
            return "refused by us"
        if is_read_to_the_end(case):
            pytest.fail(f"fastavro reads it, and we say {refusal.detail}: {case}")
        return "refused by both"
    expected, size = by_fastavro(case)
    assert size == len(case.value), case
    assert repr(plain(record)) == repr(expected), case
    return "read"


def is_read_to_the_end(case: Case) -> bool:
    """Whether fastavro reads a value that is exactly the bytes."""
    try:
        return by_fastavro(case)[1] == len(case.value)
    except (EOFError, ValueError, IndexError, OverflowError, MemoryError):
        return False


@pytest.mark.parametrize("part", range(2))
def test_where_a_schema_holds_scalars_only_there_is_nothing_to_check(part: int) -> None:
    compared = 0
    for seed in range(part, 2 * SCHEMAS, 2):
        for case in cases(seed):
            schema = read_schema(as_text(case.schema))
            numbers = schema.numbers_among_scalars(frozenset()) if isinstance(schema, AvroSchema) else None
            if numbers is None or not isinstance(schema, AvroSchema):
                break
            record = AvroReader(schema).read(case.value, 0)
            finite = {name: value for name, value in record.items() if type(value) is not float or isfinite(value)}
            assert _scalars(dict(finite), unnoticed) == finite, case
            assert {name for name, entry in record.items() if type(entry) is float} <= set(numbers), case
            compared += 1
    assert compared > 50


def test_named_types_of_other_schemas_are_the_same_as_those_within() -> None:
    compared = 0
    for seed in range(SCHEMAS):
        for case in cases(seed):
            if isinstance(case.schema, list):
                break
            within = [name for name in named_in(case.schema) if name != case.schema["name"]]
            references, outer = split(case.schema, within)
            schema = read_schema(json.dumps(outer), references)
            record = reader_of(schema, for_mapping=True).read(case.value, 0)
            assert repr(plain(record)) == repr(by_fastavro(case)[0]), case
            compared += 1
    assert compared > SCHEMAS


def split(schema: Json, names: list[str]) -> tuple[list[Reference], Json]:
    """The named types of a schema as schemas of their own, those without any other first; and what is left of it."""
    references: list[Reference] = []

    def without(part: Json) -> Json:
        if isinstance(part, list):
            return [without(inner) for inner in part]
        if not isinstance(part, dict):
            return part
        left = {key: without(inner) for key, inner in part.items()}
        if left.get("name") in names and left.get("type") in ("record", "enum", "fixed"):
            references.append(Reference(left["name"], json.dumps(left)))
            return left["name"]
        return left

    return references, without(schema)
