"""What other lead-scoring products got wrong, and this one must not: one test per behaviour.

Products lost points when two workers added to one lead, swallowed storage conflicts, fired a threshold only once,
sent the total from before, punished newcomers, and let a nightly job that ran twice take points twice. Their merges of
two records of a person lost one of the two, and what they had learned of outcomes stayed when an outcome was undone.

This product learns no weights: outcomes are events like any others. A lead is its events: two records also become one
when the events of the one are sent under the id of the other (merges have tests of their own, test_semantics_merges).
"""

import json
import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest

from leadscore.cli import explain
from leadscore.cli.main import main
from leadscore.log.records import Frame, LogRecord, Source, Tick
from leadscore.model.compile import compile_model
from leadscore.model.compiled import CompiledModel
from leadscore.model.definition import ModelDefinition
from leadscore.model.matching import Matcher
from leadscore.pipeline.score.shard import Shard, leads_of
from leadscore.scoring.conditions import Outlook
from leadscore.scoring.context import FoldSettings
from leadscore.scoring.crossing import Cause, Crossing, Direction
from leadscore.scoring.explanation import Explanation
from leadscore.scoring.explanation import explain as explanation_of
from leadscore.scoring.simulation import LeadScore, Simulation
from leadscore.scoring.state import decode_state
from leadscore.store.fence import Fence
from leadscore.store.fence import decode as decode_fence
from tests.histories import START_MS, in_order_of_arrival
from tests.oracle import DAY_MS, Entry, Plain
from tests.simulated import event_of, simulated
from tests.unit.fake_store import FakeStore
from tests.unit.stage_of_score import LOG_ID, StageOfScore
from tests.unit.stored_events import SHARDS


def at(days: float) -> int:
    return START_MS + round(days * DAY_MS)


def event(event_id: str, day: float = 0, event_type: str = "website.page_view", **fields: object) -> Plain:
    return {"type": event_type, "event_id": event_id, "lead_id": "L1", "occurred_at": at(day), **fields}


def model_of(rules: Plain, **parts: object) -> Plain:
    return {"model": "m", "version": 1, "rules": rules, **parts}


def rule(points: float, event_type: str = "website.page_view", **parts: object) -> Plain:
    return {"event": event_type, "points": points, **parts}


def read_at(model: Plain, day: float, *events: Plain) -> Simulation:
    log = in_order_of_arrival([Entry(line, line["occurred_at"]) for line in events])
    return simulated(model, log, at(day))


def score_at(model: Plain, day: float, *events: Plain) -> LeadScore:
    (only,) = read_at(model, day, *events).scores
    return only


# --- workers and the store -----------------------------------------------------------------------------------------

PAGES = model_of(
    {"view": rule(10, group="website"), "click": rule(5, "email.click")},
    groups={"website": {"max": 100}},
    thresholds={"mql": {"enter": 40, "exit": 20}},
)


def compiled(model: Plain) -> CompiledModel:
    return compile_model(msgspec.convert(model, ModelDefinition))


def frame(model: Plain, offset: int, *events: Plain, source: str = "website") -> Frame:
    """Events of one source partition, its offsets from ``offset`` on."""
    matcher = Matcher(msgspec.convert(model, ModelDefinition))
    awards = [matcher.award(event_of(line), 0, offset + number) for number, line in enumerate(events)]
    return Frame(1, [Source(source, "", 0)], [award for award in awards if award is not None])


class Owner:
    """A worker that believes it owns the shard: it reads, folds, and writes with the fence it began from."""

    def __init__(self, store: FakeStore, model: Plain, log: list[LogRecord]) -> None:
        self._store, self._model, self._log = store, compiled(model), log
        self.reconcile()

    def reconcile(self) -> None:
        """Begin where the stored fence is."""
        stored = self._store.read_shards([0])[0].fence
        fence = Fence(LOG_ID, -1, 0, 0, {}) if stored is None else decode_fence(stored)
        self.shard = Shard(0, stored, fence, lambda _: self._model, FoldSettings())

    def fold(self, up_to: int) -> list[Crossing]:
        """Fold the records of the log that are not folded yet, the last one included."""
        crossings: list[Crossing] = []
        for offset in range(self.shard.offset + 1, up_to + 1):
            record = self._log[offset]
            unknown = self.shard.unknown_leads(leads_of(record))
            if unknown:
                self.shard.load(unknown, self._store.read_leads({0: unknown})[0])
            outputs = self.shard.fold(record, offset, at(offset))
            crossings += [output for output in outputs if isinstance(output, Crossing)]
        return crossings

    def write(self) -> bool:
        """Whether the store is what this worker folded."""
        write = self.shard.pending(0)
        is_written = self._store.write([write])[0] == write.fence
        if is_written:
            self.shard.written(write)
        return is_written


