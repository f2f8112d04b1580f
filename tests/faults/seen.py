"""What can be seen of workers from outside: metrics, readiness, and how often each crossing is published."""

import sys
from collections import Counter
from collections.abc import Iterable

import pytest

from tests.deployment import Deployment, WorkerProcess
from tests.e2e.metric_series import series


def metric(workers: Iterable[WorkerProcess], name: str) -> float:
    """The sum over the workers; the name with its labels."""
    return sum(series(worker.get("/metrics")[1]).get(name, 0.0) for worker in workers)


def store_errors(workers: Iterable[WorkerProcess], kind: str) -> float:
    return metric(workers, f'leadscore_store_errors_total{{kind="{kind}"}}')


def readiness(worker: WorkerProcess) -> str:
    """What the probe says; empty if the worker is ready."""
    status, body = worker.get("/readyz")
    return "" if status == 200 else body


def copies(deployment: Deployment) -> Counter[str]:
    """How often each crossing is published."""
    return Counter({crossing_id: len(records) for crossing_id, records in deployment.published().items()})


def say(capsys: pytest.CaptureFixture[str], verdict: str) -> None:
    """One line, past pytest's capture."""
    with capsys.disabled():
        sys.stdout.write(f"\n{verdict}\n")
