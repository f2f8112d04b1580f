"""Workers that die between two steps while records come in, and the settings with which little is needed for it."""

from collections.abc import Iterator
from itertools import islice

from leadscore.events.event import Event
from tests.deployment import FEW_RECENT, Deployment, WorkerProcess
from tests.servers import wait_until

SMALL_BATCHES = {
    **FEW_RECENT,
    "LEADSCORE_BATCH_SIZE": "40",
    "LEADSCORE_SCORE_BATCH_FRAMES": "2",
    "LEADSCORE_COMMIT_INTERVAL": "0s",
    "LEADSCORE_ALIGNMENT_WAIT": "200ms",
}
LINGERING = {"LEADSCORE_KAFKA__LINGER_MS": "300"}
SAME_MEMBER = {"LEADSCORE_KAFKA__GROUP_INSTANCE_ID": "worker-0"}
"""A restarted process gets the partitions of its predecessor at once, not after the session timeout."""


def feed_until_death(deployment: Deployment, worker: WorkerProcess, waiting: Iterator[Event], at_once: int = 3) -> None:
    """A steady stream, so that there is always something under way."""
    worker.expected_to_die = True

    def is_dead() -> bool:
        deployment.send_now(islice(waiting, at_once))
        return worker.process.poll() is not None

    wait_until(lambda: bool(worker.said("shards_started")) or worker.process.poll() is not None, 30, "a beginning")
    wait_until(is_dead, 30, "the worker to die")
