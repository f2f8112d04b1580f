"""A rolling upgrade from the old version, on real servers: ``make upgrade``.

Old workers, of a commit in the git history, run under load and are replaced one by one. Leads of one case remember few
recent events, so that only the protocol keeps a record from counting twice; those of the other recognise events of
before the upgrade that come again, and lose those that are retracted.
"""

import io
import signal
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, cast
from uuid import uuid5

import fastavro
import pytest

from leadscore.events.event import Event
from leadscore.events.local_schemas import parsed_schema, single_object_header
from leadscore.scoring.context import FoldSettings
from leadscore.scoring.crossing import Crossing, Direction
from leadscore.scoring.crossing_ids import CROSSING_NAMESPACE
from tests.conftest import NEEDS_HISTORY, on_ci
from tests.deployment import (
    FEW_RECENT,
    FEW_RECENT_EVENTS,
    WANDERING_MODEL,
    Deployment,
    WorkerProcess,
    assert_scores_of,
    now_ms,
    wandering_events,
)
from tests.old_version.checkout import NoHistoryError, interpreter
from tests.servers import wait_until

pytestmark = [pytest.mark.full, pytest.mark.lasting_leads, pytest.mark.timeout(900)]

LIVELY = {
    "LEADSCORE_KAFKA__SESSION_TIMEOUT_MS": "6000",
    "LEADSCORE_KAFKA__HEARTBEAT_INTERVAL_MS": "500",
    "LEADSCORE_BATCH_SIZE": "40",
    "LEADSCORE_SCORE_BATCH_FRAMES": "2",
    "LEADSCORE_COMMIT_INTERVAL": "0s",
}
LEADS = 40
MANY_RECENT_EVENTS = FoldSettings(recent_events=255)
MANY_RECENT = {"LEADSCORE_RECENT_EVENTS": "255"}
"""No event of the load falls out of its lead's recent ones."""
EVENTS_PER_POLL = 3
NEW_RECORD = "log record of format 02"
NEW_FENCE = "the stored fence has format 02"


@pytest.fixture(scope="session")
def old_python() -> Path:
    """Python with the old version installed. Without history the test fails on CI; elsewhere it counts as not run."""
    try:
        return interpreter()
    except NoHistoryError as error:
        message = f"{NEEDS_HISTORY}: {error}"
        if on_ci():
            pytest.fail(message)
        pytest.skip(message)


class Load:
    """A steady stream of events: some more with every look at what is waited for."""

    def __init__(self, deployment: Deployment) -> None:
        self.sent: list[Event] = []
        self._deployment = deployment
        self._waiting = self._endless()

    def _endless(self) -> Iterator[Event]:
        number = 0
        while True:
            yield from wandering_events(f"load{number}", 200, LEADS)
            number += 1

    def send(self, number: int) -> None:
        events = list(islice(self._waiting, number))
        self._deployment.send_now(events)
        self.sent += events

    def until(self, condition: Callable[[], object], what: str, timeout_s: float = 60) -> None:
        def is_so() -> object:
            self.send(EVENTS_PER_POLL)
            return condition()

        wait_until(is_so, timeout_s, what)


def stops(worker: WorkerProcess, words: str) -> list[str]:
    """Why the old worker stopped partitions, of the reasons with these words in them."""
    return [line["detail"] for line in worker.said("log_partition_stopped") if words in line["detail"]]


def works(worker: WorkerProcess) -> bool:
    return bool(worker.said("shards_started"))


def start_old_workers(deployment: Deployment, load: Load, python: Path) -> list[WorkerProcess]:
    """Three, the first of which dies with crossings that are stored and not published."""
    load.send(300)
    crashing = {"LEADSCORE_TEST_CRASH_AFTER": "written:60"}
    old = [deployment.start_version(python, **settings) for settings in (crashing, {}, {})]
    old[0].expected_to_die = True

    def all_score() -> bool:
        for worker in old:
            worker.check()
        return all(worker.said("shard_started") for worker in old)

    load.until(all_score, "the old workers to score")
    load.until(deployment.published, "crossings of the old version")
    return old


def replace_one_by_one(deployment: Deployment, load: Load, old: list[WorkerProcess]) -> None:
    """One dies by itself, one is asked to end, one is killed; old ones meet records of the new version meanwhile."""
    load.until(lambda: old[0].process.poll() is not None, "the first old worker to die")
    assert old[0].process.returncode == -signal.SIGKILL
    first = deployment.start_worker()
    load.until(lambda: works(first), "the first new worker to score")
    load.until(lambda: any(stops(worker, NEW_RECORD) for worker in old[1:]), "an old worker to meet a new record")
    assert [worker.process.poll() for worker in old[1:]] == [None, None]  # they go on with the rest
    assert old[1].terminate() == 0
    second = deployment.start_worker()
    load.until(lambda: works(second), "the second new worker to score")
    old[2].kill()
    third = deployment.start_worker()
    load.until(lambda: works(third), "the third new worker to score")


def an_old_worker_comes_late(deployment: Deployment, load: Load, python: Path) -> None:
    """It is given partitions whose states it cannot read: it stops them, and they go on when it is gone."""
    late = deployment.start_version(python)
    load.until(lambda: stops(late, NEW_FENCE), "the late old worker to meet a new fence")
    assert late.process.poll() is None
    assert late.terminate() == 0
    load.send(50)


