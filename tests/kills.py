"""Workers that commit in transactions and die, one after the other, at named points: what a subscriber sees of it.

The stream has people with several ids, so that forwards are in the transactions too.
"""

import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from random import Random
from typing import Any, NamedTuple

from leadscore.events.event import Event
from tests.crashing import SAME_MEMBER, SMALL_BATCHES, feed_until_death
from tests.deployment import FEW_RECENT_EVENTS, WANDERING_MODEL, Deployment, assert_as_folded
from tests.following import Follower
from tests.people import Person, mixed, people
from tests.servers import wait_until

CROSSING_MODEL = {
    **WANDERING_MODEL,
    "thresholds": {
        "cold": {"enter": 5, "exit": 3},
        "warm": {"enter": 15, "exit": 10},
        "mql": {"enter": 30, "exit": 25},
        "hot": {"enter": 50, "exit": 45},
    },
}
"""Every second record crosses something, so that there is something to lose or to repeat wherever a worker dies."""
TRANSACTIONAL = {"LEADSCORE_DELIVERY": "transactional"}
IN_TRANSACTION = ("transaction_produced", "transaction_offsets", "transaction_committed")
POINTS = ("written", "transaction_offsets", "published", "transaction_produced", "transaction_committed", "folded")
"""Where a worker dies, in turn; the first ones are where most can go wrong."""
RECORDS_OF_A_KILL = 40
RECORDS_OF_A_PERSON = 8


class Kills(NamedTuple):
    """What workers died of, and what they were given."""

    points: Counter[str]
    persons: list[Person]


def settings_of_a_member() -> dict[str, str]:
    """Little is done at a time, and a worker that is started again is the member that died."""
    return TRANSACTIONAL | SMALL_BATCHES | SAME_MEMBER


def kill_again_and_again(deployment: Deployment, name: str, kills: int, points: Sequence[str] = POINTS) -> Kills:
    """That many workers, each dead at the next of the points; then one that lives, until everything is done."""
    persons = people(name, 1 + kills * RECORDS_OF_A_KILL // RECORDS_OF_A_PERSON)
    waiting, random = iter(mixed(persons, name)), Random(name)
    died: Counter[str] = Counter()
    for point in islice(cycle(points), kills):
        _die_at(deployment, f"{point}:{random.randint(1, 3)}", waiting)
        died[point] += 1
    survivor = deployment.start_worker()
    survivor.wait_for("shards_started", 60)
    deployment.send_now(waiting)
    wait_until(lambda: not deployment.open_transactions(), 60, "no transaction to be open")
    deployment.wait_until_settled()
    return Kills(died, persons)


def _die_at(deployment: Deployment, step: str, waiting: Iterator[Event]) -> None:
    worker = deployment.start_worker(LEADSCORE_TEST_CRASH_AFTER=step)
    feed_until_death(deployment, worker, waiting)
    assert worker.process.returncode == -signal.SIGKILL


def assert_each_once(deployment: Deployment, follower: Follower, persons: Sequence[Person]) -> list[dict[str, Any]]:
    """The states are those of a fold of the log, and the follower saw each crossing of that fold, and each once."""
    assert_as_folded(deployment, {one for person in persons for one in person.ids}, FEW_RECENT_EVENTS)
    expected = Counter(deployment.published().keys())
    assert expected
    seen = follower.to_the_end()
    times = Counter(one["id"] for one in seen)
    assert not {crossing_id: number for crossing_id, number in times.items() if number > 1}, "seen several times"
    assert times == expected
    return seen
