"""Values whose schema is in a registry, on topics with and without a mapping: references, unions, ids in headers."""

import io
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import fastavro
import pytest
from confluent_kafka import Message
from fastavro.schema import parse_schema

from leadscore.errors import DeadLetter, DeadLetterReason, Unavailable
from leadscore.events.decoder import Decoder
from leadscore.events.event import Event
from leadscore.events.local_schemas import schema_texts
from leadscore.events.registered import Headers
from leadscore.events.registry import MAX_REFERENCES, RegistryClient
from leadscore.log.records import Source
from leadscore.mapping.decoding import Beside, MappedTopics
from leadscore.mapping.load import mappings_in
from leadscore.mapping.topics import compile_mappings
from leadscore.model.definition import ModelDefinition, Rule
from leadscore.model.matching import Matcher
from leadscore.ops.config import load_config
from leadscore.pipeline.match.batch import Work
from tests.unit.registry_stub import RegistryStub, registry_stub

Json = Any  # schemas and records of any shape
NOON_MS = 1_767_607_200_000
GUID = UUID("89791762-2336-4186-9674-299b90a802e2")
ENVELOPE: Json = {"type": "shop.order", "event_id": "e1", "lead_id": "L1", "occurred_at": NOON_MS}
MAPPING = "shop: {type_field: [type, $schema], types: {shop.Cart: shop.cart, shop.Order: shop.order}}"


def record(name: str, *more: tuple[str, Json], typed: bool = True) -> Json:
    """A record schema with the fields of an event, and these."""
    texts = ["event_id", "lead_id", *(["type"] if typed else [])]
    fields = [*((text, "string") for text in texts), ("occurred_at", "long"), *more]
    return {"type": "record", "name": name, "fields": [{"name": field, "type": type_} for field, type_ in fields]}


def written(schema: Json, value: Json, named: Json = None) -> bytes:
    target = io.BytesIO()
    fastavro.schemaless_writer(target, parse_schema(schema, named_schemas=named), value)
    return target.getvalue()


def framed(schema_id: int, value: bytes) -> bytes:
    return b"\x00" + schema_id.to_bytes(4, "big") + value


@pytest.fixture
def stub() -> Iterator[RegistryStub]:
    with registry_stub() as stub:
        yield stub


Read = Callable[[RegistryStub, bytes, Headers | None], Event]


def by_decoder(stub: RegistryStub, value: bytes, headers: Headers | None = None) -> Event:
    return Decoder(RegistryClient(stub.url).lookup).decode("shop", value, headers)


def by_mapping(stub: RegistryStub, value: bytes, headers: Headers | None = None) -> Event:
    mapped = MappedTopics(compile_mappings(mappings_in(MAPPING, "m.yaml"), None), RegistryClient(stub.url).lookup)
    (event,) = mapped.events("shop", value, Beside(None, headers))
    return event


both = pytest.mark.parametrize("read", [by_decoder, by_mapping])


# References


def put_version(stub: RegistryStub, subject: str, schema: Json, *references: Json, version: int = 1) -> Json:
    """Put a schema under a subject; what refers to it."""
    answer = {"schema": json.dumps(schema), "references": list(references)}
    stub.answers[f"/subjects/{subject}/versions/{version}?deleted=true"] = (200, json.dumps(answer))
    return {"name": schema["name"], "subject": subject, "version": version}


CITY = {"type": "record", "name": "geo.City", "fields": [{"name": "name", "type": "string"}]}
ADDRESS = {
    "type": "record",
    "name": "geo.Address",
    "fields": [{"name": "city", "type": "geo.City"}, {"name": "old", "type": ["null", "geo.City"]}],
}
ORDER = record("shop.Order", ("to", "geo.Address"), ("born", ["null", "geo.City"]))


def put_order(stub: RegistryStub) -> bytes:
    """A schema that uses another directly and indirectly, and a value of it."""
    city = put_version(stub, "city", CITY)
    address = put_version(stub, "address%2Feu", ADDRESS, city) | {"subject": "address/eu"}
    stub.put_schema(7, json.dumps(ORDER), references=[address, city])
    named: Json = {}
    parse_schema(CITY, named_schemas=named)
    parse_schema(ADDRESS, named_schemas=named)
    place = {"city": {"name": "Ulm"}, "old": None}
    return framed(7, written(ORDER, {**ENVELOPE, "to": place, "born": {"name": "Bonn"}}, named))


