"""Design 1.9: what is kept of a lead, what falls out of it, and when a lead is forgotten."""

from typing import Any

import msgspec
import pytest

from leadscore.model.definition import ModelDefinition
from leadscore.scoring.context import FoldContext, FoldSettings
from leadscore.scoring.fold import remembered
from leadscore.scoring.recent import ROW, every_row, time_of
from leadscore.scoring.simulation import simulate
from leadscore.scoring.state import FORMAT, StateFormatError, decode_state, encode_state
from tests.oracle import DAY_MS, Plain
from tests.simulated import event_of
from tests.unit.semantics import ShardOfOne, act, at, clicks, command, line, model_of, profile, rule, visit

MS = 1 / DAY_MS
RECENT = 64
MQL = {"mql": {"enter": 50, "exit": 30}}


def engagement(model: Plain, day: float, *events: Plain) -> float:
    return line(model, day, *events).engagement


# --- the bytes ------------------------------------------------------------------------------------------------------


def busy_shard() -> ShardOfOne:
    """A lead of which something of everything is known."""
    rules = {
        "visit": rule(5, limit={"times": 3, "per": "week"}, decay={"half_life": "9d"}),
        "paper": rule(7, "paper", once_per="asset", decay={"linear": "90d"}),
        "click": rule(0.5, "click", exclude_burst={"at_least": 9, "within": "1s"}),
        "stop": rule(-3, "stop", disqualifies="complained"),
    }
    fit = {"attributes": {"role": [{"in": ["ceo"], "points": 15}]}}
    shard = ShardOfOne(model_of(rules, fit=fit, thresholds={"mql": {"enter": 10, "exit": 2}}))
    shard.apply(1, profile("p1", 0, role="ceo"), visit("e1", 0), act("paper", "e2", 0, asset="a"), *clicks(70, 1))
    shard.apply(1, act("stop", "e3", 2), command("requalify", "c1", 3), command("retract", "c2", 4, target="e9"))
    shard.apply(1, command("suspend", "c3", 4), command("reset", "c4", 1), command("adjust", "c5", 4, points=2))
    return shard


def test_the_format_starts_with_a_version_byte() -> None:
    assert encode_state(busy_shard().state())[0] == FORMAT


def test_a_state_read_back_is_the_state_that_was_written() -> None:
    data = busy_shard().lead_write().state
    assert data is not None
    assert encode_state(decode_state(data)) == data


@pytest.mark.parametrize("data", [b"", bytes([FORMAT + 1]) + b"\x90", bytes([FORMAT]) + b"\xc1", bytes([FORMAT])])
def test_a_state_of_an_unknown_format_is_refused(data: bytes) -> None:
    with pytest.raises(StateFormatError, match="lead state"):
        decode_state(data)


def test_points_that_age_in_days_are_kept_per_utc_day() -> None:
    shard = ShardOfOne(model_of({"visit": rule(10, decay={"linear": "60d"})}))
    shard.apply(1, visit("e1", 0), visit("e2", 0.9), visit("e3", 1))
    today = at(0) // DAY_MS
    assert shard.state().totals == [{today: 20, today + 1: 10}]


# --- the recent events ----------------------------------------------------------------------------------------------

TEN: Plain = model_of({"visit": rule(10), "click": rule(0, "click")}, score={"ceiling": 100_000})


def test_the_recent_events_are_the_last_64_by_time_not_by_arrival() -> None:
    shard = ShardOfOne(TEN)
    events = [visit(f"e{day}", day) for day in range(RECENT + 2)]
    shard.apply(1, *events[2:], events[1], events[0])
    state = shard.state()
    assert [time_of(row) for row in every_row(state.rows)] == [at(day) for day in range(2, RECENT + 2)]


def test_events_that_fell_out_keep_their_points() -> None:
    assert engagement(TEN, 99, *(visit(f"e{day}", day) for day in range(80))) == 800


def test_points_of_events_that_fell_out_go_on_decaying() -> None:
    model = TEN | {"rules": {"visit": rule(64, decay={"half_life": "1d"}), "click": rule(0, "click")}}
    assert engagement(model, 6, visit("e1", 0), *clicks(RECENT, 5)) == pytest.approx(1, abs=1e-9)


