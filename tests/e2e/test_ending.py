"""Workers asked to end at bad moments: they do, in time, and take nothing with them."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from socket import create_server

import pytest

from leadscore.cli.ending import Exit
from tests.deployment import (
    FEW_RECENT,
    FEW_RECENT_EVENTS,
    LOG_PARTITIONS,
    WANDERING_MODEL,
    Deployment,
    assert_exact,
    wandering_events,
)
from tests.servers import wait_until
from tests.slow_way import WRITE, SlowWay, patient_on

pytestmark = pytest.mark.lasting_leads

NOBODY = "127.0.0.1:9"
SHORT_SESSION = {"LEADSCORE_KAFKA__SESSION_TIMEOUT_MS": "6000", "LEADSCORE_KAFKA__HEARTBEAT_INTERVAL_MS": "500"}


def test_a_worker_asked_to_end_while_it_waits_for_kafka_ends_in_order(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(WANDERING_MODEL)
    worker = deployment.start_worker(LEADSCORE_KAFKA__BOOTSTRAP_SERVERS=NOBODY)
    worker.wait_for("waiting_to_start")
    assert worker.terminate(30) == 0
    assert worker.said("stopped")


def test_a_worker_whose_redis_is_not_there_yet_waits_and_ends_in_order(deploy: Callable[..., Deployment]) -> None:
    worker = deploy(WANDERING_MODEL).start_worker(LEADSCORE_REDIS_URL=f"redis://{NOBODY}/0")
    assert worker.wait_for("waiting_to_start")["service"] == "redis"
    assert worker.terminate(30) == 0
    assert worker.said("stopped")


@pytest.mark.parametrize(
    ("variable", "address", "service"),
    [("LEADSCORE_REDIS_URL", f"redis://{NOBODY}/0", "redis"), ("LEADSCORE_KAFKA__BOOTSTRAP_SERVERS", NOBODY, "kafka")],
)
def test_a_service_that_is_away_at_the_start_is_waited_for_and_no_longer_than_told(
    deploy: Callable[..., Deployment], variable: str, address: str, service: str
) -> None:
    worker = deploy(WANDERING_MODEL).start_worker(**{variable: address}, LEADSCORE_START_TIMEOUT="3s")
    worker.wait_for_death(40)
    assert worker.process.returncode == Exit.FAILED
    assert [line["service"] for line in worker.said("waiting_to_start")] == [service]
    [stopped] = worker.said("worker_stopped")
    assert stopped["error"] == "Unavailable"
    assert service in stopped["detail"]


def test_a_worker_asked_to_end_while_it_starts_commits_nothing(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.send(wandering_events("early", 50))
    before = deployment.lag()
    worker = deployment.start_worker()
    worker.wait_for("listening")
    assert worker.terminate(30) == 0
    assert worker.said("stopped")
    assert deployment.lag() == before


def test_a_worker_asked_to_end_before_it_is_imported_ends_in_order(deploy: Callable[..., Deployment]) -> None:
    worker = deploy(WANDERING_MODEL).start_worker()
    process = Path(f"/proc/{worker.process.pid}")
    wait_until(lambda: catches_sigterm(process), 20, "the worker to notice signals")
    assert "librdkafka" not in (process / "maps").read_text()
    assert worker.terminate() == Exit.DONE


def catches_sigterm(process: Path) -> bool:
    [caught] = [line.split()[1] for line in (process / "status").read_text().splitlines() if line.startswith("SigCgt")]
    return bool(int(caught, 16) & 1 << (signal.SIGTERM - 1))


def test_a_worker_asked_to_end_while_kafka_is_silent_does_not_wait_for_an_answer(
    deploy: Callable[..., Deployment],
) -> None:
    with create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        worker = deploy(WANDERING_MODEL).start_worker(LEADSCORE_KAFKA__BOOTSTRAP_SERVERS=address)
        assert worker.wait_for("redis")  # next it asks Kafka, which takes 10 s without an answer
        assert worker.terminate(8) == Exit.DONE
    assert worker.said("stopped")


def test_a_worker_whose_last_call_is_never_answered_ends_in_time_and_its_work_is_done_again(
    deploy: Callable[..., Deployment], new_slow_way: Callable[[], SlowWay]
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= FEW_RECENT
    events, way = wandering_events("load", 200), new_slow_way()
    worker = deployment.start_worker(**patient_on(way), LEADSCORE_DRAIN_TIMEOUT="1s")
    deployment.send_now(events[:100])
    deployment.wait_until_settled()
    way.command = WRITE
    deployment.send_now(events[100:])
    assert way.is_holding.wait(20)
    worker.expected_to_die = True
    worker.process.send_signal(signal.SIGTERM)
    wait_until(lambda: json.loads(worker.get("/readyz")[1])["ending"], 10, "the end to be told")
    assert (worker.get("/readyz")[0], worker.get("/livez")[0]) == (503, 200)
    assert worker.process.wait(40) == Exit.DRAIN_GIVEN_UP
    assert worker.said("drain_given_up")
    deployment.start_worker()
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)


def test_a_worker_that_was_frozen_for_long_and_rebuilt_its_state_ends_in_time(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= SHORT_SESSION | FEW_RECENT | {"LEADSCORE_ON_STATE_LOSS": "rebuild"}
    events = wandering_events("load", 300)
    worker = deployment.start_worker(LEADSCORE_DRAIN_TIMEOUT="5s")
    deployment.send_now(events[:200])
    deployment.wait_until_settled()
    worker.freeze()
    wait_until(lambda: deployment.members("score") == 0, 30, "the group to give it up")
    deployment.lose_everything()
    deployment.send_now(events[200:])
    worker.thaw()
    wait_until(lambda: len(worker.partitions_of("state_rebuild")) == LOG_PARTITIONS, 40, "the rebuild")
    assert worker.terminate() == 0  # not DRAIN_GIVEN_UP: it was not the last resort that ended it
    deployment.start_worker()
    deployment.wait_until_settled()
    assert_exact(deployment, events, FEW_RECENT_EVENTS)
