"""One person under several ids, on real servers: every event counts once, wherever it came and whatever crashes."""

import signal
from collections.abc import Callable, Iterable
from itertools import islice

import pytest

from leadscore.scoring.score import main_score_at
from tests.crashing import LINGERING, SAME_MEMBER, SMALL_BATCHES, feed_until_death
from tests.deployment import (
    FEW_RECENT_EVENTS,
    WANDERING_MODEL,
    Deployment,
    assert_as_folded,
    now_ms,
)
from tests.people import Person, mixed, people, scores_of
from tests.servers import wait_until

pytestmark = pytest.mark.lasting_leads

REBUILD = {"LEADSCORE_ON_STATE_LOSS": "rebuild"}


@pytest.mark.parametrize("step", ["written:4", "published:4"])
def test_a_crash_while_people_are_merged_loses_nothing_and_counts_nothing_twice(
    deploy: Callable[..., Deployment], step: str
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= SMALL_BATCHES | SAME_MEMBER
    persons = people("crash", 60)
    waiting = iter(mixed(persons, step))
    deployment.send_now(islice(waiting, 60))
    crashing = deployment.start_worker(LEADSCORE_TEST_CRASH_AFTER=step, **LINGERING)
    feed_until_death(deployment, crashing, waiting)
    assert crashing.process.returncode == -signal.SIGKILL
    deployment.send_now(waiting)
    deployment.start_worker()
    deployment.wait_until_settled()
    assert_people(deployment, persons)


def test_all_state_lost_while_people_are_merged_is_rebuilt_and_nothing_forwarded_again(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= SMALL_BATCHES | REBUILD
    persons = people("lost", 60)
    records = mixed(persons, "lost")
    first, second = deployment.start_worker(), deployment.start_worker()
    wait_until(lambda: first.said("shards_started") and second.said("shards_started"), 30, "both to own shards")
    deployment.send_now(records[:300])
    deployment.wait_until_done()
    deployment.lose_everything()
    deployment.send_now(records[300:])
    deployment.wait_until_settled()
    assert_people(deployment, persons)


SHORT_SESSION = {"LEADSCORE_KAFKA__SESSION_TIMEOUT_MS": "6000", "LEADSCORE_KAFKA__HEARTBEAT_INTERVAL_MS": "500"}
LARGE_BATCHES = {"LEADSCORE_BATCH_SIZE": "300", "LEADSCORE_SCORE_BATCH_FRAMES": "6"}
STEPS = ("matched", "logged", "folded", "written", "published", "acknowledged")
SHARES = len(STEPS) + 6
"""Of the records: one for the time before and one for each of the accidents that follow."""


@pytest.mark.full
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("number", [1_000, 20_000])
def test_people_are_whole_after_kills_at_every_step_a_zombie_a_loss_of_all_state_and_a_rebalance(
    deploy: Callable[..., Deployment], number: int
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= SMALL_BATCHES | LARGE_BATCHES | SHORT_SESSION | REBUILD
    persons = people("many", number, events_each=4)
    records = mixed(persons, "many")
    shares = iter([records[index::SHARES] for index in range(SHARES)])
    zombie, leaving = (deployment.start_worker(**member(one)) for one in ("one", "two"))
    deployment.send_now(next(shares))
    for step in STEPS:
        share = next(shares)
        crashing = deployment.start_worker(LEADSCORE_TEST_CRASH_AFTER=f"{step}:6", **member("zero"), **LINGERING)
        waiting = iter(share)
        feed_until_death(deployment, crashing, waiting, max(3, len(share) // 100))
        deployment.send_now(waiting)
    deployment.start_worker(**member("zero"))

    zombie.freeze()
    deployment.send_now(next(shares))
    wait_until(lambda: deployment.members("score") == 2, 60, "the group to go on without the zombie")
    deployment.send_now(next(shares))
    zombie.thaw()
    wait_until(lambda: deployment.members("score") == 3, 60, "the zombie to join again")

    deployment.send_now(next(shares))
    deployment.lose_everything()
    deployment.send_now(next(shares))
    deployment.start_worker(**member("three"))
    deployment.send_now(next(shares))
    assert leaving.terminate() == 0
    deployment.wait_until_done(900)
    deployment.wait_until_nothing_is_due(300)
    assert_people(deployment, persons)


def member(name: str) -> dict[str, str]:
    """A worker whose partitions wait for it while it is started again."""
    return {"LEADSCORE_KAFKA__GROUP_INSTANCE_ID": f"worker-{name}"}


def assert_people(deployment: Deployment, persons: Iterable[Person]) -> None:
    """Of each person one lead is left, with the oracle's score; what is published is what a fold of the log gives."""
    persons = list(persons)
    states = deployment.stored({one for person in persons for one in person.ids})
    leads = {person.lead for person in persons}
    assert {one for one, state in states.items() if state is not None and state.alias is None} == leads
    at_ms = now_ms()
    model = deployment.models[deployment.definition.version]
    scores = {lead: main_score_at(state, model, at_ms).value for lead in leads if (state := states[lead]) is not None}
    assert scores == pytest.approx(scores_of(dict(WANDERING_MODEL), persons, at_ms), abs=1e-9)
    assert_as_folded(deployment, states, FEW_RECENT_EVENTS)
    assert_pairs(deployment)


def assert_pairs(deployment: Deployment) -> None:
    """Who enters in another's place is named by a leave of that other."""
    merged = [crossing for crossing in deployment.crossings() if crossing["cause"] == "MERGED"]
    left = {(crossing["lead_id"], crossing["threshold"]) for crossing in merged if crossing["direction"] == "LEAVE"}
    taken_over = {
        (crossing["merged_with"], crossing["threshold"])
        for crossing in merged
        if crossing["direction"] == "ENTER" and crossing["merged_with"] is not None
    }
    assert taken_over
    assert taken_over <= left
