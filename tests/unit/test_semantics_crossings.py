"""Design 1.7: what a crossing says."""

from uuid import NAMESPACE_URL, UUID, uuid5

import pytest

from leadscore.scoring.crossing import Cause, Crossing, Direction, Reason, Trigger
from tests.oracle import DAY_MS, Entry
from tests.simulated import simulated
from tests.unit.semantics import ShardOfOne, act, at, command, mql, profile, rule, run, stop, visit

NAMESPACE = uuid5(NAMESPACE_URL, "urn:leadscore:crossing")


def in_and_out() -> tuple[Crossing, Crossing]:
    enter, leave = run(mql(), 3, visit("e1", 0, campaign="spring"), stop("e2", 1)).crossings
    return enter, leave


def test_a_crossing_carries_everything_a_subscriber_needs() -> None:
    """The whole of it, and of what it says nothing else."""
    fit = {"attributes": {"role": [{"in": ["ceo"], "points": 5}]}, "grades": {"A": 50, "B": 5}}
    model = mql() | {"fit": fit, "version": 7}
    before = profile("p1", 0, role="ceo")
    enter, leave = ShardOfOne(model).apply(7, before, visit("e1", 0, campaign="spring"), stop("e2", 1), log_day=1.5)
    entered = uuid5(NAMESPACE, "m\x1fL1\x1fmql\x1fvisit\x1fe1")
    assert enter == Crossing(
        id=str(entered),
        model="m",
        model_version=7,
        lead_id="L1",
        threshold="mql",
        direction=Direction.ENTER,
        cause=Cause.EVENT,
        entered_id=None,
        sequence=1,
        score=65,
        previous_score=5,
        engagement=60,
        fit=5,
        grade="B",
        enter_level=50,
        exit_level=30,
        occurred_at_ms=at(0),
        decided_at_ms=at(1.5),
        projected_exit_at_ms=None,
        trigger=Trigger("website", "e1", "visit", "spring"),
        reasons=[Reason("visit", 60), Reason("role", 5)],
        stale=True,
    )
    assert leave == Crossing(
        id=str(uuid5(entered, "leave")),
        model="m",
        model_version=7,
        lead_id="L1",
        threshold="mql",
        direction=Direction.LEAVE,
        cause=Cause.EVENT,
        entered_id=str(entered),
        sequence=2,
        score=25,
        previous_score=65,
        engagement=20,
        fit=5,
        grade="B",
        enter_level=50,
        exit_level=30,
        occurred_at_ms=at(1),
        decided_at_ms=at(1.5),
        projected_exit_at_ms=None,
        trigger=Trigger("website", "e2", "stop", None),
        reasons=[Reason("visit", 60), Reason("stop", -40), Reason("role", 5)],
        stale=False,
    )


def test_the_id_of_an_enter_by_a_command_is_that_of_the_command() -> None:
    (enter,) = run(mql(), 1, command("adjust", "c1", 0, points=50)).crossings
    assert enter.id == str(uuid5(NAMESPACE, "m\x1fL1\x1fmql\x1fcommand.adjust\x1fc1"))
    assert enter.trigger == Trigger(None, "c1", "command.adjust", None)


def test_the_previous_score_has_decayed_to_the_instant_of_the_record() -> None:
    model = mql({"visit": rule(40, decay={"half_life": "1d"}), "form": rule(45, "form")})
    (enter,) = run(model, 1, visit("e1", 0), act("form", "e2", 1)).crossings
    assert (enter.previous_score, enter.score) == (20, 65)


def test_the_id_of_an_enter_is_that_of_model_lead_threshold_and_causing_record() -> None:
    enter, _ = in_and_out()
    assert enter.id == str(uuid5(NAMESPACE, "m\x1fL1\x1fmql\x1fvisit\x1fe1"))
    assert enter.entered_id is None


def test_the_id_of_a_leave_is_that_of_the_enter_it_ends() -> None:
    enter, leave = in_and_out()
    assert leave.id == str(uuid5(UUID(enter.id), "leave"))
    assert leave.entered_id == enter.id


def test_the_same_fact_has_the_same_id_under_another_model_version() -> None:
    newer = mql() | {"version": 2}
    assert [c.id for c in run(newer, 3, visit("e1", 0)).crossings] == [in_and_out()[0].id]


def test_points_are_those_at_occurred_at_and_the_previous_score_that_just_before() -> None:
    enter, leave = in_and_out()
    assert (enter.previous_score, enter.score, enter.engagement, enter.fit) == (0, 60, 60, 0)
    assert (leave.previous_score, leave.score, leave.engagement, leave.fit) == (60, 20, 20, 0)
    assert (enter.enter_level, enter.exit_level) == (50, 30)


