"""``leadscore map --from-kafka``: the newest records of a real topic, read as the worker would, and no group left."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import fastavro
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from leadscore.cli.main import main
from leadscore.pipeline.kafka.records import Headers
from tests.servers import KafkaServer
from tests.unit.registry_stub import registry_stub

NOON_MS = 1_767_268_800_000
SCHEMA = {
    "type": "record",
    "name": "Visit",
    "fields": [{"name": "id", "type": "string"}, {"name": "who", "type": "string"}, {"name": "at", "type": "long"}],
}
MAPPING = """
{topic}:
  lead_id: who
  event_id: id
  type: shop.visit
  occurred_at: at
  fields: {{source: $headers.source}}
"""


def framed(record: dict[str, object]) -> bytes:
    buffer = io.BytesIO(b"\x00\x00\x00\x00\x07")
    buffer.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(SCHEMA), record)
    return buffer.getvalue()


def test_the_newest_records_are_mapped_and_nothing_is_left_behind(
    kafka: KafkaServer,
    new_topic: Callable[..., str],
    fresh_name: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    topic, group = new_topic("shop", partitions=2), fresh_name("map")
    (tmp_path / "mappings.yaml").write_text(MAPPING.format(topic=topic))
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for number in range(10):
        record = {"id": f"e{number}", "who": f"L{number}", "at": NOON_MS}
        value = framed(record) if number == 9 else json.dumps(record).encode()
        headers: Headers = [("source", b"web")]
        producer.produce(topic, value, partition=number % 2, timestamp=NOON_MS + number, headers=headers)
    producer.produce(topic, b'{"id": "e10"}', partition=0, timestamp=NOON_MS + 10)
    assert producer.flush(30) == 0

    monkeypatch.setenv("LEADSCORE_KAFKA__BOOTSTRAP_SERVERS", kafka.bootstrap)
    monkeypatch.setenv("LEADSCORE_GROUP", group)
    monkeypatch.setenv("LEADSCORE_MAPPINGS", str(tmp_path / "mappings.yaml"))
    with registry_stub() as registry:
        registry.put_schema(7, json.dumps(SCHEMA))
        monkeypatch.setenv("LEADSCORE_SCHEMA_REGISTRY_URL", registry.url)
        assert main(["map", "--from-kafka", "--newest", "4"]) == 1
    said = capsys.readouterr()
    events = [json.loads(line) for line in said.out.splitlines()]
    assert [(event["event_id"], event["source"]) for event in events] == [(f"e{number}", "web") for number in (7, 8, 9)]
    problem, summary, reasons = said.err.splitlines()
    assert problem.startswith(f"{topic}/0/5: missing_field: ")
    assert summary == "4 records: 3 gave events (75 %), 0 ignored (0 %), 1 dead letters (25 %)"
    assert reasons == "  1 x missing_field"

    # Everything but the framed record is right without a registry; without records there is nothing wrong.
    monkeypatch.delenv("LEADSCORE_SCHEMA_REGISTRY_URL")
    assert main(["map", "--from-kafka"]) == 1
    assert capsys.readouterr().err.splitlines()[-3].startswith("11 records: 9 gave events (82 %)")
    groups = AdminClient({"bootstrap.servers": kafka.bootstrap}).list_consumer_groups().result(timeout=30).valid
    assert not [listed.group_id for listed in groups if listed.group_id.startswith(group)]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--from-kafka", "records.jsonl"], "--from-kafka: expected it without RECORDS, --kcat and --received-at"),
        (["--from-kafka"], "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS: not set"),
        (["--newest", "3"], "--newest: expected it with --from-kafka"),
    ],
)
def test_what_has_no_meaning_together_is_refused(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LEADSCORE_KAFKA__BOOTSTRAP_SERVERS", raising=False)
    assert main(["map", *arguments]) == 2
    assert complaint in capsys.readouterr().err