def rebuild_from_the_log_of_both(deployment: Deployment) -> None:
    for worker in deployment.workers:
        worker.terminate()
    deployment.lose_everything()
    deployment.start_worker(LEADSCORE_ON_STATE_LOSS="rebuild")


def test_workers_that_are_replaced_one_by_one_lose_nothing_and_count_nothing_twice(
    deploy: Callable[..., Deployment], old_python: Path
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= LIVELY | FEW_RECENT
    load = Load(deployment)
    old = start_old_workers(deployment, load, old_python)
    replace_one_by_one(deployment, load, old)
    deployment.wait_until_settled()
    assert_scores_of(deployment, load.sent)
    an_old_worker_comes_late(deployment, load, old_python)
    deployment.wait_until_settled()
    assert_scores_of(deployment, load.sent)
    assert_crossings_are_one_story(deployment, FEW_RECENT_EVENTS)
    rebuild_from_the_log_of_both(deployment)
    load.send(100)
    deployment.wait_until_settled()
    assert_scores_of(deployment, load.sent)
    assert_crossings_are_one_story(deployment, FEW_RECENT_EVENTS)


def test_events_of_before_the_upgrade_are_recognised_and_can_be_retracted(
    deploy: Callable[..., Deployment], old_python: Path
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= LIVELY | MANY_RECENT
    load = Load(deployment)
    old = start_old_workers(deployment, load, old_python)
    of_before = list(load.sent)
    replace_one_by_one(deployment, load, old)
    random = Random("again")
    again = random.sample(of_before, 100)
    commands = [
        Event("command.retract", f"r{place}", event.lead_id, now_ms(), {"target": event.event_id})
        for place, event in enumerate(random.sample(of_before, 40))
    ]
    deployment.send_now([*again, *commands])
    deployment.wait_until_done()
    deployment.send_now(random.sample(of_before, 100))
    deployment.wait_until_settled()
    assert_scores_of(deployment, [*load.sent, *commands], MANY_RECENT_EVENTS)
    assert_crossings_are_one_story(deployment, MANY_RECENT_EVENTS)


def test_the_old_version_begins_anew_from_the_sources_under_names_of_its_own(
    deploy: Callable[..., Deployment], old_python: Path, redis_prefix: str
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= LIVELY | MANY_RECENT
    load = Load(deployment)
    start_old_workers(deployment, load, old_python)
    for worker in deployment.workers:
        worker.kill()
    new = deployment.start_worker()
    load.until(lambda: works(new), "the new worker to score")
    deployment.wait_until_settled()
    assert new.terminate() == 0

    back = deploy(WANDERING_MODEL)
    back.prefix = f"{redis_prefix[:30]}-b"
    back.environ |= LIVELY | MANY_RECENT
    sources = {name: deployment.config()[name] for name in ("LEADSCORE_SOURCE_TOPICS", "LEADSCORE_COMMAND_TOPIC")}
    old = back.start_version(old_python, **sources)

    def has_read_everything() -> bool:
        old.check()
        return deployment.lag_of_group(f"{back.name}-match") == 0 and back.lag_of_score() == 0

    wait_until(has_read_everything, 120, "the old version to read everything again")
    assert_scores_of(back, load.sent, MANY_RECENT_EVENTS)
    assert back.published()
    assert old.terminate() == 0


# --- crossings ------------------------------------------------------------------------------------------------------


def assert_crossings_are_one_story(deployment: Deployment, settings: FoldSettings) -> None:
    """What both versions published is what one fold of the log decides: the same crossings under the same ids.

    Enters of events in old log records have ids of the old kind, whichever version decided them.
    """
    _, outputs = deployment.plain_fold(settings=settings)
    decided = {output.id: output for output in outputs if isinstance(output, Crossing)}
    published = deployment.published()
    assert sorted(published) == sorted(decided)
    for crossing_id, copies in published.items():
        assert len({(copy.key, copy.value, tuple(copy.headers)) for copy in copies}) == 1
        record, crossing = decoded(copies[0].value), decided[crossing_id]
        for name in ("lead_id", "threshold", "direction", "cause", "entered_id"):
            assert record[name] == getattr(crossing, name), name
        assert record["score"] == pytest.approx(crossing.score, abs=1e-6)
    kinds = {enter.id == old_id_of(enter) for enter in decided.values() if enter.direction is Direction.ENTER}
    assert kinds == {True, False}


def old_id_of(enter: Crossing) -> str:
    """The id that the old version gave to the enter of such an event."""
    assert enter.trigger is not None
    words = [enter.model, enter.lead_id, enter.threshold, enter.trigger.event_id]
    return str(uuid5(CROSSING_NAMESPACE, "\x1f".join(words)))


def decoded(value: bytes | None) -> dict[str, Any]:
    """By the schema that the value names: today's, or the one that the old version has."""
    assert value is not None
    name = next(name for name in ("crossing", "crossing.1") if value.startswith(single_object_header(name)))
    return cast("dict[str, Any]", fastavro.schemaless_reader(io.BytesIO(value[10:]), parsed_schema(name), None))
