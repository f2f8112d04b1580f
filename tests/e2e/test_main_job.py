"""The main job on real servers: events in, crossings out, states in Redis."""

from collections.abc import Callable

import pytest

from leadscore.events.event import Event
from tests.deployment import Deployment, now_ms

MODEL = {
    "model": "e2e",
    "version": 1,
    "rules": {
        "pricing_page": {"event": "website.page_view", "where": {"path": {"matches": "^/pricing"}}, "points": 30},
        "mail_click": {"event": "email.click", "points": 10},
    },
    "thresholds": {"mql": {"enter": 55, "exit": 40}},
}


@pytest.mark.lasting_leads
def test_a_lead_crosses_the_threshold_and_the_crossing_is_published(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(MODEL)
    worker = deployment.start_worker()
    now = now_ms()
    deployment.send(
        [
            Event("website.page_view", "e1", "L1", now - 2000, {"path": "/pricing"}),
            Event("website.page_view", "e2", "L1", now - 1000, {"path": "/pricing/eu", "campaign": "spring"}),
            Event("website.page_view", "e3", "L2", now - 1000, {"path": "/blog"}),
        ]
    )
    deployment.wait_until_done()
    [crossing] = deployment.crossings()
    assert (crossing["lead_id"], crossing["threshold"], crossing["direction"]) == ("L1", "mql", "ENTER")
    assert crossing["trigger"]["campaign"] == "spring"
    assert crossing["score"] == pytest.approx(60, abs=0.01)
    states = deployment.stored(["L1", "L2"])
    assert states["L1"] is not None
    assert states["L2"] is None
    assert worker.terminate() == 0
