"""``leadscore schemas``: every contract of the folder, as it is in its file."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadscore.cli.main import main
from leadscore.events.local_schemas import single_object_header
from tests.unit.registry_stub import RegistryStub, registry_stub

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
FILES = (
    {path.name.removesuffix(".avsc"): path for path in SCHEMAS.glob("*.avsc")}
    | {path.name.removesuffix(".schema.json"): path for path in SCHEMAS.glob("*.schema.json")}
    | {"asyncapi": SCHEMAS / "asyncapi.yaml"}
)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_contract_is_printed_as_it_is_in_its_file(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schemas", "print", name]) == 0
    assert capsys.readouterr().out == FILES[name].read_text()


def test_the_list_has_every_contract_and_the_bytes_before_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schemas", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert {line.split()[0] for line in lines} == FILES.keys()
    assert ["crossing", single_object_header("crossing").hex(), "A", "lead"] in [line.split()[:4] for line in lines]
    earlier = {line.split()[0] for line in lines if " Earlier version: " in line}
    assert earlier == {name for name in FILES if "." in name}


def test_a_name_that_does_not_exist_is_refused_with_those_that_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["schemas", "print", "crossings"])
    assert ended.value.code == 2
    assert "'crossing', 'crossing.1', 'crossing.2', 'crossing.3', 'email_event'" in capsys.readouterr().err


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[RegistryStub]:
    for name in [name for name in os.environ if name.startswith("LEADSCORE_")]:
        monkeypatch.delenv(name)
    with registry_stub() as stub:
        monkeypatch.setenv("LEADSCORE_SCHEMA_REGISTRY_URL", stub.url)
        monkeypatch.setenv("LEADSCORE_SCHEMA_REGISTRY_REGISTER", "false")  # this is for workers
        yield stub


OF_TOPICS = {
    "leadscore.website": "website_event",
    "leadscore.email": "email_event",
    "leadscore.webinar": "webinar_event",
    "leadscore.profiles": "lead_profile",
    "leadscore.commands": "lead_command",
    "leadscore.crossings": "crossing",
}


def test_register_puts_the_contract_of_every_topic_into_the_registry(
    registry: RegistryStub, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, topic in enumerate(OF_TOPICS):
        registry.answers[f"/subjects/{topic}-value/versions"] = (200, json.dumps({"id": number}))
    assert main(["schemas", "register"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{topic}-value: the schema {schema} has id {number}"
        for number, (topic, schema) in enumerate(OF_TOPICS.items())
    ]
    assert [json.loads(body)["schema"] for body in registry.bodies] == [
        FILES[s].read_text() for s in OF_TOPICS.values()
    ]


def test_register_can_say_what_it_would_do_and_only_reads(
    registry: RegistryStub, capsys: pytest.CaptureFixture[str]
) -> None:
    there = json.dumps({"id": 3, "version": 1, "schema": FILES["crossing"].read_text()})
    registry.answers["/subjects/leadscore.crossings-value/versions/latest"] = (200, there)
    for topic in list(OF_TOPICS)[:-1]:
        missing = json.dumps({"error_code": 40401, "message": "Subject not found"})
        registry.answers[f"/subjects/{topic}-value/versions/latest"] = (404, missing)
    assert main(["schemas", "register", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "leadscore.website-value: the schema website_event would be registered"
    assert lines[-1] == "leadscore.crossings-value: the schema crossing is there, with id 3"
    assert {method for method, _, _ in registry.requests} == {"GET"}


def test_register_needs_a_registry(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("LEADSCORE_SCHEMA_REGISTRY_URL", raising=False)
    assert main(["schemas", "register"]) == 2
    assert "LEADSCORE_SCHEMA_REGISTRY_URL: not set" in capsys.readouterr().err


def test_register_says_that_the_registry_refuses_a_schema(
    registry: RegistryStub, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.answers["/subjects/leadscore.website-value/versions"] = (409, "{}")
    assert main(["schemas", "register"]) == 2
    assert "subject leadscore.website-value: the schema is refused" in capsys.readouterr().err
