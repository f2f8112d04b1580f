"""Crossings and latest scores are CloudEvents to the CNCF's SDK for Python; for JavaScript, see tests/integration."""

import json
from datetime import UTC, datetime

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from leadscore.pipeline.kafka.records import OutputRecord
from tests.sample_outputs import EVENTS


@pytest.mark.parametrize("record", EVENTS.values(), ids=EVENTS)
def test_the_sdk_reads_what_is_published(record: OutputRecord) -> None:
    headers = {name: str(value).encode() for name, value in record.headers}
    assert record.value is not None
    event = from_binary(KafkaMessage(headers, record.key, record.value), JSONFormat())
    attributes = event.get_attributes()
    expected = {name.removeprefix("ce_"): str(value) for name, value in record.headers}
    expected["datacontenttype"] = expected.pop("content-type")
    at = datetime(2026, 1, 5, 10, 0, 0, 123_000, tzinfo=UTC)
    assert attributes == expected | {"time": at, "partitionkey": "L1"}
    is_json = attributes["datacontenttype"] == "application/json"
    assert event.get_data() == (json.loads(record.value) if is_json else record.value)
