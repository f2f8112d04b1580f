"""What simulate, explain, list, the demo and the metrics show of the scores beside the main one."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from leadscore.cli import explain
from leadscore.cli import list as leads
from leadscore.cli.main import main
from leadscore.demo.reading import hottest
from leadscore.demo.view import ASCII, DemoSnapshot, crossing_lines, hottest_lines
from leadscore.events.event import Event
from leadscore.model.compile import compile_model
from leadscore.model.load import load_model, parse_model
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.score.counts import CrossingCounts
from tests.unit.fake_store import FakeStore
from tests.unit.sample_crossing import CROSSING
from tests.unit.stored_events import NOON_MS, SHARDS, page, stored

MODEL = """
model: two
version: 3
decay: none
groups: {interest: {max: 60}, account: {in_main: false}}
rules:
  prices: {event: website.page_view, points: 30, group: interest}
  plan: {event: plan.compared, points: 25, group: account}
  call: {event: call.held, points: 45}
scores:
  expansion: {groups: [account, interest], ceiling: 90}
thresholds:
  mql: {enter: 60, exit: 50}
  upsell: {of: expansion, enter: 50, exit: 40, require: {engagement: 70}}
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LEADSCORE_LOG_PARTITIONS", str(SHARDS))
    monkeypatch.setattr("time.time_ns", lambda: NOON_MS * 1_000_000)
    path = tmp_path / "model.yaml"
    path.write_text(MODEL)
    return path


def customer(lead_id: str, plans: int) -> list[Event]:
    plan_events = [page(f"{lead_id}-{n}", lead_id, NOON_MS, "plan.compared") for n in range(plans)]
    return [page(f"{lead_id}-p", lead_id, NOON_MS), *plan_events]


