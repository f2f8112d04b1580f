"""The contracts in a real schema registry: whatever was released is understood by whatever else was."""

import json
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from leadscore.cli.main import main
from leadscore.events.local_schemas import schema_texts
from tests.schema_registry_server import SchemaRegistryServer

CONFLICT = 409
HEADERS = {"Content-Type": "application/vnd.schemaregistry.v1+json"}


class Answered(NamedTuple):
    status: int
    body: Any


def ask(registry: SchemaRegistryServer, method: str, path: str, body: object = None) -> Answered:
    content = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(f"{registry.url}/{path}", content, HEADERS, method=method), timeout=30) as answer:
            return Answered(answer.status, json.load(answer))
    except HTTPError as error:
        return Answered(error.code, json.load(error))


@pytest.fixture(scope="module")
def strict(schema_registry: SchemaRegistryServer) -> SchemaRegistryServer:
    """A registry that refuses what is not FULL_TRANSITIVE."""
    set_to = ask(schema_registry, "PUT", "config", {"compatibility": "FULL_TRANSITIVE"})
    assert set_to.status == 200
    return schema_registry


def released() -> dict[str, list[str]]:
    """The texts of every version of each record, oldest first."""
    by_record: dict[str, list[tuple[bool, str, str]]] = {}
    for name, text in schema_texts().items():
        record, dot, number = name.partition(".")
        by_record.setdefault(record, []).append((not dot, number, text))  # the newest has no number
    return {record: [text for *_, text in sorted(versions)] for record, versions in by_record.items()}


@pytest.mark.parametrize("record", sorted(released()))
def test_a_registry_takes_every_version_that_was_released_and_no_change_that_breaks(
    strict: SchemaRegistryServer, record: str
) -> None:
    subject = f"released-{record}/versions"
    for text in released()[record]:
        assert ask(strict, "POST", f"subjects/{subject}", {"schema": text}).status == 200
    assert len(ask(strict, "GET", f"subjects/{subject}").body) == len(released()[record])
    breaking = json.loads(released()[record][-1])
    breaking["fields"].append({"name": "without_a_default", "type": "string"})
    assert ask(strict, "POST", f"subjects/{subject}", {"schema": json.dumps(breaking)}).status == CONFLICT


def test_the_contracts_are_registered_by_a_command_and_are_there_the_second_time(
    strict: SchemaRegistryServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LEADSCORE_SCHEMA_REGISTRY_URL", strict.url)
    monkeypatch.setenv("LEADSCORE_CROSSING_TOPIC", "registered.crossings")
    said = []
    for _ in range(2):
        assert main(["schemas", "register"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    latest = ask(strict, "GET", "subjects/registered.crossings-value/versions/latest").body
    assert json.loads(latest["schema"]) == json.loads(schema_texts()["crossing"])
    assert f"registered.crossings-value: the schema crossing has id {latest['id']}" in said[0]
