"""The client of the schema registry: what is an answer, what is an outage, and what is asked again."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from leadscore.errors import ConfigError, DeadLetter, DeadLetterReason, Unavailable
from leadscore.events.decoder import Decoder
from leadscore.events.encoding import encode_confluent
from leadscore.events.local_schemas import schema_texts
from leadscore.events.registry import MAX_ANSWER_BYTES, UNKNOWN_ID_REMEMBERED_S, RegistryClient
from tests.garbage import batches_left_by
from tests.unit.registry_stub import RegistryStub, registry_stub

RECORD: dict[str, object] = {"event_id": "e1", "lead_id": "L1", "occurred_at": 1000, "type": "CLICK"}


class Clock:
    """Seconds that go on when the test says so."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def stub() -> Iterator[RegistryStub]:
    with registry_stub() as stub:
        yield stub


def unavailable(client: RegistryClient) -> str:
    with pytest.raises(Unavailable) as caught:
        client.lookup(1)
    assert caught.value.service == "schema_registry"
    return caught.value.kind


def test_a_registered_schema_decodes_the_values_written_with_it(stub: RegistryStub) -> None:
    stub.put_schema(42, schema_texts()["email_event"])
    decoder = Decoder(lookup=RegistryClient(stub.url).lookup)
    for _ in range(3):
        assert decoder.decode("topic", encode_confluent(42, "email_event", RECORD)).type == "email.click"
    assert stub.requests == [("GET", "/schemas/ids/42", None)]


def test_credentials_are_sent_as_basic_authentication(stub: RegistryStub) -> None:
    stub.put_schema(1, "{}")
    RegistryClient(stub.url + "/", ("user", "pass:word")).lookup(1)
    assert stub.requests == [("GET", "/schemas/ids/1", "Basic dXNlcjpwYXNzOndvcmQ=")]


def test_an_answer_that_is_no_schema_keeps_nothing_of_the_batch(stub: RegistryStub) -> None:
    client = RegistryClient(stub.url)

    def look_up() -> None:
        with suppress(DeadLetter):
            client.lookup(1)

    assert batches_left_by(look_up) == []
    assert len(stub.requests) == 1


def test_an_id_the_registry_does_not_know_is_a_dead_letter_and_asked_again_after_a_moment(stub: RegistryStub) -> None:
    clock = Clock()
    client = RegistryClient(stub.url, clock=clock)
    for _ in range(3):
        with pytest.raises(DeadLetter) as caught:
            client.lookup(1)
        assert caught.value.reason is DeadLetterReason.UNKNOWN_SCHEMA
    assert len(stub.requests) == 1
    stub.put_schema(1, '"int"')
    clock.now_s += UNKNOWN_ID_REMEMBERED_S - 0.1
    with pytest.raises(DeadLetter):
        client.lookup(1)
    clock.now_s += 0.1
    assert client.lookup(1)["schema"] == '"int"'
    assert len(stub.requests) == 2


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, "<html>no such page</html>", "bad_answer"),
        (404, '{"message": "no such page"}', "bad_answer"),
        (404, "[]", "bad_answer"),
        (401, '{"error_code": 401}', "unauthorized"),
        (403, "", "unauthorized"),
        (429, "", "overloaded"),
        (500, '{"error_code": 50001}', "server_error"),
        (503, "", "server_error"),
        (200, "<html>hello</html>", "bad_answer"),
        (200, '{"id": 1}', "bad_answer"),
        (200, "[" * 100_000, "bad_answer"),
        (200, json.dumps({"schema": "x" * MAX_ANSWER_BYTES}), "bad_answer"),
    ],
)
def test_what_is_no_answer_is_an_outage(stub: RegistryStub, status: int, body: str, kind: str) -> None:
    stub.answers["/schemas/ids/1"] = (status, body)
    assert unavailable(RegistryClient(stub.url)) == kind


def test_a_registry_that_does_not_answer_is_an_outage_within_the_timeout(stub: RegistryStub) -> None:
    stub.hang = True
    assert unavailable(RegistryClient(stub.url, timeout_s=0.2)) == "timeout"  # without one it would never end


def test_an_answer_that_drips_is_an_outage_when_its_time_is_over(stub: RegistryStub) -> None:
    stub.put_schema(1, "{}")
    ticks = iter([0.0, 6.0])
    assert unavailable(RegistryClient(stub.url, timeout_s=5.0, clock=lambda: next(ticks))) == "timeout"


def test_a_registry_that_is_not_there_is_an_outage() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert unavailable(RegistryClient(f"http://127.0.0.1:{port}")) == "connection"


@pytest.mark.parametrize("url", ["", "localhost:8081", "file:///etc/passwd", "ftp://host"])
def test_an_address_that_is_not_http_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="expected an address that begins with http:// or https://"):
        RegistryClient(url)


