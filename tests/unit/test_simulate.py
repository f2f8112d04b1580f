"""``leadscore simulate``: what it prints, what it refuses, what it leaves out (design 1.11)."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from leadscore.cli.main import main

MODEL = """
model: small
version: 3
decay: {half_life: 30d}
rules:
  visit: {event: website.page_view, points: 40}
  stop: {event: email.complaint, points: 0, disqualifies: complained}
fit:
  attributes: {role: [{in: [ceo], points: 5}]}
  grades: {A: 5, B: 0}
thresholds:
  mql: {enter: 65, exit: 50}
  hot: {enter: 90, exit: 70}
"""
CROSSING_NAMES = [
    "id",
    "model",
    "model_version",
    "lead_id",
    "threshold",
    "score_name",
    "direction",
    "cause",
    "merged_with",
    "entered_id",
    "sequence",
    "score",
    "previous_score",
    "engagement",
    "fit",
    "grade",
    "enter_level",
    "exit_level",
    "occurred_at",
    "decided_at",
    "projected_exit_at",
    "trigger",
    "reasons",
    "stale",
]
SCORE_NAMES = ["lead_id", "score", "engagement", "fit", "grade", "band", "disqualified", "thresholds", "as_of"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.yaml"
    path.write_text(MODEL)
    return path


def event(event_id: str, occurred_at: str | int, lead_id: str = "L1", **others: Any) -> dict[str, Any]:
    return {"type": "website.page_view", "event_id": event_id, "lead_id": lead_id, "occurred_at": occurred_at} | others


def events_file(model: Path, *lines: dict[str, Any] | str) -> str:
    path = model.with_name("events.jsonl")
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return str(path)


def simulated(model: Path, events: str, *options: str) -> int:
    return main(["simulate", "--model", str(model), "--events", events, *options])


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[list[dict[str, Any]], str]:
    captured = capsys.readouterr()
    return [json.loads(line) for line in captured.out.splitlines()], captured.err


def test_a_crossing_is_printed_with_the_names_of_the_design_in_its_order(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (event("e1", "2026-01-05T10:00:00Z"), event("e2", "2026-01-05T10:00:00+00:00", campaign="spring"))
    assert simulated(model, events_file(model, *lines)) == 0
    [crossing], notes = printed(capsys)
    assert list(crossing) == CROSSING_NAMES
    assert (crossing["direction"], crossing["cause"], crossing["score"]) == ("ENTER", "EVENT", 80.0)
    assert (crossing["model"], crossing["model_version"]) == ("small", 3)
    assert crossing["occurred_at"] == crossing["decided_at"] == "2026-01-05T10:00:00.000Z"
    assert crossing["trigger"] == {"topic": None, "event_id": "e2", "type": "website.page_view", "campaign": "spring"}
    assert crossing["reasons"] == [{"name": "visit", "points": 80.0}]
    assert notes == ""


def test_scores_come_after_the_crossings_by_lead_id(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        event("e1", "2026-01-05T10:00:00Z", "B"),
        event("e2", "2026-01-05T10:00:00Z", "A", attributes={"role": "ceo"}),
    ]
    assert simulated(model, events_file(model, *lines), "--scores-at", "2026-02-04T10:00:00Z") == 0
    scores, _ = printed(capsys)
    assert [list(score) for score in scores] == [SCORE_NAMES, SCORE_NAMES]
    assert scores[0] == {
        "lead_id": "A",
        "score": 25.0,
        "engagement": 20.0,
        "fit": 5.0,
        "grade": "A",
        "band": "cold",
        "disqualified": None,
        "thresholds": {"mql": "out", "hot": "out"},
        "as_of": "2026-02-04T10:00:00.000Z",
    }
    assert (scores[1]["lead_id"], scores[1]["score"]) == ("B", 20.0)


def test_a_disqualified_lead_has_its_reason_and_an_erased_one_no_line(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        event("e1", "2026-01-05T10:00:00Z", "gone"),
        event("e2", "2026-01-05T10:00:00Z", "stopped", type="email.complaint"),
        event("c1", "2026-01-05T11:00:00Z", "gone", type="command.erase"),
    ]
    assert simulated(model, events_file(model, *lines), "--scores-at", "1767697200000") == 0
    scores, _ = printed(capsys)
    assert [(score["lead_id"], score["disqualified"]) for score in scores] == [("stopped", "complained")]


def test_leads_leave_on_the_way_and_at_the_end(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        event("e1", "2026-01-05T10:00:00Z"),
        event("e2", "2026-01-05T10:00:00Z"),
        event("e3", "2026-03-01T00:00:00Z", "L2"),
    ]
    path = events_file(model, *lines)
    assert simulated(model, path) == 0
    crossings, _ = printed(capsys)
    assert [(line["direction"], line["cause"]) for line in crossings] == [("ENTER", "EVENT"), ("LEAVE", "TIME")]
    assert crossings[1]["occurred_at"] == crossings[0]["projected_exit_at"] < crossings[1]["decided_at"]
    path = events_file(model, *lines[:2])
    assert simulated(model, path, "--scores-at", "2026-03-01T00:00:00Z") == 0
    assert printed(capsys)[0][:2] == crossings
    assert simulated(model, path, "--scores-at", "2026-01-06T00:00:00Z") == 0
    assert [line.get("direction") for line in printed(capsys)[0]] == ["ENTER", None]


def test_the_logs_time_is_the_latest_so_far(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        event("e1", "2026-01-05T10:00:00Z", received_at="2026-01-09T00:00:00Z"),
        event("e2", "2026-01-05T10:00:00Z", received_at="2026-01-06T00:00:00Z"),
        event("e3", "2026-01-05T10:00:00Z", "L2"),
        event("e4", "2026-01-09T00:00:00.001Z", "L2"),
    ]
    assert simulated(model, events_file(model, *lines)) == 0
    crossings, _ = printed(capsys)
    assert [(line["lead_id"], line["occurred_at"], line["decided_at"]) for line in crossings] == [
        ("L1", "2026-01-05T10:00:00.000Z", "2026-01-09T00:00:00.000Z"),
        ("L2", "2026-01-09T00:00:00.001Z", "2026-01-09T00:00:00.001Z"),
    ]


def test_on_the_way_leads_leave_in_the_order_of_their_instants_then_by_lead_id(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    days = {"C": "05", "A": "06", "B": "05"}
    lines = [
        event(f"{lead}{number}", f"2026-01-{day}T10:00:00Z", lead) for lead, day in days.items() for number in range(2)
    ]
    path = events_file(model, *sorted(lines, key=lambda line: line["occurred_at"]))
    assert simulated(model, path, "--scores-at", "2026-03-01T00:00:00Z") == 0
    printed_lines, _ = printed(capsys)
    assert [line["lead_id"] for line in printed_lines if line.get("direction") == "LEAVE"] == ["B", "C", "A"]


def test_a_lead_whose_lines_leave_no_trace_has_a_line(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = event("e1", "2026-01-05T10:00:00Z", type="some.other"), event("e2", "2026-01-05T10:00:00Z", "L2")
    assert simulated(model, events_file(model, *lines), "--scores-at", "2026-01-05T10:00:00Z") == 0
    scores, _ = printed(capsys)
    assert [(score["lead_id"], score["score"]) for score in scores] == [("L1", 0.0), ("L2", 40.0)]


def test_a_forgotten_lead_has_the_score_of_a_newcomer(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = events_file(model, event("e1", "2026-01-05T10:00:00Z"))
    assert simulated(model, path, "--scores-at", "2036-01-05T10:00:00Z") == 0
    scores, _ = printed(capsys)
    assert (scores[0]["score"], scores[0]["grade"]) == (0.0, "B")


def test_a_line_too_far_ahead_of_its_receipt_is_reported_and_left_out(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[dict[str, Any] | str] = [
        event("e1", "2026-01-05T10:05:00Z", "L1", received_at="2026-01-05T10:00:00Z"),
        "",
        event("e2", "2026-01-05T10:05:00.001Z", "L2", received_at="2026-01-05T10:00:00Z"),
    ]
    path = events_file(model, *lines)
    assert simulated(model, path, "--scores-at", "2026-01-05T10:05:00Z") == 0
    scores, notes = printed(capsys)
    assert [score["lead_id"] for score in scores] == ["L1"]
    assert notes.startswith(
        f"{path}:3: left out: occurred_at: 2026-01-05T10:05:00.001Z: 300001 ms ahead of received_at"
    )
    assert simulated(model, path, "--scores-at", "2026-01-05T10:05:00Z", "--max-future-skew", "10m") == 0
    assert [score["lead_id"] for score in printed(capsys)[0]] == ["L1", "L2"]


def test_without_a_time_of_receipt_no_line_is_too_far_ahead(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (event("e1", "2026-01-05T10:00:00Z"), event("e2", "2099-01-05T10:00:00Z", "L2"))
    assert simulated(model, events_file(model, *lines), "--scores-at", "2099-01-05T10:00:00Z") == 0
    scores, notes = printed(capsys)
    assert [(score["lead_id"], notes) for score in scores] == [("L1", ""), ("L2", "")]


def test_events_may_come_from_standard_input(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = json.dumps(event("e1", 1_767_607_200_000)) + "\n{}\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert simulated(model, "-") == 2
    lines, notes = printed(capsys)
    assert lines == []
    assert notes.startswith("standard input:2: type: missing: expected text")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("not json", "expected one JSON object a line"),
        ('{"type": "a", "event_id": "e", "lead_id": "L"}', "occurred_at: missing: expected integer milliseconds"),
        (json.dumps(event("e9", "yesterday")), 'occurred_at: "yesterday": expected integer milliseconds or ISO 8601'),
        (json.dumps(event("e9", 5, received_at="now")), 'received_at: "now": expected integer milliseconds'),
        (json.dumps(event("e9", 5, "me@x.org")), 'lead_id: "me@x.org": expected an opaque id'),
        (json.dumps(event("c9", 5, type="command.promote")), 'type: "command.promote": expected one of command.adjust'),
    ],
)
def test_a_wrong_line_ends_with_file_line_field_value_and_what_was_expected(
    model: Path, capsys: pytest.CaptureFixture[str], line: str, problem: str
) -> None:
    good = [event("e1", "2026-01-05T10:00:00Z"), event("e2", "2026-01-05T10:00:00Z")]
    path = events_file(model, *good, line)
    assert simulated(model, path) == 2
    lines, notes = printed(capsys)
    assert lines == []
    assert notes.startswith(f"{path}:3: ")
    assert problem in notes
    assert notes.count("\n") == 1


def test_files_that_cannot_be_read_are_named(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulated(model, str(model.parent)) == 2
    assert "Is a directory: expected a file of JSON lines" in printed(capsys)[1]
    assert simulated(model, "nowhere.jsonl") == 2
    assert printed(capsys)[1].startswith("nowhere.jsonl: cannot be read: No such file")
    assert simulated(model.with_name("no.yaml"), "nowhere.jsonl") == 2
    assert "no.yaml: cannot be read" in printed(capsys)[1]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--scores-at", "tomorrow"], "--scores-at: 'tomorrow': expected integer milliseconds or ISO 8601"),
        (["--scores-at", "2026-01-05T10:00:00"], "with an offset"),
        (["--scores-at", "1767607200"], "--scores-at: '1767607200': is it in seconds? Expected milliseconds"),
        (["--earliest", "2000"], "--earliest: '2000': is it in seconds?"),
        (["--max-future-skew", "5"], "--max-future-skew: '5': expected a duration such as 90s"),
        (["--seed", "5"], "unrecognized arguments"),
    ],
)
def test_a_wrong_option_ends_with_2(
    model: Path, capsys: pytest.CaptureFixture[str], options: list[str], problem: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        simulated(model, events_file(model), *options)
    assert ended.value.code == 2
    assert problem in printed(capsys)[1]


def test_a_file_without_an_event_is_noted(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = events_file(model)
    assert simulated(model, path) == 0
    assert printed(capsys) == ([], f"--events: {path}: no event to score\n")


def test_scores_before_the_end_of_the_events_are_noted(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = events_file(model, event("e1", "2026-01-05T10:00:00Z"), event("e2", "2026-01-07T10:00:00Z", "L2"))
    assert simulated(model, path, "--scores-at", "2026-01-06T10:00:00Z") == 0
    lines, notes = printed(capsys)
    assert [line["lead_id"] for line in lines] == ["L1", "L2"]
    assert notes.startswith("--scores-at: 2026-01-06T10:00:00.000Z: the events go on until 2026-01-07T10:00:00.000Z: ")
    assert simulated(model, path, "--scores-at", "2026-01-07T10:00:00Z") == 0
    assert printed(capsys)[1] == ""


def test_the_same_events_print_the_same(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [event(f"e{number}", 1_767_607_200_000 + number, f"L{number % 7}") for number in range(50)]
    path = events_file(model, *lines)
    outputs = []
    for _ in range(2):
        assert simulated(model, path, "--scores-at", "2026-03-01T00:00:00Z") == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] != ""
