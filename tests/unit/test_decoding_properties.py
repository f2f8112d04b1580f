"""Random schemas, data and bytes: our reader says what fastavro says, or refuses; nothing else ever comes out."""

import io
import json
from typing import Any

import fastavro
from fastavro.schema import parse_schema
from hypothesis import assume, given
from hypothesis import strategies as st

from leadscore.errors import DeadLetter
from leadscore.events.avro_reader import AvroReader
from leadscore.events.avro_schema import record_schema
from leadscore.events.avro_values import DROPPED
from leadscore.events.decoder import Decoder
from leadscore.events.encoding import encode_single_object
from leadscore.events.event import Event
from leadscore.events.local_schemas import schema_texts, single_object_header
from leadscore.events.validation import _scalars, unnoticed

Json = Any  # schemas and data of any shape

CHARACTERS = st.characters(exclude_categories=["Cs"])
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=8), st.text(CHARACTERS, min_size=60, max_size=70)
)  # lengths of 1, 2 bytes
LONGS = st.one_of(st.integers(-70, 70), st.integers(-(2**63), 2**63 - 1))
PRIMITIVES: dict[str, st.SearchStrategy[Json]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": LONGS,
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "bytes": st.binary(max_size=8),
    "string": TEXTS,
}


@st.composite
def schemas(draw: st.DrawFn, names: list[str], depth: int) -> Json:
    """A schema that is no union; ``names`` collects those taken, so that all are different."""
    choices = [*PRIMITIVES, "enum", "fixed", *(["record", "map", "array"] if depth else [])]
    choice = draw(st.sampled_from(choices))
    if choice in PRIMITIVES:
        return choice
    if choice in ("map", "array"):
        return {"type": choice, "values" if choice == "map" else "items": draw(any_schemas(names, depth - 1))}
    names.append(f"N{len(names)}")
    named = {"type": choice, "name": names[-1]}
    if choice == "enum":
        return {**named, "symbols": [f"S{i}" for i in range(draw(st.integers(1, 70)))]}
    if choice == "fixed":
        return {**named, "size": draw(st.integers(1, 5))}
    return {**named, "fields": draw(records_fields(names, depth - 1))}


@st.composite
def any_schemas(draw: st.DrawFn, names: list[str], depth: int) -> Json:
    """A schema, or a union of different ones, of which one is a record or map at most."""
    if not draw(st.booleans()):
        return draw(schemas(names, depth))
    branches: list[Json] = draw(
        st.lists(st.sampled_from(["null", "boolean", "long", "double", "string"]), unique=True, max_size=4)
    )
    branches.insert(draw(st.integers(0, len(branches))), draw(schemas(names, depth)))
    kinds = [branch["type"] if isinstance(branch, dict) else branch for branch in branches]
    assume(len(set(kinds)) == len(kinds) and not {"int", "float"} & set(kinds))
    return branches


@st.composite
def records_fields(draw: st.DrawFn, names: list[str], depth: int) -> Json:
    count = draw(st.integers(0, 4))
    return [{"name": f"f{i}", "type": draw(any_schemas(names, depth))} for i in range(count)]


@st.composite
def data(draw: st.DrawFn, schema: Json) -> Json:  # noqa: PLR0911 - one per sort of schema
    """Data that fastavro writes with the schema."""
    if isinstance(schema, list):
        return draw(data(draw(st.sampled_from(schema))))
    if isinstance(schema, str):
        return draw(PRIMITIVES[schema])
    if schema["type"] == "record":
        return {field["name"]: draw(data(field["type"])) for field in schema["fields"]}
    if schema["type"] == "map":
        return draw(st.dictionaries(TEXTS, data(schema["values"]), max_size=3))
    if schema["type"] == "array":
        return draw(st.lists(data(schema["items"]), max_size=3))
    if schema["type"] == "enum":
        return draw(st.sampled_from(schema["symbols"]))
    return draw(st.binary(min_size=schema["size"], max_size=schema["size"]))


@st.composite
def written(draw: st.DrawFn) -> tuple[Json, bytes]:
    """A record schema, and a value written with it by fastavro."""
    names = ["Root"]
    schema = {"type": "record", "name": "Root", "fields": draw(records_fields(names, 3))}
    target = io.BytesIO()
    fastavro.schemaless_writer(target, parse_schema(schema), draw(data(schema)))
    return schema, target.getvalue()


def is_zero_width(schema: Json) -> bool:
    if isinstance(schema, dict) and schema["type"] == "record":
        return all(is_zero_width(field["type"]) for field in schema["fields"])
    return bool(schema == "null")


def has_items_without_width(schema: Json) -> bool:
    if isinstance(schema, list):
        return any(has_items_without_width(branch) for branch in schema)
    if not isinstance(schema, dict):
        return False
    inner = [field["type"] for field in schema.get("fields", [])]
    inner += [schema[key] for key in ("items", "values") if key in schema]
    if schema["type"] == "array" and is_zero_width(schema["items"]):
        return True
    return any(has_items_without_width(part) for part in inner)


def branch_of(schema: Json, value: Json) -> Json:
    """The branch of a union that matters for what our reader makes of the value."""
    if not isinstance(schema, list):
        return schema
    expected = ("record", "map") if isinstance(value, dict) else ("array",)
    complex_branches = [branch for branch in schema if isinstance(branch, dict) and branch["type"] in expected]
    return complex_branches[0] if complex_branches else "null" if value is None else "string"


