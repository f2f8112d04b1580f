"""States that the old version wrote are read and written forward: its bytes, and its scores of them, are a fixture."""

from random import Random
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadscore.scoring.crossing import Crossing, Direction
from leadscore.scoring.old_states import ById
from leadscore.scoring.simulation import Simulation
from leadscore.scoring.state import FORMAT, StateFormatError, decode_state, encode_state
from tests import oracle
from tests.old_version.fixture import entries_of, fixture, lives, states_of, taken_over
from tests.old_version.lives import DAY_MS, END_MS, READ_DAYS, TYPES, Life, Plain, events
from tests.oracle import Entry, Limits
from tests.simulated import event_of

POINTS = 1e-9
DATED_POINTS = 1e-6
LATER_MS = END_MS + 60 * DAY_MS
EVERY_LIFE = pytest.mark.parametrize("life", lives(), ids=lambda life: str(life.seed))
ERASED = [life for life in lives() if fixture()["lives"][life.seed]["erased"]]
WHOLE_LIVES = [life for life in lives() if life.recent_events == 64 and life not in ERASED]
"""All of what happened is remembered."""


def stored() -> list[bytes]:
    return [data for life in lives() for data in states_of(life.seed).values() if data is not None]


def went_on(life: Life, *more: Entry, at_ms: int = LATER_MS) -> Simulation:
    """What this version makes of the leads, each stored and read again before each record."""
    run = taken_over(life)
    for entry in more:
        run.go_on_to(entry.log_time_ms)
        run.apply(event_of(entry.event))
        for lead_id, state in run._states.items():
            run._states[lead_id] = None if state is None else decode_state(encode_state(state))
    run.go_on_to(at_ms)
    return Simulation(run.crossings, run.scores(at_ms))


def came(event: Plain, at_ms: int = END_MS) -> Entry:
    return Entry(event, at_ms)


def scores(simulation: Simulation) -> list[tuple[str, Any]]:
    return [(one.lead_id, pytest.approx(one.score, abs=POINTS)) for one in simulation.scores]


# --- the bytes ------------------------------------------------------------------------------------------------------


def test_the_fixture_has_something_of_everything() -> None:
    assert all(data[0] == 2 for data in stored())
    states = [decode_state(data) for data in stored()]
    flags = [state.flags for state in states if state.flags is not None]
    assert sum(any(threshold.is_in for threshold in state.thresholds) for state in states) > 3
    for name in ("left_ms", "reset_ms", "requalified_ms", "suspension", "settled", "recent_attributes", "once_values"):
        assert any(getattr(flag, name) for flag in flags), name
    assert any(flag.by_id and flag.by_id.retracted for flag in flags)
    assert any(settled.counted_ms for flag in flags for settled in flag.settled.values())
    assert any(life["erased"] for life in fixture()["lives"])


def test_an_old_state_is_written_in_the_format_of_today_and_stays_the_same() -> None:
    for data in stored():
        written = encode_state(decode_state(data))
        assert written[0] == FORMAT
        assert decode_state(written) == decode_state(data)


def test_crossings_that_were_not_numbered_are_numbered_as_enters_are_odd_and_leaves_even() -> None:
    standings = [entry for data in stored() for entry in decode_state(data).thresholds]
    assert {(entry.is_in, entry.sequence) for entry in standings} == {(True, 1), (False, 2)}


@pytest.mark.parametrize("data", [b"\x02", b"\x02\x90", b"\x02\xc1", b"\x02\x93\x01\x02\x03", b"\x01\x90"])
def test_bytes_that_are_no_old_state_are_refused(data: bytes) -> None:
    with pytest.raises(StateFormatError, match="lead state"):
        decode_state(data)


@pytest.mark.parametrize("cut", [1, 9, 40])
def test_an_old_state_that_is_cut_off_is_refused(cut: int) -> None:
    for data in stored():
        with pytest.raises(StateFormatError, match="lead state"):
            decode_state(data[:-cut])


# --- the scores -----------------------------------------------------------------------------------------------------


@EVERY_LIFE
def test_the_scores_of_old_states_are_those_that_the_old_version_computed(life: Life) -> None:
    expected = fixture()["lives"][life.seed]["scores"]
    run = taken_over(life)
    actual = [line for day in READ_DAYS for line in run.scores(END_MS + round(day * DAY_MS))]
    assert [line.lead_id for line in actual] == [line["lead_id"] for line in expected]
    for line, old in zip(actual, expected, strict=True):
        for name in ("score", "engagement", "fit"):
            assert getattr(line, name) == pytest.approx(old[name], abs=POINTS), name
        for name in ("grade", "band", "disqualified", "as_of_ms"):
            assert getattr(line, name) == old[name], name


