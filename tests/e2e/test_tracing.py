"""A trace context goes from the record that caused a crossing to the crossing, through the award log."""

from collections.abc import Callable

import pytest

from leadscore.events.event import Event
from leadscore.events.event_bytes import json_bytes
from tests.deployment import Deployment, headers_of, now_ms

MODEL = {
    "model": "traced",
    "version": 1,
    "rules": {"pricing": {"event": "website.page_view", "points": 30}},
    "thresholds": {"mql": {"enter": 50, "exit": 40}},
}
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01"


@pytest.mark.lasting_leads
def test_a_crossing_has_the_trace_context_of_the_record_that_caused_it(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(MODEL, 1)
    deployment.start_worker()

    def send(event_id: str, lead_id: str, **record: object) -> None:
        event = Event("website.page_view", event_id, lead_id, now_ms(), {})
        deployment.send_bytes("website", json_bytes(event), now_ms(), **record)

    for lead_id in ("traced", "plain"):
        send(f"{lead_id}-1", lead_id, headers=[("traceparent", OTHER)])
    send("traced-2", "traced", headers=[("traceparent", PARENT), ("tracestate", "vendor=1")])
    send("plain-2", "plain")
    deployment.producer.flush(60)
    deployment.wait_until_done()
    headers = {message.key(): dict(headers_of(message)) for message in deployment.read("crossings")}
    assert (headers[b"traced"]["traceparent"], headers[b"traced"]["tracestate"]) == (PARENT.encode(), b"vendor=1")
    assert not {"traceparent", "tracestate"} & headers[b"plain"].keys()
