"""Workers asked to end at bad moments: they do, in time, and take nothing with them."""

from collections.abc import Callable

from tests.deployment import WANDERING_MODEL, Deployment, wandering_events

NOBODY = "127.0.0.1:9"


def test_a_worker_asked_to_end_while_it_waits_for_kafka_ends_in_order(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(WANDERING_MODEL)
    worker = deployment.start_worker(LEADSCORE_KAFKA__BOOTSTRAP_SERVERS=NOBODY)
    worker.wait_for("waiting_to_start")
    assert worker.terminate(30) == 0
    assert worker.said("stopped")


def test_a_worker_asked_to_end_while_it_starts_commits_nothing(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.send(wandering_events("early", 50))
    before = deployment.lag()
    worker = deployment.start_worker()
    worker.wait_for("listening")
    assert worker.terminate(30) == 0
    assert worker.said("stopped")
    assert deployment.lag() == before
