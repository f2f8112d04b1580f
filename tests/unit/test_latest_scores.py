"""The scores topic: when a lead's latest score is written, what it says, and when a lead is looked at again."""

from dataclasses import dataclass
from itertools import pairwise

import pytest

from leadscore.log.records import Frame, Tick
from leadscore.pipeline.score.latest_scores import LatestScores
from leadscore.pipeline.score.outbox import decode_entries, decode_outputs
from leadscore.scoring.flags import latest_ms
from leadscore.scoring.latest import LEAST_MOVE, Revision
from leadscore.scoring.latest_score import LatestScore, LeadGone, ScoreNews, ThresholdPlace
from leadscore.scoring.state import Alias, LeadState, Mark, StateFormatError, decode_mark, decode_state, encode_state
from tests.oracle import DAY_MS, Plain
from tests.same_bytes import WORKLOADS, Workload, log_of
from tests.unit.latest import LatestShard, assert_agrees, shard_on
from tests.unit.semantics import LEAD, act, at, command, model_of, mql, rule, visit

MINUTE_DAYS = 1 / 1_440
BANDS = {"cold": 0, "warm": 30, "hot": 70}


def scores(shard: LatestShard) -> list[float | None]:
    """Of the news so far, in their order; ``None`` where the lead is gone."""
    return [round(one.score, 6) if isinstance(one, LatestScore) else None for one in shard.news]


def test_a_score_is_written_when_it_has_moved_by_a_step() -> None:
    shard = shard_on(model_of({"visit": rule(2), "look": rule(0.9, "look")}), step=2)
    shard.apply(visit("e1"))
    shard.apply(act("look", "e2"))
    assert scores(shard) == [2]
    shard.apply(act("look", "e3"))
    shard.apply(act("look", "e4"))
    assert scores(shard) == [2, 4.7]


def test_of_several_events_of_a_lead_in_one_frame_the_last_state_is_written() -> None:
    shard = shard_on(model_of({"visit": rule(10)}))
    shard.apply(visit("e1"), visit("e2"), visit("e3"))
    assert scores(shard) == [30]


@dataclass(frozen=True)
class Change:
    """Something that changes by less than a step."""

    model: Plain
    before: list[Plain]
    last: Plain


