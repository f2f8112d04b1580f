"""``leadscore produce``: its options, the bytes it sends, and a whole run against librdkafka's own mock broker."""

import argparse
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import fastavro
import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Consumer, Message, Producer, TopicPartition

from leadscore.cli import produce
from leadscore.cli.main import main
from leadscore.demo import sender as sender_module
from leadscore.demo.sender import Sender, topics_by_role
from leadscore.demo.traffic import GeneratedEvent, TrafficPlan, generate
from leadscore.errors import ConfigError, DeadLetter, DeadLetterReason, EventsFileError, InputError
from leadscore.events.decoder import Decoder
from leadscore.events.event import Event, FieldValue
from leadscore.events.event_bytes import avro_bytes, avro_record, json_bytes
from leadscore.events.json_lines import read_line
from leadscore.ops.config import Config, load_config
from leadscore.time_units import DAY_MS

SCHEMAS = Path(__file__).parents[2] / "schemas"
BROKER = "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS"
NOWHERE = {BROKER: "127.0.0.1:1"}


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    produce.add_parser(parser.add_subparsers())
    return parser.parse_args(["produce", *words])


def event(event_type: str = "website.page_view", **fields: FieldValue) -> Event:
    return Event(event_type, "e1", "L1", 1_767_607_200_000, fields)


def config(**changes: str) -> Config:
    return load_config(NOWHERE | changes)


@pytest.fixture
def broker() -> Iterator[str]:
    """A broker inside this process; it answers as long as its producer lives."""
    owner = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    addresses = [f"{broker.host}:{broker.port}" for broker in owner.list_topics(timeout=10).brokers.values()]
    yield addresses[0]
    owner.flush(1)


def consumed(broker: str, topics: list[str], number: int) -> list[Message]:
    """This many records of the topics' four partitions each (the mock's number)."""
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, partition, 0) for topic in topics for partition in range(4)])
    messages: list[Message] = []
    deadline_s = time.monotonic() + 20
    while len(messages) < number and time.monotonic() < deadline_s:
        messages += consumer.consume(number, timeout=0.5)
    consumer.close()
    assert not [message.error() for message in messages if message.error()]
    return messages


def test_an_event_becomes_a_record_of_its_schema() -> None:
    viewed = event(path="/pricing", campaign="spring", pages=3, theme="dark")
    name_and_record = avro_record(viewed)
    assert name_and_record is not None
    schema_name, record = name_and_record
    assert schema_name == "website_event"
    assert (record["type"], record["path"], record["pages"]) == ("PAGE_VIEW", "/pricing", 3)
    assert record["fields"] == {"theme": "dark"}
    assert record["form"] is None


@pytest.mark.parametrize(
    ("schema_name", "sent"),
    [
        ("website_event", event("website.form_submitted", form="whitepaper", asset="wp", pages=2, campaign="c")),
        ("email_event", event("email.click", asset="mail-1", campaign="c")),
        ("webinar_event", event("webinar.watched_on_demand", asset="webinar-1")),
        (
            "lead_profile",
            Event("profile.updated", "e1", "L1", 1, {}, {"role": "ceo", "company_size": 250, "age": None}),
        ),
        ("lead_command", event("command.adjust", points=10, reason="met at the fair")),
    ],
)
def test_avro_bytes_are_read_back_by_another_avro_library(schema_name: str, sent: Event) -> None:
    value = avro_bytes(sent)
    assert value is not None
    assert value[:2] == b"\xc3\x01"
    schema = fastavro.parse_schema(json.loads((SCHEMAS / f"{schema_name}.avsc").read_text()))
    record = fastavro.schemaless_reader(io.BytesIO(value[10:]), schema, None)
    assert isinstance(record, dict)
    assert record["event_id"] == sent.event_id
    assert record["type"].lower() == sent.type.partition(".")[2]
    assert {name: record[name] for name in sent.fields} == sent.fields
    if sent.attributes is not None:
        assert record["attributes"] == sent.attributes


@pytest.mark.parametrize(
    "sent",
    [
        event("meeting.booked"),
        event("website.invented_since"),
        event("website.UNKNOWN"),
        event("website.unknown"),
        event("website.Page_View"),
        event(dwell_s=12),
        event(path=7),
        event(pages=True),
        event("profile.updated"),
        event("profile.updated", path="/"),
        event("command.adjust", points=10, colour="red"),
    ],
)
def test_what_no_schema_can_hold_unchanged_is_not_squeezed_into_avro(sent: Event) -> None:
    assert avro_bytes(sent) is None