@both
def test_a_schema_with_references_is_read_with_all_it_refers_to(read: Read, stub: RegistryStub) -> None:
    event = read(stub, put_order(stub), None)
    assert event.fields == {"to.city.name": "Ulm", "born.name": "Bonn"}
    assert [path for _, path, _ in stub.requests] == [
        "/schemas/ids/7",
        "/subjects/address%2Feu/versions/1?deleted=true",
        "/subjects/city/versions/1?deleted=true",
    ]


@both
def test_a_reference_that_is_not_there_is_named(read: Read, stub: RegistryStub) -> None:
    value = put_order(stub)
    del stub.answers["/subjects/city/versions/1?deleted=true"]
    with pytest.raises(DeadLetter) as caught:
        read(stub, value, None)
    assert str(caught.value) == (
        "unknown_schema: schema id 7: reference geo.City (subject city, version 1): the registry has no such version"
    )


def test_a_reference_that_is_not_there_is_asked_for_again_after_a_moment(stub: RegistryStub) -> None:
    value, now_s = put_order(stub), [0.0]
    answer = stub.answers.pop("/subjects/city/versions/1?deleted=true")
    decoder = Decoder(RegistryClient(stub.url, clock=lambda: now_s[0]).lookup)
    for _ in range(3):
        with pytest.raises(DeadLetter, match="no such version"):
            decoder.decode("shop", value)
    assert len(stub.requests) == 3
    stub.answers["/subjects/city/versions/1?deleted=true"] = answer
    now_s[0] = 6.0
    assert decoder.decode("shop", value).event_id == "e1"


def test_a_reference_that_does_not_answer_is_an_outage(stub: RegistryStub) -> None:
    value = put_order(stub)
    for status in (403, 503):
        stub.answers["/subjects/city/versions/1?deleted=true"] = (status, "")
        with pytest.raises(Unavailable, match=rf"HTTP status {status} for reference geo\.City \(subject city"):
            by_decoder(stub, value)


def test_a_reference_that_cannot_be_read_is_named(stub: RegistryStub) -> None:
    value = put_order(stub)
    stub.answers["/subjects/city/versions/1?deleted=true"] = (200, json.dumps({"schema": '{"type": "recrod"}'}))
    with pytest.raises(
        DeadLetter, match=r"schema id 7: reference geo\.City \(subject city, version 1\): the schema ca"
    ):
        by_decoder(stub, value)


@pytest.mark.parametrize("references", [7, [7], [{"name": "a"}], [{"subject": "a", "version": "1"}]])
def test_references_that_say_nothing_are_refused(references: object, stub: RegistryStub) -> None:
    stub.put_schema(1, json.dumps(ORDER), references=references)
    with pytest.raises(DeadLetter, match="schema id 1: references without a subject and a version"):
        by_decoder(stub, framed(1, b""))


def test_references_in_a_circle_and_without_end_are_refused(stub: RegistryStub) -> None:
    there = put_version(stub, "there", CITY)
    put_version(stub, "there", CITY, there)
    stub.put_schema(1, json.dumps(CITY | {"name": "geo.Other"}), references=[there])
    with pytest.raises(DeadLetter, match="type: expected text"):
        by_decoder(stub, framed(1, b"\x02x"))
    last = CITY | {"name": "C0"}
    put_version(stub, "c0", last)
    for level in range(1, MAX_REFERENCES + 1):
        before = {"name": f"C{level - 1}", "subject": f"c{level - 1}", "version": 1}
        put_version(stub, f"c{level}", CITY | {"name": f"C{level}"}, before)
    stub.put_schema(2, json.dumps(ORDER), references=[{"name": "C", "subject": f"c{MAX_REFERENCES}", "version": 1}])
    with pytest.raises(DeadLetter, match="schema id 2: more than 50 schemas are referred to"):
        by_decoder(stub, framed(2, b""))


# Unions on top


def put_union(stub: RegistryStub) -> list[Json]:
    """Two types of records in one topic, one of which is referred to."""
    cart = record("shop.Cart", ("items", "int"), typed=False)
    order = record("shop.Order", ("price", "double"), typed=False)
    stub.put_schema(9, json.dumps(["null", "shop.Cart", order, "string"]), references=[put_version(stub, "cart", cart)])
    return ["null", cart, order, "string"]


