"""The contracts of the ``schemas/`` folder: documented, able to evolve, and with examples that work."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest
from fastavro.schema import parse_schema
from hypothesis import given
from hypothesis import strategies as st

from leadscore.events.contracts import CONTRACTS, contract_of_record
from leadscore.events.decoder import Decoder
from leadscore.events.encoding import encode_confluent, encode_single_object
from leadscore.events.local_schemas import schema_texts, single_object_header
from leadscore.log.records import COMMANDS
from leadscore.pipeline.score.publishing import (
    CrossingEncoding,
    RegisteredSchema,
    avro_encoding,
    crossing_output,
    json_encoding,
)
from leadscore.scoring.crossing import Cause, Crossing, Direction, Reason, Trigger
from tests.unit.sample_crossing import crossing_record

Json = dict[str, Any]  # what JSON holds

FOLDER = Path(__file__).resolve().parents[2] / "schemas"
FILES = sorted(path.stem for path in FOLDER.glob("*.avsc"))
NAMES = [name for name in FILES if "." not in name]
OLDER = [name for name in FILES if "." in name]
EVENT_SCHEMAS = ["website_event", "email_event", "webinar_event", "lead_profile", "lead_command"]


def schema_of(name: str) -> Json:
    return dict(json.loads((FOLDER / f"{name}.avsc").read_text()))


def examples_of(name: str) -> list[Json]:
    return list(json.loads((FOLDER / "examples" / f"{name}.json").read_text()))


def parts(schema: object) -> Iterator[Json]:
    """Every object in a schema: definitions and fields."""
    if isinstance(schema, list):
        for branch in schema:
            yield from parts(branch)
    elif isinstance(schema, dict):
        yield schema
        for inner in schema.values():
            if isinstance(inner, dict | list):
                yield from parts(inner)


def fields(schema: Json) -> Iterator[Json]:
    return (part for part in parts(schema) if "name" in part and part["type"] not in ("record", "enum"))


def enums(schema: Json) -> list[Json]:
    return [part for part in parts(schema) if part.get("type") == "enum"]


def binary(schema: Any, record: Json) -> bytes:
    target = io.BytesIO()
    fastavro.schemaless_writer(target, parse_schema(schema), record)
    return target.getvalue()


def with_instants_as_integers(schema: Json) -> Json:
    """fastavro would read instants as datetimes."""
    return dict(json.loads(json.dumps(schema).replace(', "logicalType": "timestamp-millis"', "")))


def test_the_installed_package_has_the_schemas_of_the_folder() -> None:
    assert sorted(schema_texts()) == FILES
    assert set(EVENT_SCHEMAS) | {"crossing", "lead_score"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_field_and_type_is_documented(name: str) -> None:
    schema = schema_of(name)
    named = [schema, *enums(schema), *fields(schema)]
    assert [part["name"] for part in named if not part.get("doc")] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_enum_has_the_default_unknown(name: str) -> None:
    for enum in enums(schema_of(name)):
        assert enum["default"] == "UNKNOWN"
        assert enum["symbols"][0] == "UNKNOWN"


@pytest.mark.parametrize("name", NAMES)
def test_every_nullable_field_has_the_default_null(name: str) -> None:
    nullable = [field for field in fields(schema_of(name)) if isinstance(field["type"], list)]
    assert [field["name"] for field in nullable if field.get("default", "none") is not None] == []
    assert [field["name"] for field in nullable if field["type"][0] != "null"] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_example_comes_back_as_it_was_written(name: str) -> None:
    schema = parse_schema(with_instants_as_integers(schema_of(name)))
    for example in examples_of(name):
        encoded = binary(schema_of(name), example)
        assert fastavro.schemaless_reader(io.BytesIO(encoded), schema, None) == example


@pytest.mark.parametrize("name", NAMES)
def test_examples_give_every_field_a_value_somewhere(name: str) -> None:
    names = {str(field["name"]) for field in schema_of(name)["fields"]}
    named = {key for example in examples_of(name) for key, value in example.items() if value is not None}
    assert named == names


@pytest.mark.parametrize("name", EVENT_SCHEMAS)
def test_every_example_is_an_event(name: str) -> None:
    contract = contract_of_record(f"leadscore.v1.{schema_of(name)['name']}")
    assert contract is not None
    assert contract.schema == name
    for example in examples_of(name):
        event = Decoder().decode("topic", encode_single_object(name, example))
        assert event.type == f"{contract.type_prefix}.{str(example['type']).lower()}"
        assert (event.event_id, event.lead_id) == (example["event_id"], example["lead_id"])
        assert event.occurred_at_ms == example["occurred_at"]


def test_every_schema_that_events_come_in_has_a_contract() -> None:
    assert sorted(contract.schema for contract in CONTRACTS) == sorted(EVENT_SCHEMAS)


def test_every_symbol_of_the_command_schema_is_a_command() -> None:
    (enum,) = enums(schema_of("lead_command"))
    assert {f"command.{str(s).lower()}" for s in list(enum["symbols"])[1:]} == COMMANDS


def test_the_readme_names_every_schema_and_type() -> None:
    readme = (FOLDER / "README.md").read_text()
    for name in NAMES:
        assert f"`{name}.avsc`" in readme
    for name in EVENT_SCHEMAS:
        for symbol in list(enums(schema_of(name))[0]["symbols"])[1:]:
            assert str(symbol).lower() in readme


# Single-object encoding


def crc_64_avro(data: bytes) -> int:
    """The fingerprint as the Avro specification defines it, bit by bit."""
    empty = 0xC15D213AA4D7A795
    fingerprint = empty
    for byte in data:
        fingerprint ^= byte
        for _ in range(8):
            fingerprint = (fingerprint >> 1) ^ (empty if fingerprint & 1 else 0)
    return fingerprint


def canonical(schema: object, namespace: str = "") -> str:
    """The Parsing Canonical Form of the specification, for what our schemas use."""
    if isinstance(schema, str):
        primitives = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
        return json.dumps(schema if schema in primitives or "." in schema else f"{namespace}.{schema}")
    if isinstance(schema, list):
        return "[" + ",".join(canonical(branch, namespace) for branch in schema) + "]"
    assert isinstance(schema, dict)
    namespace = str(schema.get("namespace", namespace))
    name = f'"name":"{namespace}.{schema.get("name")}","type":"{schema["type"]}"'
    if schema["type"] == "record":
        rows = [f'{{"name":"{f["name"]}","type":{canonical(f["type"], namespace)}}}' for f in schema["fields"]]
        return f'{{{name},"fields":[{",".join(rows)}]}}'
    if schema["type"] == "enum":
        return f'{{{name},"symbols":{json.dumps(schema["symbols"], separators=(",", ":"))}}}'
    for inner in ("items", "values"):
        if inner in schema:
            return f'{{"type":"{schema["type"]}","{inner}":{canonical(schema[inner], namespace)}}}'
    return json.dumps(schema["type"])


def test_the_test_computes_the_fingerprint_of_the_specification() -> None:
    assert crc_64_avro(b'"null"') == 7195948357588979594
    assert crc_64_avro(b'"string"') == 0x8F014872634503C7


@pytest.mark.parametrize("name", NAMES)
def test_the_single_object_header_is_that_of_the_specification(name: str) -> None:
    fingerprint = crc_64_avro(canonical(schema_of(name)).encode())
    assert single_object_header(name) == b"\xc3\x01" + fingerprint.to_bytes(8, "little")


def test_confluent_framing_is_a_zero_and_the_id() -> None:
    (example, *_) = examples_of("lead_profile")
    assert encode_confluent(258, "lead_profile", example)[:5] == b"\x00\x00\x00\x01\x02"
    assert encode_confluent(258, "lead_profile", example)[5:] == binary(schema_of("lead_profile"), example)


# The output


def a_crossing(**more: object) -> Crossing:
    values: Json = {
        "id": "7f6ad1d2-3e0f-5d7e-9a58-0f1c7fd6a001",
        "model": "b2b",
        "model_version": 3,
        "lead_id": "L1",
        "threshold": "mql",
        "direction": Direction.ENTER,
        "cause": Cause.EVENT,
        "entered_id": None,
        "sequence": 1,
        "score": 72,
        "previous_score": 60.0,
        "engagement": 47.0,
        "fit": 25.0,
        "grade": "B",
        "enter_level": 65,
        "exit_level": 50.0,
        "occurred_at_ms": 1_767_607_200_000,
        "decided_at_ms": 1_767_607_200_120,
        "projected_exit_at_ms": 1_768_970_592_000,
        "trigger": Trigger("leadscore.website", "w-1", "website.page_view", "spring"),
        "reasons": [Reason("pricing_page", 30.0), Reason("company_size", 20.0)],
        "stale": False,
    }
    return Crossing(**{**values, **more})


def test_the_crossing_schema_has_the_fields_of_a_crossing_in_their_order() -> None:
    names = [str(field["name"]) for field in schema_of("crossing")["fields"]]
    assert names == [field.removesuffix("_ms") for field in Crossing.__struct_fields__]


@pytest.mark.parametrize("enum", [Direction, Cause])
def test_the_crossing_schema_has_every_direction_and_cause(enum: type[Direction | Cause]) -> None:
    (schema_enum,) = (part for part in enums(schema_of("crossing")) if part["name"] == enum.__name__)
    assert schema_enum["symbols"] == ["UNKNOWN", *enum]


def test_a_crossing_is_written_as_the_example_says() -> None:
    entered, left, *_ = examples_of("crossing")
    left_by_time = a_crossing(
        id=left["id"],
        direction=Direction.LEAVE,
        cause=Cause.TIME,
        entered_id=entered["id"],
        sequence=2,
        score=50.0,
        previous_score=50.0,
        engagement=25.0,
        occurred_at_ms=left["occurred_at"],
        decided_at_ms=left["decided_at"],
        projected_exit_at_ms=None,
        trigger=None,
        reasons=[Reason("company_size", 20.0)],
    )
    assert crossing_record(a_crossing()) == entered
    assert crossing_record(left_by_time) == left
    encoded = encode_single_object("crossing", crossing_record(a_crossing()))
    assert encoded[10:] == binary(schema_of("crossing"), entered)


ENCODINGS = [
    json_encoding(),
    avro_encoding(None),
    avro_encoding(RegisteredSchema(7, "https://registry.example/schemas/ids/7")),
]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_uris_of_a_cloudevent_are_absolute(encoding: CrossingEncoding) -> None:
    """As the validate() of CloudEvents SDKs demands it of ``dataschema``; a scheme says that it is absolute."""
    headers = dict(crossing_output(a_crossing(), encoding).headers)
    for name in ("ce_dataschema", "ce_source"):
        assert re.fullmatch(r"[a-z][a-z0-9+.-]*:[^\s#]+", str(headers[name])), name


def test_a_registered_schema_is_named_by_its_id_and_its_uri() -> None:
    record = crossing_output(a_crossing(), ENCODINGS[-1])
    assert record.value == encode_confluent(7, "crossing", crossing_record(a_crossing()))
    assert dict(record.headers)["ce_dataschema"] == "https://registry.example/schemas/ids/7"


def test_a_crossing_keeps_every_bit_of_its_points() -> None:
    crossing = a_crossing(score=0.1 + 0.2, reasons=[Reason("a", 1 / 3)])
    encoded = encode_single_object("crossing", crossing_record(crossing))[10:]
    read = fastavro.schemaless_reader(io.BytesIO(encoded), parse_schema(schema_of("crossing")), None)
    assert isinstance(read, dict)
    assert (read["score"], read["reasons"]) == (0.1 + 0.2, [{"name": "a", "points": 1 / 3}])


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
INSTANTS = st.integers(-(2**45), 2**45)
POINTS = st.floats(allow_nan=False)
CROSSINGS = st.builds(
    a_crossing,
    id=TEXTS,
    model_version=st.integers(1, 2**31),
    direction=st.sampled_from(Direction),
    cause=st.sampled_from(Cause),
    entered_id=st.none() | TEXTS,
    sequence=st.integers(1, 2**40),
    score=POINTS,
    occurred_at_ms=INSTANTS,
    projected_exit_at_ms=st.none() | INSTANTS,
    trigger=st.none() | st.builds(Trigger, st.none() | TEXTS, TEXTS, TEXTS, st.none() | TEXTS),
    reasons=st.lists(st.builds(Reason, TEXTS, POINTS), max_size=5),
    stale=st.booleans(),
)


@given(CROSSINGS)
def test_a_crossing_is_written_as_fastavro_writes_it(crossing: Crossing) -> None:
    value = crossing_output(crossing, avro_encoding(None)).value
    assert value == encode_single_object("crossing", crossing_record(crossing))


# Evolution


@pytest.mark.parametrize("name", OLDER)
def test_every_older_version_and_the_present_one_understand_each_other(name: str) -> None:
    """FULL_TRANSITIVE; an older version knows a part of what the examples say."""
    older, present = schema_of(name), schema_of(name.partition(".")[0])
    for example in examples_of(name.partition(".")[0]):
        old_fields = {field["name"]: as_known(field["type"], example[field["name"]]) for field in older["fields"]}
        assert read_as(present, older, old_fields) == {field["name"]: None for field in present["fields"]} | old_fields
        assert read_as(older, present, example) == old_fields


def as_known(field_type: Any, value: object) -> object:
    """The value, or what stands for a symbol that an enum does not have yet."""
    is_enum = isinstance(field_type, dict) and field_type["type"] == "enum"
    return field_type["default"] if is_enum and value not in field_type["symbols"] else value


def read_as(reader: Json, writer: Json, record: Json) -> object:
    plain = parse_schema(with_instants_as_integers(reader))
    written = io.BytesIO(binary(with_instants_as_integers(writer), record))
    return fastavro.schemaless_reader(written, parse_schema(with_instants_as_integers(writer)), plain)


@pytest.mark.parametrize("name", OLDER)
def test_every_older_version_has_a_fingerprint_of_its_own(name: str) -> None:
    assert single_object_header(name) != single_object_header(name.partition(".")[0])


@pytest.mark.parametrize("name", EVENT_SCHEMAS)
def test_a_newer_writer_is_understood(name: str) -> None:
    newer = schema_of(name)
    newer["fields"] = [
        *newer["fields"],
        {"name": "device", "type": ["null", "string"], "default": None, "doc": "New."},
    ]
    lookup: Json = {"schema": json.dumps(newer)}
    for example in examples_of(name):
        value = b"\x00" + (7).to_bytes(4) + binary(newer, {**example, "device": "phone"})
        event = Decoder(lookup=lambda _id: lookup).decode("topic", value)
        older = Decoder().decode("topic", encode_single_object(name, example))
        assert event == msgspec.structs.replace(older, fields={**older.fields, "device": "phone"})
