"""Experiment 17: retention, or a deletion, passes what was committed; the partition stops with the numbers.

``tests/e2e/test_state_loss.py`` has the log; here it is an input topic, and the operator's command after it. A log and
an input that lose their end are in test_lost_disks.py.
"""

from collections.abc import Callable

import pytest

from tests.deployment import FEW_RECENT, LASTING_MODEL, LOG_PARTITIONS, Deployment, assert_scores_of, wandering_events
from tests.faults.inputs import event_of
from tests.faults.lost_records import delete_below, place_of
from tests.faults.report import Figures
from tests.faults.seen import copies, metric, readiness
from tests.secured_deployment import run, run_command
from tests.servers import wait_until

pytestmark = pytest.mark.lasting_leads

ROBBED = 2
OTHERS = set(range(LOG_PARTITIONS)) - {ROBBED}
ONE_BY_ONE = {"LEADSCORE_BATCH_SIZE": "10"}


def is_matched(deployment: Deployment) -> bool:
    return deployment._lag_of_match() == 0


@pytest.mark.experiment("17", "records gone before they were applied stop their partition with the numbers")
def test_records_gone_from_the_log_stop_their_partition_until_the_gap_is_accepted(
    deploy: Callable[..., Deployment], figures: Figures
) -> None:
    deployment = deploy(LASTING_MODEL)
    deployment.environ |= FEW_RECENT | ONE_BY_ONE
    events = wandering_events("gone", 600)
    worker = deployment.start_worker()
    deployment.send_now(events[:200])
    deployment.wait_until_settled()
    assert worker.terminate() == 0
    matcher = deployment.start_worker(LEADSCORE_ROLE="match")
    deployment.send_now(events[200:400])
    wait_until(lambda: is_matched(deployment), 30, "the events in the log")
    assert matcher.terminate() == 0

    before, log = place_of(deployment, "score", "log", ROBBED), deployment.log()
    low = (before.committed + before.high + 1) // 2
    gone = {
        award.event_id
        for partition, offset, _, record in log
        for award in getattr(record, "awards", ())
        if partition == ROBBED and before.committed <= offset < low
    }
    delete_below(deployment, "log", ROBBED, low)
    worker = deployment.start_worker()
    stopped = worker.wait_for("log_partitions_stopped")
    assert f"no longer holds {low - before.committed} records after the last applied" in stopped["detail"]
    assert f"holds offsets {low} to {before.high - 1}, committed is {before.committed}" in stopped["detail"]
    wait_until(lambda: "accept-gap" in readiness(worker), 30, "unreadiness that says what to do")
    assert metric([worker], 'leadscore_stopped_partitions{stage="score"}') == 1
    places = {number: place_of(deployment, "score", "log", number) for number in OTHERS}
    wait_until(lambda: all(_is_done(deployment, number) for number in OTHERS), 30, "the other partitions")
    assert places.keys() == OTHERS
    assert place_of(deployment, "score", "log", ROBBED).committed == before.committed

    told = run(deployment, "log", "accept-gap", "--partition", str(ROBBED))
    assert (told.returncode, "Nothing was changed" in told.stdout) == (1, True)
    published = copies(deployment)
    run_command(deployment, "log", "accept-gap", "--partition", str(ROBBED), "--yes")
    deployment.send_now(events[400:])
    deployment.wait_until_done(90)
    assert published.keys() <= copies(deployment).keys()
    assert_scores_of(deployment, [event for event in events if event.event_id not in gone])
    assert worker.terminate() == 0
    figures.lost(low - before.committed)
    figures.events, figures.violations = len(events), 0
    figures.note = f"stopped, the others went on; after accept-gap all but {len(gone)} events count"


def _is_done(deployment: Deployment, number: int) -> bool:
    place = place_of(deployment, "score", "log", number)
    return place.committed == place.high


@pytest.mark.experiment(
    "17", "input records gone before they were matched stop their partition until the gap is accepted"
)
def test_records_gone_from_an_input_stop_its_partition_until_the_gap_is_accepted(
    deploy: Callable[..., Deployment], figures: Figures
) -> None:
    deployment = deploy(LASTING_MODEL)
    deployment.environ |= FEW_RECENT
    events = wandering_events("input", 400)
    worker = deployment.start_worker()
    deployment.send_now(events[:200])
    deployment.wait_until_settled()
    assert worker.terminate() == 0
    deployment.send_now(events[200:])
    before = place_of(deployment, "match", "website", 0)
    low = before.committed + 5
    gone = {
        event["event_id"]
        for message in deployment.read("website")
        if message.partition() == 0 and before.committed <= (message.offset() or 0) < low
        if (event := event_of("website", message)) is not None
    }
    delete_below(deployment, "website", 0, low)

    worker = deployment.start_worker()
    stopped = worker.wait_for("source_partition_stopped")
    assert (stopped["topic"], stopped["partition"]) == (deployment.topic("website"), 0)
    assert str(before.committed) in stopped["detail"]
    assert f"{low} to {before.high - 1}" in stopped["detail"]
    wait_until(lambda: metric([worker], 'leadscore_stopped_partitions{stage="match"}') == 1, 30, "the gauge")
    left = before.high - before.committed
    wait_until(lambda: deployment._lag_of_match() == left, 30, "the other partitions")
    assert readiness(worker)
    assert place_of(deployment, "match", "website", 0).committed == before.committed
    assert worker.terminate() == 0

    accept = ("topics", "accept-gap", "--topic", deployment.topic("website"), "--partition", "0")
    assert (run(deployment, *accept).returncode, len(gone)) == (1, 5)
    run_command(deployment, *accept, "--yes")
    worker = deployment.start_worker()
    deployment.wait_until_settled()
    assert_scores_of(deployment, [event for event in events if event.event_id not in gone])
    assert worker.terminate() == 0
    figures.lost(len(gone))
    figures.events, figures.violations = len(events), 0
    figures.note = f"{left} records waited behind the gap, the others were scored; after accept-gap they are, too"
