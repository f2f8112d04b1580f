"""The contracts as other people's tools read them: AsyncAPI's parser, and the SDK of CloudEvents for JavaScript."""

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from leadscore.events.local_schemas import parsed_schema
from tests.conftest import NEEDS_NODE, asking_for
from tests.node_packages import node_packages
from tests.sample_outputs import ERASED, EVENTS

CONTRACTS = Path(__file__).parents[1] / "contracts"
SCHEMAS = Path(__file__).parents[2] / "schemas"
TIMEOUT_S = 60
NEWER_VERSION_EXISTS = "asyncapi-latest-version"


@pytest.fixture(scope="module")
def node_path() -> dict[str, str]:
    with asking_for(NEEDS_NODE):
        return os.environ | {"NODE_PATH": str(node_packages(CONTRACTS / "package.json"))}


def told_by(script: str, node_path: dict[str, str], *words: str, content: str = "") -> list[Any]:
    """The lines that it prints."""
    command = ["node", str(CONTRACTS / script), *words]
    done = subprocess.run(
        command, input=content, env=node_path, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_document_of_the_topics_is_valid_with_all_that_it_refers_to(node_path: dict[str, str]) -> None:
    [told] = told_by("asyncapi.js", node_path, str(SCHEMAS / "asyncapi.yaml"))
    assert [problem for problem in told["problems"] if problem["code"] != NEWER_VERSION_EXISTS] == []
    fields = {message["id"]: message["fields"] for channel in told["channels"] for message in channel["messages"]}
    assert fields["websiteEvent"] == names("website_event")
    assert fields["crossing"] == names("crossing")
    assert fields["leadScore"] == names("lead_score")


def names(schema: str) -> list[str]:
    fields = parsed_schema(schema)["fields"]
    assert isinstance(fields, list)
    return [field["name"] for field in fields]


def test_the_sdk_of_cloudevents_reads_crossings_and_scores(node_path: dict[str, str]) -> None:
    lines = [
        {
            "key": (record.key or b"").decode(),
            "headers": dict(record.headers),
            "value": base64.b64encode(record.value or b"").decode(),
        }
        for record in EVENTS.values()
    ]
    for line, event in zip(lines, told_by("cloudevents.js", node_path, content=as_lines(lines)), strict=True):
        headers = line["headers"]
        assert isinstance(headers, dict)
        expected = {name.removeprefix("ce_"): value for name, value in headers.items()}
        value = base64.b64decode(str(line["value"]))
        data = json.loads(value) if headers["content-type"] == "application/json" else line["value"]
        content_type = expected.pop("content-type")
        assert event == expected | {"datacontenttype": content_type, "partitionkey": line["key"], "data": data}


def as_lines(values: list[Any]) -> str:
    return "".join(f"{json.dumps(value)}\n" for value in values)


def test_a_tombstone_must_be_looked_for_before_the_sdk_is_asked(node_path: dict[str, str]) -> None:
    """docs/subscribers.md says so."""
    line = {"key": "L1", "headers": dict(ERASED.headers), "value": None}
    assert told_by("cloudevents.js", node_path, content=as_lines([line])) == [{"refused": "Value is null or undefined"}]
