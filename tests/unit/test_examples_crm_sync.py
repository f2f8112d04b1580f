"""examples/crm_sync: whatever the order in which partitions are read, and wherever it crashes, the CRM is the same."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

import pytest

from crm_sync.__main__ import OURS, Sync
from subscriber import Refused
from tests.http_stand_in import Crm
from tests.unit.crashing_sync import CrashingApi, Records, run, tasks, work

SEEDS = 200
START = datetime(2026, 1, 5, tzinfo=UTC)


class History:
    """Crossings by lead, in the order decided."""

    def __init__(self) -> None:
        self.partitions: Records = {}
        self._minutes = count()

    def enter(self, lead: str, cause: str = "EVENT", merged_with: str | None = None) -> str:
        enter_id = f"enter-{lead}-{len(self.partitions.get(lead, []))}"
        self._add(lead, id=enter_id, direction="ENTER", cause=cause, merged_with=merged_with, entered_id=None)
        return enter_id

    def leave(self, lead: str, entered_id: str, cause: str = "TIME", merged_with: str | None = None) -> None:
        leave_id = f"leave-of-{entered_id}"
        self._add(lead, id=leave_id, direction="LEAVE", cause=cause, merged_with=merged_with, entered_id=entered_id)

    def erase(self, *leads: str) -> None:
        for lead in leads:
            self.partitions.setdefault(lead, []).append(lead)

    def _add(self, lead: str, **fields: Any) -> None:
        decided_at = START + timedelta(minutes=next(self._minutes))
        shown = {"score": 70.0, "engagement": 50.0, "fit": 20.0, "grade": "B", "reasons": [], "stale": False}
        times = {"decided_at": decided_at, "occurred_at": decided_at, "projected_exit_at": None}
        crossing = {"lead_id": lead, "threshold": "mql", **shown, **times, **fields}
        self.partitions.setdefault(lead, []).append(crossing)


def in_every_order(make: Callable[[History], object], check: Callable[[Crm], None]) -> None:
    for seed in range(SEEDS):
        history = History()
        make(history)
        crm = run(history.partitions, Random(seed))
        try:
            check(crm)
        except AssertionError as failure:
            raise AssertionError(f"seed {seed}: {failure}") from failure


def test_an_enter_opens_one_task_and_its_leave_closes_it() -> None:
    def make(history: History) -> None:
        history.leave("a", history.enter("a"))
        history.enter("a")

    def check(crm: Crm) -> None:
        assert tasks(crm) == {"enter-a-2": "a"}
        assert tasks(crm, "closed") == {"enter-a-0": "a"}
        assert crm.contacts["a"]["scored_at"] == "2026-01-05T00:02:00.000Z"

    in_every_order(make, check)


def test_a_task_of_an_alias_becomes_that_of_the_lead_whichever_crossing_comes_first() -> None:
    def make(history: History) -> None:
        history.leave("b", history.enter("b"), "MERGED", "a")
        history.enter("a", "MERGED", "b")

    def check(crm: Crm) -> None:
        assert list(crm.tasks) == ["enter-a-0"]
        assert tasks(crm) == {"enter-a-0": "a"}
        assert crm.contacts["b"]["merged_into"] == "a"
        assert crm.contacts["b"]["merged_at"] == "2026-01-05T00:02:00.000Z"  # the later of both
        assert crm.contacts["b"]["score"] is None
        assert crm.contacts["a"]["score"] == 70.0

    in_every_order(make, check)


def test_what_sales_wrote_on_a_task_survives_the_merge_and_what_it_finished_stays_finished() -> None:
    for finished in (False, True):
        history = History()
        history.leave("b", history.enter("b"), "MERGED", "a")
        history.enter("a", "MERGED", "b")
        enter_b, leave_b = history.partitions["b"]
        for rest in ([leave_b, *history.partitions["a"]], [*history.partitions["a"], leave_b]):
            crm = Crm()
            sync = Sync(CrashingApi(crm), None)  # type: ignore[arg-type]
            work(sync, enter_b)
            crm.tasks["enter-b-0"]["note"] = "called on Monday"
            if finished:
                crm.tasks["enter-b-0"]["state"] = "done"
            for record in rest:
                work(sync, record)
            [task] = crm.tasks.values()
            assert (task["external_id"], task["contact"], task["note"]) == ("enter-a-0", "a", "called on Monday")
            assert task["state"] == ("done" if finished else "open")


def test_a_merge_into_a_lead_that_has_a_task_or_may_have_none_closes_the_one_of_the_alias() -> None:
    def both_in(history: History) -> None:
        history.enter("a")
        history.leave("b", history.enter("b"), "MERGED", "a")

    def lead_is_out(history: History) -> None:
        history.leave("b", history.enter("b"), "MERGED", "a")

    def check_both(crm: Crm) -> None:
        assert (tasks(crm), tasks(crm, "closed")) == ({"enter-a-0": "a"}, {"enter-b-0": "b"})

    def check_out(crm: Crm) -> None:
        assert (tasks(crm), tasks(crm, "closed")) == ({}, {"enter-b-0": "b"})
        assert crm.contacts["b"]["score"] is None

    in_every_order(both_in, check_both)
    in_every_order(lead_is_out, check_out)


def test_a_task_of_a_qualification_that_was_over_is_not_taken_for_the_one_of_the_merge() -> None:
    crm = Crm()
    sync = Sync(CrashingApi(crm), None)  # type: ignore[arg-type]
    history = History()
    history.leave("b", history.enter("b"))
    history.leave("b", history.enter("b"), "MERGED", "a")
    history.enter("a", "MERGED", "b")
    of_alias = history.partitions["b"]
    for record in (*of_alias[:2], *history.partitions["a"], *of_alias[2:]):
        work(sync, record)
    assert (tasks(crm), tasks(crm, "closed")) == ({"enter-a-0": "a"}, {"enter-b-0": "b"})


def test_two_processes_may_open_the_tasks_of_both_ids_at_once() -> None:
    crm = Crm()
    sync = Sync(CrashingApi(crm), None)  # type: ignore[arg-type]
    history = History()
    history.leave("b", history.enter("b"), "MERGED", "a")
    history.enter("a", "MERGED", "b")
    [enter_b, leave_b], [enter_a] = history.partitions["b"], history.partitions["a"]
    work(sync, enter_b)
    crm.tasks["enter-a-0"] = {**crm.tasks["enter-b-0"], "external_id": "enter-a-0", "contact": "a"}
    for record in (leave_b, enter_a, enter_a):
        work(sync, record)
    assert (tasks(crm), tasks(crm, "closed")) == ({"enter-a-0": "a"}, {"enter-b-0": "b"})


def test_after_a_chain_of_merges_one_task_is_open() -> None:
    def make(history: History) -> None:
        history.leave("b", history.enter("b"), "MERGED", "a")
        history.leave("a", history.enter("a", "MERGED", "b"), "MERGED", "c")
        history.enter("c", "MERGED", "a")

    in_every_order(make, lambda crm: assert_open(crm, {"enter-c-0": "c"}))


def test_a_lead_that_is_merged_in_a_circle_keeps_its_task() -> None:
    def make(history: History) -> None:
        history.leave("b", history.enter("b"), "MERGED", "a")
        history.leave("a", history.enter("a", "MERGED", "b"), "MERGED", "b")
        history.enter("a", "MERGED", "a")

    def check(crm: Crm) -> None:
        assert_open(crm, {"enter-a-2": "a"})
        assert (crm.contacts["a"]["score"], crm.contacts["a"]["merged_into"]) == (70.0, None)
        assert crm.contacts["b"]["merged_into"] == "a"

    in_every_order(make, check)


def test_after_two_aliases_one_task_is_open_until_the_lead_leaves() -> None:
    def make(history: History) -> str:
        history.leave("b1", history.enter("b1"), "MERGED", "a")
        enter_id = history.enter("a", "MERGED", "b1")
        history.leave("b2", history.enter("b2"), "MERGED", "a")
        return enter_id

    in_every_order(make, lambda crm: assert_open(crm, {"enter-a-0": "a"}))
    in_every_order(lambda history: history.leave("a", make(history)), lambda crm: assert_open(crm, {}))


def test_a_visitor_who_qualifies_by_becoming_known_is_a_new_task_that_notifies() -> None:
    def make(history: History) -> None:
        history.enter("a", "MERGED")

    def check(crm: Crm) -> None:
        assert [task["notify"] for task in crm.tasks.values()] == [True]

    in_every_order(make, check)


def assert_open(crm: Crm, expected: dict[str, str]) -> None:
    assert tasks(crm) == expected


def test_nothing_of_an_erased_person_is_left() -> None:
    def make(history: History) -> None:
        history.leave("b", history.enter("b"), "MERGED", "a")
        history.enter("a", "MERGED", "b")
        history.erase("b", "a")

    def check(crm: Crm) -> None:
        assert crm.tasks == {}
        assert {name: contact[name] for contact in crm.contacts.values() for name in OURS if contact.get(name)} == {}

    in_every_order(make, check)


def test_a_direction_newer_than_the_program_breaks_nothing() -> None:
    crm = Crm()
    history = History()
    history._add("a", id="x", direction="UNKNOWN", cause="UNKNOWN", merged_with=None, entered_id=None)
    work(Sync(CrashingApi(crm), None), history.partitions["a"][0])  # type: ignore[arg-type]
    assert (crm.tasks, crm.contacts["a"]["score"]) == ({}, 70.0)


def test_a_leave_that_ends_nothing_is_refused() -> None:
    history = History()
    history._add("a", id="x", direction="LEAVE", cause="TIME", merged_with=None, entered_id=None)
    with pytest.raises(Refused, match="entered_id"):
        work(Sync(CrashingApi(Crm()), None), history.partitions["a"][0])  # type: ignore[arg-type]


def latest_score(lead: str, minute: int, **fields: Any) -> dict[str, Any]:
    """A record of the topic of scores."""
    places = [{"threshold": "mql", "place": "IN"}, {"threshold": "hot", "place": "OUT"}]
    shown = {"score": 40.0, "engagement": 30.0, "fit": 10.0, "grade": "C", "band": "warm", "disqualified": None}
    others = {"upsell": {"score": 20.0}, "service": {"score": 12.34}}
    times = {"decided_at": START + timedelta(minutes=minute), "revision": 1}
    return {"lead_id": lead, "thresholds": places, "scores": others, **shown, **times, **fields}


def test_the_topic_of_scores_has_the_last_word_on_fields() -> None:
    crm = Crm()
    sync = Sync(CrashingApi(crm), None, object(), "scores")  # type: ignore[arg-type]
    history = History()
    history.enter("a")
    sync.score(latest_score("a", 5))
    [enter_a] = history.partitions["a"]
    assert isinstance(enter_a, dict)
    sync.cross({**enter_a, "decided_at": START + timedelta(minutes=9)})
    sync.score(latest_score("a", 4, score=1.0))
    sync.score(latest_score("a", 5, score=2.0, revision=0))
    assert {name: crm.contacts["a"][name] for name in ("score", "band", "in_thresholds", "other_scores")} == {
        "score": 40.0,
        "band": "warm",
        "in_thresholds": "mql",
        "other_scores": "service 12.3, upsell 20.0",
    }
    sync.score(latest_score("a", 5, score=41.0, revision=2))
    assert crm.contacts["a"]["score"] == 41.0
    assert tasks(crm) == {"enter-a-0": "a"}
    sync.clear_score("a")
    assert {name for name in OURS if crm.contacts["a"].get(name) is not None} == set()
    sync.clear_score("nobody")
    assert "nobody" not in crm.contacts


def test_a_crossing_of_another_score_makes_a_task_and_leaves_the_score_of_the_contact() -> None:
    crm = Crm()
    history = History()
    history._add("a", id="x", direction="ENTER", cause="EVENT", merged_with=None, entered_id=None, score_name="upsell")
    work(Sync(CrashingApi(crm), None), history.partitions["a"][0])  # type: ignore[arg-type]
    assert [(task["score_name"], task["score"]) for task in crm.tasks.values()] == [("upsell", 70.0)]
    assert crm.contacts == {}


def test_a_score_from_before_the_merge_is_not_written_on_the_alias() -> None:
    crm = Crm()
    sync = Sync(CrashingApi(crm), None, object(), "scores")  # type: ignore[arg-type]
    history = History()
    history.leave("b", history.enter("b"), "MERGED", "a")
    for record in history.partitions["b"]:
        work(sync, record)
    sync.score(latest_score("b", 1))
    assert crm.contacts["b"]["score"] is None
    sync.score(latest_score("b", 9))  # the alias has expired, the id is a new lead's
    assert crm.contacts["b"]["score"] == 40.0
