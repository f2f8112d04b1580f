"""``schemas/asyncapi.yaml`` says of every topic what the code does; that it is AsyncAPI, tests/integration shows."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import yaml

from leadscore import __version__
from leadscore.cli.registering import schema_by_topic
from leadscore.cli.topics import Sizes, expected_topics
from leadscore.errors import DeadLetter, DeadLetterReason
from leadscore.events.local_schemas import schema_texts
from leadscore.events.trace_context import trace_headers
from leadscore.log.records import Trace
from leadscore.ops.config import load_config
from leadscore.pipeline.kafka.records import OutputRecord
from leadscore.pipeline.match.dead_letter_headers import Origin, dead_letter_headers
from leadscore.time_units import DAY_MS
from tests.sample_outputs import CROSSINGS, ERASED, GONE, SCORES

Json = Any  # what YAML holds

DOCUMENT: Json = yaml.safe_load((Path(__file__).parents[2] / "schemas" / "asyncapi.yaml").read_text())
CHANNELS: Json = {channel["address"]: channel for channel in DOCUMENT["channels"].values()}
MESSAGES: Json = DOCUMENT["components"]["messages"]
CONFIG = load_config({"LEADSCORE_SCORES_TOPIC": "leadscore.scores"})
OF_TRACING = ("traceparent", "tracestate")
DEFAULT_SIZES = Sizes(1, 6, 6, 30 * DAY_MS, 90 * DAY_MS, 30 * DAY_MS)


def message_of(channel: Json) -> list[Json]:
    return [MESSAGES[reference["$ref"].rpartition("/")[2]] for reference in channel["messages"].values()]


def schemas_of(channel: Json) -> list[str]:
    references = [message["payload"]["schema"]["$ref"] for message in message_of(channel) if "payload" in message]
    return [reference.removeprefix("./").removesuffix(".avsc") for reference in references]


def test_it_is_of_this_version_and_has_every_topic_in_the_order_of_the_flow() -> None:
    assert DOCUMENT["info"]["version"] == __version__
    assert tuple(CHANNELS) == CONFIG.topics


def test_every_topic_has_the_settings_that_topics_create_gives_it() -> None:
    for topic in expected_topics(CONFIG, DEFAULT_SIZES):
        channel = CHANNELS[topic.name]
        shown = channel["bindings"]["kafka"]["topicConfiguration"] | channel.get("x-settings", {})
        settings = {name: ",".join(one) if isinstance(one, list) else str(one) for name, one in shown.items()}
        assert settings == dict(topic.settings), topic.name


def test_every_topic_has_the_contract_that_is_registered_for_it() -> None:
    assert {topic: schemas_of(channel) for topic, channel in CHANNELS.items() if schemas_of(channel)} == {
        topic: [schema] for topic, schema in schema_by_topic(CONFIG)
    }
    named = {schema for channel in CHANNELS.values() for schema in schemas_of(channel)}
    assert named == {name for name in schema_texts() if "." not in name}


def test_the_worker_receives_what_it_reads_and_sends_what_it_writes() -> None:
    actions: dict[str, set[str]] = {"receive": set(), "send": set()}
    for operation in DOCUMENT["operations"].values():
        channel = operation["channel"]["$ref"].rpartition("/")[2]
        actions[operation["action"]].add(DOCUMENT["channels"][channel]["address"])
    of_both = {CONFIG.log_topic, CONFIG.models_topic}
    assert actions["receive"] == {*CONFIG.input_topics, *of_both}
    assert actions["send"] == {*CONFIG.topics_of_results, CONFIG.dead_letter_topic, *of_both}


@pytest.mark.parametrize(
    ("name", "record"),
    [
        *(("crossing", record) for record in CROSSINGS.values()),
        *(("leadScore", record) for record in SCORES.values()),
        ("leadErased", ERASED),
        ("leadGone", GONE),
    ],
)
def test_records_have_the_headers_that_are_required_and_no_others(name: str, record: OutputRecord) -> None:
    headers, described = {name: str(value) for name, value in record.headers}, MESSAGES[name]["headers"]
    assert list(headers) == described["required"]
    assert [one for one in described["properties"] if one not in OF_TRACING] == described["required"]
    for header, value in headers.items():
        assert is_as_described(value, described["properties"][header]), f"{header}: {value}"
    assert record.key == b"L1"
    assert (record.value is not None) == ("payload" in MESSAGES[name])


def test_a_crossing_of_a_traced_record_has_every_header_of_the_document() -> None:
    trace = Trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=1")
    for record in CROSSINGS.values():
        described = MESSAGES["crossing"]["headers"]["properties"]
        headers = {name: str(value) for name, value in [*record.headers, *trace_headers(trace)]}
        assert list(headers) == list(described)
        assert all(is_as_described(value, described[name]) for name, value in headers.items())


def is_as_described(value: str, schema: Json) -> bool:
    """As far as the document uses JSON Schema."""
    of_format: dict[str, Callable[[str], object]] = {
        "uuid": UUID,
        "uri": lambda text: urlsplit(text).scheme,
        "date-time": lambda text: text.endswith("Z"),
    }
    return (
        value == schema.get("const", value)
        and value in schema.get("enum", [value])
        and re.search(schema.get("pattern", ""), value) is not None
        and bool(of_format.get(schema.get("format"), str)(value))
    )


def test_dead_letters_have_the_headers_of_the_document() -> None:
    origin = Origin("t", 0, 0, "g", "id", 1)
    headers = dead_letter_headers(origin, DeadLetter(DeadLetterReason.EMPTY, "the record has no value"), None)
    described = MESSAGES["deadLetter"]["headers"]
    assert {name for name, _ in headers} == set(described["properties"])
    assert described["properties"]["leadscore.dead_letter.reason"]["enum"] == list(DeadLetterReason)
    without = {
        name for name, _ in dead_letter_headers(Origin("t", 0, 0, "g"), DeadLetter(DeadLetterReason.EMPTY, ""), None)
    }
    assert set(described["required"]) == {name for name in without if name.startswith("leadscore.")}
