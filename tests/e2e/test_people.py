"""A visitor who becomes known, and a person who is erased, under any of the ids: what sales and the person see."""

import json
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import pytest

from leadscore.events.event import Event
from leadscore.log.records import ERASE, MERGE, partition_of
from tests.deployment import LOG_PARTITIONS, Deployment, WorkerProcess, assert_as_folded, now_ms
from tests.servers import wait_until
from tests.traces import erase, traces_in_redis, wait_until_forgotten

pytestmark = pytest.mark.lasting_leads

MODEL = {
    "model": "people",
    "version": 1,
    "rules": {
        "pricing": {"event": "website.page_view", "where": {"path": "/pricing"}, "points": 20},
        "form": {"event": "website.form_submitted", "points": 25},
    },
    "thresholds": {"mql": {"enter": 70, "exit": 40}},
}
FORMS = "{lead_id: contact, merge: {lead_id: cookie}, event_id: id, occurred_at: at, type: website.form_submitted}"


def apart(word: str, *others: str) -> str:
    """An id whose log partition is none of the others'."""
    taken = {partition_of(other, LOG_PARTITIONS) for other in others}
    return next(
        name for number in range(1_000) if partition_of(name := f"{word}-{number}", LOG_PARTITIONS) not in taken
    )


def views(lead_id: str, number: int, before_ms: int) -> list[Event]:
    """Looks at the prices in the second before, worth 20 points each."""
    return [
        Event("website.page_view", f"{lead_id}-{index}", lead_id, before_ms - 100 * (index + 1), {"path": "/pricing"})
        for index in range(number)
    ]


def test_a_visitor_who_fills_in_a_form_qualifies_in_that_instant_by_what_came_under_both_ids(
    deploy: Callable[..., Deployment], tmp_path: Path
) -> None:
    deployment = deploy(MODEL)
    mappings = tmp_path / "mappings.yaml"
    mappings.write_text(json.dumps(deployment.topic("webinar")) + f": {FORMS}")
    deployment.start_worker(LEADSCORE_MAPPINGS=str(mappings))
    cookie = apart("cookie")
    contact = apart("contact", cookie)
    filled_in_ms = now_ms()
    deployment.send_now(views(cookie, 3, filled_in_ms))
    deployment.wait_until_done()
    assert deployment.crossings() == []

    form = {"contact": contact, "cookie": cookie, "id": "f1", "at": filled_in_ms}
    deployment.send_bytes("webinar", json.dumps(form).encode(), now_ms())
    deployment.producer.flush(10)
    deployment.wait_until_done()
    [crossing] = deployment.crossings()
    assert (crossing["lead_id"], crossing["threshold"], crossing["direction"]) == (contact, "mql", "ENTER")
    # A merge that comes with an event is at its lead before or after it, by whose partition is read first.
    assert crossing["cause"] in {"MERGED", "EVENT"}
    assert crossing["merged_with"] is None
    assert int(crossing["occurred_at"].timestamp() * 1000) == filled_in_ms
    reasons = {reason["name"]: reason["points"] for reason in crossing["reasons"]}
    assert reasons == pytest.approx({"pricing": 60, "form": 25}, abs=0.01)
    assert_as_folded(deployment, [cookie, contact])


def test_an_ordinary_identify_repeated_forwards_nothing(deploy: Callable[..., Deployment], tmp_path: Path) -> None:
    deployment = deploy(MODEL)
    mappings = tmp_path / "mappings.yaml"
    mappings.write_text(json.dumps(deployment.topic("webinar")) + ": {preset: segment}")
    worker = deployment.start_worker(LEADSCORE_MAPPINGS=str(mappings))
    for number in range(5):
        call = {"type": "identify", "messageId": f"m{number}", "anonymousId": "a-1", "userId": "u-1"}
        deployment.send_bytes("webinar", json.dumps({**call, "timestamp": now_ms()}).encode(), now_ms())
    deployment.producer.flush(10)
    deployment.wait_until_done()
    metrics = worker.get("/metrics")[1]
    assert "leadscore_merges_total 1.0" in metrics
    assert 'leadscore_forwards_published_total{kind="absorb"} 1.0' in metrics
    assert 'leadscore_forwards_published_total{kind="command"} 0.0' in metrics
    assert 'leadscore_awards_total{outcome="duplicate"} 4.0' in metrics


CANARIES = ("canary-3f0a", "canary-71be", "canary-c95d")
"""In all ids of three people, one erased under each of the ids."""


def ids_of(canary: str) -> list[str]:
    """A cookie that is an e-mail's that is a contact's, in three log partitions."""
    cookie = apart(f"{canary}-cookie")
    mail = apart(f"{canary}-mail", cookie)
    return [cookie, mail, apart(f"{canary}-contact", cookie, mail)]


def merges(ids: list[str], at_ms: int) -> list[Event]:
    return [Event(MERGE, f"merge-{lead_id}", lead_id, at_ms, {"into": into}) for lead_id, into in pairwise(ids)]


def test_a_person_erased_under_any_id_is_gone_under_all_and_does_not_come_back(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(MODEL)
    deployment.add_scores_topic("0.01")
    worker = deployment.start_worker()
    began_ms = now_ms()
    people = [ids_of(canary) for canary in CANARIES]
    records = [event for ids in people for lead_id in ids for event in views(lead_id, 4, began_ms)]
    deployment.send_now(records)
    deployment.wait_until_done()
    deployment.send_now(merged := [merge for ids in people for merge in merges(ids, began_ms)])
    deployment.wait_until_done()
    deployment.send_now(late := [event for ids in people for event in views(ids[0], 6, began_ms)[4:]])
    deployment.wait_until_done()
    assert all(traces_in_redis(deployment, canary) for canary in CANARIES)

    erase(deployment, people[0][0])
    erased_ms = now_ms()
    deployment.send_now(
        Event(ERASE, f"erase-{lead_id}", lead_id, erased_ms, {}) for lead_id in (people[1][1], people[2][2])
    )
    assert_gone(deployment, people)

    assert worker.terminate() == 0
    deployment.read_sources_again()
    told = [said_by(worker)]
    again = [event for ids in people for event in (*views(ids[1], 4, began_ms - 60_000), *merges(ids, began_ms - 1))]
    deployment.send_now([*records, *merged, *late, *again])
    second = deployment.start_worker()
    assert_gone(deployment, people)
    told.append(said_by(second))
    assert [canary for canary in CANARIES if canary in "".join(told)] == []
    assert_as_folded(deployment, [lead_id for ids in people for lead_id in ids])


def assert_gone(deployment: Deployment, people: Iterable[list[str]]) -> None:
    """Nothing of them is in Redis, and the last word on each id is a tombstone on both topics that know leads."""
    ids = {lead_id for of_person in people for lead_id in of_person}
    deployment.wait_until_done()
    for canary in CANARIES:
        wait_until_forgotten(deployment, canary)
    wait_until(lambda: ids <= tombstones(deployment, "crossings"), 10, "tombstones on the topic of crossings")
    assert ids <= tombstones(deployment, "scores")


def tombstones(deployment: Deployment, word: str) -> set[str]:
    """The keys of a topic of which compaction will leave nothing."""
    latest = {(record.key() or b"").decode(): record.value() for record in deployment.read(word)}
    return {key for key, value in latest.items() if value is None}


def said_by(worker: WorkerProcess) -> str:
    """Its log; the ids of leads are not in it."""
    return worker.log_path.read_text()
