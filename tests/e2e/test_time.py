"""Time alone takes a lead out of a threshold: in time, once, at the instant computed, whoever owns it by then."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from leadscore.events.event import Event
from tests.deployment import LOG_PARTITIONS, SOURCES, Deployment, now_ms
from tests.servers import wait_until

pytestmark = pytest.mark.lasting_leads

DUE_INTERVAL_MS = 2_000
# 60 points are less than 45 after 8.3 seconds; with 20 more points one second later, after 16.8 seconds.
MODEL = {
    "model": "time",
    "version": 1,
    "decay": {"half_life": "20s"},
    "rules": {
        "pricing": {"event": "website.page_view", "where": {"path": "/pricing"}, "points": 60},
        "blog": {"event": "website.page_view", "where": {"path": "/blog"}, "points": 20},
    },
    "thresholds": {"mql": {"enter": 50, "exit": 45}},
}


def test_a_lead_without_further_events_leaves_within_due_interval_of_the_computed_instant(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(MODEL)
    deployment.start_worker().wait_for("shards_started")
    leads = [f"L{number}" for number in range(20)]
    deployment.send_now(visit(lead, now_ms() - 200 * index) for index, lead in enumerate(leads))
    enters = wait_for_crossings(deployment, "ENTER", len(leads))
    leaves = wait_for_crossings(deployment, "LEAVE", len(leads))
    for lead in leads:
        [enter], [leave] = enters[lead], leaves[lead]
        assert leave["cause"] == "TIME"
        assert leave["occurred_at"] == enter["projected_exit_at"]
        assert leave["score"] == pytest.approx(45, abs=0.01)
        assert 0 <= milliseconds(leave["decided_at"]) - milliseconds(leave["occurred_at"]) <= DUE_INTERVAL_MS


def test_a_lead_that_was_due_while_the_worker_was_down_leaves_after_the_restart_as_of_the_same_instant(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(MODEL)
    first = deployment.start_worker()
    first.wait_for("shards_started")
    deployment.send_now([visit("L1", now_ms())])
    [enter] = wait_for_crossings(deployment, "ENTER", 1)["L1"]
    deployment.wait_until_done()
    assert first.terminate() == 0
    wait_until(lambda: now_ms() > milliseconds(enter["projected_exit_at"]) + 1_000, 20, "the exit to be past")
    assert crossings_by_lead(deployment, "LEAVE") == {}

    deployment.start_worker()
    [leave] = wait_for_crossings(deployment, "LEAVE", 1)["L1"]
    assert leave["cause"] == "TIME"
    assert leave["occurred_at"] == enter["projected_exit_at"]
    assert leave["entered_id"] == enter["id"]
    assert milliseconds(leave["decided_at"]) > milliseconds(leave["occurred_at"]) + 1_000


def test_a_lead_that_leaves_while_its_owner_changes_leaves_once(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(MODEL)
    deployment.environ |= {
        "LEADSCORE_KAFKA__SESSION_TIMEOUT_MS": "6000",
        "LEADSCORE_KAFKA__HEARTBEAT_INTERVAL_MS": "500",
    }
    frozen = deployment.start_worker()
    frozen.wait_for("shards_started")
    leads = [f"L{number}" for number in range(20)]
    deployment.send_now(visit(lead, now_ms()) for lead in leads)
    wait_for_crossings(deployment, "ENTER", len(leads))
    deployment.wait_until_done()
    frozen.freeze()
    other = deployment.start_worker()
    leaves = wait_for_crossings(deployment, "LEAVE", len(leads))
    frozen.thaw()

    # The first owner has learnt that it lost its partitions, and has come back into the group.
    def starts() -> int:
        return sum(line["shards"] for worker in (frozen, other) for line in worker.said("shards_started"))

    wait_until(lambda: starts() > 2 * LOG_PARTITIONS, 30, "another rebalance")
    deployment.wait_until_settled()
    assert [len(records) for records in leaves.values()] == [1] * len(leads)
    assert crossings_by_lead(deployment, "LEAVE") == leaves


def test_what_arrived_while_the_worker_was_down_comes_before_what_time_alone_does(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(MODEL)
    first = deployment.start_worker()
    first.wait_for("shards_started")
    began_ms = now_ms()
    deployment.send_now([visit("L1", began_ms)])
    [enter] = wait_for_crossings(deployment, "ENTER", 1)["L1"]
    deployment.wait_until_done()
    assert first.terminate() == 0
    deployment.send_now([visit("L1", began_ms + 1_000, "/blog")])
    wait_until(lambda: now_ms() > milliseconds(enter["projected_exit_at"]), 20, "the first exit to be past")

    deployment.start_worker()
    deployment.wait_until_done()
    [leave] = wait_for_crossings(deployment, "LEAVE", 1)["L1"]
    assert milliseconds(leave["occurred_at"]) == pytest.approx(began_ms + 16_800, abs=100)


def test_a_replay_of_all_topics_publishes_nothing_new(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(MODEL)
    first = deployment.start_worker()
    day_ago_ms = now_ms() - 86_400_000
    leads = [f"L{number}" for number in range(30)]
    deployment.send_now(visit(lead, day_ago_ms + index) for index, lead in enumerate(leads))
    deployment.wait_until_settled()
    assert first.terminate() == 0
    published = deployment.published()
    frames = len(deployment.read("log"))
    assert len(published) == 2 * len(leads)

    read_again(deployment)
    second = deployment.start_worker()
    deployment.wait_until_settled()
    assert counted(second.get("/metrics")[1], 'leadscore_awards_total{outcome="skipped_replay"}') == len(leads)
    assert second.terminate() == 0
    assert len(deployment.read("log")) > frames
    assert deployment.published() == published


def visit(lead_id: str, at_ms: int, path: str = "/pricing") -> Event:
    return Event("website.page_view", f"{lead_id}-{at_ms}", lead_id, at_ms, {"path": path})


Crossing = dict[str, Any]


def wait_for_crossings(deployment: Deployment, direction: str, leads: int) -> dict[str, list[Crossing]]:
    """The crossings of that direction by lead, as soon as the expected number of leads have one."""
    wait_until(lambda: len(crossings_by_lead(deployment, direction)) >= leads, 30, f"{leads} leads with {direction}")
    return crossings_by_lead(deployment, direction)


def crossings_by_lead(deployment: Deployment, direction: str) -> dict[str, list[Crossing]]:
    by_lead: dict[str, list[Crossing]] = {}
    for crossing in deployment.crossings():
        if crossing["direction"] == direction:
            by_lead.setdefault(crossing["lead_id"], []).append(crossing)
    return by_lead


def milliseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def read_again(deployment: Deployment) -> None:
    """Let the match stage begin at the oldest record of every input."""
    consumer = Consumer({"bootstrap.servers": deployment.kafka.bootstrap, "group.id": f"{deployment.name}-match"})
    topics = [deployment.topic(word) for word in (*SOURCES, "commands")]
    partitions = {topic: list(consumer.list_topics(topic, timeout=10).topics[topic].partitions) for topic in topics}
    offsets = [TopicPartition(topic, number, 0) for topic, numbers in partitions.items() for number in numbers]
    consumer.commit(offsets=offsets, asynchronous=False)
    consumer.close()


def counted(metrics: str, series: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in metrics.splitlines() if line.startswith(f"{series} "))