def test_all_invented_traffic_is_decoded_as_it_was_made() -> None:
    decoder = Decoder()
    end_ms = 1_767_607_200_000
    plan = TrafficPlan(start_ms=end_ms - 30 * DAY_MS, end_ms=end_ms, leads=100)
    for record in generate(Random(1), plan):
        sent = record.content
        assert isinstance(sent, Event)
        values = (
            [json_bytes(sent)]
            if sent.type.startswith(("app.", "meeting.", "social."))
            else [json_bytes(sent), avro_bytes(sent)]
        )
        assert [decoder.decode("topic", value) for value in values] == [sent] * len(values)


def test_garbage_is_never_decoded_and_has_many_reasons() -> None:
    decoder = Decoder()
    reasons: set[DeadLetterReason] = set()
    end_ms = 1_767_607_200_000
    plan = TrafficPlan(start_ms=end_ms - 30 * DAY_MS, end_ms=end_ms, events=2_000, garbage=0.4)
    garbage = [record.content for record in generate(Random(1), plan) if isinstance(record.content, bytes)]
    for value in garbage:
        with pytest.raises(DeadLetter) as letter:
            decoder.decode("topic", value)
        reasons.add(letter.value.reason)
    assert len(garbage) == 800
    assert len(reasons) >= 5


def test_json_bytes_are_the_lines_that_simulate_reads() -> None:
    sent = Event("profile.updated", "e1", "L1", 1_767_607_200_123, {"campaign": "c", "pages": 2}, {"role": None})
    line = json_bytes(sent)
    assert b"\n" not in line
    assert read_line(line.decode()) == (sent, None)


