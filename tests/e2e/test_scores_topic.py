"""The scores topic on a real Kafka: the last record of a lead is of its newest state, whatever dies or wakes up."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from typing import Any

import fastavro
import pytest
from confluent_kafka import Message

from leadscore.events.local_schemas import parsed_schema, single_object_header
from leadscore.scoring.context import FoldContext
from leadscore.scoring.simulation import score_line
from tests.crashing import SAME_MEMBER
from tests.deployment import (
    FEW_RECENT,
    FEW_RECENT_EVENTS,
    WANDERING_MODEL,
    Deployment,
    assert_exact,
    headers_of,
    wandering_events,
)
from tests.servers import wait_until

pytestmark = pytest.mark.lasting_leads

SMALL_BATCHES = {**FEW_RECENT, "LEADSCORE_BATCH_SIZE": "40", "LEADSCORE_SCORE_BATCH_FRAMES": "2"}
SHORT_SESSION = {"LEADSCORE_KAFKA__SESSION_TIMEOUT_MS": "6000", "LEADSCORE_KAFKA__HEARTBEAT_INTERVAL_MS": "500"}
ERASED = "lead-0"


def with_scores_topic(deployment: Deployment) -> Deployment:
    """Every move of a score is written, so that the last record is of the state that is stored."""
    deployment.add_scores_topic("0.01")
    return deployment


def latest_scores(deployment: Deployment) -> dict[str, Message]:
    """What compaction will leave: the last committed record of each lead."""
    return {(record.key() or b"").decode(): record for record in deployment.read("scores")}


def decoded(record: Message) -> dict[str, Any]:
    value = record.value()
    assert value is not None
    assert value[:10] == single_object_header("lead_score")
    latest = fastavro.schemaless_reader(io.BytesIO(value[10:]), parsed_schema("lead_score"), None)
    assert isinstance(latest, dict)
    return latest


def assert_newest(deployment: Deployment) -> None:
    """The last record of each lead says what ``explain`` says of the state that is stored, at the record's instant."""
    latest = latest_scores(deployment)
    model = deployment.models[1]
    stored = deployment.stored(sorted(latest))
    for lead_id, state in stored.items():
        if state is None:
            assert latest[lead_id].value() is None
            continue
        record = decoded(latest[lead_id])
        at_ms = round(record["as_of"].timestamp() * 1_000)
        assert at_ms >= state.latest_record_ms
        line = score_line(lead_id, state, FoldContext(model, None, lambda _: model, at_ms, FEW_RECENT_EVENTS), at_ms)
        assert (record["score"], record["engagement"]) == pytest.approx((line.score, line.engagement), abs=1e-9)
        places = {place["threshold"]: place["place"].lower() for place in record["thresholds"]}
        assert (record["lead_id"], record["band"], places) == (lead_id, line.band, line.thresholds)


def run(deployment: Deployment, *words: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LEADSCORE_")}
    command = [sys.executable, "-m", "leadscore.cli.main", *words]
    done = subprocess.run(
        command, env=inherited | deployment.config(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_until_gone(deployment: Deployment, lead_id: str) -> Message:
    def last_word() -> list[Message]:
        record = latest_scores(deployment)[lead_id]
        return [record] if record.value() is None else []

    [record] = wait_until(last_word, 20, "a tombstone")
    return record


def test_a_kill_between_write_and_publish_loses_no_score_and_an_erasure_leaves_a_tombstone(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = with_scores_topic(deploy(WANDERING_MODEL))
    deployment.environ |= SMALL_BATCHES | SAME_MEMBER
    events = wandering_events("scores", 300)
    waiting = iter(events)
    crashing = deployment.start_worker(LEADSCORE_TEST_CRASH_AFTER="written:6", LEADSCORE_COMMIT_INTERVAL="1s")
    crashing.expected_to_die = True

    def is_dead() -> bool:
        deployment.send_now(islice(waiting, 3))
        return crashing.process.poll() is not None

    wait_until(is_dead, 60, "the worker to die")
    assert crashing.process.returncode == -signal.SIGKILL
    deployment.send_now(waiting)
    worker = deployment.start_worker()
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    assert_newest(deployment)
    assert latest_scores(deployment).keys() == {event.lead_id for event in events}

    run(deployment, "erase", ERASED, "--yes")
    headers = dict(headers_of(wait_until_gone(deployment, ERASED)))
    assert (headers["ce_type"], headers["ce_subject"]) == (b"leadscore.lead.gone", ERASED.encode())
    lead_id, record = next(one for one in latest_scores(deployment).items() if one[1].value() is not None)
    explained = json.loads(run(deployment, "explain", lead_id, "--json"))
    assert decoded(record)["score"] == pytest.approx(explained["score"], abs=0.01)
    assert f'leadscore_scores_published_total{{record="tombstone"}} {1.0}' in worker.get("/metrics")[1]
    assert worker.terminate() == 0


@pytest.mark.full
def test_a_worker_that_wakes_up_with_scores_to_send_puts_none_after_those_of_its_successor(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = with_scores_topic(deploy(WANDERING_MODEL))
    deployment.environ |= SMALL_BATCHES | SHORT_SESSION
    events = wandering_events("zombie", 300)
    zombie = deployment.start_worker(LEADSCORE_COMMIT_INTERVAL="5s")
    deployment.send_now(events[:150])
    wait_until(lambda: latest_scores(deployment), 60, "the first scores")
    deployment.send_now(events[150:200])
    wait_until(lambda: has_uncommitted_writes(deployment), 30, "scores that are written to Redis alone")
    zombie.freeze()

    successor = deployment.start_worker()
    deployment.send_now(events[200:])
    successor.wait_for("shards_started", 60)
    zombie.thaw()
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    assert_newest(deployment)
    assert [worker.terminate() for worker in (zombie, successor)] == [0, 0]


def has_uncommitted_writes(deployment: Deployment) -> bool:
    return b":outbox" in b" ".join(deployment.keys()) and deployment.lag() > 0
