"""``leadscore log``: what a record of the award log looks like as JSON."""

from pathlib import Path
from typing import cast

import pytest
from confluent_kafka import Message

from leadscore.cli.log import Names, names_of, record_object
from leadscore.cli.main import main
from leadscore.log.records import (
    ADJUST_RULE_ID,
    Absorbed,
    AttributeAward,
    Award,
    Forward,
    Forwards,
    Frame,
    Hop,
    LogRecord,
    RuleAward,
    Source,
    Tick,
    encode,
    position_of,
    stable_id,
)
from leadscore.model.load import load_model

MODEL = """
model: small
version: 3
rules: {visit: {event: website.page_view, points: 40}}
conditions: {student: {when: {attribute: {name: job, in: [student]}}, points: -5}}
fit: {attributes: {role: [{in: [ceo], points: 5}]}}
"""
SOURCES = [Source("web", "idw", 0), Source("mail", "idm", 4)]
WHERE = {"partition": 3, "offset": 17, "timestamp": "2026-01-05T12:00:00.000Z"}


class StoredRecord:
    """As much of a Kafka record as is looked at."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return 17

    def timestamp(self) -> tuple[int, int]:
        return 2, 1_767_614_400_000

    def value(self) -> bytes:
        return self._value


def message(record: LogRecord | bytes) -> Message:
    return cast("Message", StoredRecord(record if isinstance(record, bytes) else encode(record)))


def award(lead_id: str, **changes: object) -> Award:
    fields: dict[str, object] = {"source": 1, "offset": 9, "event_id": "e1", "type": "website.page_view"}
    fields |= {"occurred_at_ms": 1_767_614_400_001, "rules": [RuleAward(stable_id("visit"), 40)]}
    return Award(lead_id=lead_id, **(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def names(tmp_path: Path) -> dict[int, Names]:
    path = tmp_path / "model.yaml"
    path.write_text(MODEL)
    return {3: names_of(load_model(path).definition)}


def test_an_award_has_the_names_of_its_model_version_and_its_source(names: dict[int, Names]) -> None:
    attributes = [AttributeAward(stable_id("role"), 5, []), AttributeAward(stable_id("job"), None, [])]
    frame = Frame(3, SOURCES, [award("L1", attributes=attributes, campaign="spring")])
    assert record_object(message(frame), names, None) == {
        **WHERE,
        "type": "frame",
        "model_version": 3,
        "awards": [
            {
                "lead_id": "L1",
                "event_id": "e1",
                "type": "website.page_view",
                "occurred_at": "2026-01-05T12:00:00.001Z",
                "campaign": "spring",
                "rules": [{"name": "visit", "id": stable_id("visit"), "points": 40}],
                "attributes": [
                    {"name": "role", "id": stable_id("role"), "points": 5},
                    {"name": "job", "id": stable_id("job"), "points": None},
                ],
                "target": None,
                "target_type": None,
                "into": None,
                "source": {"topic": "mail", "topic_id": "idm", "partition": 4, "offset": 9},
            }
        ],
    }


@pytest.mark.parametrize("version", [3, 4])
def test_a_rule_that_is_not_known_has_its_id_alone(names: dict[int, Names], version: int) -> None:
    rules = [RuleAward(stable_id("old"), 1), RuleAward(ADJUST_RULE_ID, 2)]
    line = record_object(message(Frame(version, SOURCES, [award("L1", rules=rules)])), names, None)
    assert line is not None
    [shown] = cast("list[dict[str, object]]", line["awards"])
    assert shown["rules"] == [
        {"name": None, "id": stable_id("old"), "points": 1},
        {"name": "command.adjust", "id": ADJUST_RULE_ID, "points": 2},
    ]


def test_of_one_lead_there_are_its_awards_and_ticks_alone(names: dict[int, Names]) -> None:
    frame = Frame(3, SOURCES, [award("L1"), award("L2"), award("L1", offset=10)])
    line = record_object(message(frame), names, "L1")
    assert line is not None
    shown = cast("list[dict[str, object]]", line["awards"])
    assert [award["lead_id"] for award in shown] == ["L1", "L1"]
    assert record_object(message(frame), names, "L3") is None
    tick = Tick(1_767_614_400_000, ["L1", "L2"])
    assert record_object(message(tick), names, "L2") == {
        **WHERE,
        "type": "tick",
        "time": "2026-01-05T12:00:00.000Z",
        "lead_ids": ["L2"],
    }
    assert record_object(message(tick), names, "L3") is None


def test_a_record_that_is_not_ours_is_shown_as_unreadable(names: dict[int, Names]) -> None:
    line = record_object(message(b"\x09junk"), names, "L1")
    assert line == {**WHERE, "type": "unreadable", "problem": "log record of format 09, expected 02 or lower"}


def test_an_offset_without_a_partition_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADSCORE_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    assert main(["log", "--from", "5"]) == 2
    assert capsys.readouterr().err == "--from: 5: offsets belong to a partition: expected --partition or --lead too\n"


def test_forwards_say_where_they_come_from_and_by_which_aliases(names: dict[int, Names]) -> None:
    merge = Award(0, 0, "L1", "m1", "command.merge", 0, into="L1")
    hops = [Hop("cookie", position_of(7, 0))]
    absorbed = Absorbed("cookie", "L1", position_of(7, 0), b"state")
    forwards = [
        Forward(position_of(7, 0), hops, "commands", merge, absorbed),
        Forward(position_of(8, 0), [Hop("other", 1)], "website", award("L2")),
    ]
    record = Forwards(3, Source("leadscore.awards", "log-1", 5), forwards)
    line = record_object(message(record), names, None)
    assert line is not None
    assert (line["type"], line["from"]) == (
        "forwards",
        {"topic": "leadscore.awards", "topic_id": "log-1", "partition": 5},
    )
    of_alias = record_object(message(record), names, "cookie")
    assert of_alias is not None
    [first] = cast("list[dict[str, object]]", of_alias["forwards"])
    assert first["kind"] == "absorb"
    assert first["cause_offset"] == 7
    assert first["hops"] == [{"alias": "cookie", "edge": position_of(7, 0)}]
    assert first["absorbed"] == {"lead_id": "cookie", "state_bytes": 5}
    assert (first["lead_id"], first["into"]) == ("L1", "L1")
    assert record_object(message(record), names, "L3") is None
