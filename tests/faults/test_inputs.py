"""Experiments 10, 11, 19, 20: poison, a registry that fails, replays and disorder, an erasure under load."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from random import Random
from statistics import quantiles
from typing import Any

import pytest

from leadscore.events.encoding import encode_confluent
from leadscore.events.event import Event
from leadscore.events.local_schemas import schema_texts
from leadscore.log.records import Frame
from tests.deployment import (
    FEW_RECENT,
    FEW_RECENT_EVENTS,
    SOURCES,
    WANDERING_MODEL,
    Deployment,
    WorkerProcess,
    assert_exact,
    assert_scores_of,
    frames,
    headers_of,
    now_ms,
    wandering_events,
)
from tests.faults.inputs import Position
from tests.faults.load import Load
from tests.faults.report import Figures
from tests.faults.seen import copies, readiness
from tests.poison import CORPUS
from tests.servers import free_ports, wait_until
from tests.traces import erase, published_of, traces_in_redis, wait_for_tombstone, wait_until_forgotten
from tests.unit.registry_stub import RegistryStub, registry_stub

pytestmark = pytest.mark.lasting_leads

MOST_MORE_KB = 100 * 1024
"""How much larger a worker may become by poison."""
MOST_LATER_MS = 500.0
"""How much later than twice the time good records may come to the log, all but one of a hundred, among poison."""
BLOCK, BLOCK_EVENTS = 10, 400
"""Records of poison in a row, each with a hundred good ones, and the good ones without poison before them."""
EMAIL_SCHEMA_ID = 42


@pytest.fixture
def registry() -> Iterator[RegistryStub]:
    with registry_stub() as stub:
        yield stub


def most_memory_kb(worker: WorkerProcess) -> int:
    """The most that it ever held."""
    lines = Path(f"/proc/{worker.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def reasons(deployment: Deployment) -> Counter[str]:
    """Of the dead letters."""
    return Counter(
        text.decode()
        for message in deployment.read("dead-letters")
        for name, text in headers_of(message)
        if name == "leadscore.dead_letter.reason" and isinstance(text, bytes)
    )


def waits_ms(deployment: Deployment) -> dict[str, float]:
    """By event id: from when an event came to Kafka until it was in the log."""
    sent = {
        Position(message.topic() or "", message.partition() or 0, message.offset() or 0): message.timestamp()[1]
        for word in SOURCES
        for message in deployment.read(word)
    }
    waits: dict[str, float] = {}
    for _, _, logged_ms, record in deployment.log():
        if isinstance(record, Frame):
            for award in record.awards:
                source = record.sources[award.source]
                waits[award.event_id] = logged_ms - sent[Position(source.topic, source.partition, award.offset)]
    return waits


def p99_ms(waits: Mapping[str, float], events: Iterable[Event]) -> float:
    return quantiles([waits[event.event_id] for event in events if event.event_id in waits], n=100)[-1]


@pytest.mark.experiment("10", "nothing is dropped: what cannot be processed is a dead letter")
def test_one_percent_of_poison_is_dead_lettered_for_its_reasons_and_good_events_count(
    deploy: Callable[..., Deployment], figures: Figures
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= FEW_RECENT
    plain = wandering_events("plain", 500 + BLOCK_EVENTS * len(CORPUS) // BLOCK)
    among_poison = wandering_events("good", 100 * len(CORPUS))
    worker = deployment.start_worker()
    deployment.send_now(plain[:500])
    deployment.wait_until_settled()
    before_kb = most_memory_kb(worker)
    odd: list[dict[str, Any]] = [
        {"key": None},
        {"headers": [("h", b"1"), ("h", b"2")]},
        {"headers": [("h", b"\xff\xfe")]},
    ]
    waiting = iter(plain[500:])
    for index, (value, _) in enumerate(CORPUS.values()):
        if index % BLOCK == 0:  # in turn with the others, so that whatever else this machine does concerns both
            deployment.wait_until_done()
            for _ in range(BLOCK_EVENTS // 100):
                deployment.send_now(islice(waiting, 100))
            deployment.wait_until_done()
        deployment.send_now(among_poison[100 * index : 100 + 100 * index])
        deployment.send_bytes("website", value, now_ms(), **odd[index % len(odd)])
    deployment.producer.flush(60)
    deployment.send_now(waiting)
    deployment.wait_until_settled()
    assert reasons(deployment) == Counter(reason.value for _, reason in CORPUS.values())
    grown_kb = most_memory_kb(worker) - before_kb
    assert grown_kb < MOST_MORE_KB
    assert worker.terminate() == 0
    assert_exact(deployment, plain + among_poison, FEW_RECENT_EVENTS)
    waits = waits_ms(deployment)
    without_ms, with_ms = p99_ms(waits, plain[500:]), p99_ms(waits, among_poison)
    figures.events, figures.violations = len(plain) + len(among_poison), 0
    figures.note = (
        f"{len(CORPUS)} sorts of poison; memory +{grown_kb // 1024} MB; in the log within (p99) {with_ms:.0f} ms"
    )
    figures.note += f", without poison {without_ms:.0f} ms"
    assert with_ms < 2 * without_ms + MOST_LATER_MS


def email_in_registry(number: int) -> tuple[Event, bytes]:
    """A click, and its bytes under the registry's schema."""
    event = Event("email.click", f"c{number}", f"lead-{number % 8}", now_ms() - 60_000, {})
    record = {"event_id": event.event_id, "lead_id": event.lead_id, "occurred_at": event.occurred_at_ms}
    return event, encode_confluent(EMAIL_SCHEMA_ID, "email_event", {**record, "type": "CLICK"})