def test_deduplication_reaches_as_far_as_the_recent_events() -> None:
    kept, gone = [visit("e1", 0), *clicks(RECENT - 1, 1)], [visit("e1", 0), *clicks(RECENT, 1)]
    assert engagement(TEN, 2, *kept, visit("e1", 0)) == 10
    assert engagement(TEN, 2, *gone, visit("e1", 0)) == 20


def test_a_retraction_reaches_as_far_as_the_recent_events() -> None:
    retract = command("retract", "c1", 2, target="e1")
    assert engagement(TEN, 2, visit("e1", 0), *clicks(RECENT - 1, 1), retract) == 0
    assert engagement(TEN, 2, visit("e1", 0), *clicks(RECENT, 1), retract) == 10


@pytest.mark.parametrize(("recent_events", "expected"), [(2, 10), (1, 20)])
def test_how_many_events_are_recent_is_configurable(recent_events: int, expected: float) -> None:
    log = [(event_of(one), one["occurred_at"]) for one in (visit("e1", 0), act("click", "e2", 1))]
    again = (event_of(visit("e1", 0)), at(1))
    settings = FoldSettings(recent_events=recent_events)
    (score_line,) = simulate(msgspec.convert(TEN, ModelDefinition), [*log, again], at(2), settings).scores
    assert score_line.engagement == expected


def with_rule(**parts: Any) -> Plain:
    return TEN | {"rules": {"visit": rule(10, **parts), "click": rule(0, "click")}}


@pytest.mark.parametrize("decay", ["none", {"half_life": "20d"}, {"expire": "90d"}])
def test_a_limit_for_ever_reaches_beyond_the_recent_events(decay: Plain | str) -> None:
    model = with_rule(limit={"times": 2, "per": "forever"}, decay=decay)
    first = visit("e1", 0), visit("e2", 0), *clicks(RECENT, 1)
    assert engagement(model, 3, *first, visit("e3", 3)) == pytest.approx(engagement(model, 3, *first), abs=1e-9)


def test_once_per_reaches_beyond_the_recent_events() -> None:
    first = visit("e1", 0, asset="a"), *clicks(RECENT, 1)
    assert engagement(with_rule(once_per="asset"), 3, *first, visit("e2", 3, asset="a")) == 10
    assert engagement(with_rule(once_per="asset"), 3, *first, visit("e2", 3, asset="b")) == 20


@pytest.mark.parametrize("per", ["day", "week"])
def test_a_limit_per_day_or_week_reaches_beyond_the_recent_events(per: str) -> None:
    model = with_rule(limit={"times": 3, "per": per})
    events = [visit(f"e{number}", 4, number * 60_000) for number in range(RECENT + 20)]
    assert engagement(model, 5, *events) == 30
    assert engagement(model, 12, *events, visit("next", 11)) == 40


def test_a_burst_goes_on_beyond_the_recent_events() -> None:
    model = with_rule(exclude_burst={"at_least": 3, "within": "2s"})
    events = [visit(f"e{number}", 0, number * 1_000) for number in range(RECENT + 20)]
    assert engagement(model, 1, *events) == 0


def test_quiet_remembers_when_an_event_was_last_seen_beyond_the_recent_events() -> None:
    silent = {"when": {"quiet": {"rules": ["visit"], "within": "7d"}}, "points": 3}
    model = TEN | {"conditions": {"silent": silent}}
    events = visit("e1", 0), visit("e2", 5), *clicks(RECENT, 6)
    assert [engagement(model, day, *events) for day in (12, 12 + MS)] == [20, 23]


def test_a_disqualification_reaches_beyond_the_recent_events() -> None:
    model = with_rule(disqualifies="complained")
    events = visit("e1", 0), *clicks(RECENT, 1)
    assert line(model, 9, *events).disqualified == "complained"
    assert line(model, 9, *events, command("requalify", "c1", 0)).disqualified == "complained"
    assert line(model, 9, *events, command("requalify", "c1", 0, 1)).disqualified is None


