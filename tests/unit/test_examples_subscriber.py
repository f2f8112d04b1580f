"""examples/subscriber.py: calls of an API, values in every format, and waits."""

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Event

import fastavro
import pytest

from leadscore.events.crossing_avro import crossing_avro
from leadscore.events.local_schemas import parsed_schema, schema_texts, single_object_header
from leadscore.pipeline.score.publishing import RegisteredSchema, avro_encoding, json_encoding
from subscriber import Api, Decoder, Refused, Unavailable, seconds
from tests.http_stand_in import Crm
from tests.unit.registry_stub import registry_stub
from tests.unit.sample_crossing import CROSSING

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = str(ROOT / "schemas")


@pytest.fixture
def crm() -> Iterator[Crm]:
    crm = Crm()
    with crm.listening():
        yield crm


def test_a_crossing_is_the_same_in_every_format() -> None:
    with registry_stub() as registry:
        registry.put_schema(7, schema_texts()["crossing"])
        decoder = Decoder("crossing", SCHEMAS, registry.url)
        encodings = (avro_encoding(None), avro_encoding(RegisteredSchema(7, "urn:x")), json_encoding())
        records = [decoder.decode(encoding.encode(CROSSING)) for encoding in encodings]
    assert records[0] == records[1] == records[2]
    assert records[0]["decided_at"] == datetime(2026, 1, 5, 10, 0, 1, 456_000, tzinfo=UTC)


@pytest.mark.parametrize("version", [name for name in schema_texts() if name.partition(".")[0] == "crossing"])
def test_a_crossing_of_an_earlier_version_is_read(version: str) -> None:
    example = json.loads((ROOT / "schemas" / "examples" / "crossing.json").read_text())[0]
    body = io.BytesIO()
    fastavro.schemaless_writer(body, parsed_schema(version), example)
    record = Decoder("crossing", SCHEMAS).decode(single_object_header(version) + body.getvalue())
    assert record["id"] == example["id"]


def test_symbols_and_fields_that_are_newer_are_accepted() -> None:
    newer = json.loads(json_encoding().encode(CROSSING)) | {"cause": "MOON", "direction": "SIDEWAYS", "more": 1}
    record = Decoder("crossing", SCHEMAS).decode(json.dumps(newer).encode())
    assert (record["cause"], record["direction"]) == ("UNKNOWN", "UNKNOWN")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        b"{",
        b"[]",
        b"{}",
        b'{"decided_at": 5}',
        json_encoding().encode(CROSSING).replace(b'"L1"', b"5"),
        avro_encoding(None).encode(CROSSING)[:40],
        single_object_header("crossing"),
    ],
)
def test_what_is_no_crossing_is_refused(value: bytes) -> None:
    with pytest.raises(Refused):
        Decoder("crossing", SCHEMAS).decode(value)


def test_every_cut_of_a_value_is_refused() -> None:
    decoder = Decoder("crossing", SCHEMAS)
    body = crossing_avro(CROSSING)
    for length in range(len(body)):
        with pytest.raises(Refused):
            decoder.decode(single_object_header("crossing") + body[:length])


@pytest.mark.parametrize("value", [b"\xc3\x01" + bytes(8) + b"x", b"\x00\x00\x00\x00\x07x"])
def test_a_schema_that_is_not_there_ends_the_program(value: bytes) -> None:
    with pytest.raises(SystemExit, match=r"expected th(ose of the leadscore that writes|e registry)"):
        Decoder("crossing", SCHEMAS).decode(value)


def test_a_folder_without_the_schema_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"leadscore schemas print crossing > .*crossing\.avsc"):
        Decoder("crossing", str(tmp_path))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_what_may_pass_is_unavailable_for_as_long_as_the_api_says(crm: Crm, status: int) -> None:
    crm.refuse("GET", status, retry_after="7")
    with pytest.raises(Unavailable, match=f"status {status}") as failure:
        Api(crm.url).call("GET", "/contacts/a")
    assert failure.value.wait_s == 7


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_what_the_api_refuses_is_refused(crm: Crm, status: int) -> None:
    crm.refuse("GET", status)
    with pytest.raises(Refused, match=f"status {status}"):
        Api(crm.url).call("GET", "/contacts")


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403])
def test_a_wrong_address_or_token_ends_the_program(crm: Crm, status: int) -> None:
    crm.refuse("POST", status)
    with pytest.raises(SystemExit, match=f"status {status}"):
        Api(crm.url).call("POST", "/tasks", {"external_id": "x"})
    assert crm.tasks == {}


def test_an_answer_that_never_comes_is_unavailable(crm: Crm) -> None:
    crm.cut_after("PUT")
    with pytest.raises(Unavailable):
        Api(crm.url).call("PUT", "/contacts/a", {"score": 5})
    assert crm.contacts["a"]["score"] == 5  # it was done all the same


def test_an_api_that_is_slow_is_unavailable(crm: Crm) -> None:
    answered = Event()
    crm.cut_after("GET", answered.wait)
    try:
        with pytest.raises(Unavailable, match="timed out"):
            Api(crm.url, timeout_s=0.05).call("GET", "/contacts")
    finally:
        answered.set()


def test_retry_after_is_a_number_or_a_date() -> None:
    assert seconds("12") == 12
    assert seconds(format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)) == pytest.approx(300, abs=30)
    assert seconds(format_datetime(datetime.now(UTC) - timedelta(minutes=5), usegmt=True)) == 0
    assert [seconds(text) for text in ("", "soon", "-5", "1.5")] == [0, 0, 0, 0]


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(SystemExit, match=r"the address of the API: .*: expected one with http"):
        Api("crm.example/api")


def test_a_token_is_sent_where_there_is_one(crm: Crm) -> None:
    Api(crm.url, "a-token").call("GET", "/contacts")
    Api(crm.url).call("GET", "/contacts")
    assert [request.authorization for request in crm.requests] == ["Bearer a-token", None]