def test_records_of_several_types_in_one_topic_are_told_by_the_name_of_their_schema(stub: RegistryStub) -> None:
    schema = put_union(stub)
    envelope = {name: value for name, value in ENVELOPE.items() if name != "type"}
    cart = written(schema, ("shop.Cart", {**envelope, "items": 3}))
    order = written(schema, ("shop.Order", {**envelope, "price": 9.5}))
    events = [by_mapping(stub, framed(9, value)) for value in (cart, order)]
    assert [(event.type, event.fields) for event in events] == [
        ("shop.cart", {"items": 3}),
        ("shop.order", {"price": 9.5}),
    ]


@both
@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (b"\x00", "the branch of the union is no record"),
        (b"\x06\x02a", "the branch of the union is no record"),
        (b"\x08", "expected an index of the union"),
        (b"\x01", "expected an index of the union"),
        (b"", "expected an index of the union"),
    ],
)
def test_what_is_no_record_of_the_union_is_malformed(read: Read, value: bytes, detail: str, stub: RegistryStub) -> None:
    put_union(stub)
    with pytest.raises(DeadLetter) as caught:
        read(stub, framed(9, value), None)
    assert (caught.value.reason, caught.value.detail) == (DeadLetterReason.MALFORMED, detail)


def test_our_own_contracts_may_be_in_one_topic(stub: RegistryStub) -> None:
    schemas = [json.loads(schema_texts()[name]) for name in ("website_event", "email_event")]
    stub.put_schema(3, json.dumps(schemas))
    envelope = {name: value for name, value in ENVELOPE.items() if name != "type"}
    visit = written(schemas, ("leadscore.v1.WebsiteEvent", {**envelope, "type": "PAGE_VIEW", "fields": {"a": "b"}}))
    click = written(schemas, ("leadscore.v1.EmailEvent", {**envelope, "type": "CLICK"}))
    events = [by_decoder(stub, framed(3, value)) for value in (visit, click)]
    assert [(event.type, event.fields) for event in events] == [("website.page_view", {"a": "b"}), ("email.click", {})]


# Ids in headers


def in_header(value: bytes) -> Headers:
    return [("traceparent", b"00-1"), ("__value_schema_id", value)]


@both
@pytest.mark.parametrize("header", [b"\x01" + GUID.bytes, b"\x00\x00\x00\x00\x05"])
def test_the_id_of_the_schema_may_be_in_a_header(read: Read, header: bytes, stub: RegistryStub) -> None:
    schema = record("shop.Order", ("note", ["null", "string"]))
    stub.put_schema(5, json.dumps(schema))
    stub.answers[f"/schemas/guids/{GUID}"] = stub.answers["/schemas/ids/5"]
    event = read(stub, written(schema, {**ENVELOPE, "note": "hi"}), in_header(header))
    assert (event.event_id, event.fields) == ("e1", {"note": "hi"})


@both
def test_the_header_counts_more_than_what_a_value_begins_with(read: Read, stub: RegistryStub) -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "note", "type": ["null", "string"]}]}
    schema["fields"] += record("shop.Order")["fields"]
    stub.answers[f"/schemas/guids/{GUID}"] = (200, json.dumps({"schema": json.dumps(schema)}))
    value = written(schema, {**ENVELOPE, "note": None})
    assert value[0] == 0
    stale = ("__value_schema_id", b"\x00\x00\x00\x00\x63")
    assert read(stub, value, [stale, *in_header(b"\x01" + GUID.bytes)]).event_id == "e1"


@both
@pytest.mark.parametrize("header", [b"", b"\x01\x02", b"\x00\x00\x01", b"\x02" + GUID.bytes])
def test_a_header_that_holds_no_id_is_refused(read: Read, header: bytes, stub: RegistryStub) -> None:
    with pytest.raises(DeadLetter, match="unknown_schema: the header __value_schema_id holds no schema id"):
        read(stub, b"\x02a", in_header(header))


@both
def test_a_guid_that_the_registry_does_not_have_is_a_dead_letter(read: Read, stub: RegistryStub) -> None:
    with pytest.raises(DeadLetter, match=f"unknown_schema: the registry has no schema {GUID}"):
        read(stub, b"\x02a", in_header(b"\x01" + GUID.bytes))