def stored_explanation(store: FakeStore, model: Plain, at_ms: int) -> Explanation:
    outlook = Outlook(decode_state(store.shards[0].leads["L1"]), compiled(model))
    return explanation_of(outlook, outlook.model.main, at_ms)


def test_two_workers_add_to_one_lead_at_once_and_nothing_is_lost() -> None:
    """Not of the total, nor of the groups: neither is read, added to and written back without the fence."""
    log: list[LogRecord] = [
        frame(PAGES, 0, event("e1"), event("e2")),
        frame(PAGES, 0, event("e3", 0, "email.click"), source="email"),
        frame(PAGES, 2, event("e4")),
    ]
    store = FakeStore()
    one, other = Owner(store, PAGES, log), Owner(store, PAGES, log)
    one.fold(1)
    other.fold(0)
    assert one.write()
    assert not other.write(), "it folded less than is stored"
    other.reconcile()
    other.fold(2)
    assert other.write()
    one.fold(2)
    assert one.write(), "both folded the same log, so the same fence: it is there already"
    explanation = stored_explanation(store, PAGES, at(0))
    assert (explanation.score, {part.name: part.points for part in explanation.parts}) == (35, {"view": 30, "click": 5})


def test_events_of_two_matchers_for_one_lead_all_count_in_either_order() -> None:
    frames: list[LogRecord] = [
        frame(PAGES, 0, event("e1"), event("e2")),
        frame(PAGES, 0, event("e3", 0, "email.click"), event("e4", 0, "email.click"), source="email"),
    ]
    scores = []
    for log in (frames, frames[::-1]):
        store = FakeStore()
        owner = Owner(store, PAGES, log)
        owner.fold(1)
        assert owner.write()
        scores.append(stored_explanation(store, PAGES, at(0)).score)
    assert scores == [30, 30]


class Scoring(StageOfScore):
    """A score stage on a log of its own; time passes with each ``turn``, 60 s unless given."""

    def __init__(self, store: FakeStore, records: list[LogRecord]) -> None:
        super().__init__(store, {0: records}, compiled(PAGES), at)

    def turn(self, passes_s: float = 60.0) -> None:
        super().turn(passes_s)


def four_views() -> list[LogRecord]:
    return [frame(PAGES, number, event(f"e{number}")) for number in range(4)]


@pytest.mark.parametrize(
    ("after", "failures", "lines"),
    [(False, 20, 4), (True, 1, 1)],  # forty minutes of failing: one line, and one more every ten minutes
    ids=["not written", "written without an answer"],
)
def test_a_write_that_fails_again_and_again_is_reported_once_and_now_and_then_again_and_retried(
    caplog: pytest.LogCaptureFixture, *, after: bool, failures: int, lines: int
) -> None:
    store = FakeStore()
    scoring = Scoring(store, four_views())
    scoring.turn()
    for _ in range(20):
        store.fail_next("write", "timeout", after=after)
    with caplog.at_level(logging.INFO):
        for _ in range(50):
            scoring.turn()
    said = [record for record in caplog.records if record.getMessage() != "shards_started"]
    assert [record.getMessage() for record in said] == ["score_paused"] * lines + ["score_resumed"]
    assert said[-1].__dict__["count"] == failures
    assert (scoring.failures("timeout"), scoring.is_paused) == (failures, False)
    assert stored_explanation(store, PAGES, at(0)).score == 40
    assert (scoring.committed_offset(0), len(scoring.crossing_ids)) == (4, 1)


def test_while_a_write_fails_nothing_is_published_or_committed() -> None:
    store = FakeStore()
    scoring = Scoring(store, four_views())
    scoring.turn()
    for _ in range(5):
        store.fail_next("write", "oom")
        scoring.turn()
    assert scoring.failures("oom") > 0
    assert (scoring.is_paused, scoring.crossing_ids, scoring.committed_offset(0)) == (True, [], None)


