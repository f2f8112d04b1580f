"""The oracle of long runs gives the scores that the other one gives, and sees one event that is lost."""

import pytest

from tests.deployment import WANDERING_MODEL, now_ms, wandering_events
from tests.faults.judge import expected_scores
from tests.faults.running_truth import RunningTruth
from tests.oracle import Plain


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


def test_a_model_that_a_running_truth_cannot_follow_is_refused() -> None:
    rules = {"page": {"event": "website.page_view", "points": 1, "limit": {"times": 1, "per": "day"}}}
    with pytest.raises(AssertionError, match="limit"):
        RunningTruth({**WANDERING_MODEL, "rules": rules}, now_ms())