@pytest.mark.parametrize("body", ["<html>", '{"error_code": 404, "message": "HTTP 404 Not Found"}'])
def test_a_registry_that_has_no_guids_is_an_outage(body: str, stub: RegistryStub) -> None:
    stub.answers[f"/schemas/guids/{GUID}"] = (404, body)
    with pytest.raises(Unavailable, match="it may not have GUIDs yet"):
        by_decoder(stub, b"\x02a", in_header(b"\x01" + GUID.bytes))


@pytest.mark.parametrize("topic", ["shop", "other"])
def test_the_worker_looks_at_the_headers_of_all_topics(topic: str, stub: RegistryStub) -> None:
    schema = record("shop.Order")
    stub.answers[f"/schemas/guids/{GUID}"] = (200, json.dumps({"schema": json.dumps(schema)}))
    message = Message(
        topic=topic,
        partition=0,
        offset=0,
        value=written(schema, ENVELOPE),
        headers=list(in_header(b"\x01" + GUID.bytes)),
        timestamp=(1, NOON_MS),
    )
    lookup = RegistryClient(stub.url).lookup
    mapped = MappedTopics(compile_mappings(mappings_in(MAPPING, "m.yaml"), None), lookup)
    matcher = Matcher(ModelDefinition(model="m", version=1, rules={"order": Rule(event="shop.order", points=1)}))
    config = load_config({"LEADSCORE_SOURCE_TOPICS": topic})
    work = Work(config, Decoder(lookup), matcher, {(topic, 0): Source(topic, "", 0)}, mapped)
    work.take([message])
    assert work.dead == []
    assert [award.lead_id for awards in work.awards.values() for award in awards] == ["L1"]


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("apicurio.value.globalId", "the schema id seems to be in the header apicurio.value.globalId"),
        ("schema-id", "the schema id seems to be in the header schema-id"),
        ("apicurio.key.globalId", "expected Confluent framing, Avro single-object"),
        ("__key_schema_id", "expected Confluent framing, Avro single-object"),
    ],
)
@both
def test_ids_in_the_headers_of_others_are_named(read: Read, name: str, detail: str, stub: RegistryStub) -> None:
    with pytest.raises(DeadLetter) as caught:
        read(stub, b"\x08abc", [(name, b"1")])
    assert caught.value.detail.startswith(detail)


@both
def test_the_framing_of_glue_is_named(read: Read, stub: RegistryStub) -> None:
    with pytest.raises(DeadLetter, match="the framing of the AWS Glue registry, which is not read"):
        read(stub, b"\x03\x00" + GUID.bytes + b"abc", None)


# JSON Schema, Protobuf


@both
@pytest.mark.parametrize("is_in_header", [False, True])
def test_json_schema_is_read_as_json(read: Read, is_in_header: bool, stub: RegistryStub) -> None:
    stub.put_schema(4, '{"type": "object"}', schemaType="JSON", references=[{"name": "other.json"}])
    text = json.dumps({**ENVELOPE, "plan": "pro"}).encode()
    value, headers = (text, in_header(b"\x00\x00\x00\x00\x04")) if is_in_header else (framed(4, text), None)
    assert read(stub, value, headers).fields == {"plan": "pro"}


@both
def test_protobuf_is_refused_by_name_with_what_to_do(read: Read, stub: RegistryStub) -> None:
    answer = json.dumps({"schema": 'syntax = "proto3";', "schemaType": "PROTOBUF", "references": [{"name": "a.proto"}]})
    stub.answers["/schemas/ids/4"] = stub.answers[f"/schemas/guids/{GUID}"] = (200, answer)
    for value, headers in ((framed(4, b"\x00abc"), None), (b"abc", in_header(b"\x01" + GUID.bytes + b"\x00"))):
        with pytest.raises(
            DeadLetter, match="a Protobuf schema, which is not read: expected Avro or JSON Schema; have"
        ):
            read(stub, value, headers)


# Times without a zone


@pytest.mark.parametrize("logical", ["date", "local-timestamp-millis", "local-timestamp-micros"])
def test_a_time_without_a_zone_is_refused_with_what_to_do(logical: str, stub: RegistryStub) -> None:
    schema = record("shop.Order")
    kind = {"type": "int" if logical == "date" else "long", "logicalType": logical}
    schema["fields"][-1]["type"] = ["null", kind]
    stub.put_schema(1, json.dumps(schema))
    with pytest.raises(DeadLetter, match=f"schema id 1: occurred_at is a {logical}, no instant without a"):
        by_decoder(stub, framed(1, b""))
