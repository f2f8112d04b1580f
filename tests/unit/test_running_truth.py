"""The oracle of long runs gives the scores that the other one gives, and sees one event that is lost."""

import json

import msgspec
import pytest

from leadscore.model.load import parse_model
from leadscore.scoring.simulation import simulate
from tests.deployment import FEW_RECENT_EVENTS, WANDERING_MODEL, now_ms, wandering_events
from tests.faults.judge import expected_scores
from tests.faults.running_truth import RunningTruth
from tests.oracle import Plain

EVENTS_OF_LONG_RUN = 20_000
"""Of one lead: what half an hour of ``make endurance`` brings it."""


def test_a_running_truth_is_that_of_the_oracle_and_one_event_more_is_another() -> None:
    events = wandering_events("running", 400, 4)
    at_ms = now_ms()
    truth = RunningTruth(WANDERING_MODEL, at_ms)
    by_lead: dict[str, list[Plain]] = {}
    for event in events:
        truth.add(event)
        plain = {"type": event.type, "event_id": event.event_id, "occurred_at": event.occurred_at_ms}
        by_lead.setdefault(event.lead_id, []).append(plain | {"lead_id": event.lead_id} | event.fields)
    expected = expected_scores(dict(WANDERING_MODEL), by_lead, at_ms)
    assert {lead_id: truth.score(lead_id, at_ms) for lead_id in truth.lead_ids} == pytest.approx(expected, abs=1e-9)
    event = next(event for event in events if event.type == "website.page_view")
    truth.add(event)
    assert truth.score(event.lead_id, at_ms) != pytest.approx(expected[event.lead_id], abs=1e-6)


def test_rounding_parts_long_sums_by_less_than_its_bound_and_the_bound_by_far_less_than_an_event() -> None:
    start_ms = now_ms()
    at_ms, falls = start_ms, False
    truth = RunningTruth(WANDERING_MODEL, start_ms)
    entries = []
    for event in wandering_events("rounding", EVENTS_OF_LONG_RUN, 1):
        at_ms += 100
        score = truth.score("lead-0", at_ms)
        falls = score > 30 if falls else score > 90
        now = msgspec.structs.replace(event, occurred_at_ms=at_ms)
        if falls:
            now = msgspec.structs.replace(now, type="webinar.no_show", fields={})
        truth.add(now)
        entries.append((now, at_ms))
    definition = parse_model(json.dumps({**WANDERING_MODEL, "thresholds": {}}), "wandering")
    [folded] = simulate(definition, entries, at_ms, FEW_RECENT_EVENTS).scores
    apart = abs(folded.engagement + folded.fit - truth.score("lead-0", at_ms))
    assert 0.0 < apart < truth.rounding("lead-0", at_ms) < 1e-3


def test_a_model_that_a_running_truth_cannot_follow_is_refused() -> None:
    rules = {"page": {"event": "website.page_view", "points": 1, "limit": {"times": 1, "per": "day"}}}
    with pytest.raises(AssertionError, match="limit"):
        RunningTruth({**WANDERING_MODEL, "rules": rules}, now_ms())