def as_we_say_it(value: Json, schema: Json) -> Json:
    """What fastavro read, in our words: nulls of records left out, bytes dropped."""
    schema = branch_of(schema, value)
    if is_zero_width(schema):
        return None
    if isinstance(value, list):
        return [as_we_say_it(item, schema["items"]) for item in value]
    if isinstance(value, bytes):
        return DROPPED
    if not isinstance(value, dict):
        return value
    if schema["type"] == "map":
        return {key: as_we_say_it(entry, schema["values"]) for key, entry in value.items()}
    fields = {field["name"]: as_we_say_it(value[field["name"]], field["type"]) for field in schema["fields"]}
    return {name: entry for name, entry in fields.items() if entry is not None}


def read_by_fastavro(schema: Json, value: bytes) -> Json:
    return fastavro.schemaless_reader(io.BytesIO(value), parse_schema(schema), None)


@given(written())
def test_our_reader_says_what_fastavro_says(case: tuple[Json, bytes]) -> None:
    schema, value = case
    assume(not has_items_without_width(schema))
    expected = as_we_say_it(read_by_fastavro(schema, value), schema) or {}
    assert repr(AvroReader(record_schema(json.dumps(schema))).read(value, 0)) == repr(expected)


@given(written())
def test_where_a_schema_holds_scalars_only_there_is_nothing_to_check(case: tuple[Json, bytes]) -> None:
    text, value = json.dumps(case[0]), case[1]
    assume(not has_items_without_width(case[0]))
    numbers = record_schema(text).numbers_among_scalars(frozenset())
    assume(numbers is not None)
    record = AvroReader(record_schema(text)).read(value, 0)
    assert _scalars(record, unnoticed) == record
    assert {name for name, entry in record.items() if type(entry) is float} <= set(numbers or [])


@given(written(), st.data())
def test_what_our_reader_takes_of_broken_bytes_fastavro_reads_alike(
    case: tuple[Json, bytes], draws: st.DataObject
) -> None:
    schema, value = case
    assume(value)
    assume(not has_items_without_width(schema))
    broken = bytearray(value)
    for _ in range(draws.draw(st.integers(1, 3))):
        broken[draws.draw(st.integers(0, len(value) - 1))] = draws.draw(st.integers(0, 255))
    try:
        record = AvroReader(record_schema(json.dumps(schema))).read(bytes(broken), 0)
    except DeadLetter:
        return
    assert repr(record) == repr(as_we_say_it(read_by_fastavro(schema, bytes(broken)), schema) or {})


@given(written(), st.binary(min_size=1, max_size=4))
def test_bytes_after_the_record_are_refused_whatever_the_schema(case: tuple[Json, bytes], more: bytes) -> None:
    schema, value = case
    assume(not has_items_without_width(schema))
    try:
        AvroReader(record_schema(json.dumps(schema))).read(value + more, 0)
    except DeadLetter as refusal:
        assert refusal.reason == "trailing_bytes"  # noqa: PT017 - DeadLetter is what is expected
    else:
        raise AssertionError("trailing bytes were accepted")


WEBSITE = encode_single_object(
    "website_event",
    {
        "event_id": "e1",
        "lead_id": "L1",
        "occurred_at": 1_767_607_200_000,
        "type": "FORM_SUBMITTED",
        "form": "whitepaper",
        "pages": 300,
        "fields": {"language": "de"},
        "attributes": {"role": "ceo", "size": 250, "budget": 1.5, "customer": True, "city": None},
    },
)
DECODER = Decoder(lookup=lambda _id: {"schema": schema_texts()["website_event"]})
STARTS = [b"", b"{", b"\x00\x00\x00\x00\x01", *(single_object_header(name) for name in sorted(schema_texts()))]


def event_or_dead_letter(value: bytes) -> Event | DeadLetter:
    """Any other error fails the test."""
    try:
        return DECODER.decode("topic", value)
    except DeadLetter as refusal:
        return refusal


@given(st.sampled_from(STARTS), st.binary(max_size=200))
def test_random_bytes_are_an_event_or_a_dead_letter(start: bytes, rest: bytes) -> None:
    event_or_dead_letter(start + rest)


@given(st.lists(st.tuples(st.integers(0, len(WEBSITE) - 1), st.integers(0, 255)), max_size=4), st.integers(0, 5))
def test_a_damaged_event_is_an_event_or_a_dead_letter(damage: list[tuple[int, int]], cut: int) -> None:
    value = bytearray(WEBSITE)
    for place, byte in damage:
        value[place] = byte
    event_or_dead_letter(bytes(value[: len(value) - cut]))


JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=10,
)
NAMES = st.one_of(
    st.sampled_from(["type", "event_id", "lead_id", "occurred_at", "attributes", "campaign", "received_at"]), TEXTS
)


@given(st.dictionaries(NAMES, JSON_VALUES, max_size=10), st.booleans())
def test_any_json_object_is_an_event_or_a_dead_letter(fields: dict[str, Json], is_whole: bool) -> None:
    envelope = {"type": "a.b", "event_id": "e", "lead_id": "L", "occurred_at": 1} if is_whole else {}
    outcome = event_or_dead_letter(json.dumps({**fields, **envelope}).encode())
    if isinstance(outcome, Event):
        values = [*outcome.fields.values(), *(outcome.attributes or {}).values()]
        assert {type(value) for value in values} <= {str, int, float, bool, tuple, type(None)}
        assert None not in outcome.fields.values()
        assert type(outcome.fields.get("campaign", "")) is str
