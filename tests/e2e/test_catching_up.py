"""Catching up on 30 days of history decides as live operation would have: the merge by Kafka timestamp (design 2.3)."""

import heapq
from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

import pytest

from leadscore.demo.personas import random_id
from leadscore.demo.traffic import GeneratedEvent, topic_role_of
from leadscore.events.event import Event
from leadscore.scoring.simulation import simulate
from leadscore.time_units import DAY_MS
from tests.deployment import Deployment, now_ms

HOUR_MS = 3_600_000
DAYS = 30

# Order matters here: what takes points away comes on another topic than what gives them, points decay within days, and
# after an enter there is a cooldown.
MODEL = {
    "model": "catching-up",
    "version": 1,
    "decay": {"half_life": "3d"},
    "rules": {
        "page": {"event": "website.page_view", "points": 6},
        "pricing": {"event": "website.page_view", "where": {"path": {"matches": "^/pricing"}}, "points": 10},
        "click": {"event": "email.click", "points": 12, "decay": {"half_life": "5d"}},
        "unsubscribe": {"event": "email.unsubscribe", "points": -40},
        "attended": {"event": "webinar.attended", "points": 30, "decay": {"half_life": "7d"}},
        "no_show": {"event": "webinar.no_show", "points": -15},
    },
    "thresholds": {"mql": {"enter": 55, "exit": 35, "cooldown": "2d"}, "hot": {"enter": 85, "exit": 60}},
}


class Share(NamedTuple):
    """How many crossings a fold in timestamp order has, and how many of all that are known are the same."""

    expected: int
    same: float


@pytest.mark.lasting_leads
@pytest.mark.parametrize(
    ("events", "settings"),
    [
        pytest.param(6_000, {"ALIGNMENT_BYTES": "200000", "BATCH_SIZE": "500"}, id="small"),
        pytest.param(200_000, {}, id="full", marks=[pytest.mark.full, pytest.mark.timeout(1_800)]),
    ],
)
def test_catching_up_decides_as_live_operation_would_have(
    deploy: Callable[..., Deployment], events: int, settings: dict[str, str]
) -> None:
    share = catch_up(deploy(MODEL), events, **settings)
    assert share.expected > events / 50
    assert share.same >= 0.99


@pytest.mark.lasting_leads
def test_without_the_merge_by_time_catching_up_decides_otherwise(deploy: Callable[..., Deployment]) -> None:
    share = catch_up(deploy(MODEL), 6_000, ALIGNMENT_WAIT="0s")
    assert share.same < 0.8


def catch_up(deployment: Deployment, events: int, **settings: str) -> Share:
    """Fill the topics, then start a worker, and compare what it published with a fold in timestamp order."""
    history = list(traffic(Random(events), events, now_ms() - HOUR_MS))
    deployment.send_traffic(history)
    worker = deployment.start_worker(**{f"LEADSCORE_{name}": value for name, value in settings.items()})
    deployment.wait_until_done(600)
    deployment.wait_until_nothing_is_due()
    assert worker.terminate() == 0
    log = [(record.content, record.timestamp_ms) for record in history if isinstance(record.content, Event)]
    expected = {crossing.id for crossing in simulate(deployment.definition, log, now_ms()).crossings}
    published = {crossing["id"] for crossing in deployment.crossings()}
    return Share(len(expected), len(expected & published) / len(expected | published))


def traffic(random: Random, events: int, end_ms: int) -> Iterator[GeneratedEvent]:
    """30 days by Kafka timestamp: visits all day long, mails in waves every third day, a webinar once a week."""
    start_ms = end_ms - DAYS * DAY_MS
    lead_ids = [random_id(random) for _ in range(events // 24)]
    happened = heapq.merge(
        sorted(_visits(random, events * 6 // 10, start_ms)),
        sorted(_mails(random, events * 3 // 10, start_ms)),
        sorted(_webinars(random, events // 10, start_ms)),
    )
    records = []
    for at_ms, event_type, path in happened:
        fields = {"path": path} if path else {}
        event = Event(event_type, random_id(random), random.choice(lead_ids), at_ms, dict(fields))
        arrived_ms = at_ms + random.randint(0, 2_000)
        records.append(GeneratedEvent(topic_role_of(event_type), arrived_ms, event))
    return iter(sorted(records, key=lambda record: record.timestamp_ms))


Happening = tuple[int, str, str]


def _visits(random: Random, number: int, start_ms: int) -> Iterator[Happening]:
    for _ in range(number):
        path = random.choice(("/", "/blog", "/product", "/pricing"))
        yield start_ms + random.randrange(DAYS * DAY_MS), "website.page_view", path


def _mails(random: Random, number: int, start_ms: int) -> Iterator[Happening]:
    for _ in range(number):
        sent_ms = start_ms + 3 * DAY_MS * random.randrange(DAYS // 3)
        read_ms = sent_ms + int(random.expovariate(1 / (6 * HOUR_MS)))
        event_type = random.choices(("email.click", "email.unsubscribe"), (4, 1))[0]
        yield min(read_ms, start_ms + DAYS * DAY_MS - 1), event_type, ""


def _webinars(random: Random, number: int, start_ms: int) -> Iterator[Happening]:
    for _ in range(number):
        begin_ms = start_ms + 7 * DAY_MS * random.randrange(DAYS // 7) + 3 * DAY_MS
        event_type = random.choices(("webinar.attended", "webinar.no_show"), (3, 1))[0]
        yield begin_ms + random.randrange(HOUR_MS), event_type, ""