@pytest.fixture
def store(model: Path) -> FakeStore:
    """``L1`` has 30 and 80 points, ``L2`` 75 and 55, ``L3`` 75 and 90: more than enough for its ceiling."""
    calls = [page("c2", "L2", NOON_MS, "call.held"), page("c3", "L3", NOON_MS, "call.held")]
    return stored(model, [*customer("L1", 2), *customer("L2", 1), *customer("L3", 3), *calls])


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def explained(model: Path, store: FakeStore, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(explain, "make_store", lambda _config: store)
    assert main(["explain", "--model", str(model), *arguments]) == 0


def listed(model: Path, store: FakeStore, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(leads, "make_store", lambda _config: store)
    assert main(["list", "--model", str(model), *arguments]) == 0


def test_simulate_prints_each_score(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        {"type": event.type, "event_id": event.event_id, "lead_id": event.lead_id, "occurred_at": event.occurred_at_ms}
        for event in customer("L1", 2)
    ]
    events = model.with_name("events.jsonl")
    events.write_text("\n".join(map(json.dumps, lines)))
    options = ["--events", str(events), "--scores-at", str(NOON_MS)]
    assert main(["simulate", "--model", str(model), *options]) == 0
    crossing, scores = told(capsys)
    assert (crossing["threshold"], crossing["score_name"], crossing["score"]) == ("upsell", "expansion", 80)
    assert (scores["score"], scores["scores"]) == (30, {"expansion": {"score": 80, "engagement": 80}})


def test_explain_has_parts_of_each_score_that_add_up(
    model: Path, store: FakeStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    explained(model, store, monkeypatch, "L3", "--json")
    (lead,) = told(capsys)
    for score, value, names in (
        (lead, 75, ["prices", "call"]),
        (lead["scores"]["expansion"], 90, ["prices", "plan"]),
    ):
        assert [part["name"] for part in score["parts"]] == names
        assert sum(part["points"] for part in [*score["parts"], *score["adjustments"]]) == score["score"] == value
    assert [(one["threshold"], one["score_name"]) for one in lead["standings"]] == [
        ("upsell", "expansion"),
        ("mql", None),
    ]


def test_explain_in_words_has_a_table_per_score_and_says_what_a_threshold_is_of(
    model: Path, store: FakeStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    explained(model, store, monkeypatch, "L2")
    text = capsys.readouterr().out
    main_table, _, other_table = text.partition("The expansion score:")
    assert "Score expansion 55.00" in main_table
    assert "upsell (expansion score): out, enters at 50; needs engagement 70, has 55.00" in text
    assert "mql: in" in text
    assert main_table.splitlines()[-2].split() == ["score", "75.00"]
    assert ["score", "55.00"] in [line.split() for line in other_table.splitlines()]
    assert "plan" not in main_table
    assert "call" not in other_table


def test_the_points_that_a_lead_lacks_are_those_of_the_threshold_s_score(
    model: Path, store: FakeStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model.write_text(MODEL.replace("enter: 50", "enter: 85"))
    explained(model, store, monkeypatch, "L2")
    assert "upsell (expansion score): out, enters at 85, 30.00 points more" in capsys.readouterr().out


def test_list_has_a_column_per_score_and_ranks_by_that_of_the_threshold(
    model: Path, store: FakeStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(model, store, monkeypatch, "--threshold", "upsell", "--json")
    rows = told(capsys)
    assert [(row["lead_id"], row["score"], row["scores"]) for row in rows] == [
        ("L3", 75, {"expansion": 90}),
        ("L1", 30, {"expansion": 80}),
    ]
    assert [row["reason"] for row in rows] == [{"name": "plan", "points": 75}, {"name": "plan", "points": 50}]
    listed(model, store, monkeypatch)
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["lead", "score", "expansion", "band"]
    assert [line.split()[1:4] for line in lines] == [
        ["L2", "75.0", "55.0"],
        ["L3", "75.0", "90.0"],
        ["L1", "30.0", "80.0"],
    ]


def test_a_narrow_list_keeps_the_scores(
    model: Path, store: FakeStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    listed(model, store, monkeypatch)
    assert capsys.readouterr().out.splitlines()[0].split() == ["lead", "score", "expansion", "top", "reason"]


def test_the_demo_shows_each_score_of_the_hottest_leads(model: Path, store: FakeStore) -> None:
    hot = hottest(store, compile_model(load_model(model).definition), SHARDS, NOON_MS)
    assert [(lead.lead_id, lead.score, lead.others) for lead in hot] == [
        ("L2", 75, {"expansion": 55}),
        ("L3", 75, {"expansion": 90}),
        ("L1", 30, {"expansion": 80}),
    ]
    snapshot = DemoSnapshot(elapsed_s=1, produced=1, applied=1, events_per_s=1, hottest=hot)
    assert "75.0  hot   expansion  90.0  upsell mql" in hottest_lines(snapshot, ASCII)[1].plain


def test_a_crossing_in_the_demo_names_its_score() -> None:
    upsell = msgspec.structs.replace(CROSSING, threshold="upsell", score_name="expansion")
    assert "entered upsell  expansion score 67.2 (was 58.1)" in crossing_lines(upsell, ASCII)[0].plain


def test_crossings_are_counted_by_score() -> None:
    metrics = Metrics("1.2.3", ["website"])
    metrics.score.expect(parse_model(MODEL, "model"))
    counts = CrossingCounts(metrics)
    counts.acknowledged(msgspec.structs.replace(CROSSING, threshold="upsell", score_name="expansion"))
    counts.acknowledged(CROSSING)
    samples = [sample for metric in metrics.score.crossings_published.collect() for sample in metric.samples]
    counted = {
        (sample.labels["threshold"], sample.labels["score"]): sample.value
        for sample in samples
        if sample.name.endswith("_total")
        and sample.labels["cause"] == "EVENT"
        and sample.labels["direction"] == "ENTER"
    }
    assert counted == {("mql", "main"): 1, ("upsell", "expansion"): 1}