class ContestedStore(FakeStore):
    """Another worker's write comes before each of the first ones."""

    def __init__(self, other_writes: int) -> None:
        super().__init__()
        self.other: Owner | None = None
        self._left = other_writes

    def write(self, writes: Any) -> dict[int, bytes | None]:
        if self.other is not None and self._left:
            self._left -= 1
            other, self.other = self.other, None
            other.reconcile()
            other.fold(other.shard.offset + 1)
            assert other.write()
            self.other = other
        return super().write(writes)


def test_a_conflict_of_two_writers_is_reported_each_time_and_nothing_is_added_twice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = four_views()
    store = ContestedStore(other_writes=3)
    store.other = Owner(store, PAGES, log)
    scoring = Scoring(store, log)
    with caplog.at_level(logging.WARNING):
        for _ in range(9):
            scoring.turn(0.5)  # too short for a look at due leads, which would notice the other fence, too
    assert [record.getMessage() for record in caplog.records].count("fences_changed") == 3
    assert stored_explanation(store, PAGES, at(0)).score == 40
    assert (scoring.committed_offset(0), len(scoring.crossing_ids)) == (4, 1)


def test_a_tick_that_comes_twice_changes_nothing_the_second_time() -> None:
    model = model_of({"view": rule(72)}, thresholds={"mql": {"enter": 65, "exit": 50}})
    tick = Tick(at(16), ["L1"])
    store = FakeStore()
    owner = Owner(store, model, [frame(model, 0, event("e1")), tick, tick])
    owner.fold(0)
    left = owner.fold(1)
    assert owner.write()
    once = store.shards[0].leads["L1"]
    again = owner.fold(2)
    assert owner.write()
    assert [crossing.cause for crossing in left] == [Cause.TIME]
    assert (again, store.shards[0].leads["L1"]) == ([], once)


def test_ticks_that_were_missed_change_neither_scores_nor_crossings() -> None:
    model = model_of({"view": rule(72)}, thresholds={"mql": {"enter": 65, "exit": 50}})
    first = frame(model, 0, event("e1"))
    nightly: list[LogRecord] = [first, *(Tick(at(day), ["L1"]) for day in range(1, 31))]
    late: list[LogRecord] = [first, Tick(at(30), ["L1"])]
    crossings_of_logs = []
    for log in (nightly, late):
        owner = Owner(FakeStore(), model, log)
        crossings = owner.fold(len(log) - 1)
        crossings_of_logs.append(
            [(crossing.id, crossing.direction, crossing.occurred_at_ms, crossing.score) for crossing in crossings]
        )
    assert crossings_of_logs[0] == crossings_of_logs[1]
    assert [direction for _, direction, _, _ in crossings_of_logs[0]] == [Direction.ENTER, Direction.LEAVE]


# --- thresholds ----------------------------------------------------------------------------------------------------


def test_firing_a_threshold_never_alters_it() -> None:
    """It fires again: for the same lead once it was out, and for the next lead at the same levels."""
    plain = model_of({"view": rule(70)}, thresholds={"mql": {"enter": 65, "exit": 50}})
    model = msgspec.convert(plain, ModelDefinition)
    before = msgspec.json.encode(model)
    other = {**event("e9", 41), "lead_id": "L2"}
    crossings = read_at(plain, 42, event("e1"), event("e2", 40), other).crossings
    assert [(crossing.lead_id, crossing.direction.value) for crossing in crossings] == [
        ("L1", "ENTER"),
        ("L1", "LEAVE"),
        ("L1", "ENTER"),
        ("L2", "ENTER"),
    ]
    assert {(crossing.threshold, crossing.enter_level, crossing.exit_level) for crossing in crossings} == {
        ("mql", 65, 50)
    }
    assert msgspec.json.encode(model) == before


STAIRS = model_of(
    {"form": rule(35, "website.form_submitted", decay="none"), "stop": rule(-35, "email.unsubscribe", decay="none")},
    thresholds={
        "thirty": {"enter": 30, "exit": 25},
        "one": {"enter": 1, "exit": 0.5},
        "twenty": {"enter": 20, "exit": 15},
    },
)