CHANGES = {
    "band": Change(
        model_of({"visit": rule(29.8), "look": rule(0.3, "look")}, bands=BANDS), [visit("e1")], act("look", "e2")
    ),
    "threshold": Change(mql({"visit": rule(49.9), "look": rule(0.2, "look")}), [visit("e1")], act("look", "e2")),
    "disqualified": Change(
        mql({"visit": rule(20), "stop": rule(0, "stop", disqualifies="asked to stop")}),
        [visit("e1")],
        act("stop", "e2"),
    ),
    "requalified": Change(
        mql({"visit": rule(20), "stop": rule(0, "stop", disqualifies="asked to stop")}),
        [visit("e1"), act("stop", "e2")],
        command("requalify", "c1", 1),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_within_a_step_is_written_at_once(name: str) -> None:
    change = CHANGES[name]
    shard = shard_on(change.model, step=5)
    shard.apply(*change.before)
    assert shard.apply(act("visit", "e1", 0)) == []  # it came before: nothing changes
    (news,) = shard.apply(change.last)
    assert isinstance(news, LatestScore)
    assert_agrees(news, shard.line(LEAD, news.as_of_ms))


def test_a_record_says_when_the_lead_entered_and_which_log_record_it_is_of() -> None:
    shard = shard_on(mql())
    shard.apply(act("stop", "e0"))
    (entered,) = shard.apply(visit("e1", 1), visit("e2", 1), at_ms=at(2))
    (left,) = shard.apply(act("stop", "e3", 3), act("stop", "e4", 3), act("stop", "e5", 3))
    assert isinstance(entered, LatestScore)
    assert isinstance(left, LatestScore)
    assert entered.thresholds == [ThresholdPlace("mql", True, at(1))]
    assert left.thresholds == [ThresholdPlace("mql", False, at(1))]
    assert (entered.revision, entered.decided_at_ms, entered.as_of_ms) == (1, at(2), at(2))
    assert (left.revision, left.decided_at_ms, left.as_of_ms) == (2, at(3), at(3))


def test_an_event_of_long_ago_is_written_with_the_score_of_now() -> None:
    shard = shard_on(model_of({"visit": rule(40, decay={"half_life": "30d"})}))
    shard.apply(visit("e1", 0), at_ms=at(60))
    assert scores(shard) == [10]
    assert shard.topic[LEAD].as_of_ms == at(60)


def test_what_decays_is_written_once_a_day_and_no_longer_when_it_is_worth_nothing() -> None:
    shard = shard_on(model_of({"visit": rule(40, decay={"half_life": "7d"})}))
    shard.apply(visit("e1"))
    shard.tick_until(at(1_000))
    written = [one.as_of_ms for one in shard.news if isinstance(one, LatestScore)]
    assert min(later - earlier for earlier, later in pairwise(written)) > DAY_MS - 1_000
    assert scores(shard)[:3] == pytest.approx([40, 36.2288, 32.8134], abs=0.001)
    assert shard.topic[LEAD].score < LEAST_MOVE
    assert shard.due == {}
    assert shard.ticks <= 70


@pytest.mark.parametrize("decay", ["none", {"expire": "90d"}])
def test_a_score_that_does_not_move_is_looked_at_no_more(decay: str | Plain) -> None:
    shard = shard_on(model_of({"visit": rule(40, decay=decay)}))
    shard.apply(visit("e1"))
    shard.tick_until(at(1_000))
    assert scores(shard) == ([40] if decay == "none" else [40, 0])
    assert shard.ticks == (1 if decay == "none" else 2)
    assert shard.due == {}


def test_points_of_a_condition_that_time_changes_are_written() -> None:
    silent = {"when": {"quiet": {"rules": ["visit"], "within": "10d"}}, "points": -30}
    shard = shard_on(model_of({"visit": rule(40)}, conditions={"silent": silent}))
    shard.apply(visit("e1"))
    shard.tick_until(at(1_000))
    assert scores(shard) == [40, 10]
    assert shard.topic[LEAD].as_of_ms == at(10, 1)
    assert shard.ticks == 2


def test_a_lead_that_is_due_to_leave_is_written_by_the_tick_that_lets_it_leave() -> None:
    shard = shard_on(mql({"visit": rule(60, decay={"half_life": "30d"}), "stop": rule(-5, "stop")}))
    shard.apply(visit("e1"))
    assert shard.due[LEAD] == at(1)
    shard.apply(act("stop", "e2", 1), at_ms=at(40))  # by then it is below ``exit``, and nobody has noticed
    assert [place.is_in for place in shard.topic[LEAD].thresholds] == [True]
    shard.tick_until(at(40))
    shard.fold(Tick(at(40), [LEAD]), at(40))
    assert [place.is_in for place in shard.topic[LEAD].thresholds] == [False]
    assert_agrees(shard.topic[LEAD], shard.line(LEAD, shard.topic[LEAD].as_of_ms))


def test_an_erased_lead_is_gone_and_a_new_one_under_its_id_is_written_anew() -> None:
    shard = shard_on(model_of({"visit": rule(40)}))
    shard.apply(visit("e1"))
    assert shard.apply(command("erase", "c1", 1)) == [LeadGone("m", LEAD, 1, at(1))]
    assert shard.apply(command("erase", "c1", 1)) == []
    shard.apply(visit("e2", 2))
    assert shard.topic[LEAD].score == 40
    shard.apply(command("erase", "c2", 3), visit("e3", 4))
    assert shard.topic[LEAD].revision == 4


def test_an_erasure_is_told_also_of_a_lead_that_this_deployment_has_never_written() -> None:
    shard = shard_on(model_of({"visit": rule(40)}), step=None)
    shard.apply(visit("e1"))
    shard.restart(step=1)
    assert shard.apply(command("erase", "c1", 1)) == [LeadGone("m", LEAD, 1, at(1))]


def test_a_lead_that_became_an_alias_is_gone_once() -> None:
    shard = shard_on(model_of({"visit": rule(40)}))
    model, latest = shard.models[1], LatestScores(step=1)
    states: dict[str, LeadState | None] = {LEAD: LeadState(1, at(0))}

    def news(offset: int) -> list[ScoreNews]:
        return latest.of_record(states, [LEAD], (), model, Revision(offset, at(offset), at(offset)))

    assert len(news(0)) == 1
    states[LEAD] = LeadState(1, at(1), alias=Alias("A", 7))
    assert news(1) == [LeadGone("m", LEAD, 1, at(1))]
    assert news(2) == []
    assert latest.mark(LEAD) is None


def test_a_lead_that_is_found_forgotten_is_gone() -> None:
    shard = shard_on(model_of({"visit": rule(40, decay={"half_life": "7d"})}))
    shard.apply(visit("e1"))
    shard.write()
    assert shard.fold(Tick(at(500), [LEAD]), at(500)) == [LeadGone("m", LEAD, 1, at(500))]


def test_switched_on_leads_come_with_their_next_record_and_switched_off_they_are_as_if_it_had_never_been() -> None:
    model = model_of({"visit": rule(40), "look": rule(0.1, "look")})
    without, shard = shard_on(model, step=None), shard_on(model, step=None)
    for one in (without, shard):
        one.apply(visit("e1"))
    shard.restart(step=1)
    for one in (without, shard):
        one.apply(act("look", "e2", 1))
    assert scores(shard) == [40.1]
    assert shard.stored != without.stored
    shard.restart(step=None)
    for one in (without, shard):
        one.apply(act("look", "e3", 2))
    assert shard.stored == without.stored
    assert shard.news[1:] == without.news == []


def test_the_outbox_keeps_news_beside_crossings_and_erasures() -> None:
    shard = shard_on(mql())
    leads = shard.shard.unknown_leads([LEAD])
    shard.shard.load(leads, [None])
    shard._batch = 1_000
    shard.apply(visit("e1"))
    shard.apply(command("erase", "c1", 1))
    outbox = shard.shard.pending(0).outbox
    assert [type(one).__name__ for one in decode_outputs(outbox[0])] == ["Crossing", "LatestScore"]
    assert [type(one).__name__ for one in decode_outputs(outbox[1])] == ["ErasedLead", "LeadGone"]
    outputs, news = decode_entries(outbox.values())
    assert [type(one).__name__ for one in outputs] == ["Crossing", "ErasedLead"]
    assert news == shard.news


def test_a_state_with_a_mark_is_read_with_and_without_it() -> None:
    shard = shard_on(model_of({"visit": rule(40)}))
    shard.apply(visit("e1"))
    stored = shard.stored[LEAD]
    assert stored is not None
    state, mark = decode_state(stored), decode_mark(stored)
    assert mark is not None
    assert (mark.at_s, mark.hundredths) == (at(0) // 1_000, 4_000)
    assert encode_state(state, mark) == stored
    plain = encode_state(state)
    assert len(stored) - len(plain) <= 18
    assert (decode_state(plain), decode_mark(plain)) == (state, None)
    largest = Mark(2**33, -(2**40), 2**32 - 1)
    assert decode_mark(encode_state(state, largest)) == largest
    for length in (1, 2, 10):
        with pytest.raises(StateFormatError):
            decode_state(stored[:length])
        with pytest.raises(StateFormatError):
            decode_mark(stored[:length])


# Histories with every feature


def folded(made: Workload, step: float = 2.0, batch: int = 1) -> LatestShard:
    shard = LatestShard(made.models, step, batch)
    for record, time_ms in log_of(made):
        shard.fold(record, time_ms)
    shard.write()
    return shard


@pytest.mark.parametrize("name", WORKLOADS)
def test_whatever_happens_the_topic_is_within_a_step_of_what_explain_says(name: str) -> None:
    made = WORKLOADS[name]()
    shard = LatestShard(made.models, step=2.0)
    compared = 0
    for number, (record, time_ms) in enumerate(log_of(made)):
        for one in shard.fold(record, time_ms):
            if isinstance(one, LatestScore):
                assert_agrees(one, shard.line(one.lead_id, one.as_of_ms))
        if number % 7 or not isinstance(record, Frame):
            continue
        for lead_id in {award.lead_id for award in record.awards}:
            state, latest = shard.state(lead_id), shard.topic.get(lead_id)
            if state is None:
                assert latest is None
                continue
            at_ms = max(time_ms, latest_ms(state))
            if state.due_ms is None or state.due_ms > at_ms:  # else the next tick writes it
                assert latest is not None
                line = shard.line(lead_id, at_ms)
                assert abs(line.score - latest.score) < 2.0 + 0.005
                assert (latest.band, latest.disqualified) == (line.band, line.disqualified)
                compared += 1
    assert compared > 100
    assert shard.topic
    assert {lead_id for lead_id, state in shard.stored.items() if state is not None} >= shard.topic.keys()


@pytest.mark.parametrize("name", WORKLOADS)
def test_whatever_is_written_at_once_the_same_is_news_and_the_same_bytes_are_stored(name: str) -> None:
    one, many = folded(WORKLOADS[name]()), folded(WORKLOADS[name](), batch=13)
    assert many.news == one.news
    assert many.stored == one.stored


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_lead_without_records_is_looked_at_again_before_its_score_can_have_moved_unless_that_is_within_a_day(
    name: str,
) -> None:
    """And at last never: every lead of the workloads has lost by then what it can lose."""
    made = WORKLOADS[name]()
    shard = folded(made._replace(events=made.events[::10]))
    looked_ms: dict[str, int] = {}
    end_ms = max(latest.as_of_ms for latest in shard.topic.values()) + 400 * DAY_MS
    compared = 0
    while shard.due and (now_ms := min(shard.due.values())) < end_ms:
        due = [lead_id for lead_id, at_ms in shard.due.items() if at_ms == now_ms]
        for lead_id in due:
            before_ms = now_ms - 1
            latest = shard.topic.get(lead_id)
            if latest is not None and lead_id in looked_ms and before_ms >= looked_ms[lead_id] + DAY_MS:
                assert abs(shard.line(lead_id, before_ms).score - latest.score) < LEAST_MOVE + 0.005
                compared += 1
            looked_ms[lead_id] = now_ms
        shard.fold(Tick(now_ms, due), now_ms)
    assert compared
    assert [lead_id for lead_id, at_ms in shard.due.items() if at_ms < end_ms] == []