def test_printed_traffic_can_be_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert produce.run(arguments("--events", "200", "--seed", "3", "--print")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 200
    assert all(read_line(line)[1] is None for line in lines)


def test_the_same_seed_and_end_print_the_same_traffic(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--leads", "20", "--seed", "3", "--until", "2026-01-05T10:00:00Z", "--print")
    produce.run(arguments(*words))
    first = capsys.readouterr()
    produce.run(arguments(*words))
    assert capsys.readouterr().out == first.out != ""
    assert first.err == ""


def test_a_drawn_seed_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    produce.run(arguments("--events", "5", "--print"))
    assert capsys.readouterr().err.startswith("seed ")


def test_without_numbers_three_hundred_leads_live_thirty_days() -> None:
    plan = produce.traffic_plan(arguments("--until", "2026-01-05T10:00:00Z"))
    assert (plan.leads, plan.events, plan.duplicates, plan.garbage) == (300, None, 0.01, 0.0)
    assert plan.end_ms == 1_767_607_200_000
    assert plan.end_ms - plan.start_ms == 30 * DAY_MS


@pytest.mark.parametrize(
    "words",
    [
        ("--events", "0"),
        ("--events", "many"),
        ("--leads", "-1"),
        ("--leads", "1000001"),
        ("--days", "3651"),
        ("--seed", "abc"),
        ("--until", "1767607200"),
        ("--duplicates", "0.5"),
        ("--garbage", "nan"),
        ("--rate", "-1"),
        ("--rate", "inf"),
        ("--until", "2026-01-05T10:00:00"),
        ("--until", "soon"),
        ("--format", "xml"),
    ],
)
def test_a_wrong_option_names_the_value_and_what_was_expected(
    words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        arguments(*words)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert words[0] in message
    assert f"'{words[1]}'" in message


@pytest.mark.parametrize("words", [("--file", "f", "--leads", "3"), ("--print", "--garbage", "0.1")])
def test_options_that_contradict_each_other_are_an_error(words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="expected it without"):
        produce.run(arguments(*words))


def test_a_missing_broker_is_an_error_that_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BROKER, raising=False)
    with pytest.raises(ConfigError, match=BROKER):
        produce.run(arguments("--events", "1"))


def test_topics_are_found_by_how_their_names_end() -> None:
    topics = topics_by_role(
        config(LEADSCORE_SOURCE_TOPICS="acme.profiles,acme-email,crm.webinar,website", LEADSCORE_COMMAND_TOPIC="orders")
    )
    assert topics == {
        "website": "website",
        "email": "acme-email",
        "webinar": "crm.webinar",
        "profiles": "acme.profiles",
        "commands": "orders",
    }


@pytest.mark.parametrize("topics", ["web,email,webinar,profiles", "a.website,b.website,email,webinar,profiles"])
def test_source_topics_without_exactly_one_for_a_role_are_an_error(topics: str) -> None:
    with pytest.raises(ConfigError, match="'website'"):
        topics_by_role(config(LEADSCORE_SOURCE_TOPICS=topics))


def test_a_property_that_librdkafka_refuses_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"no\.such\.thing"):
        Sender(config(LEADSCORE_KAFKA__NO_SUCH_THING="1"), "avro")


def test_a_record_that_cannot_be_delivered_makes_the_command_fail() -> None:
    sender = Sender(config(), "avro")
    sender.send([GeneratedEvent("email", 1, b"x" * 2_000_000)], 0, time.monotonic)
    out, errors = io.StringIO(), io.StringIO()
    assert sender.report(out, errors) == 1
    assert out.getvalue().startswith("0 of 1 records delivered")
    assert errors.getvalue().startswith("1 records not delivered: leadscore.email: ")


def test_a_broker_that_does_not_answer_makes_the_command_fail_and_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(BROKER, NOWHERE[BROKER])
    monkeypatch.setattr(sender_module, "ANSWER_TIMEOUT_S", 0.5)
    assert main(["produce", "--events", "10", "--seed", "1"]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("leadscore: kafka is unavailable (connection): no broker answers: 127.0.0.1:1")
    assert line.endswith(f" ({BROKER} is '127.0.0.1:1')")


def test_a_missing_topic_is_an_error_that_says_what_to_do(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "CREATION_TIMEOUT_S", 0)
    nothing_by_itself = config(**{BROKER: broker, "LEADSCORE_KAFKA__ALLOW_AUTO_CREATE_TOPICS": "false"})
    with pytest.raises(ConfigError, match=r"'leadscore\.commands' is not on the broker: `leadscore topics create`"):
        Sender(nothing_by_itself, "avro").check_topics()


def test_a_run_delivers_every_record_with_the_time_it_occurred(
    broker: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(BROKER, broker)
    words = (
        "--events",
        "400",
        "--seed",
        "5",
        "--until",
        "2026-01-05T10:00:00Z",
        "--format",
        "json",
        "--garbage",
        "0.02",
    )
    assert produce.run(arguments(*words)) == 0
    assert capsys.readouterr().out.startswith("400 of 400 records delivered")
    topics = [f"leadscore.{role}" for role in ("website", "email", "webinar", "profiles")]
    messages = consumed(broker, topics, 400)
    assert len(messages) == 400
    ends_ms = 1_767_607_200_000
    for message in messages:
        kind, timestamp_ms = message.timestamp()
        assert kind == TIMESTAMP_CREATE_TIME
        assert ends_ms - 30 * DAY_MS <= timestamp_ms < ends_ms
    assert {message.key() for message in messages if message.topic() == "leadscore.website"} == {None}


def test_the_events_of_a_file_go_to_the_topics_of_their_types(
    broker: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(BROKER, broker)
    clicked, booked = event("email.click", asset="m"), event("meeting.booked")
    received = json_bytes(clicked)[:-1] + b',"received_at":1767607260000}'
    path = tmp_path / "events.jsonl"
    path.write_bytes(received + b"\n\n" + json_bytes(booked) + b"\n")
    assert produce.run(arguments("--file", str(path))) == 0
    mail, website = sorted(
        consumed(broker, ["leadscore.email", "leadscore.website"], 2), key=lambda message: str(message.topic())
    )
    assert mail.value() == avro_bytes(clicked)
    assert mail.timestamp()[1] == 1_767_607_260_000
    assert website.value() == json_bytes(booked)
    assert website.timestamp()[1] == booked.occurred_at_ms


def test_a_bad_line_of_a_file_sends_nothing_and_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(json_bytes(event()) + b"\n{\n")
    with pytest.raises(EventsFileError, match=r"events\.jsonl:2"):
        produce.file_records(path)


def test_a_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(InputError, match="nowhere"):
        produce.file_records(Path("nowhere.jsonl"))


def test_a_rate_spreads_the_records_over_time() -> None:
    now_s = 100.0
    waits: list[float] = []

    class Clocked:
        """A producer whose waiting moves the clock."""

        def poll(self, timeout_s: float) -> int:
            nonlocal now_s
            now_s += timeout_s
            waits.append(timeout_s)
            return 0

        def produce(self, *_: object, **__: object) -> None:
            pass

        def flush(self, timeout_s: float) -> int:
            return int(timeout_s * 0)

    sender = Sender(config(), "json")
    sender._producer = Clocked()  # type: ignore[assignment]
    sender.send([GeneratedEvent("email", 1, event())] * 11, 5, lambda: now_s)
    assert now_s == pytest.approx(102.0)
    assert max(waits) == pytest.approx(0.2)
