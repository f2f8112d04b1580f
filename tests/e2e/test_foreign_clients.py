"""Other people's programs: kafkajs produces events in foreign formats, and reads the crossings as CloudEvents."""

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from leadscore.mapping.values import keyed_hash
from leadscore.scoring.crossing import iso_instant
from tests.deployment import Deployment, now_ms

FOREIGN = Path(__file__).parent / "foreign"
RUN_TIMEOUT_S = 60

MODEL = {
    "model": "foreign",
    "version": 1,
    "rules": {
        "pricing": {"event": "website.page_view", "where": {"path": "/pricing"}, "points": 20},
        "demo": {"event": "website.contact_requested", "where": {"plan": "team"}, "points": 20},
        "trial": {"event": "track.trial_started", "points": 10},
    },
    "fit": {"attributes": {"role": [{"in": ["cto"], "points": 15}]}},
    "thresholds": {"mql": {"enter": 60, "exit": 40}},
}

SYSTEMS_MODEL = {
    "model": "systems",
    "version": 1,
    "rules": {
        "clicked": {"event": "email.click", "points": 30},
        "pricing": {"event": "website.page_view", "where": {"path": "/pricing"}, "points": 30},
        "referred": {"event": "com.partner.referred", "where": {"plan": "team"}, "points": 60},
    },
    "thresholds": {"mql": {"enter": 55, "exit": 40}},
}
SYSTEMS = {
    "email": {"preset": "sendgrid", "lead_id": {"keyed_hash": "email"}},
    "website": {"preset": "segment", "lead_id": [{"keyed_hash": "userId"}, "anonymousId"]},
    "webinar": {"preset": "cloudevents-binary"},
}
JANE = "Jane@Example.com"
LEAD_ID_KEY = "a secret of at least sixteen characters"


@pytest.mark.lasting_leads
def test_events_of_a_foreign_producer_are_scored_and_a_foreign_subscriber_reads_the_crossings(
    deploy: Callable[..., Deployment], node_modules: Path
) -> None:
    deployment = deploy(MODEL)
    worker = deployment.start_worker(LEADSCORE_MAPPINGS=str(mappings(deployment)), LEADSCORE_CROSSING_FORMAT="json")
    leads = [f"user-{number}" for number in range(20)]
    began_ms = now_ms()
    calls = [call for lead in leads for call in calls_of(lead, began_ms)]
    records = [{"key": call["messageId"], "value": json.dumps(call)} for call in calls]
    run_client(node_modules, ["produce", deployment.kafka.bootstrap, deployment.topic("website")], records)

    deployment.wait_until_done()
    assert worker.terminate() == 0
    assert deployment.read("dead-letters") == []
    subscribe = ["subscribe", deployment.kafka.bootstrap, deployment.topic("crossings"), str(len(leads))]
    crossings = run_client(node_modules, subscribe, [])
    assert sorted(crossing["key"] for crossing in crossings) == sorted(leads)
    for crossing in crossings:
        assert_is_cloud_event(crossing, began_ms)
    assert {crossing["partition"] for crossing in crossings} == {0, 1}
    assert [crossing["partition"] for crossing in crossings] == [row["partition_here"] for row in crossings]


@pytest.mark.lasting_leads
def test_one_person_known_by_address_in_two_systems_of_a_foreign_producer_is_one_lead(
    deploy: Callable[..., Deployment], node_modules: Path
) -> None:
    """SendGrid and Segment know the address, the CloudEvents an id: no address is in the log or a crossing."""
    deployment = deploy(SYSTEMS_MODEL)
    key_file = deployment.folder / "lead-id-key"
    key_file.write_text(LEAD_ID_KEY)
    path = deployment.folder / "mappings.yaml"
    path.write_text(yaml.safe_dump({deployment.topic(word): mapping for word, mapping in SYSTEMS.items()}))
    worker = deployment.start_worker(
        LEADSCORE_MAPPINGS=str(path), LEADSCORE_LEAD_ID_KEY_FILE=str(key_file), LEADSCORE_CROSSING_FORMAT="json"
    )
    for word, record in records_of_systems(now_ms()).items():
        run_client(node_modules, ["produce", deployment.kafka.bootstrap, deployment.topic(word)], [record])

    deployment.wait_until_done()
    assert worker.terminate() == 0
    assert deployment.read("dead-letters") == []
    crossings = {record.key(): json.loads(record.value() or b"") for record in deployment.read("crossings")}
    jane = keyed_hash(JANE, LEAD_ID_KEY.encode())
    assert crossings.keys() == {jane.encode(), b"partner-7"}
    assert {reason["name"] for reason in crossings[jane.encode()]["reasons"]} == {"clicked", "pricing"}
    written = [record.value() or b"" for word in ("log", "crossings") for record in deployment.read(word)]
    assert b"example.com" not in b"".join([*written, *deployment.keys(), worker.log_path.read_bytes()]).lower()