def test_35_points_at_once_enter_1_then_20_then_30() -> None:
    simulation = read_at(STAIRS, 1, event("e1", 0, "website.form_submitted"))
    assert [(crossing.threshold, crossing.direction.value, crossing.score) for crossing in simulation.crossings] == [
        ("one", "ENTER", 35),
        ("twenty", "ENTER", 35),
        ("thirty", "ENTER", 35),
    ]
    assert simulation.scores[0].thresholds == dict.fromkeys(("one", "twenty", "thirty"), "in")


def test_35_points_lost_at_once_leave_30_then_20_then_1() -> None:
    events = event("e1", 0, "website.form_submitted"), event("e2", 1, "email.unsubscribe")
    simulation = read_at(STAIRS, 2, *events)
    leaves = [crossing.threshold for crossing in simulation.crossings if crossing.direction is Direction.LEAVE]
    assert leaves == ["thirty", "twenty", "one"]
    assert simulation.scores[0].thresholds == dict.fromkeys(("one", "twenty", "thirty"), "out")


def test_a_subscriber_gets_the_new_score_not_the_one_before() -> None:
    model = model_of({"view": rule(40, decay="none")}, thresholds={"mql": {"enter": 65, "exit": 50}})
    (enter,) = read_at(model, 0, event("e1"), event("e2")).crossings
    assert (enter.previous_score, enter.score, sum(reason.points for reason in enter.reasons)) == (40, 80, 80)


PENALTY_FADES_FIRST = model_of(
    {
        "plus": rule(100, "webinar.attended", decay={"half_life": "30d"}),
        "minus": rule(-60, "webinar.attended", decay={"half_life": "7d"}),
        "view": rule(1),
        "seen": rule(0, "email.open"),
    },
    thresholds={"mql": {"enter": 50, "exit": 30}},
)


def test_time_alone_promotes_no_lead() -> None:
    events = event("e1", 0, "webinar.attended"), event("e2", 12, "email.open")
    assert score_at(PENALTY_FADES_FIRST, 12, *events).score == pytest.approx(57.5, abs=0.1)
    assert read_at(PENALTY_FADES_FIRST, 12, *events).crossings == []


def test_a_tick_promotes_no_lead() -> None:
    log: list[LogRecord] = [
        frame(PENALTY_FADES_FIRST, 0, event("e1", 0, "webinar.attended")),
        Tick(at(12), ["L1"]),
    ]
    assert Owner(FakeStore(), PENALTY_FADES_FIRST, log).fold(1) == []


def test_the_next_record_that_raises_the_score_promotes() -> None:
    (enter,) = read_at(PENALTY_FADES_FIRST, 12, event("e1", 0, "webinar.attended"), event("e2", 12)).crossings
    assert (enter.direction, enter.cause, enter.occurred_at_ms) == (Direction.ENTER, Cause.EVENT, at(12))


# --- penalties -----------------------------------------------------------------------------------------------------


QUIET = model_of(
    {"opened": rule(0, "email.open")},
    conditions={"no_mail_opened": {"when": {"quiet": {"rules": ["opened"], "within": "30d"}}, "points": -10}},
    score={"floor": -100},
    fit={"attributes": {"role": [{"in": ["ceo"], "points": 15}]}},
)


@pytest.mark.parametrize(("day", "expected"), [(5 / 1440, 15), (30, 15), (30.01, 5)])
def test_a_lead_imported_five_minutes_ago_is_not_punished_for_silence(day: float, expected: float) -> None:
    imported = event("e1", 0, "profile.updated", attributes={"role": "ceo"})
    assert score_at(QUIET, day, imported).score == expected


@pytest.mark.parametrize(
    ("penalty", "group", "back_on_day"),
    [
        ({}, {"min": -20}, 0.0),
        ({"decay": {"half_life": "30d"}}, {}, 180.0),
        ({"decay": {"expire": "30d"}}, {}, 31.0),
        ({"max": 20}, {}, 0.0),
    ],
    ids=["the group has a min", "half-life", "expires", "the rule has a max"],
)
def test_a_lead_at_a_deep_negative_can_still_qualify(penalty: Plain, group: Plain, back_on_day: float) -> None:
    model = model_of(
        {"bad": rule(-30, "email.bounce", group="email", **penalty), "good": rule(90, "meeting.booked")},
        groups={"email": group},
        thresholds={"mql": {"enter": 65, "exit": 50}},
    )
    fallen = [event(f"b{number}", 0, "email.bounce") for number in range(10)]
    assert score_at(model, 0, *fallen).score == 0
    awarded = [part.awarded for part in score_at(model, 0, *fallen).explanation.parts]
    assert awarded == [-300]
    back = event("g1", back_on_day, "meeting.booked")
    assert [crossing.direction for crossing in read_at(model, back_on_day, *fallen, back).crossings] == [
        Direction.ENTER
    ]


