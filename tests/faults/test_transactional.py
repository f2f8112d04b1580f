"""Transactional delivery through many kills, with nobody to end what is open, and while the mode changes.

``KILLS=200`` is the long form. The judges are a subscriber of another client library and a fold of the log.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise, product
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from leadscore.events.event import Event
from tests.crashing import SMALL_BATCHES, feed_until_death
from tests.deployment import FEW_RECENT_EVENTS, Deployment, WorkerProcess, assert_as_folded
from tests.faults.report import Figures
from tests.faults.sizes import SEED, kills
from tests.faults.way import Way
from tests.following import following
from tests.kills import (
    CROSSING_MODEL,
    TRANSACTIONAL,
    assert_each_once,
    kill_again_and_again,
    settings_of_a_member,
    transactions_in_progress,
)
from tests.people import Person, mixed, people
from tests.servers import wait_until

pytestmark = [pytest.mark.lasting_leads, pytest.mark.timeout(7_200)]

ONCE = "a read_committed subscriber sees each crossing exactly once in transactional mode"
STALL = "readers wait for what a killed worker left open no longer than stated"
AT_LEAST_ONCE = {"LEADSCORE_DELIVERY": "at_least_once"}
CALLS = (
    ("END_TXN",),
    ("TXN_OFFSET_COMMIT",),
    ("ADD_PARTITIONS_TO_TXN",),
    ("ADD_OFFSETS_TO_TXN",),
    ("END_TXN", "INIT_PRODUCER_ID"),
)
"""Requests whose replies get lost together. A new producer is asked for only where an end was not answered."""
MOST_KILLS_FOR_ONE_OPEN = 5
SHORT_SESSION = {"LEADSCORE_KAFKA__SESSION_TIMEOUT_MS": "6000", "LEADSCORE_KAFKA__HEARTBEAT_INTERVAL_MS": "500"}


@pytest.mark.experiment("15", ONCE)
def test_a_foreign_subscriber_sees_each_crossing_once_through_many_kills(
    deploy: Callable[..., Deployment],
    node_modules: Path,
    figures: Figures,
) -> None:
    deployment = deploy(CROSSING_MODEL)
    deployment.environ |= settings_of_a_member()
    with following(deployment, node_modules) as follower:
        killed = kill_again_and_again(deployment, f"many-{SEED}", kills(20))
        seen = assert_each_once(deployment, follower, killed.persons)
    assert transactions_in_progress(deployment.kafka) == []
    figures.killed(killed.points.total())
    seen_once(figures, killed.persons, seen)
    longest_s = max(killed.ended_after_s, default=0.0)
    figures.note += (
        f"; {len(killed.ended_after_s)} died with a transaction open, over {longest_s:.1f} s after the next start"
    )


def kill_within_transactions(deployment: Deployment, waiting: Iterator[Event], number: int) -> int:
    """Kill workers in their n-th transaction until one leaves a transaction open; how many that took.

    A worker may be dead before its client has sent the first record, and then no partition is in the transaction.
    """
    for killed in range(1, MOST_KILLS_FOR_ONE_OPEN + 1):
        worker = deployment.start_worker(LEADSCORE_TEST_CRASH_AFTER=f"transaction_offsets:{number}")
        feed_until_death(deployment, worker, waiting)
        if deployment.open_transactions():
            return killed
    raise AssertionError(f"{MOST_KILLS_FOR_ONE_OPEN} workers were killed, and none left a transaction open")


@pytest.mark.experiment("15", STALL)
def test_a_transaction_that_no_successor_ends_holds_readers_up_for_a_stated_time(
    deploy: Callable[..., Deployment],
    node_modules: Path,
    figures: Figures,
) -> None:
    """The dead worker has no name that comes again; another one goes on publishing into the same partitions."""
    deployment = deploy(CROSSING_MODEL)
    deployment.environ |= TRANSACTIONAL | SMALL_BATCHES | SHORT_SESSION
    persons = people("stall", 300)
    waiting = iter(mixed(persons, "stall"))
    deployment.start_worker().wait_for("shards_started", 60)
    with following(deployment, node_modules) as follower:
        deployment.send_now(islice(waiting, 100))
        wait_until(follower.so_far, 60, "the first crossings")
        killed = kill_within_transactions(deployment, waiting, 20)
        died_s = monotonic()

        def is_ended() -> bool:
            deployment.send_now(islice(waiting, 3))
            return not deployment.open_transactions()

        wait_until(is_ended, 60, "the broker to end the transaction")
        ended_s = monotonic() - died_s
        deployment.send_now(waiting)
        deployment.wait_until_settled()
        seen = assert_each_once(deployment, follower, persons)
    figures.killed(killed)
    seen_once(figures, persons, seen)
    figures.note += f"; ended {ended_s:.1f} s after the kill, no crossing for {longest_gap_s(seen):.1f} s"


@pytest.mark.experiment("15", STALL)
def test_a_successor_of_the_same_name_ends_a_transaction_before_it_has_joined(
    deploy: Callable[..., Deployment],
    figures: Figures,
) -> None:
    """Its predecessor is a member of the group until its session is over; nobody waits for that."""
    deployment = deploy(CROSSING_MODEL)
    deployment.environ |= TRANSACTIONAL | SMALL_BATCHES | {"LEADSCORE_INSTANCE": "worker-0"}
    persons = people("name", 60)
    waiting = iter(mixed(persons, "name"))
    killed = kill_within_transactions(deployment, waiting, 5)
    began_s = monotonic()
    successor = deployment.start_worker()
    wait_until(lambda: not deployment.open_transactions(), 60, "the transaction to be ended")
    ended_s = monotonic() - began_s
    assert not successor.said("shards_started")
    deployment.send_now(waiting)
    deployment.wait_until_settled()
    assert_as_folded(deployment, {one for person in persons for one in person.ids}, FEW_RECENT_EVENTS)
    assert all(len(copies) == 1 for copies in deployment.published().values())
    figures.killed(killed)
    figures.events, figures.leads, figures.violations = records_of(persons), len(persons), 0
    figures.note = f"ended {ended_s:.1f} s after the start of its successor"


@pytest.mark.experiment("15", "a lost reply to a call of a transaction repeats nothing")
def test_what_kafka_did_and_never_answered_is_neither_lost_nor_repeated(
    deploy: Callable[..., Deployment], kafka_way: Way, node_modules: Path, figures: Figures
) -> None:
    """Of each call of a transaction, and of the one that replaces the producer: connections that break, and silence."""
    deployment = deploy(CROSSING_MODEL)
    address = {"LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": kafka_way.kafka_address}
    deployment.environ |= TRANSACTIONAL | SMALL_BATCHES | address
    persons = people(f"replies-{SEED}", 300)
    waiting = iter(mixed(persons, "replies"))
    worker = deployment.start_worker()
    worker.wait_for("shards_started", 60)
    with following(deployment, node_modules) as follower:
        for closes, names in product((True, False), CALLS):
            before = kafka_way.lost.copy()
            kafka_way.lose_replies(names, closes=closes)

            def are_lost() -> bool:
                deployment.send_now(islice(waiting, 3))
                worker.check()
                return all(kafka_way.lost[name] > before[name] for name in names)  # noqa: B023

            wait_until(are_lost, 90, f"replies to get lost: {names}")
            kafka_way.lose_replies(())
        deployment.send_now(waiting)
        deployment.wait_until_settled()
        seen = assert_each_once(deployment, follower, persons)
    assert deployment.open_transactions() == []
    assert worker.said("outputs_not_published")
    assert worker.terminate() == 0
    figures.lost(sum(kafka_way.lost[name] for name in {name for names in CALLS for name in names}))
    seen_once(figures, persons, seen)


@pytest.mark.experiment("13", "a frozen worker that wakes up publishes nothing twice in transactional mode")
def test_a_worker_that_wakes_up_with_crossings_to_publish_adds_none_to_those_of_its_successor(
    deploy: Callable[..., Deployment],
    node_modules: Path,
    figures: Figures,
) -> None:
    deployment = deploy(CROSSING_MODEL)
    deployment.environ |= TRANSACTIONAL | SMALL_BATCHES | SHORT_SESSION
    persons = people("zombie", 60)
    records = mixed(persons, "zombie")
    shares = iter([records[index::4] for index in range(4)])
    with following(deployment, node_modules) as follower:
        zombie = started(deployment, {"LEADSCORE_COMMIT_INTERVAL": "5s"})
        deployment.send_now(next(shares))
        wait_until(follower.so_far, 60, "the first crossings")
        deployment.send_now(next(shares))
        wait_until(lambda: b":outbox" in b" ".join(deployment.keys()), 30, "crossings that are written to Redis alone")
        zombie.freeze()
        successor = deployment.start_worker()
        deployment.send_now(next(shares))
        successor.wait_for("shards_started", 60)
        zombie.thaw()
        deployment.send_now(next(shares))
        deployment.wait_until_settled()
        seen = assert_each_once(deployment, follower, persons)
    assert [worker.terminate() for worker in (zombie, successor)] == [0, 0]
    seen_once(figures, persons, seen)


@pytest.mark.experiment("14", "workers of both modes replace each other under load")
def test_workers_of_both_modes_replace_each_other_under_load(
    deploy: Callable[..., Deployment],
    figures: Figures,
) -> None:
    """People are merged all the while: forwards of one mode are read by workers of the other."""
    deployment = deploy(CROSSING_MODEL)
    deployment.environ |= SMALL_BATCHES | SHORT_SESSION
    persons = people("modes", 150)
    records = mixed(persons, "modes")
    shares = iter([records[index::8] for index in range(8)])
    workers = [started(deployment, AT_LEAST_ONCE), started(deployment, AT_LEAST_ONCE)]
    for mode in (TRANSACTIONAL, TRANSACTIONAL, AT_LEAST_ONCE, AT_LEAST_ONCE, TRANSACTIONAL):
        deployment.send_now(next(shares))
        workers.append(started(deployment, mode))
        assert workers.pop(0).terminate() == 0
    deployment.send_now(next(shares))
    deployment.wait_until_settled()
    repeated = [crossing_id for crossing_id, copies in deployment.published().items() if len(copies) > 1]
    assert repeated == []  # every one of them was asked to end, and committed what it had published

    workers[0].kill()  # at least once; its successor is transactional
    deployment.send_now(next(shares))
    workers[1].kill()
    workers = [started(deployment, AT_LEAST_ONCE)]
    deployment.send_now(next(shares))
    deployment.wait_until_settled()
    assert_as_folded(deployment, {one for person in persons for one in person.ids}, FEW_RECENT_EVENTS)
    assert deployment.open_transactions() == []
    figures.killed(2)
    figures.events, figures.leads, figures.violations = len(records), len(persons), 0
    copies = Counter(len(copies) for copies in deployment.published().values())
    figures.note = f"no repeat in 5 rolling changes, {copies.total() - copies[1]} after the kills"


def started(deployment: Deployment, mode: dict[str, str]) -> WorkerProcess:
    worker = deployment.start_worker(**mode)
    worker.wait_for("shards_started", 60)
    return worker


def records_of(persons: Iterable[Person]) -> int:
    return sum(len(person.merges) + len(person.events) for person in persons)


def longest_gap_s(seen: Sequence[Mapping[str, Any]]) -> float:
    came_ms: list[int] = [one["at_ms"] for one in seen]
    return max(after - before for before, after in pairwise(came_ms)) / 1000


def seen_once(figures: Figures, persons: Sequence[Person], seen: Sequence[Mapping[str, Any]]) -> None:
    """What ``assert_each_once`` has found right."""
    figures.events, figures.leads, figures.violations = records_of(persons), len(persons), 0
    figures.note = f"{len(seen)} crossings, each seen once by kafkajs"