@pytest.mark.parametrize("life", WHOLE_LIVES, ids=lambda life: str(life.seed))
def test_every_event_that_comes_again_changes_nothing(life: Life) -> None:
    untouched = went_on(life, at_ms=END_MS)
    again = went_on(life, *(came(event) for event in life.events), at_ms=END_MS)
    assert scores(again) == scores(untouched)
    assert again.crossings == untouched.crossings


@pytest.mark.parametrize("life", WHOLE_LIVES, ids=lambda life: str(life.seed))
def test_every_old_event_can_be_retracted(life: Life) -> None:
    for target in life.events[life.seed % 3 :: 3]:
        command = {"type": "command.retract", "event_id": "r", "target": target["event_id"], "occurred_at": END_MS}
        retracted = came(command | {"lead_id": target["lead_id"]})
        typed = came(retracted.event | {"target_type": target["type"]})
        other = came(retracted.event | {"target_type": "another.type"})
        expected = oracle.run(life.model, [*entries_of(life), retracted], LATER_MS).scores
        for entry in (retracted, typed) if not target["type"].startswith("command.") else ():
            assert_same_scores(expected, went_on(life, entry, came(target)))
        if target["type"] in TYPES and life.model["model"] == "whole":  # a rule tells of which type it was
            assert scores(went_on(life, other)) == scores(went_on(life))


def test_an_id_that_another_type_has_too_is_no_repetition() -> None:
    """Systems reuse ids across types; the rules that an old event matched tell what it was not."""
    for life in WHOLE_LIVES:
        old = next((event for event in life.events if event["type"] == "demo"), None)
        if old is None:
            continue
        more = old | {"type": "click", "occurred_at": END_MS}
        expected = oracle.run(life.model, [*entries_of(life), came(more)], LATER_MS).scores
        assert_same_scores(expected, went_on(life, came(more)))


def test_an_erase_command_of_before_that_comes_again_deletes_nothing_more() -> None:
    life, erase = next((life, event) for life in ERASED for event in life.events if event["type"] == "command.erase")
    visit = {"type": "visit", "event_id": "v", "lead_id": erase["lead_id"], "occurred_at": END_MS, "path": "/pricing"}
    assert scores(went_on(life, came(visit), came(erase))) == scores(went_on(life, came(visit)))


@pytest.mark.parametrize("into", ["L2", "new"])
@pytest.mark.parametrize("life", [life for life in WHOLE_LIVES if life.seed % 3], ids=lambda life: str(life.seed))
def test_an_old_lead_that_is_merged_brings_its_events(life: Life, into: str) -> None:
    """Also for events that come again under either id, and for a retraction that comes under the other one."""
    merge = came({"type": "command.merge", "event_id": "m", "lead_id": "L1", "into": into, "occurred_at": END_MS})
    target = next(event for event in life.events if event["lead_id"] == "L1" and event["type"] in TYPES)
    command = {"type": "command.retract", "event_id": "r", "target": target["event_id"], "occurred_at": END_MS}
    before, after = came(command | {"lead_id": into}), came(command | {"lead_id": "L1"})
    of_both = [event for event in life.events if event["lead_id"] in ("L1", into)]
    again = [came(event | {"lead_id": lead_id}) for event in of_both for lead_id in ("L1", into)]
    for more in ([merge], [merge, *again], [before, merge, *again], [merge, after, *again]):
        commands = [entry for entry in (before, after) if entry in more]
        log = [under_one_id(entry, into) for entry in [*entries_of(life), *commands]]
        assert_same_scores(oracle.run(life.model, log, LATER_MS).scores, went_on(life, *more))


def under_one_id(entry: Entry, lead_id: str) -> Entry:
    return Entry(entry.event | {"lead_id": entry.event["lead_id"].replace("L1", lead_id)}, entry.log_time_ms)


# --- what is left of the old format ---------------------------------------------------------------------------------


def demos(number: int, lead_id: str) -> list[Entry]:
    return [
        came({"type": "demo", "event_id": f"d{place}", "lead_id": lead_id, "occurred_at": END_MS + place})
        for place in range(number)
    ]