def test_registering_posts_the_schema_and_returns_its_id(stub: RegistryStub) -> None:
    stub.answers["/subjects/a%2Fb-value/versions"] = (200, '{"id": 7}')
    assert RegistryClient(stub.url).register("a/b-value", '"int"') == 7
    assert stub.requests == [("POST", "/subjects/a%2Fb-value/versions", None)]
    assert json.loads(stub.bodies[0]) == {"schema": '"int"', "schemaType": "AVRO"}


@pytest.mark.parametrize(
    ("status", "expected"), [(409, "compatible with its earlier versions"), (422, "a valid schema")]
)
def test_a_schema_that_may_not_be_registered_is_the_callers_mistake(
    stub: RegistryStub, status: int, expected: str
) -> None:
    stub.answers["/subjects/s/versions"] = (status, "{}")
    with pytest.raises(ConfigError, match=f"subject s: the schema is refused: expected .*{expected}"):
        RegistryClient(stub.url).register("s", '"int"')


VERSIONS = "/subjects/leadscore.crossings-value/versions"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_registration_is_reported_with_what_was_tried_and_what_to_do(stub: RegistryStub, status: int) -> None:
    stub.answers[VERSIONS] = (status, "{}")
    with pytest.raises(Unavailable) as caught:
        RegistryClient(stub.url).schema_id("leadscore.crossings-value", schema_texts()["crossing"], register=True)
    assert caught.value.kind == "unauthorized"
    assert f"HTTP status {status} when registering the schema of subject leadscore.crossings-value" in str(caught.value)
    assert "LEADSCORE_SCHEMA_REGISTRY_REGISTER=false" in str(caught.value)


def put_version(stub: RegistryStub, version: int, schema_id: int, schema: str, *, path: str = "") -> None:
    answer = {"id": schema_id, "version": version, "schema": schema}
    stub.answers[f"{VERSIONS}/{path or version}"] = (200, json.dumps(answer))


def look_up(stub: RegistryStub) -> int:
    return RegistryClient(stub.url).schema_id("leadscore.crossings-value", schema_texts()["crossing"], register=False)


def test_an_id_is_looked_up_without_writing(stub: RegistryStub) -> None:
    newer = schema_texts()["crossing"].replace('"name": "stale"', '"name": "stale_later"')
    ours = json.dumps(json.loads(schema_texts()["crossing"]) | {"doc": "registered with another documentation"})
    put_version(stub, 4, 40, newer, path="latest")  # version 3 was deleted
    put_version(stub, 2, 20, ours)
    put_version(stub, 1, 10, schema_texts()["crossing.1"])

    assert look_up(stub) == 20
    assert [method for method, _, _ in stub.requests] == ["GET", "GET", "GET"]


def test_a_schema_that_was_never_registered_is_the_operators_mistake(stub: RegistryStub) -> None:
    with pytest.raises(ConfigError, match=r"subject leadscore\.crossings-value: no version of it is the schema"):
        look_up(stub)
    put_version(stub, 1, 10, "no schema", path="latest")
    with pytest.raises(ConfigError, match=r"subject leadscore\.crossings-value: no version of it is the schema"):
        look_up(stub)


def test_a_schema_of_before_is_found_whatever_was_registered_since(stub: RegistryStub) -> None:
    put_version(stub, 2, 20, schema_texts()["crossing"], path="latest")
    put_version(stub, 1, 10, schema_texts()["crossing.1"])
    registry = RegistryClient(stub.url)
    assert registry.find("leadscore.crossings-value", schema_texts()["crossing.1"]) == 10
    assert registry.find("leadscore.crossings-value", schema_texts()["crossing.2"]) is None


def test_a_registry_that_does_not_answer_a_look_up_is_an_outage(stub: RegistryStub) -> None:
    stub.answers[f"{VERSIONS}/latest"] = (500, "")
    with pytest.raises(Unavailable):
        look_up(stub)


@pytest.mark.parametrize(
    ("address", "uri"),
    [
        ("http://registry:8081", "http://registry:8081/schemas/ids/7"),
        ("https://user:p%40ss@registry.example/base/", "https://registry.example/base/schemas/ids/7"),
        ("https://[::1]:8081?token=secret", "https://[::1]:8081/schemas/ids/7"),
    ],
)
def test_the_uri_of_a_schema_is_absolute_and_has_no_secret(address: str, uri: str) -> None:
    assert RegistryClient(address).schema_uri(7) == uri
    assert urlsplit(uri).scheme
    assert urlsplit(uri).netloc


def test_an_outage_while_registering_is_an_outage(stub: RegistryStub) -> None:
    stub.answers["/subjects/s/versions"] = (500, "")
    with pytest.raises(Unavailable):
        RegistryClient(stub.url).register("s", '"int"')