# --- two records of one person -------------------------------------------------------------------------------------

PERSON = model_of(
    {
        "form": rule(50, "website.form_submitted"),
        "meeting": rule(100, "meeting.booked"),
        "view": rule(5, limit={"times": 1, "per": "day"}),
        "bounce": rule(-5, "email.bounce"),
    },
    score={"ceiling": 1_000},
    fit={"attributes": {"employees": [{"below": 1, "points": -3}, {"at_least": 1, "points": 20}]}},
)


def sent_as(lead_id: str, *events: Plain) -> list[Plain]:
    return [line | {"lead_id": lead_id} for line in events]


def erased(lead_id: str, day: float) -> Plain:
    return event("c1", day, "command.erase") | {"lead_id": lead_id}


def scores_of(day: float, *events: Plain) -> dict[str, float]:
    return {score.lead_id: score.score for score in read_at(PERSON, day, *events).scores}


def test_records_worth_50_and_100_become_one_of_150_in_any_order_and_however_often_they_are_sent() -> None:
    """Before decay: each event keeps its own time, so that its points decay as if it had always been one lead."""
    form, meeting = event("e1", 0, "website.form_submitted"), event("e2", 30, "meeting.booked")
    both = [*sent_as("A", form), *sent_as("B", meeting)]
    assert scores_of(30, *both) == pytest.approx({"A": 25, "B": 100})
    moved = [*sent_as("B", form), erased("A", 30)]
    for log in ([*both, *moved], [*moved, *both], [*both, *moved, *moved, *both], [*moved, *both, *moved]):
        assert scores_of(30, *log) == pytest.approx({"B": 125})
    together = score_at(PERSON, 30, *(line for line in [*both, *moved] if line["lead_id"] == "B"))
    assert sum(part.awarded for part in together.explanation.parts) == 150


def test_an_event_that_both_records_have_counts_once_when_they_become_one() -> None:
    form, view = event("e1", 0, "website.form_submitted"), event("e2", 0)
    both = [*sent_as("A", form, view), *sent_as("B", view)]
    assert scores_of(0, *both) == {"A": 55, "B": 5}
    assert scores_of(0, *both, *sent_as("B", form, view), erased("A", 0)) == {"B": 55}


def test_a_limit_that_both_records_used_holds_for_the_one_they_become() -> None:
    one, other = event("e1", 0), event("e2", 0.5)
    both = [*sent_as("A", one), *sent_as("B", other)]
    assert scores_of(0.5, *both) == pytest.approx({"A": 5, "B": 5}, abs=0.1)
    assert scores_of(0.5, *both, *sent_as("B", one), erased("A", 0.5)) == pytest.approx({"B": 5}, abs=0.1)


def test_a_value_of_0_stays_when_two_records_become_one() -> None:
    """No employees is something known, not something missing that the other record may fill in."""
    none = event("e1", 2, "profile.updated", attributes={"employees": 0})
    some = event("e2", 1, "profile.updated", attributes={"employees": 500})
    both = [*sent_as("A", none), *sent_as("B", some)]
    for log in ([*both, *sent_as("B", none)], [*sent_as("B", none), *both]):
        (lead,) = read_at(PERSON, 3, *log, erased("A", 3)).scores
        assert (lead.lead_id, lead.fit, lead.explanation.parts[0].points) == ("B", -3, -3)


@pytest.mark.parametrize(
    "moved",
    [
        [event("e1", 0, "website.scrolled")],
        [event("e1", 0, "website.form_submitted"), *(event(f"b{number}", 0, "email.bounce") for number in range(10))],
    ],
    ids=["nothing that scores", "points that cancel out"],
)
def test_no_lead_is_unscored_when_two_records_become_one(moved: list[Plain]) -> None:
    log = [*sent_as("A", *moved), *sent_as("B", *moved), erased("A", 0)]
    assert scores_of(0, *log) == {"B": 0}
    assert scores_of(1, *log, *sent_as("B", event("e9", 1, "website.form_submitted"))) == pytest.approx({"B": 50})