def records_of_systems(at_ms: int) -> dict[str, dict[str, Any]]:
    """One record for each topic: an array of SendGrid, a batch of Segment, a CloudEvent in the binary mode."""
    mail = {"email": JANE, "timestamp": at_ms // 1_000, "event": "click", "sg_event_id": "click-1"}
    opened = {**mail, "event": "open", "sg_event_id": "open-1"}
    page = {"type": "page", "messageId": "page-1", "anonymousId": "anon-1", "userId": f" {JANE.upper()}"}
    batch = {"batch": [{**page, "properties": {"path": "/pricing"}}], "sentAt": iso_time(at_ms)}
    headers = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/partners", "ce_type": "com.partner.referred"}
    headers |= {"ce_subject": "partner-7", "ce_time": iso_time(at_ms), "content-type": "application/json"}
    return {
        "email": {"key": None, "value": json.dumps([opened, mail])},
        "website": {"key": None, "value": json.dumps(batch)},
        "webinar": {"key": "7", "value": json.dumps({"plan": "team"}), "headers": headers},
    }


def assert_is_cloud_event(crossing: dict[str, Any], began_ms: int) -> None:
    """What the subscriber saw says the same in its key, its headers and its value."""
    value, lead_id = json.loads(crossing["value"]), crossing["key"]
    assert crossing["headers"] == {
        "ce_specversion": "1.0",
        "ce_id": value["id"],
        "ce_source": "urn:leadscore:model:foreign",
        "ce_type": "leadscore.crossing.enter",
        "ce_subject": lead_id,
        "ce_time": iso_instant(began_ms),
        "ce_dataschema": "urn:leadscore:schema:crossing:v1",
        "content-type": "application/json",
    }
    assert (value["lead_id"], value["threshold"], value["direction"]) == (lead_id, "mql", "ENTER")
    assert value["score"] == pytest.approx(65, abs=0.01)
    assert {reason["name"] for reason in value["reasons"]} == {"pricing", "demo", "trial", "role"}
    assert value["trigger"]["campaign"] == "spring"


def mappings(deployment: Deployment) -> Path:
    """The website topic has Segment's format, and one of its track calls is an event type of ours."""
    path = deployment.folder / "mappings.yaml"
    types = {"Demo Requested": "website.contact_requested"}
    path.write_text(yaml.safe_dump({deployment.topic("website"): {"preset": "segment", "types": types}}))
    return path


def calls_of(lead_id: str, last_ms: int) -> list[dict[str, Any]]:
    """What analytics.js and a server send about one person, the last call at the instant given."""
    context = {"library": {"name": "analytics.js"}, "campaign": {"name": "spring", "source": "newsletter"}}
    calls: list[dict[str, Any]] = [
        {"type": "identify", "traits": {"role": "cto", "plan": None}},
        {"type": "page", "name": "Pricing", "properties": {"path": "/pricing", "title": "What it costs"}},
        {"type": "track", "event": "Trial Started", "properties": {}},
        {"type": "track", "event": "Demo Requested", "properties": {"plan": "team", "seats": 12}},
    ]
    return [
        {
            **call,
            "messageId": f"{lead_id}-{index}",
            "userId": lead_id,
            "anonymousId": f"browser of {lead_id}",
            "context": context,
            "timestamp": iso_time(last_ms - 1_000 * (len(calls) - 1 - index)),
        }
        for index, call in enumerate(calls)
    ]


def iso_time(instant_ms: int) -> str:
    return datetime.fromtimestamp(instant_ms / 1000, UTC).isoformat()


def run_client(node_modules: Path, arguments: list[str], records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines that the client said."""
    done = subprocess.run(
        ["node", str(FOREIGN / "client.js"), *arguments],
        input="\n".join(map(json.dumps, records)),
        env={**os.environ, "NODE_PATH": str(node_modules)},
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
