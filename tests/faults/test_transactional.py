"""Transactional delivery through many kills, with nobody to end what is open, and while the mode changes.

``KILLS=200`` is the long form. Each experiment ends with a line that says what was done and what was seen.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice, pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.crashing import SMALL_BATCHES, feed_until_death
from tests.deployment import FEW_RECENT_EVENTS, Deployment, WorkerProcess, assert_as_folded
from tests.e2e.conftest import deploy, node_modules  # noqa: F401  # fixtures
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

KILLS = int(os.environ.get("KILLS", "20"))
AT_LEAST_ONCE = {"LEADSCORE_DELIVERY": "at_least_once"}
SHORT_SESSION = {"LEADSCORE_KAFKA__SESSION_TIMEOUT_MS": "6000", "LEADSCORE_KAFKA__HEARTBEAT_INTERVAL_MS": "500"}


def test_a_foreign_subscriber_sees_each_crossing_once_through_many_kills(
    deploy: Callable[..., Deployment],  # noqa: F811
    node_modules: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    deployment = deploy(CROSSING_MODEL)
    deployment.environ |= settings_of_a_member()
    with following(deployment, node_modules) as follower:
        kills = kill_again_and_again(deployment, "many", KILLS)
        seen = assert_each_once(deployment, follower, kills.persons)
    assert transactions_in_progress(deployment.kafka) == []
    longest_s = max(kills.ended_after_s)
    say(
        capsys,
        f"transactional kills: {KILLS} kills ({', '.join(f'{one} {n}' for one, n in sorted(kills.points.items()))}), "
        f"{len(kills.ended_after_s)} with a transaction open, over within {longest_s:.1f} s of the successor's start; "
        f"{records_of(kills.persons)} records of {len(kills.persons)} people, {len(seen)} crossings, each seen once by "
        "kafkajs; 0 repeats, 0 missing, 0 transactions open",
    )


def test_a_transaction_that_no_successor_ends_holds_readers_up_for_a_stated_time(
    deploy: Callable[..., Deployment],  # noqa: F811
    node_modules: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
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
        feed_until_death(
            deployment, deployment.start_worker(LEADSCORE_TEST_CRASH_AFTER="transaction_offsets:20"), waiting
        )
        died_s = monotonic()
        assert deployment.open_transactions()

        def is_ended() -> bool:
            deployment.send_now(islice(waiting, 3))
            return not deployment.open_transactions()

        wait_until(is_ended, 60, "the broker to end the transaction")
        ended_s = monotonic() - died_s
        deployment.send_now(waiting)
        deployment.wait_until_settled()
        seen = assert_each_once(deployment, follower, persons)
    say(
        capsys,
        f"transactional stall: a transaction without a successor was over {ended_s:.1f} s after the kill (bound: 10 s "
        "of transaction.timeout.ms and 10 s between two looks of the broker); longest time without a crossing at the "
        f"subscriber {longest_gap_s(seen):.1f} s; {len(seen)} crossings, each seen once",
    )


def test_workers_of_both_modes_replace_each_other_under_load(
    deploy: Callable[..., Deployment],  # noqa: F811
    capsys: pytest.CaptureFixture[str],
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
    copies = Counter(len(copies) for copies in deployment.published().values())
    repeats = sum(copies.values()) - copies[1]
    say(
        capsys,
        f"change of mode: 5 rolling changes and 2 kills, {len(records)} records of {len(persons)} people; the "
        f"crossings of a fold of the log and no other; 0 repeats in the rolling changes, {repeats} after the kills",
    )


def started(deployment: Deployment, mode: dict[str, str]) -> WorkerProcess:
    worker = deployment.start_worker(**mode)
    worker.wait_for("shards_started", 60)
    return worker


def records_of(persons: Iterable[Person]) -> int:
    return sum(len(person.merges) + len(person.events) for person in persons)


def longest_gap_s(seen: list[dict[str, Any]]) -> float:
    came_ms: list[int] = [one["at_ms"] for one in seen]
    return max(after - before for before, after in pairwise(came_ms)) / 1000


def say(capsys: pytest.CaptureFixture[str], verdict: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{verdict}\n")