def test_nothing_is_left_of_the_old_format_once_the_old_events_are_no_longer_recent() -> None:
    life = next(life for life in WHOLE_LIVES if life.seed == 3)
    run = taken_over(life)
    *earlier, last = demos(65, "L1")
    for entry in earlier:
        run.apply(event_of(entry.event))
        assert run._states["L1"].flags.by_id is not None  # type: ignore[union-attr]
    run.apply(event_of(last.event))
    assert run._states["L1"].flags.by_id is None  # type: ignore[union-attr]


def test_old_retractions_outlast_the_old_events() -> None:
    for life in WHOLE_LIVES:
        run = taken_over(life)
        for lead_id, state in list(run._states.items()):
            if state is None or state.flags is None or state.flags.by_id is None or not state.flags.by_id.retracted:
                continue
            retracted = dict(state.flags.by_id.retracted)
            for entry in demos(66, lead_id):
                run.apply(event_of(entry.event))
            assert run._states[lead_id].flags.by_id == ById(None, retracted)  # type: ignore[union-attr]


# --- whatever comes next --------------------------------------------------------------------------------------------


@given(st.sampled_from(lives()), st.integers(0, 10_000), st.integers(0, 25), st.booleans())
@settings(max_examples=settings().max_examples // 4)
def test_whatever_comes_after_the_upgrade_the_scores_are_the_oracles(
    life: Life, seed: int, number: int, shared_ids: bool
) -> None:
    made = later_events(life, seed, number, shared_ids=shared_ids)
    more = [came(event, received_ms(event)) for event in made]
    expected = oracle.run(life.model, [*entries_of(life), *more], LATER_MS, Limits(life.recent_events))
    actual = went_on(life, *more)
    assert_same_scores(expected.scores, actual)
    assert_same_crossings(life, expected.crossings, actual.crossings)


def received_ms(event: Plain) -> int:
    return int(event.get("received_at", 0) or event["occurred_at"])


def later_events(life: Life, seed: int, number: int, *, shared_ids: bool) -> list[Plain]:
    """New events, old ones again, retractions of old ones, and new ones with the ids of old ones of another type."""
    random = Random(seed)
    made = events(seed, number, first_day=60, days=40, prefix="new")
    if life.recent_events < 64:  # what is no longer recent is not recognised
        return [event for event in made if event["type"] != "command.retract"]
    for event in [event for event in made if event["type"] in {"visit", "click", "command.retract"}]:
        old = random.choice(life.events)
        if event["type"] == "command.retract":
            event["target"] = old["event_id"]
            event["lead_id"] = old["lead_id"]
        elif random.random() < 0.4:
            made.append(old | {"received_at": event["occurred_at"]})
        elif shared_ids and old["type"] in TYPES and old["type"] != event["type"]:
            event["event_id"], event["lead_id"] = old["event_id"], old["lead_id"]
    return sorted(made, key=received_ms)


# --- agreement ------------------------------------------------------------------------------------------------------


def assert_same_scores(expected: list[Plain], actual: Simulation) -> None:
    assert [line.lead_id for line in actual.scores] == [one["lead_id"] for one in expected]
    for one, line in zip(expected, actual.scores, strict=True):
        for name in ("score", "engagement", "fit"):
            assert getattr(line, name) == pytest.approx(one[name], abs=POINTS), name
        for name in ("grade", "band", "disqualified"):
            assert getattr(line, name) == one[name], name


def assert_same_crossings(life: Life, expected: list[Plain], actual: list[Crossing]) -> None:
    """Those of the old version and then ours are the oracle's, and each leave has the id that its enter asks for."""
    old = fixture()["lives"][life.seed]["crossings"]
    words = ("lead_id", "threshold", "direction", "cause")
    all_of_them = [tuple(str(one[word]) for word in words) for one in old]
    all_of_them += [tuple(str(getattr(one, word)) for word in words) for one in actual]
    assert sorted(all_of_them) == sorted(tuple(str(one[word]) for word in words) for one in expected)
    entered = {(one["lead_id"], one["threshold"]): one["id"] for one in old if one["direction"] == "ENTER"}
    for crossing in actual:
        place = (crossing.lead_id, crossing.threshold)
        if crossing.direction is Direction.ENTER:
            entered[place] = crossing.id
        else:
            assert crossing.entered_id == entered[place]
            assert crossing.id == str(uuid5(UUID(entered[place]), "leave"))