def send_clicks(deployment: Deployment, first: int, number: int) -> list[Event]:
    clicks = [email_in_registry(index) for index in range(first, first + number)]
    for _, value in clicks:
        deployment.send_bytes("email", value, now_ms())
    deployment.producer.flush(60)
    return [event for event, _ in clicks]


def is_paused_for_the_registry(worker: WorkerProcess) -> bool:
    return "schema_registry" in readiness(worker)


@pytest.mark.experiment("11", "a registry that fails pauses the worker and loses nothing")
@pytest.mark.parametrize("failure", ["answers 500", "hangs"])
def test_a_registry_that_fails_is_waited_for_without_a_dead_letter(
    deploy: Callable[..., Deployment], registry: RegistryStub, figures: Figures, failure: str
) -> None:
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= {
        "LEADSCORE_SCHEMA_REGISTRY_URL": registry.url,
        "LEADSCORE_SCHEMA_REGISTRY_TIMEOUT": "500ms",
        "LEADSCORE_CROSSING_FORMAT": "json",
    }
    path = f"/schemas/ids/{EMAIL_SCHEMA_ID}"
    registry.hang = failure == "hangs"
    registry.answers[path] = (500, "no")
    worker = deployment.start_worker()
    events = send_clicks(deployment, 0, 100)
    wait_until(lambda: is_paused_for_the_registry(worker), 60, "the worker to wait for the registry")
    asked = len(registry.requests)
    wait_until(lambda: len(registry.requests) > asked + 2, 60, "it to be asked again")
    assert deployment.read("dead-letters") == []
    registry.hang = False
    registry.put_schema(EMAIL_SCHEMA_ID, schema_texts()["email_event"])
    deployment.wait_until_settled()
    wait_until(lambda: readiness(worker) == "", 60, "readiness")
    assert worker.terminate() == 0
    assert deployment.read("dead-letters") == []
    assert_scores_of(deployment, events)
    figures.events, figures.violations = len(events), 0


@pytest.mark.experiment("11", "an id that the registry does not have yet: dead letters, and none is lost")
def test_records_of_an_unknown_schema_are_dead_letters_that_count_once_when_sent_back(
    deploy: Callable[..., Deployment], registry: RegistryStub, run_tool: Callable[..., int], figures: Figures
) -> None:
    """The reference would wait. A worker cannot tell a late schema from a wrong id, and the others must go on."""
    deployment = deploy(WANDERING_MODEL)
    deployment.environ |= {"LEADSCORE_SCHEMA_REGISTRY_URL": registry.url, "LEADSCORE_CROSSING_FORMAT": "json"}
    worker = deployment.start_worker()
    events = send_clicks(deployment, 0, 50)
    wait_until(lambda: reasons(deployment) == {"unknown_schema": 50}, 60, "the dead letters")
    registry.put_schema(EMAIL_SCHEMA_ID, schema_texts()["email_event"])
    deployment.wait_until_settled()
    assert worker.terminate() == 0
    for _ in range(2):
        assert run_tool(deployment, "dlq", "redrive") == 0
    worker = deployment.start_worker()
    # What is sent back ends with the end of a transaction, which leaves a lag of one in each partition.
    wait_until(lambda: sum(len(frame.awards) for _, _, frame in frames(deployment.log())) == 50, 60, "the awards")
    wait_until(lambda: deployment.lag_of_score() == 0, 60, "them to be applied")
    assert worker.terminate() == 0
    assert_scores_of(deployment, events)
    figures.events, figures.violations = len(events), 0
    figures.note = "dead letters, then sent back: a deviation from the reference"