def test_attributes_reach_beyond_the_recent_events() -> None:
    model = TEN | {"fit": {"attributes": {"role": [{"in": ["ceo"], "points": 15}, {"exists": False, "points": 2}]}}}
    assert line(model, 9, profile("e1", 0, role="ceo"), *clicks(RECENT, 1)).fit == 15
    removed = profile("e1", 0, role="ceo"), profile("e2", 0.5, role=None), *clicks(RECENT, 1)
    assert line(model, 9, *removed).fit == 2
    assert line(model, 9, profile("e2", 0.5, role="ceo"), *clicks(RECENT, 1), profile("e1", 0, role="x")).fit == 15


def test_a_late_event_next_to_what_fell_out_is_in_their_burst() -> None:
    model = with_rule(exclude_burst={"at_least": 3, "within": "2s"})
    events = visit("e1", 0), visit("e2", 0, 1_000), *clicks(RECENT, 1)
    assert engagement(model, 3, *events, visit("e3", 0, 2_000)) == 20
    assert engagement(model, 3, *events, visit("e3", 0, 3_001)) == 30


@pytest.mark.parametrize(("parts", "since"), [
    ({"limit": {"times": 1, "per": "forever"}}, 5 + MS), ({"once_per": "asset"}, 5 + MS),
    ({"exclude_burst": {"at_least": 2, "within": "2s"}}, 0),
])  # fmt: skip
def test_quiet_remembers_what_it_saw_beyond_the_recent_events_counted_or_not(parts: Plain, since: float) -> None:
    silent = {"when": {"quiet": {"rules": ["visit"], "within": "7d"}}, "points": 3}
    model = with_rule(**parts) | {"conditions": {"silent": silent}}
    events = visit("e1", 0), visit("e2", 5), visit("e3", 5, 1), *clicks(RECENT, 6)
    before, after = (engagement(model, since + 7 + plus, *events) for plus in (0, MS))
    assert after - before == 3


def test_a_disqualifying_burst_disqualifies_no_lead_beyond_the_recent_events() -> None:
    model = with_rule(disqualifies="complained", exclude_burst={"at_least": 2, "within": "2s"})
    assert line(model, 9, visit("e1", 0), visit("e2", 0, 1_000), *clicks(RECENT, 1)).disqualified is None


def test_an_adjustment_that_fell_out_is_no_first_event() -> None:
    silent = {"when": {"quiet": {"rules": ["visit"], "within": "7d"}}, "points": 3}
    model = TEN | {"conditions": {"silent": silent}}
    events = command("adjust", "c1", 0, points=1), *clicks(RECENT, 5)
    assert [engagement(model, day, *events) for day in (12, 12 + MS)] == [1, 4]


def test_a_first_event_that_fell_out_still_ends_the_newcomers_grace() -> None:
    silent = {"when": {"quiet": {"rules": ["visit"], "within": "7d"}}, "points": 3}
    model = TEN | {"conditions": {"silent": silent}}
    assert engagement(model, 8, *clicks(1, 0), *(act("click", f"c{n}", 5, n) for n in range(RECENT))) == 3


def test_a_retraction_leaves_the_points_of_what_fell_out() -> None:
    for parts in ({}, {"limit": {"times": 1, "per": "day"}}, {"decay": {"expire": "90d"}}):
        events = visit("e1", 0), *clicks(RECENT, 1), visit("e2", 3)
        assert engagement(with_rule(**parts), 4, *events) == 20
        assert engagement(with_rule(**parts), 4, *events, command("retract", "c1", 4, target="e2")) == 10


def test_a_retracted_event_leaves_room_among_the_recent_events() -> None:
    events = visit("e1", 0), visit("e2", 0), command("retract", "c1", 1, target="e2"), *clicks(RECENT - 1, 1)
    assert engagement(TEN, 2, *events, visit("e1", 0)) == 10


def test_as_many_retractions_are_remembered_as_recent_events() -> None:
    orders = [command("retract", f"c{number}", 1, number, target=f"e{number}") for number in range(RECENT + 1)]
    assert engagement(TEN, 2, *orders, visit("e1", 0), visit(f"e{RECENT}", 0)) == 0
    assert engagement(TEN, 2, *orders, visit("e0", 0)) == 10


def test_a_reset_takes_what_fell_out_as_a_whole() -> None:
    for parts in ({}, {"limit": {"times": 5, "per": "day"}}, {"decay": {"expire": "90d"}}):
        events = visit("e1", 0), visit("e2", 1), *clicks(RECENT, 2)
        assert engagement(with_rule(**parts), 4, *events, command("reset", "c1", 1)) == 0
        assert engagement(with_rule(**parts), 4, *events, command("reset", "c1", 0.5)) == 20


