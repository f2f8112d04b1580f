"""Leads counted by band and threshold: the walk over what Redis holds, and whose it is."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from leadscore.errors import Unavailable
from leadscore.events.event import Event
from leadscore.model.compile import compile_model
from leadscore.model.compiled import CompiledModel
from leadscore.model.load import load_model
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.score import lead_count
from leadscore.pipeline.score.lead_count import STEP_LEADS, WALK_EVERY_S, LeadCount, lead_at
from leadscore.pipeline.score.shard import Shard
from leadscore.pipeline.score.shards import OwnedShard
from leadscore.scoring.context import FoldContext, FoldSettings
from leadscore.scoring.state import LeadState
from leadscore.store.fence import Fence
from leadscore.time_units import DAY_MS
from tests.unit.stored_events import NOON_MS, page, stored

MODEL = """
model: small
version: 3
decay: none
groups: {fairs: {}}
bands: {cold: 0, warm: 30, hot: 70}
rules:
  visit: {event: website.page_view, points: 20}
  fair: {event: fair.visited, points: 60, group: fairs, decay: {half_life: 10d}}
scores: {fairs: {groups: [fairs]}}
thresholds:
  mql: {enter: 40, exit: 35}
  met: {enter: 50, exit: 20, of: fairs}
"""
EVENTS = [
    *(page(f"c{number}", f"cold-{number}", NOON_MS) for number in range(120)),
    *(page(f"h{number}", f"hot-{number % 30}", NOON_MS) for number in range(120)),
    *(page(f"f{number}", f"fair-{number}", NOON_MS, "fair.visited") for number in range(7)),
]


class Counted:
    """A walk over these events' leads, and what it tells."""

    def __init__(self, model: Path, events: Iterable[Event]) -> None:
        self.store = stored(model, events)
        self.metrics = Metrics("1", ())
        compiled = compile_model(load_model(model).definition)
        shard = Shard(0, None, Fence("log", 5, 3, 0, {}), lambda _: compiled, FoldSettings())
        self.owned = {0: OwnedShard(shard, 0)}
        self.count = LeadCount(self.store, self.owned, lambda _: compiled, FoldSettings(), self.metrics.leads)
        self.now_s = NOON_MS / 1000

    def steps(self, number: int = 20) -> None:
        for _ in range(number):
            self.count.step(self.now_s)
            self.now_s += 0.25

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"leadscore_{name}", labels)

    def bands(self) -> list[float | None]:
        return [self.value("leads", band=band) for band in ("cold", "warm", "hot")]


@pytest.fixture
def counted(tmp_path: Path) -> Counted:
    path = tmp_path / "model.yaml"
    path.write_text(MODEL)
    return Counted(path, EVENTS)


def test_leads_are_counted_by_band_and_threshold(counted: Counted) -> None:
    assert counted.bands() == [None, None, None]
    counted.steps()
    assert counted.bands() == [120, 7, 30]
    assert counted.value("leads_in_threshold", threshold="mql") == 37
    assert counted.value("leads_in_threshold", threshold="met") == 7
    assert (counted.value("leads_counted_timestamp_seconds") or 0) > NOON_MS / 1000


def test_a_count_is_as_of_now_and_not_as_of_the_last_record(counted: Counted) -> None:
    counted.now_s += 20 * DAY_MS / 1000
    counted.steps()
    assert counted.bands() == [127, 0, 30]
    assert counted.value("leads_in_threshold", threshold="met") == 0


def test_scores_are_sampled_by_score_and_version(counted: Counted) -> None:
    counted.steps()
    assert counted.value("sampled_score_points_count", score="main", version="3") == 157
    assert counted.value("sampled_score_points_bucket", score="main", version="3", le="20.0") == 120
    assert counted.value("sampled_score_points_bucket", score="fairs", version="3", le="0.0") == 150


def test_nothing_is_written_and_a_step_reads_little(counted: Counted) -> None:
    counted.steps(1)
    assert [call for call, _ in counted.store.journal] == ["store.scan_leads"]
    counted.steps(3)
    assert [call for call, _ in counted.store.journal[1:]] == ["store.read_leads"] * 3
    assert all(
        sum(map(len, leads.values())) <= STEP_LEADS for _, leads in counted.store.journal[1:] if isinstance(leads, dict)
    )


def test_the_next_walk_waits_a_while(counted: Counted) -> None:
    counted.steps()
    done = len(counted.store.journal)
    counted.steps(20)
    assert len(counted.store.journal) == done
    counted.now_s += WALK_EVERY_S
    counted.steps(1)
    assert len(counted.store.journal) == done + 1


def test_of_very_many_leads_a_sample_stands_for_each_page(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lead_count, "MOST_COUNTED", 100)
    monkeypatch.setattr(lead_count, "PAGE_SAMPLE", 40)
    counted.steps()
    assert counted.bands() == [120, 7, 30]
    counted.now_s += WALK_EVERY_S
    done = len(counted.store.journal)
    counted.steps(3)
    assert len(counted.store.journal) == done + 3
    estimates = [number or 0 for number in counted.bands()]
    assert sum(estimates) == pytest.approx(157, abs=3)
    assert estimates != [120, 7, 30]


def test_only_the_owner_of_the_first_log_partition_counts(counted: Counted) -> None:
    counted.steps()
    counted.owned.clear()
    counted.steps(1)
    assert counted.bands() == [None, None, None]
    assert counted.value("leads_in_threshold", threshold="mql") is None
    assert counted.value("leads_counted_timestamp_seconds") == 0


def test_a_walk_waits_for_the_model_and_leaves_out_a_lead_that_needs_another(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_hand: set[str] = set()
    model = counted.count._model_at_hand(3)

    def model_at_hand(_version: int) -> CompiledModel:
        if not at_hand:
            raise Unavailable("kafka", "model", "not read yet")
        return model

    def lead_that_is_due(stored: LeadState, lead_id: str, context: FoldContext) -> LeadState | None:
        if lead_id.startswith("fair-"):
            raise Unavailable("kafka", "model", "not read yet")
        return lead_at(stored, lead_id, context)

    monkeypatch.setattr(counted.count, "_model_at_hand", model_at_hand)
    monkeypatch.setattr(lead_count, "lead_at", lead_that_is_due)
    counted.steps()
    assert counted.bands() == [None, None, None]
    at_hand.add("3")
    counted.now_s += WALK_EVERY_S
    counted.steps()
    assert counted.bands() == [120, 0, 30]


def test_a_walk_that_redis_breaks_off_begins_anew_later(counted: Counted) -> None:
    counted.steps(2)
    counted.store.fail_next("read_leads", "connection")
    counted.steps(20)
    assert counted.bands() == [None, None, None]
    counted.now_s += WALK_EVERY_S
    counted.steps(20)
    assert counted.bands() == [120, 7, 30]


def test_an_alias_is_no_lead(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(MODEL)
    merge = Event("command.merge", "m1", "hot-1", NOON_MS, {"into": "hot-2"})
    counted = Counted(path, [*EVENTS, merge])
    counted.steps()
    assert counted.bands() == [120, 7, 29]