@pytest.mark.experiment("11", "without its registry a worker does not start, and says why in time")
def test_a_registry_that_is_down_at_the_start_ends_it_after_the_start_timeout(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(WANDERING_MODEL)
    [port] = free_ports(1)
    worker = deployment.start_worker(
        LEADSCORE_SCHEMA_REGISTRY_URL=f"http://127.0.0.1:{port}", LEADSCORE_START_TIMEOUT="3s"
    )
    worker.wait_for_death()
    assert worker.process.returncode != 0
    assert "schema_registry" in str(worker.wait_for("worker_stopped")["detail"])


@pytest.mark.experiment("19", "a replay of everything changes nothing and publishes nothing new")
def test_two_replays_of_duplicated_and_shuffled_events_change_nothing(
    deploy: Callable[..., Deployment], figures: Figures
) -> None:
    deployment = deploy(WANDERING_MODEL)
    events = wandering_events("events", 500)
    delivered = events * 2
    Random(19).shuffle(delivered)
    worker = deployment.start_worker()
    with Load(deployment, delivered, pause_s=0.02):
        pass
    deployment.wait_until_settled()
    assert worker.terminate() == 0
    assert_exact(deployment, events)
    published = deployment.published()
    stored = deployment.stored({event.lead_id for event in events})
    for _ in range(2):
        deployment.read_sources_again()
        worker = deployment.start_worker()
        deployment.wait_until_settled()
        assert worker.terminate() == 0
        assert deployment.published() == published
        assert deployment.stored({event.lead_id for event in events}) == stored
    assert set(copies(deployment).values()) == {1}
    figures.events, figures.leads, figures.violations = len(events), 16, 0
    figures.note = f"{len(delivered)} records delivered, all read three times"


CANARY = "canary-7d20c1"


def visits_of_canary(number: int) -> list[Event]:
    times_ms = [now_ms() - 3_600_000 - 1_000 * index for index in range(number)]
    return [Event("website.page_view", f"{CANARY}-{ms}", CANARY, ms, {"path": "/pricing"}) for ms in times_ms]


@pytest.mark.experiment("20", "an erased person appears nowhere, also after a replay of everything")
def test_an_erasure_under_load_holds_through_a_replay_of_everything(
    deploy: Callable[..., Deployment], figures: Figures
) -> None:
    """The eight hours of the experiment are the endurance run, which has a target of its own."""
    deployment = deploy(WANDERING_MODEL)
    others, canary = wandering_events("others", 1_500), visits_of_canary(40)
    worker = deployment.start_worker()
    deployment.send_now(canary[:20])
    with Load(deployment, others):
        wait_until(lambda: published_of(deployment, CANARY), 60, "a crossing of the lead")
        erase(deployment, CANARY)
        deployment.send_now(canary[20:])  # these occurred before: they never bring it back
    deployment.wait_until_settled()
    wait_for_tombstone(deployment, CANARY)
    wait_until_forgotten(deployment, CANARY)
    published = len(published_of(deployment, CANARY))
    assert worker.terminate() == 0
    deployment.read_sources_again()
    second = deployment.start_worker()
    deployment.wait_until_settled()
    assert second.terminate() == 0
    assert traces_in_redis(deployment, CANARY) == []
    assert len(published_of(deployment, CANARY)) == published
    assert published_of(deployment, CANARY)[-1].value() is None
    assert not [one for one in (worker, second) if CANARY in one.log_path.read_text(errors="replace")]
    assert_scores_of(deployment, others)
    figures.events, figures.leads, figures.violations = len(others) + len(canary), 17, 0