def test_a_reset_does_not_lift_a_disqualification_that_fell_out() -> None:
    model = with_rule(disqualifies="complained")
    events = visit("e1", 0), *clicks(RECENT, 1), command("reset", "c1", 2)
    assert line(model, 9, *events).disqualified == "complained"


def test_a_lead_may_have_recent_events_of_hundreds_of_rules() -> None:
    rules = {f"r{number}": rule(number, f"t{number // 5}") for number in range(400)}
    events = [act(f"t{number}", f"e{number}", 0, number) for number in range(60)]
    told = line(model_of(rules), 1, *events)
    assert told.engagement == sum(range(300))
    assert sum(part.count for part in told.explanation.parts) == 300


# --- forgetting -----------------------------------------------------------------------------------------------------

DECAYING: Plain = {"decay": {"half_life": "1d"}, "forget_after": "30d"}


SILENT: Plain = {"when": {"quiet": {"rules": ["visit"], "within": "7d"}}, "disqualifies": "silent"}


def is_forgotten(model: Plain, log_day: float, *events: Plain) -> bool:
    shard = ShardOfOne(model)
    shard.apply(1, *events)
    context = FoldContext(shard.models[1], None, shard.models.__getitem__, at(log_day), FoldSettings())
    return remembered(shard.state(), context) is None


def decaying_model(rules: Plain | None = None, **parts: object) -> Plain:
    return model_of(rules or {"visit": rule(10), "click": rule(0, "click")}, **{**DECAYING, **parts})


def test_a_lead_is_forgotten_when_its_latest_record_is_older_than_forget_after() -> None:
    events = visit("e1", 0), act("click", "e2", 5)
    assert [is_forgotten(decaying_model(), day, *events) for day in (35, 35 + MS)] == [False, True]


def test_a_command_is_a_record_too() -> None:
    events = visit("e1", 0), command("retract", "c1", 5, target="e9")
    assert [is_forgotten(decaying_model(), day, *events) for day in (35, 35 + MS)] == [False, True]


@pytest.mark.parametrize("points", [10, -10])
def test_a_lead_is_remembered_while_it_is_worth_a_hundredth_of_a_point(points: float) -> None:
    model = decaying_model({"visit": rule(points, decay={"half_life": "10d"})})
    assert [is_forgotten(model, day, visit("e1", 0)) for day in (99.6, 99.7)] == [False, True]


def test_points_that_do_not_decay_are_never_forgotten() -> None:
    assert not is_forgotten(decaying_model({"visit": rule(10, decay="none")}), 5_000, visit("e1", 0))


def test_a_lead_with_points_for_who_it_is_is_never_forgotten() -> None:
    model = decaying_model(fit={"attributes": {"role": [{"in": ["ceo"], "points": 15}]}})
    assert not is_forgotten(model, 5_000, profile("e1", 0, role="ceo"))
    assert is_forgotten(model, 5_000, profile("e1", 0, role="boss"))


def test_points_for_an_attribute_that_the_model_no_longer_has_keep_no_lead() -> None:
    old = decaying_model(fit={"attributes": {"role": [{"in": ["ceo"], "points": 15}]}})
    shard = ShardOfOne(old, decaying_model() | {"version": 2})
    shard.apply(1, profile("e1", 0, role="ceo"))
    context = FoldContext(shard.models[2], None, shard.models.__getitem__, at(31), FoldSettings())
    assert remembered(shard.state(), context) is None


def test_a_lead_that_is_in_a_threshold_is_not_forgotten() -> None:
    assert not is_forgotten(decaying_model(thresholds={"mql": {"enter": 10, "exit": 0}}), 5_000, visit("e1", 0))
    left = command("reset", "c1", 1)
    out = decaying_model(thresholds={"mql": {"enter": 10, "exit": 5}})
    assert is_forgotten(out, 5_000, visit("e1", 0), left)


def test_a_disqualified_lead_is_not_forgotten() -> None:
    model = decaying_model({"visit": rule(10, disqualifies="complained")})
    assert not is_forgotten(model, 5_000, visit("e1", 0))
    assert is_forgotten(model, 5_000, visit("e1", 0), command("requalify", "c1", 1))