def test_the_previous_score_of_a_leave_by_time_is_its_score() -> None:
    model = mql({"visit": rule(60, decay={"expire": "3d"}), "form": rule(5, "form")})
    _, leave = run(model, 9, visit("e1", 0), act("form", "e2", 1)).crossings
    assert (leave.previous_score, leave.score, leave.cause, leave.trigger) == (5, 5, "TIME", None)


def test_a_crossing_names_the_record_behind_it_and_its_campaign() -> None:
    enter, leave = in_and_out()
    assert enter.trigger is not None
    assert leave.trigger is not None
    assert (enter.trigger.event_id, enter.trigger.type, enter.trigger.campaign) == ("e1", "visit", "spring")
    assert (leave.trigger.event_id, leave.trigger.type, leave.trigger.campaign) == ("e2", "stop", None)


def test_decided_at_is_the_log_records_timestamp() -> None:
    (enter,) = simulated(mql(), [Entry(visit("e1", 0), at(0, 1234))], at(1)).crossings
    assert (enter.occurred_at_ms, enter.decided_at_ms) == (at(0), at(0, 1234))


@pytest.mark.parametrize(("late_ms", "stale"), [(DAY_MS, False), (DAY_MS + 1, True)])
def test_a_crossing_decided_more_than_stale_after_it_occurred_is_stale(late_ms: int, stale: bool) -> None:
    (enter,) = simulated(mql(), [Entry(visit("e1", 0), at(0, late_ms))], at(3)).crossings
    assert enter.stale is stale


def test_the_projected_exit_is_when_the_lead_leaves_if_nothing_else_happens() -> None:
    model = mql({"visit": rule(60, decay={"half_life": "10d"})})
    enter, leave = run(model, 30, visit("e1", 0)).crossings
    assert enter.projected_exit_at_ms == leave.occurred_at_ms == pytest.approx(at(10), abs=1_000)
    assert run(mql(), 1, visit("e1", 0)).crossings[0].projected_exit_at_ms is None


def test_the_reasons_are_the_parts_with_the_most_points_first() -> None:
    model = mql({"visit": rule(60), "tiny": rule(0.001), "stop": rule(-3), "form": rule(2)})
    (enter,) = run(model, 1, visit("e1", 0)).crossings
    assert [(reason.name, reason.points) for reason in enter.reasons] == [("visit", 60), ("stop", -3), ("form", 2)]


def test_a_reason_is_within_the_max_of_its_rule() -> None:
    (enter,) = run(mql({"visit": rule(80, max=55)}), 1, visit("e1", 0)).crossings
    assert enter.reasons == [Reason("visit", 55)]


def test_reasons_of_the_same_size_are_in_the_order_of_their_names() -> None:
    (enter,) = run(mql({name: rule(20) for name in ("zeta", "alpha", "mid")}), 1, visit("e1", 0)).crossings
    assert [reason.name for reason in enter.reasons] == ["alpha", "mid", "zeta"]


def test_reasons_whose_sizes_differ_only_by_rounding_are_in_the_order_of_their_names() -> None:
    """15 points after two half-lives are 3.75; read on the way at thirds, they are a bit more in the last place."""
    old = rule(15, "mail", decay={"half_life": "1d"})
    rules = {"zeta": old, "alpha": rule(3.75, "form"), "form": rule(50, "form"), "look": rule(0, "look")}
    before = act("mail", "e1", 0), act("look", "e2", 2 / 3), act("look", "e3", 4 / 3)
    (enter,) = run(mql(rules), 2, *before, act("form", "e4", 2)).crossings
    assert enter.reasons == [Reason("form", 50), Reason("alpha", 3.75), Reason("zeta", 3.7500000000000004)]


def test_a_reason_of_the_least_size_may_miss_it_by_rounding() -> None:
    (enter,) = run(mql({"visit": rule(60), "tiny": rule(0.005 - 1e-12)}), 1, visit("e1", 0)).crossings
    assert [reason.name for reason in enter.reasons] == ["visit", "tiny"]


def test_only_the_top_reasons_are_reported() -> None:
    (enter,) = run(mql({f"r{points}": rule(points) for points in range(10, 20)}), 1, visit("e1", 0)).crossings
    assert [reason.name for reason in enter.reasons] == ["r19", "r18", "r17", "r16", "r15"]


def test_the_projected_exit_of_a_lead_that_a_condition_will_take_out_is_that_instant() -> None:
    busy = {"when": {"count": {"rules": ["visit"], "at_least": 1, "within": "7d"}}, "points": 40}
    model = mql({"visit": rule(20)}) | {"conditions": {"busy": busy}}
    assert run(model, 1, visit("e1", 0)).crossings[0].projected_exit_at_ms == at(7)
