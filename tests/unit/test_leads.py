"""``leadscore list``: which leads, in which order, and how much it looks at."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leadscore.cli import list as leads
from leadscore.cli.main import main
from leadscore.events.event import Event
from leadscore.store.shard import DuePage, LeadPage, ScanPlace
from leadscore.time_units import DAY_MS
from tests.unit.fake_store import FakeStore
from tests.unit.stored_events import NOON_MS, SHARDS, page, stored

MODEL = """
model: small
version: 3
decay: none
bands: {cold: 0, warm: 30, hot: 70}
rules:
  visit: {event: website.page_view, points: 20}
  fair: {event: fair.visited, points: 60, decay: {half_life: 10d}}
  stop: {event: email.complaint, points: 0, disqualifies: complained}
thresholds:
  mql: {enter: 40, exit: 30}
  hot: {enter: 80, exit: 60}
"""
LATER_MS = NOON_MS + 20 * DAY_MS

List = Callable[..., int]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.yaml"
    path.write_text(MODEL)
    return path


@pytest.fixture
def listed(model: Path, monkeypatch: pytest.MonkeyPatch) -> List:
    """``listed(store, "--json")`` runs the command twenty days after noon."""
    monkeypatch.setenv("LEADSCORE_LOG_PARTITIONS", str(SHARDS))
    monkeypatch.setattr("time.time_ns", lambda: LATER_MS * 1_000_000)

    def run(store: FakeStore, *arguments: str) -> int:
        monkeypatch.setattr(leads, "make_store", lambda _config: store)
        return main(["list", "--model", str(model), *arguments])

    return run


def visits(lead_id: str, number: int) -> list[Event]:
    return [page(f"{lead_id}-{index}", lead_id, NOON_MS + index) for index in range(number)]


@pytest.fixture
def store(model: Path) -> FakeStore:
    """Leads by their number of visits, one in each shard or so; ``decayed`` was in a threshold twenty days ago."""
    events = [
        event
        for lead_id, number in (("one", 1), ("two", 2), ("three", 3), ("four", 4), ("five", 5))
        for event in visits(lead_id, number)
    ]
    return stored(model, [*events, page("f1", "decayed", NOON_MS, "fair.visited")])


def printed_rows(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_leads_in_any_threshold_come_best_first(
    listed: List, store: FakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed(store, "--json") == 0
    rows = printed_rows(capsys)
    assert [(row["lead_id"], row["score"], row["thresholds"]) for row in rows] == [
        ("five", 100.0, ["mql", "hot"]),
        ("four", 80.0, ["mql", "hot"]),
        ("three", 60.0, ["mql"]),
        ("two", 40.0, ["mql"]),
    ]
    assert rows[0] == {
        "lead_id": "five",
        "score": 100.0,
        "band": "hot",
        "grade": "",
        "thresholds": ["mql", "hot"],
        "disqualified": None,
        "suspended": False,
        "outcome": None,
        "recycled_until": None,
        "reason": {"name": "visit", "points": 100.0},
        "entered_at": "2026-01-05T12:00:00.003Z",
        "latest_record_at": "2026-01-05T12:00:00.004Z",
        "as_of": "2026-01-25T12:00:00.000Z",
    }


SAID = """
  budget:
    {event: crm.rejected, where: {reason: budget}, points: 0, outcome: rejected, recycles: {threshold: mql, for: 90d}}
  accepted: {event: crm.accepted, points: 0, outcome: accepted}
