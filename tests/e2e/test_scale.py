"""Three workers, one of them killed and one restarted in the middle, and every lead is scored exactly once."""

from collections import Counter
from collections.abc import Callable
from random import Random

import msgspec
import pytest

from leadscore.demo.traffic import GeneratedEvent, TrafficPlan, generate
from leadscore.events.event import Event
from leadscore.events.event_bytes import json_bytes
from leadscore.model.compile import compile_model
from leadscore.model.matching import Matcher
from leadscore.scoring.score import main_score_at
from leadscore.time_units import DAY_MS
from tests import oracle
from tests.deployment import Deployment, assert_exact, now_ms
from tests.servers import wait_until

SOURCE_PARTITIONS = 6
RECENT_EVENTS = 64

MODEL = {
    "model": "scale",
    "version": 1,
    "score": {"floor": 0, "ceiling": 100},
    "decay": {"half_life": "30d"},
    "groups": {
        "website": {"max": 45, "decay": {"half_life": "14d"}},
        "email": {"min": -20, "max": 30, "decay": {"half_life": "7d"}},
    },
    "rules": {
        "page": {"event": "website.page_view", "points": 3, "group": "website"},
        "pricing": {
            "event": "website.page_view",
            "where": {"path": {"matches": "^/pricing"}},
            "points": 12,
            "group": "website",
        },
        "careers": {"event": "website.page_view", "where": {"path": {"matches": "^/(careers|jobs)"}}, "points": -8},
        "whitepaper": {
            "event": "website.form_submitted",
            "where": {"form": "whitepaper", "pages": {"at_least": 3}},
            "points": 15,
        },
        "click": {"event": "email.click", "points": 5, "group": "email"},
        "unsubscribe": {"event": "email.unsubscribe", "points": -25, "group": "email"},
        "registered": {"event": "webinar.registered", "points": 10},
        "attended": {"event": "webinar.attended", "points": 20},
    },
    "thresholds": {"mql": {"enter": 30, "exit": 18, "cooldown": "1d"}, "warm": {"enter": 12, "exit": 8}},
}
QUICK_REBALANCES = {
    "LEADSCORE_KAFKA__SESSION_TIMEOUT_MS": "6000",
    "LEADSCORE_KAFKA__HEARTBEAT_INTERVAL_MS": "500",
}


@pytest.mark.lasting_leads
@pytest.mark.parametrize("events", [5_000, pytest.param(100_000, marks=[pytest.mark.full, pytest.mark.timeout(1_800)])])
def test_three_workers_of_which_one_is_killed_and_one_restarted_score_every_lead_exactly(
    deploy: Callable[..., Deployment], events: int
) -> None:
    deployment = deploy(MODEL, SOURCE_PARTITIONS)
    deployment.environ |= QUICK_REBALANCES
    traffic = generated(events)
    third = len(traffic) // 3

    workers = [deployment.start_worker() for _ in range(3)]
    send_and_wait_for_frames(deployment, traffic[:third])
    workers[0].kill()
    deployment.start_worker()
    send_and_wait_for_frames(deployment, traffic[third : 2 * third])
    assert workers[1].terminate() == 0
    deployment.start_worker()
    deployment.send_traffic(traffic[2 * third :])
    deployment.wait_until_done(900)
    deployment.wait_until_nothing_is_due()
    assert [worker.terminate() for worker in deployment.workers[2:]] == [0, 0, 0]

    matcher = Matcher(deployment.definition)
    sent = [record.content for record in traffic if isinstance(record.content, Event)]
    assert_exact(deployment, [event for event in sent if matcher.award(event, 0, 0) is not None])
    assert_scores_of_the_oracle(deployment, traffic)
    assert len(deployment.published()) > events / 40


def generated(events: int) -> list[GeneratedEvent]:
    """Traffic of the last 30 days with duplicates, by Kafka timestamp; no lead has more events than are recent."""
    end_ms = now_ms()
    plan = TrafficPlan(start_ms=end_ms - 30 * DAY_MS, end_ms=end_ms, events=events, duplicates=0.05)
    traffic = list(generate(Random(events), plan))
    of_lead = Counter(record.content.lead_id for record in traffic if isinstance(record.content, Event))
    return [
        record
        for record in traffic
        if isinstance(record.content, Event) and of_lead[record.content.lead_id] <= RECENT_EVENTS
    ]


def send_and_wait_for_frames(deployment: Deployment, traffic: list[GeneratedEvent]) -> None:
    """Go on in the middle of the work: when some of it is in the log."""
    before = len(deployment.read("log"))
    deployment.send_traffic(traffic)
    wait_until(lambda: len(deployment.read("log")) > before, 60, "frames in the log")


def assert_scores_of_the_oracle(deployment: Deployment, traffic: list[GeneratedEvent]) -> None:
    """Every lead's score, read from Redis, is what the definitions say of the events that were sent."""
    at_ms = now_ms()
    entries: dict[str, list[oracle.Entry]] = {}
    for entry in map(entry_of, traffic):
        entries.setdefault(entry.event["lead_id"], []).append(entry)
    without_thresholds = {**MODEL, "thresholds": {}}  # much faster, the same scores
    outcomes = {lead: oracle.run(without_thresholds, of_lead, at_ms) for lead, of_lead in entries.items()}
    expected = {lead: outcome.scores[0]["score"] for lead, outcome in outcomes.items()}
    model = compile_model(deployment.definition)
    states = deployment.stored(expected)
    stored = {
        lead: 0.0 if state is None else main_score_at(state, model, at_ms).value for lead, state in states.items()
    }
    assert stored == pytest.approx(expected, abs=1e-9)
    assert sum(score > 0 for score in stored.values()) > len(stored) / 2


def entry_of(record: GeneratedEvent) -> oracle.Entry:
    assert isinstance(record.content, Event)
    return oracle.Entry(msgspec.json.decode(json_bytes(record.content)), record.timestamp_ms)