# --- outcomes ------------------------------------------------------------------------------------------------------

OUTCOMES = model_of(
    {
        "form": rule(60, "website.form_submitted", decay={"half_life": "10d"}),
        "won": rule(30, "deal.won", decay="none"),
        "rejected": rule(-40, "sales.rejected", decay="none"),
        "spam": rule(0, "sales.spam", disqualifies="sales: spam"),
    },
    conditions={
        "twice": {"when": {"count": {"rules": ["rejected"], "at_least": 2, "within": "90d"}}, "disqualifies": "twice"}
    },
    thresholds={"mql": {"enter": 50, "exit": 30}},
)


@pytest.mark.parametrize("outcome", ["deal.won", "sales.rejected", "sales.spam"])
@pytest.mark.parametrize("late", [False, True], ids=["undone later", "undone before it came"])
def test_when_an_outcome_is_undone_everything_is_as_if_it_had_never_been(outcome: str, *, late: bool) -> None:
    form, after = event("e1", 0, "website.form_submitted"), event("e3", 5, "website.form_submitted")
    said = event("o1", 1, outcome), event("c1", 2, "command.retract", target="o1")
    undone = score_at(OUTCOMES, 5, form, *(said[::-1] if late else said), after)
    never = score_at(OUTCOMES, 5, form, after)
    assert (undone.score, undone.thresholds, undone.disqualified) == (never.score, {"mql": "in"}, None)
    assert [part for part in undone.explanation.parts if part.count] == never.explanation.parts


def test_a_lead_that_an_outcome_took_out_comes_back_with_its_full_score_when_the_outcome_is_undone() -> None:
    form, said = event("e1", 0, "website.form_submitted"), event("o1", 0, "sales.rejected")
    undone = event("c1", 0, "command.retract", target="o1")
    crossings = read_at(OUTCOMES, 0, form, said, undone).crossings
    assert [(crossing.direction.value, crossing.cause.value, crossing.score) for crossing in crossings] == [
        ("ENTER", "EVENT", 60),
        ("LEAVE", "EVENT", 20),
        ("ENTER", "COMMAND", 60),
    ]


def test_a_count_of_outcomes_is_that_of_those_not_undone() -> None:
    said = event("o1", 0, "sales.rejected"), event("o2", 1, "sales.rejected")
    assert score_at(OUTCOMES, 2, *said).disqualified == "twice"
    assert score_at(OUTCOMES, 2, *said, event("c1", 2, "command.retract", target="o1")).disqualified is None


def test_an_outcome_that_the_model_does_not_know_leaves_no_trace_and_freezes_nothing() -> None:
    def told(*outcomes: Plain) -> Simulation:
        forms = [event("e1", 0, "website.form_submitted"), event("e2", 20, "website.form_submitted")]
        return read_at(OUTCOMES, 30, *sorted([*forms, *outcomes], key=lambda line: int(line["occurred_at"])))

    unknown = told(event("o1", 5, "deal.lost"), event("o2", 25, "deal.lost"))
    assert unknown == told()
    assert [(crossing.direction.value, crossing.cause.value) for crossing in unknown.crossings] == [
        ("ENTER", "EVENT"),
        ("LEAVE", "TIME"),
        ("ENTER", "EVENT"),
    ]
    assert unknown.scores[0].score == pytest.approx(60 / 8 + 60 / 2)


# --- a lead of which nothing is known ------------------------------------------------------------------------------


def test_a_lead_that_was_never_scored_reads_as_0_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(json.dumps(PAGES))
    monkeypatch.setenv("LEADSCORE_LOG_PARTITIONS", str(SHARDS))
    monkeypatch.setattr(explain, "make_store", lambda _config: FakeStore())
    assert main(["explain", "--model", str(path), "--json", "nobody"]) == 0
    lead = json.loads(capsys.readouterr().out)
    assert (lead["score"], lead["scored"]) == (0.0, False)


def test_a_lead_whose_events_match_nothing_reads_as_0() -> None:
    lead = score_at(PAGES, 0, event("e1", 0, "website.scrolled"))
    assert (lead.score, lead.thresholds, lead.explanation.parts) == (0, {"mql": "out"}, [])