thresholds:"""


@pytest.fixture
def feedback(model: Path) -> FakeStore:
    """Two leads that sales rejected, one of them the better one; one accepted; and one rejected and accepted since."""
    model.write_text(MODEL.replace("thresholds:", SAID.lstrip("\n"), 1))
    leads_and_visits = {"worse": 2, "better": 4, "accepted": 2, "both": 3, "silent": 5}
    events = [event for lead_id, number in leads_and_visits.items() for event in visits(lead_id, number)]
    day_ms = NOON_MS + DAY_MS
    events += [
        page(f"r-{lead_id}", lead_id, day_ms, "crm.rejected", reason="budget") for lead_id in ("worse", "better")
    ]
    events += [page("r-both", "both", day_ms, "crm.rejected", reason="budget")]
    events += [page(f"a-{lead_id}", lead_id, day_ms + DAY_MS, "crm.accepted") for lead_id in ("accepted", "both")]
    return stored(model, events)


def test_an_outcome_has_the_leads_of_which_it_was_said_last_best_first(
    listed: List, feedback: FakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed(feedback, "--outcome", "rejected", "--json") == 0
    rows = printed_rows(capsys)
    assert [(row["lead_id"], row["thresholds"]) for row in rows] == [("better", ["hot"]), ("worse", [])]
    assert rows[0]["outcome"] == {"name": "rejected", "rule": "budget", "at": "2026-01-06T12:00:00.000Z"}
    assert rows[0]["recycled_until"] == "2026-04-06T12:00:00.000Z"
    assert listed(feedback, "--outcome", "accepted", "--json") == 0
    assert [row["lead_id"] for row in printed_rows(capsys)] == ["both", "accepted"]


def test_the_table_says_what_sales_said_and_until_when_a_lead_is_given_back(
    listed: List, feedback: FakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed(feedback, "--outcome", "rejected") == 0
    [better] = [line for line in capsys.readouterr().out.splitlines() if "better" in line]
    assert better.endswith("rejected 19 d ago (budget), given back until 2026-04-06 12:00")


def test_an_outcome_that_the_model_has_not_is_refused(
    listed: List, feedback: FakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed(feedback, "--outcome", "won") == 2
    assert "--outcome: 'won': expected one of the model's: rejected, accepted" in capsys.readouterr().err


def test_one_threshold_has_its_own_leads_and_times(
    listed: List, store: FakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed(store, "--threshold", "mql", "--json", "--limit", "2") == 0
    assert [(row["lead_id"], row["entered_at"]) for row in printed_rows(capsys)] == [
        ("five", "2026-01-05T12:00:00.001Z"),
        ("four", "2026-01-05T12:00:00.001Z"),
    ]


def test_a_band_has_leads_that_are_in_no_threshold(
    listed: List, store: FakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed(store, "--band", "cold", "--json") == 0
    rows = printed_rows(capsys)
    assert [(row["lead_id"], row["score"], row["thresholds"]) for row in rows] == [
        ("one", 20.0, []),
        ("decayed", 15.0, []),
    ]
    assert rows[0]["entered_at"] is None


def test_leads_whose_scores_differ_only_by_rounding_come_by_their_ids(
    listed: List, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at_once, on_the_way = (NOON_MS, NOON_MS), (NOON_MS + 20 * DAY_MS // 3, NOON_MS + 40 * DAY_MS // 3)
    events = [
        event
        for lead_id, looks_ms in (("zoe", on_the_way), ("ann", at_once))
        for event in [
            page(f"{lead_id}-fair", lead_id, NOON_MS, "fair.visited"),
            *(page(f"{lead_id}-{n}", lead_id, at_ms, "email.complaint") for n, at_ms in enumerate(looks_ms)),
        ]
    ]
    assert listed(stored(model, events), "--band", "cold", "--json") == 0
    first, second = printed_rows(capsys)
    assert (first["lead_id"], second["lead_id"]) == ("ann", "zoe")
    assert 0 < second["score"] - first["score"] < 1e-9


def test_a_lead_that_time_has_taken_out_is_not_listed(
    listed: List, store: FakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert any("decayed" in shard.due for shard in store.shards.values())
    assert listed(store, "--json") == 0
    assert "decayed" not in [row["lead_id"] for row in printed_rows(capsys)]


def test_equal_scores_come_by_lead_id(listed: List, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = [event for lead_id in ("c", "a", "b") for event in visits(lead_id, 3)]
    assert listed(stored(model, events), "--json") == 0
    assert [row["lead_id"] for row in printed_rows(capsys)] == ["a", "b", "c"]


def test_a_lead_that_the_index_gives_twice_is_listed_once(
    listed: List, store: FakeStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    once, next_cursors = store.due_all, {0: 1, 1: 2, 2: None}
    monkeypatch.setattr(store, "due_all", lambda shard, cursor: DuePage(once(shard).lead_ids * 2, next_cursors[cursor]))
    assert listed(store, "--json") == 0
    assert [row["lead_id"] for row in printed_rows(capsys)] == ["five", "four", "three", "two"]


def test_disqualified_and_suspended_leads_say_so(listed: List, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = [
        *visits("L1", 4),
        page("x", "L1", NOON_MS + 9, "email.complaint"),
        page("s", "L2", NOON_MS, "command.suspend"),
    ]
    store = stored(model, [*events, *visits("L2", 4)])
    assert listed(store, "--band", "hot") == 0
    text = capsys.readouterr().out
    assert "disqualified: complained" in text
    assert text.rstrip().endswith("suspended")
    assert listed(store) == 0
    assert capsys.readouterr().out == "no such leads\n"


def test_of_those_at_the_ceiling_the_one_with_more_points_comes_first(
    listed: List, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = stored(model, [*visits("a", 6), *visits("b", 8), *visits("c", 7)])
    assert listed(store, "--json") == 0
    assert [lead["lead_id"] for lead in printed_rows(capsys)] == ["b", "c", "a"]


def test_a_narrow_terminal_gets_fewer_columns(
    listed: List, store: FakeStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    assert listed(store, "--limit", "1") == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["lead", "score", "in", "top", "reason", "entered"]
    assert len(row) <= 50


def test_people_get_a_table_with_reason_and_age(
    listed: List, store: FakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed(store, "--limit", "1") == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["lead", "score", "band", "grade", "in", "top", "reason", "entered", "latest"]
    assert " ".join(row.split()) == "1 five 100.0 hot mql, hot visit +100.0 19 d ago 19 d ago"


def test_it_says_how_much_it_looked_at_and_that_there_is_more(
    listed: List, store: FakeStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert listed(store) == 0
    assert capsys.readouterr().err == "looked at 5 leads\n"
    first, second = store.scan_leads().lead_ids, store.scan_leads().lead_ids
    pages = iter([LeadPage(first, 1_000, ScanPlace(0, 7)), LeadPage(second, 1_000, None)])
    monkeypatch.setattr(store, "scan_leads", lambda _place: next(pages))
    assert listed(store, "--band", "cold", "--scan-limit", "1000") == 0
    assert capsys.readouterr().err == "looked at 6 leads; stopped there, there is more: --scan-limit 1000\n"


def test_an_unknown_threshold_is_named_with_those_there_are(
    listed: List, store: FakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed(store, "--threshold", "sql") == 2
    assert capsys.readouterr().err == "--threshold: 'sql': expected one of the model's: mql, hot\n"


def test_nothing_is_written(listed: List, store: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    store.read_shards(range(SHARDS))
    store.journal.clear()
    before = store.snapshot()
    assert listed(store, "--band", "warm") == 0
    assert listed(store) == 0
    assert capsys.readouterr().out
    assert store.shards == before
    assert {call for call, _ in store.journal} <= {
        "store.scan_leads",
        "store.read_leads",
        "store.look_at_due",
        "store.due_all",
        "store.close",
    }
