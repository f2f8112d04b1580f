"""Workers that commit in transactions and die, one after the other, at named points: what a subscriber sees of it.

The stream has people with several ids, so that forwards are in the transactions too.
"""

import signal
import subprocess
from collections import Counter
from collections.abc import Sequence
from itertools import cycle, islice
from random import Random
from time import monotonic
from typing import Any, NamedTuple

from tests.crashing import SAME_MEMBER, SMALL_BATCHES, feed_until_death
from tests.deployment import FEW_RECENT_EVENTS, WANDERING_MODEL, Deployment, assert_as_folded
from tests.following import Follower
from tests.people import Person, mixed, people
from tests.servers import KafkaServer, _kafka_jars, wait_until

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
    """Where workers died, the seconds that a successor took to end what was left open, and who was scored."""

    points: Counter[str]
    ended_after_s: list[float]
    persons: list[Person]


def settings_of_a_member() -> dict[str, str]:
    """Little is done at a time, and a worker that is started again is the member that died."""
    return TRANSACTIONAL | SMALL_BATCHES | SAME_MEMBER


def kill_again_and_again(deployment: Deployment, name: str, kills: int, points: Sequence[str] = POINTS) -> Kills:
    """That many workers, each dead at the next of the points; then one that lives, until everything is done."""
    persons = people(name, 1 + kills * RECORDS_OF_A_KILL // RECORDS_OF_A_PERSON)
    waiting, random = iter(mixed(persons, name)), Random(name)
    died: Counter[str] = Counter()
    open_s: list[float] = []
    for point in islice(cycle(points), kills):
        was_open = bool(deployment.open_transactions())
        worker = deployment.start_worker(LEADSCORE_TEST_CRASH_AFTER=f"{point}:{random.randint(1, 3)}")
        if was_open:
            open_s.append(_until_ended(deployment))
        feed_until_death(deployment, worker, waiting)
        assert worker.process.returncode == -signal.SIGKILL
        died[point] += 1
    deployment.send_now(waiting)
    deployment.start_worker().wait_for("shards_started", 60)
    wait_until(lambda: not deployment.open_transactions(), 60, "no transaction to be open")
    deployment.wait_until_settled()
    return Kills(died, open_s, persons)


def _until_ended(deployment: Deployment) -> float:
    """Seconds until no transaction is open any more."""
    began_s = monotonic()
    wait_until(lambda: not deployment.open_transactions(), 60, "the transaction to be ended")
    return monotonic() - began_s


def transactions_in_progress(kafka: KafkaServer) -> list[str]:
    """What the broker lists as open, by Kafka's own tool; those of every transactional id."""
    tool = ["java", "-cp", f"{_kafka_jars()}/*", "org.apache.kafka.tools.TransactionsCommand"]
    listed = subprocess.run(
        [*tool, "--bootstrap-server", kafka.bootstrap, "list"], capture_output=True, text=True, timeout=60, check=True
    )
    rows = [line.split() for line in listed.stdout.splitlines()[1:]]
    assert rows, listed.stderr
    return [row[0] for row in rows if row[-1] not in {"Empty", "CompleteCommit", "CompleteAbort"}]


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
