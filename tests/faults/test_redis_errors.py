"""Experiment 9: Redis answers with each of its errors, in any order, under load.

Each is counted under its own kind, is waited for and over by itself, and none costs an event or makes a dead letter.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from random import Random

import pytest

from leadscore.store.failures import FailureKind
from tests.deployment import FEW_RECENT, FEW_RECENT_EVENTS, WANDERING_MODEL, Deployment, WorkerProcess, assert_exact
from tests.deployment import wandering_events as events_of
from tests.e2e.metric_series import series
from tests.faults.judge import assert_holds
from tests.faults.load import Load
from tests.faults.report import Figures
from tests.refusing_way import REFUSALS, RefusingWay
from tests.servers import wait_until

pytestmark = pytest.mark.lasting_leads
SEED, ROUNDS, LEADS = 9, 2, 64


def failures(worker: WorkerProcess) -> dict[str, float]:
    """How often each kind is counted, without those that never were."""
    counts = series(worker.get("/metrics")[1])
    by_kind = {kind.value: counts[f'leadscore_store_errors_total{{kind="{kind.value}"}}'] for kind in FailureKind}
    return {kind: count for kind, count in by_kind.items() if count}


def has_resumed(worker: WorkerProcess) -> bool:
    return len(worker.said("score_resumed")) == len(worker.said("score_paused"))


@pytest.mark.experiment("9", "an error of Redis is waited for and costs nothing")
def test_each_error_of_redis_is_counted_under_its_kind_and_costs_nothing(
    deploy: Callable[..., Deployment], figures: Figures
) -> None:
    deployment = deploy(WANDERING_MODEL)
    events = events_of("errors", 6_000, LEADS)
    refusals = list(REFUSALS) * ROUNDS
    Random(SEED).shuffle(refusals)
    with ExitStack() as stack:
        way = stack.enter_context(RefusingWay(deployment.redis))
        deployment.environ |= FEW_RECENT | {"LEADSCORE_REDIS_URL": way.url, "LEADSCORE_REDIS_TIMEOUT": "300ms"}
        worker = deployment.start_worker()
        stack.enter_context(Load(deployment, events, pause_s=0.15))
        wait_until(deployment.published, 30, "a crossing")
        expected = failures(worker)  # a Redis that has never seen the script
        for kind in refusals:
            way.refuse(REFUSALS[kind])
            expected[kind.value] = expected.get(kind.value, 0) + 1
            wait_until(lambda: failures(worker) == expected, 30, f"{expected} and no more")
            wait_until(partial(has_resumed, worker), 30, "the end of the outage, or the next pause would be longer")
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
    assert_holds(deployment, figures)
    pauses = [kind for kind in refusals if kind is not FailureKind.NOSCRIPT]
    assert len(worker.said("score_paused")) == len(worker.said("score_resumed")) == len(pauses)
    figures.note = f"{len(refusals)} errors of {len(REFUSALS)} kinds, each counted under its own"
    assert worker.terminate() == 0