def test_a_lead_that_a_condition_disqualifies_is_not_forgotten() -> None:
    busy = {"when": {"count": {"rules": ["visit"], "at_least": 1, "within": "7d"}}, "disqualifies": "busy"}
    assert not is_forgotten(decaying_model(conditions={"silent": SILENT}), 5_000, visit("e1", 0))
    assert is_forgotten(decaying_model(conditions={"busy": busy}), 5_000, visit("e1", 0))


def test_a_suspended_lead_is_not_forgotten() -> None:
    assert not is_forgotten(decaying_model(), 5_000, visit("e1", 0), command("suspend", "c1", 1))
    resumed = command("suspend", "c1", 1), command("resume", "c2", 2)
    assert is_forgotten(decaying_model(), 5_000, visit("e1", 0), *resumed)


def test_a_lead_is_forgotten_by_the_logs_time_not_by_the_events() -> None:
    """A late event that comes when the lead is forgotten finds nothing, not even itself."""
    shard = ShardOfOne(decaying_model())
    shard.apply(1, visit("e1", 0))
    shard.apply(1, visit("e1", 0), log_day=30)
    assert shard.line(1, 0).engagement == 10
    shard.apply(1, visit("e2", 0), log_day=31)
    assert shard.line(1, 0).engagement == 10
    assert len(shard.state().rows) == ROW


def test_for_ever_and_once_per_reach_as_far_back_as_the_lead_is_remembered() -> None:
    rules = {"visit": rule(8, limit={"times": 1, "per": "forever"}), "paper": rule(8, "paper", once_per="asset")}
    model = decaying_model(rules)
    first = visit("e1", 0), act("paper", "e2", 0, asset="a")
    for day, expected in ((30, 0), (30 + MS, 16)):
        again = visit("e3", day), act("paper", "e4", day, asset="a")
        assert engagement(model, day, *first, *again) == pytest.approx(expected, abs=1e-6)


def test_a_forgotten_lead_is_new_to_cooldown_and_newcomers_grace() -> None:
    rules = {"visit": rule(60), "stop": rule(-60, "stop")}
    threshold = {"mql": {"enter": 50, "exit": 30, "cooldown": "30d"}}
    shard = ShardOfOne(decaying_model(rules, thresholds=threshold))
    shard.apply(1, visit("e1", 0), act("stop", "e2", 0.5))
    assert shard.state().thresholds != []
    shard.apply(1, act("stop", "e3", 40))
    assert shard.state().thresholds == []


# --- how long Redis keeps it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "decay", [{"half_life": "30d"}, {"linear": "60d"}, {"steps": {"90d": 1.0}}, {"expire": "400d"}]
)
def test_redis_drops_a_lead_well_after_the_instant_at_which_the_fold_forgets_it(decay: Plain) -> None:
    model = decaying_model({"visit": rule(100, decay=decay)})
    shard = ShardOfOne(model)
    shard.apply(1, visit("e1", 0))
    kept_ms = shard.lead_write().ttl_ms
    assert kept_ms is not None
    well_before = (kept_ms - 7 * DAY_MS) / DAY_MS + MS
    assert is_forgotten(model, well_before, visit("e1", 0))


ROLE: Plain = {"attributes": {"role": [{"in": ["ceo"], "points": 15}]}}


@pytest.mark.parametrize(("model", "event"), [
    (decaying_model({"visit": rule(10, decay="none")}), visit("e1", 0)),
    (decaying_model(fit=ROLE), profile("e1", 0, role="ceo")),
    (decaying_model(thresholds={"mql": {"enter": 10, "exit": 0}}), visit("e1", 0)),
    (decaying_model({"visit": rule(10, disqualifies="complained")}), visit("e1", 0)),
    (decaying_model(), command("suspend", "c1", 0)),
    pytest.param(
        decaying_model(conditions={"silent": SILENT}),
        visit("e1", 0),
    ),
])  # fmt: skip
def test_a_lead_that_the_fold_never_forgets_stays_in_redis(model: Plain, event: Plain) -> None:
    assert not is_forgotten(model, 20_000, event)
    shard = ShardOfOne(model)
    shard.apply(1, event)
    assert shard.lead_write().ttl_ms is None
